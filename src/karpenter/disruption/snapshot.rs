//! From the cluster to the plain inputs of the cores.

use crate::cluster::nodeclaim::{NodeClaim, NodePool};
use crate::cluster::{Cluster, NodeClaimId, NodePoolId};
use crate::engine::Stream;
use crate::karpenter::scheduling::{Options, labels};
use crate::karpenter::state::{self, DO_NOT_DISRUPT, Observation, PodViews, StateNode};
use crate::karpenter::{buffers, provisioning};
use crate::scenario::Scenario;
use crate::scenario::cloud::Provider;
use crate::scenario::simulation::Profile;
use crate::time::Time;

use super::budget::BudgetRule;
use super::cost;
use super::model::{DriftOfEmpty, NodeView, Observed, PoolIndex, PoolView, Rules};
use super::simulate::{Base, PodIdentity};

/// Ids of nodes that Karpenter does not own begin here; those of its own are the ids of their NodeClaims.
const ALIEN: u32 = 1 << 31;

/// The rules of the scenario's versions and gates.
#[must_use]
pub fn rules(scenario: &Scenario) -> Rules {
    let minor = if scenario.versions.karpenter_cost_ratio_order() { 14 } else { 13 };
    let mut rules = Rules::of_minor(minor, scenario.karpenter.spot_to_spot_consolidation);
    rules.drift_of_empty = match (
        scenario.versions.karpenter_emptiness_before_drift(),
        scenario.versions.karpenter_drift_of_empty_nodes(),
    ) {
        (false, _) => DriftOfEmpty::AllAtOnce,
        (true, false) => DriftOfEmpty::Never,
        (true, true) => DriftOfEmpty::First,
    };
    let kwok = match scenario.cloud.provider {
        Some(provider) => provider == Provider::Kwok,
        None => scenario.simulation.profile == Profile::Kwok,
    };
    rules.savings_of_allowed_offerings &= kwok || scenario.versions.karpenter.at_least(1, 15);
    rules
}

/// The cluster as one instant of the disruption loop sees it.
pub struct Snapshot<'a> {
    /// Pools and nodes.
    pub observed: Observed<'a>,
    nodes: Vec<StateNode>,
    options: Options,
}

/// The NodeClaim behind an id of a node.
#[must_use]
pub fn claim_of(id: u32) -> Option<NodeClaimId> {
    (id < ALIEN).then_some(NodeClaimId(id))
}

impl<'a> Snapshot<'a> {
    /// Looks at the cluster. Nodes come in an order drawn from `ties`, as upstream's come from a map. `in_command` tells
    /// which NodeClaims belong to a running command.
    #[must_use]
    pub fn take(
        cluster: &'a Cluster,
        scenario: &Scenario,
        rules: Rules,
        in_command: impl Fn(NodeClaimId) -> bool,
        ties: &mut Stream,
    ) -> Self {
        let mut options = provisioning::options(scenario);
        options.reserved_strict = false;
        let mut nodes = state::state_nodes(cluster);
        ties.shuffle(&mut nodes);
        let class = cluster.nodepools.iter().find(|pool| exists(pool)).map_or(0, |pool| pool.node_class.index());
        let mut observed = Observed {
            catalogue: &cluster.catalogues[class],
            pools: cluster.nodepools.iter().map(pool_view).collect(),
            nodes: Vec::with_capacity(nodes.len()),
            rules,
        };
        let mut pods = PodViews::of(cluster);
        for node in &nodes {
            let mut view = node_view(cluster, *node, &mut pods);
            view.in_command = node.claim.is_some_and(&in_command);
            observed.nodes.push(view);
        }
        for i in 0..observed.pools.len() {
            let own = cluster.live_nodeclaims.iter().map(|id| &cluster.nodeclaims[id.index()]);
            let prices = own.filter(|claim| claim.pool.index() == i && claim.launched.is_some());
            let total = prices.map(|claim| claim_price(&observed, claim)).fold(0.0, |sum, price| sum + price);
            observed.pools[i].tracked_cost = Some(total);
        }
        Snapshot { observed, nodes, options }
    }

