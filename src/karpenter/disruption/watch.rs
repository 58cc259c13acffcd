//! What disruption notices between its passes: pod events and quiet time, drift, and changes that make moves possible again
//! (`pkg/controllers/nodeclaim/podevents`, `pkg/controllers/nodeclaim/disruption`, `pkg/controllers/state/cluster.go`).

use std::collections::BTreeMap;

use crate::cluster::catalogue::CapacityType;
use crate::cluster::pod::Owner as PodOwner;
use crate::cluster::{
    Action, Change, Cluster, Controller, Decision, NodeClaimId, NodeClassId, NodePoolId, PodId, Subject, World,
};
use crate::engine::{Agenda, Stream};
use crate::time::Time;

use super::controller::Event;
use super::drift_detection::{self, Drift, HashedTemplate, NothingFound};
use super::model::Owner;
use super::pass::Memory;
use super::quiet::{self, Consolidatable, PodEvent};

/// Watches pods, NodeClaims and NodePools.
pub struct Watch {
    /// How long pod events take.
    handling: Stream,
    /// Pods whose deletionTimestamp was seen.
    terminating: Vec<bool>,
    /// Numbers that tell restarted timers apart, by NodeClaim.
    quiet_timers: Vec<u32>,
    drift_timers: Vec<u32>,
    /// When the worker of pod events is free.
    busy_until: Time,
    /// Times that the worker will have written, by NodeClaim.
    queued: Vec<Option<Time>>,
    /// When a NodeClaim's instance type was last found among those that are sold.
    type_found: Vec<Option<Time>>,
    /// The hashed part of every generation of a pool's template.
    templates: BTreeMap<(NodePoolId, u32), HashedTemplate>,
}

fn at_index<T: Clone + Default>(list: &mut Vec<T>, index: usize) -> &mut T {
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    &mut list[index]
}

impl Watch {
    /// Nothing was seen yet.
    pub fn new(handling: Stream) -> Self {
        Watch {
            handling,
            terminating: Vec::new(),
            quiet_timers: Vec::new(),
            drift_timers: Vec::new(),
            busy_until: Time::ZERO,
            queued: Vec::new(),
            type_found: Vec::new(),
            templates: BTreeMap::new(),
        }
    }

    /// Sees a change.
    pub fn observe(&mut self, change: &Change, memory: &mut Memory, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if wakes(change, world.cluster) {
            memory.state.mark_unconsolidated(world.now);
        }
        match *change {
            Change::PodBound(pod) => self.queue_pod_event(pod, PodEvent::Bound, world, agenda),
            Change::PodFinished(pod) => self.queue_pod_event(pod, PodEvent::Terminal, world, agenda),
            Change::PodDeleting(pod) if !std::mem::replace(at_index(&mut self.terminating, pod.index()), true) => {
                self.queue_pod_event(pod, PodEvent::Terminating, world, agenda);
            }
            Change::NodeClaimLaunched(claim) | Change::NodeClaimLabels(claim) => {
                self.look_for_drift(claim, world, agenda)
            }
            Change::NodeClaimInitialized(claim) => self.look_at(claim, world, agenda),
            Change::NodePoolSpec(pool) => self.pool_changed(pool, world, agenda),
            Change::NodeClassSpec(class) => self.class_changed(class, world, agenda),
            _ => {}
        }
    }

    /// Karpenter started: every pod that runs somewhere counts as an event of now.
    pub fn restart(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        self.type_found.clear();
        for (index, pool) in world.cluster.nodepools.iter().enumerate().filter(|(_, pool)| pool.applied.is_some()) {
            let key = (NodePoolId(index as u32), pool.generation);
            self.templates.entry(key).or_insert_with(|| HashedTemplate::of(&pool.object.spec));
        }
        for claim in world.cluster.live_nodeclaims.iter().copied().collect::<Vec<_>>() {
            let node = world.cluster.nodeclaims[claim.index()].node;
            let pods = node.map_or_else(Vec::new, |node| world.cluster.nodes[node.index()].pods.clone());
            for pod in pods {
                self.pod_event(pod, PodEvent::Bound, world, agenda);
            }
            self.look_at(claim, world, agenda);
            self.look_for_drift(claim, world, agenda);
        }
    }

