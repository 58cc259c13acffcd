//! Scheduling simulations on the solver (`pkg/controllers/disruption/helpers.go: SimulateScheduling`).

use std::collections::BTreeMap;
use std::ops::Range;

use crate::cluster::catalogue::{CapacityType, Catalogue};
use crate::engine::Stream;
use crate::karpenter::scheduling::{self, BoundPods, Common, Input, Knowledge, Results, labels};
use crate::time::{Duration, Time};

use super::command::{Simulation, Simulator};
use super::model::{NodeIndex, Observed, Phase, PoolIndex};
use super::replacement::{CapacitySet, MinValues, Replacement, ZoneSet};

/// How long the controller computes, for search time-outs and the length of a pass. Measured against recorded passes, not
/// given by upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionCost {
    /// For every simulation.
    pub simulation: Duration,
    /// For every pod of a simulation.
    pub pod: Duration,
    /// For every node of a simulation.
    pub node: Duration,
}

impl DecisionCost {
    /// Everything at once.
    pub const NONE: DecisionCost =
        DecisionCost { simulation: Duration::ZERO, pod: Duration::ZERO, node: Duration::ZERO };

    fn of(self, pods: usize, nodes: usize) -> Duration {
        self.simulation + self.pod * pods as i64 + self.node * nodes as i64
    }
}

/// How the solver knows a pod that is bound to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// Index in [`Input::shapes`].
    pub shape: usize,
    /// When it was created.
    pub created: Time,
    /// Breaks ties.
    pub uid: u64,
}

/// What simulations need beyond [`Observed`].
#[derive(Clone, Debug)]
pub struct Base<'a> {
    /// Pools, catalogues, DaemonSets, shapes and options; `nodes` are those of [`Observed::nodes`] in the same order;
    /// `pods` are the provisionable pending ones; `bound` is empty.
    pub input: Input<'a>,
    /// For each node, its pods as in [`super::model::NodeView::pods`].
    pub pods: Vec<Vec<PodIdentity>>,
    /// For each of the input's pools, the observed pool.
    pub pools: Vec<PoolIndex>,
}

/// A simulator over one state.
pub struct SolverSimulator<'a, 'b> {
    view: View<'a, 'b>,
    base: &'b dyn Fn() -> Base<'a>,
    cost: DecisionCost,
    knowledge: &'b mut Knowledge,
    stream: &'b mut Stream,
    /// Made for the first simulation: most passes come to none.
    question: Option<Question<'a>>,
}

/// The state that is looked at.
#[derive(Clone, Copy)]
struct View<'a, 'b> {
    observed: &'b Observed<'a>,
    now: Time,
}

/// What all simulations ask.
struct Question<'a> {
    common: Common,
    /// The question with no node removed; its pods are the pending ones and those of leaving nodes.
    input: Input<'a>,
    /// How many pods are pending.
    pending: usize,
    /// For each node, its pods.
    pods: Vec<Vec<PodIdentity>>,
    /// For each of the input's pools, the observed pool.
    pools: Vec<PoolIndex>,
    /// For each node, where its pods stand among the bound ones.
    bound_of: Vec<Range<usize>>,
    /// Nodes whose pods must move in any case.
    leaving: Vec<usize>,
}

impl View<'_, '_> {
    /// Pods of a node that stay on it, those that can move set aside if `moves`.
    fn staying_on(&self, node: usize, pods: &[PodIdentity], moves: bool) -> Vec<BoundPods> {
        let mut counts: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        for (pod, identity) in self.observed.nodes[node].pods.iter().zip(pods) {
            if pod.phase == Phase::Terminal || (moves && pod.is_currently_reschedulable(self.now)) {
                continue;
            }
            let (running, present) = counts.entry(identity.shape).or_default();
            *running += u32::from(!pod.terminating);
            *present += 1;
        }
        let counts = counts.into_iter();
        counts.map(|(shape, (running, present))| BoundPods { shape, node, running, present }).collect()
    }
}

impl<'a> Question<'a> {
    fn new(view: View<'a, '_>, base: Base<'a>, knowledge: &mut Knowledge) -> Self {
        let View { observed, now } = view;
        let Base { mut input, pods, pools } = base;
        let common = knowledge.common(&input);
        for (node, into) in observed.nodes.iter().zip(&mut input.nodes) {
            let pool = node.pool.map(|pool| observed.pool(pool));
            into.target = !node.marked_for_deletion;
            into.under_consolidate_after =
                pool.is_some_and(|pool| node.is_under_consolidate_after(pool.consolidate_after, now));
        }
        let mut bound_of = Vec::with_capacity(observed.nodes.len());
        for (node, pods) in pods.iter().enumerate() {
            let before = input.bound.len();
            input.bound.extend(view.staying_on(node, pods, observed.nodes[node].marked_for_deletion));
            bound_of.push(before..input.bound.len());
        }
        let leaving = (0..observed.nodes.len()).filter(|i| observed.nodes[*i].marked_for_deletion).collect();
        Question { common, pending: input.pods.len(), input, pods, pools, bound_of, leaving }
    }

    /// Takes the pods of a node that can move out of those that are bound, and gives what was bound to it.
    fn take_off(&mut self, node: usize, view: View<'_, '_>) -> Vec<BoundPods> {
        let staying = view.staying_on(node, &self.pods[node], true);
        let own = &mut self.input.bound[self.bound_of[node].clone()];
        let all = own.to_vec();
        for bound in own {
            let left = staying.iter().find(|left| left.shape == bound.shape);
            (bound.running, bound.present) = left.map_or((0, 0), |left| (left.running, left.present));
        }
        all
    }

