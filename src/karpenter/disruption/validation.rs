//! The second look, 15 s after a consolidation was found (`pkg/controllers/disruption/validation.go`).

use std::fmt;

use crate::time::{Duration, Time};

use super::candidate::{self, Candidate};
use super::command::{Command, Simulator};
use super::model::{Method, NodeIndex, Observed};
use super::search::Budgets;

/// How long the loop waits before it looks again (`commandValidationDelay`).
pub const VALIDATION_DELAY: Duration = Duration::from_secs(15);

/// Why a command was abandoned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// So many candidates are none any more.
    Churn(usize),
    /// A candidate was nominated, or its pool's budget is used up.
    Budget,
    /// The pods would now be placed differently.
    Scheduling,
}

impl Invalid {
    /// Upstream's name of the failure.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Invalid::Churn(_) => "churn",
            Invalid::Budget => "budget",
            Invalid::Scheduling => "scheduling",
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Churn(count) => write!(f, "{count} candidates are no longer valid"),
            Invalid::Budget => write!(f, "a candidate was nominated for a pod or would violate disruption budgets"),
            Invalid::Scheduling => write!(f, "scheduling simulation produced new results"),
        }
    }
}

/// The nodes of the command that are still candidates of its method, in the order of the state.
fn current(observed: &Observed<'_>, ids: &[u32], method: Method, now: Time) -> Vec<Candidate> {
    let fresh = candidate::candidates(observed, method, now);
    fresh.into_iter().filter(|candidate| ids.contains(&candidate.id)).collect()
}

fn is_nominated(observed: &Observed<'_>, node: NodeIndex, now: Time) -> bool {
    observed.node(node).nominated_until.is_some_and(|until| now < until)
}

/// Empty nodes are looked at one by one: those that no longer qualify are left out (`EmptinessValidator`). The rest comes in
/// the order of the state.
///
/// # Errors
/// When none is left.
pub fn emptiness(
    observed: &Observed<'_>,
    ids: &[u32],
    mut budgets: Budgets,
    now: Time,
) -> Result<Vec<Candidate>, Invalid> {
    let candidates = current(observed, ids, Method::Emptiness, now);
    if candidates.is_empty() {
        return Err(Invalid::Churn(ids.len()));
    }
    let valid: Vec<Candidate> = candidates
        .into_iter()
        .filter(|candidate| {
            let left = budgets.entry(candidate.pool).or_insert(0);
            let ok = !is_nominated(observed, candidate.node, now) && *left > 0;
            *left -= usize::from(ok);
            ok
        })
        .collect();
    if valid.is_empty() { Err(Invalid::Budget) } else { Ok(valid) }
}

/// All candidates must still qualify, within the budgets (`ConsolidationValidator.validateCandidates`).
fn candidates(
    observed: &Observed<'_>,
    ids: &[u32],
    method: Method,
    mut budgets: Budgets,
    now: Time,
) -> Result<Vec<Candidate>, Invalid> {
    let candidates = current(observed, ids, method, now);
    if candidates.len() != ids.len() {
        return Err(Invalid::Churn(ids.len() - candidates.len()));
    }
    for candidate in &candidates {
        let left = budgets.entry(candidate.pool).or_insert(0);
        if is_nominated(observed, candidate.node, now) || *left == 0 {
            return Err(Invalid::Budget);
        }
        *left -= 1;
    }
    Ok(candidates)
}

/// A consolidation must still hold: the same candidates, all pods placeable, and the same kind of result, with types that
/// include the command's. Prices and scores are not looked at again (`ConsolidationValidator.isValid`).
///
/// `observed` is the state now.
///
/// # Errors
/// The first check that fails.
pub fn consolidation(
    observed: &Observed<'_>,
    simulator: &mut impl Simulator,
    command: &Command,
    budgets: &Budgets,
    now: Time,
) -> Result<(), Invalid> {
    let ids = command.ids();
    let valid = candidates(observed, &ids, command.method, budgets.clone(), now)?;
    let removed: Vec<NodeIndex> = valid.iter().map(|candidate| candidate.node).collect();
    let simulation = simulator.simulate(&removed, observed.rules.destination_gate);
    if simulation.candidate_deleting || simulation.error.is_some() {
        return Err(Invalid::Scheduling);
    }
    match (simulation.claims.as_slice(), command.replacements.as_slice()) {
        ([], []) => {}
        ([claim], [replacement]) if replacement.types.iter().all(|id| claim.types.contains(id)) => {}
        _ => return Err(Invalid::Scheduling),
    }
    candidates(observed, &ids, command.method, budgets.clone(), now).map(|_| ())
}
