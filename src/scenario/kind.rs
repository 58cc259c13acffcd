//! The kinds of objects a scenario knows, and where each stands in it.

use crate::api::capacity_buffer::{CapacityBuffer, PodTemplateObject};
use crate::api::decode::{Decode, Problems};
use crate::api::hpa::HorizontalPodAutoscaler;
use crate::api::karpenter::{Ec2NodeClass, KwokNodeClass, NodeOverlay, NodePool};
use crate::api::keda::{ScaledJob, ScaledObject};
use crate::api::meta::ObjectMeta;
use crate::api::storage::{PersistentVolume, PersistentVolumeClaim, StorageClass};
use crate::api::tree::Node;
use crate::api::workload::{DaemonSet, Deployment, PodDisruptionBudget, PriorityClass};

macro_rules! kinds {
    ( $( $(#[doc = $doc:literal])* $kind:ident ( $ty:ty ) = $name:literal, $section:literal, [ $($version:literal),* ]; )* ) => {
        /// Kind of an object that manifests may hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $( $(#[doc = $doc])* $kind, )* }

        /// An object of any kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object { $( $(#[doc = $doc])* $kind(Box<$ty>), )* }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Kind] = &[ $( Kind::$kind ),* ];

            /// `kind` in manifests.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Kind::$kind => $name ),* }
            }

            /// The list of the scenario that holds objects of this kind.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self { $( Kind::$kind => $section ),* }
            }

            /// The values of `apiVersion` that are understood; the first is the current one.
            #[must_use]
            pub const fn api_versions(self) -> &'static [&'static str] {
                match self { $( Kind::$kind => &[ $($version),* ] ),* }
            }

            /// Reads an object of this kind.
            pub fn decode(self, node: &Node, problems: &mut Problems) -> Option<Object> {
                match self { $( Kind::$kind => <$ty>::decode(node, problems).map(|object| Object::$kind(Box::new(object))) ),* }
            }

            /// What may be written in an object of this kind.
            #[must_use]
            pub fn shape(self) -> crate::api::decode::Shape {
                match self { $( Kind::$kind => <$ty>::shape() ),* }
            }
        }

        impl Object {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $( Object::$kind(_) => Kind::$kind ),* }
            }

            /// Its metadata.
            #[must_use]
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $( Object::$kind(object) => &object.metadata ),* }
            }
        }
    };
}

kinds! {
    /// A Deployment.
    Deployment(Deployment) = "Deployment", "deployments", ["apps/v1"];
    /// A ScaledObject.
    ScaledObject(ScaledObject) = "ScaledObject", "scaledObjects", ["keda.sh/v1alpha1"];
    /// A ScaledJob.
    ScaledJob(ScaledJob) = "ScaledJob", "scaledJobs", ["keda.sh/v1alpha1"];
    /// A HorizontalPodAutoscaler.
    HorizontalPodAutoscaler(HorizontalPodAutoscaler) = "HorizontalPodAutoscaler", "horizontalPodAutoscalers",
        ["autoscaling/v2", "autoscaling/v2beta2", "autoscaling/v1"];
    /// A NodePool.
    NodePool(NodePool) = "NodePool", "nodePools", ["karpenter.sh/v1", "karpenter.sh/v1beta1"];
    /// An EC2NodeClass.
    Ec2NodeClass(Ec2NodeClass) = "EC2NodeClass", "ec2NodeClasses", ["karpenter.k8s.aws/v1", "karpenter.k8s.aws/v1beta1"];
    /// A NodeOverlay.
    NodeOverlay(NodeOverlay) = "NodeOverlay", "nodeOverlays", ["karpenter.sh/v1alpha1"];
    /// A CapacityBuffer.
    CapacityBuffer(CapacityBuffer) = "CapacityBuffer", "capacityBuffers",
        ["autoscaling.x-k8s.io/v1beta1", "autoscaling.x-k8s.io/v1alpha1"];
    /// A PodTemplate.
    PodTemplate(PodTemplateObject) = "PodTemplate", "podTemplates", ["v1"];
    /// A KWOKNodeClass.
    KwokNodeClass(KwokNodeClass) = "KWOKNodeClass", "kwokNodeClasses", ["karpenter.kwok.sh/v1alpha1"];
    /// A DaemonSet.
    DaemonSet(DaemonSet) = "DaemonSet", "daemonSets", ["apps/v1"];
    /// A PriorityClass.
    PriorityClass(PriorityClass) = "PriorityClass", "priorityClasses", ["scheduling.k8s.io/v1"];
    /// A PersistentVolumeClaim.
    PersistentVolumeClaim(PersistentVolumeClaim) = "PersistentVolumeClaim", "persistentVolumeClaims", ["v1"];
    /// A PersistentVolume.
    PersistentVolume(PersistentVolume) = "PersistentVolume", "persistentVolumes", ["v1"];
    /// A StorageClass.
    StorageClass(StorageClass) = "StorageClass", "storageClasses", ["storage.k8s.io/v1"];
    /// A PodDisruptionBudget.
    PodDisruptionBudget(PodDisruptionBudget) = "PodDisruptionBudget", "podDisruptionBudgets", ["policy/v1", "policy/v1beta1"];
}

impl Kind {
    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The kind whose objects stand in that list of the scenario.
    #[must_use]
    pub fn of_section(section: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.section() == section)
    }
}

impl Object {
    /// Its name; empty when it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }
}
