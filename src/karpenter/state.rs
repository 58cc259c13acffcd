//! Karpenter's view of the cluster: launched NodeClaims and Nodes as one kind of thing, and the pods that need a place
//! (`pkg/controllers/state`).

use std::collections::BTreeMap;

use super::disruption::model::{self, DoNotDisrupt, PdbState, PodView};
use super::lifecycle::taints;
use super::scheduling::{BoundPods, ExistingNode, HostPort, Input, Options, Pod, Pool, Shape, host_ports, labels};
use super::storage;
use crate::api::meta::Labels;
use crate::api::pod::{NodeOperator, PodSpec, Taint};
use crate::api::scalar::{IntOrPercent, parse_go_duration};
use crate::api::workload::{PodDisruptionBudget, UnhealthyPodEvictionPolicy};
use crate::cluster::node::Node;
use crate::cluster::node_class::NodeClass;
use crate::cluster::nodeclaim::NodeClaim;
use crate::cluster::pod::{Owner, Phase};
use crate::cluster::storage::{ClaimFault, VariantId};
use crate::cluster::{Cluster, NodeClaimId, NodeId, NodePoolId, PodId, ShapeId};
use crate::time::{Duration, Time};
use crate::units::Resources;

/// Annotation that protects a pod from being moved: `true`, or for how long after its start.
pub const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

/// A node of cluster state: a launched NodeClaim, its Node, or a Node that Karpenter does not own (`statenode.go: StateNode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateNode {
    /// Its NodeClaim, if Karpenter owns it.
    pub claim: Option<NodeClaimId>,
    /// Its Node, once it exists.
    pub node: Option<NodeId>,
}

/// Whether no NodeClaim waits for the cloud's answer: before that no pass runs (`cluster.go: Synced`).
#[must_use]
pub fn synced(cluster: &Cluster) -> bool {
    cluster.live_nodeclaims.iter().all(|id| cluster.nodeclaims[id.index()].launched.is_some())
}

/// All nodes of cluster state: launched NodeClaims in the order of their creation, then Nodes without one.
#[must_use]
pub fn state_nodes(cluster: &Cluster) -> Vec<StateNode> {
    let claims = cluster.live_nodeclaims.iter().filter(|id| cluster.nodeclaims[id.index()].launched.is_some());
    let owned = claims.map(|id| {
        let node = cluster.nodeclaims[id.index()].node.filter(|node| cluster.nodes[node.index()].exists());
        StateNode { claim: Some(*id), node }
    });
    let alien = |id: &&NodeId| {
        let claim = cluster.nodes[id.index()].nodeclaim;
        claim.is_none_or(|claim| !cluster.nodeclaims[claim.index()].exists())
    };
    let others = cluster.live_nodes.iter().filter(alien).map(|id| StateNode { claim: None, node: Some(*id) });
    owned.chain(others).collect()
}

impl StateNode {
    fn claim_of(self, cluster: &Cluster) -> Option<&NodeClaim> {
        self.claim.map(|id| &cluster.nodeclaims[id.index()])
    }

    fn node_of(self, cluster: &Cluster) -> Option<&Node> {
        self.node.map(|id| &cluster.nodes[id.index()])
    }

    /// Whether Karpenter has registered the Node; Nodes that it does not own count as registered.
    #[must_use]
    pub fn registered(self, cluster: &Cluster) -> bool {
        self.node.is_some() && self.claim_of(cluster).is_none_or(|claim| claim.registered.is_some())
    }

    /// Whether it is initialized; Nodes that Karpenter does not own count as initialized.
    #[must_use]
    pub fn initialized(self, cluster: &Cluster) -> bool {
        self.node.is_some() && self.claim_of(cluster).is_none_or(|claim| claim.initialized.is_some())
    }

    /// The NodeClaim's name until the Node is registered, then the Node's.
    #[must_use]
    pub fn name(self, cluster: &Cluster) -> &str {
        match (self.claim_of(cluster), self.node_of(cluster)) {
            (_, Some(node)) if self.registered(cluster) => &node.name,
            (Some(claim), _) => &claim.name,
            (None, node) => node.map_or("", |node| &node.name),
        }
    }

