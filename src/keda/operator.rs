//! The operator: reconciles ScaledObjects, runs one poll loop for each, and answers the HPA's pulls
//! (`controllers/keda/scaledobject_controller.go`, `pkg/scaling/scale_handler.go: startScaleLoop, checkScalers`,
//! `pkg/provider/provider.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::annotations::Annotations;
use super::capabilities::Capabilities;
use super::executor::{Row, ScaleRequest, ScaleResult, request_scale};
use super::fallback::FallbackContext;
use super::hpa_spec::{check_replica_count_bounds_are_valid, get_hpa_name, new_hpa_for_scaled_object};
use super::job_loop::JobLoops;
use super::sources::{Asker, query};
use super::state::{
    ObjectState, QueryError, QueryResult, Records, ScalersCache, Status, get_scaled_object_metrics,
    get_scaled_object_state,
};
use crate::api::keda::ScaledObjectSpec;
use crate::cluster::workload::{Hpa, HpaStatus};
use crate::cluster::{
    Action, Change, Controller, Counts, Decision, DeploymentId, HpaId, MetricAnswer, Rule, ScaledJobId, ScaledObjectId,
    Subject, World,
};
use crate::engine::{Agenda, Streams, TokenBucket};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

/// From a reconcile that starts a loop to the loop's first poll, where `keda_first_poll` does not say otherwise.
const RECONCILE_TO_POLL: Duration = Duration::from_millis(10);
/// Readiness probe of the operator's pod: before, its Service sends no pulls to it.
const SERVING_DELAY: Duration = Duration::from_secs(20);
/// Reconciles that the client's burst lets through at once after a start.
const START_BURST: usize = 10;
/// Time between two further reconciles after a start: three status patches each at 20 calls a second.
const START_SPACING: Duration = Duration::from_millis(150);

/// What the operator wants to happen later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A ScaledObject is reconciled.
    Reconcile(ScaledObjectId),
    /// A poll begins.
    Poll {
        /// Whose.
        object: ScaledObjectId,
        /// Tells stale events apart.
        turn: u32,
    },
    /// The executor acts on what the poll found.
    Execute {
        /// Whose.
        object: ScaledObjectId,
        /// Tells stale events apart.
        turn: u32,
    },
    /// A ScaledJob is reconciled.
    ReconcileJob(ScaledJobId),
    /// A ScaledJob's poll begins.
    PollJob {
        /// Whose.
        job: ScaledJobId,
        /// Tells stale events apart.
        turn: u32,
    },
    /// Jobs are created and old ones deleted.
    ExecuteJob {
        /// Whose.
        job: ScaledJobId,
        /// Tells stale events apart.
        turn: u32,
    },
    /// The operator goes down.
    Down,
    /// The operator starts.
    Start,
}

/// Which of the two loops failed last, and from when to when: the other loop's failures meanwhile are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failing {
    by_poll: bool,
    from: Time,
    to: Time,
}

/// One ScaledObject.
#[derive(Default)]
struct ObjectLoop {
    /// Generation whose loop was started by this process; none while no loop runs.
    started: Option<u32>,
    turn: u32,
    /// Interval of the running loop, fixed for its life.
    interval: Duration,
    /// Scalers with the generation they were built from.
    cache: Option<(u32, Result<Arc<ScalersCache>, String>)>,
    status: Status,
    records: Records,
    hpa: Option<HpaId>,
    /// What the poll under way found.
    found: Option<ObjectState>,
    failing: Option<Failing>,
    logged: Option<Row>,
}

/// KEDA's operator with its metrics server.
pub struct Operator {
    objects: BTreeMap<ScaledObjectId, ObjectLoop>,
    jobs: JobLoops,
    capabilities: Capabilities,
    streams: Streams,
    down: bool,
    /// Rate of its status patches.
    client: TokenBucket,
    /// Pulls are answered from here on.
    serving_from: Time,
}

