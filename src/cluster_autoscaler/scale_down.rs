//! Which nodes are not needed (`core/scaledown/eligibility`, `core/scaledown/planner: categorizeNodes`, `simulator/cluster.go:
//! SimulateNodeRemoval`) and which of them may go (`core/scaledown/unneeded: RemovableAt`).

use std::collections::BTreeMap;

use super::fit::{Need, Room};
use crate::cluster::{NodeId, Rule};
use crate::time::{Duration, Time};
use crate::units::{Resource, Resources};

/// A node that no place was found for is not looked at again for so long (`--unremovable-node-recheck-timeout`).
pub const RECHECK: Duration = Duration::from_mins(5);
/// Most nodes under deletion at a time (`--max-scale-down-parallelism`).
pub const MAX_PARALLEL: usize = 10;
/// Most nodes under deletion that have pods to evict (`--max-drain-parallelism`).
pub const MAX_DRAINS: usize = 1;

/// Why a node stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Its requests are above the threshold (`NotUnderutilized`).
    NotUnderutilized,
    /// A pod of it belongs to no controller (`NotReplicated`).
    NotReplicated,
    /// A pod of it is annotated `safe-to-evict: "false"` (`NotSafeToEvictAnnotation`).
    NotSafeToEvict,
    /// A budget does not let its pods go (`NotEnoughPdb`).
    NotEnoughPdb,
    /// Its pods find no room elsewhere (`NoPlaceToMovePods`).
    NoPlaceToMovePods,
    /// It was found to stay a moment ago (`RecentlyUnremovable`).
    RecentlyUnremovable,
}

impl Kept {
    /// Upstream's name.
    #[must_use]
    pub const fn rule(self) -> Rule {
        match self {
            Kept::NotUnderutilized => Rule::NotUnderutilized,
            Kept::NotReplicated => Rule::NotReplicated,
            Kept::NotSafeToEvict => Rule::NotSafeToEvict,
            Kept::NotEnoughPdb => Rule::NotEnoughPdb,
            Kept::NoPlaceToMovePods => Rule::NoPlaceToMovePods,
            Kept::RecentlyUnremovable => Rule::RecentlyUnremovable,
        }
    }
}

/// A pod that would have to move.
#[derive(Clone, Debug)]
pub struct Mover {
    /// What it needs.
    pub need: Need,
    /// Budgets that cover it.
    pub budgets: Vec<usize>,
    /// Why it must not move.
    pub fixed: Option<Kept>,
}

/// A node that might go.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Share of its allocatable that is requested.
    pub utilization: f64,
    /// Its pods but those of DaemonSets.
    pub movers: Vec<Mover>,
    /// When it was last found to stay for reasons that need time.
    pub kept_at: Option<Time>,
}

/// The larger share of CPU or memory that is requested (`simulator/utilization: Calculate`).
#[must_use]
pub fn utilization(requested: &Resources, allocatable: &Resources) -> f64 {
    let share = |resource: Resource| match allocatable.get(resource) {
        0 => 0.0,
        whole => requested.get(resource) as f64 / whole as f64,
    };
    share(Resource::Cpu).max(share(Resource::Memory))
}

/// Goes through the candidates in order. A node whose pods all find room elsewhere is not needed: its pods take that room, and it
/// takes none of later ones. `rooms` are all nodes, the candidates among them; `budgets` are the disruptions each allows.
#[must_use]
pub fn judge(
    candidates: &[Candidate],
    rooms: &mut BTreeMap<NodeId, Room>,
    budgets: &mut [i64],
    threshold: f64,
    now: Time,
) -> Vec<(NodeId, Result<(), Kept>)> {
    let mut one = |candidate: &Candidate| {
        if candidate.kept_at.is_some_and(|at| now < at + RECHECK) {
            return Err(Kept::RecentlyUnremovable);
        }
        if candidate.utilization >= threshold {
            return Err(Kept::NotUnderutilized);
        }
        if let Some(fixed) = candidate.movers.iter().find_map(|mover| mover.fixed) {
            return Err(fixed);
        }
        let mut allowed = budgets.to_vec();
        for budget in candidate.movers.iter().flat_map(|mover| &mover.budgets) {
            allowed[*budget] -= 1;
            if allowed[*budget] < 0 {
                return Err(Kept::NotEnoughPdb);
            }
        }
        let mut placed: Vec<(NodeId, Resources)> = Vec::new();
        for mover in &candidate.movers {
            let others = rooms.iter_mut().filter(|(node, _)| **node != candidate.node);
            let target = others.into_iter().find_map(|(node, room)| room.place(&mover.need).then_some(*node));
            let Some(node) = target else {
                for (node, requests) in placed {
                    if let Some(room) = rooms.get_mut(&node) {
                        room.free += requests;
                    }
                }
                return Err(Kept::NoPlaceToMovePods);
            };
            placed.push((node, mover.need.requests));
        }
        rooms.remove(&candidate.node);
        budgets.copy_from_slice(&allowed);
        Ok(())
    };
    candidates.iter().map(|candidate| (candidate.node, one(candidate))).collect()
}

/// A node that is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unneeded {
    /// The node.
    pub node: NodeId,
    /// Since when.
    pub since: Time,
    /// The place of its group.
    pub group: usize,
    /// No pods but those of DaemonSets.
    pub empty: bool,
}

