//! The Fargate scheduler in a run: it takes the pods that profiles select off kube-scheduler's hands, and machines go with their pods.

use std::collections::BTreeMap;

use super::size::{find, size_for};
use crate::api::meta::Labels;
use crate::api::pod::{Taint, TaintEffect};
use crate::cluster::catalogue::{CapacityType, TypeId, ZoneId};
use crate::cluster::fargate::{COMPUTE_TYPE, NODE_CLASS};
use crate::cluster::instance::{Instance, InstanceState};
use crate::cluster::node::Node;
use crate::cluster::{
    Action, Change, Controller, Decision, InstanceId, NodeClassId, NodeId, PodId, Rule, Subject, World,
};
use crate::engine::{Agenda, Stream, Streams, TokenBucket};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::units::{Resources, Usd};

/// What the Fargate scheduler waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The machine of a pod is there.
    MachineRuns(PodId),
}

/// The Fargate scheduler.
pub struct Fargate {
    streams: Streams,
    zones: Stream,
    launches: TokenBucket,
    machines: BTreeMap<PodId, NodeId>,
}

impl Fargate {
    /// A scheduler without machines.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> Self {
        let flags = &scenario.fargate;
        Fargate {
            streams,
            zones: streams.open("fargate zone", 0),
            launches: TokenBucket::new(flags.launches_per_second, flags.launch_burst),
            machines: BTreeMap::new(),
        }
    }

    /// Takes note of a change.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match *change {
            Change::PodCreated(pod) if world.cluster.shape_of(pod).fargate => self.place(pod, world, agenda),
            // Billing ends with the pod; a Job's pod may stay as an object after its end.
            Change::PodFinished(pod) | Change::PodGone(pod) => {
                if let Some(node) = self.machines.remove(&pod) {
                    Self::stop(node, world);
                }
            }
            _ => {}
        }
    }

    /// Handles an event of its own.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if let Some(end) = world.scenario.outage_end(FaultKind::ApiServerDown, world.now) {
            agenda.at(end, event);
            return;
        }
        let Event::MachineRuns(pod) = event;
        let record = &world.cluster.pods[pod.index()];
        if record.exists() && !record.terminating() && record.node.is_none() {
            self.run(pod, world);
        }
    }

    fn place(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if size_for(&world.cluster.shape_of(pod).requests).is_none() {
            let detail = "no Fargate size holds its requests and 256 MiB: at most 16 vCPUs and 120 GiB".to_owned();
            return log(world, pod, Action::Blocked, Rule::FargateSize, detail);
        }
        let mut stream = self.streams.open("fargate start", u64::from(pod.0));
        let takes = world.scenario.latencies.fargate_start.sample(&mut stream);
        agenda.at(self.launches.take(world.now) + takes, Event::MachineRuns(pod));
    }

    /// The pod's machine joins as a node and the pod is bound to it.
    fn run(&mut self, pod: PodId, world: &mut World<'_>) {
        let Some(size) = size_for(&world.cluster.shape_of(pod).requests) else { return };
        let Some(class) = world.cluster.node_classes.iter().position(|class| class.name == NODE_CLASS) else { return };
        let catalogue = world.cluster.catalogues[class].clone();
        let Some(instance_type) = find(&catalogue, &size) else { return };
        let zone = ZoneId(self.zones.below(catalogue.zones.len()) as u16);
        let price = price(world.scenario, &size);
        let instance = start(NodeClassId(class as u32), instance_type, zone, price, world);
        let name = format!("fargate-{}", pod.0);
        let mut labels = Labels::new();
        for (key, value) in [
            (COMPUTE_TYPE, "fargate"),
            ("kubernetes.io/hostname", name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            ("topology.kubernetes.io/region", world.scenario.simulation.region.as_str()),
            ("topology.kubernetes.io/zone", catalogue.zone(zone)),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        let taint =
            Taint { key: COMPUTE_TYPE.to_owned(), value: "fargate".to_owned(), effect: TaintEffect::NoSchedule };
        let of_type = catalogue.get(instance_type);
        let node = world.cluster.create_node(Node {
            instance: Some(instance),
            capacity_type: Some(CapacityType::OnDemand),
            labels,
            taints: vec![taint],
            capacity: of_type.capacity,
            allocatable: of_type.allocatable,
            ..Node::new(name, world.now)
        });
        world.cluster.set_node_ready(world.now, node, true);
        world.cluster.bind(world.now, pod, node);
        self.machines.insert(pod, node);
        log(world, pod, Action::Bind, Rule::FargateProfile, format!("{} at {price} an hour", of_type.name));
    }

    fn stop(node: NodeId, world: &mut World<'_>) {
        world.cluster.remove_node(world.now, node);
        if let Some(instance) = world.cluster.nodes[node.index()].instance {
            world.cluster.set_instance_state(world.now, instance, InstanceState::Terminated);
        }
    }
}

/// What an hour of a size costs.
fn price(scenario: &Scenario, size: &Resources) -> Usd {
    let flags = &scenario.fargate;
    let vcpus = size.cpu().milli() as f64 / 1000.0;
    let gigabytes = size.memory().bytes() as f64 / (1_i64 << 30) as f64;
    Usd::from_f64(vcpus * flags.vcpu_hour + gigabytes * flags.gigabyte_hour)
}

/// Billing starts when the image is about to be pulled.
fn start(class: NodeClassId, instance_type: TypeId, zone: ZoneId, price: Usd, world: &mut World<'_>) -> InstanceId {
    world.cluster.add_instance(Instance {
        state: InstanceState::Running,
        running: Some(world.now),
        ..Instance::new(world.now, class, instance_type, (zone, CapacityType::OnDemand), price)
    })
}

fn log(world: &mut World<'_>, pod: PodId, action: Action, rule: Rule, detail: String) {
    let (at, controller) = (world.now, Controller::Fargate);
    world.cluster.decide(Decision::plain(at, controller, Subject::Pod(pod), action, rule, detail));
}
