//! The provisioner: when a scheduling pass runs, over which pods, and what becomes of its plan
//! (`pkg/controllers/provisioning/provisioner.go`, `controller.go`).

mod node_claim;

use std::collections::{BTreeMap, BTreeSet};

use super::batcher::Batcher;
use super::buffers;
use super::lifecycle::taints;
use super::outlooks;
use super::scheduling::{
    Input, Knowledge, MinValuesPolicy, NewClaim, Options, PreferencePolicy, Results, SchedulingError, labels,
    solve_knowing,
};
use super::state::{self, Ignored, Observation, PodViews, StateNode};
use crate::cluster::change::Change;
use crate::cluster::decision::{Action, Controller, Counts, Decision, Subject};
use crate::cluster::outlook::{Coming, Outlook, Provider, Refusal};
use crate::cluster::storage::VariantId;
use crate::cluster::world::World;
use crate::cluster::{Cluster, NodeClaimId, NodeId, NodePoolId, PodId, Rule, ShapeId};
use crate::engine::{Agenda, Stream, Streams};
use crate::scenario::faults::FaultKind;
use crate::scenario::{Scenario, flags};
use crate::time::{Duration, Time};
use crate::units::{Resource, Resources};

pub use self::node_claim::node_claim;

/// Time after which a pod or a disrupted node triggers again.
const RETRIGGER: Duration = Duration::from_secs(10);
/// Time in which the same failure of the same pods is told once (`FailedScheduling` events).
const FAILURE_DEDUPE: Duration = Duration::from_mins(5);

/// What the provisioner waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A batch window may have ended.
    Window,
    /// A pod that may still need a place; the number tells timers that were restarted apart.
    Pod(PodId, u32),
    /// A Node that may still carry the disrupted taint.
    Node(NodeId, u32),
    /// A CapacityBuffer is looked at.
    Buffer(u32),
    /// A pass has computed its plan.
    Solved,
    /// Karpenter stops.
    Down,
    /// Karpenter starts again.
    Up,
}

/// Who triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trigger {
    Pod(PodId),
    Node(NodeId),
    Buffer(u32),
}

/// The plan of a pass while it is being computed.
struct Plan {
    claims: Vec<(NodePoolId, NewClaim, BTreeMap<ShapeId, u32>)>,
    /// What becomes of the pods that get no claim of the plan.
    outlooks: BTreeMap<ShapeId, Outlook>,
    nominated: Vec<NodeClaimId>,
    /// Nodes that hold pods of CapacityBuffers.
    buffered: BTreeSet<NodeClaimId>,
    failures: Vec<(PodId, String)>,
    existing_pods: usize,
}

/// The provisioner.
pub struct Provisioner {
    batcher: Batcher<Trigger>,
    down: bool,
    pod_timers: Vec<u32>,
    node_timers: Vec<u32>,
    plan: Option<Plan>,
    told: BTreeMap<(usize, String), Time>,
    waiting_for_sync: Option<Time>,
    knowledge: Knowledge,
    random: Stream,
    latency: Stream,
}

