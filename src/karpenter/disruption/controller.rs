//! The one sequential disruption loop at work, with all its clocks (`pkg/controllers/disruption/controller.go`).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::cluster::{Action, Change, Cluster, Controller as Who, Decision, NodeClaimId, PodId, Rule, Subject, World};
use crate::engine::{Agenda, Stream, Streams};
use crate::karpenter::scheduling::Knowledge;
use crate::karpenter::{provisioning, state, static_capacity};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

use super::candidate::{Candidate, Candidates, Rejection};
use super::command::Command;
use super::journal::{Journal, Told};
use super::model::{Method, Observed, PoolIndex, Rules};
use super::pass::{self, Instant, Memory, Outcome, Step, UNSYNCED_PERIOD};
use super::quiet::PodEvent;
use super::replacement::Replacement;
use super::running::{Commands, LimitExceeded, Start};
use super::search;
use super::simulate::{DecisionCost, SolverSimulator};
use super::snapshot::{self, Snapshot, claim_of, pool_of};
use super::unchanged::Unchanged;
use super::validation::Invalid;
use super::watch::Watch;

/// First wait after a pass that ended with an error; it doubles with every further one.
const ERROR_BACKOFF: Duration = Duration::from_millis(5);
/// Longest wait after an error.
const MAX_ERROR_BACKOFF: Duration = Duration::from_secs(1000);

/// What happens at a time of its own. Events of a loop that was restarted since are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pass begins.
    Pass(u32),
    /// A search ends.
    Searched(u32),
    /// The command in hand is looked at again.
    Validate(u32),
    /// A running command is looked at.
    Queue(u32),
    /// A NodeClaim's quiet time may be over.
    Quiet(NodeClaimId, u32),
    /// A NodeClaim is looked at for drift.
    Drift(NodeClaimId, u32),
    /// A pod event is handled.
    PodEvent(PodId, PodEvent),
    /// Karpenter stops.
    Down,
    /// Karpenter starts again.
    Up,
}

/// The disruption controllers.
pub struct Disruption {
    rules: Rules,
    pub(super) cost: DecisionCost,
    memory: Memory,
    watch: Watch,
    journal: Journal,
    commands: Commands,
    /// Step of a search that still computes.
    searching: Option<Step>,
    /// Command that waits for its validation.
    validating: Option<Command>,
    turn: u32,
    failures: u32,
    down: bool,
    knowledge: Knowledge,
    unchanged: Option<Unchanged>,
    ties: Stream,
    names: Stream,
    phase: Stream,
}

/// What a look at the cluster led to, apart from the state it borrowed.
struct Computed {
    outcome: Outcome,
    rejections: Vec<(u32, Rejection)>,
}