impl Operator {
    /// The operator of a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> Self {
        let capabilities = Capabilities::of_keda(u32::from(scenario.versions.keda.minor));
        Operator {
            objects: BTreeMap::new(),
            jobs: JobLoops::new(capabilities, streams),
            capabilities,
            streams,
            down: false,
            client: TokenBucket::new(scenario.keda.kube_api_qps.max(1), scenario.keda.kube_api_burst.max(1)),
            serving_from: Time::ZERO,
        }
    }

    /// Asks for the outages of the scenario.
    pub fn start(&mut self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        for (from, until) in world.scenario.outages(FaultKind::KedaDown) {
            agenda.at(from, Event::Down);
            if until < Time::MAX {
                agenda.at(until, Event::Start);
            }
        }
    }

    /// Handles one of its own events.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if !matches!(event, Event::Down | Event::Start)
            && let Some(end) = world.scenario.outage_end(FaultKind::ApiServerDown, world.now)
        {
            agenda.at(end, event);
            return;
        }
        match event {
            Event::Down => self.down = true,
            Event::Start => self.restart(world, agenda),
            _ if self.down => {}
            Event::Reconcile(object) => self.reconcile(object, world, agenda),
            Event::Poll { object, turn } => {
                if self.is_current(object, turn) {
                    self.poll(object, world, agenda);
                }
            }
            Event::Execute { object, turn } => {
                if self.is_current(object, turn) {
                    self.execute(object, world);
                }
            }
            Event::ReconcileJob(job) => self.jobs.reconcile(job, world, agenda),
            Event::PollJob { job, turn } => self.jobs.poll(job, turn, world, agenda),
            Event::ExecuteJob { job, turn } => self.jobs.execute(job, turn, world),
        }
    }

    /// Watches ScaledObjects, ScaledJobs, their HPAs, targets and Jobs.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let later = world.now + world.scenario.clocks.keda_hpa_created;
        match *change {
            Change::ScaledObjectSpec(object) | Change::ScaledObjectAnnotations(object) => {
                agenda.at(later, Event::Reconcile(object));
            }
            Change::ScaledObjectDeleted(object) => agenda.at(world.now, Event::Reconcile(object)),
            Change::HpaDeleted(hpa) => {
                let owner = world.cluster.hpas[hpa.index()].owner;
                if let Some(object) = owner.filter(|owner| self.objects.get(owner).is_some_and(|o| o.hpa == Some(hpa)))
                {
                    agenda.at(later, Event::Reconcile(object));
                }
            }
            Change::DeploymentSpec(target) => {
                for (object, entry) in &self.objects {
                    // Its reconcile failed, and was tried again, until the target is there.
                    let waits = entry.status.original_replicas.is_none();
                    if waits && world.cluster.scaled_objects[object.index()].target == Some(target) {
                        agenda.at(later, Event::Reconcile(*object));
                    }
                }
            }
            Change::ScaledJobSpec(job) => agenda.at(later, Event::ReconcileJob(job)),
            Change::ScaledJobDeleted(job) => agenda.at(world.now, Event::ReconcileJob(job)),
            _ => self.jobs.observe(change, world),
        }
    }

    fn is_current(&self, object: ScaledObjectId, turn: u32) -> bool {
        self.objects.get(&object).is_some_and(|entry| entry.turn == turn && entry.started.is_some())
    }

    /// Every object is reconciled at once, as fast as the client's rate lets through; what was in memory is gone.
    fn restart(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        self.down = false;
        self.serving_from = world.now + SERVING_DELAY;
        self.objects.values_mut().for_each(stop_scale_loop);
        let applied = |at: Option<Time>| at.is_some();
        let objects = world.cluster.scaled_objects.iter().enumerate().filter(|(_, so)| applied(so.applied));
        let ids: Vec<ScaledObjectId> = objects.map(|(index, _)| ScaledObjectId(index as u32)).collect();
        for (place, object) in ids.into_iter().enumerate() {
            let wait = START_SPACING * place.saturating_sub(START_BURST - 1) as i64;
            agenda.at(world.now + wait, Event::Reconcile(object));
        }
        self.jobs.restart(world, agenda);
    }

    // ---- reconciler ----

    /// `reconcileScaledObject`, and the finalizer for deleted objects.
    fn reconcile(&mut self, id: ScaledObjectId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.scaled_objects[id.index()];
        let Some(applied) = record.applied else { return };
        let (spec, generation) = (record.spec.clone(), record.generation);
        let annotations = Annotations::of(&record.annotations, self.capabilities);
        let target = record.target.filter(|target| world.cluster.deployments[target.index()].applied.is_some());
        let deleted = record.deleted;
        let entry = self.objects.entry(id).or_default();
        if deleted {
            finalize(entry, &spec, target, world);
            return;
        }
        let Some(target) = target else {
            log(world, id, Action::Blocked, Rule::ScaleTargetErr, None, "the scale target does not exist".to_owned());
            return;
        };
        entry.status.original_replicas.get_or_insert(world.cluster.deployments[target.index()].replicas);
        if annotations.paused {
            handle_pause(entry, id, annotations, target, world);
            return;
        }
        let built = check_replica_count_bounds_are_valid(&spec)
            .map_err(|error| error.to_string())
            .and_then(|()| scalers(entry, generation, &spec, self.capabilities))
            .and_then(|cache| new_hpa_for_scaled_object(&spec, annotations, &cache).map_err(|e| e.to_string()));
        let hpa_spec = match built {
            Ok(hpa_spec) => hpa_spec,
            Err(error) => {
                log(world, id, Action::Blocked, Rule::ScaledObjectCheckFailed, None, error);
                return;
            }
        };
        let name = get_hpa_name(&world.cluster.scaled_objects[id.index()].name, &spec);
        let created = ensure_hpa(entry, id, name, hpa_spec, target, world);
        if created || entry.started != Some(generation) {
            let first = self.first_poll(id, applied, generation, &spec, world);
            self.start_scale_loop(id, generation, &spec, first, agenda);
        }
    }

    /// When a loop that starts now polls first. Objects of the beginning have a phase of long ago.
    fn first_poll(
        &self,
        id: ScaledObjectId,
        applied: Time,
        generation: u32,
        spec: &ScaledObjectSpec,
        world: &World<'_>,
    ) -> Time {
        let clocks = &world.scenario.clocks;
        let is_first = generation == 1 && self.objects.get(&id).is_none_or(|entry| entry.turn == 0);
        match clocks.keda_first_poll {
            Some(given) if is_first => (applied + given).max(world.now),
            None if is_first && applied == Time::ZERO => {
                let name = &world.cluster.scaled_objects[id.index()].name;
                let share = self.streams.open_named("keda-phase", name).unit();
                let phase = spec.polling_interval.duration().as_secs_f64() * share;
                (applied + Duration::from_secs_f64(phase)).max(world.now)
            }
            Some(given) => world.now + (given - clocks.keda_hpa_created).max_zero(),
            None => world.now + RECONCILE_TO_POLL,
        }
    }

    /// A loop that runs is cancelled and its records go with it; the new one polls at once.
    fn start_scale_loop(
        &mut self,
        object: ScaledObjectId,
        generation: u32,
        spec: &ScaledObjectSpec,
        first: Time,
        agenda: &mut Agenda<Event>,
    ) {
        let entry = self.objects.entry(object).or_default();
        stop_scale_loop(entry);
        entry.started = Some(generation);
        entry.interval = spec.polling_interval.duration().max(Duration::from_secs(1));
        agenda.at(first, Event::Poll { object, turn: entry.turn });
    }

    // ---- poll loop ----

    /// Asks all triggers; the next poll is due one interval after this one began.
    fn poll(&mut self, object: ScaledObjectId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let capabilities = self.capabilities;
        let Some(entry) = self.objects.get_mut(&object) else { return };
        let clocks = &world.scenario.clocks;
        let (write, failed) = (clocks.keda_scale_write, clocks.keda_failed_query);
        let turn = entry.turn;
        let next = world.now + entry.interval;
        let record = &world.cluster.scaled_objects[object.index()];
        let (spec, generation, target) = (record.spec.clone(), record.generation, record.target);
        let built = scalers(entry, generation, &spec, capabilities);
        let (Ok(cache), Some(target)) = (built, target) else {
            agenda.at(next + clocks.keda_poll_slip, Event::Poll { object, turn });
            return;
        };
        let context = fallback_context(world, &spec, target, capabilities);
        let closed = entry.failing.is_some_and(|failing| !failing.by_poll && world.now < failing.to);
        let found = get_scaled_object_state(&cache, &context, &mut entry.status, |index| {
            ask(world, Asker::ScaledObject(object), index, &cache, closed)
        });
        let mut end = world.now + write;
        let mut patched = end;
        if found.active && !found.error {
            // The last active time is another one, so the status is patched before the loop goes on.
            patched = self.client.take(end);
        }
        if found.error {
            end = world.now + write.max(failed);
            entry.failing = Some(Failing { by_poll: true, from: world.now, to: world.now + failed });
            clear_scalers_cache(entry, capabilities);
        }
        entry.found = Some(found);
        agenda.at(end, Event::Execute { object, turn });
        agenda.at(next.max(end).max(patched) + world.scenario.clocks.keda_poll_slip, Event::Poll { object, turn });
    }

    /// The executor with what the poll found, then the status and the records.
    fn execute(&mut self, object: ScaledObjectId, world: &mut World<'_>) {
        let capabilities = self.capabilities;
        let Some(entry) = self.objects.get_mut(&object) else { return };
        let Some(found) = entry.found.take() else { return };
        let record = &world.cluster.scaled_objects[object.index()];
        let (spec, target) = (record.spec.clone(), record.target);
        let Some(target) = target else { return };
        let second = Time::ZERO + world.scenario.clocks.whole_second;
        let replicas = world.cluster.deployments[target.index()].replicas;
        let request = ScaleRequest {
            spec: &spec,
            annotations: Annotations::of(&record.annotations, capabilities),
            active: found.active,
            error: found.error,
            replicas,
            last_active: entry.status.last_active,
            created: record.applied.unwrap_or(Time::ZERO).floor_second(second),
            initial_cooldown: capabilities.initial_cooldown,
            zero_from_one_only: world.scenario.keda.zero_from_one_only,
            now: world.now,
        };
        let result = request_scale(&request);
        if let Some(replicas) = result.scale_to {
            world.cluster.scale_deployment(target, replicas);
        }
        log_result(entry, object, &request, result, &found, world);
        if result.refresh_last_active {
            entry.status.last_active = Some(world.now.floor_second(second));
        }
        if !found.records.is_empty() {
            entry.records = found.records;
        }
    }

    // ---- metrics server ----

    /// Answers the HPA's pull of one metric (`GetExternalMetric`).
    pub fn pull(&mut self, object: ScaledObjectId, metric: &str, world: &mut World<'_>) -> MetricAnswer {
        let capabilities = self.capabilities;
        let failure = |error: &str| MetricAnswer { values: Err(error.to_owned()), cached: false };
        if self.down || world.now < self.serving_from {
            return failure("no connection to the KEDA operator");
        }
        if world.scenario.outage_end(FaultKind::KedaMetricsServerDown, world.now).is_some() {
            return failure("the external metrics API does not answer");
        }
        let record = &world.cluster.scaled_objects[object.index()];
        let (spec, generation, target) = (record.spec.clone(), record.generation, record.target);
        let Some(entry) = self.objects.get_mut(&object) else { return failure("error getting scalers") };
        let (Ok(cache), Some(target)) = (scalers(entry, generation, &spec, capabilities), target) else {
            return failure("error getting scalers");
        };
        let context = fallback_context(world, &spec, target, capabilities);
        let closed =
            entry.failing.is_some_and(|failing| failing.by_poll && failing.from <= world.now && world.now < failing.to);
        let mut asked = false;
        let pull = get_scaled_object_metrics(&cache, &context, &mut entry.status, &entry.records, metric, |index| {
            asked = true;
            ask(world, Asker::ScaledObject(object), index, &cache, closed)
        });
        if pull.scaler_error {
            let to = world.now + world.scenario.clocks.keda_failed_query;
            entry.failing = Some(Failing { by_poll: false, from: world.now, to });
            clear_scalers_cache(entry, capabilities);
        }
        MetricAnswer { values: pull.values, cached: !asked }
    }
}

