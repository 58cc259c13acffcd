//! Node classes as far as drift compares them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::karpenter::{AmiFamily, CapacityReservationSelectorTerm};

/// A node class in the cluster.
#[derive(Clone, Debug, Default)]
pub struct NodeClass {
    /// Name.
    pub name: String,
    /// How it stands; `None` = nodes of this class do not drift by their class (KWOK, or no class).
    pub version: Option<Arc<NodeClassVersion>>,
}

/// How an EC2NodeClass stands: what it says, and what its selectors find.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeClassVersion {
    /// Fields of the spec as written, each a list of its elements.
    pub fields: BTreeMap<String, Vec<String>>,
    /// AMI family, written or found.
    pub family: AmiFamily,
    /// New AMIs that its `amiSelectorTerms` have found since the beginning.
    pub new_amis: u32,
    /// `capacityReservationSelectorTerms`.
    pub reservation_terms: Vec<CapacityReservationSelectorTerm>,
}
