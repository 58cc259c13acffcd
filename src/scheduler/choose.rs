//! Choosing a node: filters, scores, and the draw among equals (`pkg/scheduler/schedule_one.go: schedulePod`).

use std::cmp::Ordering;
use std::ops::{Deref, DerefMut};

use crate::engine::Stream;
use crate::units::{Resource, Resources};

use super::affinity::{self, PodAffinityState};
use super::diagnosis::{Diagnosis, Reason};
use super::filter::{Plugin, Rejection, lacking, reject_by_room, untolerated_taint};
use super::memory::{ShapeMemory, decode, encode};
use super::score::{self, weight};
use super::shape::{Shape, ShapeIndex};
use super::snapshot::{Slot, Snapshot};
use super::spread::SpreadCounts;

/// How nodes are rated by their room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScoringStrategy {
    /// Emptier nodes win (the default profile).
    #[default]
    LeastAllocated,
    /// Fuller nodes win (a second scheduler's profile).
    MostAllocated,
}

/// What is fixed about choosing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChooseConfig {
    /// How nodes are rated by their room. Default `LeastAllocated`.
    pub strategy: ScoringStrategy,
    /// `percentageOfNodesToScore`; 0 (default) adapts to the size of the cluster.
    pub percentage_of_nodes_to_score: usize,
    /// Rate the improvement of balance rather than balance (Kubernetes 1.36). Default false.
    pub balanced_improvement: bool,
}

/// The answer to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This node.
    Node(Slot),
    /// The cluster has no node at all: an error, not unschedulability (`ErrNoNodesAvailable`).
    NoNodes,
    /// No node is feasible.
    Unschedulable(Diagnosis),
}

/// Chooses nodes on a [`Snapshot`], remembering per shape what it found out about each node.
#[derive(Clone, Debug, Default)]
pub struct Chooser {
    /// What is fixed.
    pub config: ChooseConfig,
    memory: Vec<ShapeMemory>,
    next_start: usize,
    feasible: Feasible,
}

/// A feasible node and its score so far.
#[derive(Clone, Copy, Debug, Default)]
struct Candidate {
    slot: Slot,
    score: i64,
}

/// The feasible nodes of an attempt. Places of former attempts lie behind them: to make them anew would cost more than to fill them.
#[derive(Clone, Debug, Default)]
struct Feasible {
    places: Vec<Candidate>,
    found: usize,
}

impl Feasible {
    /// Forgets the nodes of the last attempt and makes room for so many.
    fn clear(&mut self, want: usize) {
        self.found = 0;
        if self.places.len() < want {
            self.places.resize(want, Candidate::default());
        }
    }

    fn push(&mut self, candidate: Candidate) {
        self.places[self.found] = candidate;
        self.found += 1;
    }
}

impl Deref for Feasible {
    type Target = [Candidate];

    fn deref(&self) -> &[Candidate] {
        &self.places[..self.found]
    }
}

impl DerefMut for Feasible {
    fn deref_mut(&mut self) -> &mut [Candidate] {
        &mut self.places[..self.found]
    }
}

/// What one attempt needs beside the per-node memory.
struct Attempt<'a> {
    snapshot: &'a Snapshot,
    shape: &'a Shape,
    id: ShapeIndex,
    /// Pods of at least this priority, other than `pod`, that are nominated to a node count there.
    pod: u32,
    affinity: Option<PodAffinityState>,
}

impl Chooser {
    /// Chooses with these settings.
    #[must_use]
    pub fn new(config: ChooseConfig) -> Chooser {
        Chooser { config, ..Chooser::default() }
    }

    /// One attempt for a pod of a shape, which may have a node nominated by preemption. `tie` draws among the best.
    pub fn choose(
        &mut self,
        snapshot: &mut Snapshot,
        pod: u32,
        id: ShapeIndex,
        nominated: Option<Slot>,
        tie: &mut Stream,
    ) -> Choice {
        if snapshot.node_count() == 0 {
            return Choice::NoNodes;
        }
        if let Some(fault) = &snapshot.shape_of(id).traits.claims.fault {
            return Choice::Unschedulable(Diagnosis::of_claims(snapshot.node_count(), fault));
        }
        if let Some(diagnosis) = self.known_failure(snapshot, id) {
            return Choice::Unschedulable(diagnosis);
        }
        let affinity = self.prepare(snapshot, id);
        snapshot.order();
        let snapshot = &*snapshot;
        let attempt = Attempt { snapshot, shape: snapshot.shape_of(id), id, pod, affinity };
        if let Some(slot) = nominated.filter(|slot| snapshot.node(*slot).alive)
            && self.verdict(&attempt, slot) >= 0
        {
            return Choice::Node(slot);
        }
        self.find_feasible(&attempt);
        match self.feasible.len() {
            0 => {
                let diagnosis = self.diagnose(&attempt);
                self.memory[id.0 as usize].failure = Some((snapshot.version, diagnosis.clone()));
                Choice::Unschedulable(diagnosis)
            }
            1 => Choice::Node(self.feasible[0].slot),
            _ => Choice::Node(self.best(&attempt, tie)),
        }
    }

