//! What choosing remembers of each node for one shape of pods, found out anew for the nodes that changed.

use crate::api::pod::{PreferredSchedulingTerm, Taint, TaintEffect};
use crate::units::{Resource, Resources};

use super::choose::{ChooseConfig, ScoringStrategy};
use super::diagnosis::Diagnosis;
use super::filter::{Plugin, Rejection, lacking, reject_by_description, reject_by_room};
use super::score::{self, MAX_SCORE};
use super::shape::{Shape, ShapeIndex};
use super::snapshot::{Room, Slot, Snapshot};
use super::spread::SpreadCounts;

/// What is known of each node for one shape.
#[derive(Clone, Debug, Default)]
pub(super) struct ShapeMemory {
    /// By slot: the score by room of a node whose own state makes it feasible, else an encoded rejection; [`STALE`] if it is not known.
    pub verdicts: Vec<i16>,
    /// By slot: the resources of which the node has too little, a bit each.
    pub lacking: Vec<u16>,
    /// By slot: the encoded rejection by the node's description, or 0.
    rejected: Vec<i16>,
    /// By slot: what else the node's description says.
    pub described: Vec<Described>,
    /// How many changes of nodes are in the verdicts.
    changes: u64,
    /// How many changes of descriptions are in `rejected` and `described`.
    descriptions: u64,
    pub spread: Option<SpreadCounts>,
    /// How many shapes were known when pod affinity was last found irrelevant.
    pub affinity_free_of: usize,
    /// The last failure and the snapshot's version then: while nothing changes, the next pod of the shape fails alike.
    pub failure: Option<(u64, Diagnosis)>,
}

/// What a node's description says for one shape beside whether it rejects it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Described {
    /// The version of the description; `None` at first.
    version: Option<u32>,
    pub soft_taints: u16,
    pub preferred: u32,
}

/// No verdict: the node is looked at when it is asked for.
const STALE: i16 = i16::MIN;
const RESOLVABLE: i16 = 64;

pub(super) fn encode(rejection: Rejection) -> i16 {
    -1 - (rejection.plugin as i16 + if rejection.resolvable { RESOLVABLE } else { 0 })
}

pub(super) fn decode(verdict: i16) -> Rejection {
    let code = -1 - verdict;
    Rejection { plugin: Plugin::ALL[usize::from(code as u16 % RESOLVABLE as u16)], resolvable: code >= RESOLVABLE }
}

impl ShapeMemory {
    /// Brings what is known up to date with the nodes that changed.
    pub fn refresh(&mut self, snapshot: &mut Snapshot, id: ShapeIndex, config: &ChooseConfig) {
        let spread = self.spread.get_or_insert_with(|| SpreadCounts::new(snapshot, id));
        let (slots, shape) = (snapshot.slots(), snapshot.shape_of(id));
        if spread.has_hard() || spread.has_soft() {
            spread.refresh(snapshot, shape);
        }
        self.verdicts.resize(slots, STALE);
        self.lacking.resize(slots, 0);
        self.rejected.resize(slots, 0);
        self.described.resize(slots, Described::default());
        if self.descriptions != snapshot.descriptions {
            self.descriptions = snapshot.descriptions;
            for slot in snapshot.changed_since(self.changes) {
                if self.described[slot].version != Some(snapshot.described[slot]) {
                    self.describe(snapshot, shape, slot);
                }
            }
        }
        // Where few nodes changed, all of them are looked at now: whether the next one is stale is what a processor cannot foresee. Of
        // many, not all may be asked for.
        let changed = snapshot.changed_since(self.changes);
        if snapshot.changes() - self.changes <= slots as u64 / 2 {
            changed.for_each(|slot| {
                if self.verdicts[slot] != STALE {
                    self.renew(snapshot, shape, slot, config);
                }
            });
        } else {
            changed.for_each(|slot| self.verdicts[slot] = STALE);
        }
        self.changes = snapshot.changes();
    }

    /// What the node's own state says.
    #[inline]
    pub fn verdict(&mut self, snapshot: &Snapshot, shape: &Shape, slot: Slot, config: &ChooseConfig) -> i16 {
        let known = self.verdicts[slot];
        if known == STALE { self.renew(snapshot, shape, slot, config) } else { known }
    }

    /// Finds out anew what the node's own state says.
    fn renew(&mut self, snapshot: &Snapshot, shape: &Shape, slot: Slot, config: &ChooseConfig) -> i16 {
        let (node, room) = (snapshot.node(slot), snapshot.room(slot));
        let lacking = lacking(shape, room, &Resources::ZERO);
        self.lacking[slot] = lacking;
        let verdict = if self.rejected[slot] != 0 {
            self.rejected[slot]
        } else {
            let rejection = reject_by_room(shape, node, lacking).or_else(|| shape.traits.claims.reject(&node.spec));
            rejection.map_or_else(|| room_score(shape, room, config) as i16, encode)
        };
        self.verdicts[slot] = verdict;
        verdict
    }

    /// Finds out anew what the node's description says.
    fn describe(&mut self, snapshot: &Snapshot, shape: &Shape, slot: Slot) {
        let node = &snapshot.node(slot).spec;
        self.rejected[slot] = reject_by_description(shape, node).map_or(0, encode);
        let soft = |t: &&Taint| t.effect == TaintEffect::PreferNoSchedule && !shape.tolerates(t);
        let affinity = shape.traits.spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let preferred = affinity.map_or(&[][..], |a| &a.preferred_during_scheduling_ignored_during_execution);
        let matching = |t: &&PreferredSchedulingTerm| t.preference.matches(&node.labels, &node.name);
        self.described[slot] = Described {
            version: Some(snapshot.described[slot]),
            soft_taints: node.taints.iter().filter(soft).count() as u16,
            preferred: preferred.iter().filter(matching).map(|term| term.weight).sum(),
        };
    }
}

/// `NodeResourcesFit` and `NodeResourcesBalancedAllocation`, both of weight 1.
fn room_score(shape: &Shape, room: &Room, config: &ChooseConfig) -> i64 {
    let allocatable = room.allocatable;
    let scored = [room.scored[0] + shape.scored_cpu, room.scored[1] + shape.scored_memory];
    let by_room = match config.strategy {
        ScoringStrategy::LeastAllocated => score::least_allocated(allocatable, scored),
        ScoringStrategy::MostAllocated => score::most_allocated(allocatable, scored),
    };
    if shape.best_effort {
        return by_room;
    }
    let [cpu, memory] = room.requested();
    let with = [cpu + shape.requests.get(Resource::Cpu), memory + shape.requests.get(Resource::Memory)];
    let balance = score::balanced_allocation(allocatable, with);
    let balance =
        if config.balanced_improvement { score::balanced_improvement(room.balance, balance) } else { balance };
    debug_assert!((0..=MAX_SCORE).contains(&balance));
    by_room + balance
}
