//! NodePools prepared for a pass: requirements, instance types, DaemonSet overhead and what is left of the limits.

use std::sync::Arc;

use super::arena::{Arena, Fit, SetId};
use super::constraints::tolerates_all;
use super::host_ports;
use super::input::{ExistingNode, HostPort, Input, MinValuesPolicy, Pool};
use super::labels;
use super::min_values;
use super::offers::Offers;
use super::pod_requirements;
use super::preferences;
use super::requirement::Requirement;
use super::requirements::{Requirements, Undefined};
use super::topology::split_host;
use super::type_set::TypeSet;
use crate::api::pod::{PodSpec, Taint};
use crate::units::{Resource, Resources};

/// A NodePool, prepared: what depends on its spec, its catalogue and the DaemonSets alone.
pub(super) struct Prepared {
    pool: usize,
    catalogue: usize,
    set: SetId,
    options: Arc<TypeSet>,
    daemons: Arc<Vec<DaemonGroup>>,
    room: Arc<Vec<Resources>>,
    floor: Resources,
    largest: Resources,
}

/// A NodePool in a pass (`nodeclaimtemplate.go: NodeClaimTemplate`).
pub(super) struct Template<'a> {
    pub(super) pool: usize,
    pub(super) catalogue: usize,
    pub(super) taints: Vec<&'a Taint>,
    pub(super) set: SetId,
    pub(super) options: Arc<TypeSet>,
    pub(super) daemons: Arc<Vec<DaemonGroup>>,
    /// By instance type: what its DaemonSets leave of its allocatable.
    pub(super) room: Arc<Vec<Resources>>,
    /// Per resource, the least room of any option.
    pub(super) floor: Resources,
    /// What is left of the pool's limits: only limited resources are listed.
    pub(super) remaining: Vec<(Resource, i64)>,
    /// The options within what is left.
    pub(super) within_limits: Arc<TypeSet>,
    /// Per resource, the largest capacity of any option.
    largest: Resources,
}

/// Instance types on which the same DaemonSets would run (`scheduler.go: DaemonOverheadGroup`).
pub(super) struct DaemonGroup {
    pub(super) types: TypeSet,
    pub(super) overhead: Resources,
    pub(super) ports: Vec<HostPort>,
}

/// The DaemonSets of a pass. Looking for a node affinity term that fits gives up terms for good, as upstream's shared pods do.
pub(super) struct Daemons {
    pods: Vec<PodSpec>,
}

impl Daemons {
    pub(super) fn new(input: &Input<'_>) -> Self {
        Daemons { pods: input.daemon_sets.iter().copied().cloned().collect() }
    }

    /// The options on which a DaemonSet would run (`isDaemonPodCompatible`). A term is given up at the first type that it does not
    /// match, for this type and all after it.
    fn runs_on(
        &mut self,
        daemon: usize,
        taints: &[&Taint],
        set: SetId,
        options: &TypeSet,
        offers: &mut Offers,
        arena: &mut Arena,
    ) -> TypeSet {
        let mut running = TypeSet::select(offers.catalogue.types.len(), |_| false);
        let pod = &mut self.pods[daemon];
        preferences::tolerate_prefer_no_schedule(pod);
        if !tolerates_all(&pod.tolerations, taints) {
            return running;
        }
        let mut matching = matching(pod, set, offers, arena);
        for id in options.iter() {
            while !matching.contains(id) && preferences::drop_required_node_term(pod) {
                matching = self::matching(pod, set, offers, arena);
            }
            if matching.contains(id) {
                running.insert(id);
            }
        }
        running
    }

    /// What each requires of a node after all pools have been prepared.
    pub(super) fn settled(&self, arena: &mut Arena) -> Vec<SettledDaemon<'_>> {
        let settle = |pod| {
            let (set, host) = split_host(&pod_requirements::strict(pod), arena);
            SettledDaemon { pod, set, host, requests: pod.requests() }
        };
        self.pods.iter().map(settle).collect()
    }
}

/// Types that meet what the DaemonSet requires of a node of the pool; none when the pool itself does not.
fn matching(pod: &PodSpec, set: SetId, offers: &mut Offers, arena: &mut Arena) -> Arc<TypeSet> {
    let own = arena.intern(pod_requirements::strict(pod));
    if *arena.fit(set, own, Undefined::WellKnownAllowed) == Fit::Yes {
        offers.meeting(arena, own)
    } else {
        Arc::new(TypeSet::select(offers.catalogue.types.len(), |_| false))
    }
}