    /// Forgets what it found out for a shape.
    pub fn forget(&mut self, id: ShapeIndex) {
        if let Some(memory) = self.memory.get_mut(id.0 as usize) {
            *memory = ShapeMemory::default();
        }
    }

    /// The nodes that shared the highest score when [`Chooser::choose`] last drew a node: any of them could have been the answer.
    pub fn equals(&self) -> impl Iterator<Item = Slot> {
        let best = self.feasible.iter().map(|candidate| candidate.score).max();
        self.feasible.iter().filter(move |candidate| Some(candidate.score) == best).map(|candidate| candidate.slot)
    }

    /// A failure holds for all pods of a shape, except that each leaves its own nomination out of account.
    fn known_failure(&self, snapshot: &Snapshot, id: ShapeIndex) -> Option<Diagnosis> {
        let (version, diagnosis) = self.memory.get(id.0 as usize)?.failure.as_ref()?;
        (*version == snapshot.version && snapshot.nominations == 0).then(|| diagnosis.clone())
    }

    /// Whether the pod could run on the node as things are; `Err` names who rejects it.
    ///
    /// # Errors
    /// The first rejection.
    pub fn feasible(&mut self, snapshot: &mut Snapshot, pod: u32, id: ShapeIndex, slot: Slot) -> Result<(), Rejection> {
        let affinity = self.prepare(snapshot, id);
        let snapshot = &*snapshot;
        let attempt = Attempt { snapshot, shape: snapshot.shape_of(id), id, pod, affinity };
        let verdict = self.verdict(&attempt, slot);
        if verdict >= 0 { Ok(()) } else { Err(decode(verdict)) }
    }

    /// Brings the memory of a shape up to date; gives the state of pod affinity if that matters.
    fn prepare(&mut self, snapshot: &mut Snapshot, id: ShapeIndex) -> Option<PodAffinityState> {
        let index = id.0 as usize;
        if self.memory.len() <= index {
            self.memory.resize_with(index + 1, ShapeMemory::default);
        }
        let memory = &mut self.memory[index];
        memory.refresh(snapshot, id, &self.config);
        if memory.affinity_free_of == snapshot.shapes() {
            return None;
        }
        if affinity::relevant(snapshot, snapshot.shape_of(id)) {
            return Some(PodAffinityState::new(snapshot, id));
        }
        memory.affinity_free_of = snapshot.shapes();
        None
    }

    /// `findNodesThatPassFilters`: round-robin from where the last attempt stopped until enough are feasible.
    fn find_feasible(&mut self, attempt: &Attempt<'_>) {
        let order = attempt.snapshot.last_order();
        let nodes = order.len();
        let want = score::feasible_nodes_to_find(nodes, self.config.percentage_of_nodes_to_score);
        self.feasible.clear(want);
        let start = self.next_start % nodes;
        let alone = self.stands_alone(attempt);
        let mut examined = 0;
        for part in [&order[start..], &order[..start]] {
            examined += if alone { self.add_own(attempt, part, want) } else { self.add(attempt, part, want) };
        }
        self.next_start = (start + examined) % nodes;
    }

    /// Adds feasible nodes until there are as many as wanted; gives how many were examined.
    fn add(&mut self, attempt: &Attempt<'_>, part: &[Slot], want: usize) -> usize {
        for (examined, &slot) in part.iter().enumerate() {
            if self.feasible.len() == want {
                return examined;
            }
            let verdict = self.verdict(attempt, slot);
            if verdict >= 0 {
                self.feasible.push(Candidate { slot, score: i64::from(verdict) });
            }
        }
        part.len()
    }

    /// The same where a node's own state decides: most attempts of a run. Every node is written down, to be overwritten by the next
    /// one if it is not feasible.
    fn add_own(&mut self, attempt: &Attempt<'_>, part: &[Slot], want: usize) -> usize {
        let memory = &mut self.memory[attempt.id.0 as usize];
        let Feasible { places, found: before } = &mut self.feasible;
        let (places, mut found) = (&mut places[..want], *before);
        let mut examined = 0;
        while examined < part.len() && found < places.len() {
            let slot = part[examined];
            let verdict = memory.verdict(attempt.snapshot, attempt.shape, slot, &self.config);
            places[found] = Candidate { slot, score: i64::from(verdict) };
            found += usize::from(verdict >= 0);
            examined += 1;
        }
        *before = found;
        examined
    }