    /// Adds the pods of a node that can move to the question.
    fn move_pods_of(&mut self, node: usize, gate: bool, view: View<'_, '_>) {
        for (pod, identity) in view.observed.nodes[node].pods.iter().zip(&self.pods[node]) {
            if pod.is_currently_reschedulable(view.now) {
                let PodIdentity { shape, created, uid } = *identity;
                let gated = gate && pod.phase != Phase::Pending;
                self.input.pods.push(scheduling::Pod { shape, created, uid, gated });
            }
        }
    }

    /// Asks where the pods of the removed nodes go. Tells for each pod beyond the pending ones whether it comes from a leaving node, too.
    fn ask(
        &mut self,
        removed: &[NodeIndex],
        destination_gate: bool,
        view: View<'_, '_>,
        knowledge: &mut Knowledge,
        stream: &mut Stream,
    ) -> (Results, Vec<bool>) {
        self.input.pods.truncate(self.pending);
        let mut candidates: Vec<usize> = removed.iter().map(|node| node.0).collect();
        candidates.sort_unstable();
        for node in &candidates {
            self.move_pods_of(*node, destination_gate, view);
        }
        let mut from_leaving = vec![false; self.input.pods.len()];
        for place in 0..self.leaving.len() {
            self.move_pods_of(self.leaving[place], false, view);
        }
        from_leaving.resize(self.input.pods.len(), true);
        let mut bound = Vec::with_capacity(candidates.len());
        for node in &candidates {
            self.input.nodes[*node].target = false;
            bound.push(self.take_off(*node, view));
        }
        let results = scheduling::solve_among(&self.common, &self.input, knowledge, stream);
        for (node, bound) in candidates.iter().zip(bound) {
            self.input.nodes[*node].target = true;
            self.input.bound[self.bound_of[*node].clone()].copy_from_slice(&bound);
        }
        (results, from_leaving)
    }

    /// The first reason for which a pod that is not pending has no place.
    fn error(&self, results: &Results, from_leaving: &[bool]) -> Option<String> {
        if let Some((_, error)) = results.errors.iter().find(|(pod, _)| *pod >= self.pending) {
            return Some(error.to_string());
        }
        let uninitialized = results.existing.iter().find(|(node, pods)| {
            !self.input.nodes[*node].initialized && pods.iter().any(|pod| *pod >= self.pending && !from_leaving[*pod])
        });
        uninitialized
            .map(|(node, _)| format!("would schedule against uninitialized node/{}", self.input.nodes[*node].name))
    }

    fn replacement(&self, claim: &scheduling::NewClaim, catalogue: &Catalogue) -> Replacement {
        let requires = |key| claim.requirements.get(key);
        let zones = requires(labels::ZONE).map_or(ZoneSet::ALL, |zones| {
            let names = catalogue.zones.iter().enumerate().filter(|(_, name)| zones.has(name));
            ZoneSet::of(names.map(|(i, _)| crate::cluster::catalogue::ZoneId(i as u16)))
        });
        let capacity_types = requires(labels::CAPACITY_TYPE).map_or(CapacitySet::ALL, |allowed| CapacitySet {
            reserved: allowed.has(CapacityType::Reserved.as_str()),
            spot: allowed.has(CapacityType::Spot.as_str()),
            on_demand: allowed.has(CapacityType::OnDemand.as_str()),
        });
        let reservations = scheduling::required_reservations(catalogue, &claim.requirements);
        let min_values = claim.requirements.iter().filter_map(|(key, requirement)| {
            requirement.min_values.map(|least| MinValues { key: key.to_owned(), least: least as usize })
        });
        Replacement {
            pool: self.pools[claim.pool],
            types: claim.options.clone(),
            zones,
            capacity_types,
            reservations,
            min_values: min_values.collect(),
            plan: Some(claim.clone()),
        }
    }
}

impl<'a, 'b> SolverSimulator<'a, 'b> {
    /// Over `observed` at `now`; `base` is made for the first simulation. Ties of topology domains are drawn from `stream`.
    #[must_use]
    pub fn new(
        observed: &'b Observed<'a>,
        base: &'b dyn Fn() -> Base<'a>,
        now: Time,
        cost: DecisionCost,
        knowledge: &'b mut Knowledge,
        stream: &'b mut Stream,
    ) -> Self {
        SolverSimulator { view: View { observed, now }, base, cost, knowledge, stream, question: None }
    }
}

impl Simulator for SolverSimulator<'_, '_> {
    fn simulate(&mut self, removed: &[NodeIndex], destination_gate: bool) -> Simulation {
        let view = self.view;
        if removed.iter().any(|node| view.observed.node(*node).marked_for_deletion) {
            return Simulation { candidate_deleting: true, ..Simulation::default() };
        }
        let question = self.question.get_or_insert_with(|| Question::new(view, (self.base)(), self.knowledge));
        let (results, from_leaving) = question.ask(removed, destination_gate, view, self.knowledge, self.stream);
        let catalogue = view.observed.catalogue;
        Simulation {
            candidate_deleting: false,
            error: question.error(&results, &from_leaving),
            claims: results.claims.iter().map(|claim| question.replacement(claim, catalogue)).collect(),
            destinations: results.existing.iter().map(|(node, _)| NodeIndex(*node)).collect(),
            cost: self.cost.of(question.input.pods.len(), question.input.nodes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_takes_longer_for_each_pod_and_each_node() {
        let [simulation, pod, node] = [1000, 10, 1].map(Duration::from_millis);
        let cost = DecisionCost { simulation, pod, node };
        assert_eq!(cost.of(0, 0), Duration::from_millis(1000));
        assert_eq!(cost.of(3, 7), Duration::from_millis(1037));
        assert_eq!(DecisionCost::NONE.of(3, 7), Duration::ZERO);
    }
}
