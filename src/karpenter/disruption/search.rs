//! The methods of a pass as searches over candidates: emptiness, drift, multi-node and single-node consolidation.

use std::collections::BTreeMap;

use crate::time::Duration;

use super::balanced::{self, Totals};
use super::candidate::{self, Candidate};
use super::command::{Command, Simulator, Unconsolidatable};
use super::consolidation;
use super::model::{DriftOfEmpty, Method, NodeIndex, Observed, PoolIndex};

/// Longest multi-node search (`MultiNodeConsolidationTimeoutDuration`).
pub const MULTI_NODE_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest single-node search, looked at between candidates (`SingleNodeConsolidationTimeoutDuration`).
pub const SINGLE_NODE_TIMEOUT: Duration = Duration::from_mins(3);
/// Most nodes that a multi-node search looks at; one more when there are more candidates.
pub const MAX_PARALLEL: usize = 100;

/// How many nodes of each pool may still be disrupted.
pub type Budgets = BTreeMap<PoolIndex, usize>;

/// What a method found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Commands; those of drift start at once, others are validated first.
    pub commands: Vec<Command>,
    /// Whether the method now considers the cluster consolidated.
    pub consolidated: bool,
    /// Whether it ran out of time.
    pub timed_out: bool,
    /// How long it computed.
    pub cost: Duration,
    /// Why nodes were not moved.
    pub reasons: Vec<(NodeIndex, Unconsolidatable)>,
    /// Nodes skipped because their pool's budget was used up.
    pub over_budget: Vec<NodeIndex>,
    /// Single-node: pools that the next search looks at first.
    pub unseen_pools: Vec<PoolIndex>,
}