    /// The NodeClaim's labels until the Node is registered, then the Node's. A launched NodeClaim carries the labels of the instance
    /// that it got.
    #[must_use]
    pub fn labels(self, cluster: &Cluster) -> &Labels {
        match (self.claim_of(cluster), self.node_of(cluster)) {
            (Some(claim), _) if !self.registered(cluster) => &claim.labels,
            (Some(claim), None) => &claim.labels,
            (_, Some(node)) => &node.labels,
            (None, None) => unreachable!("a state node has a NodeClaim or a Node"),
        }
    }

    /// Taints that planning reckons with: the NodeClaim's until the Node is registered, then the Node's; without ephemeral and
    /// startup taints until the node is initialized (`StateNode.Taints`).
    #[must_use]
    pub fn taints(self, cluster: &Cluster) -> Vec<&Taint> {
        let Some(claim) = self.claim_of(cluster) else {
            return self.node_of(cluster).map_or_else(Vec::new, |node| node.taints.iter().collect());
        };
        let all = match self.node_of(cluster) {
            Some(node) if self.registered(cluster) => &node.taints,
            _ => &claim.taints,
        };
        if self.initialized(cluster) {
            return all.iter().collect();
        }
        let startup = |taint: &Taint| claim.startup_taints.iter().any(|other| taints::matches(other, taint));
        all.iter().filter(|taint| !taints::is_known_ephemeral(taint) && !startup(taint)).collect()
    }

    /// Marked for deletion: it takes no pods, and its capacity does not count against limits (`StateNode.MarkedForDeletion`).
    #[must_use]
    pub fn leaving(self, cluster: &Cluster) -> bool {
        match self.claim_of(cluster) {
            Some(claim) => claim.leaving(),
            None => self.node_of(cluster).is_some_and(|node| node.deleting.is_some()),
        }
    }

    /// Capacity that counts against limits (`StateNode.Capacity`).
    #[must_use]
    pub fn capacity(self, cluster: &Cluster) -> Resources {
        self.amounts(cluster, |node| node.capacity, |claim| claim.capacity)
    }

    /// What pods may request in all (`StateNode.Allocatable`).
    #[must_use]
    pub fn allocatable(self, cluster: &Cluster) -> Resources {
        self.amounts(cluster, |node| node.allocatable, |claim| claim.allocatable)
    }

    /// The Node's amounts; until it is initialized, zeros are filled from the NodeClaim's status.
    fn amounts(
        self,
        cluster: &Cluster,
        of_node: impl Fn(&Node) -> Resources,
        of_claim: impl Fn(&NodeClaim) -> Resources,
    ) -> Resources {
        match (self.claim_of(cluster), self.node_of(cluster)) {
            (Some(claim), Some(node)) if !self.initialized(cluster) => {
                let (node, claim) = (of_node(node), of_claim(claim));
                Resources(std::array::from_fn(|i| if node.0[i] == 0 { claim.0[i] } else { node.0[i] }))
            }
            (_, Some(node)) => of_node(node),
            (Some(claim), None) => of_claim(claim),
            (None, None) => Resources::ZERO,
        }
    }
}

/// Whether Karpenter should find a place for the pod: kube-scheduler found none, and it displaces nobody
/// (`pkg/utils/pod/scheduling.go: IsProvisionable`).
#[must_use]
pub fn is_provisionable(cluster: &Cluster, id: PodId) -> bool {
    let pod = &cluster.pods[id.index()];
    pod.exists()
        && pod.unschedulable
        && pod.node.is_none()
        && !pod.nominated
        && !matches!(pod.owner, Owner::DaemonSet(_))
}

/// Why a pod is ignored by planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It selects nodes by field.
    MatchFields,
    /// It selects on a label that Karpenter keeps for itself.
    RestrictedLabel(String),
    /// It keeps away from Karpenter's nodes (`karpenter.sh/nodepool DoesNotExist`); nothing is said about it.
    AvoidsKarpenter,
    /// One of its claims of storage cannot be used.
    Claim(ClaimFault),
}

/// Whether a pod takes part in planning (`provisioner.go: Validate`).
///
/// # Errors
/// Why not.
pub fn takes_part(cluster: &Cluster, id: PodId) -> Result<(), Ignored> {
    let spec = &cluster.shape_of(id).spec;
    validate(spec)?;
    let accesses = cluster.storage.accesses(spec, cluster.storage.variant_of(id));
    storage::validate(&accesses).map_err(Ignored::Claim)
}

