//! One pass of the loop over all methods, as far as its next wait (`pkg/controllers/disruption/controller.go: Controller.Reconcile,
//! Controller.disrupt`).

use jiff::Timestamp;

use crate::time::{Duration, Time};

use super::balanced;
use super::budget;
use super::candidate::{Candidate, Candidates};
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
pub type StaticDrift<'a> = &'a dyn Fn(&Observed<'_>, &search::Budgets, Vec<Candidate>) -> Found;

/// Without static pools there is nothing to do for static drift.
#[must_use]
pub fn no_static_pools(_: &Observed<'_>, _: &search::Budgets, _: Vec<Candidate>) -> Found {
    Found::default()
}

/// Tries the methods from `first` on, or all without one, with the candidates among the nodes observed, until one finds something. A
/// method without candidates is passed over without being marked consolidated; budgets are recomputed for every method.
pub fn run(
    all: &Candidates,
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
        let candidates = all.of_method(observed, method);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::karpenter::ConsolidationPolicy;
    use crate::cluster::catalogue::{CapacityType, Catalogue, TypeId, ZoneId};
    use crate::karpenter::disruption::command::Simulation;
    use crate::karpenter::disruption::model::{NodeIndex, NodeView, PodView, PoolView, Rules};
    use crate::karpenter::small_cluster;

    /// Finds no room for any pod, and takes its time.
    struct NoRoom(Duration, usize);

    impl Simulator for NoRoom {
        fn simulate(&mut self, _: &[NodeIndex], _: bool) -> Simulation {
            self.1 += 1;
            Simulation { error: Some("no room".to_owned()), cost: self.0, ..Simulation::default() }
        }
    }

    /// A node with a pod in each of two pools.
    fn observed(catalogue: &Catalogue) -> Observed<'_> {
        let pool = |name: &str| PoolView {
            name: name.to_owned(),
            policy: ConsolidationPolicy::WhenEmptyOrUnderutilized,
            consolidate_after: Some(Duration::ZERO),
            budgets: Vec::new(),
            replicas: None,
            expire_after: None,
            tracked_cost: None,
        };
        let node = |id: u32| NodeView {
            instance_type: Some(TypeId(0)),
            zone: Some(ZoneId(0)),
            capacity_type: Some(CapacityType::OnDemand),
            consolidatable: true,
            pods: vec![PodView::default()],
            ..NodeView::new(id, &format!("n{id}"), PoolIndex(id as usize))
        };
        Observed {
            catalogue,
            pools: vec![pool("a"), pool("b")],
            nodes: vec![node(0), node(1)],
            rules: Rules::of_minor(14, false),
        }
    }

    fn at(seconds: i64) -> Instant {
        Instant { now: Time::ZERO + Duration::from_secs(seconds), wall: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_pool_that_a_search_did_not_reach_comes_first_in_the_next() {
        let catalogue = small_cluster::catalogue();
        let (observed, mut memory) = (observed(&catalogue), Memory::default());
        let single = Some(Method::SingleNodeConsolidation);
        let mut looked_at = |seconds| {
            let mut simulator = NoRoom(Duration::from_secs(181), 0);
            let all = Candidates::of(&observed, at(seconds).now);
            let outcome = run(&all, &mut memory, &observed, &mut simulator, single, at(seconds), &no_static_pools);
            assert_eq!(outcome.timed_out, [Method::SingleNodeConsolidation]);
            outcome.notes.iter().map(|note| note.node).collect::<Vec<u32>>()
        };
        assert_eq!(looked_at(0), [0]);
        assert_eq!(looked_at(200), [1]);
    }

    #[test]
    fn a_search_that_finds_nothing_has_seen_what_is_there_at_its_end() {
        let catalogue = small_cluster::catalogue();
        let (observed, mut memory) = (observed(&catalogue), Memory::default());
        memory.state.mark_unconsolidated(Time::ZERO);
        let mut simulations = |seconds| {
            let mut simulator = NoRoom(Duration::from_secs(10), 0);
            let all = Candidates::of(&observed, at(seconds).now);
            run(&all, &mut memory, &observed, &mut simulator, None, at(seconds), &no_static_pools);
            simulator.1
        };
        // The state of 0 s expires at 300 s, within the first search.
        assert_eq!(simulations(295), 3, "both nodes together, then each");
        assert_eq!(simulations(335), 0);
        assert_eq!(simulations(606), 3);
    }

    #[test]
    fn a_command_is_abandoned_with_the_number_of_nodes_that_are_no_candidates_any_more() {
        let catalogue = small_cluster::catalogue();
        let mut observed = observed(&catalogue);
        let candidates = Candidates::of(&observed, Time::ZERO).of_method(&observed, Method::MultiNodeConsolidation);
        assert_eq!(candidates.len(), 2);
        let command = Command {
            method: Method::MultiNodeConsolidation,
            candidates,
            replacements: Vec::new(),
            destinations: Vec::new(),
        };
        let mut abandoned = |node: usize| {
            observed.nodes[node].consolidatable = false;
            validate(&command, &observed, &mut NoRoom(Duration::ZERO, 0), at(15)).expect_err("no candidates")
        };
        assert_eq!(abandoned(1), Invalid::Churn(1));
        assert_eq!(abandoned(0).to_string(), "2 candidates are no longer valid");
    }
}
