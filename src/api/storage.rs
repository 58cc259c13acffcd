//! Claims of storage, volumes and their classes: PersistentVolumeClaim, PersistentVolume, StorageClass.

use super::meta::{LabelSelector, ObjectMeta};
use super::pod::NodeSelector;
use super::tree::Node;
use crate::units::Memory;
use crate::{choice, object};

object! {
    /// `v1 PersistentVolumeClaim`.
    pub struct PersistentVolumeClaim {
        /// Name.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: PersistentVolumeClaimSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// What a claim asks for.
    pub struct PersistentVolumeClaimSpec {
        /// StorageClass; absent = the default one (annotation `storageclass.kubernetes.io/is-default-class`), `""` = none.
        pub storage_class_name: Option<String>,
        /// PersistentVolume that it is bound to.
        pub volume_name: Option<String>,
        /// Modes that its volume must have, when an existing one is looked for.
        pub access_modes: Vec<String>,
        /// Least size of such a volume.
        pub resources: VolumeResources = super::decode::defaults(),
        /// Labels of such a volume.
        pub selector: Option<LabelSelector>,
    }
    ignore ["volumeMode", "dataSource", "dataSourceRef", "volumeAttributesClassName"]
}

object! {
    /// `resources` of a claim.
    pub struct VolumeResources {
        /// What is asked for.
        pub requests: StorageSize = super::decode::defaults(),
    }
    ignore ["limits"]
}

object! {
    /// A size of storage.
    pub struct StorageSize {
        /// Bytes.
        pub storage: Memory = Memory::ZERO,
    }
}

object! {
    /// `v1 PersistentVolume`: a volume that is there from the beginning.
    pub struct PersistentVolume {
        /// Name; labels `topology.kubernetes.io/zone` and `region` hold kube-scheduler to them.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: PersistentVolumeSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// What a volume is.
    pub struct PersistentVolumeSpec {
        /// Size.
        pub capacity: StorageSize = super::decode::defaults(),
        /// Modes that it has.
        pub access_modes: Vec<String>,
        /// Name of the StorageClass; claims of the same name may be bound to it.
        pub storage_class_name: Option<String>,
        /// The claim that it is for.
        pub claim_ref: Option<ClaimRef>,
        /// Nodes from which it can be reached; absent = all.
        pub node_affinity: Option<VolumeNodeAffinity>,
        /// A disk of one node: Karpenter ignores that node's name.
        pub local: Option<Node>,
        /// A folder of one node: Karpenter ignores that node's name.
        pub host_path: Option<Node>,
    }
    ignore ["csi", "nfs", "awsElasticBlockStore", "persistentVolumeReclaimPolicy", "mountOptions", "volumeMode", "volumeAttributesClassName",
        "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker", "gcePersistentDisk", "glusterfs", "iscsi",
        "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"]
}

object! {
    /// Names the claim of a volume.
    pub struct ClaimRef {
        /// Name.
        pub name: String,
        /// Namespace.
        pub namespace: Option<String>,
    }
    ignore ["apiVersion", "kind", "uid", "resourceVersion", "fieldPath"]
}

object! {
    /// Nodes from which a volume can be reached.
    pub struct VolumeNodeAffinity {
        /// One of the terms must hold.
        pub required: Option<NodeSelector>,
    }
}

object! {
    /// `storage.k8s.io/v1 StorageClass`.
    pub struct StorageClass {
        /// Name; annotation `storageclass.kubernetes.io/is-default-class` makes it the default one.
        pub metadata: ObjectMeta,
        /// Who makes its volumes. Those of EBS (`ebs.csi.aws.com`, `ebs.csi.eks.amazonaws.com`, `kubernetes.io/aws-ebs`) are in one zone;
        /// `kubernetes.io/no-provisioner` makes none.
        pub provisioner: String,
        /// When a claim gets its volume.
        pub volume_binding_mode: VolumeBindingMode = VolumeBindingMode::Immediate,
        /// Where its volumes may be; one of the terms must hold.
        pub allowed_topologies: Vec<TopologySelectorTerm>,
    }
    ignore ["apiVersion", "kind", "parameters", "reclaimPolicy", "mountOptions", "allowVolumeExpansion"]
}

choice! {
    /// When a claim gets its volume.
    pub enum VolumeBindingMode {
        /// When it is created, wherever its pods will run.
        Immediate = "Immediate",
        /// When a pod that mounts it gets a node, where that node is.
        WaitForFirstConsumer = "WaitForFirstConsumer",
    }
}

object! {
    /// A place where volumes may be: all expressions must hold.
    pub struct TopologySelectorTerm {
        /// Labels of nodes.
        pub match_label_expressions: Vec<TopologySelectorLabel>,
    }
}

object! {
    /// A label of nodes and its values.
    pub struct TopologySelectorLabel {
        /// Label; `topology.ebs.csi.aws.com/zone` is the node's zone.
        pub key: String,
        /// Values.
        pub values: Vec<String>,
    }
}

object! {
    /// A claim by its name.
    pub struct PersistentVolumeClaimSource {
        /// Name of the PersistentVolumeClaim.
        pub claim_name: String,
    }
    ignore ["readOnly"]
}

object! {
    /// A claim that comes and goes with its pod, `<pod>-<volume>`.
    pub struct EphemeralVolumeSource {
        /// The claim.
        pub volume_claim_template: Option<PersistentVolumeClaimTemplate>,
    }
}

object! {
    /// What the claims of pods are made of.
    pub struct PersistentVolumeClaimTemplate {
        /// Labels and annotations.
        pub metadata: ObjectMeta = super::decode::defaults(),
        /// Spec.
        pub spec: PersistentVolumeClaimSpec = super::decode::defaults(),
    }
}