/// Whether a pod of that spec takes part in planning, as far as its constraints decide (`provisioner.go: Validate`).
///
/// # Errors
/// Why not.
pub fn validate(spec: &PodSpec) -> Result<(), Ignored> {
    if let Some(key) = spec.node_selector.keys().find(|key| labels::is_restricted(labels::normalized(key))) {
        return Err(Ignored::RestrictedLabel(key.clone()));
    }
    let node = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let Some(node) = node else { return Ok(()) };
    let required = node.required_during_scheduling_ignored_during_execution.iter().flat_map(|s| &s.node_selector_terms);
    let preferred = node.preferred_during_scheduling_ignored_during_execution.iter().map(|term| &term.preference);
    for (term, binding) in required.map(|term| (term, true)).chain(preferred.map(|term| (term, false))) {
        if !term.match_fields.is_empty() {
            return Err(Ignored::MatchFields);
        }
        for requirement in &term.match_expressions {
            if labels::is_restricted(labels::normalized(&requirement.key)) {
                return Err(Ignored::RestrictedLabel(requirement.key.clone()));
            }
            if binding && requirement.key == labels::NODE_POOL && requirement.operator == NodeOperator::DoesNotExist {
                return Err(Ignored::AvoidsKarpenter);
            }
        }
    }
    Ok(())
}

/// Pods as disruption and drain judge them: what pods of a template have in common is found out once.
pub struct PodViews<'a> {
    cluster: &'a Cluster,
    /// By shape.
    templates: Vec<Option<TemplateView>>,
}

/// What pods of a template have in common.
#[derive(Clone, Copy)]
struct TemplateView {
    deletion_cost: i32,
    priority: i32,
    protection: Protection,
    tolerates_disrupted: bool,
    pdb: PdbState,
}

/// What the annotation [`DO_NOT_DISRUPT`] says.
#[derive(Clone, Copy)]
enum Protection {
    None,
    Always,
    For(Duration),
}

impl<'a> PodViews<'a> {
    /// Those of a cluster.
    #[must_use]
    pub fn of(cluster: &'a Cluster) -> Self {
        PodViews { cluster, templates: vec![None; cluster.shapes.len()] }
    }

    /// A pod of it.
    #[must_use]
    pub fn view(&mut self, id: PodId) -> PodView {
        let pod = &self.cluster.pods[id.index()];
        let template =
            self.templates[pod.shape.index()].get_or_insert_with(|| TemplateView::of(self.cluster, pod.shape));
        let daemon = matches!(pod.owner, Owner::DaemonSet(_));
        PodView {
            id: id.0,
            owner: if daemon { model::Owner::DaemonSet } else { model::Owner::Workload },
            phase: match pod.phase {
                Phase::Pending => model::Phase::Pending,
                Phase::Running => model::Phase::Running,
                Phase::Succeeded | Phase::Failed => model::Phase::Terminal,
            },
            terminating: pod.terminating(),
            unready: !pod.ready,
            deletion_cost: template.deletion_cost,
            priority: template.priority,
            do_not_disrupt: match template.protection {
                Protection::None => DoNotDisrupt::No,
                Protection::Always => DoNotDisrupt::Always,
                Protection::For(span) => DoNotDisrupt::For(span, pod.path.bound),
            },
            tolerates_disrupted: template.tolerates_disrupted,
            pdb: template.pdb,
        }
    }
}

impl TemplateView {
    fn of(cluster: &Cluster, shape: ShapeId) -> Self {
        let shape = &cluster.shapes[shape.index()];
        let annotation = |key: &str| shape.annotations.get(key).map(String::as_str);
        let deletion_cost = annotation("controller.kubernetes.io/pod-deletion-cost");
        TemplateView {
            deletion_cost: deletion_cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
            priority: shape.priority,
            protection: match annotation(DO_NOT_DISRUPT) {
                Some("true") => Protection::Always,
                Some(text) => match parse_go_duration(text) {
                    Ok(span) if span > Duration::ZERO => Protection::For(span),
                    _ => Protection::None,
                },
                None => Protection::None,
            },
            tolerates_disrupted: shape.spec.tolerates(taints::disrupted()),
            pdb: pdb_state(cluster, &shape.labels),
        }
    }
}

