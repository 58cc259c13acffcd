//! Claims of storage and what they are bound to: the PersistentVolume controller and the provisioners of volumes
//! (`pkg/controller/volume/persistentvolume`, kubernetes-csi/external-provisioner).

mod access;
mod objects;
mod provision;

use std::collections::BTreeMap;

use super::{Change, Cluster, NodeId, PodId, ShapeId};
use crate::api::meta::Labels;
use crate::api::pod::PodSpec;
use crate::api::storage::{EphemeralVolumeSource, PersistentVolumeClaimSpec};
use crate::scenario::Scenario;

pub use access::{Access, ClaimFault, Reach};
pub use objects::{Class, Volume};

use objects::{Claim, VolumeId};

/// Zone of a node.
const ZONE: &str = "topology.kubernetes.io/zone";

/// All claims, volumes and classes.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    /// Whether the scenario has any such object. If not, claims are taken to be bound to volumes that every node reaches.
    described: bool,
    classes: Vec<Class>,
    default_class: Option<String>,
    volumes: Vec<Volume>,
    claims: BTreeMap<String, Claim>,
    /// Zones of the region, by name.
    zones: Vec<String>,
    /// Volumes that provisioners made, by zone; empty = reachable everywhere.
    made: BTreeMap<String, VolumeId>,
    variants: Vec<Variant>,
    /// Pods whose ephemeral volumes have been made.
    of_pods: BTreeMap<PodId, VariantId>,
}

/// Pods of a template whose ephemeral volumes are in the same places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The template.
    pub shape: ShapeId,
    /// Their ephemeral volumes, in the order of the template; those that have been made.
    volumes: Vec<Option<VolumeId>>,
}

/// Index of a [`Variant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariantId(pub u32);

impl Storage {
    /// The storage of a scenario with these zones, after the PersistentVolume controller has bound what need not wait for a pod.
    #[must_use]
    pub fn of(scenario: &Scenario, zones: &[String]) -> Self {
        let mut zones = zones.to_vec();
        zones.sort_unstable();
        let mut storage = Storage {
            described: !(scenario.persistent_volume_claims.is_empty()
                && scenario.persistent_volumes.is_empty()
                && scenario.storage_classes.is_empty()),
            classes: scenario.storage_classes.iter().map(Class::of).collect(),
            default_class: objects::default_class(&scenario.storage_classes),
            volumes: scenario.persistent_volumes.iter().map(Volume::of).collect(),
            zones,
            ..Storage::default()
        };
        for object in &scenario.persistent_volume_claims {
            let name = object.metadata.name.clone().unwrap_or_default();
            let claim = storage.new_claim(&name, &object.spec);
            storage.claims.insert(name, claim);
        }
        let names: Vec<String> = storage.claims.keys().cloned().collect();
        for name in names {
            storage.bind_early(&name);
        }
        storage
    }

    /// Whether claims are looked at.
    #[must_use]
    pub fn is_described(&self) -> bool {
        self.described
    }

    /// Templates whose pods differ by the places of their ephemeral volumes, by [`VariantId`].
    #[must_use]
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// Which of the variants a pod is; `None` = its ephemeral volumes, if it has any, have not been made.
    #[must_use]
    pub fn variant_of(&self, pod: PodId) -> Option<VariantId> {
        self.of_pods.get(&pod).copied()
    }

