//! All controllers of a run, the one event type, and who watches what. No policy here.

use super::build::BuildError;
use crate::cluster::{Change, World};
use crate::ec2::provider as ec2;
use crate::engine::{Agenda, Calendar, Streams};
use crate::karpenter::disruption::controller as disruption;
use crate::karpenter::lifecycle::controller as lifecycle;
use crate::karpenter::{provisioning, static_capacity};
use crate::scenario::Scenario;
use crate::{cluster_autoscaler, fargate, hpa, keda, kubelet, replicaset, scheduler};

macro_rules! controllers {
    ($( $(#[doc = $doc:literal])* $variant:ident $field:ident: $controller:ty, $event:ty, $new:expr; )*) => {
        /// Something that happens at an instant of the control plane.
        #[derive(Clone, Copy, Debug)]
        pub enum Event {
            $( $(#[doc = $doc])* $variant($event), )*
            /// An object is applied: its place in the list of the beginning.
            Apply(u32),
            /// A timed change: its place in the scenario.
            Change(u32),
            /// Counts are written down and laws checked.
            Sample,
            /// Queues are looked at.
            Look,
        }

        /// The controllers and their wishes for later.
        pub struct Controllers {
            $( $field: ($controller, Agenda<$event>), )*
        }

        impl Controllers {
            /// The controllers of a scenario.
            pub fn new(scenario: &Scenario, streams: Streams) -> Result<Self, BuildError> {
                $( let $field: fn(&Scenario, Streams) -> Result<$controller, BuildError> = $new; )*
                Ok(Controllers { $( $field: ($field(scenario, streams)?, Agenda::default()), )* })
            }

            /// Hands a change to all who watch.
            pub fn observe(&mut self, change: &Change, world: &mut World<'_>) {
                $( self.$field.0.observe(change, world, &mut self.$field.1); )*
            }

            /// Puts what the controllers want on the calendar.
            pub fn collect(&mut self, calendar: &mut Calendar<Event>) {
                $( for (at, event) in self.$field.1.drain() {
                    calendar.schedule(at, Event::$variant(event));
                } )*
            }

            /// Puts on the calendar what an event made its controller want, where nobody else saw anything.
            pub fn collect_after(&mut self, event: Event, calendar: &mut Calendar<Event>) {
                match event {
                    $( Event::$variant(_) => for (at, event) in self.$field.1.drain() {
                        calendar.schedule(at, Event::$variant(event));
                    }, )*
                    Event::Apply(_) | Event::Change(_) | Event::Sample | Event::Look => {}
                }
            }
        }
    };
}

controllers! {
    /// KEDA's operator.
    Keda keda: keda::Operator, keda::Event, |scenario, streams| Ok(keda::Operator::new(scenario, streams));
    /// The HPA controller.
    Hpa hpa: hpa::Controller, hpa::Event, |scenario, streams| Ok(hpa::Controller::new(scenario, streams));
    /// Deployment, ReplicaSet and Job controllers.
    ReplicaSet replicaset: replicaset::ReplicaSets, replicaset::Event,
        |scenario, streams| Ok(replicaset::ReplicaSets::new(scenario, streams));
    /// kube-scheduler.
    Scheduler scheduler: scheduler::Scheduler, scheduler::Event,
        |scenario, streams| Ok(scheduler::Scheduler::new(scenario, streams));
    /// Karpenter's provisioner.
    Provisioning provisioning: provisioning::Provisioner, provisioning::Event,
        |scenario, streams| Ok(provisioning::Provisioner::new(scenario, streams));
    /// Karpenter's NodeClaim and Node lifecycle controllers.
    Lifecycle lifecycle: lifecycle::Lifecycle, lifecycle::Event, |_, streams| Ok(lifecycle::Lifecycle::new(streams));
    /// Karpenter's disruption loop.
    Disruption disruption: disruption::Disruption, disruption::Event,
        |scenario, streams| Ok(disruption::Disruption::new(scenario, streams));
    /// Karpenter's controllers of NodePools of fixed size.
    StaticCapacity static_capacity: static_capacity::StaticCapacity, static_capacity::Event,
        |_, streams| Ok(static_capacity::StaticCapacity::new(streams));
    /// Cluster Autoscaler and its Auto Scaling groups.
    ClusterAutoscaler cluster_autoscaler: cluster_autoscaler::ClusterAutoscaler, cluster_autoscaler::Event,
        |scenario, streams| Ok(cluster_autoscaler::ClusterAutoscaler::new(scenario, streams));
    /// The Fargate scheduler.
    Fargate fargate: fargate::Fargate, fargate::Event, |scenario, streams| Ok(fargate::Fargate::new(scenario, streams));
    /// The cloud.
    Cloud cloud: ec2::Ec2, ec2::Event,
        |scenario, streams| ec2::Ec2::new(scenario, streams).map_err(|error| BuildError(error.to_string()));
    /// kubelets and the node lifecycle controllers.
    Kubelet kubelet: kubelet::Kubelets, kubelet::Event, |scenario, streams| Ok(kubelet::Kubelets::new(scenario, streams));
}

impl Controllers {
    /// Lets the controllers ask for what the scenario plans for them.
    pub fn start(&mut self, world: &mut World<'_>) {
        self.keda.0.start(world, &mut self.keda.1);
        self.hpa.0.start(world, &mut self.hpa.1);
        self.provisioning.0.start(world, &mut self.provisioning.1);
        self.lifecycle.0.start(&mut self.lifecycle.1);
        self.disruption.0.start(world, &mut self.disruption.1);
        self.cluster_autoscaler.0.start(world, &mut self.cluster_autoscaler.1);
        self.cloud.0.start(world, &mut self.cloud.1);
        self.kubelet.0.start(world, &mut self.kubelet.1);
    }

    /// Hands an event to its controller; `false` when it is not a controller's.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>) -> bool {
        match event {
            Event::Keda(event) => self.keda.0.handle(event, world, &mut self.keda.1),
            Event::Hpa(event) => {
                let keda = &mut self.keda.0;
                let mut external = |object, metric: &str, world: &mut World<'_>| keda.pull(object, metric, world);
                self.hpa.0.handle(event, world, &mut self.hpa.1, &mut external);
            }
            Event::ReplicaSet(event) => self.replicaset.0.handle(event, world, &mut self.replicaset.1),
            Event::Scheduler(event) => self.scheduler.0.handle(event, world, &mut self.scheduler.1),
            Event::Provisioning(event) => self.provisioning.0.handle(event, world, &mut self.provisioning.1),
            Event::Lifecycle(event) => self.lifecycle.0.handle(event, world, &mut self.lifecycle.1),
            Event::Disruption(event) => self.disruption.0.handle(event, world, &mut self.disruption.1),
            Event::StaticCapacity(event) => {
                self.static_capacity.0.handle(event, world, &mut self.static_capacity.1);
            }
            Event::ClusterAutoscaler(event) => {
                self.cluster_autoscaler.0.handle(event, world, &mut self.cluster_autoscaler.1);
            }
            Event::Fargate(event) => self.fargate.0.handle(event, world, &mut self.fargate.1),
            Event::Cloud(event) => self.cloud.0.handle(event, world, &mut self.cloud.1),
            Event::Kubelet(event) => self.kubelet.0.handle(event, world, &mut self.kubelet.1),
            Event::Apply(_) | Event::Change(_) | Event::Sample | Event::Look => return false,
        }
        true
    }
}
