//! Making room for a pod by displacing pods of lower priority (`framework/preemption/preemption.go`,
//! `plugins/defaultpreemption/default_preemption.go`).

use crate::api::meta::LabelSelector;
use crate::engine::Stream;

use super::choose::Chooser;
use super::diagnosis::Diagnosis;
use super::shape::ShapeIndex;
use super::snapshot::{Placed, Slot, Snapshot};

/// A PodDisruptionBudget as preemption sees it: only a preference.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Which pods; `None` matches none.
    pub selector: Option<LabelSelector>,
    /// How many may go now.
    pub disruptions_allowed: i64,
}

/// A node and who must leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub slot: Slot,
    /// Victims, most important first.
    pub victims: Vec<Placed>,
    /// How many of them break a budget.
    pub violations: usize,
}

/// Nodes tried at least and, in percent of the promising ones, before the search stops
/// (`minCandidateNodesAbsolute`, `minCandidateNodesPercentage`).
const MIN_CANDIDATES: usize = 100;
const MIN_CANDIDATES_PERCENT: usize = 10;

/// Finds whom a pod displaces, if anyone (`Evaluator.Preempt`). `None`: it is not allowed to, must wait for victims it has
/// displaced already, or displacing does not help.
pub fn preempt(
    chooser: &mut Chooser,
    snapshot: &mut Snapshot,
    preemptor: (u32, ShapeIndex, Option<Slot>),
    diagnosis: &Diagnosis,
    budgets: &[Budget],
    random: &mut Stream,
) -> Option<Candidate> {
    let (pod, shape, nominated) = preemptor;
    let (priority, preempts) = {
        let traits = &snapshot.shape_of(shape).traits;
        (traits.priority, traits.preempts)
    };
    if !preempts || !diagnosis.resolvable || waits_for_victims(snapshot, priority, nominated) {
        return None;
    }
    let order: Vec<Slot> = snapshot.order().to_vec();
    let promising: Vec<Slot> = order
        .into_iter()
        .filter(|slot| matches!(chooser.feasible(snapshot, pod, shape, *slot), Err(rejection) if rejection.resolvable))
        .collect();
    if promising.is_empty() {
        return None;
    }
    let want = (promising.len() * MIN_CANDIDATES_PERCENT / 100).max(MIN_CANDIDATES).min(promising.len());
    let offset = random.below(promising.len());
    let mut candidates: Vec<Candidate> = Vec::new();
    for index in 0..promising.len() {
        let slot = promising[(offset + index) % promising.len()];
        candidates.extend(victims_on(chooser, snapshot, (pod, shape), slot, budgets));
        // The search ends with enough candidates, of which at least one breaks no budget.
        if candidates.len() >= want && candidates.iter().any(|candidate| candidate.violations == 0) {
            break;
        }
    }
    choose_candidate(snapshot, candidates, random)
}

/// `PodEligibleToPreemptOthers`: a pod whose nominated node still has lower-priority pods terminating because of preemption waits.
fn waits_for_victims(snapshot: &Snapshot, priority: i32, nominated: Option<Slot>) -> bool {
    nominated.is_some_and(|slot| {
        snapshot
            .node(slot)
            .pods
            .iter()
            .any(|placed| placed.preempted && snapshot.shape_of(placed.shape).traits.priority < priority)
    })
}