/// One query; while the other loop's failure throws the scalers away, a failure of this one does not count.
fn ask(world: &mut World<'_>, asker: Asker, index: usize, cache: &ScalersCache, closed: bool) -> QueryResult {
    match query(world, asker, index, &cache.triggers[index].scaler) {
        Err(QueryError::Failed(_)) if closed => Err(QueryError::CacheClosed),
        result => result,
    }
}

/// The scalers of this generation, built if need be (`GetScalersCache`).
fn scalers(
    entry: &mut ObjectLoop,
    generation: u32,
    spec: &ScaledObjectSpec,
    capabilities: Capabilities,
) -> Result<Arc<ScalersCache>, String> {
    if entry.cache.as_ref().is_none_or(|(built, _)| *built != generation) {
        let built = ScalersCache::build(spec, capabilities).map(Arc::new).map_err(|error| error.to_string());
        entry.cache = Some((generation, built));
    }
    entry.cache.as_ref().map_or_else(|| Err(String::new()), |(_, built)| built.clone())
}

/// `ClearScalersCache`: the scalers are the same when built again, but cached records may go.
fn clear_scalers_cache(entry: &mut ObjectLoop, capabilities: Capabilities) {
    if !capabilities.records_survive_errors {
        entry.records.clear();
    }
}

