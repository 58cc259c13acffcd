//! Claims, volumes and classes as they are looked at.

use crate::api::meta::Labels;
use crate::api::pod::{NodeOperator, NodeRequirement, NodeSelectorTerm};
use crate::api::storage::{
    EphemeralVolumeSource, PersistentVolume, PersistentVolumeClaimSpec, StorageClass, VolumeBindingMode,
};
use crate::units::Memory;

use super::ZONE;

/// Annotation of the default StorageClass.
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// Zone of a node by EBS' CSI driver, whose value is that of the node's own label.
const EBS_ZONE: &str = "topology.ebs.csi.aws.com/zone";
/// Provisioners of volumes that are in one zone.
const ZONAL: [&str; 3] = ["ebs.csi.aws.com", "ebs.csi.eks.amazonaws.com", "kubernetes.io/aws-ebs"];
/// Makes no volumes.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// Labels of a volume that kube-scheduler compares with the node's, and what the node calls them (`volumezone: topologyLabels`).
const VOLUME_LABELS: [(&str, &str); 4] = [
    (ZONE, ZONE),
    ("failure-domain.beta.kubernetes.io/zone", ZONE),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
];

/// Index of a [`Volume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct VolumeId(pub(super) usize);

/// A StorageClass.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Name.
    pub name: String,
    /// Whether a claim waits for its first pod.
    pub waits: bool,
    /// Whether it makes volumes.
    pub makes: bool,
    /// Whether its volumes are in one zone each.
    pub(super) zonal: bool,
    /// Where they may be: one of these terms must hold; none = everywhere.
    pub allowed: Vec<NodeSelectorTerm>,
}

/// A PersistentVolume.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Which nodes reach it: one of these terms must hold; none = all do.
    pub terms: Vec<NodeSelectorTerm>,
    /// Whether it belongs to one node (`local`, `hostPath`).
    pub of_one_node: bool,
    /// Labels that a node with such labels must share, with their values.
    pub topology_labels: Vec<(String, Vec<String>)>,
    /// The claim that it is bound to, or kept for.
    pub(super) claim: Option<String>,
    pub(super) size: Memory,
    /// Whether claims may be bound to it.
    open: bool,
    class: String,
    modes: Vec<String>,
    labels: Labels,
}

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claim {
    pub(super) name: String,
    /// Empty = none.
    pub(super) class: String,
    pub(super) spec: PersistentVolumeClaimSpec,
    pub(super) volume: Option<VolumeId>,
    /// A volume that it names and that is not there.
    pub(super) missing: Option<String>,
}

impl Class {
    pub(super) fn of(object: &StorageClass) -> Self {
        let term = |term: &crate::api::storage::TopologySelectorTerm| NodeSelectorTerm {
            match_expressions: term
                .match_label_expressions
                .iter()
                .map(|label| one_of(&label.key, label.values.clone()))
                .collect(),
            match_fields: Vec::new(),
        };
        Class {
            name: object.metadata.name.clone().unwrap_or_default(),
            waits: object.volume_binding_mode == VolumeBindingMode::WaitForFirstConsumer,
            makes: object.provisioner != NO_PROVISIONER,
            zonal: ZONAL.contains(&object.provisioner.as_str()),
            allowed: object.allowed_topologies.iter().map(term).filter(|t| !t.match_expressions.is_empty()).collect(),
        }
    }
}

impl Volume {
    pub(super) fn of(object: &PersistentVolume) -> Self {
        let spec = &object.spec;
        let required = spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
        let mut terms = required.map_or_else(Vec::new, |required| required.node_selector_terms.clone());
        for expression in terms.iter_mut().flat_map(|term| &mut term.match_expressions) {
            expression.key = known_as(&expression.key).to_owned();
        }
        let label = |(own, of_node): &(&str, &str)| {
            let values = object.metadata.labels.get(*own)?;
            Some(((*of_node).to_owned(), values.split("__").map(str::to_owned).collect()))
        };
        Volume {
            name: object.metadata.name.clone().unwrap_or_default(),
            terms,
            of_one_node: spec.local.is_some() || spec.host_path.is_some(),
            topology_labels: VOLUME_LABELS.iter().filter_map(label).collect(),
            claim: spec.claim_ref.as_ref().map(|claim| claim.name.clone()),
            size: spec.capacity.storage,
            open: true,
            class: spec.storage_class_name.clone().unwrap_or_default(),
            modes: spec.access_modes.clone(),
            labels: object.metadata.labels.clone(),
        }
    }

    /// One that a provisioner made in a zone; without zone it can be reached from everywhere.
    pub(super) fn made(zone: &str) -> Self {
        let term = || NodeSelectorTerm {
            match_expressions: vec![one_of(ZONE, vec![zone.to_owned()])],
            match_fields: Vec::new(),
        };
        Volume {
            name: if zone.is_empty() { "a new volume".to_owned() } else { format!("a new volume in {zone}") },
            terms: if zone.is_empty() { Vec::new() } else { vec![term()] },
            of_one_node: false,
            topology_labels: Vec::new(),
            claim: None,
            size: Memory::ZERO,
            open: false,
            class: String::new(),
            modes: Vec::new(),
            labels: Labels::new(),
        }
    }

    /// Whether the claim may be bound to it.
    pub(super) fn suits(&self, claim: &Claim) -> bool {
        let spec = &claim.spec;
        self.open
            && self.class == claim.class
            && self.claim.as_ref().is_none_or(|own| *own == claim.name)
            && self.size >= spec.resources.requests.storage
            && spec.access_modes.iter().all(|mode| self.modes.contains(mode))
            && spec.selector.as_ref().is_none_or(|selector| selector.matches(&self.labels))
    }

    pub(super) fn take(&mut self, claim: &str) {
        self.open = false;
        self.claim = Some(claim.to_owned());
    }

    /// Whether a node reaches it.
    pub(super) fn reached_from(&self, labels: &Labels, name: &str) -> bool {
        self.terms.is_empty() || self.terms.iter().any(|term| term.matches(labels, name))
    }
}

/// The class that claims without one get: of several the first by name.
pub(super) fn default_class(classes: &[StorageClass]) -> Option<String> {
    let default = |class: &&StorageClass| class.metadata.annotations.get(IS_DEFAULT).is_some_and(|v| v == "true");
    classes.iter().filter(default).filter_map(|class| class.metadata.name.clone()).min()
}

/// What the claim of an ephemeral volume asks for.
pub(super) fn template(source: &EphemeralVolumeSource) -> PersistentVolumeClaimSpec {
    source.volume_claim_template.as_ref().map_or_else(crate::api::decode::defaults, |template| template.spec.clone())
}

fn one_of(key: &str, values: Vec<String>) -> NodeRequirement {
    NodeRequirement { key: known_as(key).to_owned(), operator: NodeOperator::In, values, min_values: None }
}

fn known_as(key: &str) -> &str {
    if key == EBS_ZONE { ZONE } else { key }
}
