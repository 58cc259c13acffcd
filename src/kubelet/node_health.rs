//! Nodes whose machine is gone: Unknown, tainted, emptied, removed.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::pod::{Taint, TaintEffect};
use crate::cluster::instance::InstanceState;
use crate::cluster::pod::{EndReason, Owner, Phase};
use crate::cluster::{Action, Controller, Decision, InstanceId, NodeId, PodId, Rule, Subject, World};
use crate::engine::{Agenda, Stream, Streams};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

use super::Event;
use super::health::{
    MONITOR_PERIOD, POD_GC_PERIOD, Passes, RENEW_PERIOD, UNREACHABLE, collected_at, eviction_interval, stay,
    unknown_at, zone_state,
};

const ZONE: &str = "topology.kubernetes.io/zone";

/// What the node controllers remember.
pub struct NodeHealth {
    grace: Duration,
    monitor: Passes,
    cloud: Passes,
    collector: Passes,
    renewals: Stream,
    dead: BTreeSet<NodeId>,
    /// Nodes that are Unknown though their machine runs, and their pods that were ready.
    silent: BTreeMap<NodeId, Vec<PodId>>,
    /// By zone: when the next node may get its `NoExecute` taint.
    next_eviction: BTreeMap<String, Time>,
}

impl NodeHealth {
    pub fn new(scenario: &Scenario, streams: Streams) -> NodeHealth {
        let mut phases = streams.open("node-monitor", 0);
        let mut passes =
            |period: Duration| Passes { phase: Duration::from_secs_f64(phases.unit() * period.as_secs_f64()), period };
        let grace = if scenario.versions.node_monitor_grace_50s() { 50 } else { 40 };
        NodeHealth {
            grace: Duration::from_secs(grace),
            monitor: passes(MONITOR_PERIOD),
            cloud: passes(MONITOR_PERIOD),
            collector: passes(POD_GC_PERIOD),
            renewals: streams.open("node-renewal", 0),
            dead: BTreeSet::new(),
            silent: BTreeMap::new(),
            next_eviction: BTreeMap::new(),
        }
    }

    pub fn is_dead(&self, node: NodeId) -> bool {
        self.dead.contains(&node)
    }

    /// An instance changed its state; gives the node whose kubelet ended with it.
    pub fn instance_changed(
        &mut self,
        instance: InstanceId,
        world: &World<'_>,
        agenda: &mut Agenda<Event>,
    ) -> Option<NodeId> {
        let record = &world.cluster.instances[instance.index()];
        if record.state < InstanceState::ShuttingDown {
            return None;
        }
        let of_claim = record.nodeclaim.and_then(|claim| world.cluster.nodeclaims[claim.index()].node);
        let of_group = || {
            let live = world.cluster.live_nodes.iter().copied();
            live.into_iter().find(|node| world.cluster.nodes[node.index()].instance == Some(instance))
        };
        let node = of_claim.or_else(of_group)?;
        if !world.cluster.nodes[node.index()].exists() || !self.dead.insert(node) {
            return None;
        }
        self.falls_silent(node, world, agenda);
        Some(node)
    }

    /// A kubelet renews its lease no more.
    pub fn falls_silent(&mut self, node: NodeId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let phase = Duration::from_secs_f64(self.renewals.unit() * RENEW_PERIOD.as_secs_f64());
        let renewals = Passes { phase, period: RENEW_PERIOD };
        agenda.at(unknown_at(world.now, renewals, self.monitor, self.grace), Event::Unknown(node));
    }

    /// When a node that is silent is declared Unknown after the monitor was away until `end`: one that has started again has not seen
    /// it before (`tryUpdateNodeHealth`).
    pub fn monitored_again(&self, end: Time, world: &World<'_>) -> Time {
        let outages = world.scenario.outages(FaultKind::ControllerManagerDown);
        let restarted = outages.iter().any(|(from, until)| *from <= world.now && world.now < *until);
        if restarted && end < Time::MAX { self.monitor.after(self.monitor.at_or_after(end) + self.grace) } else { end }
    }

    /// A kubelet reports again: its Node is Ready, its pods are as they are; the monitor takes the taints off.
    pub fn reports(&mut self, node: NodeId, running: &[PodId], world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(pods) = self.silent.remove(&node) else { return };
        if self.is_dead(node) || !world.cluster.nodes[node.index()].exists() {
            return;
        }
        world.cluster.set_node_ready(world.now, node, true);
        for pod in pods {
            let record = &world.cluster.pods[pod.index()];
            if record.exists() && !record.terminal() && running.contains(&pod) {
                world.cluster.set_pod_ready(world.now, pod, true);
            }
        }
        agenda.at(self.monitor.at_or_after(world.now), Event::Reachable(node));
    }

    /// `processNoTaintBaseEviction`, `doNoScheduleTaintingPass`: a Node that is Ready carries no taint of a silent one.
    pub fn reachable(node: NodeId, world: &mut World<'_>) {
        let record = &world.cluster.nodes[node.index()];
        if record.exists() && record.ready {
            let kept = record.taints.iter().filter(|taint| taint.key != UNREACHABLE).cloned().collect();
            world.cluster.set_taints(node, kept);
        }
    }