fn fallback_context<'a>(
    world: &World<'_>,
    spec: &'a ScaledObjectSpec,
    target: DeploymentId,
    capabilities: Capabilities,
) -> FallbackContext<'a> {
    let deployment = &world.cluster.deployments[target.index()];
    let ready_pods = if spec.fallback.is_some() {
        let pods = deployment.pods.iter().map(|pod| &world.cluster.pods[pod.index()]);
        // Only pods that run are ready.
        pods.filter(|pod| pod.ready).count() as u32
    } else {
        0
    };
    FallbackContext { spec, replicas: deployment.replicas, ready_pods, capabilities }
}

fn stop_scale_loop(entry: &mut ObjectLoop) {
    entry.turn += 1;
    entry.started = None;
    entry.records.clear();
    entry.cache = None;
    entry.found = None;
}

/// Creates the HPA, renames it, or brings its spec up to date. Returns whether it is a new one.
fn ensure_hpa(
    entry: &mut ObjectLoop,
    owner: ScaledObjectId,
    name: String,
    spec: crate::api::hpa::HpaSpec,
    target: DeploymentId,
    world: &mut World<'_>,
) -> bool {
    if let Some(hpa) = entry.hpa.filter(|hpa| world.cluster.hpas[hpa.index()].exists) {
        let record = &mut world.cluster.hpas[hpa.index()];
        if record.name == name {
            if *record.spec != spec {
                record.spec = Arc::new(spec);
                world.cluster.announce(Change::HpaSpec(hpa));
            }
            return false;
        }
        entry.hpa = None;
        world.cluster.delete_hpa(hpa);
    }
    let spec = Arc::new(spec);
    let (created, owner, target) = (world.now, Some(owner), Some(target));
    let status = HpaStatus::default();
    entry.hpa = Some(world.cluster.create_hpa(Hpa { name, spec, owner, target, created, exists: true, status }));
    true
}