/// The nodes that go now, in order: not needed for long enough, above the group's min, empty ones first, within the limits on
/// deletions at a time (`budgets.go: CropNodes`). `spare` is how many nodes each group has above its min, deletions counted.
#[must_use]
pub fn removable(
    unneeded: &[Unneeded],
    spare: &mut [u32],
    unneeded_time: Duration,
    deleting: usize,
    draining: usize,
    now: Time,
) -> Vec<NodeId> {
    let mut due: Vec<&Unneeded> = unneeded.iter().filter(|node| now >= node.since + unneeded_time).collect();
    due.sort_by_key(|node| !node.empty);
    let (mut deleting, mut draining) = (deleting, draining);
    let mut chosen = Vec::new();
    for node in due {
        if spare[node.group] == 0 || deleting >= MAX_PARALLEL || (!node.empty && draining >= MAX_DRAINS) {
            continue;
        }
        spare[node.group] -= 1;
        deleting += 1;
        draining += usize::from(!node.empty);
        chosen.push(node.node);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::fit::tests::{need, room};
    use super::*;
    use crate::units::{Cpu, Memory};

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    fn candidate(node: u32, utilization: f64, pods: &[i64]) -> Candidate {
        let mover = |milli: &i64| Mover { need: need(0, *milli, 1), budgets: Vec::new(), fixed: None };
        Candidate { node: NodeId(node), utilization, movers: pods.iter().map(mover).collect(), kept_at: None }
    }

    fn verdicts(candidates: &[Candidate], free: &[i64], budgets: &mut [i64]) -> Vec<Result<(), Kept>> {
        let named = free.iter().enumerate().map(|(i, milli)| (NodeId(i as u32), room("n", *milli, 10_000)));
        let mut rooms: BTreeMap<NodeId, Room> = named.collect();
        judge(candidates, &mut rooms, budgets, 0.5, at(1000.0)).into_iter().map(|(_, verdict)| verdict).collect()
    }

    #[test]
    fn utilization_is_the_larger_share_and_the_threshold_itself_is_too_much() {
        let of = |milli, mib| Resources::new(Cpu::from_milli(milli), Memory::from_mib(mib));
        assert!((utilization(&of(1000, 300), &of(4000, 1000)) - 0.3).abs() < 1e-12);
        let found = verdicts(&[candidate(0, 0.5, &[]), candidate(1, 0.499, &[])], &[4000, 4000], &mut []);
        assert_eq!(found, [Err(Kept::NotUnderutilized), Ok(())]);
    }

    #[test]
    fn pods_that_moved_in_thought_take_room_and_their_node_gives_none() {
        // Node 0's pod goes to node 1; node 1's pods then find no place, node 0 being gone.
        let found = verdicts(&[candidate(0, 0.1, &[500]), candidate(1, 0.1, &[500])], &[3500, 3500], &mut []);
        assert_eq!(found, [Ok(()), Err(Kept::NoPlaceToMovePods)]);
        // With room for one pod more on a third node, only one of two can go.
        let found = verdicts(&[candidate(0, 0.1, &[500]), candidate(1, 0.1, &[500])], &[0, 0, 600], &mut []);
        assert_eq!(found, [Ok(()), Err(Kept::NoPlaceToMovePods)]);
    }

    #[test]
    fn budgets_count_over_all_nodes() {
        let covered = |node| {
            let mut candidate = candidate(node, 0.1, &[100]);
            candidate.movers[0].budgets = vec![0];
            candidate
        };
        let found = verdicts(&[covered(0), covered(1)], &[4000, 4000, 4000], &mut [1]);
        assert_eq!(found, [Ok(()), Err(Kept::NotEnoughPdb)]);
    }

    #[test]
    fn a_pod_that_must_not_move_and_a_recent_verdict_keep_a_node() {
        let (mut fixed, mut recent) = (candidate(0, 0.1, &[100]), candidate(1, 0.1, &[]));
        fixed.movers[0].fixed = Some(Kept::NotReplicated);
        recent.kept_at = Some(at(701.0));
        let found = verdicts(&[fixed, recent.clone()], &[4000, 4000], &mut []);
        assert_eq!(found, [Err(Kept::NotReplicated), Err(Kept::RecentlyUnremovable)]);
        recent.kept_at = Some(at(700.0));
        assert_eq!(verdicts(&[recent], &[4000, 4000], &mut []), [Ok(())]);
    }

    fn unneeded(node: u32, since: f64, empty: bool) -> Unneeded {
        Unneeded { node: NodeId(node), since: at(since), group: 0, empty }
    }

    #[test]
    fn ten_minutes_the_groups_min_and_one_drain_at_a_time() {
        let ten = Duration::from_mins(10);
        let go = |nodes: &[Unneeded], spare: u32, now: f64| {
            removable(nodes, &mut [spare], ten, 0, 0, at(now)).iter().map(|node| node.0).collect::<Vec<_>>()
        };
        assert_eq!(go(&[unneeded(0, 0.0, true)], 9, 599.9), Vec::<u32>::new());
        assert_eq!(go(&[unneeded(0, 0.0, true)], 9, 600.0), [0]);
        let several =
            [unneeded(0, 0.0, false), unneeded(1, 0.0, false), unneeded(2, 0.0, true), unneeded(3, 0.0, true)];
        assert_eq!(go(&several, 9, 600.0), [2, 3, 0]);
        assert_eq!(go(&several, 1, 600.0), [2]);
        let many: Vec<Unneeded> = (0..15).map(|node| unneeded(node, 0.0, true)).collect();
        assert_eq!(go(&many, 20, 600.0).len(), 10);
    }
}
