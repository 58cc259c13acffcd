//! What the scheduler is asked: pools, catalogues, nodes and pods at one instant.

use std::sync::Arc;

use crate::api::karpenter::NodePoolSpec;
use crate::api::meta::Labels;
use crate::api::pod::{PodSpec, Taint};
use crate::cluster::catalogue::Catalogue;
use crate::time::Time;
use crate::units::Resources;

use super::requirements::Requirements;

/// One scheduling question (`pkg/controllers/provisioning/provisioner.go: NewScheduler`).
#[derive(Clone, Debug, Default)]
pub struct Input<'a> {
    /// What the node classes of the pools offer. Several pools may share one.
    pub catalogues: Vec<Arc<Catalogue>>,
    /// Ready, dynamic NodePools that are not being deleted, in any order.
    pub pools: Vec<Pool<'a>>,
    /// All nodes: those that may take pods ([`ExistingNode::target`]) and those whose pods only count for spreading and affinity.
    pub nodes: Vec<ExistingNode<'a>>,
    /// Pod specs of the DaemonSets, in the order of their names.
    pub daemon_sets: Vec<&'a PodSpec>,
    /// Pod templates that `pods` and `bound` refer to.
    pub shapes: Vec<Shape<'a>>,
    /// Pods to place. Their order only matters among constraints that differ in `minDomains` alone: the first pod's applies.
    pub pods: Vec<Pod>,
    /// Pods that run on `nodes` and are not among `pods`.
    pub bound: Vec<BoundPods>,
    /// Settings.
    pub options: Options,
}

/// A NodePool.
#[derive(Clone, Copy, Debug)]
pub struct Pool<'a> {
    /// Name.
    pub name: &'a str,
    /// Spec.
    pub spec: &'a NodePoolSpec,
    /// Index in [`Input::catalogues`]; `None` = the instance types could not be resolved, the pool is skipped in this pass.
    pub catalogue: Option<usize>,
}

/// A node in cluster state: ready, or a launched NodeClaim that has no Node object yet, or a node that Karpenter does not own.
#[derive(Clone, Debug)]
pub struct ExistingNode<'a> {
    /// Name of the Node once it is registered, of the NodeClaim before. Nodes are filled in the order (initialized first, name).
    pub name: &'a str,
    /// Label `kubernetes.io/hostname`, or the name while there is none.
    pub hostname: &'a str,
    /// Labels of the Node once it is registered, of the NodeClaim before.
    pub labels: &'a Labels,
    /// Taints as planning sees them: without ephemeral and startup taints until the node is initialized.
    pub taints: Vec<&'a Taint>,
    /// Whether it may take pods and counts against its pool's limits: not deleting and not a candidate of the simulation.
    pub target: bool,
    /// Whether it is initialized, or not owned by Karpenter.
    pub initialized: bool,
    /// Whether a Node object exists. Only then do its labels add spread domains.
    pub has_node: bool,
    /// Whether it is inside its own `consolidateAfter` window, so that pods with [`Pod::gated`] cannot move to it.
    pub under_consolidate_after: bool,
    /// Allocatable minus the requests of all bound pods that are not terminal (terminating ones included).
    pub available: Resources,
    /// Requests of the DaemonSet pods among them.
    pub daemon_requests: Resources,
    /// Capacity that counts against the pool's limits; the scheduler adds `nodes: 1`.
    pub capacity: Resources,
    /// Host ports in use.
    pub host_ports: Vec<HostPort>,
    /// How many more volumes its CSI driver can attach; `None` = no limit.
    pub free_volumes: Option<u32>,
}

/// A pod template. Pods of one template are interchangeable.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    /// Labels of the pods.
    pub labels: &'a Labels,
    /// Spec of the pods.
    pub spec: &'a PodSpec,
    /// Volumes that each pod mounts through a CSI driver.
    pub volumes: u32,
    /// For each volume of a claim, where it can be reached: requirements of which one must hold; none = everywhere.
    pub volume_topology: Vec<Vec<Requirements>>,
}

/// A pod to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Index in [`Input::shapes`].
    pub shape: usize,
    /// When it was created, as Kubernetes stores it: rounded down to a second of the wall clock.
    pub created: Time,
    /// Breaks ties among pods of equal requests and creation second. Kubernetes' UIDs are random.
    pub uid: u64,
    /// Whether nodes inside their `consolidateAfter` window are closed to it: it is neither Pending nor on a deleting node.
    pub gated: bool,
}

/// Pods of one shape on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundPods {
    /// Index in [`Input::shapes`].
    pub shape: usize,
    /// Index in [`Input::nodes`].
    pub node: usize,
    /// How many of them are neither terminal nor terminating: they count for spreading and affinity.
    pub running: u32,
    /// How many of them are not terminal (terminating ones included): their required anti-affinity repels others.
    pub present: u32,
}

/// A host port in use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Address; `0.0.0.0` and `::` match every address.
    pub ip: String,
    /// Port.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

/// Settings of one pass.
#[derive(Clone, Debug)]
pub struct Options {
    /// `PREFERENCE_POLICY`; default `Respect`.
    pub preferences: PreferencePolicy,
    /// `MIN_VALUES_POLICY`; default `Strict`.
    pub min_values: MinValuesPolicy,
    /// Most instance types that a claim may list (`MaxInstanceTypes`); default 600.
    pub max_instance_types: usize,
    /// Gate `ReservedCapacity`; default on.
    pub reserved_capacity: bool,
    /// Whether a pod fails rather than give up reserved capacity (`ReservedOfferingModeStrict`: the provisioner); default `true`.
    /// Disruption simulates with `false`.
    pub reserved_strict: bool,
}

/// `PREFERENCE_POLICY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreferencePolicy {
    /// Preferences are required first, then given up one by one.
    #[default]
    Respect,
    /// Preferences are ignored.
    Ignore,
}

/// `MIN_VALUES_POLICY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinValuesPolicy {
    /// `minValues` must hold.
    #[default]
    Strict,
    /// `minValues` is lowered to what is possible when a claim is opened.
    BestEffort,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            preferences: PreferencePolicy::Respect,
            min_values: MinValuesPolicy::Strict,
            max_instance_types: 600,
            reserved_capacity: true,
            reserved_strict: true,
        }
    }
}
