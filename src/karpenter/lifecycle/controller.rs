//! The controllers of a NodeClaim's life in a run.

mod draining;
mod forced;

use std::collections::BTreeMap;

use super::expiration::Worker;
use super::launch::{AfterFailure, after_failure};
use super::progress::{self, Liveness, NodeView};
use super::registration_health::RegistrationHealth;
use super::taints::{DO_NOT_SYNC_TAINTS_LABEL, INITIALIZED_LABEL, REGISTERED_LABEL};
use super::termination::{ClaimStep, INSTANCE_POLL, deadline, finalize_claim};
use crate::api::meta::Labels;
use crate::cluster::nodeclaim::LaunchError;
use crate::cluster::{
    Action, Change, Controller, Decision, InstanceId, NodeClaimId, NodeId, PodId, Rule, Subject, World,
};
use crate::engine::{Agenda, Streams};
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

/// What happens at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A NodeClaim is looked at.
    Reconcile(NodeClaimId, u32),
    /// A failed launch is tried again.
    RetryLaunch(NodeClaimId),
    /// A deleting Node is looked at.
    FinalizeNode(NodeId, u32),
    /// A refused eviction is tried again.
    Evict(PodId),
    /// A NodeClaim has become too old.
    Expire(NodeClaimId),
    /// NodeClaims without an instance are collected.
    CollectClaims,
    /// Instances without a NodeClaim are collected.
    CollectInstances,
    /// A message about an instance arrives.
    Message(InstanceId, super::interruption::Message),
    /// An unhealthy Node is looked at.
    Repair(NodeId, u32),
}

/// When an object is looked at next.
#[derive(Clone, Copy, Debug, Default)]
struct Wake {
    generation: u32,
    at: Option<Time>,
}

impl Wake {
    /// Moves the next look to `at` unless an earlier one is due; the generation to schedule.
    fn move_to(&mut self, at: Time) -> Option<u32> {
        if self.at.is_some_and(|due| due <= at) {
            return None;
        }
        self.at = Some(at);
        self.generation += 1;
        Some(self.generation)
    }

    /// Whether a look of that generation is still wanted.
    fn take(&mut self, generation: u32) -> bool {
        let wanted = generation == self.generation && self.at.is_some();
        if wanted {
            self.at = None;
        }
        wanted
    }
}

/// What the controllers remember of a NodeClaim.
#[derive(Clone, Copy, Debug, Default)]
struct ClaimRecord {
    wake: Wake,
    /// The worker sleeps until then after a write.
    busy_until: Time,
    /// The worker waits for the cloud's answer.
    launching: bool,
    launch_failures: u32,
}

/// What the controllers remember of a Node.
#[derive(Clone, Copy, Debug, Default)]
struct NodeRecord {
    wake: Wake,
    /// Condition Drained=Unknown since that whole second.
    drain_began: Option<Time>,
    drained: bool,
    /// Counts changes of the Ready condition.
    ready_generation: u32,
}

/// Launch, registration, initialization, liveness, termination, drain, expiration, collection, interruption and repair.
pub struct Lifecycle {
    streams: Streams,
    claims: Vec<ClaimRecord>,
    nodes: Vec<NodeRecord>,
    /// Pods in the eviction queue and how often they were refused.
    evictions: BTreeMap<PodId, u32>,
    expiration: Worker,
    health: RegistrationHealth,
}