/// A DaemonSet as existing nodes see it: only its first remaining node affinity term counts.
pub(super) struct SettledDaemon<'d> {
    pod: &'d PodSpec,
    set: SetId,
    host: Option<Requirement>,
    requests: Resources,
}

/// Requests of the DaemonSets that would run on a node and do not yet (`getCompatibleDaemonPods`, `NewExistingNode`).
pub(super) fn outstanding(
    daemons: &[SettledDaemon<'_>],
    node: &ExistingNode<'_>,
    set: SetId,
    arena: &mut Arena,
) -> Resources {
    let mut wanted = Resources::ZERO;
    for daemon in daemons {
        let here = daemon.host.as_ref().is_none_or(|host| host.has(node.hostname));
        if here
            && tolerates_all(&daemon.pod.tolerations, &node.taints)
            && *arena.fit(set, daemon.set, Undefined::Denied) == Fit::Yes
        {
            wanted += daemon.requests;
        }
    }
    (wanted - node.daemon_requests).max(Resources::ZERO)
}

/// Requirements of a pool's nodes, with the two labels that every node will have once it is in use.
pub fn pool_requirements(pool: &Pool<'_>) -> Requirements {
    let template = &pool.spec.template;
    let mut requirements = Requirements::of_list(&template.spec.requirements);
    requirements.add_all(&Requirements::of_labels(&template.metadata.labels));
    requirements.add(labels::NODE_POOL, Requirement::is(pool.name));
    if let Some(class) = &template.spec.node_class_ref {
        let group = class.group.as_deref().unwrap_or("karpenter.k8s.aws");
        let kind = class.kind.as_deref().unwrap_or("EC2NodeClass").to_lowercase();
        requirements.add(&format!("{group}/{kind}"), Requirement::is(&class.name));
    }
    requirements.add(labels::REGISTERED, Requirement::is("true"));
    requirements.add(labels::INITIALIZED, Requirement::is("true"));
    requirements
}

/// Order in which pools are tried: weight descending, then name descending (`pkg/utils/nodepool: OrderByWeight`).
pub fn pool_order(pools: &[Pool<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pools.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse((pools[*i].spec.weight.unwrap_or(0), pools[*i].name)));
    order
}

/// What is left of a pool's limits before the pass, in the units of [`Resources`] (`updateRemainingResources`).
pub fn remaining_limits(pool: &Pool<'_>, nodes: &[ExistingNode<'_>]) -> Vec<(Resource, i64)> {
    let limits = pool.spec.limits.iter().flatten();
    let mut remaining: Vec<(Resource, i64)> = limits
        .filter_map(|(name, quantity)| {
            let resource = Resource::parse(name)?;
            let whole = if resource == Resource::Cpu { quantity.milli } else { quantity.milli.div_euclid(1000) };
            Some((resource, whole))
        })
        .collect();
    if remaining.is_empty() {
        return remaining;
    }
    let own = |node: &&ExistingNode<'_>| {
        node.target && node.labels.get(labels::NODE_POOL).is_some_and(|name| name == pool.name)
    };
    for node in nodes.iter().filter(own) {
        let capacity = node.capacity.with(Resource::Nodes, 1);
        remaining.iter_mut().for_each(|(resource, left)| *left -= capacity.get(*resource));
    }
    remaining
}

impl Prepared {
    /// Prepares a pool; `None` when no instance type is left.
    pub(super) fn new(
        input: &Input<'_>,
        index: usize,
        offers: &mut [Offers],
        arena: &mut Arena,
        daemons: &mut Daemons,
    ) -> Option<Self> {
        let pool = &input.pools[index];
        let catalogue = pool.catalogue?;
        let offers = &mut offers[catalogue];
        let types = &Arc::clone(&offers.catalogue).types;
        let set = arena.intern(pool_requirements(pool));
        let mut options = offers.viable(arena, set).as_ref().clone();
        options.retain(|id| types[id].allocatable.0.iter().all(|amount| *amount >= 0));
        let strict = input.options.min_values == MinValuesPolicy::Strict;
        if options.is_empty() || (strict && !min_values::unmet(arena.get(set), offers, &options).is_empty()) {
            return None;
        }
        let taints: Vec<&Taint> = pool.spec.template.spec.taints.iter().collect();
        let groups = daemon_groups(&options, &taints, set, offers, arena, daemons);
        let mut room: Vec<Resources> = types.iter().map(|t| t.allocatable).collect();
        for group in &groups {
            group.types.iter().for_each(|id| room[id] -= group.overhead);
        }
        let floor = floor(&room, &options);
        let options = Arc::new(options);
        let largest = offers.largest_capacity(&options);
        let (daemons, room) = (Arc::new(groups), Arc::new(room));
        Some(Prepared { pool: index, catalogue, set, options, daemons, room, floor, largest })
    }
}

