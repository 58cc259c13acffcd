//! The loops of ScaledJobs (`controllers/keda/scaledjob_controller.go`, `pkg/scaling/executor/scale_jobs.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::annotations::Annotations;
use super::capabilities::Capabilities;
use super::operator::Event;
use super::scaled_job::{
    JobPod, JobPodPhase, JobState, clean_up, deletes_previous_version, is_pending, is_scaled_job_active,
    max_replica_count, min_replica_count, request_job_scale, scaler_metrics,
};
use super::scaler::{ExternalTarget, Scaler};
use super::sources::{Asker, query};
use crate::api::keda::{JobStrategy, ScaledJobSpec};
use crate::cluster::pod::Phase;
use crate::cluster::workload::Job;
use crate::cluster::{Action, Change, Controller, Counts, Decision, JobId, Rule, ScaledJobId, Subject, World};
use crate::engine::{Agenda, Streams};
use crate::time::{Duration, Time};

/// A maxReplicaCount that limits nothing.
const UNLIMITED: i64 = i32::MAX as i64;

/// From a reconcile to the poll of the loop it starts.
const RECONCILE_TO_POLL: Duration = Duration::from_millis(10);

/// One ScaledJob.
#[derive(Default)]
struct JobLoop {
    /// Whether a loop was ever started.
    started: bool,
    turn: u32,
    interval: Duration,
    scalers: Option<Arc<Vec<Scaler>>>,
    /// What the poll under way found.
    found: Option<JobState>,
    /// What it would have found with a maxReplicaCount without end.
    unlimited: Option<JobState>,
    /// Jobs that are not finished.
    unfinished: Vec<JobId>,
    /// Finished Jobs that exist, by outcome.
    succeeded: Vec<JobId>,
    failed: Vec<JobId>,
}

/// All ScaledJobs.
pub(super) struct JobLoops {
    loops: BTreeMap<ScaledJobId, JobLoop>,
    capabilities: Capabilities,
    streams: Streams,
}

impl JobLoops {
    pub(super) fn new(capabilities: Capabilities, streams: Streams) -> Self {
        JobLoops { loops: BTreeMap::new(), capabilities, streams }
    }

    /// Watches Jobs.
    pub(super) fn observe(&mut self, change: &Change, world: &World<'_>) {
        let (Change::JobCreated(id) | Change::JobFinished(id) | Change::JobGone(id)) = *change else { return };
        let job = &world.cluster.jobs[id.index()];
        let Some(entry) = job.owner.and_then(|owner| self.loops.get_mut(&owner)) else { return };
        match change {
            Change::JobCreated(_) => entry.unfinished.push(id),
            Change::JobFinished(_) => {
                entry.unfinished.retain(|other| *other != id);
                if job.succeeded { entry.succeeded.push(id) } else { entry.failed.push(id) }
            }
            _ => {
                for list in [&mut entry.unfinished, &mut entry.succeeded, &mut entry.failed] {
                    list.retain(|other| *other != id);
                }
            }
        }
    }

    /// Every ScaledJob is reconciled when the operator starts.
    pub(super) fn restart(&mut self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        self.loops.values_mut().for_each(|entry| entry.turn += 1);
        for (index, record) in world.cluster.scaled_jobs.iter().enumerate() {
            if record.applied.is_some() {
                agenda.at(world.now, Event::ReconcileJob(ScaledJobId(index as u32)));
            }
        }
    }