impl Lifecycle {
    /// The controllers of a run.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        Lifecycle {
            streams,
            claims: Vec::new(),
            nodes: Vec::new(),
            evictions: BTreeMap::new(),
            expiration: Worker::default(),
            health: RegistrationHealth::default(),
        }
    }

    /// Schedules the collectors. Once, before the first event.
    pub fn start(&mut self, agenda: &mut Agenda<Event>) {
        let mut phase = self.streams.open("collector phases", 0);
        let mut first = || Time::ZERO + Duration::from_secs_f64(super::garbage::PERIOD.as_secs_f64() * phase.unit());
        agenda.at(first(), Event::CollectClaims);
        agenda.at(first(), Event::CollectInstances);
    }

    /// A timed event.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if let Some(end) = world.scenario.outage_end(FaultKind::KarpenterDown, world.now) {
            agenda.at(end, event);
            return;
        }
        match event {
            Event::Reconcile(id, generation) => {
                if self.claim(id).wake.take(generation) {
                    self.reconcile(id, world, agenda);
                }
            }
            Event::RetryLaunch(id) => {
                let claim = &world.cluster.nodeclaims[id.index()];
                if claim.exists() && claim.deleting.is_none() && claim.launched.is_none() {
                    world.cluster.request_launch(id);
                }
            }
            Event::FinalizeNode(id, generation) => {
                if self.node(id).wake.take(generation) {
                    self.finalize_node(id, world, agenda);
                }
            }
            Event::Evict(pod) => self.try_eviction(pod, world, agenda),
            Event::Expire(id) => self.expire(id, world, agenda),
            Event::CollectClaims => self.collect_claims(world, agenda),
            Event::CollectInstances => self.collect_instances(world, agenda),
            Event::Message(id, message) => self.message(id, message, world),
            Event::Repair(id, generation) => self.repair(id, generation, world, agenda),
        }
    }

    /// A watched change.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match *change {
            Change::NodeClaimLaunchRequested(id) => self.claim(id).launching = true,
            Change::NodeClaimCreated(id) => {
                self.claim(id).launching = true;
                self.wake_claim(id, world.now, agenda);
                self.schedule_expiry(id, world, agenda);
            }
            Change::NodeClaimLaunched(id) => self.launched(id, world, agenda),
            Change::NodeClaimLaunchFailed(id, error) => self.launch_failed(id, error, world, agenda),
            Change::NodeClaimDeleting(id) => self.wake_claim(id, world.now, agenda),
            Change::NodePoolSpec(pool) => self.health.reset(pool),
            Change::NodeCreated(id) | Change::NodeUpdated(id) | Change::NodeTaints(id) => {
                self.node_changed(id, world, agenda);
            }
            Change::NodeReady(id) => {
                self.node(id).ready_generation += 1;
                self.node_changed(id, world, agenda);
            }
            Change::NodeNotReady(id) => {
                self.node_changed(id, world, agenda);
                self.schedule_repair(id, world, agenda);
            }
            Change::NodeDeleting(id) | Change::NodeGone(id) => self.node_changed(id, world, agenda),
            Change::InstanceState(id) => self.instance_changed(id, world, agenda),
            Change::SpotInterruptionWarning(id) => {
                self.receive(id, super::interruption::Message::SpotInterruption, world, agenda);
            }
            Change::ReservationInterruptionWarning(id) => {
                self.receive(id, super::interruption::Message::ReservationInterruption, world, agenda);
            }
            Change::RebalanceRecommendation(id) => {
                self.receive(id, super::interruption::Message::RebalanceRecommendation, world, agenda);
            }
            _ => {}
        }
    }

    fn claim(&mut self, id: NodeClaimId) -> &mut ClaimRecord {
        if self.claims.len() <= id.index() {
            self.claims.resize(id.index() + 1, ClaimRecord::default());
        }
        &mut self.claims[id.index()]
    }

    fn node(&mut self, id: NodeId) -> &mut NodeRecord {
        if self.nodes.len() <= id.index() {
            self.nodes.resize(id.index() + 1, NodeRecord::default());
        }
        &mut self.nodes[id.index()]
    }

    /// Looks at a NodeClaim at `at`, or when its worker is free.
    fn wake_claim(&mut self, id: NodeClaimId, at: Time, agenda: &mut Agenda<Event>) {
        let record = self.claim(id);
        let at = at.max(record.busy_until);
        if let Some(generation) = record.wake.move_to(at) {
            agenda.at(at, Event::Reconcile(id, generation));
        }
    }

    /// A Node event wakes its NodeClaim and, if it is deleting, its own finalizer.
    fn node_changed(&mut self, id: NodeId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let node = &world.cluster.nodes[id.index()];
        if let Some(claim) = node.nodeclaim {
            self.wake_claim(claim, world.now, agenda);
            if node.exists() && node.deleting.is_some() {
                self.wake_node(id, world.now, agenda);
            }
        }
    }

    /// The worker sleeps after a write and looks again afterwards.
    fn sleep_after_write(&mut self, id: NodeClaimId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let mut stream = self.streams.open("lifecycle sleep", u64::from(id.0));
        let sleep = world.scenario.latencies.node_initialized.sample(&mut stream);
        self.claim(id).busy_until = world.now + sleep;
        self.wake_claim(id, world.now, agenda);
    }

    /// `nodeclaim/lifecycle/controller.go: Reconcile`. The launch itself is the cloud's affair.
    fn reconcile(&mut self, id: NodeClaimId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let claim = &world.cluster.nodeclaims[id.index()];
        if !claim.exists() {
            return;
        }
        if claim.deleting.is_some() {
            if self.claim(id).launching {
                return;
            }
            self.finalize_claim(id, world, agenda);
            return;
        }
        if self.advance(id, world) {
            self.sleep_after_write(id, world, agenda);
        }
        let claim = &world.cluster.nodeclaims[id.index()];
        let (launched, registered) = (claim.launched.is_some(), claim.registered.is_some());
        match progress::liveness(claim.created, launched, registered, world.now) {
            Liveness::Alive => {}
            Liveness::CheckAt(at) => self.wake_claim(id, at, agenda),
            Liveness::LaunchTimeout => {
                self.note_registration(id, false, world);
                delete(id, "Liveness", Rule::LaunchTimeout, world);
            }
            Liveness::RegistrationTimeout => {
                self.note_registration(id, false, world);
                delete(id, "Liveness", Rule::RegistrationTimeout, world);
            }
        }
    }

    /// `registration.go: updateNodePoolRegistrationHealth`, and likewise `liveness.go`.
    fn note_registration(&mut self, id: NodeClaimId, registered: bool, world: &mut World<'_>) {
        let pool = world.cluster.nodeclaims[id.index()].pool;
        let Some(failures) = self.health.update(pool, registered) else { return };
        let action = if registered { Action::Healthy } else { Action::Unhealthy };
        let detail = format!("{failures} of the last 4 NodeClaims did not become nodes");
        log(world, Subject::NodePool(pool), action, Rule::NodeRegistrationHealthy, detail);
    }

    /// Registration and initialization; whether anything was written.
    fn advance(&mut self, id: NodeClaimId, world: &mut World<'_>) -> bool {
        let claim = &world.cluster.nodeclaims[id.index()];
        let Some(node) = claim.node.filter(|node| world.cluster.nodes[node.index()].exists()) else { return false };
        if claim.launched.is_none() {
            return false;
        }
        let registers = claim.registered.is_none();
        if registers {
            register(id, node, world);
            self.note_registration(id, true, world);
        }
        let claim = &world.cluster.nodeclaims[id.index()];
        if claim.initialized.is_some() {
            return registers;
        }
        let record = &world.cluster.nodes[node.index()];
        let view = NodeView { ready: record.ready, taints: &record.taints, allocatable: &record.allocatable };
        if progress::initialization(&view, &claim.startup_taints, &claim.requests).is_err() {
            return registers;
        }
        world.cluster.label_node(node, Labels::from([(INITIALIZED_LABEL.to_owned(), "true".to_owned())]));
        world.cluster.initialize_nodeclaim(world.now, id);
        true
    }

    /// The pass in which the launch returned goes on to registration, then the worker sleeps.
    fn launched(&mut self, id: NodeClaimId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        self.claim(id).launching = false;
        if let Some(end) = world.scenario.outage_end(FaultKind::KarpenterDown, world.now) {
            self.wake_claim(id, end, agenda);
            return;
        }
        if world.cluster.nodeclaims[id.index()].deleting.is_none() {
            self.advance(id, world);
        }
        self.sleep_after_write(id, world, agenda);
    }

    fn launch_failed(
        &mut self,
        id: NodeClaimId,
        error: LaunchError,
        world: &mut World<'_>,
        agenda: &mut Agenda<Event>,
    ) {
        let claim = &world.cluster.nodeclaims[id.index()];
        self.claim(id).launching = false;
        if !claim.exists() || claim.deleting.is_some() {
            self.wake_claim(id, world.now, agenda);
            return;
        }
        // The answer finds nobody: it is asked again.
        if let Some(end) = world.scenario.outage_end(FaultKind::KarpenterDown, world.now) {
            agenda.at(end, Event::RetryLaunch(id));
            return;
        }
        self.claim(id).launch_failures += 1;
        match after_failure(error, self.claim(id).launch_failures, world.now) {
            AfterFailure::Delete => delete(id, "InsufficientCapacity", Rule::InsufficientCapacityDelete, world),
            AfterFailure::RetryAt(at) => agenda.at(at, Event::RetryLaunch(id)),
        }
    }

    /// `nodeclaim/lifecycle/controller.go: finalize`.
    fn finalize_claim(&mut self, id: NodeClaimId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let claim = &world.cluster.nodeclaims[id.index()];
        let phase = Time::ZERO + world.scenario.clocks.whole_second;
        let began = claim.deleting.unwrap_or(world.now).floor_second(phase);
        let due = deadline(claim.termination_deadline, began, claim.termination_grace_period);
        world.cluster.set_termination_deadline(id, due);
        let claim = &world.cluster.nodeclaims[id.index()];
        let node = claim.node.filter(|node| world.cluster.nodes[node.index()].exists());
        let instance_exists = claim.instance.is_some_and(|instance| world.cluster.instance_exists(instance));
        let (registered, launched) = (claim.registered.is_some(), claim.launched.is_some());
        match finalize_claim(registered, node.is_some(), launched, instance_exists) {
            ClaimStep::AwaitNode => {
                if let Some(node) = node {
                    world.cluster.delete_node(world.now, node);
                }
            }
            ClaimStep::TerminateInstance => {
                world.cluster.terminate_instance(id);
                self.wake_claim(id, world.now + INSTANCE_POLL, agenda);
            }
            ClaimStep::Remove => world.cluster.remove_nodeclaim(world.now, id),
        }
    }
}

