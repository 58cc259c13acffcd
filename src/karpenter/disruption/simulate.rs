//! Scheduling simulations on the solver (`pkg/controllers/disruption/helpers.go: SimulateScheduling`).

use std::collections::BTreeMap;

use crate::cluster::catalogue::CapacityType;
use crate::engine::Stream;
use crate::karpenter::scheduling::{self, BoundPods, Input, Knowledge, Results, labels};
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
    observed: &'b Observed<'a>,
    base: &'b Base<'a>,
    now: Time,
    cost: DecisionCost,
    knowledge: &'b mut Knowledge,
    stream: &'b mut Stream,
}

impl<'a, 'b> SolverSimulator<'a, 'b> {
    /// Over `observed` at `now`; ties of topology domains are drawn from `stream`.
    #[must_use]
    pub fn new(
        observed: &'b Observed<'a>,
        base: &'b Base<'a>,
        now: Time,
        cost: DecisionCost,
        knowledge: &'b mut Knowledge,
        stream: &'b mut Stream,
    ) -> Self {
        SolverSimulator { observed, base, now, cost, knowledge, stream }
    }

    /// The question to the solver, and for each of its pods beyond the pending ones whether it comes from a deleting node.
    fn question(&self, removed: &[NodeIndex], destination_gate: bool) -> (Input<'a>, Vec<bool>) {
        let mut input = self.base.input.clone();
        let mut deleting_pods = vec![false; input.pods.len()];
        let mut moved: Vec<(bool, scheduling::Pod)> = Vec::new();
        for (i, node) in self.observed.nodes.iter().enumerate() {
            let candidate = removed.contains(&NodeIndex(i));
            input.nodes[i].target = !candidate && !node.marked_for_deletion;
            let pool = node.pool.map(|pool| self.observed.pool(pool));
            input.nodes[i].under_consolidate_after =
                pool.is_some_and(|pool| node.is_under_consolidate_after(pool.consolidate_after, self.now));
            let mut staying: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
            for (pod, identity) in node.pods.iter().zip(&self.base.pods[i]) {
                let PodIdentity { shape, created, uid } = *identity;
                if (candidate || node.marked_for_deletion) && pod.is_currently_reschedulable(self.now) {
                    let gated = destination_gate && candidate && pod.phase != Phase::Pending;
                    moved.push((!candidate, scheduling::Pod { shape, created, uid, gated }));
                } else if pod.phase != Phase::Terminal {
                    let (running, present) = staying.entry(shape).or_default();
                    *running += u32::from(!pod.terminating);
                    *present += 1;
                }
            }
            input.bound.extend(staying.into_iter().map(|(shape, (running, present))| BoundPods {
                shape,
                node: i,
                running,
                present,
            }));
        }
        moved.sort_by_key(|(deleting, _)| *deleting);
        for (deleting, pod) in moved {
            deleting_pods.push(deleting);
            input.pods.push(pod);
        }
        (input, deleting_pods)
    }

    /// The first reason for which a pod that is not pending has no place.
    fn error(&self, results: &Results, from_deleting: &[bool]) -> Option<String> {
        let pending = self.base.input.pods.len();
        if let Some((_, error)) = results.errors.iter().find(|(pod, _)| *pod >= pending) {
            return Some(error.to_string());
        }
        let uninitialized = results.existing.iter().find(|(node, pods)| {
            !self.base.input.nodes[*node].initialized && pods.iter().any(|pod| *pod >= pending && !from_deleting[*pod])
        });
        uninitialized
            .map(|(node, _)| format!("would schedule against uninitialized node/{}", self.base.input.nodes[*node].name))
    }

    fn replacement(&self, claim: &scheduling::NewClaim) -> Replacement {
        let catalogue = self.observed.catalogue;
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
        let min_values = claim.requirements.iter().filter_map(|(key, requirement)| {
            requirement.min_values.map(|least| MinValues { key: key.to_owned(), least: least as usize })
        });
        Replacement {
            pool: self.base.pools[claim.pool],
            types: claim.options.clone(),
            zones,
            capacity_types,
            min_values: min_values.collect(),
            plan: Some(claim.clone()),
        }
    }
}

impl Simulator for SolverSimulator<'_, '_> {
    fn simulate(&mut self, removed: &[NodeIndex], destination_gate: bool) -> Simulation {
        if removed.iter().any(|node| self.observed.node(*node).marked_for_deletion) {
            return Simulation { candidate_deleting: true, ..Simulation::default() };
        }
        let (input, from_deleting) = self.question(removed, destination_gate);
        let cost = self.cost.of(input.pods.len(), input.nodes.len());
        let results = scheduling::solve_knowing(&input, self.knowledge, self.stream);
        Simulation {
            candidate_deleting: false,
            error: self.error(&results, &from_deleting),
            claims: results.claims.iter().map(|claim| self.replacement(claim)).collect(),
            destinations: results.existing.iter().map(|(node, _)| NodeIndex(*node)).collect(),
            cost,
        }
    }
}
