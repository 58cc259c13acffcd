//! The ReplicaSet and Job controllers at work.

use crate::cluster::pod::{EndReason, Owner, Phase, Pod};
use crate::cluster::{
    Action, Change, Cluster, Controller, Counts, Decision, DeploymentId, JobId, PodId, Rule, Subject, World,
};
use crate::engine::{Agenda, Stream, Streams, TokenBucket};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

use super::job::{self, BATCH_PERIOD, JobAction, JobView};
use super::slow_start::{Manage, batches, manage};
use super::victims::{Candidate, PhaseRank, choose};

/// From a write to its sight on the watch.
const WATCH: Duration = Duration::from_millis(2);
/// Events about one object that pass at once, and the time after which one more does (`EventCorrelator`: burst 25, 1 per 300 s).
const EVENT_BURST: i64 = 25;
const EVENT_REFILL: Duration = Duration::from_secs(300);
/// Annotation with a pod's cost of deletion.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What the controllers do at a time of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A Deployment's replica count reaches its ReplicaSet.
    Scale(DeploymentId),
    /// A ReplicaSet is compared with its pods.
    Sync(DeploymentId),
    /// A call that creates a pod returns.
    Create(DeploymentId),
    /// A call that deletes a pod reaches the API server.
    Delete(DeploymentId, PodId),
    /// A Job is compared with its pods.
    SyncJob(JobId),
    /// A call that creates a Job's pod returns.
    CreateJobPod(JobId),
}

/// A ReplicaSet: the one active set of its Deployment.
#[derive(Clone, Debug, Default)]
struct SetState {
    /// `spec.replicas` of the ReplicaSet.
    replicas: usize,
    /// Pods neither terminal nor terminating.
    active: usize,
    /// Those of them that are ready.
    ready: usize,
    /// Sizes of the batches that are still to come.
    batches: Vec<usize>,
    /// Calls on their way.
    calls: usize,
    sync_pending: bool,
    /// Events sent, in the correlator's bucket: when it is full again.
    events_free_at: Option<Time>,
}

/// ReplicaSet controller, with the part of the Deployment controller that scaling needs, and Job controller.
pub struct ReplicaSets {
    sets: Vec<SetState>,
    /// By pod: whether it counts as active, and as ready.
    counted: Vec<(bool, bool)>,
    job_calls: Vec<u32>,
    set_client: TokenBucket,
    job_client: TokenBucket,
    latencies: Stream,
}

