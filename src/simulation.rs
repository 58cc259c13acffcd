//! One run: wires the controllers to the calendar and the data plane, and returns what it remembers. No policy here.

pub mod build;
pub mod changes;
mod controllers;
mod data;
pub mod laws;

use controllers::{Controllers, Event};
use data::Data;

use crate::cluster::{Change, Cluster, DeploymentId, PodId, QueueId, ScaledJobId, World};
use crate::consumer::{MessageTrail, MessageWatch, Notice, PodRef};
use crate::engine::law::Violations;
use crate::engine::{Calendar, Durations, Streams};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::scenario::validate::MAX_AT_ONCE;
use crate::sqs;
use crate::telemetry::outcome::Ended;
use crate::telemetry::outcome::QueueTotals;
use crate::telemetry::{Outcome, PodWork, QueueSample, Recorder, RunInfo};
use crate::time::{Duration, Time};

pub use build::BuildError;
pub use laws::{Broken, RunError};

/// Rows of counts that a run remembers between events of the control plane, at most.
const SAMPLES: i64 = 2000;
/// With more messages, pods and instances than this the laws are checked less often than after every sample.
const CHECKED_PER_SAMPLE: usize = 500;
/// Most changes that may follow from one event: more is a loop among controllers.
const MAX_CHANGES_PER_EVENT: usize = 10_000_000;

/// How often, at least, it is looked whether the queues hold too many messages.
const GUARD: Duration = Duration::from_secs(10);

/// How a scenario is run.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Number of the replication, from 0.
    pub replication: u32,
    /// Whether all laws are checked after every sample.
    pub check_invariants: bool,
    /// Told now and then how far the run is.
    pub progress: Option<&'a (dyn Fn(Time, u64) + Sync)>,
}

impl Options<'_> {
    /// One replication; laws are checked in debug builds.
    #[must_use]
    pub const fn replication(replication: u32) -> Self {
        Options { replication, check_invariants: cfg!(debug_assertions), progress: None }
    }

    /// The same, with all laws checked if `check` says so.
    #[must_use]
    pub const fn checked(self, check: bool) -> Self {
        Options { check_invariants: self.check_invariants || check, ..self }
    }
}

/// Runs a scenario once.
///
/// # Errors
/// When the scenario's region or catalogue cannot be used; when a law is violated while laws are checked.
pub fn run(scenario: &Scenario, options: Options<'_>) -> Result<Outcome, RunError> {
    Ok(Run::new(scenario, options)?.finished()?.0)
}

/// Runs a scenario once and follows one message: the `number`-th (from 1) that is sent to a queue, its initial backlog included.
/// The outcome is that of [`run`].
///
/// # Errors
/// As [`run`].
pub fn follow(
    scenario: &Scenario,
    options: Options<'_>,
    queue: QueueId,
    number: u64,
) -> Result<(Outcome, MessageTrail), RunError> {
    let mut run = Run::new(scenario, options)?;
    run.watch = Some(MessageWatch::new(sqs::QueueId(queue.0 as u16), number));
    run.look_at_message(Time::ZERO);
    Ok(run.finished()?)
}

