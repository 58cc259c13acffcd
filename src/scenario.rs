//! What a user writes: TOML and manifests -> one validated [`Scenario`], with diagnostics that point at the line.

pub mod account;
pub mod arrivals;
pub mod axes;
pub mod capacity_reservations;
pub mod changes;
pub mod clients;
pub mod clocks;
pub mod cloud;
pub mod consumers;
pub mod convert;
pub mod diagnostic;
pub mod document;
pub mod edit;
pub mod fargate;
pub mod faults;
pub mod files;
pub mod flags;
pub mod kind;
pub mod latencies;
pub mod lint;
pub mod load;
pub mod manifest;
pub mod market;
pub mod misplaced;
pub mod node_groups;
pub mod objectives;
pub mod path;
pub mod priorities;
pub mod queues;
pub mod reference;
pub mod series;
pub mod simulation;
pub mod toml;
pub mod trace;
pub mod validate;
pub mod versions;
pub mod yaml;

use std::collections::BTreeMap;

pub use document::Document;
pub use load::{Invalid, Loaded, Options, load};
pub use simulation::Simulation;

use crate::api::capacity_buffer::{CapacityBuffer, PodTemplateObject};
use crate::api::hpa::HorizontalPodAutoscaler;
use crate::api::karpenter::{Ec2NodeClass, KwokNodeClass, NodeOverlay, NodePool};
use crate::api::keda::{ScaledJob, ScaledObject};
use crate::api::storage::{PersistentVolume, PersistentVolumeClaim, StorageClass};
use crate::api::workload::{DaemonSet, Deployment, PodDisruptionBudget, PriorityClass};
use crate::object;
use crate::units::Memory;

/// Compressed size of an image that `[images]` does not list.
pub const DEFAULT_IMAGE_SIZE: Memory = Memory::from_bytes(200_000_000);