impl Disruption {
    /// Controllers that have just started.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> Self {
        let latencies = &scenario.latencies;
        Disruption {
            rules: snapshot::rules(scenario),
            cost: DecisionCost {
                simulation: latencies.disruption_simulation,
                pod: latencies.disruption_simulation_per_pod,
                node: Duration::ZERO,
            },
            memory: Memory::default(),
            watch: Watch::new(streams.open("pod-events", 0)),
            journal: Journal::default(),
            commands: Commands::default(),
            searching: None,
            validating: None,
            turn: 0,
            failures: 0,
            down: false,
            knowledge: Knowledge::default(),
            unchanged: None,
            ties: streams.open("disruption-ties", 0),
            names: streams.open("disruption-names", 0),
            phase: streams.open("disruption-phase", 0),
        }
    }

    /// Asks for the first pass and the outages of the scenario. Where no NodePool will ever be, there is nothing to disrupt.
    pub fn start(&mut self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        if world.cluster.nodepools.is_empty() {
            return;
        }
        let clocks = &world.scenario.clocks;
        let poll = clocks.disruption_poll.as_secs_f64();
        let random = Duration::from_secs_f64(self.phase.unit() * poll);
        agenda.at(Time::ZERO + clocks.disruption_first_pass.unwrap_or(random), Event::Pass(self.turn));
        for (from, until) in world.scenario.outages(FaultKind::KarpenterDown) {
            agenda.at(from, Event::Down);
            if until < Time::MAX {
                agenda.at(until, Event::Up);
            }
        }
    }

    /// Sees a change.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if self.down {
            return;
        }
        self.watch.observe(change, &mut self.memory, world, agenda);
        if let Change::NodeClaimGone(claim) = *change {
            self.journal.forget(claim);
        }
    }

    /// Handles one of its own events.
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
            _ if self.down => {}
            Event::Pass(turn) if turn == self.turn => self.begin(world, agenda),
            Event::Searched(turn) if turn == self.turn => {
                if let Some(step) = self.searching.take() {
                    self.act(step, world, agenda);
                }
            }
            Event::Validate(turn) if turn == self.turn => self.validate(world, agenda),
            Event::Queue(number) => {
                if self.commands.poll(number as usize, world) {
                    agenda.at(world.now + super::queue::POLL, event);
                }
            }
            Event::Quiet(claim, timer) => self.watch.quiet(claim, timer, world, agenda),
            Event::Drift(claim, timer) => self.watch.drift_timer(claim, timer, world, agenda),
            Event::PodEvent(pod, event) => self.watch.pod_event(pod, event, world, agenda),
            Event::Pass(_) | Event::Searched(_) | Event::Validate(_) => {}
        }
    }

    /// Memory, commands, nominations and timers are lost; running pods count as events of now.
    fn restart(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        self.down = false;
        self.turn += 1;
        self.memory = Memory::default();
        self.commands.clear();
        (self.searching, self.validating) = (None, None);
        for claim in world.cluster.live_nodeclaims.iter().copied().collect::<Vec<_>>() {
            if world.cluster.nodeclaims[claim.index()].deleting.is_none() {
                world.cluster.mark_nodeclaim(claim, None);
            }
            world.cluster.nominate_nodeclaim(claim, world.now);
        }
        self.watch.restart(world, agenda);
        agenda.at(world.now, Event::Pass(self.turn));
    }

    fn again_after(&self, wait: Duration, world: &World<'_>, agenda: &mut Agenda<Event>) {
        agenda.at(world.now + wait, Event::Pass(self.turn));
    }

    /// A pass begins (`Controller.Reconcile`).
    fn begin(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if let Some(unchanged) = &self.unchanged
            && unchanged.holds(world.cluster.version(), &mut self.memory.state, world.now)
        {
            self.journal.blocked(&unchanged.rejections, world.now, world.cluster);
            return self.conclude(Step::Idle, Duration::ZERO, world, agenda);
        }
        self.unchanged = None;
        if !state::synced(world.cluster) {
            return self.again_after(UNSYNCED_PERIOD, world, agenda);
        }
        self.commands.heal(world.cluster);
        self.compute(None, world, agenda);
    }

    /// Tries the methods from `first` on, or all without one.
    fn compute(&mut self, first: Option<Method>, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let computed = self.look(first, world);
        if first.is_none() {
            self.journal.blocked(&computed.rejections, world.now, world.cluster);
        }
        self.journal.notes(&computed.outcome.notes, world.now, world.cluster);
        for method in &computed.outcome.timed_out {
            tell_timeout(*method, world);
        }
        self.conclude(computed.outcome.step, computed.outcome.cost, world, agenda);
    }

    /// Acts on what a search of that cost led to, when it is over.
    fn conclude(&mut self, step: Step, cost: Duration, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let cost = cost + world.scenario.latencies.disruption_pass;
        if matches!(step, Step::Idle) {
            // Nothing is written when it is over, so the next pass is all that there is to come.
            self.failures = 0;
            self.again_after(cost + world.scenario.clocks.disruption_poll, world, agenda);
        } else if cost > Duration::ZERO {
            self.searching = Some(step);
            agenda.at(world.now + cost, Event::Searched(self.turn));
        } else {
            self.act(step, world, agenda);
        }
    }

    fn act(&mut self, step: Step, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match step {
            Step::Idle => {}
            Step::Validate(command) => {
                self.validating = Some(command);
                let at = world.now + world.scenario.clocks.disruption_validation;
                agenda.at(at, Event::Validate(self.turn));
            }
            Step::Start(commands) => {
                let starts = self.prepare(&commands, world);
                self.begin_commands(starts, world, agenda);
            }
        }
    }

    fn look(&mut self, first: Option<Method>, world: &World<'_>) -> Computed {
        let at = instant(world);
        let commands = &self.commands;
        let snapshot =
            Snapshot::take(world.cluster, world.scenario, self.rules, |claim| commands.has(claim), &mut self.ties);
        let observed = &snapshot.observed;
        let idle = Outcome { step: Step::Idle, cost: Duration::ZERO, notes: Vec::new(), timed_out: Vec::new() };
        let candidates = Candidates::of(observed, at.now);
        let methods = candidates.methods(observed);
        let version = world.cluster.version();
        if methods.is_empty() {
            self.unchanged = Unchanged::after(observed, methods, &candidates.rejections, version, at.now);
            return Computed { outcome: idle, rejections: candidates.rejections };
        }
        let (headroom, plans) = static_pools(&methods, observed, world.cluster, &mut self.names);
        let base = || snapshot.base(world.cluster, Time::ZERO + world.scenario.clocks.whole_second);
        let mut simulator =
            SolverSimulator::new(observed, &base, at.now, self.cost, &mut self.knowledge, &mut self.ties);
        let static_drift = |_: &Observed<'_>, budgets: &search::Budgets, candidates: Vec<Candidate>| {
            search::static_drift(budgets, candidates, &headroom, |candidate| plans[&candidate.pool].clone())
        };
        let outcome = pass::run(&candidates, &mut self.memory, observed, &mut simulator, first, at, &static_drift);
        if outcome.step == Step::Idle && first.is_none() {
            self.unchanged = Unchanged::after(observed, methods, &candidates.rejections, version, at.now);
        }
        Computed { outcome, rejections: candidates.rejections }
    }

    /// Commands in terms of the cluster.
    fn prepare(&mut self, commands: &[Command], world: &World<'_>) -> Vec<(Start, Told)> {
        let known = &self.commands;
        let snapshot =
            Snapshot::take(world.cluster, world.scenario, self.rules, |claim| known.has(claim), &mut self.ties);
        commands.iter().map(|command| described(command, &snapshot, world.cluster)).collect()
    }

    /// The command is looked at again; it starts, or the pass goes on.
    fn validate(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(command) = self.validating.take() else { return };
        match self.check(&command, world) {
            (Ok(start), _) => self.begin_commands(vec![start], world, agenda),
            (Err(invalid), told) => {
                told.abandoned(&invalid, world.now, world.cluster);
                match pass::after_abandoning(command.method) {
                    Some(next) => self.compute(Some(next), world, agenda),
                    None => self.again_after(world.scenario.clocks.disruption_poll, world, agenda),
                }
            }
        }
    }

    fn check(&mut self, command: &Command, world: &World<'_>) -> (Result<(Start, Told), Invalid>, Told) {
        let at = instant(world);
        let known = &self.commands;
        let snapshot =
            Snapshot::take(world.cluster, world.scenario, self.rules, |claim| known.has(claim), &mut self.ties);
        let base = || snapshot.base(world.cluster, Time::ZERO + world.scenario.clocks.whole_second);
        let mut simulator =
            SolverSimulator::new(&snapshot.observed, &base, at.now, self.cost, &mut self.knowledge, &mut self.ties);
        let valid = pass::validate(command, &snapshot.observed, &mut simulator, at);
        let (_, told) = described(command, &snapshot, world.cluster);
        (valid.map(|command| described(&command, &snapshot, world.cluster)), told)
    }

    fn begin_commands(&mut self, starts: Vec<(Start, Told)>, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let nomination = provisioning::nomination_window(world.scenario);
        let mut error = None;
        for (start, told) in starts {
            match self.commands.start(start, nomination, world, &mut self.names) {
                Ok(number) => {
                    told.begins(world.now, world.cluster);
                    agenda.at(world.now, Event::Queue(number as u32));
                }
                Err(exceeded) => error = Some(exceeded),
            }
        }
        match error {
            None => {
                self.failures = 0;
                self.again_after(Duration::ZERO, world, agenda);
            }
            Some(LimitExceeded(pool)) => {
                let detail = "its limit is exceeded: no replacement can be created";
                let (at, subject) = (world.now, Subject::NodePool(pool));
                let decision = Decision::plain(at, Who::Disruption, subject, Action::Blocked, Rule::ExceededBy, detail);
                world.cluster.decide(decision);
                let wait = (ERROR_BACKOFF * (1_i64 << self.failures.min(30))).min(MAX_ERROR_BACKOFF);
                self.failures += 1;
                self.again_after(wait, world, agenda);
            }
        }
    }
}