    /// Whether a node's own state decides whether it is feasible: no nominations, no spreading, no pod affinity.
    fn stands_alone(&self, attempt: &Attempt<'_>) -> bool {
        let spread = self.memory[attempt.id.0 as usize].spread.as_ref();
        attempt.snapshot.nominations == 0 && attempt.affinity.is_none() && !spread.is_some_and(SpreadCounts::has_hard)
    }

    /// The node's score by room if it is feasible, else an encoded rejection.
    fn verdict(&mut self, attempt: &Attempt<'_>, slot: Slot) -> i16 {
        let memory = &mut self.memory[attempt.id.0 as usize];
        let mut verdict = memory.verdict(attempt.snapshot, attempt.shape, slot, &self.config);
        if verdict >= 0 && !attempt.snapshot.node(slot).nominated.is_empty() {
            verdict = with_nominated(attempt, slot).map_or(verdict, encode);
        }
        if verdict >= 0
            && let Some(spread) = &memory.spread
            && spread.has_hard()
            && let Some(rejection) = spread.reject(attempt.snapshot, slot)
        {
            verdict = encode(rejection);
        }
        if verdict >= 0
            && let Some(affinity) = &attempt.affinity
            && let Some(rejection) = affinity.reject(attempt.snapshot, slot)
        {
            verdict = encode(rejection);
        }
        verdict
    }

    /// `prioritizeNodes` and `selectHost`.
    fn best(&mut self, attempt: &Attempt<'_>, tie: &mut Stream) -> Slot {
        self.add_description_scores(attempt);
        self.add_spread_scores(attempt);
        if let Some(affinity) = attempt.affinity.as_ref().filter(|a| a.scores()) {
            let score = |candidate: &Candidate| affinity.score(attempt.snapshot, candidate.slot);
            let raw: Vec<i64> = self.feasible.iter().map(score).collect();
            let (min, max) = bounds(&raw);
            for (candidate, raw) in self.feasible.iter_mut().zip(raw) {
                candidate.score += weight::POD_AFFINITY * score::normalized_affinity(raw, min, max);
            }
        }
        self.add_image_scores(attempt);
        let (best, equals) =
            self.feasible.iter().fold((i64::MIN, 0), |(best, equals), candidate| match candidate.score.cmp(&best) {
                Ordering::Greater => (candidate.score, 1),
                Ordering::Equal => (best, equals + 1),
                Ordering::Less => (best, equals),
            });
        let drawn = if equals > 1 { tie.below(equals) } else { 0 };
        let mut equal = self.feasible.iter().filter(|candidate| candidate.score == best);
        equal.nth(drawn).map_or(self.feasible[0].slot, |candidate| candidate.slot)
    }

    fn add_description_scores(&mut self, attempt: &Attempt<'_>) {
        let memory = &self.memory[attempt.id.0 as usize];
        let described = |candidate: &Candidate| memory.described[candidate.slot];
        if attempt.snapshot.with_soft_taints > 0 {
            let max = self.feasible.iter().map(|candidate| described(candidate).soft_taints).max().unwrap_or(0);
            for candidate in self.feasible.iter_mut() {
                let raw = i64::from(described(candidate).soft_taints);
                candidate.score += weight::TAINT_TOLERATION * score::normalized(raw, i64::from(max), true);
            }
        }
        let max = if attempt.shape.prefers_nodes() {
            self.feasible.iter().map(|candidate| described(candidate).preferred).max().unwrap_or(0)
        } else {
            0
        };
        if max > 0 {
            for candidate in self.feasible.iter_mut() {
                let raw = i64::from(described(candidate).preferred);
                candidate.score += weight::NODE_AFFINITY * score::normalized(raw, i64::from(max), false);
            }
        }
    }

    fn add_spread_scores(&mut self, attempt: &Attempt<'_>) {
        let memory = &self.memory[attempt.id.0 as usize];
        let Some(spread) = memory.spread.as_ref().filter(|spread| spread.has_soft()) else {
            return;
        };
        let ignores = |candidate: &Candidate| spread.ignores(attempt.snapshot, attempt.shape, candidate.slot);
        let ignored: Vec<bool> = self.feasible.iter().map(ignores).collect();
        let both = self.feasible.iter().zip(&ignored);
        let counted: Vec<Slot> = both.filter(|(_, ignored)| !**ignored).map(|(candidate, _)| candidate.slot).collect();
        let weights = spread.weigh(attempt.snapshot, &counted);
        let raw: Vec<i64> = counted.iter().map(|slot| spread.score(&weights, attempt.snapshot, *slot)).collect();
        let (min, max) = bounds(&raw);
        let mut raw = raw.into_iter();
        for (candidate, ignored) in self.feasible.iter_mut().zip(ignored) {
            if let Some(raw) = if ignored { None } else { raw.next() } {
                candidate.score += weight::TOPOLOGY_SPREAD * score::normalized_spread(raw, min, max);
            }
        }
    }

