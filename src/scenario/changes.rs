//! `[[changes]]`: what is applied, scaled or deleted in the middle of a run.

use std::collections::BTreeMap;

use super::kind::Object;
use super::market::OfferingSelector;
use crate::api::decode::{Decode, Problems, Shape};
use crate::api::tree::Node;
use crate::object;
use crate::time::Duration;

object! {
    /// Something a person (or a pipeline) does during the run.
    pub struct TimedChange {
        /// When.
        pub at: Duration,
        /// Settings by their paths: `{ "ScaledObject/orders.maxReplicaCount" = 200 }`.
        pub patch: Patch,
        /// `kubectl scale`: replicas by Deployment, `{ "orders" = 5 }`.
        pub scale: BTreeMap<String, u32>,
        /// Objects that do not exist before: `["ScaledObject/late"]`. They are written like all others.
        pub create: Vec<String>,
        /// Objects to delete: `["ScaledObject/orders"]`.
        pub delete: Vec<String>,
        /// EC2NodeClasses whose `amiSelectorTerms` find a newer AMI from now on (a release of `al2023@latest`, an image built for a name): their nodes drift at once. `[[amis]]` says when a release is published instead; Karpenter finds it up to a day later.
        pub new_amis: Vec<String>,
        /// Offerings that EC2 stops selling for good, as far as Karpenter knows. Nodes that stand on them drift, not before they are an hour old.
        pub withdraw: Vec<OfferingSelector>,
    }
}

/// Settings that change together, and what becomes of the objects they belong to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    /// Values by path.
    pub values: BTreeMap<String, Node>,
    /// The changed objects, whole; worked out when the scenario is loaded.
    pub objects: Vec<Object>,
}

impl Decode for Patch {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(Patch { values: BTreeMap::decode(node, problems)?, objects: Vec::new() })
    }
    fn absent() -> Option<Self> {
        Some(Patch::default())
    }
    fn describe() -> String {
        "a table of values by their paths".to_owned()
    }
    fn shape() -> Shape {
        Shape::Map(Node::shape)
    }
}
