//! Drain and end of Nodes.

use std::collections::btree_map::Entry;

use super::{Event, Lifecycle, log};
use crate::api::meta::Labels;
use crate::api::scalar::parse_go_duration;
use crate::cluster::pod::{EndReason, Owner};
use crate::cluster::{Action, NodeId, PodId, Rule, Subject, World};
use crate::engine::Agenda;
use crate::karpenter::lifecycle::drain::{DrainPod, Tier, drain, eviction_backoff};
use crate::karpenter::lifecycle::taints;
use crate::karpenter::lifecycle::termination::{
    DRAIN_POLL, DrainState, INSTANCE_POLL, TerminationStep, TerminationView, finalize_node,
};
use crate::time::{Duration, Time};

/// Label that takes a draining node out of load balancers.
const EXCLUDE_BALANCERS_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

impl Lifecycle {
    pub(super) fn wake_node(&mut self, id: NodeId, at: Time, agenda: &mut Agenda<Event>) {
        if let Some(generation) = self.node(id).wake.move_to(at) {
            agenda.at(at, Event::FinalizeNode(id, generation));
        }
    }

    /// `node/termination/controller.go: finalize`.
    pub(super) fn finalize_node(&mut self, id: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let node = &world.cluster.nodes[id.index()];
        let Some(claim) = node.nodeclaim.filter(|_| node.exists() && node.deleting.is_some()) else { return };
        world.cluster.delete_nodeclaim(world.now, claim, "Manual");
        let instance = world.cluster.nodeclaims[claim.index()].instance;
        let instance_exists = instance.is_some_and(|instance| world.cluster.instance_exists(instance));
        let deadline = world.cluster.nodeclaims[claim.index()].termination_deadline;
        let mut view = TerminationView {
            node_ready: world.cluster.nodes[id.index()].ready,
            instance_exists,
            drain: self.drain_state(id),
            waiting_pods: 0,
            volumes_attached: false,
            deadline,
        };
        if finalize_node(&view, world.now) != TerminationStep::RemoveWithoutDrain {
            taint(id, world);
            view.waiting_pods = self.drain(id, deadline, world, agenda);
            view.volumes_attached = volumes_attached(id, world);
        }
        match finalize_node(&view, world.now) {
            TerminationStep::RemoveWithoutDrain => world.cluster.remove_node(world.now, id),
            step @ (TerminationStep::AwaitDrain | TerminationStep::AwaitVolumeDetachment) => {
                self.node(id).drained |= step == TerminationStep::AwaitVolumeDetachment;
                let slip = world.scenario.clocks.drain_poll_slip;
                self.wake_node(id, world.now + DRAIN_POLL + slip, agenda);
            }
            TerminationStep::TerminateInstance => {
                self.node(id).drained = true;
                world.cluster.terminate_instance(claim);
                if instance_exists {
                    self.wake_node(id, world.now + INSTANCE_POLL, agenda);
                } else {
                    world.cluster.remove_node(world.now, id);
                }
            }
        }
    }

    fn drain_state(&mut self, id: NodeId) -> DrainState {
        let record = self.node(id);
        match record.drain_began {
            _ if record.drained => DrainState::Drained,
            Some(since) => DrainState::Draining(since),
            None => DrainState::Absent,
        }
    }

    /// Evicts and deletes what is due; the number of pods that the drain waits for.
    fn drain(
        &mut self,
        id: NodeId,
        deadline: Option<Time>,
        world: &mut World<'_>,
        agenda: &mut Agenda<Event>,
    ) -> usize {
        let phase = Time::ZERO + world.scenario.clocks.whole_second;
        let now = world.now;
        self.node(id).drain_began.get_or_insert(now.floor_second(phase));
        let pods: Vec<DrainPod> =
            world.cluster.nodes[id.index()].pods.iter().map(|pod| drain_pod(*pod, world)).collect();
        let step = drain(&pods, deadline, now);
        for (pod, grace) in step.force {
            self.evictions.remove(&pod);
            let ends = pods.iter().find(|other| other.id == pod).and_then(|other| other.deletion_timestamp);
            if ends.is_some_and(|ends| ends <= now + grace) {
                continue;
            }
            let detail = format!("its grace would last beyond the node's deadline; {grace} are left");
            log(world, Subject::Pod(pod), Action::Delete, Rule::TerminationGracePeriod, detail);
            world.cluster.delete_pod(now, pod, grace, EndReason::Evicted);
        }
        for pod in step.evict {
            if let Entry::Vacant(entry) = self.evictions.entry(pod) {
                entry.insert(0);
                self.try_eviction(pod, world, agenda);
            }
        }
        step.waiting
    }

