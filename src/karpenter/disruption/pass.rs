//! One pass of the loop over all methods, as far as its next wait (`pkg/controllers/disruption/controller.go: Controller.Reconcile,
//! Controller.disrupt`).

use jiff::Timestamp;

use crate::time::{Duration, Time};

use super::balanced;
use super::budget;
use super::candidate;
use super::command::{Command, Simulator, Unconsolidatable};
use super::model::{Class, Method, Observed, PoolIndex};
use super::search::{self, Found};
use super::state::ConsolidationState;
use super::validation::{self, Invalid};

/// From the end of a pass that did nothing to the next (`pollingPeriod`).
pub const POLLING_PERIOD: Duration = Duration::from_secs(10);
/// The same while some NodeClaim has no instance yet.
pub const UNSYNCED_PERIOD: Duration = Duration::from_secs(1);

/// What the loop remembers from pass to pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Consolidation state.
    pub state: ConsolidationState,
    /// Pools that the latest single-node search did not reach.
    pub unseen_pools: Vec<PoolIndex>,
}

/// An instant in both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Of the run.
    pub now: Time,
    /// Of the wall, for budget schedules.
    pub wall: Timestamp,
}

/// Where a pass gets to without waiting.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// No method found anything: the pass is over.
    Idle,
    /// The command must still hold after [`validation::VALIDATION_DELAY`], during which the loop does nothing else.
    Validate(Command),
    /// The commands start now.
    Start(Vec<Command>),
}

/// Something worth telling about a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Method that looked at it.
    pub method: Method,
    /// The caller's id of the node.
    pub node: u32,
    /// `None` = its pool's budget is used up.
    pub reason: Option<Unconsolidatable>,
}

/// What a pass found up to its next wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What comes next.
    pub step: Step,
    /// How long it computed.
    pub cost: Duration,
    /// Why nodes stay.
    pub notes: Vec<Note>,
    /// Methods that ran out of time.
    pub timed_out: Vec<Method>,
}

/// What a static pool needs for [`Method::StaticDrift`]: how many more nodes it may have for a moment, and the NodeClaim it creates.
pub type StaticDrift<'a> = &'a dyn Fn(&Observed<'_>, &search::Budgets, Vec<candidate::Candidate>) -> Found;

/// Without static pools there is nothing to do for static drift.
#[must_use]
pub fn no_static_pools(_: &Observed<'_>, _: &search::Budgets, _: Vec<candidate::Candidate>) -> Found {
    Found::default()
}

/// Tries the methods from `first` on, or all without one, until one finds something. A method without candidates is passed over without being
/// marked consolidated; candidates and budgets are recomputed for every method.
pub fn run(
    memory: &mut Memory,
    observed: &Observed<'_>,
    simulator: &mut impl Simulator,
    first: Option<Method>,
    at: Instant,
    static_drift: StaticDrift<'_>,
) -> Outcome {
    let mut outcome = Outcome { step: Step::Idle, cost: Duration::ZERO, notes: Vec::new(), timed_out: Vec::new() };
    let order = Method::in_order(&observed.rules).into_iter();
    for method in order.skip_while(|method| first.is_some_and(|first| *method != first)) {
        let candidates = candidate::candidates(observed, method, at.now);
        if candidates.is_empty() {
            continue;
        }
        let drifts = matches!(method, Method::Drift | Method::StaticDrift);
        if !drifts && memory.state.is_consolidated(method, at.now) {
            continue;
        }
        let budgets = budget::budgets(observed, method.reason(), at.wall);
        let totals = || balanced::totals(observed, Class::Graceful, at.now);
        let mut found = match method {
            Method::Emptiness => search::emptiness(observed, budgets, candidates),
            Method::StaticDrift => static_drift(observed, &budgets, candidates),
            Method::Drift => search::drift(observed, simulator, &budgets, candidates),
            Method::MultiNodeConsolidation => search::multi_node(observed, simulator, budgets, candidates, &totals()),
            Method::SingleNodeConsolidation => {
                search::single_node(observed, simulator, &budgets, candidates, &totals(), &memory.unseen_pools)
            }
        };
        outcome.cost += found.cost;
        if found.consolidated {
            memory.state.mark_consolidated(method, at.now + outcome.cost);
        }
        if method == Method::SingleNodeConsolidation {
            memory.unseen_pools = std::mem::take(&mut found.unseen_pools);
        }
        note(&mut outcome, observed, method, &found);
        if let Some(command) = found.commands.pop() {
            outcome.step = if drifts {
                found.commands.push(command);
                Step::Start(found.commands)
            } else {
                Step::Validate(command)
            };
            break;
        }
    }
    outcome
}

fn note(outcome: &mut Outcome, observed: &Observed<'_>, method: Method, found: &Found) {
    let skipped = found.over_budget.iter().map(|node| (node, None));
    let stuck = found.reasons.iter().map(|(node, reason)| (node, Some(reason.clone())));
    outcome.notes.extend(skipped.chain(stuck).map(|(node, reason)| Note {
        method,
        node: observed.node(*node).id,
        reason,
    }));
    if found.timed_out {
        outcome.timed_out.push(method);
    }
}

/// Looks again after the validation delay: the command that starts now, or why it is abandoned. `observed` is the state now.
///
/// # Errors
/// The first check that fails.
pub fn validate(
    command: &Command,
    observed: &Observed<'_>,
    simulator: &mut impl Simulator,
    at: Instant,
) -> Result<Command, Invalid> {
    let budgets = budget::budgets(observed, command.reason(), at.wall);
    let mut valid = command.clone();
    if command.method == Method::Emptiness {
        valid.candidates = validation::emptiness(observed, &command.ids(), budgets, at.now)?;
    } else {
        validation::consolidation(observed, simulator, command, &budgets, at.now)?;
    }
    Ok(valid)
}

/// With which method the pass goes on after a command of `method` was abandoned; `None` = the pass is over.
#[must_use]
pub fn after_abandoning(method: Method) -> Option<Method> {
    match method {
        Method::Emptiness => Some(Method::StaticDrift),
        Method::MultiNodeConsolidation => Some(Method::SingleNodeConsolidation),
        _ => None,
    }
}
