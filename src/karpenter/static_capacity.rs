//! NodePools of a fixed size (gate `StaticCapacity`; `pkg/controllers/static/provisioning/controller.go`,
//! `pkg/controllers/static/deprovisioning/controller.go`).

use super::disruption::cost::lifetime_remaining;
use super::disruption::model::{Owner, PodView};
use super::provisioning::node_claim;
use super::scheduling::{Input, NewClaim, Pod, Pool, Shape, solve};
use super::state::PodViews;
use crate::api::karpenter::NodePoolSpec;
use crate::api::meta::Labels;
use crate::api::pod::{PodSpec, Toleration, TolerationOperator};
use crate::cluster::change::Change;
use crate::cluster::decision::{Action, Controller, Decision, Subject};
use crate::cluster::node_class::NodeClass;
use crate::cluster::world::World;
use crate::cluster::{Cluster, NodeClaimId, NodePoolId, Rule};
use crate::engine::{Agenda, Stream, Streams};
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};
use crate::units::Resources;

/// Time to the next look at a pool.
const RECHECK: Duration = Duration::from_mins(1);
/// The same while `limits.nodes` keeps a pool below its size.
const LIMITED_RECHECK: Duration = Duration::from_secs(30);

/// A look at a pool; the number tells timers that were restarted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event(NodePoolId, u32);

/// How many NodeClaims of a pool are in which state (`statenodepool.go: NodeClaimState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Neither deleting nor about to be replaced.
    pub active: u32,
    /// With a deletionTimestamp.
    pub deleting: u32,
    /// Chosen by a disruption command that waits for its replacement.
    pub pending_disruption: u32,
}

/// What a look at a pool finds to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// This many more NodeClaims.
    Create(u32),
    /// `limits.nodes` allows none of those that are missing.
    Limited,
    /// This many fewer.
    Delete(u32),
}

/// Decides for a pool that is to have `replicas` nodes and may have `limit`. Deleting nodes count against the limit.
#[must_use]
pub fn decide(counts: Counts, replicas: u32, limit: Option<u32>) -> Step {
    let Counts { active, deleting, pending_disruption } = counts;
    if active > replicas {
        return Step::Delete(active - replicas);
    }
    if active + pending_disruption >= replicas {
        return Step::Keep;
    }
    let room = limit.map_or(u32::MAX, |limit| limit.saturating_sub(active + deleting + pending_disruption));
    match room.min(replicas - active) {
        0 => Step::Limited,
        count => Step::Create(count),
    }
}

/// Whether the pool's node class is Ready: its condition is the pool's.
fn is_ready(cluster: &Cluster, pool: NodePoolId) -> bool {
    cluster.node_classes.get(cluster.nodepools[pool.index()].node_class.index()).is_none_or(NodeClass::is_ready)
}

/// Keeps static pools at their size.
pub struct StaticCapacity {
    timers: Vec<u32>,
    random: Stream,
}

impl StaticCapacity {
    /// The controllers of a run.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        StaticCapacity { timers: Vec::new(), random: streams.open("static-capacity", 0) }
    }

    /// Looks at a pool when it or one of its NodeClaims changes.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match *change {
            Change::NodePoolSpec(pool) => self.look(pool, world, agenda),
            Change::NodeClassSpec(class) => {
                let of_class = |id: &NodePoolId| world.cluster.nodepools[id.index()].node_class == class;
                let all = (0..world.cluster.nodepools.len() as u32).map(NodePoolId);
                for pool in all.filter(of_class).collect::<Vec<_>>() {
                    self.look(pool, world, agenda);
                }
            }
            Change::NodeClaimCreated(claim) | Change::NodeClaimDeleting(claim) | Change::NodeClaimGone(claim) => {
                self.look(world.cluster.nodeclaims[claim.index()].pool, world, agenda);
            }
            _ => {}
        }
    }

    /// Looks at a pool again.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Event(pool, timer) = event;
        if self.timers.get(pool.index()) == Some(&timer) {
            self.look(pool, world, agenda);
        }
    }

    fn look(&mut self, pool: NodePoolId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodepools[pool.index()];
        let Some(replicas) = record.object.spec.replicas else { return };
        if record.applied.is_none() || record.deleted {
            return;
        }
        if self.timers.len() <= pool.index() {
            self.timers.resize(pool.index() + 1, 0);
        }
        self.timers[pool.index()] += 1;
        if let Some(end) = world.scenario.outage_end(FaultKind::KarpenterDown, world.now) {
            agenda.at(end, Event(pool, self.timers[pool.index()]));
            return;
        }
        let step = decide(counts(world.cluster, pool), replicas, node_limit(&record.object.spec));
        match step {
            Step::Keep | Step::Limited => {}
            Step::Create(count) if is_ready(world.cluster, pool) => self.create(pool, count, replicas, world),
            Step::Create(_) => {}
            Step::Delete(count) => {
                for claim in to_delete(world.cluster, pool, count as usize, world.now) {
                    let detail =
                        format!("NodePool {} wants {replicas} nodes", world.cluster.nodepools[pool.index()].name);
                    log(world, Subject::NodeClaim(claim), Action::Delete, detail);
                    world.cluster.delete_nodeclaim(world.now, claim, "ScaledDown");
                }
            }
        }
        let after = if step == Step::Limited { LIMITED_RECHECK } else { RECHECK };
        agenda.at(world.now + after, Event(pool, self.timers[pool.index()]));
    }

    fn create(&mut self, pool: NodePoolId, count: u32, replicas: u32, world: &mut World<'_>) {
        let Some(plan) = plan(world.cluster, pool, &mut self.random) else { return };
        for _ in 0..count {
            let claim = node_claim(world.cluster, pool, &plan, world.now, &mut self.random);
            let id = world.cluster.create_nodeclaim(claim);
            let detail = format!("NodePool {} wants {replicas} nodes", world.cluster.nodepools[pool.index()].name);
            log(world, Subject::NodeClaim(id), Action::Create, detail);
        }
    }
}

