//! What one question leaves for the next: catalogues indexed by label, sets of requirements, and NodePools prepared for a pass.
//! It only saves work: the answers are those of a solver that knows nothing yet.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::arena::{Arena, SetId};
use super::input::{ExistingNode, Input, MinValuesPolicy};
use super::labels;
use super::offers::Offers;
use super::requirement::Requirement;
use super::requirements::Requirements;
use super::shape::Needs;
use super::template::{Daemons, Prepared, outstanding, pool_order};
use crate::api::karpenter::NodePoolSpec;
use crate::api::meta::Labels;
use crate::api::pod::PodSpec;
use crate::units::Resources;

/// More sets of requirements than this are forgotten before the next question.
const MOST_SETS: usize = 20_000;

/// Kept by whoever asks several questions about one cluster.
#[derive(Default)]
pub struct Knowledge {
    pub(super) arena: Arena,
    pub(super) offers: Vec<Offers>,
    /// By name of the node.
    node_sets: FxHashMap<String, (Labels, SetId)>,
    pools: Option<Pools>,
    /// Settings under which claims were finished.
    cut: Option<(usize, MinValuesPolicy)>,
}

/// What questions have in common that are asked of the same [`Knowledge`] about the same pools, nodes, DaemonSets, shapes and settings:
/// they differ in their pods, in those that are bound, and in which nodes are targets.
pub struct Common {
    /// Requirements of each node's labels, without the host name.
    pub(super) sets: Vec<SetId>,
    /// Nodes in the order in which they are filled: initialized first, then by name (`sortExistingNodes`).
    pub(super) order: Vec<usize>,
    /// What pods may request of each node before any is placed.
    pub(super) room: Vec<Resources>,
    /// By shape.
    pub(super) needs: Vec<Arc<Needs>>,
    pub(super) pools: PreparedPools,
}

/// Pools in the order in which they are tried, and the DaemonSets after all pools have been prepared.
#[derive(Clone)]
pub(super) struct PreparedPools {
    pub(super) templates: Arc<Vec<Prepared>>,
    pub(super) skipped: Vec<usize>,
    pub(super) daemons: Arc<Daemons>,
}

/// Prepared pools and what they were prepared of.
struct Pools {
    written: Vec<(String, NodePoolSpec, Option<usize>)>,
    daemon_sets: Vec<PodSpec>,
    min_values: MinValuesPolicy,
    prepared: PreparedPools,
}

impl Knowledge {
    /// Brings the catalogues up to date and prepares the pools, unless they are what they were.
    fn prepare(&mut self, input: &Input<'_>) -> PreparedPools {
        let cut = Some((input.options.max_instance_types, input.options.min_values));
        if self.cut != cut {
            self.offers.iter_mut().for_each(|offers| offers.launchable.clear());
            self.cut = cut;
        }
        let mut changed = self.offers.len() != input.catalogues.len();
        self.offers.truncate(input.catalogues.len());
        for (i, catalogue) in input.catalogues.iter().enumerate() {
            match self.offers.get_mut(i) {
                Some(offers) => changed |= offers.renew(catalogue),
                None => self.offers.push(Offers::new(catalogue)),
            }
        }
        let same = |pools: &&Pools| !changed && pools.is_of(input);
        if let Some(pools) = self.pools.as_ref().filter(same) {
            return pools.prepared.clone();
        }
        self.offers.iter_mut().for_each(Offers::forget_rooms);
        let prepared = self.prepare_pools(input);
        self.pools = Some(Pools {
            written: input.pools.iter().map(|p| (p.name.to_owned(), p.spec.clone(), p.catalogue)).collect(),
            daemon_sets: input.daemon_sets.iter().copied().cloned().collect(),
            min_values: input.options.min_values,
            prepared: prepared.clone(),
        });
        prepared
    }

    fn prepare_pools(&mut self, input: &Input<'_>) -> PreparedPools {
        let mut daemons = Daemons::new(input);
        let (mut templates, mut skipped) = (Vec::new(), Vec::new());
        for pool in pool_order(&input.pools) {
            match Prepared::new(input, pool, &mut self.offers, &mut self.arena, &mut daemons) {
                Some(template) => templates.push(template),
                None => skipped.push(pool),
            }
        }
        PreparedPools { templates: Arc::new(templates), skipped, daemons: Arc::new(daemons) }
    }

    /// Looks at what a question has in common with others.
    pub fn common(&mut self, input: &Input<'_>) -> Common {
        if self.arena.len() > MOST_SETS {
            *self = Knowledge::default();
        }
        let pools = self.prepare(input);
        let (arena, known) = (&mut self.arena, &mut self.node_sets);
        let sets: Vec<SetId> = input.nodes.iter().map(|node| node_set(node, arena, known)).collect();
        let daemons = pools.daemons.settled(arena);
        let nodes = input.nodes.iter().zip(&sets);
        let room = nodes.map(|(node, set)| node.available - outstanding(&daemons, node, *set, arena)).collect();
        let needs = input.shapes.iter().map(|shape| Arc::new(Needs::of(shape, arena))).collect();
        let mut order: Vec<usize> = (0..input.nodes.len()).collect();
        order.sort_by_key(|i| (!input.nodes[*i].initialized, input.nodes[*i].name));
        Common { sets, order, room, needs, pools }
    }
}

impl Pools {
    fn is_of(&self, input: &Input<'_>) -> bool {
        self.min_values == input.options.min_values
            && self.written.len() == input.pools.len()
            && self.daemon_sets.len() == input.daemon_sets.len()
            && self.daemon_sets.iter().zip(&input.daemon_sets).all(|(known, daemon)| known == *daemon)
            && self.written.iter().zip(&input.pools).all(|((name, spec, catalogue), pool)| {
                name == pool.name && *catalogue == pool.catalogue && spec == pool.spec
            })
    }
}

fn node_set(node: &ExistingNode<'_>, arena: &mut Arena, known: &mut FxHashMap<String, (Labels, SetId)>) -> SetId {
    if let Some((_, set)) = known.get(node.name).filter(|(labels, _)| labels == node.labels) {
        return *set;
    }
    let mut set = Requirements::new();
    for (key, value) in node.labels.iter().filter(|(key, _)| *key != labels::HOSTNAME) {
        set.add(key, Requirement::is(value));
    }
    let set = arena.intern(set);
    known.insert(node.name.to_owned(), (node.labels.clone(), set));
    set
}