struct Run<'a> {
    scenario: &'a Scenario,
    options: Options<'a>,
    calendar: Calendar<Event>,
    cluster: Cluster,
    controllers: Controllers,
    data: Data<'a>,
    recorder: Recorder,
    applied: Vec<(Time, crate::cluster::state::Applied)>,
    changes: Vec<Change>,
    end: Time,
    sample_every: Duration,
    /// How many messages may be checked for the samples since the latest check.
    checkable: usize,
    watch: Option<MessageWatch>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, options: Options<'a>) -> Result<Self, BuildError> {
        let streams = Streams::new(scenario.simulation.seed, u64::from(options.replication));
        let beginning = build::build(scenario, streams)?;
        let mut data = Data::new(scenario, &beginning.cluster, &streams);
        data.plane.measure_from(Time::ZERO + scenario.simulation.warm_up);
        let recorder = recorder(scenario, options.replication, &beginning.cluster, &data);
        let every = Duration::from_micros(scenario.simulation.duration.as_micros() / SAMPLES);
        let mut run = Run {
            scenario,
            options,
            calendar: Calendar::default(),
            controllers: Controllers::new(scenario, streams)?,
            cluster: beginning.cluster,
            data,
            recorder,
            applied: beginning.applied,
            changes: Vec::new(),
            end: Time::ZERO + scenario.simulation.duration,
            sample_every: every.max(Duration::from_secs(1)),
            checkable: 0,
            watch: None,
        };
        run.begin();
        Ok(run)
    }

    fn begin(&mut self) {
        for (index, (at, _)) in self.applied.iter().enumerate() {
            self.calendar.schedule(*at, Event::Apply(index as u32));
        }
        for (index, change) in self.scenario.changes.iter().enumerate() {
            self.calendar.schedule(Time::ZERO + change.at, Event::Change(index as u32));
        }
        self.calendar.schedule(Time::ZERO, Event::Sample);
        // So that integrals are known at the end of the warm-up.
        self.calendar.schedule(Time::ZERO + self.scenario.simulation.warm_up, Event::Look);
        let mut world = world(Time::ZERO, &mut self.cluster, self.scenario, &mut self.data);
        self.controllers.start(&mut world);
        self.settle(Time::ZERO);
    }

    fn finished(mut self) -> Result<(Outcome, MessageTrail), Box<Broken>> {
        let ended = self.advance(self.end)?;
        let end = match ended {
            Ended::Duration => self.end,
            // Seen between two events of the control plane.
            Ended::TooManyAtOnce => self.data.plane.now(),
            _ => self.calendar.now(),
        };
        let trail = self.watch.take().map(MessageWatch::trail).unwrap_or_default();
        Ok((self.finish(end, ended)?, trail))
    }

    /// Does all that happens before `until`, unless something ends the run earlier.
    fn advance(&mut self, until: Time) -> Result<Ended, Box<Broken>> {
        loop {
            if self.data.plane.sqs().most_messages() as u64 > MAX_AT_ONCE {
                return Ok(Ended::TooManyAtOnce);
            }
            let next = self.calendar.next_time().unwrap_or(until).min(until);
            let looked_at = next.min(self.data.plane.now() + GUARD);
            if let Some(notice) = self.advance_data(looked_at) {
                data::tell(notice, &mut self.cluster);
                self.settle(notice.at);
                continue;
            }
            if looked_at < next {
                continue;
            }
            if next >= until {
                return Ok(Ended::Duration);
            }
            let Some((now, event)) = self.calendar.pop() else { return Ok(Ended::Duration) };
            self.handle(now, event);
            self.settle_after(now, event);
            if matches!(event, Event::Sample) {
                self.check_in_turn(now)?;
            }
            if let Some(ended) = self.limit(now, event) {
                return Ok(ended);
            }
        }
    }

    /// The data plane up to `next` or its next notice; in single instants when a message is followed.
    fn advance_data(&mut self, next: Time) -> Option<Notice> {
        if self.watch.is_none() {
            return self.data.plane.advance(next);
        }
        loop {
            let instant = self.data.plane.next_event().filter(|instant| *instant < next);
            let notice = self.data.plane.advance(instant.unwrap_or(next));
            self.look_at_message(notice.map_or(instant.unwrap_or(next), |notice| notice.at));
            if notice.is_some() || instant.is_none() {
                return notice;
            }
        }
    }

    fn look_at_message(&mut self, now: Time) {
        if let Some(watch) = &mut self.watch {
            watch.look(now, &self.data.plane);
        }
    }

    fn handle(&mut self, now: Time, event: Event) {
        let mut world = world(now, &mut self.cluster, self.scenario, &mut self.data);
        if self.controllers.handle(event, &mut world) {
            return;
        }
        // Who applies an object, tries until the API server answers.
        if matches!(event, Event::Apply(_) | Event::Change(_))
            && let Some(end) = self.scenario.outage_end(FaultKind::ApiServerDown, now)
        {
            self.calendar.schedule(end, event);
            return;
        }
        match event {
            Event::Apply(index) => self.cluster.apply(now, self.applied[index as usize].1),
            Event::Change(index) => {
                let change = &self.scenario.changes[index as usize];
                changes::apply(now, change, self.scenario, &mut self.cluster);
            }
            Event::Look => self.look_at_queues(now),
            _ => self.sample(now),
        }
    }

    /// Lets all who watch see what an event changed, and puts what it made controllers want on the calendar. Most events change
    /// nothing.
    fn settle_after(&mut self, now: Time, event: Event) {
        if self.cluster.has_news() {
            self.settle(now);
        } else {
            self.look_at_message(now);
            self.controllers.collect_after(event, &mut self.calendar);
        }
    }

    /// Lets all who watch see what changed, and puts what the controllers want on the calendar.
    fn settle(&mut self, now: Time) {
        self.tell_all(now);
        self.controllers.collect(&mut self.calendar);
    }

    /// Hands changes to all who watch until nothing changes any more. Most events change nothing, so this is kept out of their way.
    #[inline(never)]
    fn tell_all(&mut self, now: Time) {
        let mut handled = 0;
        loop {
            self.cluster.take_changes(&mut self.changes);
            if handled == self.changes.len() {
                break;
            }
            while handled < self.changes.len() {
                let change = self.changes[handled];
                handled += 1;
                self.recorder.observe(now, &change, &self.cluster);
                self.data.observe(now, &change, &mut self.cluster);
                let mut world = world(now, &mut self.cluster, self.scenario, &mut self.data);
                self.controllers.observe(&change, &mut world);
            }
            assert!(handled < MAX_CHANGES_PER_EVENT, "controllers answer each other without end at {now}");
        }
        self.changes.clear();
        self.look_at_message(now);
        if self.cluster.take_noted() || handled > 0 {
            self.look_at_queues(now);
        }
        self.recorder.decisions(self.cluster.take_decisions());
    }

    fn look_at_queues(&mut self, now: Time) {
        for index in 0..self.data.plane.queues().len() {
            let sample = queue_sample(&mut self.data, now, index);
            self.recorder.queue_sample(now, QueueId(index as u32), &sample, &self.cluster);
        }
    }

    fn sample(&mut self, now: Time) {
        self.look_at_queues(now);
        if let Some(progress) = self.options.progress {
            progress(now, self.data.plane.events_made());
        }
        self.calendar.schedule(now + self.sample_every, Event::Sample);
    }

    /// Checks all laws, if that is asked for: after every sample, or with many messages, pods and instances so far after so many
    /// samples that it stays a small part of the work.
    fn check_in_turn(&mut self, now: Time) -> Result<(), Box<Broken>> {
        self.checkable += CHECKED_PER_SAMPLE;
        let things = self.data.plane.sqs().most_messages() + self.cluster.pods.len() + self.cluster.instances.len();
        if self.checkable < things {
            return Ok(());
        }
        self.checkable = 0;
        self.check(now)
    }

    fn check(&self, now: Time) -> Result<(), Box<Broken>> {
        if !self.options.check_invariants {
            return Ok(());
        }
        self.found(now, laws::check(&self.cluster, &self.data, &self.recorder, now)).unless_kept()
    }

    fn found(&self, at: Time, violations: Violations) -> Broken {
        let (seed, replication) = (self.scenario.simulation.seed, self.options.replication);
        let events = (self.calendar.scheduled(), self.data.plane.events_made());
        Broken { seed, replication, at, events, violations }
    }

    /// Whether the run ends before its duration is over.
    fn limit(&mut self, now: Time, event: Event) -> Option<Ended> {
        if !matches!(event, Event::Sample) {
            return None;
        }
        let simulation = &self.scenario.simulation;
        let sent: u64 = self.data.plane.queues().iter().map(|queue| queue.statistics().counters.sent).sum();
        if sent > simulation.max_messages {
            return Some(Ended::MessageLimit);
        }
        let existing = self.cluster.unbound.len()
            + self.cluster.live_nodes.iter().map(|node| self.cluster.nodes[node.index()].pods.len()).sum::<usize>();
        if existing > simulation.max_pods as usize {
            return Some(Ended::PodLimit);
        }
        (simulation.stop_when_idle && self.is_idle(now)).then_some(Ended::Idle)
    }

    /// Nothing in the queues, nothing to come, and no node of Karpenter's left.
    fn is_idle(&self, now: Time) -> bool {
        let empty = self.data.plane.queues().iter().all(|queue| queue.counts().depth().total() == 0);
        let later = self.scenario.changes.iter().any(|change| Time::ZERO + change.at > now);
        empty
            && !later
            && now > Time::ZERO
            && self.data.plane.next_arrival().is_none()
            && self.cluster.live_nodeclaims.is_empty()
    }

    fn finish(mut self, end: Time, ended: Ended) -> Result<Outcome, Box<Broken>> {
        self.look_at_queues(end);
        self.check(end)?;
        for index in 0..self.data.plane.queues().len() {
            let (totals, wait, sojourn) = totals(&mut self.data, end, index);
            let unfinished = self.data.plane.unfinished(end, sqs::QueueId(index as u16));
            self.recorder.queue_totals(QueueId(index as u32), totals, wait, sojourn, unfinished);
        }
        for (index, pod) in self.cluster.pods.iter().enumerate() {
            if let Some(kind) = self.data.kind(&self.cluster, pod.owner) {
                let settings = self.data.plane.consumer_settings(kind);
                let slots = settings.slots * settings.threads;
                let work = self.data.plane.work(end, PodRef(index as u32));
                let work = PodWork { busy: work.busy, wasted: work.wasted, slots };
                self.recorder.pod_work(PodId(index as u32), work, end, &self.cluster);
            }
        }
        let mut last = self.found(end, Violations::default());
        let Run { cluster, recorder, options, controllers, data, calendar, .. } = self;
        // What controllers know of many pods makes room for the outcome.
        drop((controllers, data, calendar));
        let outcome = recorder.finish(end, ended, cluster);
        if options.check_invariants {
            outcome.check(&mut last.violations);
        }
        last.unless_kept()?;
        Ok(outcome)
    }
}

