//! Each set of requirements that occurs in a pass is stored once and known by a number, so that what two sets make together is
//! worked out once per pair.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::requirement::Requirement;
use super::requirements::{Requirements, Undefined};

/// Number of a set of requirements. The host name is never part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SetId(u32);

/// Whether a pod side fits a node side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    /// A label is not defined on the node side, or is there and ought not to be. Another pod may change that by narrowing it.
    NotYet(String),
    /// A label has no common value, and never will.
    Conflict(String),
}

/// All sets that occurred.
#[derive(Default)]
pub(super) struct Arena {
    sets: Vec<Arc<Requirements>>,
    ids: FxHashMap<Arc<Requirements>, SetId>,
    sums: FxHashMap<(SetId, SetId), SetId>,
    fits: FxHashMap<(SetId, SetId, Undefined), Fit>,
}

impl Arena {
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(super) fn intern(&mut self, requirements: Requirements) -> SetId {
        if let Some(id) = self.ids.get(&requirements) {
            return *id;
        }
        let id = SetId(self.sets.len() as u32);
        let shared = Arc::new(requirements);
        self.sets.push(Arc::clone(&shared));
        self.ids.insert(shared, id);
        id
    }

    pub(super) fn get(&self, id: SetId) -> &Arc<Requirements> {
        &self.sets[id.0 as usize]
    }

    pub(super) fn requirement(&self, id: SetId, key: &str) -> Option<&Requirement> {
        self.get(id).get(key)
    }

    /// Both together.
    pub(super) fn sum(&mut self, a: SetId, b: SetId) -> SetId {
        if a == b {
            return a;
        }
        if let Some(id) = self.sums.get(&(a, b)) {
            return *id;
        }
        let mut both = Requirements::clone(self.get(a));
        both.add_all(&self.sets[b.0 as usize]);
        let id = self.intern(both);
        self.sums.insert((a, b), id);
        id
    }

    /// Whether the node side can satisfy the pod side.
    pub(super) fn fit(&mut self, node: SetId, pod: SetId, undefined: Undefined) -> &Fit {
        let sets = &self.sets;
        self.fits.entry((node, pod, undefined)).or_insert_with(|| {
            let (node, pod) = (&sets[node.0 as usize], &sets[pod.0 as usize]);
            match (node.intersect(pod), node.compatible(pod, undefined)) {
                (Err(key), _) if node.conflicts_for_good(pod) => Fit::Conflict(key.to_owned()),
                (Err(key), _) | (Ok(()), Err(key)) => Fit::NotYet(key.to_owned()),
                (Ok(()), Ok(())) => Fit::Yes,
            }
        })
    }
}