    fn add_image_scores(&mut self, attempt: &Attempt<'_>) {
        let snapshot = attempt.snapshot;
        let spec = &attempt.shape.traits.spec;
        let containers = spec.containers.len() + spec.init_containers.len();
        let names = spec.containers.iter().chain(&spec.init_containers).filter_map(|c| c.image.as_deref());
        let used: Vec<(&str, i64)> = names
            .filter_map(|name| snapshot.images.get(name).map(|image| (name, image)))
            .map(|(name, image)| (name, score::scaled_image(image.bytes, image.nodes, snapshot.node_count())))
            .collect();
        if used.is_empty() {
            return;
        }
        for candidate in self.feasible.iter_mut() {
            let images = &snapshot.node(candidate.slot).spec.images;
            let present = used.iter().filter(|(name, _)| images.iter().any(|(known, _)| known == name));
            candidate.score += score::image_locality(present.map(|(_, scaled)| scaled).sum(), containers);
        }
    }

    fn diagnose(&mut self, attempt: &Attempt<'_>) -> Diagnosis {
        let order = attempt.snapshot.last_order();
        let mut diagnosis = Diagnosis { nodes: order.len(), ..Diagnosis::default() };
        let alone = self.stands_alone(attempt);
        let tainted = encode(Rejection { plugin: Plugin::TaintToleration, resolvable: false });
        // Thousands of nodes reject in a few ways: each way is told once.
        let mut ways: Vec<(i16, u16, u32)> = Vec::new();
        for &slot in order {
            // Every node was examined just now.
            let memory = &self.memory[attempt.id.0 as usize];
            let (own, lacking) = (memory.verdicts[slot], memory.lacking[slot]);
            let value = if alone { own } else { self.verdict(attempt, slot) };
            match ways.iter_mut().find(|way| (way.0, way.1) == (value, lacking)) {
                Some((_, _, nodes)) => *nodes += 1,
                None => ways.push((value, lacking, 1)),
            }
            if value == tainted {
                let taint = untolerated_taint(attempt.shape, &attempt.snapshot.node(slot).spec);
                diagnosis.add(Reason::Taint(taint.map_or(String::new(), |taint| taint.key.clone())), 1);
            }
        }
        for (value, lacking, nodes) in ways {
            let rejection = decode(value);
            diagnosis.plugins = diagnosis.plugins.with(rejection.plugin);
            diagnosis.resolvable |= rejection.resolvable;
            match rejection.plugin {
                Plugin::TaintToleration => {}
                Plugin::NodeResourcesFit => add_lacking(&mut diagnosis, lacking, nodes),
                plugin => diagnosis.add(Reason::Rejected(plugin), nodes),
            }
        }
        diagnosis
    }
}

/// Room counting the pods nominated to the node that the pod must respect: those of at least its priority
/// (`RunFilterPluginsWithNominatedPods`).
fn with_nominated(attempt: &Attempt<'_>, slot: Slot) -> Option<Rejection> {
    let node = attempt.snapshot.node(slot);
    let respected = node.nominated.iter().filter(|(pod, shape)| {
        *pod != attempt.pod && attempt.snapshot.shape_of(*shape).traits.priority >= attempt.shape.traits.priority
    });
    let extra: Resources = respected.map(|(_, shape)| attempt.snapshot.shape_of(*shape).requests).sum();
    reject_by_room(attempt.shape, node, lacking(attempt.shape, attempt.snapshot.room(slot), &extra))
}

/// Counts nodes that have too little of these resources.
fn add_lacking(diagnosis: &mut Diagnosis, lacking: u16, nodes: u32) {
    for resource in Resource::ALL.into_iter().filter(|resource| lacking >> *resource as u16 & 1 == 1) {
        let reason = match resource {
            Resource::Pods => Reason::TooManyPods,
            other => Reason::Insufficient(other.name()),
        };
        diagnosis.add(reason, nodes);
    }
}

fn bounds(values: &[i64]) -> (i64, i64) {
    (values.iter().copied().min().unwrap_or(0), values.iter().copied().max().unwrap_or(0))
}

#[cfg(test)]
mod tests;