    /// What each volume of a claim asks of the node of a pod with that spec.
    #[must_use]
    pub fn accesses(&self, spec: &PodSpec, variant: Option<VariantId>) -> Vec<Access<'_>> {
        if !self.described || spec.volumes.is_empty() {
            return Vec::new();
        }
        let mut made = variant.map_or(&[][..], |variant| &self.variants[variant.0 as usize].volumes).iter();
        let mut accesses = Vec::new();
        for volume in &spec.volumes {
            if let Some(source) = &volume.persistent_volume_claim {
                accesses.push(self.access(self.claims.get(&source.claim_name), &source.claim_name));
            } else if let Some(source) = &volume.ephemeral {
                let name = volume.name.as_deref().unwrap_or_default();
                accesses.push(match made.next().copied().flatten() {
                    Some(volume) => Access::Bound(&self.volumes[volume.0]),
                    None => self.ephemeral_access(name, source),
                });
            }
        }
        accesses
    }

    /// The claim of an ephemeral volume that has not been made. It gets a volume of its own.
    fn ephemeral_access(&self, name: &str, source: &EphemeralVolumeSource) -> Access<'_> {
        let claim = self.new_claim(name, &objects::template(source));
        match self.access(Some(&claim), name) {
            Access::Unbound { class, .. } => Access::Unbound { class, volumes: Vec::new() },
            other => other,
        }
    }

    fn access(&self, claim: Option<&Claim>, name: &str) -> Access<'_> {
        let name = || name.to_owned();
        let Some(claim) = claim else { return Access::Fault(ClaimFault::ClaimNotFound(name())) };
        match (claim.volume, &claim.missing) {
            (Some(volume), _) => return Access::Bound(&self.volumes[volume.0]),
            (None, Some(volume)) => return Access::Fault(ClaimFault::VolumeNotFound(name(), volume.clone())),
            (None, None) => {}
        }
        if claim.class.is_empty() {
            return Access::Fault(ClaimFault::NoClass(name()));
        }
        match self.class(&claim.class) {
            None => Access::Fault(ClaimFault::ClassNotFound(name(), claim.class.clone())),
            Some(class) if !class.waits => Access::Fault(ClaimFault::NotBound(name())),
            Some(class) => Access::Unbound { class, volumes: self.matching(claim).map(|(_, volume)| volume).collect() },
        }
    }

    fn class(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.name == name)
    }

    fn new_claim(&self, name: &str, spec: &PersistentVolumeClaimSpec) -> Claim {
        let class = spec.storage_class_name.clone().or_else(|| self.default_class.clone()).unwrap_or_default();
        let named = spec.volume_name.as_deref().filter(|volume| !volume.is_empty());
        let volume = named.and_then(|named| self.volumes.iter().position(|volume| volume.name == named));
        Claim {
            name: name.to_owned(),
            class,
            spec: spec.clone(),
            volume: volume.map(VolumeId),
            missing: named.filter(|_| volume.is_none()).map(str::to_owned),
        }
    }

    /// Volumes that are there and that the claim may be bound to, smallest first (`pkg/volume/util: FindMatchingVolume`).
    fn matching<'s>(&'s self, claim: &Claim) -> impl Iterator<Item = (VolumeId, &'s Volume)> + use<'s> {
        let all = self.volumes.iter().enumerate().map(|(i, volume)| (VolumeId(i), volume));
        let mut matching: Vec<(VolumeId, &Volume)> = all.filter(|(_, volume)| volume.suits(claim)).collect();
        matching.sort_by_key(|(id, volume)| (volume.claim.is_none(), volume.size, id.0));
        matching.into_iter()
    }
}

/// What the API server keeps of claims.
impl Cluster {
    /// Gives the claims of a pod that wait for their first consumer volumes that its node reaches: ones that are there, or new ones
    /// (`binder.go: AssumePodVolumes`; making one takes no time). Tells which named claims got one.
    pub fn bind_claims(&mut self, pod: PodId, node: NodeId) -> Vec<String> {
        let mut bound = Vec::new();
        let spec = self.shape_of(pod).spec.clone();
        if !self.storage.described || spec.volumes.is_empty() {
            return bound;
        }
        let record = &self.nodes[node.index()];
        for source in spec.volumes.iter().filter_map(|volume| volume.persistent_volume_claim.as_ref()) {
            if self.storage.bind_late(&source.claim_name, &record.labels, &record.name) {
                bound.push(source.claim_name.clone());
            }
        }
        self.storage.make_ephemeral(pod, self.pods[pod.index()].shape, &spec, &record.labels);
        if !bound.is_empty() {
            self.announce(Change::ClaimsBound);
        }
        bound
    }

    /// Claims of a pod's ephemeral volumes come with it, and those that wait for nothing are bound.
    pub(super) fn create_claims(&mut self, pod: PodId) {
        if self.storage.described {
            let record = &self.pods[pod.index()];
            let spec = self.shapes[record.shape.index()].spec.clone();
            self.storage.make_ephemeral_early(pod, record.shape, record.uid, &spec);
        }
    }

    /// Claims of a pod's ephemeral volumes go with it.
    pub(super) fn remove_claims(&mut self, pod: PodId) {
        self.storage.of_pods.remove(&pod);
    }
}

/// The zone that a node's labels name.
fn zone_of(labels: &Labels) -> Option<&str> {
    labels.get(ZONE).map(String::as_str)
}
