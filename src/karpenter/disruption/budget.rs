//! How many nodes of a pool may be disrupted for a reason (`pkg/apis/v1/nodepool.go: GetAllowedDisruptionsByReason, IsActive`,
//! `pkg/controllers/disruption/helpers.go: BuildDisruptionBudgetMapping`).

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::api::karpenter::{Budget, DisruptionReason};
use crate::engine::Schedule;

use super::model::{Observed, PoolIndex};
use super::search::Budgets;

/// No limit, as upstream writes it.
pub const UNLIMITED: usize = i32::MAX as usize;

/// How many nodes a budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// A number.
    Count(usize),
    /// A percentage of the pool's nodes, rounded up.
    Percent(usize),
}

/// When a budget applies.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Beginnings, UTC.
    pub schedule: Schedule,
    /// Length.
    pub duration: SignedDuration,
}

/// A budget, read.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetRule {
    /// Reasons; empty = all.
    pub reasons: Vec<DisruptionReason>,
    /// What it allows; `None` = unreadable, which blocks the whole pool.
    pub allowance: Option<Allowance>,
    /// When; `None` = always.
    pub window: Option<Window>,
}

impl BudgetRule {
    /// Reads a budget. What cannot be read blocks the pool, as upstream does.
    #[must_use]
    pub fn read(budget: &Budget) -> Self {
        let mut allowance = match budget.nodes.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Allowance::Percent),
            None => budget.nodes.parse().ok().map(Allowance::Count),
        };
        let window = match (&budget.schedule, &budget.duration) {
            (Some(text), Some(duration)) => match Schedule::parse(text, TimeZone::UTC) {
                Ok(schedule) => {
                    Some(Window { schedule, duration: SignedDuration::from_micros(duration.0.as_micros()) })
                }
                Err(_) => {
                    allowance = None;
                    None
                }
            },
            _ => None,
        };
        BudgetRule { reasons: budget.reasons.clone().unwrap_or_default(), allowance, window }
    }

    /// Whether it applies: some beginning lies in `(now - duration, now]`.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        let Some(window) = &self.window else { return true };
        let Ok(since) = now.checked_sub(window.duration) else { return true };
        window.schedule.next(since).is_some_and(|hit| hit <= now)
    }

    /// How many of `total` nodes it allows now; `None` when it cannot be read.
    #[must_use]
    pub fn allowed(&self, total: usize, now: Timestamp) -> Option<usize> {
        let allowance = self.allowance?;
        if !self.is_active(now) {
            return Some(UNLIMITED);
        }
        Some(match allowance {
            Allowance::Count(count) => count,
            Allowance::Percent(percent) => (percent * total).div_ceil(100),
        })
    }
}

/// The least that the budgets for a reason allow; any unreadable budget of the pool makes it 0.
#[must_use]
pub fn allowed(rules: &[BudgetRule], reason: DisruptionReason, total: usize, now: Timestamp) -> usize {
    let mut least = UNLIMITED;
    for rule in rules {
        let Some(value) = rule.allowed(total, now) else { return 0 };
        if rule.reasons.is_empty() || rule.reasons.contains(&reason) {
            least = least.min(value);
        }
    }
    least
}

/// Nodes of a pool that count for budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolNodes {
    /// Managed, initialized, instance not terminating.
    pub total: usize,
    /// Of these, not Ready or marked for deletion, whatever the cause.
    pub disrupting: usize,
}

/// Counts every pool's nodes. Booting nodes count in neither number, nor do those whose instance is being terminated.
#[must_use]
pub fn count(observed: &Observed<'_>) -> BTreeMap<PoolIndex, PoolNodes> {
    let mut counts: BTreeMap<PoolIndex, PoolNodes> = BTreeMap::new();
    for node in observed.nodes.iter().filter(|node| node.managed && node.initialized && !node.instance_terminating) {
        let Some(pool) = node.pool else { continue };
        let count = counts.entry(pool).or_default();
        count.total += 1;
        count.disrupting += usize::from(!node.ready || node.marked_for_deletion);
    }
    counts
}

/// What every pool's budgets leave for a reason now. `now` is the wall clock.
#[must_use]
pub fn budgets(observed: &Observed<'_>, reason: DisruptionReason, now: Timestamp) -> Budgets {
    let counts = count(observed);
    let pools = observed.pools.iter().enumerate();
    pools
        .map(|(i, pool)| {
            let nodes = counts.get(&PoolIndex(i)).copied().unwrap_or_default();
            let allowed = allowed(&pool.budgets, reason, nodes.total, now);
            (PoolIndex(i), allowed.saturating_sub(nodes.disrupting))
        })
        .collect()
}