fn instant(world: &World<'_>) -> Instant {
    let start = Timestamp::from_second(world.scenario.simulation.start.unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let since = SignedDuration::from_micros(world.now.since(Time::ZERO).as_micros());
    Instant { now: world.now, wall: start.checked_add(since).unwrap_or(Timestamp::MAX) }
}

/// For every static pool, if there is static drift at all: how many more nodes it may have for a moment, and what it launches. A
/// pool that can launch nothing has no room.
fn static_pools(
    methods: &[Method],
    observed: &Observed<'_>,
    cluster: &Cluster,
    random: &mut Stream,
) -> (BTreeMap<PoolIndex, usize>, BTreeMap<PoolIndex, Replacement>) {
    let (mut headroom, mut plans) = (BTreeMap::new(), BTreeMap::new());
    if !methods.contains(&Method::StaticDrift) {
        return (headroom, plans);
    }
    for pool in (0..observed.pools.len()).map(PoolIndex).filter(|pool| observed.pool(*pool).replicas.is_some()) {
        let plan = static_capacity::plan(cluster, pool_of(pool), random);
        let room = if plan.is_some() { static_capacity::drift_headroom_of(cluster, pool_of(pool)) } else { 0 };
        headroom.insert(pool, room as usize);
        plans.extend(plan.map(|plan| (pool, Replacement::unbounded(pool, plan))));
    }
    (headroom, plans)
}

/// A command in terms of the cluster, and how it is told. Some of its nodes may be gone by now.
fn described(command: &Command, snapshot: &Snapshot<'_>, cluster: &Cluster) -> (Start, Told) {
    let plan = |replacement: &Replacement| replacement.narrowed_plan().map(|plan| (pool_of(replacement.pool), plan));
    let start = Start {
        claims: command.ids().into_iter().filter_map(claim_of).collect(),
        replacements: command.replacements.iter().filter_map(plan).collect(),
        destinations: command.destinations.iter().copied().filter_map(claim_of).collect(),
        reason: command.reason(),
    };
    let told = Told::of(command, &snapshot.observed, cluster);
    (start, told)
}

fn tell_timeout(method: Method, world: &mut World<'_>) {
    let (subject, rule) = (Subject::Cluster, Rule::ConsolidationTimeout);
    let detail = format!("{} ran out of time", method.name());
    world.cluster.decide(Decision::plain(world.now, Who::Disruption, subject, Action::Abandon, rule, detail));
}