impl Provisioner {
    /// A provisioner that has just started.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> Self {
        Provisioner {
            batcher: Batcher::new(scenario.clocks.batch_idle, scenario.clocks.batch_max),
            down: false,
            pod_timers: Vec::new(),
            node_timers: Vec::new(),
            plan: None,
            told: BTreeMap::new(),
            waiting_for_sync: None,
            knowledge: Knowledge::default(),
            random: streams.open("provisioner", 0),
            latency: streams.open("provisioner-solve", 0),
        }
    }

    /// Looks at the CapacityBuffers, and asks for the outages of the scenario. Once, before the first event.
    pub fn start(&self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        for (from, until) in world.scenario.outages(FaultKind::KarpenterDown) {
            agenda.at(from, Event::Down);
            if until < Time::MAX {
                agenda.at(until, Event::Up);
            }
        }
        for number in 0..world.cluster.buffers.len() {
            agenda.at(world.now, Event::Buffer(number as u32));
        }
    }

    /// Sees a change: every event of a pod that needs a place triggers and restarts its timer (`PodController`), and so does every
    /// event of a Node with the disrupted taint (`NodeController`).
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if self.down {
            return;
        }
        match *change {
            Change::PodCreated(pod)
            | Change::PodUnschedulable(pod)
            | Change::PodNominated(pod)
            | Change::PodBound(pod)
            | Change::PodReady(pod)
            | Change::PodNotReady(pod)
            | Change::PodDeleting(pod) => self.reconcile_pod(pod, world, agenda),
            Change::NodeCreated(node)
            | Change::NodeReady(node)
            | Change::NodeNotReady(node)
            | Change::NodeTaints(node)
            | Change::NodeUpdated(node)
            | Change::NodeDeleting(node) => self.reconcile_node(node, world, agenda),
            _ => {}
        }
    }

    /// Acts on a timer.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if !matches!(event, Event::Down | Event::Up)
            && let Some(end) = world.scenario.outage_end(FaultKind::ApiServerDown, world.now)
        {
            agenda.at(end, event);
            return;
        }
        match event {
            Event::Down => self.down = true,
            Event::Up => self.restart(world, agenda),
            Event::Buffer(number) => self.reconcile_buffer(number, world, agenda),
            _ if self.down => {}
            Event::Window => {
                if self.batcher.close(world.now) {
                    self.pass(world, agenda);
                }
            }
            Event::Pod(pod, timer) => {
                if self.pod_timers.get(pod.index()) == Some(&timer) {
                    self.reconcile_pod(pod, world, agenda);
                }
            }
            Event::Node(node, timer) => {
                if self.node_timers.get(node.index()) == Some(&timer) {
                    self.reconcile_node(node, world, agenda);
                }
            }
            Event::Solved => {
                // What a pass of before a restart computed is lost.
                if let Some(plan) = self.plan.take() {
                    self.carry_out(plan, world);
                    self.finish(world.now, agenda);
                }
            }
        }
    }

    /// The window, its triggers and the plan in hand are lost; every pod and Node comes up once.
    fn restart(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        self.down = false;
        self.batcher = Batcher::new(world.scenario.clocks.batch_idle, world.scenario.clocks.batch_max);
        self.plan = None;
        self.told.clear();
        self.waiting_for_sync = None;
        for pod in world.cluster.unbound.iter().copied().collect::<Vec<_>>() {
            self.reconcile_pod(pod, world, agenda);
        }
        for node in world.cluster.live_nodes.iter().copied().collect::<Vec<_>>() {
            self.reconcile_node(node, world, agenda);
        }
    }

    fn reconcile_pod(&mut self, pod: PodId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        if state::is_provisionable(world.cluster, pod) {
            let timer = restart(&mut self.pod_timers, pod.index());
            self.trigger(Trigger::Pod(pod), world.now, agenda);
            agenda.at(world.now + RETRIGGER, Event::Pod(pod, timer));
        } else if let Some(timer) = self.pod_timers.get_mut(pod.index()) {
            // A timer that runs is void; most pods never have one.
            *timer = timer.wrapping_add(1);
        }
    }

    fn reconcile_node(&mut self, node: NodeId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let timer = restart(&mut self.node_timers, node.index());
        let record = &world.cluster.nodes[node.index()];
        if record.exists() && record.taints.iter().any(|taint| taints::matches(taint, taints::disrupted())) {
            self.trigger(Trigger::Node(node), world.now, agenda);
            agenda.at(world.now + RETRIGGER, Event::Node(node, timer));
        }
    }

    /// Works out for how many pods a buffer keeps room, and triggers (`capacitybuffer/controller.go: Reconcile`).
    fn reconcile_buffer(&mut self, number: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let buffer = &world.cluster.buffers[number as usize];
        let scale = buffer.target.map(|target| world.cluster.deployments[target.index()].replicas);
        let requests = world.cluster.shapes[buffer.shape.index()].requests;
        let replicas = buffers::replicas(&buffer.spec, scale, &requests);
        if buffer.replicas != replicas {
            world.cluster.buffers[number as usize].replicas = replicas;
            world.cluster.announce(Change::CapacityBuffers);
        }
        self.trigger(Trigger::Buffer(number), world.now, agenda);
        agenda.at(world.now + buffers::RECHECK, Event::Buffer(number));
    }

    fn trigger(&mut self, uid: Trigger, now: Time, agenda: &mut Agenda<Event>) {
        if let Some(end) = self.batcher.trigger(uid, now).filter(|_| !self.down) {
            agenda.at(end, Event::Window);
        }
    }

    fn finish(&mut self, now: Time, agenda: &mut Agenda<Event>) {
        if let Some(end) = self.batcher.finished(now) {
            agenda.at(end, Event::Window);
        }
    }

    /// One pass (`Reconcile`, `Schedule`). Without sync it ends at once and its triggers are lost.
    fn pass(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if !state::synced(world.cluster) {
            self.tell_unsynced(world);
            return self.finish(world.now, agenda);
        }
        self.waiting_for_sync = None;
        self.tell_failures(without_claims(world.cluster), world);
        let observation = state::observe(world.cluster, options(world.scenario));
        let pods = pods_to_place(world.cluster, &observation.nodes, world.now);
        let whole_second = Time::ZERO + world.scenario.clocks.whole_second;
        let virtual_pods = buffers::virtual_pods(world.cluster, whole_second);
        if pods.is_empty() && virtual_pods.is_empty() {
            world.cluster.publish_outlooks(Provider::Karpenter, BTreeMap::new());
            return self.finish(world.now, agenda);
        }
        let (mut question, pools) = question(observation, world.cluster, &pods, whole_second);
        question.pods.extend(virtual_pods);
        let count = question.pods.len() as i64;
        let results = solve_knowing(&question, &mut self.knowledge, &mut self.random);
        let latencies = &world.scenario.latencies;
        let took = latencies.provisioner_solve.sample(&mut self.latency) + latencies.provisioner_solve_per_pod * count;
        self.plan = Some(pending_plan(results, &pools, &pods, world.cluster));
        agenda.at(world.now + took.max_zero(), Event::Solved);
    }

    fn tell_unsynced(&mut self, world: &mut World<'_>) {
        if self.waiting_for_sync.is_none_or(|told| world.now.since(told) >= RETRIGGER) {
            self.waiting_for_sync = Some(world.now);
            let waiting = world.cluster.live_nodeclaims.iter();
            let waiting = waiting.filter(|id| world.cluster.nodeclaims[id.index()].launched.is_none()).count();
            let detail =
                format!("{waiting} NodeClaims wait for the cloud's answer: the pass is dropped with its triggers");
            log(world, Subject::Cluster, Action::Blocked, Rule::Synced, None, detail);
        }
    }

    /// Writes the plan: nominations, failures, NodeClaims (`Results.Record`, `CreateNodeClaims`).
    fn carry_out(&mut self, mut plan: Plan, world: &mut World<'_>) {
        let window = nomination_window(world.scenario);
        if plan.buffered != world.cluster.buffer_nodes {
            world.cluster.buffer_nodes = plan.buffered;
            world.cluster.announce(Change::CapacityBuffers);
        }
        for claim in plan.nominated {
            world.cluster.nominate_nodeclaim(claim, world.now + window);
        }
        self.tell_failures(plan.failures, world);
        let (claims, pods) =
            (plan.claims.len(), plan.claims.iter().map(|(_, claim, _)| claim.pods.len()).sum::<usize>());
        if claims > 0 {
            let existing = plan.existing_pods;
            let fit = if existing == 1 { "fits" } else { "fit" };
            let (new, pods, existing) =
                (counted(claims, "new NodeClaim"), counted(pods, "pod"), counted(existing, "pod"));
            let detail = format!("{new} for {pods}; {existing} {fit} existing nodes");
            log(world, Subject::Cluster, Action::Plan, Rule::Solve, Some(claims as i64), detail);
        }
        for (pool, claim, shapes) in plan.claims {
            let created = self.create(pool, &claim, world);
            for (shape, pods) in shapes {
                let outlook = plan.outlooks.entry(shape).or_default();
                match created {
                    Some(id) => outlook.add_coming(Coming::NodeClaim(id), pods),
                    None => outlook.add_refused(Refusal::PoolLimit, pods),
                }
            }
        }
        world.cluster.publish_outlooks(Provider::Karpenter, plan.outlooks);
    }

    /// Creates a NodeClaim, unless what is launched already exceeds a limit (`Provisioner.Create`).
    fn create(&mut self, pool: NodePoolId, claim: &NewClaim, world: &mut World<'_>) -> Option<NodeClaimId> {
        if let Some(resource) = exceeded_limit(world.cluster, pool) {
            let (resource, pods) = (resource.name(), counted(claim.pods.len(), "pod"));
            let detail = format!("usage of {resource} exceeds the limit: no NodeClaim for {pods}");
            log(world, Subject::NodePool(pool), Action::Blocked, Rule::ExceededBy, None, detail);
            return None;
        }
        let record = node_claim(world.cluster, pool, claim, world.now, &mut self.random);
        let catalogue = world.cluster.catalogue_of(pool);
        let first = claim.options.iter().take(3).map(|id| catalogue.get(*id).name.as_str());
        let detail = format!(
            "{} requesting {} CPU and {} memory; {}: {}{}",
            counted(claim.pods.len(), "pod"),
            claim.requests.cpu(),
            claim.requests.memory(),
            counted(claim.options.len(), "instance type"),
            first.collect::<Vec<_>>().join(", "),
            if claim.options.len() > 3 { ", ..." } else { "" },
        );
        let id = world.cluster.create_nodeclaim(record);
        log(world, Subject::NodeClaim(id), Action::Create, Rule::CreateNodeClaims, None, detail);
        Some(id)
    }

    /// One entry for all pods of a shape with the same reason, at most once in five minutes.
    fn tell_failures(&mut self, failures: Vec<(PodId, String)>, world: &mut World<'_>) {
        let mut groups: BTreeMap<(usize, String), (PodId, i64)> = BTreeMap::new();
        for (pod, reason) in failures {
            let shape = world.cluster.pods[pod.index()].shape.index();
            groups.entry((shape, reason)).or_insert((pod, 0)).1 += 1;
        }
        for ((shape, reason), (pod, count)) in groups {
            let known = self.told.get(&(shape, reason.clone()));
            if known.is_some_and(|told| world.now.since(*told) < FAILURE_DEDUPE) {
                continue;
            }
            self.told.insert((shape, reason.clone()), world.now);
            log(world, Subject::Pod(pod), Action::Blocked, Rule::FailedScheduling, Some(count), reason);
        }
    }
}

