//! Spread, affinity and anti-affinity: how many pods each domain holds, and where the next one may go
//! (`pkg/controllers/provisioning/scheduling/topology.go: Topology`).

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::arena::{Arena, Fit, SetId};
use super::constraints::{Constraint, Identity, Kind, tolerates_all};
use super::input::Input;
use super::labels;
use super::offers::Offers;
use super::requirement::{Effect, Requirement};
use super::requirements::{Requirements, Undefined};
use super::tie::Place;
use super::topology_group::{Domain, Group, GroupFilter};
use crate::api::pod::{NodeInclusionPolicy, Taint, Toleration};

/// The node side of a placement: an existing node or a claim.
#[derive(Clone, Copy)]
pub(super) struct Side<'s, 't> {
    pub(super) set: SetId,
    pub(super) host: Domain,
    pub(super) taints: &'s [&'t Taint],
}

/// What a pod variant has to do with the groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Membership {
    /// Groups of its own constraints.
    pub(super) owned: Vec<usize>,
    /// Inverse groups of its own required anti-affinity.
    pub(super) repelling: Vec<usize>,
}

/// Why a placement is refused by topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) key: String,
    /// Whether no later placement can lift it.
    pub(super) permanent: bool,
}

/// Names of domains.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<String>,
    ids: FxHashMap<String, Domain>,
}

