//! The pass itself (`scheduler.go: Scheduler.Solve`).
//!
//! Pods are tried one by one as upstream does. What makes it fast is that pods of one shape share everything that can be known of
//! them: a node or claim that can never take one of them is not looked at again for the others.

use std::sync::Arc;

use super::arena::Arena;
use super::claim::{Addition, Claim, Newcomer, Refused, Surroundings};
use super::existing::{self, Answer, Existing};
use super::finalize;
use super::go_sort::sort_slice;
use super::input::{Input, MinValuesPolicy};
use super::knowledge::{Common, Knowledge};
use super::offers::Offers;
use super::queue::{self, Queue};
use super::reservations::Reservations;
use super::results::{ClaimError, Results, SchedulingError};
use super::shape::{ShapeState, Wants};
use super::template::Template;
use super::tie::Place;
use super::topology::{Side, Topology, World};
use super::topology_group::Domain;
use crate::api::pod::TaintEffect;
use crate::engine::Stream;
use crate::units::Resources;

/// Plans where the pods of `input` run. `stream` decides what upstream leaves to chance: which of equally loaded domains.
pub fn solve(input: &Input<'_>, stream: &mut Stream) -> Results {
    solve_knowing(input, &mut Knowledge::default(), stream)
}

/// The same with what former questions left.
pub fn solve_knowing(input: &Input<'_>, knowledge: &mut Knowledge, stream: &mut Stream) -> Results {
    let common = knowledge.common(input);
    solve_among(&common, input, knowledge, stream)
}

/// The same for one of several questions, of which is known what they have in common.
pub fn solve_among(common: &Common, input: &Input<'_>, knowledge: &mut Knowledge, stream: &mut Stream) -> Results {
    if input.pools.is_empty() {
        let errors = (0..input.pods.len()).map(|pod| (pod, SchedulingError::NoPools)).collect();
        return Results { errors, ..Results::default() };
    }
    Solver::new(input, common, knowledge, stream.bits()).run()
}

/// A pass under way.
pub(super) struct Solver<'w, 'a> {
    pub(super) input: &'w Input<'a>,
    pub(super) arena: &'w mut Arena,
    pub(super) offers: &'w mut [Offers],
    topology: Topology,
    reservations: Reservations,
    common: &'w Common,
    pub(super) templates: Vec<Template<'a>>,
    shapes: Vec<ShapeState>,
    pub(super) existing: Vec<Existing<'w, 'a>>,
    pub(super) claims: Vec<Claim>,
    pub(super) order: ClaimOrder,
    skipped_pools: Vec<usize>,
    tolerate_prefer_no_schedule: bool,
    place: Place,
}

/// Open claims, fewest pods first, with the order among equals that Go's sort leaves.
#[derive(Default)]
pub(super) struct ClaimOrder {
    /// Number of pods and index of each claim.
    pub(super) items: Vec<(u32, u32)>,
    /// Position of each claim in `items`.
    positions: Vec<u32>,
    unsorted: bool,
}

impl ClaimOrder {
    fn sort(&mut self) {
        if self.unsorted {
            sort_slice(&mut self.items, |a, b| a.0 < b.0);
            self.items.iter().enumerate().for_each(|(i, (_, claim))| self.positions[*claim as usize] = i as u32);
            self.unsorted = false;
        }
    }

    fn push(&mut self) {
        self.unsorted |= self.items.last().is_some_and(|(pods, _)| *pods > 1);
        self.positions.push(self.items.len() as u32);
        self.items.push((1, self.items.len() as u32));
    }

    fn increment(&mut self, claim: u32) {
        let position = self.positions[claim as usize] as usize;
        self.items[position].0 += 1;
        let pods = self.items[position].0;
        self.unsorted |= self.items.get(position + 1).is_some_and(|(next, _)| *next < pods);
    }
}

impl<'w, 'a> Solver<'w, 'a> {
    fn new(input: &'w Input<'a>, common: &'w Common, knowledge: &'w mut Knowledge, seed: u64) -> Self {
        let Knowledge { arena, offers, .. } = knowledge;
        let prepared = common.pools.templates.iter();
        let templates = prepared.map(|template| Template::new(input, template, offers)).collect();
        let mut taints = input.pools.iter().flat_map(|pool| &pool.spec.template.spec.taints);
        let mut solver = Solver {
            input,
            arena,
            offers,
            topology: Topology::new(input.shapes.len()),
            reservations: Reservations::new(input),
            common,
            templates,
            shapes: common.needs.iter().map(ShapeState::new).collect(),
            existing: existing::in_filling_order(input, common),
            claims: Vec::new(),
            order: ClaimOrder::default(),
            skipped_pools: common.pools.skipped.clone(),
            tolerate_prefer_no_schedule: taints.any(|taint| taint.effect == TaintEffect::PreferNoSchedule),
            place: Place { seed, attempt: 0, candidate: 0 },
        };
        solver.count_repelling();
        for pod in &input.pods {
            solver.reach(pod.shape, 0);
        }
        solver
    }