/// Registers a NodeClaim whose Node joined (`registration.go: syncNode`).
fn register(id: NodeClaimId, node: NodeId, world: &mut World<'_>) {
    let claim = &world.cluster.nodeclaims[id.index()];
    let record = &world.cluster.nodes[node.index()];
    let do_not_sync = record.labels.get(DO_NOT_SYNC_TAINTS_LABEL).is_some_and(|value| value == "true");
    let taints = progress::registered_taints(&record.taints, &claim.taints, &claim.startup_taints, do_not_sync);
    let mut labels = claim.labels.clone();
    labels.insert(REGISTERED_LABEL.to_owned(), "true".to_owned());
    world.cluster.label_node(node, labels);
    world.cluster.set_taints(node, taints);
    world.cluster.register_nodeclaim(world.now, id);
}

/// Deletes a NodeClaim and says why.
fn delete(id: NodeClaimId, end: &'static str, rule: Rule, world: &mut World<'_>) {
    let claim = &world.cluster.nodeclaims[id.index()];
    if !claim.exists() || claim.deleting.is_some() {
        return;
    }
    let detail = format!("NodeClaim {} is {} old", claim.name, world.now.since(claim.created));
    log(world, Subject::NodeClaim(id), Action::Delete, rule, detail);
    world.cluster.delete_nodeclaim(world.now, id, end);
}

fn log(world: &mut World<'_>, subject: Subject, action: Action, rule: Rule, detail: String) {
    let (at, controller) = (world.now, Controller::NodeLifecycle);
    world.cluster.decide(Decision::plain(at, controller, subject, action, rule, detail));
}
