//! The controller's work queue and its writes (`horizontal.go: enqueueHPA, processNextWorkItem, reconcileKey`,
//! `rate_limiters.go`): every HPA comes up a fixed period after the end of its last pass, whatever that brought.

use std::sync::Arc;

use super::history::History;
use super::metrics_server::MetricsServer;
use super::observe;
use super::reconcile::{
    Autoscaler, Decision, Observed, Rule, Selector, evaluates_metrics, reconcile, record_failed_get_scale,
    record_failed_scale, record_scale,
};
use super::settings::{Capabilities, Settings};
use super::status::{Condition, Reason, Status};
use crate::cluster::workload::HpaStatus;
use crate::cluster::{
    Action, Change, Controller as Who, Counts, Decision as Logged, DeploymentId, ExternalMetrics, HpaId, NodeId,
    Subject, World,
};
use crate::engine::{Agenda, Streams};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

/// `concurrent-horizontal-pod-autoscaler-syncs`.
const WORKERS: usize = 5;

/// What the controller wants to happen later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An HPA comes up.
    Pass {
        /// Its place in the controller's list.
        key: u32,
        /// Tells stale events apart.
        turn: u32,
    },
    /// A pass writes the scale.
    Write {
        /// Its place in the controller's list.
        key: u32,
        /// Tells stale events apart.
        turn: u32,
    },
    /// metrics-server reads the counters of a node's pods.
    Scrape(NodeId),
    /// kube-controller-manager goes down.
    Down,
    /// kube-controller-manager starts, with nothing in memory.
    Start,
}

/// One HPA by name: what the queue and the controller's memory know of it.
struct Entry {
    name: String,
    /// The object of that name, if there is one.
    hpa: Option<HpaId>,
    autoscaler: Option<Arc<Autoscaler>>,
    /// State of its target's selector, until HPAs come or go.
    selector: Option<Selector>,
    history: History,
    status: Status,
    /// Whether the queue holds the key.
    queued: bool,
    turn: u32,
    /// The decision of the pass under way, not yet written.
    pending: Option<Decision>,
    /// The last decision.
    last: Option<Decision>,
    /// Reasons of the conditions when they were last logged.
    logged: [Option<Reason>; 3],
}

/// The HorizontalPodAutoscaler controller.
pub struct Controller {
    entries: Vec<Entry>,
    metrics_server: MetricsServer,
    settings: Settings,
    streams: Streams,
    /// When each worker is free.
    workers: [Time; WORKERS],
    down: bool,
}