    /// What simulations need, with the pending pods.
    #[must_use]
    pub fn base(&self, cluster: &'a Cluster, whole_second: Time) -> Base<'a> {
        let Observation { mut input, nodes, pools } =
            state::observe_nodes(cluster, self.nodes.clone(), self.options.clone());
        let pending = cluster
            .unbound
            .iter()
            .filter(|id| state::is_provisionable(cluster, **id) && state::takes_part(cluster, **id).is_ok());
        input.pods = pending.map(|id| state::scheduling_pod(cluster, *id, whole_second, false)).collect();
        input.pods.extend(buffers::virtual_pods(cluster, whole_second));
        let pods = nodes.iter().map(|node| {
            let bound = node.node.map_or(&[][..], |node| &cluster.nodes[node.index()].pods);
            let identity = |id: &crate::cluster::PodId| {
                let pod = state::scheduling_pod(cluster, *id, whole_second, false);
                PodIdentity { shape: pod.shape, created: pod.created, uid: pod.uid }
            };
            bound.iter().map(identity).collect()
        });
        Base { input, pods: pods.collect(), pools: pools.iter().map(|id| PoolIndex(id.index())).collect() }
    }
}

/// The pool behind an index: the same in all snapshots, for commands and what a search left outlive the one they were found in.
#[must_use]
pub fn pool_of(index: PoolIndex) -> NodePoolId {
    NodePoolId(index.0 as u32)
}

/// Whether the NodePool has been applied and not been deleted.
fn exists(pool: &NodePool) -> bool {
    pool.applied.is_some() && !pool.deleted
}

fn claim_price(observed: &Observed<'_>, claim: &NodeClaim) -> f64 {
    let mut view = NodeView::new(0, "", PoolIndex(0));
    (view.instance_type, view.zone, view.capacity_type) = (claim.instance_type, claim.zone, claim.capacity_type);
    cost::node_price(&view, observed.catalogue)
}

fn pool_view(record: &NodePool) -> PoolView {
    let spec = &record.object.spec;
    PoolView {
        name: record.name.clone(),
        policy: spec.disruption.consolidation_policy,
        consolidate_after: spec.disruption.consolidate_after.0,
        budgets: spec.disruption.effective_budgets().iter().map(BudgetRule::read).collect(),
        replicas: spec.replicas,
        expire_after: spec.template.spec.expire_after.0,
        tracked_cost: None,
    }
}

fn node_view(cluster: &Cluster, state: StateNode, views: &mut PodViews<'_>) -> NodeView {
    let labels = state.labels(cluster);
    let named = labels.get(labels::NODE_POOL);
    let pool = cluster.nodepools.iter().position(|pool| exists(pool) && Some(&pool.name) == named).map(PoolIndex);
    let node = state.node.map(|id| &cluster.nodes[id.index()]);
    let id = match (state.claim, state.node) {
        (Some(claim), _) => claim.0,
        (None, Some(node)) => ALIEN + node.0,
        (None, None) => ALIEN,
    };
    let mut view = NodeView::new(id, state.name(cluster), PoolIndex(0));
    view.pool = pool;
    view.managed = state.claim.is_some();
    view.registered = view.managed && node.is_some();
    view.initialized = state.initialized(cluster);
    view.ready = node.is_some_and(|node| node.ready);
    view.marked_for_deletion = state.leaving(cluster);
    view.do_not_disrupt =
        node.is_some_and(|node| node.annotations.get(DO_NOT_DISRUPT).is_some_and(|value| value == "true"));
    if let Some(claim) = state.claim.map(|id| &cluster.nodeclaims[id.index()]) {
        view.instance_type = claim.instance_type;
        view.zone = claim.zone;
        view.capacity_type = claim.capacity_type;
        view.initialized_at = claim.initialized.unwrap_or(claim.created);
        view.instance_terminating = claim.instance_terminating;
        view.nominated_until = claim.nominated_until;
        view.has_termination_grace_period = claim.termination_grace_period.is_some();
        view.consolidatable = claim.consolidatable;
        view.drifted_at = claim.drifted;
        view.last_pod_event = claim.last_pod_event;
        view.created_at = claim.created;
        view.has_buffer_pods = state.claim.is_some_and(|id| cluster.buffer_nodes.contains(&id));
    }
    let pods = node.map_or(&[][..], |node| &node.pods);
    view.pods = pods.iter().map(|pod| views.view(*pod)).collect();
    view
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::decode::{Decode, Problems, defaults};
    use crate::cluster::catalogue::{CapacityType, TypeId, ZoneId};
    use crate::cluster::node::Node;
    use crate::cluster::pod::Owner;
    use crate::cluster::state::Applied;
    use crate::cluster::{PodId, ShapeId};
    use crate::engine::Streams;
    use crate::karpenter::small_cluster;
    use crate::scenario::toml;

    fn scenario(text: &str) -> Scenario {
        let mut problems = Problems::default();
        let tree = toml::parse(text, 0, &mut problems);
        Scenario::decode(&tree, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list))
    }