object! {
    /// A scenario: one TOML file. The lists of objects hold what the manifests hold, with the very field names of manifests;
    /// objects may stand in either.
    pub struct Scenario {
        /// The run as a whole.
        pub simulation: Simulation = crate::api::decode::defaults(),
        /// SQS queues and what is sent to them.
        pub queues: Vec<queues::QueueSpec>,
        /// What pods do with messages.
        pub consumers: Vec<consumers::ConsumerSpec>,
        /// Values of triggers whose source is not one of the queues.
        pub series: Vec<series::SeriesSpec>,
        /// Deployments (`apps/v1`).
        pub deployments: Vec<Deployment>,
        /// ScaledObjects (`keda.sh/v1alpha1`).
        pub scaled_objects: Vec<ScaledObject>,
        /// ScaledJobs (`keda.sh/v1alpha1`).
        pub scaled_jobs: Vec<ScaledJob>,
        /// HorizontalPodAutoscalers (`autoscaling/v2`).
        @"horizontalPodAutoscalers" pub hpas: Vec<HorizontalPodAutoscaler>,
        /// NodePools (`karpenter.sh/v1`).
        pub node_pools: Vec<NodePool>,
        /// EC2NodeClasses (`karpenter.k8s.aws/v1`).
        @"ec2NodeClasses" pub node_classes: Vec<Ec2NodeClass>,
        /// KWOKNodeClasses (`karpenter.kwok.sh/v1alpha1`).
        pub kwok_node_classes: Vec<KwokNodeClass>,
        /// NodeOverlays (`karpenter.sh/v1alpha1`).
        pub node_overlays: Vec<NodeOverlay>,
        /// CapacityBuffers (`autoscaling.x-k8s.io/v1beta1`).
        pub capacity_buffers: Vec<CapacityBuffer>,
        /// PodTemplates (`v1`) that CapacityBuffers name.
        pub pod_templates: Vec<PodTemplateObject>,
        /// DaemonSets (`apps/v1`).
        pub daemon_sets: Vec<DaemonSet>,
        /// PriorityClasses (`scheduling.k8s.io/v1`); `system-cluster-critical` and `system-node-critical` always exist.
        pub priority_classes: Vec<PriorityClass>,
        /// PersistentVolumeClaims (`v1`). Without any object of storage the claims that pods name are taken to be reachable from everywhere.
        pub persistent_volume_claims: Vec<PersistentVolumeClaim>,
        /// PersistentVolumes (`v1`) that are there from the beginning.
        pub persistent_volumes: Vec<PersistentVolume>,
        /// StorageClasses (`storage.k8s.io/v1`).
        pub storage_classes: Vec<StorageClass>,
        /// PodDisruptionBudgets (`policy/v1`).
        @"podDisruptionBudgets" pub pdbs: Vec<PodDisruptionBudget>,
        /// Nodes that Karpenter has no hand in.
        pub node_groups: Vec<node_groups::NodeGroup>,
        /// EKS Fargate profiles: which pods run on Fargate.
        pub fargate_profiles: Vec<fargate::FargateProfile>,
        /// What Fargate costs and how fast it starts pods.
        pub fargate: fargate::FargateFlags = crate::api::decode::defaults(),
        /// Images that nodes are made of.
        pub amis: Vec<account::Ami>,
        /// The account's subnets.
        pub subnets: Vec<account::Subnet>,
        /// The account's security groups.
        pub security_groups: Vec<account::SecurityGroup>,
        /// What the account has reserved at EC2.
        pub capacity_reservations: Vec<capacity_reservations::CapacityReservation>,
        /// Cluster Autoscaler's flags.
        pub cluster_autoscaler: node_groups::ClusterAutoscaler = crate::api::decode::defaults(),
        /// Compressed size by image reference, such as `"shop/orders:1" = "350M"`; `default` for those not listed (200M).
        pub images: BTreeMap<String, Memory>,
        /// Who makes the nodes.
        pub cloud: cloud::Cloud = crate::api::decode::defaults(),
        /// What EC2 does of its own accord.
        pub market: market::Market = crate::api::decode::defaults(),
        /// What breaks.
        pub faults: Vec<faults::Fault>,
        /// What people change during the run.
        pub changes: Vec<changes::TimedChange>,
        /// What the run is held against.
        pub objectives: objectives::Objectives = crate::api::decode::defaults(),
        /// Combinations that `forescale sweep` runs.
        pub sweep: axes::Sweep,
        /// Settings that `forescale tune` chooses.
        pub tune: axes::Tune,
        /// Flags of the HPA controller.
        pub hpa: flags::HpaFlags = crate::api::decode::defaults(),
        /// KEDA's operator.
        pub keda: flags::KedaFlags = crate::api::decode::defaults(),
        /// kube-scheduler's profile.
        pub scheduler: flags::SchedulerFlags = crate::api::decode::defaults(),
        /// Flags of the ReplicaSet and Job controllers.
        pub controller_manager: flags::ControllerManagerFlags = crate::api::decode::defaults(),
        /// kubelet's configuration.
        pub kubelet: flags::KubeletFlags = crate::api::decode::defaults(),
        /// Settings and feature gates of Karpenter.
        pub karpenter: flags::KarpenterFlags = crate::api::decode::defaults(),
        /// Periods and phases of the control loops.
        pub clocks: clocks::Clocks = crate::api::decode::defaults(),
        /// How long each step takes.
        pub latencies: latencies::Latencies = crate::api::decode::defaults(),
        /// Which releases run.
        pub versions: versions::Versions = crate::api::decode::defaults(),
    }
}

impl Scenario {
    /// Whether Karpenter's gate `ReservedCapacity` is on.
    #[must_use]
    pub fn reserved_capacity(&self) -> bool {
        self.karpenter.reserved_capacity.unwrap_or_else(|| self.versions.karpenter_reserved_capacity())
    }

    /// Compressed size of an image.
    #[must_use]
    pub fn image_size(&self, image: &str) -> Memory {
        self.images.get(image).or_else(|| self.images.get("default")).copied().unwrap_or(DEFAULT_IMAGE_SIZE)
    }
}

#[cfg(test)]
mod tests;