impl ReplicaSets {
    /// Controllers that know nothing yet.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> ReplicaSets {
        let flags = &scenario.controller_manager;
        let client = TokenBucket::new(flags.kube_api_qps.max(1), flags.kube_api_burst.max(1));
        ReplicaSets {
            sets: Vec::new(),
            counted: Vec::new(),
            job_calls: Vec::new(),
            set_client: client,
            job_client: client,
            latencies: streams.open("replicaset-latency", 0),
        }
    }

    /// Takes note of a change.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match *change {
            Change::DeploymentSpec(id) => {
                let delay = world.scenario.latencies.deployment_sync.sample(&mut self.latencies);
                agenda.at(world.now + delay, Event::Scale(id));
            }
            Change::JobCreated(job) => {
                let delay = world.scenario.latencies.deployment_sync.sample(&mut self.latencies);
                agenda.at(world.now + delay, Event::SyncJob(job));
                if let Some(deadline) = world.cluster.jobs[job.index()].active_deadline {
                    agenda.at(world.now + deadline, Event::SyncJob(job));
                }
            }
            Change::JobGone(job) => {
                for pod in world.cluster.jobs[job.index()].pods.clone() {
                    let grace = world.cluster.shape_of(pod).grace;
                    world.cluster.delete_pod(world.now, pod, grace, EndReason::OwnerGone);
                }
            }
            Change::PodCreated(pod)
            | Change::PodReady(pod)
            | Change::PodNotReady(pod)
            | Change::PodFinished(pod)
            | Change::PodDeleting(pod)
            | Change::PodGone(pod) => self.recount(change, pod, world, agenda),
            _ => {}
        }
    }

    /// Handles an event of its own.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if let Some(end) = world.scenario.outage_end(FaultKind::ControllerManagerDown, world.now) {
            agenda.at(end, event);
            return;
        }
        match event {
            Event::Scale(id) => {
                let replicas = world.cluster.deployments[id.index()].replicas as usize;
                self.set(id).replicas = replicas;
                self.sync(id, world, agenda);
            }
            Event::Sync(id) => {
                self.set(id).sync_pending = false;
                self.sync(id, world, agenda);
            }
            Event::Create(id) => self.create(id, world, agenda),
            Event::Delete(id, pod) => self.delete(id, pod, world, agenda),
            Event::SyncJob(job) => self.sync_job(job, world, agenda),
            Event::CreateJobPod(job) => {
                self.job_calls[job.index()] -= 1;
                let record = &world.cluster.jobs[job.index()];
                if record.finished.is_none() && record.gone.is_none() {
                    world.cluster.create_pod(world.now, record.shape, Owner::Job(job));
                }
            }
        }
    }

    fn set(&mut self, id: DeploymentId) -> &mut SetState {
        if self.sets.len() <= id.index() {
            self.sets.resize_with(id.index() + 1, SetState::default);
        }
        &mut self.sets[id.index()]
    }

    /// Keeps the counts of a pod's owner, and looks at the owner when it lost a pod.
    fn recount(&mut self, change: &Change, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.pods[pod.index()];
        match record.owner {
            Owner::Deployment(id) => {
                let active = record.active();
                let counts = (active, active && record.ready);
                if self.counted.len() <= pod.index() {
                    self.counted.resize(pod.index() + 1, (false, false));
                }
                let before = std::mem::replace(&mut self.counted[pod.index()], counts);
                if before == counts {
                    return;
                }
                let set = self.set(id);
                set.active = set.active + usize::from(counts.0) - usize::from(before.0);
                set.ready = set.ready + usize::from(counts.1) - usize::from(before.1);
                let (active, ready) = (set.active as u32, set.ready as u32);
                world.cluster.set_deployment_status(id, active, ready);
                if before.0 && !counts.0 {
                    self.plan_sync(id, world.now, agenda);
                }
            }
            Owner::Job(job) => self.note_job_pod(change, job, pod, world, agenda),
            Owner::DaemonSet(_) | Owner::None => {}
        }
    }

    fn plan_sync(&mut self, id: DeploymentId, now: Time, agenda: &mut Agenda<Event>) {
        let set = self.set(id);
        if !set.sync_pending {
            set.sync_pending = true;
            agenda.at(now + WATCH, Event::Sync(id));
        }
    }

    /// `syncReplicaSet`.
    fn sync(&mut self, id: DeploymentId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if world.cluster.deployments[id.index()].applied.is_none() {
            return;
        }
        let set = self.set(id);
        let (active, replicas) = (set.active, set.replicas);
        let action = manage(active, replicas, set.calls > 0 || !set.batches.is_empty());
        let (name, count) = match action {
            Manage::Nothing => return,
            Manage::Create(count) => (Action::Create, count),
            Manage::Delete(count) => (Action::Delete, count),
        };
        let (subject, rule, detail) = (Subject::Deployment(id), Rule::ManageReplicas, format!("{count} pods"));
        let decision = Decision::plain(world.now, Controller::ReplicaSet, subject, name, rule, detail);
        world.cluster.decide(decision.about(Counts::change(active as i64, replicas as i64)));
        match action {
            Manage::Nothing => {}
            Manage::Create(count) => {
                let mut sizes: Vec<usize> = batches(count).collect();
                sizes.reverse();
                self.set(id).batches = sizes;
                self.next_batch(id, world, agenda);
            }
            Manage::Delete(count) => self.delete_victims(id, count, world, agenda),
        }
    }

    fn next_batch(&mut self, id: DeploymentId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(size) = self.set(id).batches.pop() else {
            self.plan_sync(id, world.now, agenda);
            return;
        };
        self.set(id).calls = size;
        for _ in 0..size {
            let latency = world.scenario.latencies.pod_create_call.sample(&mut self.latencies);
            agenda.at(self.set_client.take(world.now) + latency, Event::Create(id));
        }
    }

    fn create(&mut self, id: DeploymentId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let shape = world.cluster.deployments[id.index()].shape;
        world.cluster.create_pod(world.now, shape, Owner::Deployment(id));
        self.send_event(id, world.now);
        let set = self.set(id);
        set.calls -= 1;
        if set.calls == 0 {
            self.next_batch(id, world, agenda);
        }
    }

    fn delete_victims(&mut self, id: DeploymentId, count: usize, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let second = Time::ZERO + world.scenario.clocks.whole_second;
        let cluster = &*world.cluster;
        let pods = &cluster.deployments[id.index()].pods;
        let active: Vec<PodId> = pods.iter().copied().filter(|pod| cluster.pods[pod.index()].active()).collect();
        let candidates = candidates(cluster, &active, second);
        let victims = choose(&candidates, count, world.now);
        self.set(id).calls = victims.len();
        for victim in victims {
            let latency = world.scenario.latencies.pod_create_call.sample(&mut self.latencies);
            agenda.at(self.set_client.take(world.now) + latency, Event::Delete(id, active[victim]));
        }
    }

    fn delete(&mut self, id: DeploymentId, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if world.cluster.pods[pod.index()].active() {
            let grace = world.cluster.shape_of(pod).grace;
            world.cluster.delete_pod(world.now, pod, grace, EndReason::ScaledDown);
        }
        self.send_event(id, world.now);
        let set = self.set(id);
        set.calls -= 1;
        if set.calls == 0 {
            self.plan_sync(id, world.now, agenda);
        }
    }

    /// Events share the controller's bucket, as far as the correlator lets them pass.
    fn send_event(&mut self, id: DeploymentId, now: Time) {
        let set = self.set(id);
        let full_at = set.events_free_at.map_or(now, |at| at.max(now)) + EVENT_REFILL;
        if full_at.since(now) <= EVENT_REFILL * EVENT_BURST {
            set.events_free_at = Some(full_at);
            self.set_client.take(now);
        }
    }

    fn note_job_pod(
        &mut self,
        change: &Change,
        job: JobId,
        pod: PodId,
        world: &mut World<'_>,
        agenda: &mut Agenda<Event>,
    ) {
        let record = &world.cluster.pods[pod.index()];
        let ended_badly = match change {
            Change::PodFinished(_) => record.phase == Phase::Failed,
            // A pod that is deleted before it has finished counts as failed when it terminates.
            Change::PodDeleting(_) => !record.terminal() && record.path.deleting == Some(world.now),
            _ => return,
        };
        if world.cluster.jobs[job.index()].finished.is_some() {
            return;
        }
        if ended_badly {
            world.cluster.count_job_failure(job);
        }
        agenda.at(world.now + BATCH_PERIOD, Event::SyncJob(job));
    }

    fn sync_job(&mut self, id: JobId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if self.job_calls.len() <= id.index() {
            self.job_calls.resize(id.index() + 1, 0);
        }
        let record = &world.cluster.jobs[id.index()];
        if record.finished.is_some() || record.gone.is_some() {
            return;
        }
        let view = self.job_view(world.cluster, id);
        match job::decide(&view, world.now) {
            JobAction::Wait => {}
            JobAction::WaitUntil(end) => agenda.at(end, Event::SyncJob(id)),
            JobAction::Create(count) => {
                self.job_calls[id.index()] += count;
                for _ in 0..count {
                    let latency = world.scenario.latencies.pod_create_call.sample(&mut self.latencies);
                    agenda.at(self.job_client.take(world.now) + latency, Event::CreateJobPod(id));
                }
            }
            JobAction::Delete(count) => end_pods(world, id, count as usize),
            JobAction::Complete => world.cluster.finish_job(world.now, id, true),
            JobAction::Fail(rule) => {
                world.cluster.finish_job(world.now, id, false);
                let detail = format!("{} failed pods, limit {}", view.failed, view.backoff_limit);
                decide(world, Subject::Job(id), Action::Fail, rule, detail);
                end_pods(world, id, usize::MAX);
            }
        }
    }

    fn job_view(&self, cluster: &Cluster, id: JobId) -> JobView {
        let record = &cluster.jobs[id.index()];
        let pods = || record.pods.iter().map(|pod| &cluster.pods[pod.index()]);
        let last_failure = pods().filter(|pod| pod.phase == Phase::Failed).filter_map(|pod| pod.path.finished).max();
        JobView {
            parallelism: 1,
            completions: 1,
            backoff_limit: record.backoff_limit,
            active_deadline: record.active_deadline,
            started: record.created,
            active: pods().filter(|pod| pod.active()).count() as u32 + self.job_calls[id.index()],
            succeeded: pods().filter(|pod| pod.phase == Phase::Succeeded).count() as u32,
            failed: record.failures,
            last_failure,
        }
    }
}