fn world<'w>(now: Time, cluster: &'w mut Cluster, scenario: &'w Scenario, queues: &'w mut Data<'_>) -> World<'w> {
    World { now, cluster, scenario, queues }
}

fn recorder(scenario: &Scenario, replication: u32, cluster: &Cluster, data: &Data<'_>) -> Recorder {
    let simulation = &scenario.simulation;
    let info = RunInfo {
        scenario: String::new(),
        region: simulation.region.clone(),
        seed: simulation.seed,
        replication,
        warm_up: Time::ZERO + simulation.warm_up,
    };
    let price = |queue: &sqs::Queue| (queue.settings().name.clone(), sqs::price::per_million(queue.settings().kind));
    let mut recorder = Recorder::new(info, data.plane.queues().iter().map(price).collect(), cluster);
    recorder.settings(scenario);
    for index in 0..cluster.deployments.len() {
        let id = DeploymentId(index as u32);
        let kind = data.kind(cluster, crate::cluster::pod::Owner::Deployment(id));
        if let Some(queue) = kind.and_then(|kind| data.queue_of(kind)) {
            recorder.deployment_consumes(id, queue);
        }
    }
    for index in 0..cluster.scaled_jobs.len() {
        if let Some(queue) = data.scaled_job_queue(index) {
            recorder.scaled_job_consumes(ScaledJobId(index as u32), queue);
        }
    }
    recorder
}