impl Controller {
    /// The controller of a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> Self {
        let flags = &scenario.hpa;
        let settings = Settings {
            downscale_stabilization: flags.downscale_stabilization,
            tolerance: flags.tolerance,
            cpu_initialization_period: flags.cpu_initialization_period,
            initial_readiness_delay: flags.initial_readiness_delay,
            capabilities: Capabilities::of_kubernetes(u32::from(scenario.versions.kubernetes.minor)),
            ..Settings::default()
        };
        Controller {
            entries: Vec::new(),
            metrics_server: MetricsServer::new(flags.metrics_resolution, streams),
            settings,
            streams,
            workers: [Time::ZERO; WORKERS],
            down: false,
        }
    }

    /// Asks for the outages of the scenario.
    pub fn start(&mut self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let triggers = world.scenario.scaled_objects.iter().flat_map(|object| &object.spec.triggers);
        if !world.scenario.hpas.is_empty()
            || triggers.into_iter().any(|trigger| matches!(trigger.kind.as_str(), "cpu" | "memory"))
        {
            self.metrics_server.begin(world, agenda);
        }
        for (from, until) in world.scenario.outages(FaultKind::ControllerManagerDown) {
            agenda.at(from, Event::Down);
            if until < Time::MAX {
                agenda.at(until, Event::Start);
            }
        }
    }

    /// The status of an HPA.
    #[must_use]
    pub fn status(&self, hpa: HpaId) -> Option<&Status> {
        self.entries.iter().find(|entry| entry.hpa == Some(hpa)).map(|entry| &entry.status)
    }

    /// Handles one of its own events. `external` answers pulls of external metrics.
    pub fn handle(
        &mut self,
        event: Event,
        world: &mut World<'_>,
        agenda: &mut Agenda<Event>,
        external: &mut ExternalMetrics<'_>,
    ) {
        if matches!(event, Event::Pass { .. } | Event::Write { .. })
            && let Some(end) = world.scenario.outage_end(FaultKind::ApiServerDown, world.now)
        {
            agenda.at(end, event);
            return;
        }
        match event {
            Event::Pass { key, turn } => {
                if self.is_current(key, turn) {
                    self.pass(key, world, agenda, external);
                }
            }
            Event::Write { key, turn } => {
                if self.is_current(key, turn) {
                    self.write(key, world);
                }
            }
            Event::Scrape(node) => self.metrics_server.scrape(node, world, agenda),
            Event::Down => self.down = true,
            Event::Start => self.restart(world, agenda),
        }
    }

    /// Watches HPAs.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if matches!(change, Change::HpaCreated(_) | Change::HpaDeleted(_)) {
            self.entries.iter_mut().for_each(|entry| entry.selector = None);
        }
        self.metrics_server.observe(change, world, agenda);
        match *change {
            Change::HpaCreated(hpa) => self.created(hpa, world, agenda),
            Change::HpaSpec(hpa) => {
                let Some(key) = self.entries.iter().position(|entry| entry.hpa == Some(hpa)) else { return };
                self.entries[key].autoscaler = None;
                if self.settings.capabilities.immediate_spec_change {
                    self.enqueue(key, world.now, agenda);
                }
            }
            Change::HpaDeleted(hpa) => {
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.hpa == Some(hpa)) {
                    entry.hpa = None;
                    entry.pending = None;
                }
            }
            _ => {}
        }
    }

    fn is_current(&self, key: u32, turn: u32) -> bool {
        !self.down && self.entries[key as usize].turn == turn
    }

    /// A key is added to the queue; one that is there already keeps its earlier time.
    fn created(&mut self, hpa: HpaId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let name = &world.cluster.hpas[hpa.index()].name;
        let found = self.entries.iter().position(|entry| entry.name == *name);
        let key = found.unwrap_or_else(|| {
            self.entries.push(Entry {
                name: name.clone(),
                hpa: None,
                autoscaler: None,
                selector: None,
                history: History::default(),
                status: Status::default(),
                queued: false,
                turn: 0,
                pending: None,
                last: None,
                logged: [None; 3],
            });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[key];
        entry.hpa = Some(hpa);
        entry.autoscaler = None;
        entry.status = Status::default();
        if !entry.queued {
            let delay = self.first_pass(hpa, world);
            self.enqueue(key, world.now + delay, agenda);
        } else if self.settings.capabilities.immediate_first_pass {
            self.enqueue(key, world.now, agenda);
        }
    }

    /// From an HPA's creation to its first pass. HPAs of the beginning have a phase of long ago.
    fn first_pass(&self, hpa: HpaId, world: &World<'_>) -> Duration {
        let clocks = &world.scenario.clocks;
        if let Some(given) = clocks.hpa_first_pass {
            return given;
        }
        let object = &world.cluster.hpas[hpa.index()];
        let applied = object.owner.map(|owner| world.cluster.scaled_objects[owner.index()].applied);
        let from_beginning = applied.unwrap_or(Some(object.created)) == Some(Time::ZERO);
        if from_beginning {
            let share = self.streams.open_named("hpa-phase", &object.name).unit();
            return Duration::from_secs_f64(clocks.hpa_sync_period.as_secs_f64() * share);
        }
        if self.settings.capabilities.immediate_first_pass { Duration::ZERO } else { clocks.hpa_sync_period }
    }

    fn enqueue(&mut self, key: usize, at: Time, agenda: &mut Agenda<Event>) {
        let entry = &mut self.entries[key];
        entry.turn += 1;
        entry.queued = true;
        agenda.at(at, Event::Pass { key: key as u32, turn: entry.turn });
    }

    /// All HPAs arrive in one burst; recommendations, events and phases are new.
    fn restart(&mut self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        self.down = false;
        let immediate = self.settings.capabilities.immediate_first_pass;
        let delay = if immediate { Duration::ZERO } else { world.scenario.clocks.hpa_sync_period };
        for key in 0..self.entries.len() {
            self.entries[key].history = History::default();
            self.entries[key].pending = None;
            if self.entries[key].hpa.is_some() {
                self.enqueue(key, world.now + delay, agenda);
            } else {
                self.entries[key].queued = false;
            }
        }
    }

    /// One pass: read, decide, and either write later or be done.
    fn pass(
        &mut self,
        key: u32,
        world: &mut World<'_>,
        agenda: &mut Agenda<Event>,
        external: &mut ExternalMetrics<'_>,
    ) {
        let index = key as usize;
        let Some(hpa) = self.entries[index].hpa else {
            // Only a pass that finds the object gone forgets it.
            let entry = &mut self.entries[index];
            entry.history = History::default();
            entry.queued = false;
            return;
        };
        let worker = (0..WORKERS).min_by_key(|worker| self.workers[*worker]).unwrap_or(0);
        if self.workers[worker] > world.now {
            let turn = self.entries[index].turn;
            agenda.at(self.workers[worker], Event::Pass { key, turn });
            return;
        }
        let object = &world.cluster.hpas[hpa.index()];
        let target = object.target.filter(|target| world.cluster.deployments[target.index()].applied.is_some());
        let entry = &mut self.entries[index];
        let spec = &object.spec;
        let autoscaler = entry.autoscaler.get_or_insert_with(|| Arc::new(Autoscaler::of_spec(spec))).clone();
        let length = match target {
            None => {
                record_failed_get_scale(&mut entry.status);
                world.scenario.clocks.hpa_pass_dormant
            }
            Some(target) => self.evaluate(index, hpa, target, &autoscaler, world, external),
        };
        let entry = &mut self.entries[index];
        let rescale = entry.pending.is_some();
        let turn = entry.turn + 1;
        entry.turn = turn;
        let mut end = world.now + length;
        if rescale {
            agenda.at(end, Event::Write { key, turn });
            end += world.scenario.clocks.hpa_pass_write;
        } else {
            self.log(index, hpa, world);
        }
        self.workers[worker] = end;
        agenda.at(end + world.scenario.clocks.hpa_sync_period, Event::Pass { key, turn });
    }

    /// Reads and decides; returns how long that takes.
    fn evaluate(
        &mut self,
        index: usize,
        hpa: HpaId,
        target: DeploymentId,
        autoscaler: &Autoscaler,
        world: &mut World<'_>,
        external: &mut ExternalMetrics<'_>,
    ) -> Duration {
        let clocks = &world.scenario.clocks;
        let counts = observe::counts(world, target, &autoscaler.metrics);
        let mut observed = Observed { counts, ..Observed::default() };
        let mut length = clocks.hpa_pass_dormant;
        let per_metric = clocks.hpa_pass_per_metric;
        let (live, cached) = (clocks.hpa_pass_live, clocks.hpa_pass_cached);
        if evaluates_metrics(autoscaler, &self.entries[index].status, &self.settings, counts.spec) {
            let selector = &mut self.entries[index].selector;
            observed.selector = *selector.get_or_insert_with(|| observe::selector(world, hpa, target));
            let mut all_cached = true;
            for metric in &autoscaler.metrics {
                let (reading, from_cache) = observe::read(world, hpa, target, metric, external, &self.metrics_server);
                observed.readings.push(reading);
                all_cached &= from_cache;
            }
            let further = autoscaler.metrics.len().saturating_sub(1) as i64;
            length = if all_cached { cached } else { live } + per_metric * further;
        }
        let entry = &mut self.entries[index];
        let decision =
            reconcile(autoscaler, &self.settings, &mut entry.history, &mut entry.status, &observed, world.now);
        let limited = entry.status.conditions.scaling_limited;
        let status = HpaStatus {
            proposed: decision.proposed.map(i64::from),
            desired: i64::from(decision.desired),
            held: decision.is_held_back() && limited.is_none_or(|limit| limit.reason != Reason::TooManyReplicas),
            tolerance: autoscaler.tolerances(&self.settings).scale_up,
        };
        world.cluster.set_hpa_status(hpa, status);
        entry.last = Some(decision.clone());
        entry.pending = decision.rescale().then_some(decision);
        length
    }

    /// Writes the decided count. A foreign change in between is overwritten where the write is retried on conflict.
    fn write(&mut self, key: u32, world: &mut World<'_>) {
        let entry = &mut self.entries[key as usize];
        let (Some(decision), Some(hpa)) = (entry.pending.take(), entry.hpa) else { return };
        let Some(target) = world.cluster.hpas[hpa.index()].target else { return };
        let current = i32::try_from(world.cluster.deployments[target.index()].replicas).unwrap_or(i32::MAX);
        if current != decision.current && !self.settings.capabilities.conflict_retry {
            record_failed_scale(&mut entry.status);
            self.log(key as usize, hpa, world);
            return;
        }
        world.cluster.scale_deployment(target, decision.desired.max(0) as u32);
        let Some(autoscaler) = entry.autoscaler.clone() else { return };
        record_scale(&autoscaler, &self.settings, &mut entry.history, &mut entry.status, &decision, world.now);
        let limited = entry.status.conditions.scaling_limited.filter(|condition| condition.status);
        let rule = match (decision.rule, limited) {
            (Rule::Metrics, Some(condition)) => condition.reason,
            (Rule::AboveMax, _) => Reason::TooManyReplicas,
            (Rule::BelowMin, _) => Reason::TooFewReplicas,
            _ => Reason::SucceededRescale,
        };
        entry.logged = reasons(&entry.status);
        let detail = describe(&decision, &entry.status);
        let counts = Counts::change(i64::from(decision.current), i64::from(decision.desired));
        let counts = Counts { wanted: wanted(&decision), ..counts };
        let logged = Logged::plain(world.now, Who::Hpa, Subject::Hpa(hpa), Action::Scale, rule.rule(), detail);
        world.cluster.decide(logged.about(counts));
    }

    /// Logs a pass that scales nothing, if its conditions say something else than last time.
    fn log(&mut self, index: usize, hpa: HpaId, world: &mut World<'_>) {
        let entry = &mut self.entries[index];
        let now = reasons(&entry.status);
        if entry.logged == now {
            return;
        }
        entry.logged = now;
        let conditions = entry.status.conditions;
        let failed = |condition: &Option<Condition>| condition.filter(|condition| !condition.status);
        let Some(telling) = failed(&conditions.able_to_scale)
            .or(failed(&conditions.scaling_active))
            .or(conditions.scaling_limited.filter(|condition| condition.status))
            .or(conditions.able_to_scale)
        else {
            return;
        };
        let replicas = i64::from(entry.status.current_replicas);
        let counts = Counts { wanted: entry.last.as_ref().and_then(wanted), ..Counts::change(replicas, replicas) };
        let detail = format!("metrics in status: {}", values(&entry.status));
        let logged = Logged::plain(world.now, Who::Hpa, Subject::Hpa(hpa), Action::Hold, telling.reason.rule(), detail);
        world.cluster.decide(logged.about(counts));
    }
}

fn reasons(status: &Status) -> [Option<Reason>; 3] {
    let conditions = &status.conditions;
    [conditions.able_to_scale, conditions.scaling_active, conditions.scaling_limited]
        .map(|condition| condition.map(|condition| condition.reason))
}

/// What the metrics propose, where that is not what is done.
fn wanted(decision: &Decision) -> Option<i64> {
    decision.proposed.filter(|proposed| *proposed != decision.desired).map(i64::from)
}

fn describe(decision: &Decision, status: &Status) -> String {
    match (decision.proposed, decision.stabilized) {
        (Some(proposed), Some(stabilized)) => format!(
            "{}: metrics ({}) propose {proposed}, stabilized {stabilized}",
            decision.rescale_reason(),
            values(status)
        ),
        _ => decision.rescale_reason().to_owned(),
    }
}

/// Reported values as Kubernetes prints quantities; `-` = failed.
fn values(status: &Status) -> String {
    let shown = status.current_metrics.iter().map(|value| match value {
        None => "-".to_owned(),
        Some(milli) if milli % 1000 == 0 => (milli / 1000).to_string(),
        Some(milli) => format!("{milli}m"),
    });
    shown.collect::<Vec<_>>().join(", ")
}