    /// `eviction.go: Queue.Reconcile`.
    pub(super) fn try_eviction(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(failures) = self.evictions.get_mut(&pod) else { return };
        if !world.cluster.pods[pod.index()].active() {
            self.evictions.remove(&pod);
            return;
        }
        match world.cluster.evict(world.now, pod, None) {
            Ok(()) => {
                self.evictions.remove(&pod);
            }
            Err(_) => {
                *failures += 1;
                let (first, again) = (*failures == 1, eviction_backoff(*failures));
                agenda.at(world.now + again, Event::Evict(pod));
                if first {
                    let detail = "a PodDisruptionBudget does not allow its eviction".to_owned();
                    log(world, Subject::Pod(pod), Action::Blocked, Rule::FailedDraining, detail);
                }
            }
        }
    }
}

/// Marks a draining Node (`terminator.go: Taint`).
fn taint(id: NodeId, world: &mut World<'_>) {
    let disrupted = taints::disrupted();
    let mut present = world.cluster.nodes[id.index()].taints.clone();
    if !present.iter().any(|taint| taints::matches(taint, disrupted)) {
        present.retain(|taint| taint.key != disrupted.key);
        present.push(disrupted.clone());
        world.cluster.set_taints(id, present);
    }
    world.cluster.label_node(id, Labels::from([(EXCLUDE_BALANCERS_LABEL.to_owned(), "karpenter".to_owned())]));
}

/// Whether volumes of pods that the drain takes are attached (`pendingVolumeAttachments`, `filterVolumeAttachments`).
fn volumes_attached(id: NodeId, world: &World<'_>) -> bool {
    let attached = world.cluster.attached.range((id, PodId(0))..=(id, PodId(u32::MAX)));
    let mut drainable = attached.filter(|(_, pod)| {
        // A pod that is gone holds back no volume any more.
        !world.cluster.pods[pod.index()].exists() || drain_pod(*pod, world).is_drainable(world.now)
    });
    drainable.next().is_some()
}

/// A pod as the drain sees it.
fn drain_pod(id: PodId, world: &World<'_>) -> DrainPod {
    let pod = &world.cluster.pods[id.index()];
    let shape = world.cluster.shape_of(id);
    let annotation = shape.annotations.get(DO_NOT_DISRUPT).map(String::as_str);
    DrainPod {
        id,
        tier: Tier::of(shape.spec.priority_class_name.as_deref(), matches!(pod.owner, Owner::DaemonSet(_))),
        terminal: pod.terminal(),
        deletion_timestamp: pod.path.deleting.map(|at| at + pod.deletion_grace),
        grace: shape.grace,
        tolerates_disrupted: shape.spec.tolerates(taints::disrupted()),
        do_not_disrupt: annotation.is_some_and(|value| do_not_disrupt(value, pod.path.bound, world.now)),
    }
}

/// Whether an annotation protects a pod that started at `start` (`IsDoNotDisruptActive`): `true`, or for a positive Go
/// duration after its start.
fn do_not_disrupt(value: &str, start: Option<Time>, now: Time) -> bool {
    let span = match parse_go_duration(value) {
        _ if value == "true" => return true,
        Ok(span) if span > Duration::ZERO => span,
        _ => return false,
    };
    start.is_none_or(|start| now.since(start) < span)
}