/// So many of something, in words.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Logs a decision that may be about so many pods or NodeClaims.
fn log(world: &mut World<'_>, subject: Subject, action: Action, rule: Rule, count: Option<i64>, detail: String) {
    let decision = Decision::plain(world.now, Controller::Provisioner, subject, action, rule, detail);
    world.cluster.decide(decision.about(count.map(Counts::to)));
}

/// Counts a timer up and gives its new number.
fn restart(timers: &mut Vec<u32>, index: usize) -> u32 {
    if timers.len() <= index {
        timers.resize(index + 1, 0);
    }
    timers[index] = timers[index].wrapping_add(1);
    timers[index]
}

/// How long a nominated node is kept from disruption (`statenode.go: nominationWindow`).
#[must_use]
pub fn nomination_window(scenario: &Scenario) -> Duration {
    (scenario.clocks.batch_max * 2).max(Duration::from_secs(10))
}

/// Settings of a provisioning pass.
#[must_use]
pub fn options(scenario: &Scenario) -> Options {
    Options {
        preferences: match scenario.karpenter.preference_policy {
            flags::PreferencePolicy::Respect => PreferencePolicy::Respect,
            flags::PreferencePolicy::Ignore => PreferencePolicy::Ignore,
        },
        min_values: match scenario.karpenter.min_values_policy {
            flags::MinValuesPolicy::Strict => MinValuesPolicy::Strict,
            flags::MinValuesPolicy::BestEffort => MinValuesPolicy::BestEffort,
        },
        reserved_capacity: scenario.reserved_capacity(),
        ..Options::default()
    }
}