/// Takes one from the pool's budget if there is any left.
fn take(budgets: &mut Budgets, pool: PoolIndex) -> bool {
    match budgets.get_mut(&pool) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

/// Empty nodes of all pools in one deletion, dearest first, as far as budgets go. Nothing is simulated (`emptiness.go`).
#[must_use]
pub fn emptiness(observed: &Observed<'_>, mut budgets: Budgets, mut candidates: Vec<Candidate>) -> Found {
    candidate::sort(&mut candidates, observed.rules.ratio_order);
    let mut found = Found::default();
    let mut empty = Vec::new();
    for candidate in candidates {
        if take(&mut budgets, candidate.pool) {
            empty.push(candidate);
        } else {
            found.over_budget.push(candidate.node);
        }
    }
    if empty.is_empty() {
        found.consolidated = found.over_budget.is_empty();
    } else {
        found.commands.push(Command {
            method: Method::Emptiness,
            candidates: empty,
            replacements: Vec::new(),
            destinations: Vec::new(),
        });
    }
    found
}

/// All drifted nodes that are empty at once, before 1.5; else one drifted node with as many replacements as its pods need; nodes whose pods cannot all be placed are passed over
/// (`drift.go: ComputeCommands`).
pub fn drift(
    observed: &Observed<'_>,
    simulator: &mut impl Simulator,
    budgets: &Budgets,
    mut candidates: Vec<Candidate>,
) -> Found {
    candidate::sort_drifted(&mut candidates, observed);
    let mut found = Found::default();
    let is_empty = |candidate: &Candidate| candidate.reschedulable_pods == 0;
    match observed.rules.drift_of_empty {
        DriftOfEmpty::First => {}
        DriftOfEmpty::Never => candidates.retain(|candidate| !is_empty(candidate)),
        DriftOfEmpty::AllAtOnce => {
            let mut left = budgets.clone();
            let empty = candidates.iter().filter(|candidate| is_empty(candidate) && take(&mut left, candidate.pool));
            let empty: Vec<Candidate> = empty.cloned().collect();
            if !empty.is_empty() {
                found.commands.push(Command {
                    method: Method::Drift,
                    candidates: empty,
                    replacements: Vec::new(),
                    destinations: Vec::new(),
                });
                return found;
            }
        }
    }
    for candidate in candidates {
        if budgets.get(&candidate.pool).is_none_or(|left| *left == 0) {
            found.over_budget.push(candidate.node);
            continue;
        }
        let simulation = simulator.simulate(&[candidate.node], false);
        found.cost += simulation.cost;
        if simulation.candidate_deleting {
            continue;
        }
        if let Some(error) = simulation.error {
            found.reasons.push((candidate.node, Unconsolidatable::Unschedulable(error)));
            continue;
        }
        found.commands.push(Command {
            method: Method::Drift,
            candidates: vec![candidate],
            replacements: simulation.claims,
            destinations: simulation.destinations.iter().map(|node| observed.node(*node).id).collect(),
        });
        break;
    }
    found
}

/// Drifted nodes of static pools, one replacement each, without simulation (`staticdrift.go`). `headroom` gives for each
/// pool how many more nodes its limit allows; a pool that already runs more nodes than `replicas` waits.
#[must_use]
pub fn static_drift(
    budgets: &Budgets,
    candidates: Vec<Candidate>,
    headroom: &BTreeMap<PoolIndex, usize>,
    replacement: impl Fn(&Candidate) -> super::replacement::Replacement,
) -> Found {
    let mut found = Found::default();
    let mut left: BTreeMap<PoolIndex, usize> = budgets
        .iter()
        .map(|(pool, budget)| (*pool, headroom.get(pool).map_or(*budget, |room| (*budget).min(*room))))
        .collect();
    for candidate in candidates {
        if !take(&mut left, candidate.pool) {
            found.over_budget.push(candidate.node);
            continue;
        }
        found.commands.push(Command {
            method: Method::StaticDrift,
            replacements: vec![replacement(&candidate)],
            candidates: vec![candidate],
            destinations: Vec::new(),
        });
    }
    found
}

/// Before 1.14 consolidation passes over nodes without pods to move, so that the budget of `Empty` holds for them; later they are no
/// candidates.
fn is_left_to_emptiness(observed: &Observed<'_>, candidate: &Candidate) -> bool {
    !observed.rules.empty_by_cost && candidate.reschedulable_pods == 0
}

/// The largest prefix of the ordered candidates, found by bisection, that can be removed for at most one cheaper node
/// (`multinodeconsolidation.go`). Only prefixes on the bisection's path are tried. Budgets are applied before the search.
pub fn multi_node(
    observed: &Observed<'_>,
    simulator: &mut impl Simulator,
    mut budgets: Budgets,
    mut candidates: Vec<Candidate>,
    totals: &Totals,
) -> Found {
    candidate::sort(&mut candidates, observed.rules.ratio_order);
    let mut found = Found::default();
    let mut kept = Vec::new();
    for candidate in candidates {
        if budgets.get(&candidate.pool).is_none_or(|left| *left == 0) {
            found.over_budget.push(candidate.node);
        } else if !is_left_to_emptiness(observed, &candidate) {
            take(&mut budgets, candidate.pool);
            kept.push(candidate);
        }
    }
    let best = bisect(observed, simulator, &kept, totals, &mut found);
    match best {
        Some(command) => found.commands.push(command),
        None => found.consolidated = found.over_budget.is_empty(),
    }
    found
}

/// `firstNConsolidationOption`.
fn bisect(
    observed: &Observed<'_>,
    simulator: &mut impl Simulator,
    kept: &[Candidate],
    totals: &Totals,
    found: &mut Found,
) -> Option<Command> {
    if kept.len() < 2 {
        return None;
    }
    let mut low = 1;
    let mut high = if kept.len() <= MAX_PARALLEL { kept.len() - 1 } else { MAX_PARALLEL };
    let mut best = None;
    while low <= high {
        let middle = usize::midpoint(low, high);
        let prefix = &kept[..=middle];
        let (outcome, cost) = consolidation::compute(observed, simulator, Method::MultiNodeConsolidation, prefix);
        found.cost += cost;
        if found.cost > MULTI_NODE_TIMEOUT {
            found.cost = MULTI_NODE_TIMEOUT;
            found.timed_out = true;
            return best;
        }
        match outcome.ok().and_then(|command| sensible(observed, command, totals)) {
            Some(command) => {
                best = Some(command);
                low = middle + 1;
            }
            None => high = middle - 1,
        }
    }
    best
}

/// The command with the same-type filter applied, if it is still a move and its score is enough.
fn sensible(observed: &Observed<'_>, mut command: Command, totals: &Totals) -> Option<Command> {
    if let Some(replacement) = command.replacements.first_mut() {
        replacement.filter_out_same_type(&command.candidates, observed.catalogue).ok()?;
        if replacement.types.is_empty() {
            return None;
        }
    }
    balanced::evaluate(&command, observed, totals).ok()?;
    Some(command)
}

/// Candidates of all pools in turn: the first of every pool, the second of every pool, and so on; pools that the previous
/// search did not reach come first (`shuffleCandidates`).
#[must_use]
pub fn interleave(candidates: Vec<Candidate>, pool_order: &[PoolIndex], unseen: &[PoolIndex]) -> Vec<Candidate> {
    let order: Vec<PoolIndex> =
        unseen.iter().chain(pool_order.iter().filter(|pool| !unseen.contains(pool))).copied().collect();
    let mut rounds: BTreeMap<PoolIndex, usize> = BTreeMap::new();
    let mut keyed: Vec<((usize, usize), Candidate)> = candidates
        .into_iter()
        .map(|candidate| {
            let round = rounds.entry(candidate.pool).or_default();
            let place = order.iter().position(|pool| *pool == candidate.pool).unwrap_or(order.len());
            let key = (*round, place);
            *round += 1;
            (key, candidate)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The first candidate, in turn over the pools, that can be removed for at most one cheaper node
/// (`singlenodeconsolidation.go`).
pub fn single_node(
    observed: &Observed<'_>,
    simulator: &mut impl Simulator,
    budgets: &Budgets,
    mut candidates: Vec<Candidate>,
    totals: &Totals,
    unseen: &[PoolIndex],
) -> Found {
    // The order of pools is that of a map upstream: here that in which the state, which has no order either, names them.
    let mut unseen_pools: Vec<PoolIndex> = Vec::new();
    for candidate in &candidates {
        if !unseen_pools.contains(&candidate.pool) {
            unseen_pools.push(candidate.pool);
        }
    }
    candidate::sort(&mut candidates, observed.rules.ratio_order);
    let candidates = interleave(candidates, &unseen_pools, unseen);
    let mut found = Found { unseen_pools, ..Found::default() };
    for candidate in candidates {
        if found.cost > SINGLE_NODE_TIMEOUT {
            found.timed_out = true;
            return found;
        }
        found.unseen_pools.retain(|pool| *pool != candidate.pool);
        if budgets.get(&candidate.pool).is_none_or(|left| *left == 0) {
            found.over_budget.push(candidate.node);
            continue;
        }
        if is_left_to_emptiness(observed, &candidate) {
            continue;
        }
        if !balanced::can_pass(&candidate, observed, totals) {
            continue;
        }
        let node = candidate.node;
        let (outcome, cost) =
            consolidation::compute(observed, simulator, Method::SingleNodeConsolidation, &[candidate]);
        found.cost += cost;
        match outcome {
            Err(reason) => found.reasons.push((node, reason)),
            Ok(command) => match balanced::evaluate(&command, observed, totals) {
                Err(score) => found.reasons.push((node, Unconsolidatable::Score(score))),
                Ok(()) => {
                    found.commands.push(command);
                    found.unseen_pools = unseen.to_vec();
                    return found;
                }
            },
        }
    }
    found.consolidated = found.over_budget.is_empty();
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, TypeId, ZoneId};
    use crate::karpenter::disruption::command::Simulation;
    use crate::karpenter::disruption::model::{NodeView, PoolView, Rules};
    use crate::karpenter::disruption::replacement::{CapacitySet, Replacement, ZoneSet};
    use crate::units::Resources;

    /// Answers that up to so many nodes can be deleted, and remembers the sizes asked for.
    struct UpTo(usize, Vec<usize>, Duration);

    impl Simulator for UpTo {
        fn simulate(&mut self, removed: &[NodeIndex], _: bool) -> Simulation {
            self.1.push(removed.len());
            let error = (removed.len() > self.0).then(|| "no room".to_owned());
            Simulation { error, cost: self.2, ..Simulation::default() }
        }
    }

    fn candidates(count: usize) -> Vec<Candidate> {
        let one = |i: usize| Candidate {
            node: NodeIndex(i),
            id: i as u32,
            pool: PoolIndex(i % 2),
            instance_type: Some(TypeId(0)),
            zone: Some(ZoneId(0)),
            capacity_type: Some(CapacityType::OnDemand),
            price: (count - i) as f64,
            rescheduling_cost: 2.0,
            lifetime_weighted_cost: 1.0,
            reschedulable_pods: 1,
        };
        (0..count).map(one).collect()
    }

    fn catalogue() -> Catalogue {
        let offering = Offering {
            zone: ZoneId(0),
            capacity_type: CapacityType::OnDemand,
            price: 1.0,
            available: true,
            reservation: None,
        };
        let only = InstanceType {
            name: "only".to_owned(),
            labels: Arc::default(),
            capacity: Resources::ZERO,
            allocatable: Resources::ZERO,
            offerings: vec![offering],
        };
        Catalogue { zones: vec!["z".to_owned()], types: vec![only], ..Catalogue::default() }
    }

    fn observed(catalogue: &Catalogue, nodes: usize) -> Observed<'_> {
        let pool = |name: &str| PoolView {
            name: name.to_owned(),
            policy: crate::api::karpenter::ConsolidationPolicy::WhenEmptyOrUnderutilized,
            consolidate_after: Some(Duration::ZERO),
            budgets: Vec::new(),
            replicas: None,
            expire_after: None,
            tracked_cost: None,
        };
        Observed {
            catalogue,
            pools: vec![pool("a"), pool("b")],
            nodes: (0..nodes).map(|i| NodeView::new(i as u32, &format!("n{i}"), PoolIndex(0))).collect(),
            rules: Rules::of_minor(14, false),
        }
    }

    fn unlimited() -> Budgets {
        [(PoolIndex(0), 1000), (PoolIndex(1), 1000)].into()
    }

    fn multi(count: usize, fits: usize, cost: Duration) -> (Found, Vec<usize>) {
        let catalogue = catalogue();
        let observed = observed(&catalogue, count);
        let mut simulator = UpTo(fits, Vec::new(), cost);
        let found = multi_node(&observed, &mut simulator, unlimited(), candidates(count), &Totals::new());
        (found, simulator.1)
    }

    #[test]
    fn point_14_only_prefixes_on_the_path_of_the_bisection_are_tried() {
        assert_eq!(multi(10, 0, Duration::ZERO).1, [6, 3, 2]);
        assert_eq!(multi(10, 10, Duration::ZERO).1, [6, 8, 9, 10]);
        let (found, sizes) = multi(200, 200, Duration::ZERO);
        assert_eq!((sizes.last(), found.commands[0].candidates.len()), (Some(&101), 101));
    }

    #[test]
    fn point_01_a_search_over_several_nodes_stops_after_a_minute_with_what_it_has() {
        let (found, sizes) = multi(10, 10, Duration::from_secs(25));
        assert_eq!(sizes, [6, 8, 9]);
        assert_eq!((found.commands[0].candidates.len(), found.cost), (8, MULTI_NODE_TIMEOUT));
        let (found, _) = multi(10, 0, Duration::from_secs(61));
        assert!(found.commands.is_empty() && found.timed_out && found.consolidated);
    }

    #[test]
    fn single_node_takes_pools_in_turn_and_stops_after_three_minutes() {
        let catalogue = catalogue();
        let observed = observed(&catalogue, 6);
        let order: Vec<usize> = interleave(candidates(6), &[PoolIndex(0), PoolIndex(1)], &[PoolIndex(1)])
            .iter()
            .map(|c| c.node.0)
            .collect();
        assert_eq!(order, [1, 0, 3, 2, 5, 4], "the pool left unseen comes first");
        let mut fits = UpTo(9, Vec::new(), Duration::ZERO);
        let last_first: Vec<Candidate> = candidates(6).into_iter().rev().collect();
        let found = single_node(&observed, &mut fits, &unlimited(), last_first, &Totals::new(), &[]);
        let chosen = &found.commands[0].candidates[0];
        assert_eq!(
            (chosen.pool, chosen.node.0),
            (PoolIndex(1), 1),
            "the dearest of the pool that the state names first"
        );
        let mut simulator = UpTo(0, Vec::new(), Duration::from_secs(181));
        let found = single_node(&observed, &mut simulator, &unlimited(), candidates(6), &Totals::new(), &[]);
        assert!(found.timed_out && !found.consolidated);
        assert_eq!((simulator.1.len(), found.unseen_pools), (1, vec![PoolIndex(1)]));
        let mut simulator = UpTo(0, Vec::new(), SINGLE_NODE_TIMEOUT);
        let found = single_node(&observed, &mut simulator, &unlimited(), candidates(6), &Totals::new(), &[]);
        assert_eq!((simulator.1.len(), found.timed_out), (2, true), "it ends after three minutes, not at their end");
    }

    #[test]
    fn drifted_nodes_of_fixed_pools_go_as_far_as_budget_and_limit_allow() {
        let started = |budgets: [usize; 2], headroom: &[(PoolIndex, usize)]| {
            let budgets: Budgets = [(PoolIndex(0), budgets[0]), (PoolIndex(1), budgets[1])].into();
            let headroom = headroom.iter().copied().collect();
            let found = static_drift(&budgets, candidates(6), &headroom, |candidate| Replacement {
                pool: candidate.pool,
                types: vec![TypeId(0)],
                zones: ZoneSet::ALL,
                capacity_types: CapacitySet::ALL,
                reservations: Vec::new(),
                min_values: Vec::new(),
                plan: None,
            });
            for command in &found.commands {
                let [candidate] = &command.candidates[..] else { panic!("one node each") };
                assert_eq!((command.method, command.replacements.len()), (Method::StaticDrift, 1));
                assert_eq!(command.replacements[0].pool, candidate.pool);
            }
            let nodes: Vec<usize> = found.commands.iter().map(|command| command.candidates[0].node.0).collect();
            let left: Vec<usize> = found.over_budget.iter().map(|node| node.0).collect();
            (nodes, left)
        };
        assert_eq!(started([2, 9], &[]), (vec![0, 1, 2, 3, 5], vec![4]));
        assert_eq!(started([2, 9], &[(PoolIndex(1), 1)]), (vec![0, 1, 2], vec![3, 4, 5]));
        assert_eq!(started([0, 2], &[(PoolIndex(0), 3), (PoolIndex(1), 0)]), (vec![], vec![0, 1, 2, 3, 4, 5]));
    }

    #[test]
    fn a_spent_budget_keeps_the_method_from_calling_the_cluster_consolidated() {
        let catalogue = catalogue();
        let observed = observed(&catalogue, 4);
        let mut simulator = UpTo(0, Vec::new(), Duration::ZERO);
        let spent: Budgets = [(PoolIndex(0), 0), (PoolIndex(1), 9)].into();
        let found = single_node(&observed, &mut simulator, &spent, candidates(4), &Totals::new(), &[]);
        assert_eq!((found.over_budget.len(), found.consolidated), (2, false));
    }
}