    /// One worker takes the events one by one; an event that will be written costs it a call to the API server.
    fn queue_pod_event(&mut self, pod: PodId, event: PodEvent, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.pods[pod.index()];
        let claim = record.node.and_then(|node| world.cluster.nodes[node.index()].nodeclaim);
        // Events of DaemonSet pods are dropped before they cost anything.
        let Some(claim) = claim.filter(|_| !matches!(record.owner, PodOwner::DaemonSet(_))) else { return };
        let phase = Time::ZERO + world.scenario.clocks.whole_second;
        let queued = *at_index(&mut self.queued, claim.index());
        let stored = queued.max(world.cluster.nodeclaims[claim.index()].last_pod_event);
        let start = self.busy_until.max(world.now);
        let written = quiet::last_pod_event(event, Owner::Workload, stored, start, phase).is_some();
        let mut handled = start;
        self.busy_until = start;
        if written {
            let latencies = &world.scenario.latencies;
            handled += latencies.pod_event.sample(&mut self.handling);
            self.busy_until = handled + latencies.pod_event_write.sample(&mut self.handling);
            self.queued[claim.index()] = Some(handled.floor_second(phase));
        }
        agenda.at(handled, Event::PodEvent(pod, event));
    }

    /// A pod event comes up.
    pub fn pod_event(&mut self, pod: PodId, event: PodEvent, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.pods[pod.index()];
        let owner = if matches!(record.owner, PodOwner::DaemonSet(_)) { Owner::DaemonSet } else { Owner::Workload };
        // The pod is read again when its event is handled: the event of one that is gone is lost.
        let Some(node) = record.node.filter(|_| record.exists()) else { return };
        let Some(claim) = world.cluster.nodes[node.index()].nodeclaim else { return };
        if !world.cluster.nodeclaims[claim.index()].exists() {
            return;
        }
        let phase = Time::ZERO + world.scenario.clocks.whole_second;
        let stored = world.cluster.nodeclaims[claim.index()].last_pod_event;
        if let Some(at) = quiet::last_pod_event(event, owner, stored, world.now, phase) {
            world.cluster.note_pod_event(claim, at);
        }
        self.look_at(claim, world, agenda);
    }

    /// Sets condition Consolidatable and the timer at which it becomes true.
    fn look_at(&mut self, claim: NodeClaimId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodeclaims[claim.index()];
        if !record.exists() {
            return;
        }
        let pool = &world.cluster.nodepools[record.pool.index()];
        let spec = &pool.object.spec;
        let dynamic = spec.replicas.is_none() && !pool.deleted;
        let after = spec.disruption.consolidate_after.0.filter(|_| dynamic);
        let verdict = quiet::consolidatable(after, record.initialized, record.last_pod_event, world.now);
        world.cluster.set_consolidatable(claim, verdict == Consolidatable::Yes);
        let timer = at_index(&mut self.quiet_timers, claim.index());
        *timer = timer.wrapping_add(1);
        if let Consolidatable::NotBefore(at) = verdict {
            agenda.at(at, Event::Quiet(claim, *timer));
        }
        let found = self.type_found.get(claim.index()).copied().flatten();
        if drift_detection::asks_for_type(world.cluster.nodeclaims[claim.index()].created, found, world.now) {
            self.look_for_drift(claim, world, agenda);
        }
    }

    /// The timer of a quiet time ended.
    pub fn quiet(&mut self, claim: NodeClaimId, timer: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if self.quiet_timers.get(claim.index()) == Some(&timer) {
            self.look_at(claim, world, agenda);
        }
    }

    fn pool_changed(&mut self, pool: NodePoolId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodepools[pool.index()];
        self.templates.insert((pool, record.generation), HashedTemplate::of(&record.object.spec));
        self.look_at_all_of(|own, _| own == pool, world, agenda);
    }

    fn class_changed(&mut self, class: NodeClassId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let is_of = |pool: NodePoolId, cluster: &Cluster| cluster.nodepools[pool.index()].node_class == class;
        self.look_at_all_of(is_of, world, agenda);
    }

    fn look_at_all_of(
        &mut self,
        pool: impl Fn(NodePoolId, &Cluster) -> bool,
        world: &mut World<'_>,
        agenda: &mut Agenda<Event>,
    ) {
        let own = |id: &NodeClaimId| pool(world.cluster.nodeclaims[id.index()].pool, world.cluster);
        for claim in world.cluster.live_nodeclaims.iter().copied().filter(own).collect::<Vec<_>>() {
            self.look_at(claim, world, agenda);
            self.look_for_drift(claim, world, agenda);
        }
    }