/// Pending pods that take part in planning, in the order of creation, then pods of leaving nodes that must run elsewhere
/// (`GetPendingPods`, `CurrentlyReschedulablePods`).
#[must_use]
pub fn pods_to_place(cluster: &Cluster, nodes: &[StateNode], now: Time) -> Vec<PodId> {
    let mut valid: BTreeMap<(ShapeId, Option<VariantId>), bool> = BTreeMap::new();
    let mut pods: Vec<PodId> = Vec::new();
    for id in &cluster.unbound {
        let kind = (cluster.pods[id.index()].shape, cluster.storage.variant_of(*id));
        if state::is_provisionable(cluster, *id)
            && *valid.entry(kind).or_insert_with(|| state::takes_part(cluster, *id).is_ok())
        {
            pods.push(*id);
        }
    }
    let leaving = nodes.iter().filter(|node| node.leaving(cluster)).filter_map(|node| node.node);
    let theirs = leaving.flat_map(|node| cluster.nodes[node.index()].pods.iter().copied());
    let mut views = PodViews::of(cluster);
    pods.extend(theirs.filter(|id| views.view(*id).is_currently_reschedulable(now)));
    pods
}

/// Pods that are left out for their claims of storage, and why.
fn without_claims(cluster: &Cluster) -> Vec<(PodId, String)> {
    if !cluster.storage.is_described() {
        return Vec::new();
    }
    let waiting = cluster.unbound.iter().filter(|id| state::is_provisionable(cluster, **id));
    waiting
        .filter_map(|id| match state::takes_part(cluster, *id) {
            Err(Ignored::Claim(fault)) => Some((*id, fault.to_string())),
            _ => None,
        })
        .collect()
}