    /// Required anti-affinity of pods that run already (`updateInverseAffinities`).
    fn count_repelling(&mut self) {
        if self.common.needs.iter().all(|needs| needs.repelling.is_empty()) {
            return;
        }
        let mut world =
            World { input: self.input, offers: self.offers, arena: self.arena, node_sets: &self.common.sets };
        for bound in self.input.bound.iter().filter(|bound| bound.present > 0) {
            let shape = &self.input.shapes[bound.shape];
            for identity in &self.common.needs[bound.shape].repelling {
                let group = self.topology.join_inverse(identity, &shape.spec.tolerations, &mut world);
                self.topology.record_repelling(group, bound.node, &world);
            }
        }
    }

    fn reach(&mut self, shape: usize, level: usize) -> bool {
        let mut world =
            World { input: self.input, offers: self.offers, arena: self.arena, node_sets: &self.common.sets };
        let tolerate = self.tolerate_prefer_no_schedule;
        self.shapes[shape].reach(level, &self.input.shapes[shape], tolerate, &mut self.topology, &mut world)
    }

    fn run(mut self) -> Results {
        let order = queue::order(&self.input.pods, |pod| self.shapes[pod.shape].needs.requests);
        let mut queue = Queue::new(order);
        let mut errors: Vec<Option<Arc<SchedulingError>>> = vec![None; self.input.pods.len()];
        while let Some(pod) = queue.pop() {
            errors[pod] = self.try_schedule(pod).err();
            if errors[pod].is_some() {
                queue.push(pod);
            }
        }
        let skipped_pools = std::mem::take(&mut self.skipped_pools);
        finalize::finish(self, errors, skipped_pools)
    }

    /// Tries a pod, giving up one preference after the other (`trySchedule`).
    fn try_schedule(&mut self, pod: usize) -> Result<(), Arc<SchedulingError>> {
        let shape = self.input.pods[pod].shape;
        let mut level = 0;
        loop {
            match self.add(pod, shape, level) {
                Ok(()) => return Ok(()),
                Err(error) if *error == SchedulingError::ReservedOffering => return Err(error),
                Err(error) if !self.reach(shape, level + 1) => return Err(error),
                Err(_) => level += 1,
            }
        }
    }

    /// One attempt: existing nodes, open claims, a further claim (`add`).
    fn add(&mut self, pod: usize, shape: usize, level: usize) -> Result<(), Arc<SchedulingError>> {
        self.place.attempt += 1;
        let wants = Arc::clone(&self.shapes[shape].variants[level].wants);
        if self.add_to_existing(pod, shape, level, &wants) {
            return Ok(());
        }
        self.order.sort();
        if self.add_to_open_claim(pod, shape, level, &wants) {
            return Ok(());
        }
        if self.templates.is_empty() {
            return Err(Arc::new(SchedulingError::AllPoolsFiltered));
        }
        self.add_to_new_claim(pod, shape, level, &wants)
    }

    fn add_to_existing(&mut self, pod: usize, shape: usize, level: usize, wants: &Wants) -> bool {
        let gated = self.input.pods[pod].gated;
        let known = self.shapes[shape].variants[level].progress.existing.take();
        let mut candidates = known.unwrap_or_else(|| (0..self.existing.len() as u32).collect());
        let (mut kept, mut next, mut placed) = (0, 0, None);
        while next < candidates.len() && placed.is_none() {
            let index = candidates[next];
            next += 1;
            let node = &mut self.existing[index as usize];
            if !(gated && node.under_consolidate_after) {
                let place = Place { candidate: Place::existing(node.position), ..self.place };
                match node.can_add(shape, &self.common.needs[shape], wants, place, &mut self.topology, self.arena) {
                    Answer::Yes(set) => placed = Some((index as usize, set)),
                    Answer::NotNow => {}
                    Answer::Never => continue,
                }
            }
            candidates[kept] = index;
            kept += 1;
        }
        candidates.drain(kept..next);
        self.shapes[shape].variants[level].progress.existing = Some(candidates);
        let Some((index, set)) = placed else { return false };
        let node = &mut self.existing[index];
        node.put(pod, &self.common.needs[shape], set);
        let side = Side { set, host: node.host(&mut self.topology.names), taints: node.taints };
        self.topology.record(shape, &wants.membership, side, self.arena);
        true
    }

