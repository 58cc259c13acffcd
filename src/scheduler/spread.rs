//! Topology spread: counts per domain, kept up to date node by node (`podtopologyspread/{common,filtering,scoring}.go`).

use super::filter::{Plugin, Rejection, node_affinity_matches, untolerated_taint};
use super::score::spread_weight;
use super::shape::{Shape, ShapeIndex, Spread};
use super::snapshot::{GroupId, KeyId, NO_DOMAIN, Slot, Snapshot};

/// Counts for the constraints of one shape.
#[derive(Clone, Debug)]
pub(super) struct SpreadCounts {
    hard: Vec<Constraint>,
    soft: Vec<Constraint>,
    versions: Vec<Option<u32>>,
    described: Vec<Option<u32>>,
    /// How many changes of the snapshot are in the counts.
    seen: u64,
}

#[derive(Clone, Debug)]
struct Constraint {
    group: GroupId,
    key: KeyId,
    max_skew: i64,
    min_domains: usize,
    matches_self: bool,
    per_node: bool,
    /// By slot: whether its pods are counted.
    eligible: Vec<bool>,
    /// By slot: what it adds, and to which domain.
    added: Vec<(u32, u32)>,
    /// By domain.
    sums: Vec<i64>,
    /// By domain: how many counted nodes it has.
    members: Vec<u32>,
    least: i64,
}

/// What the feasible nodes of one attempt say about the soft constraints.
pub(super) struct SoftScores {
    weights: Vec<f64>,
}

impl SpreadCounts {
    pub fn new(snapshot: &mut Snapshot, shape: ShapeIndex) -> SpreadCounts {
        let (hard, soft) = {
            let shape = snapshot.shape_of(shape);
            (shape.hard_spread.clone(), shape.soft_spread.clone())
        };
        let mut constraint = |spread: &Spread| Constraint {
            group: snapshot.group(&spread.selector),
            key: snapshot.topology(&spread.key),
            max_skew: spread.max_skew,
            min_domains: spread.min_domains,
            matches_self: spread.selector.matches(&snapshot.shape_of(shape).traits.labels),
            per_node: spread.key == "kubernetes.io/hostname",
            eligible: Vec::new(),
            added: Vec::new(),
            sums: Vec::new(),
            members: Vec::new(),
            least: 0,
        };
        SpreadCounts {
            hard: hard.iter().map(&mut constraint).collect(),
            soft: soft.iter().map(&mut constraint).collect(),
            versions: Vec::new(),
            described: Vec::new(),
            seen: 0,
        }
    }

    /// Brings the counts up to date with the nodes that changed.
    pub fn refresh(&mut self, snapshot: &Snapshot, shape: &Shape) {
        let slots = snapshot.slots();
        self.versions.resize(slots, None);
        self.described.resize(slots, None);
        for slot in snapshot.changed_since(self.seen) {
            if self.versions[slot] == Some(snapshot.versions[slot]) {
                continue;
            }
            self.versions[slot] = Some(snapshot.versions[slot]);
            let redescribed = self.described[slot] != Some(snapshot.described[slot]);
            self.described[slot] = Some(snapshot.described[slot]);
            if redescribed {
                let hard_keys = has_all_keys(&self.hard, snapshot, slot);
                let soft_keys = shape.default_spread || has_all_keys(&self.soft, snapshot, slot);
                let node = &snapshot.node(slot).spec;
                let (alive, affinity, tolerated) = (
                    snapshot.node(slot).alive,
                    node_affinity_matches(shape, node),
                    untolerated_taint(shape, node).is_none(),
                );
                let passes = |spread: &Spread, keys: bool| {
                    alive && keys && (affinity || !spread.honor_affinity) && (tolerated || !spread.honor_taints)
                };
                let hard =
                    self.hard.iter_mut().zip(&shape.hard_spread).map(|(c, spread)| (c, passes(spread, hard_keys)));
                let soft =
                    self.soft.iter_mut().zip(&shape.soft_spread).map(|(c, spread)| (c, passes(spread, soft_keys)));
                for (constraint, eligible) in hard.chain(soft) {
                    constraint.eligible.resize(slots, false);
                    constraint.eligible[slot] = eligible;
                }
            }
            for constraint in self.hard.iter_mut().chain(&mut self.soft) {
                constraint.update(snapshot, slot);
            }
        }
        self.seen = snapshot.changes();
        for constraint in &mut self.hard {
            constraint.least = constraint.least_of_all();
        }
    }