/// The question where the pods run: its indices are those of `pods`, and of the pools and nodes that are returned with it.
fn question<'a>(
    observation: Observation<'a>,
    cluster: &Cluster,
    pods: &[PodId],
    whole_second: Time,
) -> (Input<'a>, (Vec<NodePoolId>, Vec<StateNode>)) {
    let Observation { mut input, nodes, pools } = observation;
    input.pods = pods.iter().map(|id| state::scheduling_pod(cluster, *id, whole_second, false)).collect();
    let mut moved = vec![false; cluster.pods.len()];
    pods.iter().for_each(|id| moved[id.index()] = true);
    input.bound = state::bound_pods(cluster, &nodes, |id| moved[id.index()]);
    (input, (pools, nodes))
}

fn pending_plan(
    results: Results,
    (pools, nodes): &(Vec<NodePoolId>, Vec<StateNode>),
    pods: &[PodId],
    cluster: &Cluster,
) -> Plan {
    let told = |error: &SchedulingError| *error != SchedulingError::ReservedOffering;
    // Pods of buffers come after the real ones. Nothing is told of them, and they nominate no node.
    let real = |pod: usize| pod < pods.len();
    let failures = results
        .errors
        .iter()
        .filter(|(pod, error)| told(error) && real(*pod) && cluster.pods[pods[*pod].index()].exists());
    let nodes_with = |holds: &dyn Fn(usize) -> bool| -> Vec<NodeClaimId> {
        let placed = results.existing.iter().filter(|(_, placed)| placed.iter().any(|pod| holds(*pod)));
        placed.filter_map(|(node, _)| nodes[*node].claim).collect()
    };
    Plan {
        outlooks: outlooks::of_results(&results, (pools, nodes), pods, cluster),
        nominated: nodes_with(&real),
        buffered: nodes_with(&|pod| !real(pod)).into_iter().collect(),
        failures: failures.map(|(pod, error)| (pods[*pod], error.to_string())).collect(),
        existing_pods: results.existing.iter().map(|(_, pods)| pods.len()).sum(),
        claims: results
            .claims
            .into_iter()
            .map(|claim| (pools[claim.pool], outlooks::templates(&claim, pods, cluster), claim))
            .map(|(pool, templates, claim)| (pool, claim, templates))
            .collect(),
    }
}

/// A limit that the launched nodes of the pool exceed, those leaving not counted (`Limits.ExceededBy`).
#[must_use]
pub fn exceeded_limit(cluster: &Cluster, pool: NodePoolId) -> Option<Resource> {
    let record = &cluster.nodepools[pool.index()];
    let limits = record.object.spec.limits.as_ref()?;
    let own = |node: &&StateNode| {
        !node.leaving(cluster) && node.labels(cluster).get(labels::NODE_POOL).is_some_and(|name| *name == record.name)
    };
    let nodes = state::state_nodes(cluster);
    let usage: Resources = nodes.iter().filter(own).map(|node| node.capacity(cluster).with(Resource::Nodes, 1)).sum();
    limits.iter().find_map(|(name, limit)| {
        let resource = Resource::parse(name)?;
        let used = usage.get(resource);
        let used = if resource == Resource::Cpu { used } else { used.saturating_mul(1000) };
        (used > limit.milli).then_some(resource)
    })
}

#[cfg(test)]
mod tests;