fn end_pods(world: &mut World<'_>, job: JobId, count: usize) {
    let pods = world.cluster.jobs[job.index()].pods.clone();
    let active = pods.into_iter().filter(|pod| world.cluster.pods[pod.index()].active());
    for pod in active.take(count).collect::<Vec<_>>() {
        let grace = world.cluster.shape_of(pod).grace;
        world.cluster.delete_pod(world.now, pod, grace, EndReason::OwnerGone);
    }
}

/// The ranking's view of active pods; times are whole seconds that begin like `second`.
fn candidates(cluster: &Cluster, active: &[PodId], second: Time) -> Vec<Candidate> {
    let mut crowds: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
    for pod in active {
        if let Some(node) = cluster.pods[pod.index()].node {
            *crowds.entry(node.0).or_default() += 1;
        }
    }
    let candidate = |pod: &Pod| Candidate {
        assigned: pod.node.is_some(),
        phase: if pod.phase == Phase::Pending { PhaseRank::Pending } else { PhaseRank::Running },
        ready: pod.ready,
        deletion_cost: deletion_cost(cluster, pod),
        crowd: pod.node.and_then(|node| crowds.get(&node.0)).copied().unwrap_or(0),
        ready_since: pod.ready_changed.filter(|_| pod.ready).map(|at| at.floor_second(second)),
        restarts: pod.restarts,
        created: pod.created.floor_second(second),
        uid: pod.uid,
    };
    active.iter().map(|id| candidate(&cluster.pods[id.index()])).collect()
}

fn deletion_cost(cluster: &Cluster, pod: &Pod) -> i32 {
    let annotations = &cluster.shapes[pod.shape.index()].annotations;
    annotations.get(DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn decide(world: &mut World<'_>, subject: Subject, action: Action, rule: Rule, detail: String) {
    world.cluster.decide(Decision::plain(world.now, Controller::ReplicaSet, subject, action, rule, detail));
}