    /// The timer of the next look for drift ended.
    pub fn drift_timer(&mut self, claim: NodeClaimId, timer: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if self.drift_timers.get(claim.index()) == Some(&timer) {
            self.look_for_drift(claim, world, agenda);
        }
    }

    fn look_for_drift(&mut self, claim: NodeClaimId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodeclaims[claim.index()];
        let pool = &world.cluster.nodepools[record.pool.index()];
        if !record.exists() || record.deleting.is_some() || record.launched.is_none() || pool.deleted {
            return;
        }
        let timer = at_index(&mut self.drift_timers, claim.index());
        *timer = timer.wrapping_add(1);
        agenda.at(world.now + drift_detection::RECHECK, Event::Drift(claim, *timer));
        let Ok(drift) = self.drift_of(claim, world.now, world.cluster) else { return };
        let record = &world.cluster.nodeclaims[claim.index()];
        let before = record.drifted.is_some();
        let phase = Time::ZERO + world.scenario.clocks.whole_second;
        let since = drift.map(|_| world.now.floor_second(phase));
        world.cluster.set_drifted(claim, since);
        if let Some(drift) = drift.filter(|_| !before) {
            let (subject, rule) = (Subject::NodeClaim(claim), drift.rule());
            let detail = "it is no longer what would be launched now";
            world.cluster.decide(Decision::plain(
                world.now,
                Controller::Disruption,
                subject,
                Action::Drift,
                rule,
                detail,
            ));
        }
    }
}

impl Watch {
    /// `Drift.isDrifted`: the first reason that applies to a launched NodeClaim.
    fn drift_of(&mut self, claim: NodeClaimId, now: Time, cluster: &Cluster) -> Result<Option<Drift>, NothingFound> {
        let record = &cluster.nodeclaims[claim.index()];
        let pool = &cluster.nodepools[record.pool.index()];
        let made_from = self.templates.get(&(record.pool, record.pool_generation));
        if let Some(drift) =
            made_from.and_then(|made| drift_detection::of_pool(made, &record.labels, &pool.object.spec))
        {
            return Ok(Some(drift));
        }
        let found = at_index(&mut self.type_found, claim.index());
        if drift_detection::asks_for_type(record.created, *found, now) {
            if drift_detection::instance_type_not_found(cluster.catalogue_of(record.pool), &record.labels) {
                return Ok(Some(Drift::InstanceTypeNotFound));
            }
            *found = Some(now);
        }
        let class = cluster.node_classes.get(pool.node_class.index());
        let stands = class.and_then(|class| class.version.as_ref());
        let (Some(then), Some(stands)) = (record.launched_with.as_ref(), stands) else { return Ok(None) };
        let architecture = record.labels.get(crate::karpenter::scheduling::labels::ARCH).map_or("", String::as_str);
        let drift = drift_detection::of_class(then, stands, architecture)?;
        Ok(drift.or_else(|| {
            let id = cluster.instances[record.instance?.index()].reservation?;
            let reserved = record.capacity_type == Some(CapacityType::Reserved);
            let in_it = reserved && now < cluster.reservations[usize::from(id.0)].ends;
            in_it.then(|| drift_detection::of_reservation(id, cluster.catalogue_of(record.pool))).flatten()
        }))
    }
}

/// Whether a change may make a move possible (`MarkUnconsolidated` and its callers).
fn wakes(change: &Change, cluster: &Cluster) -> bool {
    match *change {
        Change::PodBound(_)
        | Change::PodGone(_)
        | Change::NodeGone(_)
        | Change::NodeClaimLaunched(_)
        | Change::NodeClaimInitialized(_)
        | Change::NodeClaimGone(_)
        | Change::NodePoolSpec(_) => true,
        // Karpenter knows a node of its own since the launch; what it marks or takes the mark off wakes nobody.
        Change::NodeCreated(node) => cluster.nodes[node.index()].nodeclaim.is_none(),
        Change::NodeClaimDeleting(claim) => cluster.nodeclaims[claim.index()].marked.is_none(),
        _ => false,
    }
}