impl Names {
    pub(super) fn intern(&mut self, name: &str) -> Domain {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = Domain(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    pub(super) fn find(&self, name: &str) -> Option<Domain> {
        self.ids.get(name).copied()
    }

    pub(super) fn get(&self, id: Domain) -> &str {
        &self.names[id.0 as usize]
    }
}

/// All groups of a pass.
#[derive(Default)]
pub(super) struct Topology {
    pub(super) names: Names,
    groups: Vec<Group>,
    identities: Vec<(Identity, bool)>,
    /// Groups by the shape they select: those of constraints, and those of the required anti-affinity of others.
    selecting: Vec<Vec<usize>>,
    inverse_selecting: Vec<Vec<usize>>,
    narrowings: FxHashMap<(usize, Domain), SetId>,
}

/// What the topology reads of the pass besides the groups.
pub(super) struct World<'w, 'a> {
    pub(super) input: &'w Input<'a>,
    pub(super) offers: &'w mut [Offers],
    pub(super) arena: &'w mut Arena,
    /// Requirement set of each node's labels.
    pub(super) node_sets: &'w [SetId],
}

impl Topology {
    pub(super) fn new(shapes: usize) -> Self {
        let none = || vec![Vec::new(); shapes];
        Topology { selecting: none(), inverse_selecting: none(), ..Topology::default() }
    }

    /// The group of a constraint; counted from the cluster when it is met for the first time.
    pub(super) fn join(
        &mut self,
        constraint: &Constraint,
        tolerations: &[Toleration],
        world: &mut World<'_, '_>,
    ) -> usize {
        if let Some(group) =
            self.identities.iter().position(|(known, inverse)| !inverse && *known == constraint.identity)
        {
            return group;
        }
        let mut group = self.new_group(&constraint.identity, constraint.min_domains, tolerations, world);
        self.count(&mut group, &constraint.identity, world);
        self.register(group, constraint.identity.clone(), false)
    }

    /// The inverse group of a required anti-affinity term.
    pub(super) fn join_inverse(
        &mut self,
        identity: &Identity,
        tolerations: &[Toleration],
        world: &mut World<'_, '_>,
    ) -> usize {
        if let Some(group) = self.identities.iter().position(|(known, inverse)| *inverse && known == identity) {
            return group;
        }
        let group = self.new_group(identity, None, tolerations, world);
        self.register(group, identity.clone(), true)
    }

    fn register(&mut self, group: Group, identity: Identity, inverse: bool) -> usize {
        let index = self.groups.len();
        let selecting = if inverse { &mut self.inverse_selecting } else { &mut self.selecting };
        for (shape, _) in group.selects.iter().enumerate().filter(|(_, selected)| **selected) {
            selecting[shape].push(index);
        }
        self.groups.push(group);
        self.identities.push((identity, inverse));
        index
    }

    fn new_group(
        &mut self,
        identity: &Identity,
        min_domains: Option<u32>,
        tolerations: &[Toleration],
        world: &mut World<'_, '_>,
    ) -> Group {
        let honoured = identity.filter.as_ref().is_none_or(|filter| filter.taints == NodeInclusionPolicy::Honor);
        let universe = universe(&identity.key, honoured.then_some(tolerations), world);
        let counts: BTreeMap<Domain, u32> = universe.iter().map(|domain| (self.names.intern(domain), 0)).collect();
        let filter = identity.filter.as_ref().map(|filter| GroupFilter {
            alternatives: filter.alternatives.iter().map(|alternative| split_host(alternative, world.arena)).collect(),
            filter: filter.clone(),
        });
        let selects = |shape: &super::Shape<'_>| identity.selector.as_ref().is_some_and(|s| s.matches(shape.labels));
        Group {
            kind: identity.kind,
            on_host: identity.key == labels::HOSTNAME,
            key: identity.key.clone(),
            max_skew: identity.max_skew,
            min_domains,
            filter,
            selects: world.input.shapes.iter().map(selects).collect(),
            counts,
            recorded: 0,
        }
    }

    /// Domains of the existing nodes and the pods that run there (`countDomains`).
    fn count(&mut self, group: &mut Group, identity: &Identity, world: &mut World<'_, '_>) {
        for (node, set) in world.input.nodes.iter().zip(world.node_sets) {
            if node.has_node
                && node.target
                && !group.on_host
                && group.admits(&node.taints, *set, node.hostname, world.arena)
                && let Some(domain) = node.labels.get(&group.key)
            {
                let domain = self.names.intern(domain);
                group.counts.entry(domain).or_insert(0);
            }
        }
        for bound in &world.input.bound {
            let node = &world.input.nodes[bound.node];
            let counted = identity.selector.is_none() || group.selects[bound.shape];
            let domain =
                if group.on_host { Some(node.hostname) } else { node.labels.get(&group.key).map(String::as_str) };
            let Some(domain) = domain.filter(|_| counted && bound.running > 0) else { continue };
            if group.admits(&node.taints, world.node_sets[bound.node], node.hostname, world.arena) {
                let domain = self.names.intern(domain);
                group.record(domain, bound.running);
            }
        }
    }

    /// Counts pods that run and repel others by required anti-affinity (`updateInverseAffinities`).
    pub(super) fn record_repelling(&mut self, group: usize, node: usize, world: &World<'_, '_>) {
        let node = &world.input.nodes[node];
        let group = &mut self.groups[group];
        let domain = if group.on_host { Some(node.hostname) } else { node.labels.get(&group.key).map(String::as_str) };
        if let Some(domain) = domain {
            let domain = self.names.intern(domain);
            group.record(domain, 1);
        }
    }

    /// Narrows the node side to the domains that every group allows (`AddRequirements`); the set is unchanged if none applies.
    pub(super) fn narrow(
        &mut self,
        shape: usize,
        membership: &Membership,
        strict: &PodDomains<'_>,
        side: Side<'_, '_>,
        place: Place,
        arena: &mut Arena,
    ) -> Result<SetId, Refusal> {
        let mut narrowed = side.set;
        let own = membership.owned.iter().chain(&self.inverse_selecting[shape]);
        for index in own {
            let group = &self.groups[*index];
            let selected = group.selects[shape];
            if group.on_host {
                let allowed = group.host_allowed(selected, side.host, strict.host, &self.names);
                if !allowed {
                    let permanent = group.kind != Kind::Affinity;
                    return Err(Refusal { key: group.key.clone(), permanent });
                }
                continue;
            }
            let pod = strict.set.get(&group.key);
            let domains = group.next(selected, pod, arena.requirement(side.set, &group.key), &self.names, place);
            if domains.is_empty() {
                return Err(Refusal { key: group.key.clone(), permanent: false });
            }
            let set = narrowing(&mut self.narrowings, *index, &domains, &group.key, &self.names, arena);
            narrowed = arena.sum(narrowed, set);
        }
        Ok(narrowed)
    }

    /// Whether any group has a say in where the shape goes.
    pub(super) fn applies(&self, shape: usize, membership: &Membership) -> bool {
        !membership.owned.is_empty() || !self.inverse_selecting[shape].is_empty()
    }

    /// Counts a placed pod (`Record`).
    pub(super) fn record(&mut self, shape: usize, membership: &Membership, side: Side<'_, '_>, arena: &mut Arena) {
        for index in &self.selecting[shape] {
            let group = &mut self.groups[*index];
            if !group.admits_side(side, &self.names, arena) {
                continue;
            }
            if group.kind == Kind::AntiAffinity || group.on_host {
                record_all(group, side, &mut self.names, arena);
            } else if let Some(domain) = arena.requirement(side.set, &group.key).and_then(Requirement::single) {
                let domain = self.names.intern(domain);
                group.record(domain, 1);
            }
        }
        for index in &membership.repelling {
            record_all(&mut self.groups[*index], side, &mut self.names, arena);
        }
    }
}

/// What the pod itself strictly requires of the domains.
pub(super) struct PodDomains<'p> {
    pub(super) set: &'p Requirements,
    pub(super) host: Option<&'p Requirement>,
}

/// All domains that the node may still turn out to be in.
fn record_all(group: &mut Group, side: Side<'_, '_>, names: &mut Names, arena: &Arena) {
    if group.on_host {
        group.record(side.host, 1);
    } else if let Some(requirement) = arena.requirement(side.set, &group.key) {
        for domain in requirement.values() {
            let domain = names.intern(domain);
            group.record(domain, 1);
        }
    }
}

fn narrowing(
    known: &mut FxHashMap<(usize, Domain), SetId>,
    group: usize,
    domains: &[Domain],
    key: &str,
    names: &Names,
    arena: &mut Arena,
) -> SetId {
    let make = |arena: &mut Arena| {
        let mut set = Requirements::new();
        set.add(key, Requirement::one_of(domains.iter().map(|domain| names.get(*domain).to_owned())));
        arena.intern(set)
    };
    match domains {
        [domain] => *known.entry((group, *domain)).or_insert_with(|| make(arena)),
        _ => make(arena),
    }
}

/// Separates the host name, which the sets of the arena never hold.
pub(super) fn split_host(requirements: &Requirements, arena: &mut Arena) -> (SetId, Option<Requirement>) {
    let mut set = requirements.clone();
    let host = set.remove(labels::HOSTNAME);
    (arena.intern(set), host)
}

/// Domains of a label that pools could provide (`buildDomainGroups`, `TopologyDomainGroup.ForEachDomain`), of pools whose taints
/// are tolerated if `tolerations` are given.
fn universe(key: &str, tolerations: Option<&[Toleration]>, world: &mut World<'_, '_>) -> Vec<String> {
    let mut domains = Vec::new();
    for pool in &world.input.pools {
        let template = &pool.spec.template;
        let taints: Vec<&Taint> = template.spec.taints.iter().collect();
        let Some(catalogue) = pool.catalogue else { continue };
        let offers = &mut world.offers[catalogue];
        if offers.catalogue.types.is_empty() || tolerations.is_some_and(|t| !tolerates_all(t, &taints)) {
            continue;
        }
        let mut own = Requirements::of_list(&template.spec.requirements);
        own.add_all(&Requirements::of_labels(&template.metadata.labels));
        let own = own.get(key);
        for answer in offers.answers(key) {
            let both = match (own, answer) {
                (Some(own), Some(answer)) => Some(answer.intersection(own)),
                (own, answer) => answer.or(own).cloned(),
            };
            domains.extend(both.iter().flat_map(Requirement::values).map(str::to_owned));
        }
        if let Some(own) = own.filter(|own| own.effect() == Effect::In) {
            domains.extend(own.values().map(str::to_owned));
        }
    }
    domains.sort_unstable();
    domains.dedup();
    domains
}

impl Group {
    /// Whether a node counts for the group.
    fn admits(&self, taints: &[&Taint], set: SetId, host: &str, arena: &mut Arena) -> bool {
        let Some(filter) = &self.filter else { return true };
        filter.filter.taints_pass(taints)
            && (filter.filter.affinity == NodeInclusionPolicy::Ignore
                || filter.alternatives.iter().any(|(alternative, own_host)| {
                    own_host.as_ref().is_none_or(|requirement| requirement.has(host))
                        && *arena.fit(set, *alternative, Undefined::Denied) == Fit::Yes
                }))
    }

    fn admits_side(&self, side: Side<'_, '_>, names: &Names, arena: &mut Arena) -> bool {
        self.filter.is_none() || self.admits(side.taints, side.set, names.get(side.host), arena)
    }
}