/// Stops the loop, deletes the HPA and, with `paused-replicas`, sets the count (`handlePause`).
fn handle_pause(
    entry: &mut ObjectLoop,
    id: ScaledObjectId,
    annotations: Annotations,
    target: DeploymentId,
    world: &mut World<'_>,
) {
    stop_scale_loop(entry);
    if let Some(hpa) = entry.hpa.take() {
        world.cluster.delete_hpa(hpa);
    }
    let before = world.cluster.deployments[target.index()].replicas;
    let after = annotations.paused_replicas.unwrap_or(before);
    world.cluster.scale_deployment(target, after);
    let counts = Some((i64::from(before), i64::from(after)));
    log(world, id, Action::Pause, Row::Paused.rule(), counts, "loop stopped, HPA deleted".to_owned());
}

/// Stops the loop, restores the count seen at first if asked to, and lets the HPA be collected.
fn finalize(entry: &mut ObjectLoop, spec: &ScaledObjectSpec, target: Option<DeploymentId>, world: &mut World<'_>) {
    stop_scale_loop(entry);
    let restore = spec.advanced.as_ref().is_some_and(|advanced| advanced.restore_to_original_replica_count);
    if let (true, Some(target), Some(original)) = (restore, target, entry.status.original_replicas) {
        world.cluster.scale_deployment(target, original);
    }
    if let Some(hpa) = entry.hpa.take() {
        world.cluster.delete_hpa(hpa);
    }
}

fn log(
    world: &mut World<'_>,
    object: ScaledObjectId,
    action: Action,
    rule: Rule,
    counts: Option<(i64, i64)>,
    detail: String,
) {
    let decision = Decision::plain(world.now, Controller::Keda, Subject::ScaledObject(object), action, rule, detail);
    world.cluster.decide(decision.about(counts.map(|(from, to)| Counts::change(from, to))));
}

/// Logs every write, and every hold for another reason than the last.
fn log_result(
    entry: &mut ObjectLoop,
    object: ScaledObjectId,
    request: &ScaleRequest<'_>,
    result: ScaleResult,
    found: &ObjectState,
    world: &mut World<'_>,
) {
    let changes = result.scale_to.is_some_and(|to| to != request.replicas);
    if !changes && entry.logged == Some(result.row) {
        return;
    }
    entry.logged = Some(result.row);
    let values: Vec<String> =
        found.values.iter().map(|(name, milli)| format!("{name} = {}", *milli as f64 / 1000.0)).collect();
    let values = if values.is_empty() { "no value".to_owned() } else { values.join(", ") };
    let since = match request.last_active {
        Some(at) => format!("last active at {at}"),
        None => "never active".to_owned(),
    };
    let detail = match result.row {
        Row::Cooldown | Row::ScaleToZeroOrIdle => {
            format!("{values}; {since}, cooldownPeriod {} s", request.spec.cooldown_period.0)
        }
        _ => format!("{values}; active {}, error {}", request.active, request.error),
    };
    let counts = (i64::from(request.replicas), i64::from(result.scale_to.unwrap_or(request.replicas)));
    let action = if changes { Action::Scale } else { Action::Hold };
    log(world, object, action, result.row.rule(), Some(counts), detail);
}