impl<'a> Template<'a> {
    /// A prepared pool with what its limits leave.
    pub(super) fn new(input: &Input<'a>, prepared: &Prepared, offers: &[Offers]) -> Self {
        let pool = &input.pools[prepared.pool];
        let mut template = Template {
            pool: prepared.pool,
            catalogue: prepared.catalogue,
            taints: pool.spec.template.spec.taints.iter().collect(),
            set: prepared.set,
            within_limits: Arc::clone(&prepared.options),
            options: Arc::clone(&prepared.options),
            daemons: Arc::clone(&prepared.daemons),
            room: Arc::clone(&prepared.room),
            floor: prepared.floor,
            remaining: remaining_limits(pool, &input.nodes),
            largest: prepared.largest,
        };
        template.filter_by_limits(&offers[prepared.catalogue]);
        template
    }

    /// Whether `limits.nodes` is used up.
    pub(super) fn nodes_exhausted(&self) -> bool {
        self.remaining.contains(&(Resource::Nodes, 0))
    }

    /// Options whose capacity is within what is left (`filterByRemainingResources`).
    fn filter_by_limits(&mut self, offers: &Offers) {
        // Mostly limits leave room for the largest type, or there are none.
        if self.remaining.iter().all(|(resource, left)| self.largest.get(*resource) <= *left) {
            return;
        }
        let mut within = self.options.as_ref().clone();
        within.retain(|id| {
            let capacity = &offers.catalogue.types[id].capacity;
            self.remaining.iter().all(|(resource, left)| capacity.get(*resource) <= *left)
        });
        self.within_limits = Arc::new(within);
    }

    /// Takes the largest capacity that a claim could become off the limits (`subtractMax`).
    pub(super) fn subtract_max(&mut self, options: &Arc<TypeSet>, offers: &mut Offers) {
        if self.remaining.is_empty() {
            return;
        }
        let largest = offers.largest_capacity(options);
        self.remaining.iter_mut().for_each(|(resource, left)| *left -= largest.get(*resource));
        self.filter_by_limits(offers);
    }

    /// What DaemonSets need on any of the options (`addDaemonRequests`).
    pub(super) fn least_overhead(&self, options: &TypeSet) -> Resources {
        let present = self.daemons.iter().filter(|group| group.types.meets(options));
        present.map(|group| group.overhead).reduce(Resources::min).unwrap_or(Resources::ZERO)
    }
}

/// Per resource, the least room among the types.
pub(super) fn floor(room: &[Resources], types: &TypeSet) -> Resources {
    let mut floor = Resources([i64::MAX; Resource::COUNT]);
    for id in types.iter() {
        floor.0.iter_mut().zip(&room[id].0).for_each(|(least, amount)| *least = (*least).min(*amount));
    }
    floor
}

/// Groups the types by the DaemonSets that run on them (`buildDaemonOverheadGroups`).
fn daemon_groups(
    options: &TypeSet,
    taints: &[&Taint],
    set: SetId,
    offers: &mut Offers,
    arena: &mut Arena,
    daemons: &mut Daemons,
) -> Vec<DaemonGroup> {
    let count = daemons.pods.len();
    let running: Vec<TypeSet> =
        (0..count).map(|daemon| daemons.runs_on(daemon, taints, set, options, offers, arena)).collect();
    let mut members: Vec<(Vec<usize>, TypeSet)> = Vec::new();
    let mut here = Vec::new();
    for id in options.iter() {
        here.clear();
        here.extend((0..count).filter(|daemon| running[*daemon].contains(id)));
        let known = members.iter().position(|(known, _)| *known == here).unwrap_or_else(|| {
            members.push((here.clone(), TypeSet::select(offers.catalogue.types.len(), |_| false)));
            members.len() - 1
        });
        members[known].1.insert(id);
    }
    members
        .into_iter()
        .map(|(running, types)| DaemonGroup {
            types,
            overhead: running.iter().map(|daemon| daemons.pods[*daemon].requests()).sum(),
            ports: running.iter().flat_map(|daemon| host_ports::of(&daemons.pods[*daemon])).collect(),
        })
        .collect()
}
