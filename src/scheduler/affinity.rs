//! Affinity between pods, both ways (`interpodaffinity/{filtering,scoring}.go`).

use std::collections::BTreeMap;

use super::filter::{Plugin, Rejection};
use super::shape::{Shape, ShapeIndex, Term};
use super::snapshot::{KeyId, NO_DOMAIN, Slot, Snapshot};

/// A domain of a topology key.
type Domain = (KeyId, u32);

/// What the pods that exist say about placing one more pod of a shape.
#[derive(Debug, Default)]
pub(super) struct PodAffinityState {
    /// Domains closed by required anti-affinity of existing pods, with how many pods close them.
    closed: BTreeMap<Domain, u32>,
    /// Per required anti-affinity term of the pod: domains with pods it avoids.
    avoided: Vec<(KeyId, BTreeMap<u32, u32>)>,
    /// Per required affinity term: domains with pods that satisfy all terms.
    wanted: Vec<(KeyId, BTreeMap<u32, u32>)>,
    /// No pod anywhere satisfies the terms but the pod itself does: the first of its kind may go anywhere.
    first_of_kind: bool,
    /// Weight of each domain.
    preference: BTreeMap<Domain, i64>,
}

/// Whether pod affinity matters for the shape at all.
pub(super) fn relevant(snapshot: &Snapshot, shape: &Shape) -> bool {
    shape.has_pod_affinity()
        || (0..snapshot.shapes()).any(|other| {
            let other = snapshot.shape_of(ShapeIndex(other as u32));
            let terms = other.affinity.iter().chain(&other.anti_affinity).chain(&other.preferred);
            terms.into_iter().any(|term| term.selects(&shape.traits.labels))
        })
}

impl PodAffinityState {
    /// Looks at all pods on all nodes.
    pub fn new(snapshot: &mut Snapshot, id: ShapeIndex) -> PodAffinityState {
        let shape = snapshot.shape_of(id).clone();
        let mut state = PodAffinityState::default();
        let key_of = |snapshot: &mut Snapshot, term: &Term| snapshot.topology(&term.key);
        state.avoided = shape.anti_affinity.iter().map(|t| (key_of(snapshot, t), BTreeMap::new())).collect();
        state.wanted = shape.affinity.iter().map(|t| (key_of(snapshot, t), BTreeMap::new())).collect();
        let preferred: Vec<KeyId> = shape.preferred.iter().map(|t| key_of(snapshot, t)).collect();
        let mut reverse = Vec::new();
        for other in 0..snapshot.shapes() {
            reverse.push(ReverseTerms::new(snapshot, ShapeIndex(other as u32), &shape));
        }
        for slot in 0..snapshot.slots() {
            for placed in &snapshot.node(slot).pods {
                let other = snapshot.shape_of(placed.shape);
                state.add_own(snapshot, &shape, &preferred, slot, other);
                state.add_reverse(snapshot, &reverse[placed.shape.0 as usize], slot);
            }
        }
        let anywhere = state.wanted.iter().any(|(_, domains)| !domains.is_empty());
        state.first_of_kind = !anywhere && shape.affinity.iter().all(|term| term.selects(&shape.traits.labels));
        state
    }

    fn add_own(&mut self, snapshot: &Snapshot, shape: &Shape, preferred: &[KeyId], slot: Slot, other: &Shape) {
        let labels = &other.traits.labels;
        let domain_of = |key: KeyId| Some(snapshot.topologies[key].domains[slot]).filter(|d| *d != NO_DOMAIN);
        for (term, (key, domains)) in shape.anti_affinity.iter().zip(&mut self.avoided) {
            if let Some(domain) = domain_of(*key).filter(|_| term.selects(labels)) {
                *domains.entry(domain).or_default() += 1;
            }
        }
        if !shape.affinity.is_empty() && shape.affinity.iter().all(|term| term.selects(labels)) {
            for (key, domains) in &mut self.wanted {
                if let Some(domain) = domain_of(*key) {
                    *domains.entry(domain).or_default() += 1;
                }
            }
        }
        for (term, key) in shape.preferred.iter().zip(preferred) {
            if let Some(domain) = domain_of(*key).filter(|_| term.selects(labels)) {
                *self.preference.entry((*key, domain)).or_default() += term.weight;
            }
        }
    }

    fn add_reverse(&mut self, snapshot: &Snapshot, reverse: &ReverseTerms, slot: Slot) {
        let domain_of = |key: KeyId| Some(snapshot.topologies[key].domains[slot]).filter(|d| *d != NO_DOMAIN);
        for key in &reverse.closing {
            if let Some(domain) = domain_of(*key) {
                *self.closed.entry((*key, domain)).or_default() += 1;
            }
        }
        for (key, weight) in &reverse.preferring {
            if let Some(domain) = domain_of(*key) {
                *self.preference.entry((*key, domain)).or_default() += weight;
            }
        }
    }

    /// `filtering.go: Filter`.
    pub fn reject(&self, snapshot: &Snapshot, slot: Slot) -> Option<Rejection> {
        let domain_of = |key: KeyId| Some(snapshot.topologies[key].domains[slot]).filter(|d| *d != NO_DOMAIN);
        let satisfied = self.wanted.iter().all(|(key, domains)| {
            domain_of(*key).is_some_and(|domain| self.first_of_kind || domains.contains_key(&domain))
        });
        if !satisfied {
            return Some(Rejection { plugin: Plugin::InterPodAffinity, resolvable: false });
        }
        let avoided = self
            .avoided
            .iter()
            .any(|(key, domains)| domain_of(*key).is_some_and(|domain| domains.contains_key(&domain)));
        let closed = self.closed.keys().any(|(key, domain)| domain_of(*key) == Some(*domain));
        (avoided || closed).then_some(Rejection { plugin: Plugin::InterPodAffinity, resolvable: true })
    }

    /// Whether any preference exists.
    pub fn scores(&self) -> bool {
        !self.preference.is_empty()
    }

    /// `scoring.go: Score`.
    pub fn score(&self, snapshot: &Snapshot, slot: Slot) -> i64 {
        self.preference
            .iter()
            .filter(|((key, domain), _)| snapshot.topologies[*key].domains[slot] == *domain)
            .map(|(_, weight)| weight)
            .sum()
    }
}

/// Terms of an existing pod's shape that are about the pod to place.
struct ReverseTerms {
    closing: Vec<KeyId>,
    preferring: Vec<(KeyId, i64)>,
}

impl ReverseTerms {
    fn new(snapshot: &mut Snapshot, other: ShapeIndex, shape: &Shape) -> ReverseTerms {
        let other = snapshot.shape_of(other).clone();
        let labels = &shape.traits.labels;
        let mut about = |terms: &[Term], weight: Option<i64>| -> Vec<(KeyId, i64)> {
            let about = terms.iter().filter(|term| term.selects(labels));
            about.map(|term| (snapshot.topology(&term.key), weight.unwrap_or(term.weight))).collect()
        };
        let closing = about(&other.anti_affinity, None).into_iter().map(|(key, _)| key).collect();
        // Required affinity of an existing pod draws the pod with the weight `hardPodAffinityWeight` = 1.
        let mut preferring = about(&other.affinity, Some(1));
        preferring.extend(about(&other.preferred, None));
        ReverseTerms { closing, preferring }
    }
}