/// How PodDisruptionBudgets stand towards pods with these labels. Without `status`, what a budget allows now is worked out from the
/// pods that it selects (`pkg/controller/disruption: getExpectedPodCount`).
#[must_use]
pub fn pdb_state(cluster: &Cluster, pod_labels: &Labels) -> PdbState {
    let selects =
        |pdb: &&PodDisruptionBudget| pdb.spec.selector.as_ref().is_some_and(|selector| selector.matches(pod_labels));
    let mut matching = cluster.pdbs.iter().filter(selects);
    match (matching.next(), matching.next()) {
        (None, _) => PdbState::None,
        (Some(_), Some(_)) => PdbState::Several,
        (Some(pdb), None) => PdbState::One {
            allowed: disruptions_allowed(cluster, pdb),
            always_allow_unhealthy: pdb.spec.unhealthy_pod_eviction_policy == UnhealthyPodEvictionPolicy::AlwaysAllow,
            fully_blocking: fully_blocking(pdb),
        },
    }
}

fn fully_blocking(pdb: &PodDisruptionBudget) -> bool {
    matches!(pdb.spec.max_unavailable, Some(IntOrPercent::Count(0) | IntOrPercent::Percent(0)))
        || matches!(pdb.spec.min_available, Some(IntOrPercent::Percent(100)))
}

/// `status.disruptionsAllowed`: healthy pods beyond those that must be.
fn disruptions_allowed(cluster: &Cluster, pdb: &PodDisruptionBudget) -> u32 {
    let Some(selector) = &pdb.spec.selector else { return 0 };
    let mut expected: i64 = 0;
    let mut healthy: i64 = 0;
    for deployment in &cluster.deployments {
        if !selector.matches(&cluster.shapes[deployment.shape.index()].labels) {
            continue;
        }
        expected += i64::from(deployment.replicas);
        let active = deployment.pods.iter().map(|pod| &cluster.pods[pod.index()]);
        healthy += active.filter(|pod| pod.active() && pod.ready).count() as i64;
    }
    let scaled = |bound: IntOrPercent| match bound {
        IntOrPercent::Count(count) => count,
        IntOrPercent::Percent(percent) => (expected * percent + 99).div_euclid(100),
    };
    let wanted = match (pdb.spec.max_unavailable, pdb.spec.min_available) {
        (Some(unavailable), _) => expected - scaled(unavailable),
        (None, Some(available)) => scaled(available),
        (None, None) => expected,
    };
    u32::try_from((healthy - wanted.max(0)).max(0)).unwrap_or(u32::MAX)
}

/// Cluster state as the scheduler is asked about it.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The question without pods: catalogues, pools, nodes, DaemonSets and all shapes of the cluster, by their ids and then with the
    /// places of ephemeral volumes.
    pub input: Input<'a>,
    /// By node of the question: what it is.
    pub nodes: Vec<StateNode>,
    /// By pool of the question: which it is.
    pub pools: Vec<NodePoolId>,
}

/// Looks at the cluster. Static NodePools, those not there (yet) and those whose node class is not Ready are left out.
#[must_use]
pub fn observe(cluster: &Cluster, options: Options) -> Observation<'_> {
    observe_nodes(cluster, state_nodes(cluster), options)
}

/// Looks at the cluster, whose nodes come in that order.
#[must_use]
pub fn observe_nodes(cluster: &Cluster, nodes: Vec<StateNode>, options: Options) -> Observation<'_> {
    let dynamic = |pool: &&crate::cluster::nodeclaim::NodePool| {
        let ready = cluster.node_classes.get(pool.node_class.index()).is_none_or(NodeClass::is_ready);
        pool.applied.is_some() && !pool.deleted && pool.object.spec.replicas.is_none() && ready
    };
    let pools: Vec<NodePoolId> = (0..cluster.nodepools.len() as u32)
        .map(NodePoolId)
        .filter(|id| dynamic(&&cluster.nodepools[id.index()]))
        .collect();
    let daemons = cluster.daemonsets.iter().filter(|daemon| daemon.applied.is_some());
    let input = Input {
        catalogues: cluster.catalogues.clone(),
        pools: pools
            .iter()
            .map(|id| {
                let pool = &cluster.nodepools[id.index()];
                Pool { name: &pool.name, spec: &pool.object.spec, catalogue: Some(pool.node_class.index()) }
            })
            .collect(),
        nodes: nodes.iter().map(|node| existing(cluster, *node)).collect(),
        daemon_sets: daemons.map(|daemon| cluster.shapes[daemon.shape.index()].spec.as_ref()).collect(),
        shapes: shapes(cluster),
        pods: Vec::new(),
        bound: Vec::new(),
        options,
    };
    Observation { input, nodes, pools }
}