/// `SelectVictimsOnNode`: remove all lower-priority pods; if the pod then fits, give back as many as possible.
fn victims_on(
    chooser: &mut Chooser,
    snapshot: &mut Snapshot,
    (pod, shape): (u32, ShapeIndex),
    slot: Slot,
    budgets: &[Budget],
) -> Option<Candidate> {
    let priority = snapshot.shape_of(shape).traits.priority;
    let lower = |snapshot: &Snapshot, placed: &Placed| snapshot.shape_of(placed.shape).traits.priority < priority;
    let original = snapshot.node(slot).pods.clone();
    let mut potential: Vec<Placed> = original.iter().copied().filter(|placed| lower(snapshot, placed)).collect();
    if potential.is_empty() {
        return None;
    }
    for placed in &potential {
        snapshot.remove(slot, placed.pod);
    }
    let mut victims = Vec::new();
    let mut violations = 0;
    let helps = chooser.feasible(snapshot, pod, shape, slot).is_ok();
    if helps {
        potential.sort_by_key(|placed| importance(snapshot, placed));
        let (violating, harmless) = split_by_budget(snapshot, &potential, budgets);
        for (group, counts) in [(violating, true), (harmless, false)] {
            for placed in group {
                snapshot.place(slot, placed);
                if chooser.feasible(snapshot, pod, shape, slot).is_err() {
                    snapshot.remove(slot, placed.pod);
                    violations += usize::from(counts);
                    victims.push(placed);
                }
            }
        }
    }
    restore(snapshot, slot, &original);
    if !helps {
        return None;
    }
    victims.sort_by_key(|placed| importance(snapshot, placed));
    Some(Candidate { slot, victims, violations })
}

/// Puts the node's pods back exactly as they were.
fn restore(snapshot: &mut Snapshot, slot: Slot, original: &[Placed]) {
    let left: Vec<u32> = snapshot.node(slot).pods.iter().map(|placed| placed.pod).collect();
    for pod in left {
        snapshot.remove(slot, pod);
    }
    for placed in original {
        snapshot.place(slot, *placed);
    }
}

/// Most important first: higher priority, then earlier start (`util.MoreImportantPod`).
fn importance(snapshot: &Snapshot, placed: &Placed) -> (std::cmp::Reverse<i32>, u32) {
    (std::cmp::Reverse(snapshot.shape_of(placed.shape).traits.priority), placed.started)
}

/// `filterPodsWithPDBViolation`: each pod takes one disruption of every budget that covers it.
fn split_by_budget(snapshot: &Snapshot, pods: &[Placed], budgets: &[Budget]) -> (Vec<Placed>, Vec<Placed>) {
    let mut allowed: Vec<i64> = budgets.iter().map(|budget| budget.disruptions_allowed).collect();
    pods.iter().partition(|placed| {
        let labels = &snapshot.shape_of(placed.shape).traits.labels;
        let mut violates = false;
        for (budget, allowed) in budgets.iter().zip(&mut allowed) {
            if budget.selector.as_ref().is_some_and(|selector| selector.matches(labels)) {
                *allowed -= 1;
                violates |= *allowed < 0;
            }
        }
        violates
    })
}

/// `pickOneNodeForPreemption`.
fn choose_candidate(snapshot: &Snapshot, mut candidates: Vec<Candidate>, random: &mut Stream) -> Option<Candidate> {
    let priority = |placed: &Placed| i64::from(snapshot.shape_of(placed.shape).traits.priority);
    let rules: [&dyn Fn(&Candidate) -> i64; 5] = [
        &|c| c.violations as i64,
        &|c| c.victims.first().map_or(i64::MIN, priority),
        &|c| c.victims.iter().map(|placed| priority(placed) + (1 << 31)).sum(),
        &|c| c.victims.len() as i64,
        &|c| -i64::from(earliest_start_of_most_important(c, priority)),
    ];
    for rule in rules {
        let best = candidates.iter().map(rule).min()?;
        candidates.retain(|candidate| rule(candidate) == best);
    }
    let drawn = random.below(candidates.len());
    candidates.into_iter().nth(drawn)
}

/// `util.GetEarliestPodStartTime`: earliest start among the victims of the highest priority.
fn earliest_start_of_most_important(candidate: &Candidate, priority: impl Fn(&Placed) -> i64) -> u32 {
    let highest = candidate.victims.iter().map(&priority).max();
    let of_highest = candidate.victims.iter().filter(|placed| Some(priority(placed)) == highest);
    of_highest.map(|placed| placed.started).min().unwrap_or(0)
}