    /// Deletes Jobs of earlier specs if the rollout says so, and starts the loop anew.
    pub(super) fn reconcile(&mut self, id: ScaledJobId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.scaled_jobs[id.index()];
        let Some(applied) = record.applied else { return };
        let (spec, name, generation) = (record.spec.clone(), record.name.clone(), record.generation);
        let annotations = Annotations::of(&record.annotations, self.capabilities);
        let deleted = record.deleted;
        let phase = self.streams.open_named("keda-phase", &name).unit();
        let entry = self.loops.entry(id).or_default();
        entry.turn += 1;
        if deleted {
            // Jobs are owned by it and go with it.
            let all = [&entry.unfinished, &entry.succeeded, &entry.failed].map(|list| list.clone()).concat();
            all.into_iter().for_each(|job| world.cluster.remove_job(world.now, job));
            return;
        }
        if annotations.paused {
            log(world, id, Action::Pause, Rule::ScaledJobPaused, (0, None), "loop stopped".to_owned());
            return;
        }
        if deletes_previous_version(&spec) {
            delete_previous_version(entry, id, generation, world);
        }
        let built: Result<Vec<Scaler>, _> = spec
            .triggers
            .iter()
            .enumerate()
            .map(|(index, trigger)| Scaler::build(trigger, index, self.capabilities))
            .collect();
        match built {
            Ok(scalers) => entry.scalers = Some(Arc::new(scalers)),
            Err(error) => {
                log(world, id, Action::Blocked, Rule::ScaledJobCheckFailed, (0, None), error.to_string());
                return;
            }
        }
        entry.interval = spec.polling_interval.duration().max(Duration::from_secs(1));
        let clocks = &world.scenario.clocks;
        let first = match clocks.keda_first_poll {
            Some(given) if !entry.started => (applied + given).max(world.now),
            None if !entry.started && applied == Time::ZERO => {
                (applied + Duration::from_secs_f64(entry.interval.as_secs_f64() * phase)).max(world.now)
            }
            Some(given) => world.now + (given - clocks.keda_hpa_created).max_zero(),
            None => world.now + RECONCILE_TO_POLL,
        };
        entry.started = true;
        agenda.at(first, Event::PollJob { job: id, turn: entry.turn });
    }

    /// Asks all triggers; the executor acts a little later.
    pub(super) fn poll(&mut self, id: ScaledJobId, turn: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(entry) = self.loops.get_mut(&id).filter(|entry| entry.turn == turn) else { return };
        let spec = world.cluster.scaled_jobs[id.index()].spec.clone();
        let Some(scalers) = entry.scalers.clone() else { return };
        let max = max_replica_count(&spec);
        let mut samples = Vec::with_capacity(scalers.len());
        let mut failed = false;
        for (index, scaler) in scalers.iter().enumerate() {
            let Some(metric) = scaler.external() else { continue };
            match query(world, Asker::ScaledJob(id), index, scaler) {
                Ok(sample) => {
                    let target = match metric.target {
                        ExternalTarget::AverageValue(milli) => milli,
                        ExternalTarget::Value(_) => 0,
                    };
                    samples.push((sample.value_milli, target, sample.active));
                }
                Err(_) => failed = true,
            }
        }
        let (calculation, min) = (spec.scaling_strategy.multiple_scalers_calculation, min_replica_count(&spec));
        let state = |max| {
            let metric = |&(value, target, active): &(i64, i64, bool)| scaler_metrics(value, target, active, max);
            is_scaled_job_active(&samples.iter().map(metric).collect::<Vec<_>>(), calculation, min, max)
        };
        (entry.found, entry.unlimited) = (Some(state(max)), Some(state(UNLIMITED)));
        let clocks = &world.scenario.clocks;
        let write = clocks.keda_scale_write;
        let end = world.now + if failed { write.max(clocks.keda_failed_query) } else { write };
        agenda.at(end, Event::ExecuteJob { job: id, turn });
        let next = (world.now + entry.interval).max(end) + clocks.keda_poll_slip;
        agenda.at(next, Event::PollJob { job: id, turn });
    }