/// Pod templates, and behind them those whose pods have ephemeral volumes that are in known places.
fn shapes(cluster: &Cluster) -> Vec<Shape<'_>> {
    let describe = |index: usize, variant: Option<VariantId>| {
        let shape = &cluster.shapes[index];
        Shape {
            labels: &shape.labels,
            spec: &shape.spec,
            volumes: shape.spec.own_volumes(),
            volume_topology: storage::requirements(&cluster.storage.accesses(&shape.spec, variant)),
        }
    };
    let plain = (0..cluster.shapes.len()).map(|index| describe(index, None));
    let variants = cluster.storage.variants().iter().enumerate();
    let variants = variants.map(|(id, variant)| describe(variant.shape.index(), Some(VariantId(id as u32))));
    plain.chain(variants).collect()
}

/// Which of the question's templates a pod is of.
fn shape_of(cluster: &Cluster, id: PodId) -> usize {
    let variant = cluster.storage.variant_of(id).map(|variant| cluster.shapes.len() + variant.0 as usize);
    variant.unwrap_or(cluster.pods[id.index()].shape.index())
}

fn existing(cluster: &Cluster, state: StateNode) -> ExistingNode<'_> {
    let labels = state.labels(cluster);
    let name = state.name(cluster);
    let node = state.node_of(cluster);
    let pods = node.map_or(&[][..], |node| &node.pods);
    let (mut daemon_requests, mut ports): (Resources, Vec<HostPort>) = (Resources::ZERO, Vec::new());
    let mut volumes = 0;
    for id in pods {
        let pod = &cluster.pods[id.index()];
        let shape = cluster.shape_of(*id);
        if pod.terminal() {
            continue;
        }
        volumes += shape.spec.own_volumes();
        if matches!(pod.owner, Owner::DaemonSet(_)) {
            daemon_requests += shape.requests;
        }
        if shape.spec.containers.iter().any(|container| !container.ports.is_empty()) {
            ports.extend(host_ports(&shape.spec));
        }
    }
    ExistingNode {
        name,
        hostname: labels.get(labels::HOSTNAME).map_or(name, String::as_str),
        labels,
        taints: state.taints(cluster),
        target: !state.leaving(cluster),
        initialized: state.initialized(cluster),
        has_node: node.is_some(),
        under_consolidate_after: false,
        available: state.allocatable(cluster) - node.map_or(Resources::ZERO, |node| node.requested),
        daemon_requests,
        capacity: state.capacity(cluster),
        host_ports: ports,
        free_volumes: node.and_then(|node| node.volume_limit).map(|limit| limit.saturating_sub(volumes)),
    }
}

/// A pod as the scheduler orders it. `whole_second` is an instant at which a second of the wall clock begins: creation times have that
/// resolution.
#[must_use]
pub fn scheduling_pod(cluster: &Cluster, id: PodId, whole_second: Time, gated: bool) -> Pod {
    let pod = &cluster.pods[id.index()];
    Pod { shape: shape_of(cluster, id), created: pod.created.floor_second(whole_second), uid: pod.uid, gated }
}

/// Pods that stay where they are, by node and shape; `moved` are not counted.
#[must_use]
pub fn bound_pods(cluster: &Cluster, nodes: &[StateNode], moved: impl Fn(PodId) -> bool) -> Vec<BoundPods> {
    let mut bound = Vec::new();
    for (index, state) in nodes.iter().enumerate() {
        let Some(node) = state.node_of(cluster) else { continue };
        let mut counts: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        for id in node.pods.iter().filter(|id| !moved(**id)) {
            let pod = &cluster.pods[id.index()];
            if !pod.terminal() {
                let (running, present) = counts.entry(pod.shape.index()).or_default();
                *running += u32::from(!pod.terminating());
                *present += 1;
            }
        }
        let here =
            counts.into_iter().map(|(shape, (running, present))| BoundPods { shape, node: index, running, present });
        bound.extend(here);
    }
    bound
}