fn log(world: &mut World<'_>, subject: Subject, action: Action, detail: String) {
    let (at, controller, rule) = (world.now, Controller::Provisioner, Rule::StaticCapacity);
    world.cluster.decide(Decision::plain(at, controller, subject, action, rule, detail));
}

fn claims(cluster: &Cluster, pool: NodePoolId) -> impl Iterator<Item = NodeClaimId> + '_ {
    cluster.live_nodeclaims.iter().copied().filter(move |id| cluster.nodeclaims[id.index()].pool == pool)
}

fn counts(cluster: &Cluster, pool: NodePoolId) -> Counts {
    let mut counts = Counts { active: 0, deleting: 0, pending_disruption: 0 };
    for id in claims(cluster, pool) {
        let claim = &cluster.nodeclaims[id.index()];
        match (claim.deleting.is_some() || claim.instance_terminating, claim.marked.is_some()) {
            (true, _) => counts.deleting += 1,
            (false, true) => counts.pending_disruption += 1,
            (false, false) => counts.active += 1,
        }
    }
    counts
}

/// How many more nodes the pool may have for a moment, while drifted ones are replaced: none as long as it has more than it is to
/// have (`staticdrift.go: ComputeCommands`, `statenodepool.go: ReserveNodeCount`).
#[must_use]
pub fn drift_headroom(counts: Counts, replicas: u32, limit: Option<u32>) -> u32 {
    let Counts { active, deleting, pending_disruption } = counts;
    if active + pending_disruption > replicas {
        return 0;
    }
    limit.map_or(u32::MAX, |limit| limit.saturating_sub(active + deleting + pending_disruption))
}

/// The same for a pool as it stands; none for a dynamic one.
#[must_use]
pub fn drift_headroom_of(cluster: &Cluster, pool: NodePoolId) -> u32 {
    let spec = &cluster.nodepools[pool.index()].object.spec;
    spec.replicas.map_or(0, |replicas| drift_headroom(counts(cluster, pool), replicas, node_limit(spec)))
}

/// `limits.nodes`.
fn node_limit(spec: &NodePoolSpec) -> Option<u32> {
    let limit = spec.limits.as_ref()?.get("nodes")?;
    Some(u32::try_from(limit.milli / 1000).unwrap_or(u32::MAX))
}

/// A NodeClaim that asks for nothing but what the pool requires; `None` when no instance type fits the pool.
#[must_use]
pub fn plan(cluster: &Cluster, pool: NodePoolId, random: &mut Stream) -> Option<NewClaim> {
    let record = &cluster.nodepools[pool.index()];
    let spec = NodePoolSpec { limits: None, ..record.object.spec.clone() };
    let tolerant = Toleration { operator: TolerationOperator::Exists, ..crate::api::decode::defaults() };
    let pod: PodSpec = PodSpec { tolerations: vec![tolerant], ..crate::api::decode::defaults() };
    let labels = Labels::new();
    let input = Input {
        catalogues: vec![cluster.catalogue_of(pool).clone()],
        pools: vec![Pool { name: &record.name, spec: &spec, catalogue: Some(0) }],
        shapes: vec![Shape { labels: &labels, spec: &pod, volumes: 0, volume_topology: Vec::new() }],
        pods: vec![Pod { shape: 0, created: Time::ZERO, uid: 0, gated: false }],
        ..Input::default()
    };
    let claim = solve(&input, random).claims.pop()?;
    Some(NewClaim { requests: Resources::ZERO, pods: Vec::new(), ..claim })
}

/// Those that go first: not launched, then without pods of workloads, then by what their removal disrupts
/// (`getDeprovisioningCandidates`).
fn to_delete(cluster: &Cluster, pool: NodePoolId, count: usize, now: Time) -> Vec<NodeClaimId> {
    let mut ranked: Vec<((u8, f64), NodeClaimId)> = claims(cluster, pool)
        .filter(|id| !cluster.nodeclaims[id.index()].leaving())
        .map(|id| (rank(cluster, id, now), id))
        .collect();
    ranked.sort_by(|((a, cost_a), _), ((b, cost_b), _)| a.cmp(b).then(cost_a.total_cmp(cost_b)));
    ranked.into_iter().take(count).map(|(_, id)| id).collect()
}

fn rank(cluster: &Cluster, id: NodeClaimId, now: Time) -> (u8, f64) {
    let claim = &cluster.nodeclaims[id.index()];
    if claim.launched.is_none() {
        return (0, 0.0);
    }
    let bound = claim.node.map_or(&[][..], |node| &cluster.nodes[node.index()].pods);
    let mut views = PodViews::of(cluster);
    let pods: Vec<PodView> = bound.iter().map(|pod| views.view(*pod)).collect();
    let protected = pods.iter().any(|pod| pod.is_do_not_disrupt(now));
    // Empty: a pod that has ended, or is about to, counts as long as it is there.
    if !protected && pods.iter().all(|pod| pod.owner == Owner::DaemonSet) {
        return (1, 0.0);
    }
    let cost: f64 = pods.iter().map(PodView::eviction_cost).sum();
    (if protected { 3 } else { 2 }, cost * lifetime_remaining(now.since(claim.created), claim.expire_after))
}

#[cfg(test)]
mod tests;
