//! What the scheduler answers: where each pod would run, what to launch, and why a pod has no place.

use std::fmt;
use std::sync::Arc;

use super::requirements::Requirements;
use crate::cluster::catalogue::TypeId;
use crate::units::Resources;

/// The plan (`scheduler.go: Results`). Pods and nodes are indices in the [`Input`](super::Input).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Existing nodes that received pods, in the order they are filled: node and its pods in the order they were placed.
    pub existing: Vec<(usize, Vec<usize>)>,
    /// Claims to launch.
    pub claims: Vec<NewClaim>,
    /// Pods without a place and why, in the order of the pods.
    pub errors: Vec<(usize, SchedulingError)>,
    /// Pools of which no instance type is left by their own requirements (event `NoCompatibleInstanceTypes`).
    pub skipped_pools: Vec<usize>,
}

/// A NodeClaim to launch.
#[derive(Clone, Debug, PartialEq)]
pub struct NewClaim {
    /// Index of its pool in [`Input::pools`](super::Input::pools).
    pub pool: usize,
    /// What its node may be; without host name, instance types and the labels that exist only in simulation. Capacity types as the
    /// pool and the pods allow them: [`capacity_types`](super::capacity_types) tells which of them a NodeClaim asks for.
    pub requirements: Arc<Requirements>,
    /// Instance types that it may become, cheapest first, at most `max_instance_types`.
    pub options: Vec<TypeId>,
    /// Requests of its pods, plus the least that DaemonSets need on any of the options.
    pub requests: Resources,
    /// Its pods, in the order they were placed.
    pub pods: Vec<usize>,
    /// Whether a `minValues` was lowered (`karpenter.sh/nodeclaim-min-values-relaxed`).
    pub min_values_relaxed: bool,
}

/// Why a pod has no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchedulingError {
    /// There is no ready dynamic NodePool; pods were not even matched to existing nodes.
    NoPools,
    /// No pool has instance types of its own requirements.
    AllPoolsFiltered,
    /// No existing node and no open claim fits, and no pool can open one: pool and reason, by pool order.
    NoClaimFits(Vec<(usize, ClaimError)>),
    /// Reserved capacity exists for it but is taken in this pass: it waits for a later one.
    ReservedOffering,
    /// Its claim lost too many instance types to the limit per claim and no longer meets `minValues`.
    MinValuesAfterTruncation,
}

/// Why a pool cannot open a claim for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// `limits.nodes` is used up.
    NodeLimit,
    /// Every instance type exceeds what is left of the limits.
    Limits,
    /// The pod does not tolerate a taint of the pool.
    Taints,
    /// The pod requires something of this label that the pool does not have.
    Requirements(String),
    /// The pod's volumes are where the pool has no such label.
    Volumes(String),
    /// A topology constraint on this label cannot be met.
    Topology(String),
    /// No instance type is left; whether at least one met the requirements, was large enough, had an available offering.
    InstanceTypes {
        /// Whether an instance type met the requirements.
        requirements_met: bool,
        /// Whether an instance type was large enough.
        fits: bool,
        /// Whether an instance type had an available offering.
        has_offering: bool,
    },
    /// Too few distinct values of a label with `minValues` are left.
    MinValues,
    /// Reserved capacity exists but is taken in this pass.
    ReservedOffering,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimError::NodeLimit => f.write_str("node limits have been exhausted for nodepool"),
            ClaimError::Limits => f.write_str("all available instance types exceed limits for nodepool"),
            ClaimError::Taints => f.write_str("did not tolerate taint"),
            ClaimError::Requirements(key) => write!(f, "incompatible requirements, key {key}"),
            ClaimError::Volumes(key) => write!(f, "incompatible volume requirements, key {key}"),
            ClaimError::Topology(key) => write!(f, "unsatisfiable topology constraint, key={key}"),
            ClaimError::InstanceTypes { requirements_met, fits, has_offering } => {
                let missing: Vec<&str> = [
                    (*requirements_met, "met the scheduling requirements"),
                    (*fits, "had enough resources"),
                    (*has_offering, "had a required offering"),
                ]
                .into_iter()
                .filter_map(|(met, what)| (!met).then_some(what))
                .collect();
                if missing.is_empty() {
                    f.write_str("no instance type met the requirements/resources/offering tuple")
                } else {
                    write!(f, "no instance type {}", missing.join(" or "))
                }
            }
            ClaimError::MinValues => f.write_str("minValues requirement is not met"),
            ClaimError::ReservedOffering => {
                f.write_str("one or more instance types with compatible reserved offerings are available, but could not be reserved")
            }
        }
    }
}

impl fmt::Display for SchedulingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchedulingError::NoPools => f.write_str("no dynamic nodepools found"),
            SchedulingError::AllPoolsFiltered => {
                f.write_str("nodepool requirements filtered out all available instance types")
            }
            SchedulingError::NoClaimFits(reasons) => {
                for (i, (_, reason)) in reasons.iter().enumerate() {
                    write!(f, "{}{reason}", if i == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            SchedulingError::ReservedOffering => ClaimError::ReservedOffering.fmt(f),
            SchedulingError::MinValuesAfterTruncation => {
                f.write_str("pod didn't schedule because NodePool couldn't meet minValues requirements")
            }
        }
    }
}