    /// Creates Jobs, then deletes finished ones beyond the history limits.
    pub(super) fn execute(&mut self, id: ScaledJobId, turn: u32, world: &mut World<'_>) {
        let Some(entry) = self.loops.get_mut(&id).filter(|entry| entry.turn == turn) else { return };
        let Some(state) = entry.found.take() else { return };
        let record = &world.cluster.scaled_jobs[id.index()];
        let (spec, shape, generation) = (record.spec.clone(), record.shape, record.generation);
        let running = entry.unfinished.len() as i64;
        let pending = entry.unfinished.iter().filter(|job| job_is_pending(world, **job, &spec)).count() as i64;
        let decision = request_job_scale(&spec, self.capabilities, state, running, pending);
        let template = Job {
            name: String::new(),
            owner: Some(id),
            generation,
            shape,
            backoff_limit: spec.job_target_ref.backoff_limit,
            active_deadline: spec.job_target_ref.active_deadline_seconds.map(|seconds| seconds.duration()),
            pods: Vec::new(),
            failures: 0,
            created: world.now,
            finished: None,
            succeeded: false,
            gone: None,
        };
        for _ in 0..decision.create {
            let name = format!("{}-{}", world.cluster.scaled_jobs[id.index()].name, world.cluster.jobs.len());
            world.cluster.create_job(Job { name, ..template.clone() });
        }
        if decision.create > 0 {
            let rule = strategy_rule(spec.scaling_strategy.strategy);
            let detail = format!(
                "queue {}, wanted {} at most {}; {running} running, {pending} pending",
                state.scale_to, state.max_scale, decision.effective_max_scale
            );
            let unlimited = ScaledJobSpec { max_replica_count: Some(UNLIMITED as u32), ..(*spec).clone() };
            let state = entry.unlimited.unwrap_or(state);
            let wanted = request_job_scale(&unlimited, self.capabilities, state, running, pending).create;
            let wanted = Some(wanted).filter(|wanted| *wanted > decision.create);
            log(world, id, Action::Create, rule, (decision.create, wanted), detail);
        }
        for (finished, limit) in [
            (entry.succeeded.clone(), spec.successful_jobs_history_limit),
            (entry.failed.clone(), spec.failed_jobs_history_limit),
        ] {
            let times: Vec<Time> =
                finished.iter().map(|job| world.cluster.jobs[job.index()].finished.unwrap_or(Time::ZERO)).collect();
            for index in clean_up(&times, limit) {
                world.cluster.remove_job(world.now, finished[index]);
            }
        }
    }
}

const fn strategy_rule(strategy: JobStrategy) -> Rule {
    match strategy {
        JobStrategy::Default => Rule::StrategyDefault,
        JobStrategy::Custom => Rule::StrategyCustom,
        JobStrategy::Accurate => Rule::StrategyAccurate,
        JobStrategy::Eager => Rule::StrategyEager,
    }
}

fn delete_previous_version(entry: &JobLoop, id: ScaledJobId, generation: u32, world: &mut World<'_>) {
    let all = [&entry.unfinished, &entry.succeeded, &entry.failed].map(|list| list.clone()).concat();
    let old: Vec<JobId> =
        all.into_iter().filter(|job| world.cluster.jobs[job.index()].generation != generation).collect();
    if old.is_empty() {
        return;
    }
    let detail = format!("{} Jobs of an earlier spec", old.len());
    log(world, id, Action::Delete, Rule::ScaledJobRolloutCleanup, (old.len() as i64, None), detail);
    old.into_iter().for_each(|job| world.cluster.remove_job(world.now, job));
}

fn job_is_pending(world: &World<'_>, job: JobId, spec: &ScaledJobSpec) -> bool {
    let pods = world.cluster.jobs[job.index()].pods.iter().map(|pod| &world.cluster.pods[pod.index()]);
    let views: Vec<(JobPodPhase, Vec<&str>)> = pods
        .map(|pod| {
            let phase = match pod.phase {
                Phase::Running => JobPodPhase::Running,
                Phase::Succeeded => JobPodPhase::Succeeded,
                Phase::Pending | Phase::Failed => JobPodPhase::Other,
            };
            let holds = [
                ("PodScheduled", pod.node.is_some()),
                ("PodReadyToStartContainers", pod.sandbox),
                ("Initialized", pod.path.started.is_some()),
                ("ContainersReady", pod.ready),
                ("Ready", pod.ready),
            ];
            (phase, holds.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect())
        })
        .collect();
    let pods: Vec<JobPod<'_>> = views.iter().map(|(phase, conditions)| JobPod { phase: *phase, conditions }).collect();
    is_pending(&spec.scaling_strategy.pending_pod_conditions, &pods)
}

/// Logs that so many Jobs come or go; the second count is that without the rule, where it is another.
fn log(
    world: &mut World<'_>,
    job: ScaledJobId,
    action: Action,
    rule: Rule,
    (count, wanted): (i64, Option<i64>),
    detail: String,
) {
    let decision = Decision::plain(world.now, Controller::Keda, Subject::ScaledJob(job), action, rule, detail);
    world.cluster.decide(decision.about(Counts { wanted, ..Counts::to(count) }));
}