    /// `filtering.go: Filter`: matching + self − least of all domains must not exceed the skew.
    pub fn reject(&self, snapshot: &Snapshot, slot: Slot) -> Option<Rejection> {
        for constraint in &self.hard {
            let domain = snapshot.topologies[constraint.key].domains[slot];
            if domain == NO_DOMAIN {
                return Some(Rejection { plugin: Plugin::PodTopologySpread, resolvable: false });
            }
            let matching = constraint.sums.get(domain as usize).copied().unwrap_or(0);
            if matching + i64::from(constraint.matches_self) - constraint.least > constraint.max_skew {
                return Some(Rejection { plugin: Plugin::PodTopologySpread, resolvable: true });
            }
        }
        None
    }

    pub fn has_hard(&self) -> bool {
        !self.hard.is_empty()
    }

    pub fn has_soft(&self) -> bool {
        !self.soft.is_empty()
    }

    /// Whether scoring leaves the node out, since it lacks a topology label of an own constraint.
    pub fn ignores(&self, snapshot: &Snapshot, shape: &Shape, slot: Slot) -> bool {
        !shape.default_spread && !has_all_keys(&self.soft, snapshot, slot)
    }

    /// Weights of the constraints over the feasible nodes (`initPreScoreState`).
    pub fn weigh(&self, snapshot: &Snapshot, feasible: &[Slot]) -> SoftScores {
        let weights = self
            .soft
            .iter()
            .map(|constraint| {
                if constraint.per_node {
                    return spread_weight(feasible.len());
                }
                let topology = &snapshot.topologies[constraint.key];
                let mut seen = vec![false; topology.values.len()];
                let mut size = 0;
                for slot in feasible {
                    let domain = topology.domains[*slot];
                    if domain != NO_DOMAIN && !std::mem::replace(&mut seen[domain as usize], true) {
                        size += 1;
                    }
                }
                spread_weight(size)
            })
            .collect();
        SoftScores { weights }
    }

    /// `scoring.go: Score`: Σ (matching · weight + maxSkew − 1), rounded.
    pub fn score(&self, scores: &SoftScores, snapshot: &Snapshot, slot: Slot) -> i64 {
        let parts = self.soft.iter().zip(&scores.weights).filter_map(|(constraint, weight)| {
            let domain = snapshot.topologies[constraint.key].domains[slot];
            let matching = if constraint.per_node {
                i64::from(snapshot.groups[constraint.group].counts[slot])
            } else {
                constraint.sums.get(domain as usize).copied().unwrap_or(0)
            };
            (domain != NO_DOMAIN).then_some((matching, *weight, constraint.max_skew))
        });
        super::score::spread(parts)
    }
}

impl Constraint {
    fn update(&mut self, snapshot: &Snapshot, slot: Slot) {
        self.added.resize(snapshot.slots(), (NO_DOMAIN, 0));
        let (old_domain, old_count) = self.added[slot];
        let domain = if self.eligible[slot] { snapshot.topologies[self.key].domains[slot] } else { NO_DOMAIN };
        let count = snapshot.groups[self.group].counts[slot];
        if (domain, count) == (old_domain, old_count) {
            return;
        }
        self.added[slot] = (domain, count);
        let domains = snapshot.topologies[self.key].values.len();
        self.sums.resize(domains, 0);
        self.members.resize(domains, 0);
        if old_domain != NO_DOMAIN {
            self.sums[old_domain as usize] -= i64::from(old_count);
            self.members[old_domain as usize] -= 1;
        }
        if domain != NO_DOMAIN {
            self.sums[domain as usize] += i64::from(count);
            self.members[domain as usize] += 1;
        }
    }

    /// `minMatchNum`: the least count of a domain, 0 with fewer domains than `minDomains`.
    fn least_of_all(&self) -> i64 {
        let counted = || self.sums.iter().zip(&self.members).filter(|(_, members)| **members > 0);
        if counted().count() < self.min_domains { 0 } else { counted().map(|(sum, _)| *sum).min().unwrap_or(0) }
    }
}

fn has_all_keys(constraints: &[Constraint], snapshot: &Snapshot, slot: Slot) -> bool {
    constraints.iter().all(|constraint| snapshot.topologies[constraint.key].domains[slot] != NO_DOMAIN)
}