    /// `markNodeAsNotReady` and `MarkPodsNotReady`: Ready becomes Unknown, new pods stay away, the pods count as not ready.
    pub fn unknown(&mut self, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if !world.cluster.nodes[node.index()].exists() {
            return;
        }
        let pods = world.cluster.nodes[node.index()].pods.clone();
        if !self.is_dead(node) && world.cluster.nodes[node.index()].ready {
            let ready = pods.iter().copied().filter(|pod| world.cluster.pods[pod.index()].ready);
            self.silent.insert(node, ready.collect());
        }
        world.cluster.set_node_ready(world.now, node, false);
        add_taint(node, TaintEffect::NoSchedule, world);
        for pod in pods {
            world.cluster.set_pod_ready(world.now, pod, false);
        }
        let detail = format!("no heartbeat for {}", self.grace);
        decide(world, Subject::Node(node), Action::Taint, Rule::NodeMonitorGracePeriod, detail);
        agenda.at(self.cloud.at_or_after(world.now), Event::CloudCheck(node));
        if let Some(at) = self.plan_eviction(node, world) {
            agenda.at(at, Event::NoExecute(node));
        }
    }

    /// The zone's rate limiter: the first node at once, further ones at the rate of the zone's state.
    fn plan_eviction(&mut self, node: NodeId, world: &World<'_>) -> Option<Time> {
        let cluster = &*world.cluster;
        let zone_of = |id: &NodeId| cluster.nodes[id.index()].labels.get(ZONE).cloned().unwrap_or_default();
        let zone = zone_of(&node);
        let mut zones: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for id in &cluster.live_nodes {
            let (ready, not_ready) = zones.entry(zone_of(id)).or_default();
            if cluster.nodes[id.index()].ready { *ready += 1 } else { *not_ready += 1 }
        }
        let all_full = zones.values().all(|(ready, _)| *ready == 0);
        let (ready, not_ready) = zones.get(&zone).copied().unwrap_or_default();
        let interval = eviction_interval(zone_state(ready, not_ready), ready + not_ready, all_full)?;
        let next = self.next_eviction.entry(zone).or_insert(Time::ZERO);
        let at = world.now.max(*next);
        *next = at + interval;
        Some(at)
    }

    pub fn no_execute(node: NodeId, world: &mut World<'_>) {
        let record = &world.cluster.nodes[node.index()];
        if record.exists() && !record.ready {
            add_taint(node, TaintEffect::NoExecute, world);
        }
    }

    /// `cloud-provider/controllers/nodelifecycle: MonitorNodes`: a Node that is not Ready and whose instance is gone is deleted.
    pub fn cloud_check(&mut self, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodes[node.index()];
        if !record.exists() || record.ready || record.deleting.is_some() {
            return;
        }
        let gone = record
            .instance
            .is_some_and(|instance| world.cluster.instances[instance.index()].state == InstanceState::Terminated);
        if !gone {
            agenda.at(self.cloud.after(world.now), Event::CloudCheck(node));
        } else if record.nodeclaim.is_some() {
            // Karpenter's finalizer holds the object until its termination is through.
            world.cluster.delete_node(world.now, node);
        } else {
            world.cluster.remove_node(world.now, node);
        }
    }

    /// Taints of a node changed: those with `NoExecute` start the clocks of its pods.
    pub fn taints_changed(&mut self, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodes[node.index()];
        if !record.taints.iter().any(|taint| taint.effect == TaintEffect::NoExecute) {
            return;
        }
        for pod in &record.pods {
            let pod_record = &world.cluster.pods[pod.index()];
            let daemon = matches!(pod_record.owner, Owner::DaemonSet(_));
            if pod_record.active()
                && let Some(stay) = stay(&world.cluster.shape_of(*pod).spec, daemon, &record.taints)
            {
                agenda.at(world.now + stay, Event::TaintEviction(*pod));
            }
        }
    }

    pub fn taint_eviction(pod: PodId, world: &mut World<'_>) {
        let record = &world.cluster.pods[pod.index()];
        let Some(node) = record.node.filter(|_| record.active()) else { return };
        let node = &world.cluster.nodes[node.index()];
        let daemon = matches!(record.owner, Owner::DaemonSet(_));
        let shape = world.cluster.shape_of(pod);
        if node.exists() && stay(&shape.spec, daemon, &node.taints).is_some() {
            let grace = shape.grace;
            world.cluster.delete_pod(world.now, pod, grace, EndReason::NodeLost);
            decide(
                world,
                Subject::Pod(pod),
                Action::Delete,
                Rule::TaintManagerEviction,
                "toleration ran out".to_owned(),
            );
        }
    }

    pub fn node_gone(&mut self, node: NodeId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        self.dead.remove(&node);
        self.silent.remove(&node);
        if !world.cluster.nodes[node.index()].pods.is_empty() {
            agenda.at(collected_at(world.now, self.collector), Event::Collect(node));
        }
    }

    /// `gcOrphaned`: pods of a node that does not exist fail and are removed by force.
    pub fn collect(node: NodeId, world: &mut World<'_>) {
        for pod in world.cluster.nodes[node.index()].pods.clone() {
            world.cluster.finish_pod(world.now, pod, Phase::Failed, EndReason::NodeLost);
            world.cluster.delete_pod(world.now, pod, Duration::ZERO, EndReason::NodeLost);
            world.cluster.remove_pod(world.now, pod);
        }
    }
}

fn add_taint(node: NodeId, effect: TaintEffect, world: &mut World<'_>) {
    let mut taints = world.cluster.nodes[node.index()].taints.clone();
    let taint = Taint { key: UNREACHABLE.to_owned(), value: String::new(), effect };
    if !taints.contains(&taint) {
        taints.push(taint);
        world.cluster.set_taints(node, taints);
    }
}

pub fn decide(world: &mut World<'_>, subject: Subject, action: Action, rule: Rule, detail: String) {
    world.cluster.decide(Decision::plain(world.now, Controller::Kubelet, subject, action, rule, detail));
}
