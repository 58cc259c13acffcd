//! Policy `Balanced`: a move must save at least half as much per unit of disruption as the pool costs per unit
//! (`pkg/controllers/disruption/balanced.go`). Doubles in upstream's order of operations: the uniform case that saves half
//! lands on exactly 0.5.

use std::collections::BTreeMap;

use crate::api::karpenter::ConsolidationPolicy;
use crate::time::Time;

use super::candidate::{self, Candidate};
use super::command::Command;
use super::cost;
use super::model::{Class, NodeIndex, Observed, PoolIndex};

/// Divisor of the threshold (`BalancedK`): a score of 1/k is approved.
pub const BALANCED_K: i32 = 2;

/// What a pool costs and what removing all of it would disrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolTotals {
    /// `C_q`, USD per hour.
    pub cost: f64,
    /// `D_q`.
    pub disruption: f64,
}

/// Totals of all pools that have candidates.
pub type Totals = BTreeMap<PoolIndex, PoolTotals>;

/// Sums each pool (`computeNodePoolTotals`): nodes that pass the candidate filter with `R(n)`, others with the cost of their
/// non-DaemonSet pods. Without a Balanced pool nobody asks for the sums, and there are none.
#[must_use]
pub fn totals(observed: &Observed<'_>, class: Class, now: Time) -> Totals {
    let mut totals = Totals::new();
    let policies = (0..observed.pools.len()).map(|pool| observed.policy(PoolIndex(pool)));
    if !policies.into_iter().any(|policy| policy == ConsolidationPolicy::Balanced) {
        return totals;
    }
    let mut disruption: BTreeMap<PoolIndex, f64> = BTreeMap::new();
    for (i, node) in observed.nodes.iter().enumerate() {
        let Some(pool) = node.pool else { continue };
        let share = match candidate::candidate(observed, NodeIndex(i), class, now) {
            Ok(candidate) => {
                totals.entry(pool).or_default().cost += candidate.price;
                candidate.rescheduling_cost
            }
            Err(_) => cost::rescheduling_cost_of_non_candidate(&node.pods),
        };
        *disruption.entry(pool).or_default() += share;
    }
    for (pool, total) in &mut totals {
        if let Some(tracked) = observed.pool(*pool).tracked_cost.filter(|cost| *cost > 0.0) {
            total.cost = tracked;
        }
        total.disruption = disruption[pool];
    }
    totals
}

/// Score of a saving at a disruption within a pool: 0 if it saves nothing or the pool has no totals (`ScoreMove`).
#[must_use]
pub fn score(savings: f64, disruption: f64, totals: PoolTotals) -> f64 {
    if totals.cost <= 0.0 || totals.disruption <= 0.0 {
        return 0.0;
    }
    let savings_fraction = savings / totals.cost;
    let disruption_fraction = disruption / totals.disruption;
    if savings_fraction <= 0.0 {
        0.0
    } else if disruption_fraction == 0.0 {
        f64::INFINITY
    } else {
        savings_fraction / disruption_fraction
    }
}

/// Whether a score is enough.
#[must_use]
pub fn approves(score: f64) -> bool {
    score >= 1.0 / f64::from(BALANCED_K)
}

/// Scores a move in every Balanced pool it touches (`EvaluateBalancedMove`).
///
/// # Errors
/// The lowest score, if a pool rejects.
pub fn evaluate(command: &Command, observed: &Observed<'_>, totals: &Totals) -> Result<(), f64> {
    let pools: Vec<PoolIndex> = command.candidates.iter().map(|candidate| candidate.pool).collect();
    let several_pools = pools.iter().any(|pool| *pool != pools[0]);
    let savings = command.estimated_savings(observed.catalogue, observed.rules.savings_of_allowed_offerings);
    let source_cost = command.source_cost();
    let mut lowest = f64::INFINITY;
    for (i, pool) in pools.iter().enumerate() {
        if pools[..i].contains(pool) || observed.policy(*pool) != ConsolidationPolicy::Balanced {
            continue;
        }
        let own = || command.candidates.iter().filter(|candidate| candidate.pool == *pool);
        let pool_cost = own().map(|candidate| candidate.price).fold(0.0, |sum, price| sum + price);
        let disruption = own().map(|candidate| candidate.rescheduling_cost).fold(0.0, |sum, cost| sum + cost);
        let pool_savings =
            if source_cost > 0.0 && several_pools { savings * (pool_cost / source_cost) } else { savings };
        lowest = lowest.min(score(pool_savings, disruption, totals.get(pool).copied().unwrap_or_default()));
    }
    if approves(lowest) { Ok(()) } else { Err(lowest) }
}

/// Whether even deleting the node outright could pass (`CanPassThreshold`); other policies always may.
#[must_use]
pub fn can_pass(candidate: &Candidate, observed: &Observed<'_>, totals: &Totals) -> bool {
    match totals.get(&candidate.pool) {
        Some(total) if observed.policy(candidate.pool) == ConsolidationPolicy::Balanced && total.cost > 0.0 => {
            approves(score(candidate.price, candidate.rescheduling_cost, *total))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::Catalogue;
    use crate::karpenter::disruption::model::{PoolView, Rules};

    /// A quarter of what the pool costs against all that it disrupts is too little, half of it is enough.
    #[test]
    fn a_node_whose_removal_could_never_pass_is_not_tried() {
        let passes = |policy: ConsolidationPolicy, cost: Option<f64>| {
            let catalogue = Catalogue::default();
            let (pool, node) = (PoolIndex(0), NodeIndex(0));
            let view = PoolView {
                name: "pool".to_owned(),
                policy,
                consolidate_after: None,
                budgets: Vec::new(),
                replicas: None,
                expire_after: None,
                tracked_cost: None,
            };
            let rules = Rules::of_minor(14, false);
            let observed = Observed { catalogue: &catalogue, pools: vec![view], nodes: Vec::new(), rules };
            let candidate = Candidate {
                node,
                id: 0,
                pool,
                instance_type: None,
                zone: None,
                capacity_type: None,
                price: 1.0,
                rescheduling_cost: 5.0,
                lifetime_weighted_cost: 0.0,
                reschedulable_pods: 4,
            };
            let totals = cost.map(|cost| (pool, PoolTotals { cost, disruption: 5.0 }));
            can_pass(&candidate, &observed, &totals.into_iter().collect())
        };
        assert!(!passes(ConsolidationPolicy::Balanced, Some(4.0)));
        assert!(passes(ConsolidationPolicy::Balanced, Some(2.0)));
        assert!(passes(ConsolidationPolicy::Balanced, None), "nothing is known of the pool");
        assert!(passes(ConsolidationPolicy::Balanced, Some(0.0)));
        assert!(passes(ConsolidationPolicy::WhenEmptyOrUnderutilized, Some(4.0)));
    }
}