fn queue_sample(data: &mut Data<'_>, now: Time, index: usize) -> QueueSample {
    let id = sqs::QueueId(index as u16);
    let depth = data.plane.true_counts(id);
    let window = data.plane.take_window(now, id);
    let areas = data.plane.areas(now, id);
    let oldest_age = data.plane.age_of_oldest(now, id);
    let group_blocked = data.plane.blocked(id) as i64;
    let lost_in_flight = data.plane.lost_in_flight(id) as i64;
    let counters = &data.plane.queues()[index].statistics().counters;
    QueueSample {
        visible: depth.visible as i64,
        in_flight: depth.in_flight as i64,
        visible_between: window.visible,
        in_flight_between: window.in_flight,
        areas,
        delayed: depth.delayed as i64,
        group_blocked,
        lost_in_flight,
        oldest_age,
        sent: counters.sent as i64,
        processed: counters.deleted as i64,
        dead_lettered: counters.dead_lettered as i64,
    }
}

fn totals(data: &mut Data<'_>, end: Time, index: usize) -> (QueueTotals, Durations, Durations) {
    let id = sqs::QueueId(index as u16);
    let left = data.plane.true_counts(id).total();
    let statistics = data.plane.statistics(end, id);
    let counters = &statistics.counters;
    let totals = QueueTotals {
        sent: counters.sent,
        received: counters.received,
        processed: counters.deleted,
        expired: counters.visibility_expired,
        duplicates: counters.duplicates,
        dead_lettered: counters.dead_lettered,
        retention_expired: counters.retention_expired,
        purged: counters.purged,
        redriven: counters.redriven,
        left,
        requests: counters.requests.total(),
        last_sent: statistics.last_sent,
        first_processed: statistics.first_deleted,
        last_processed: statistics.last_deleted,
    };
    (totals, statistics.wait.clone(), statistics.sojourn.clone())
}