    fn add_to_open_claim(&mut self, pod: usize, shape: usize, level: usize, wants: &Wants) -> bool {
        let progress = &mut self.shapes[shape].variants[level].progress;
        progress.claims.extend(progress.seen as u32..self.claims.len() as u32);
        progress.seen = self.claims.len();
        let mut candidates = std::mem::take(&mut progress.claims);
        let positions = &self.order.positions;
        candidates.sort_unstable_by_key(|claim| positions[*claim as usize]);
        let (mut kept, mut next, mut placed) = (0, 0, None);
        while next < candidates.len() && placed.is_none() {
            let claim = candidates[next];
            next += 1;
            match self.check(claim as usize, shape, wants) {
                Ok(addition) => placed = Some((claim, addition)),
                Err(refused) if refused.permanent => continue,
                Err(_) => {}
            }
            candidates[kept] = claim;
            kept += 1;
        }
        candidates.drain(kept..next);
        self.shapes[shape].variants[level].progress.claims = candidates;
        let Some((index, addition)) = placed else { return false };
        let claim = &mut self.claims[index as usize];
        self.reservations.hold(claim.host, &claim.reserved, &addition.reserved);
        claim.put(pod, &self.common.needs[shape], addition);
        let template = &self.templates[claim.template];
        let side = Side { set: claim.set, host: claim.host, taints: &template.taints };
        self.topology.record(shape, &wants.membership, side, self.arena);
        self.order.increment(index);
        true
    }

    fn check(&mut self, claim: usize, shape: usize, wants: &Wants) -> Result<Addition, Refused> {
        let claim_index = claim;
        let claim = &self.claims[claim];
        let template = &self.templates[claim.template];
        let mut around = Surroundings {
            arena: self.arena,
            offers: &mut self.offers[template.catalogue],
            topology: &mut self.topology,
            reservations: &self.reservations,
        };
        let pod = Newcomer { shape, state: &self.shapes[shape], wants, relax_min_values: false };
        claim.can_add(&pod, template, Place { candidate: Place::claim(claim_index), ..self.place }, &mut around)
    }

    fn add_to_new_claim(
        &mut self,
        pod: usize,
        shape: usize,
        level: usize,
        wants: &Wants,
    ) -> Result<(), Arc<SchedulingError>> {
        if let Some(error) = &self.shapes[shape].variants[level].progress.hopeless {
            return Err(Arc::clone(error));
        }
        self.shapes[shape].variants[level].progress.templates.resize(self.templates.len(), None);
        let host = self.topology.names.intern(&format!("hostname-placeholder-{:04}", self.claims.len() + 1));
        let mut reasons = Vec::new();
        let mut hopeless = true;
        for index in 0..self.templates.len() {
            let known = self.shapes[shape].variants[level].progress.templates[index].clone();
            let reason = match known {
                Some(reason) => reason,
                None => match self.open(index, host, pod, shape, wants) {
                    Ok(()) => return Ok(()),
                    Err(refused) if refused.reason == ClaimError::ReservedOffering => {
                        return Err(Arc::new(SchedulingError::ReservedOffering));
                    }
                    Err(refused) => {
                        hopeless &= refused.permanent;
                        if refused.permanent {
                            self.shapes[shape].variants[level].progress.templates[index] = Some(refused.reason.clone());
                        }
                        refused.reason
                    }
                },
            };
            reasons.push((self.templates[index].pool, reason));
        }
        let error = Arc::new(SchedulingError::NoClaimFits(reasons));
        if hopeless {
            self.shapes[shape].variants[level].progress.hopeless = Some(Arc::clone(&error));
        }
        Err(error)
    }

    /// Opens a claim of the template for the pod (`addToNewNodeClaim`).
    fn open(&mut self, index: usize, host: Domain, pod: usize, shape: usize, wants: &Wants) -> Result<(), Refused> {
        let template = &mut self.templates[index];
        let for_good = |reason| Refused { reason, permanent: true };
        if template.nodes_exhausted() {
            return Err(for_good(ClaimError::NodeLimit));
        }
        if template.within_limits.is_empty() {
            return Err(for_good(ClaimError::Limits));
        }
        let mut claim = Claim {
            template: index,
            host,
            set: template.set,
            options: Arc::clone(&template.within_limits),
            floor: template.floor,
            requests: Resources::ZERO,
            pods: Vec::new(),
            ports: Vec::new(),
            reserved: Vec::new(),
            min_values_relaxed: false,
        };
        let mut around = Surroundings {
            arena: self.arena,
            offers: &mut self.offers[template.catalogue],
            topology: &mut self.topology,
            reservations: &self.reservations,
        };
        let relax_min_values = self.input.options.min_values == MinValuesPolicy::BestEffort;
        let newcomer = Newcomer { shape, state: &self.shapes[shape], wants, relax_min_values };
        let place = Place { candidate: Place::template(index), ..self.place };
        let addition = claim.can_add(&newcomer, template, place, &mut around)?;
        self.reservations.hold(host, &[], &addition.reserved);
        claim.put(pod, &self.common.needs[shape], addition);
        let side = Side { set: claim.set, host, taints: &template.taints };
        self.topology.record(shape, &wants.membership, side, self.arena);
        template.subtract_max(&claim.options, &mut self.offers[template.catalogue]);
        self.claims.push(claim);
        self.order.push();
        Ok(())
    }
}
