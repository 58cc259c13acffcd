//! The scheduler at work: watches pods and nodes, tries one pod a cycle, binds, and makes room.

use std::collections::BTreeMap;

use crate::cluster::pod::{EndReason, Owner};
use crate::cluster::storage::VariantId;
use crate::cluster::{Action, Change, Cluster, Controller, Decision, Detail, NodeId, PodId, Rule, Subject, World};
use crate::engine::{Agenda, Stream, Streams, TokenBucket};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::scenario::flags::ScoringStrategy as ScoringFlag;
use crate::time::{Duration, Time};

use super::choose::{Choice, ChooseConfig, Chooser, ScoringStrategy};
use super::diagnosis::Diagnosis;
use super::hints::{ClusterEvent, waking_plugins};
use super::preemption::{Budget, preempt};
use super::queue::{QueueConfig, SchedulingQueue};

use super::shape::{PodTraits, Shape, ShapeIndex};
use super::snapshot::{NodeSpec, Placed, Slot, Snapshot};
use super::volumes::Claims;

/// The slot of a pod that is on no node.
const NOWHERE: u32 = u32::MAX;
/// Period of the look for pods that have been unschedulable for too long.
const POOL_FLUSH: Duration = Duration::from_secs(30);

/// What the scheduler does at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pod's creation is seen.
    PodSeen(PodId),
    /// A Node's creation, change or removal is seen.
    NodeSeen(NodeId),
    /// That a pod no longer takes room is seen.
    PodFreed(PodId),
    /// A scheduling cycle begins.
    Cycle,
    /// Backoffs may be over.
    FlushBackoff,
    /// Pods may have been unschedulable for too long.
    FlushPool,
    /// A binding reaches the API server.
    Bind(PodId, NodeId),
    /// A failed attempt is written into the pod's condition.
    WriteCondition(PodId),
    /// The deletion of a victim reaches the API server.
    Evict(PodId),
}

/// kube-scheduler.
pub struct Scheduler {
    snapshot: Snapshot,
    chooser: Chooser,
    queue: SchedulingQueue,
    hints: bool,
    client: TokenBucket,
    cycle: Duration,
    /// An instant at which a second of the wall clock begins.
    whole_second: Time,
    latencies: Stream,
    ties: Stream,
    preemptions: Stream,
    /// By the cluster's shape, whether a Deployment's selector spreads its pods, and where ephemeral volumes are.
    shapes: BTreeMap<(u32, Option<u32>, Option<VariantId>), ShapeIndex>,
    /// By node.
    slots: Vec<Option<Slot>>,
    /// By slot.
    nodes: Vec<NodeId>,
    /// By pod, the slot of its node, or [`NOWHERE`].
    placed: Vec<u32>,
    nominated: BTreeMap<PodId, Slot>,
    /// Last written reason, by pod.
    conditions: BTreeMap<PodId, Diagnosis>,
    free_from: Time,
    cycle_pending: bool,
    pool_flush_pending: bool,
    flush_at: Option<Time>,
    /// Whether any shape's placement depends on where other pods are.
    interplay: bool,
}