    /// A Node, of a NodeClaim of the pool if one is named.
    fn add_node(cluster: &mut Cluster, name: &str, pool: Option<u32>) {
        let claim = pool.map(|pool| {
            let mut claim = NodeClaim::new(name.to_owned(), NodePoolId(pool), Time::ZERO);
            (claim.launched, claim.registered, claim.initialized) =
                (Some(Time::ZERO), Some(Time::ZERO), Some(Time::ZERO));
            claim.instance_type = Some(TypeId(0));
            claim.zone = Some(ZoneId(0));
            claim.capacity_type = Some(CapacityType::OnDemand);
            cluster.create_nodeclaim(claim)
        });
        let mut node = Node { nodeclaim: claim, ..Node::new(name.to_owned(), Time::ZERO) };
        if let Some(pool) = pool {
            let pool = cluster.nodepools[pool as usize].name.clone();
            node.labels.insert(labels::NODE_POOL.to_owned(), pool);
        }
        cluster.create_node(node);
    }

    /// What a cluster looks like whose state comes in the order of a seed.
    fn look<R>(cluster: &Cluster, seed: u64, of: impl FnOnce(&Snapshot<'_>) -> R) -> R {
        let scenario: Scenario = defaults();
        let mut ties = Streams::new(seed, 0).open("ties", 0);
        of(&Snapshot::take(cluster, &scenario, rules(&scenario), |_| false, &mut ties))
    }

    fn cluster() -> Cluster {
        small_cluster::cluster(Streams::new(1, 0), "", &["1"])
    }

    #[test]
    fn savings_count_by_allowed_offerings_where_karpenter_is_newer_than_that_of_aws() {
        let of = |text: &str| rules(&scenario(text)).savings_of_allowed_offerings;
        assert!(!of("versions = { karpenter = '1.14' }"));
        assert!(!of("versions = { karpenter = '1.14' }\ncloud = { provider = 'aws' }"));
        assert!(of("versions = { karpenter = '1.14' }\ncloud = { provider = 'kwok' }"));
        assert!(of("versions = { karpenter = '1.14' }\nsimulation = { profile = 'kwok' }"));
        assert!(!of("versions = { karpenter = '1.13' }\ncloud = { provider = 'kwok' }"));
    }

    #[test]
    fn a_node_is_known_by_its_nodeclaim_and_those_of_others_by_themselves() {
        let mut cluster = cluster();
        for (name, pool) in [("alien-0", None), ("own", Some(0)), ("alien-1", None), ("alien-2", None)] {
            add_node(&mut cluster, name, pool);
        }
        let mut launched = NodeClaim::new("launched".to_owned(), NodePoolId(0), Time::ZERO);
        launched.launched = Some(Time::ZERO);
        cluster.create_nodeclaim(launched);
        look(&cluster, 1, |snapshot| {
            let registered = snapshot.observed.nodes.iter().filter(|node| node.registered);
            assert_eq!(registered.map(|node| node.name.as_str()).collect::<Vec<_>>(), ["own"], "a Node of Karpenter's");
            let ids: BTreeMap<u32, &str> =
                snapshot.observed.nodes.iter().map(|node| (node.id, node.name.as_str())).collect();
            assert_eq!(ids.len(), 5, "all differ");
            let claims: BTreeMap<&str, _> = ids.iter().map(|(id, name)| (*name, claim_of(*id))).collect();
            assert_eq!((claims["own"], claims["launched"]), (Some(NodeClaimId(0)), Some(NodeClaimId(1))));
            for alien in ["alien-0", "alien-1", "alien-2"] {
                assert_eq!(claims[alien], None, "{alien}");
            }
        });
    }

    #[test]
    fn a_node_belongs_to_the_pool_that_its_label_names() {
        let mut cluster = cluster();
        let mut other = cluster.nodepools[0].clone();
        (other.name, other.applied) = ("others".to_owned(), None);
        cluster.nodepools.push(other);
        cluster.apply(Time::ZERO, Applied::NodePool(NodePoolId(1)));
        add_node(&mut cluster, "first", Some(0));
        add_node(&mut cluster, "second", Some(1));
        add_node(&mut cluster, "alien", None);
        let pools = |cluster: &Cluster| {
            look(cluster, 1, |snapshot| {
                let nodes = snapshot.observed.nodes.iter();
                nodes.map(|node| (node.name.clone(), node.pool.map(|pool| pool.0))).collect::<BTreeMap<_, _>>()
            })
        };
        let wanted = |second| {
            [("alien", None), ("first", Some(0)), ("second", second)].map(|(name, pool)| (name.to_owned(), pool)).into()
        };
        assert_eq!(pools(&cluster), wanted(Some(1)));
        cluster.create_nodeclaim(NodeClaim::new("unlaunched".to_owned(), NodePoolId(1), Time::ZERO));
        let costs = look(&cluster, 1, |snapshot| {
            snapshot.observed.pools.iter().map(|pool| pool.tracked_cost).collect::<Vec<_>>()
        });
        assert_eq!(costs, [Some(4000.0), Some(4000.0)], "a large node each; what is not launched costs nothing");
        cluster.nodepools[1].deleted = true;
        assert_eq!(pools(&cluster), wanted(None));
    }

    #[test]
    fn simulations_place_pending_pods_that_planning_does_not_ignore() {
        let mut cluster = cluster();
        let mut avoiding = cluster.shapes[0].clone();
        let spec = "containers = [{}]\nnodeSelector = { 'karpenter.sh/unknown' = 'a' }";
        avoiding.spec = std::sync::Arc::new(small_cluster::parse(spec));
        let avoiding = cluster.add_shape(avoiding);
        let pods = [ShapeId(0), ShapeId(0), avoiding].map(|shape| cluster.create_pod(Time::ZERO, shape, Owner::None));
        cluster.mark_unschedulable(pods[1]);
        cluster.mark_unschedulable(pods[2]);
        let uid = |pod: PodId| cluster.pods[pod.index()].uid;
        let pending = look(&cluster, 1, |snapshot| {
            snapshot.base(&cluster, Time::ZERO).input.pods.iter().map(|pod| pod.uid).collect::<Vec<_>>()
        });
        assert_eq!(pending, [uid(pods[1])], "the first was not tried yet, the last selects what it must not");
    }

    #[test]
    fn nodes_come_in_any_order_and_stay_what_they_are() {
        let mut cluster = cluster();
        for name in ["a", "b", "c"] {
            add_node(&mut cluster, name, Some(0));
        }
        let mut orders: BTreeMap<String, u32> = BTreeMap::new();
        for seed in 0..1200 {
            look(&cluster, seed, |snapshot| {
                let names = |nodes: &[NodeView]| nodes.iter().map(|node| node.name.clone()).collect::<String>();
                let order = names(&snapshot.observed.nodes);
                let input = snapshot.base(&cluster, Time::ZERO).input;
                assert_eq!(input.nodes.iter().map(|node| node.name).collect::<String>(), order);
                *orders.entry(order).or_default() += 1;
            });
        }
        assert_eq!(orders.len(), 6, "{orders:?}");
        assert!(orders.values().all(|count| (150..250).contains(count)), "{orders:?}");
    }

    #[test]
    fn the_annotation_holds_a_node_if_it_says_true() {
        let mut cluster = cluster();
        for (name, value) in [("held", "true"), ("timed", "10m"), ("free", "false")] {
            add_node(&mut cluster, name, Some(0));
            let node = cluster.nodes.last_mut().expect("a node");
            node.annotations.insert(DO_NOT_DISRUPT.to_owned(), value.to_owned());
        }
        add_node(&mut cluster, "plain", Some(0));
        let held = look(&cluster, 1, |snapshot| {
            let held = snapshot.observed.nodes.iter().filter(|node| node.do_not_disrupt);
            held.map(|node| node.name.clone()).collect::<Vec<_>>()
        });
        assert_eq!(held, ["held"]);
    }
}
