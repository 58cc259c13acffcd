//! `[hpa]`, `[keda]`, `[scheduler]`, `[karpenter]`: flags of the controllers that no manifest holds.

use crate::time::Duration;
use crate::units::Memory;
use crate::{choice, object};

object! {
    /// Flags of the HPA controller (`kube-controller-manager`). Its period is in `[clocks]`.
    pub struct HpaFlags {
        /// `--horizontal-pod-autoscaler-tolerance`.
        pub tolerance: f64 = 0.1,
        /// `--horizontal-pod-autoscaler-downscale-stabilization`: for HPAs without `behavior`.
        pub downscale_stabilization: Duration = Duration::from_mins(5),
        /// `--horizontal-pod-autoscaler-cpu-initialization-period`.
        pub cpu_initialization_period: Duration = Duration::from_mins(5),
        /// `--horizontal-pod-autoscaler-initial-readiness-delay`.
        pub initial_readiness_delay: Duration = Duration::from_secs(30),
        /// Time between two scrapes of the metrics server.
        pub metrics_resolution: Duration = Duration::from_secs(15),
    }
}

object! {
    /// Flags of KEDA's operator, and what is proposed for it.
    pub struct KedaFlags {
        /// `--kube-api-qps`: requests a second to the API server. Each active poll costs one, for the last active time.
        @"kubeAPIQPS" pub kube_api_qps: u32 = 20,
        /// `--kube-api-burst`: requests at once before that rate holds.
        @"kubeAPIBurst" pub kube_api_burst: u32 = 30,
        /// Whether only the last replica is taken away (or all down to `idleReplicaCount` from `minReplicaCount`), as proposed for KEDA 3; KEDA 2 goes to zero from any count.
        pub zero_from_one_only: bool = false,
    }
}

object! {
    /// kube-scheduler's profile.
    pub struct SchedulerFlags {
        /// `NodeResourcesFit`'s scoring strategy.
        pub scoring: ScoringStrategy = ScoringStrategy::LeastAllocated,
        /// `percentageOfNodesToScore`; 0 = by the number of nodes.
        pub percentage_of_nodes_to_score: u32 = 0,
        /// Length of a scheduling cycle: the next pod is tried after it.
        pub cycle: Duration = Duration::from_millis(2),
        /// Requests a second to the API server: bindings, status patches and events.
        @"clientQPS" pub client_qps: u32 = 50,
        /// Requests at once before that rate holds.
        pub client_burst: u32 = 100,
    }
}

object! {
    /// Flags of `kube-controller-manager` that concern its ReplicaSet and Job controllers.
    pub struct ControllerManagerFlags {
        /// `--kube-api-qps`: requests a second of each controller to the API server, its events included.
        @"kubeAPIQPS" pub kube_api_qps: u32 = 20,
        /// `--kube-api-burst`: requests at once before that rate holds.
        @"kubeAPIBurst" pub kube_api_burst: u32 = 30,
    }
}

object! {
    /// kubelet's configuration on every node. Defaults are those of EKS nodes with Amazon Linux 2023.
    pub struct KubeletFlags {
        /// `serializeImagePulls`: one pull at a time.
        pub serialize_image_pulls: bool = false,
        /// `registryPullQPS`.
        @"registryPullQPS" pub registry_pull_qps: u32 = 5,
        /// `registryBurst`: a pull beyond it fails and is tried again after a backoff.
        pub registry_burst: u32 = 10,
        /// Bytes a second that all image pulls of a node share: the lesser of its network and its volume.
        pub pull_throughput: Memory = Memory::from_bytes(125_000_000),
    }
}

choice! {
    /// How kube-scheduler values free resources.
    pub enum ScoringStrategy {
        /// Prefers empty nodes.
        LeastAllocated = "LeastAllocated",
        /// Prefers full nodes.
        MostAllocated = "MostAllocated",
    }
}

object! {
    /// Settings and feature gates of Karpenter. Its batch window and poll are in `[clocks]`.
    pub struct KarpenterFlags {
        /// Gate `SpotToSpotConsolidation`.
        pub spot_to_spot_consolidation: bool = false,
        /// Gate `NodeRepair`.
        pub node_repair: bool = false,
        /// Gate `ReservedCapacity`: capacity reservations are used; absent = on from Karpenter 1.6 on.
        pub reserved_capacity: Option<bool>,
        /// Gate `StaticCapacity`: NodePools with `replicas`.
        pub static_capacity: bool = false,
        /// Gate `CapacityBuffer`: CapacityBuffers take effect.
        pub capacity_buffer: bool = false,
        /// Gate `NodeOverlay`: NodeOverlays take effect.
        pub node_overlay: bool = false,
        /// `MIN_VALUES_POLICY`.
        pub min_values_policy: MinValuesPolicy = MinValuesPolicy::Strict,
        /// `PREFERENCE_POLICY`.
        pub preference_policy: PreferencePolicy = PreferencePolicy::Respect,
        /// `VM_MEMORY_OVERHEAD_PERCENT`, a share.
        pub vm_memory_overhead_percent: f64 = 0.075,
        /// `RESERVED_ENIS`.
        pub reserved_enis: u32 = 0,
        /// Whether an interruption queue is set: without one a Spot notice is not seen.
        pub interruption_queue: bool = true,
    }
}

choice! {
    /// What Karpenter does when `minValues` cannot be met.
    pub enum MinValuesPolicy {
        /// The pool is not used.
        Strict = "Strict",
        /// The number is lowered.
        BestEffort = "BestEffort",
    }
}

choice! {
    /// What Karpenter does with preferences of pods.
    pub enum PreferencePolicy {
        /// Treats them as required while it can.
        Respect = "Respect",
        /// Ignores them.
        Ignore = "Ignore",
    }
}