impl Scheduler {
    /// A scheduler that knows nothing yet.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> Scheduler {
        let flags = &scenario.scheduler;
        let config = ChooseConfig {
            strategy: match flags.scoring {
                ScoringFlag::LeastAllocated => ScoringStrategy::LeastAllocated,
                ScoringFlag::MostAllocated => ScoringStrategy::MostAllocated,
            },
            percentage_of_nodes_to_score: flags.percentage_of_nodes_to_score as usize,
            balanced_improvement: scenario.versions.scheduler_balanced_allocation_delta(),
        };
        let queue = QueueConfig {
            pop_from_backoff: scenario.versions.scheduler_pop_from_backoff(),
            whole_second: Time::ZERO + scenario.clocks.whole_second,
            ..QueueConfig::default()
        };
        Scheduler {
            snapshot: Snapshot::default(),
            chooser: Chooser::new(config),
            queue: SchedulingQueue::new(queue),
            hints: scenario.versions.scheduler_queueing_hints(),
            client: TokenBucket::new(flags.client_qps.max(1), flags.client_burst.max(1)),
            cycle: flags.cycle,
            whole_second: Time::ZERO + scenario.clocks.whole_second,
            latencies: streams.open("scheduler-latency", 0),
            ties: streams.open("scheduler-tie", 0),
            preemptions: streams.open("scheduler-preemption", 0),
            shapes: BTreeMap::new(),
            slots: Vec::new(),
            nodes: Vec::new(),
            placed: Vec::new(),
            nominated: BTreeMap::new(),
            conditions: BTreeMap::new(),
            free_from: Time::ZERO,
            cycle_pending: false,
            pool_flush_pending: false,
            flush_at: None,
            interplay: false,
        }
    }

    /// Takes note of a change.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let event = match *change {
            Change::PodCreated(pod) if world.cluster.shape_of(pod).fargate => return,
            Change::PodCreated(pod) => Event::PodSeen(pod),
            Change::NodeCreated(node)
            | Change::NodeTaints(node)
            | Change::NodeUpdated(node)
            | Change::NodeGone(node) => Event::NodeSeen(node),
            Change::PodFinished(pod) | Change::PodGone(pod) => Event::PodFreed(pod),
            Change::PodBound(pod) => return self.place_bound(world.cluster, pod),
            Change::PodDeleting(pod) => {
                if let Some(slot) = self.place_of(pod) {
                    self.snapshot.mark_terminating(slot, pod.0, false);
                }
                return;
            }
            Change::PodReady(pod) => return self.note_images(world, pod),
            Change::ClaimsBound => return self.see_claims(world),
            _ => return,
        };
        let delay = world.scenario.latencies.scheduler_attempt.sample(&mut self.latencies);
        agenda.at(world.now + delay, event);
    }

    /// Handles an event of its own.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if let Some(end) = world.scenario.outage_end(FaultKind::SchedulerDown, world.now) {
            agenda.at(end, event);
            return;
        }
        match event {
            Event::PodSeen(pod) => self.see_pod(world, pod, agenda),
            Event::NodeSeen(node) => self.see_node(world, node),
            Event::PodFreed(pod) => self.see_freed(world, pod),
            Event::Cycle => {
                self.cycle_pending = false;
                if let Some(pod) = self.queue.pop() {
                    self.free_from = world.now + self.cycle;
                    self.attempt(world, PodId(pod), agenda);
                }
            }
            Event::FlushBackoff => {
                self.flush_at = None;
                self.queue.flush_backoff(world.now);
            }
            Event::FlushPool => {
                self.pool_flush_pending = false;
                self.queue.flush_pool(world.now);
            }
            Event::Bind(pod, node) => self.bind(world, pod, node),
            Event::WriteCondition(pod) => self.write_condition(world, pod),
            Event::Evict(victim) => self.evict(world, victim),
        }
        self.kick(world.now, agenda);
    }

    /// Sees to it that the next cycle and the next flushes come.
    fn kick(&mut self, now: Time, agenda: &mut Agenda<Event>) {
        if self.queue.is_ready() && !self.cycle_pending {
            self.cycle_pending = true;
            agenda.at(now.max(self.free_from), Event::Cycle);
        }
        if let Some(flush) = self.queue.next_flush().map(|at| at.max(now))
            && self.flush_at.is_none_or(|planned| flush < planned)
        {
            self.flush_at = Some(flush);
            agenda.at(flush, Event::FlushBackoff);
        }
        if !self.pool_flush_pending && self.queue.pool().next().is_some() {
            self.pool_flush_pending = true;
            let periods = now.as_micros() / POOL_FLUSH.as_micros() as u64 + 1;
            agenda.at(Time::ZERO + POOL_FLUSH * periods as i64, Event::FlushPool);
        }
    }

    fn see_pod(&mut self, world: &mut World<'_>, pod: PodId, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.pods[pod.index()];
        // Daemons are bound by their controller here: each belongs to one node from its creation on.
        if !record.exists() || record.node.is_some() || matches!(record.owner, Owner::DaemonSet(_)) {
            return;
        }
        if let Some(name) = &world.cluster.shape_of(pod).spec.node_name {
            let named = world.cluster.live_nodes.iter().find(|node| world.cluster.nodes[node.index()].name == *name);
            if let Some(node) = named.copied() {
                agenda.at(world.now, Event::Bind(pod, node));
            }
            return;
        }
        let shape = self.shape(world.cluster, pod);
        self.queue.add(pod.0, shape, world.cluster.shape_of(pod).priority, world.now);
    }

    fn see_node(&mut self, world: &mut World<'_>, node: NodeId) {
        let exists = world.cluster.nodes[node.index()].exists();
        match (self.slot_of(node), exists) {
            (None, true) => self.add_node(world, node),
            (Some(slot), true) => {
                let old = self.snapshot.node(slot).spec.clone();
                let new = describe(world.cluster, world.scenario, node);
                if old != new {
                    self.snapshot.update_node(slot, new.clone());
                    self.wake(world.now, ClusterEvent::NodeChanged { old: &old, new: &new });
                }
            }
            (Some(slot), false) => {
                self.snapshot.remove_node(slot);
                self.slots[node.index()] = None;
                self.nominated.retain(|_, nominated| *nominated != slot);
                self.wake(world.now, ClusterEvent::NodeRemoved);
            }
            (None, false) => {}
        }
    }

    fn add_node(&mut self, world: &mut World<'_>, node: NodeId) {
        let spec = describe(world.cluster, world.scenario, node);
        let slot = self.snapshot.add_node(spec.clone());
        if self.slots.len() <= node.index() {
            self.slots.resize(node.index() + 1, None);
        }
        self.slots[node.index()] = Some(slot);
        if self.nodes.len() <= slot {
            self.nodes.resize(slot + 1, node);
        }
        self.nodes[slot] = node;
        for pod in world.cluster.nodes[node.index()].pods.clone() {
            self.place_bound(world.cluster, pod);
        }
        self.wake(world.now, ClusterEvent::NodeAdded(&spec));
    }

    fn see_freed(&mut self, world: &mut World<'_>, pod: PodId) {
        self.queue.remove(pod.0);
        self.conditions.remove(&pod);
        self.drop_nomination(pod);
        self.free(world.now, pod);
    }

    /// Takes a pod off its node and wakes those who wait for room.
    fn free(&mut self, now: Time, pod: PodId) {
        let Some(slot) = self.place_of(pod) else { return };
        self.placed[pod.index()] = NOWHERE;
        if let Some(shape) = self.snapshot.remove(slot, pod.0) {
            self.wake_by_pod(now, shape, |gone| ClusterEvent::AssignedPodDeleted(gone));
        }
    }

    /// Puts a pod that is bound, by whomever, where it is.
    fn place_bound(&mut self, cluster: &Cluster, pod: PodId) {
        let record = &cluster.pods[pod.index()];
        let slot = record.node.and_then(|node| self.slot_of(node));
        if let Some(slot) = slot.filter(|_| self.place_of(pod).is_none() && record.exists() && !record.terminal()) {
            let shape = self.shape(cluster, pod);
            self.place(pod, slot, shape, record.path.bound, record.terminating());
        }
    }

    /// `started` is kept in whole seconds, as `status.startTime` is.
    fn place(&mut self, pod: PodId, slot: Slot, shape: ShapeIndex, started: Option<Time>, terminating: bool) {
        let started = started.map_or(u32::MAX, |at| at.seconds_begun(self.whole_second));
        if self.placed.len() <= pod.index() {
            self.placed.resize(pod.index() + 1, NOWHERE);
        }
        self.placed[pod.index()] = slot as u32;
        self.snapshot.place(slot, Placed { pod: pod.0, shape, started, terminating, preempted: false });
    }

    fn attempt(&mut self, world: &mut World<'_>, pod: PodId, agenda: &mut Agenda<Event>) {
        let Some(shape) = self.queue.get(pod.0).map(|queued| queued.shape) else { return };
        let nominated = self.nominated.get(&pod).copied();
        match self.chooser.choose(&mut self.snapshot, pod.0, shape, nominated, &mut self.ties) {
            Choice::Node(slot) => {
                self.queue.remove(pod.0);
                self.drop_nomination(pod);
                self.place(pod, slot, shape, Some(world.now), false);
                self.bind_claims(world, pod, self.nodes[slot]);
                let latency = world.scenario.latencies.bind.sample(&mut self.latencies);
                agenda.at(self.client.take(world.now) + latency, Event::Bind(pod, self.nodes[slot]));
                self.client.take(world.now);
                if self.interplay {
                    self.wake_by_pod(world.now, shape, |bound| ClusterEvent::AssignedPodAdded(bound));
                }
            }
            Choice::NoNodes => {
                self.queue.put_back(pod.0, super::filter::Plugins::NONE, world.now);
                self.report(world, pod, Diagnosis::default(), agenda);
            }
            Choice::Unschedulable(diagnosis) => {
                self.make_room(world, pod, shape, &diagnosis, agenda);
                self.queue.put_back(pod.0, diagnosis.plugins, world.now);
                self.report(world, pod, diagnosis, agenda);
            }
        }
    }

    /// Claims that wait for a node get their volumes before the binding is written (`volume_binding.go: Reserve`, `PreBind`).
    fn bind_claims(&self, world: &mut World<'_>, pod: PodId, node: NodeId) {
        for claim in world.cluster.bind_claims(pod, node) {
            let detail = format!("claim {claim} gets a volume that {} reaches", world.cluster.nodes[node.index()].name);
            decide(world, Subject::Pod(pod), Action::Bind, Rule::BindPodVolumes, detail);
        }
    }

    /// Claims were bound: pods with them are held to the places of their volumes.
    fn see_claims(&mut self, world: &World<'_>) {
        for ((shape, _, variant), index) in &self.shapes {
            let spec = &world.cluster.shapes[*shape as usize].spec;
            if spec.attached_volumes() > 0 {
                self.snapshot.set_claims(*index, Claims::of(&world.cluster.storage.accesses(spec, *variant)));
                self.chooser.forget(*index);
            }
        }
        self.wake(world.now, ClusterEvent::ClaimsBound);
    }

    /// Preemption, if it helps; else a nomination that stands without victims on their way is dropped.
    fn make_room(
        &mut self,
        world: &mut World<'_>,
        pod: PodId,
        shape: ShapeIndex,
        diagnosis: &Diagnosis,
        agenda: &mut Agenda<Event>,
    ) {
        let priority = self.snapshot.shape_of(shape).traits.priority;
        let lowest = world.cluster.shapes.iter().map(|shape| shape.priority).min();
        if lowest.is_none_or(|lowest| lowest >= priority) {
            return;
        }
        let budget = |index: usize| Budget {
            selector: world.cluster.pdbs[index].spec.selector.clone(),
            disruptions_allowed: world.cluster.budget_status(index).disruptions_allowed,
        };
        let budgets: Vec<Budget> = (0..world.cluster.pdbs.len()).map(budget).collect();
        let preemptor = (pod.0, shape, self.nominated.get(&pod).copied());
        let random = &mut self.preemptions;
        let found = preempt(&mut self.chooser, &mut self.snapshot, preemptor, diagnosis, &budgets, random);
        let Some(candidate) = found else { return };
        let node = self.nodes[candidate.slot];
        for victim in &candidate.victims {
            self.snapshot.mark_terminating(candidate.slot, victim.pod, true);
            agenda.at(self.client.take(world.now), Event::Evict(PodId(victim.pod)));
        }
        let lower: Vec<PodId> = self.lower_nominations(candidate.slot, priority);
        for other in lower {
            self.drop_nomination(other);
            world.cluster.nominate(other, None);
        }
        self.drop_nomination(pod);
        self.snapshot.nominate(candidate.slot, pod.0, shape);
        self.nominated.insert(pod, candidate.slot);
        world.cluster.nominate(pod, Some(node));
        let victims = candidate.victims.len();
        let detail =
            format!("{victims} pods of lower priority make room on {}", world.cluster.nodes[node.index()].name);
        decide(world, Subject::Pod(pod), Action::Preempt, Rule::DefaultPreemption, detail);
    }

    fn lower_nominations(&self, slot: Slot, priority: i32) -> Vec<PodId> {
        let nominated = self.snapshot.node(slot).nominated.iter();
        let lower = nominated.filter(|(_, shape)| self.snapshot.shape_of(*shape).traits.priority < priority);
        lower.map(|(pod, _)| PodId(*pod)).collect()
    }

    /// Writes the condition if its text differs from what stands there.
    fn report(&mut self, world: &mut World<'_>, pod: PodId, diagnosis: Diagnosis, agenda: &mut Agenda<Event>) {
        if self.conditions.get(&pod) == Some(&diagnosis) {
            return;
        }
        let detail = diagnosis.to_string();
        self.conditions.insert(pod, diagnosis);
        decide(world, Subject::Pod(pod), Action::Hold, Rule::Unschedulable, detail);
        agenda.at(self.client.take(world.now), Event::WriteCondition(pod));
        self.client.take(world.now);
    }

    fn write_condition(&mut self, world: &mut World<'_>, pod: PodId) {
        let record = &world.cluster.pods[pod.index()];
        if record.exists() && record.node.is_none() && self.queue.get(pod.0).is_some() {
            world.cluster.mark_unschedulable(pod);
        }
    }

    fn bind(&mut self, world: &mut World<'_>, pod: PodId, node: NodeId) {
        self.conditions.remove(&pod);
        let record = &world.cluster.pods[pod.index()];
        if !record.exists() || record.node.is_some() {
            self.free(world.now, pod);
            return;
        }
        if !world.cluster.nodes[node.index()].exists() {
            // The binding fails: the pod is tried again after a backoff.
            self.free(world.now, pod);
            let shape = self.shape(world.cluster, pod);
            self.queue.add(pod.0, shape, world.cluster.shape_of(pod).priority, world.now);
            return;
        }
        world.cluster.bind(world.now, pod, node);
        decide(world, Subject::Pod(pod), Action::Bind, Rule::SelectHost, Detail::To(node));
    }

    fn evict(&mut self, world: &mut World<'_>, victim: PodId) {
        let grace = world.cluster.shape_of(victim).grace;
        if world.cluster.pods[victim.index()].active() {
            world.cluster.delete_pod(world.now, victim, grace, EndReason::Preempted);
        }
    }

    fn drop_nomination(&mut self, pod: PodId) {
        if let Some(slot) = self.nominated.remove(&pod) {
            self.snapshot.clear_nomination(slot, pod.0);
        }
    }

    fn wake(&mut self, now: Time, event: ClusterEvent<'_>) {
        let (snapshot, hints) = (&self.snapshot, self.hints);
        self.queue.move_all(now, |shape| waking_plugins(event, snapshot.shape_of(shape), hints));
    }

    fn wake_by_pod(&mut self, now: Time, pod: ShapeIndex, event: impl Fn(&Shape) -> ClusterEvent<'_>) {
        let (snapshot, hints) = (&self.snapshot, self.hints);
        let event = event(snapshot.shape_of(pod));
        self.queue.move_all(now, |shape| waking_plugins(event, snapshot.shape_of(shape), hints));
    }

    /// Images that a pod brought to its node count for placement once the node has reported them.
    fn note_images(&mut self, world: &mut World<'_>, pod: PodId) {
        let Some(slot) = self.place_of(pod) else { return };
        let node = self.nodes[slot];
        let record = &world.cluster.nodes[node.index()];
        if record.exists() && record.images.len() != self.snapshot.node(slot).spec.images.len() {
            let spec = describe(world.cluster, world.scenario, node);
            self.snapshot.update_node(slot, spec);
        }
    }

    fn shape(&mut self, cluster: &Cluster, pod: PodId) -> ShapeIndex {
        let record = &cluster.pods[pod.index()];
        let deployment = match record.owner {
            Owner::Deployment(id) => Some(id),
            _ => None,
        };
        let variant = cluster.storage.variant_of(pod);
        let key = (record.shape.0, deployment.map(|id| id.0), variant);
        if let Some(shape) = self.shapes.get(&key) {
            return *shape;
        }
        let template = &cluster.shapes[record.shape.index()];
        let shape = self.snapshot.shape(&PodTraits {
            labels: (*template.labels).clone(),
            spec: (*template.spec).clone(),
            priority: template.priority,
            preempts: template.may_preempt,
            workload_selector: deployment.map(|id| (*cluster.deployments[id.index()].selector).clone()),
            claims: Claims::of(&cluster.storage.accesses(&template.spec, variant)),
        });
        self.shapes.insert(key, shape);
        let known = self.snapshot.shape_of(shape);
        self.interplay |= known.has_pod_affinity() || !known.hard_spread.is_empty();
        shape
    }

    fn slot_of(&self, node: NodeId) -> Option<Slot> {
        self.slots.get(node.index()).copied().flatten()
    }

    fn place_of(&self, pod: PodId) -> Option<Slot> {
        self.placed.get(pod.index()).filter(|slot| **slot != NOWHERE).map(|slot| *slot as Slot)
    }
}

fn describe(cluster: &Cluster, scenario: &Scenario, node: NodeId) -> NodeSpec {
    let record = &cluster.nodes[node.index()];
    let image = |number: &u32| {
        let name = cluster.images[*number as usize].clone();
        let bytes = scenario.image_size(&name).bytes();
        (name, bytes)
    };
    NodeSpec {
        name: record.name.clone(),
        labels: record.labels.clone(),
        taints: record.taints.clone(),
        unschedulable: record.unschedulable,
        allocatable: record.allocatable,
        volume_limit: record.volume_limit,
        images: record.images.iter().map(image).collect(),
    }
}

fn decide(world: &mut World<'_>, subject: Subject, action: Action, rule: Rule, detail: impl Into<Detail>) {
    world.cluster.decide(Decision::plain(world.now, Controller::Scheduler, subject, action, rule, detail));
}
