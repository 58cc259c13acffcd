//! `karpenter.sh/v1 NodePool`, `karpenter.k8s.aws/v1 EC2NodeClass` and `karpenter.kwok.sh KWOKNodeClass`.

use std::collections::BTreeMap;

use super::meta::{Labels, ObjectMeta};
use super::pod::{NodeRequirement, Taint};
use super::scalar::{GoDuration, NillableDuration};
use super::tree::Node;
use super::written::Written;
use crate::time::Duration;
use crate::units::Resources;
use crate::{choice, object};

object! {
    /// A NodePool.
    pub struct NodePool {
        /// Name, labels, annotations.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: NodePoolSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// NodePool spec (`pkg/apis/v1/nodepool.go`).
    pub struct NodePoolSpec {
        /// Its nodes.
        pub template: NodeClaimTemplate,
        /// When its nodes may be removed.
        pub disruption: Disruption = super::decode::defaults(),
        /// Most that its nodes may add up to; a resource that is not listed is unlimited.
        pub limits: Option<Limits>,
        /// Order among pools, 1 to 100; absent = 0, last.
        pub weight: Option<u32>,
        /// Fixed number of nodes (gate `StaticCapacity`).
        pub replicas: Option<u32>,
    }
}

/// Limits of a NodePool: only listed resources are limited.
pub type Limits = BTreeMap<String, super::scalar::Quantity>;

object! {
    /// Template of a pool's nodes.
    pub struct NodeClaimTemplate {
        /// Labels and annotations of the nodes.
        pub metadata: ObjectMeta = super::decode::defaults(),
        /// Spec of the NodeClaims.
        pub spec: NodeClaimTemplateSpec,
    }
}

object! {
    /// Spec of a pool's NodeClaims.
    pub struct NodeClaimTemplateSpec {
        /// What instance types, zones, capacity types and labels are allowed.
        pub requirements: Vec<NodeRequirement>,
        /// Taints of the nodes.
        pub taints: Vec<Taint>,
        /// Taints that something removes after start-up.
        pub startup_taints: Vec<Taint>,
        /// Age at which a node is removed; `Never` = not.
        pub expire_after: NillableDuration = NillableDuration(Some(Duration::from_hours(720))),
        /// Longest drain; absent = for ever.
        pub termination_grace_period: Option<GoDuration>,
        /// The node class.
        pub node_class_ref: Option<NodeClassRef>,
    }
}

object! {
    /// `karpenter.sh/v1alpha1 NodeOverlay`.
    pub struct NodeOverlay {
        /// Name.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: NodeOverlaySpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// NodeOverlay spec (`pkg/apis/v1alpha1/nodeoverlay.go`).
    pub struct NodeOverlaySpec {
        /// Which instance types and offerings it concerns.
        pub requirements: Vec<NodeRequirement>,
        /// Price that Karpenter is to believe, USD per hour, such as `"0.12"`.
        pub price: Option<String>,
        /// Change of the price: an amount (`"+0.02"`) or a percentage (`"-15%"`).
        pub price_adjustment: Option<String>,
        /// Extended resources that the nodes have beside their own.
        pub capacity: Resources,
        /// Which overlay decides where several match: the one of the greatest weight, then the last by name.
        pub weight: Option<u32>,
    }
}

/// What a NodeOverlay says of prices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PriceOverlay {
    /// USD per hour.
    Price(f64),
    /// USD per hour to be added.
    Add(f64),
    /// Percent to be added.
    Percent(f64),
}

impl NodeOverlaySpec {
    /// What it says of prices; `None` when it says nothing that can be read.
    #[must_use]
    pub fn price_overlay(&self) -> Option<PriceOverlay> {
        if let Some(price) = &self.price {
            return price
                .parse()
                .ok()
                .filter(|price: &f64| *price >= 0.0 && price.is_finite())
                .map(PriceOverlay::Price);
        }
        let change = self.price_adjustment.as_ref().filter(|change| change.starts_with(['+', '-']))?;
        let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
        match change.strip_suffix('%') {
            Some(percent) => number(percent).filter(|percent| *percent >= -100.0).map(PriceOverlay::Percent),
            None => number(change).map(PriceOverlay::Add),
        }
    }
}

object! {
    /// Names a node class.
    pub struct NodeClassRef {
        /// API group.
        pub group: Option<String>,
        /// Kind.
        pub kind: Option<String>,
        /// Name.
        pub name: String,
    }
    ignore ["apiVersion"]
}

object! {
    /// `disruption` of a pool.
    pub struct Disruption {
        /// Which moves are allowed.
        pub consolidation_policy: ConsolidationPolicy = ConsolidationPolicy::WhenEmptyOrUnderutilized,
        /// Quiet time after the last pod event before a node may be consolidated.
        pub consolidate_after: NillableDuration = NillableDuration(Some(Duration::ZERO)),
        /// How many nodes may be disrupted at a time; absent = one budget of 10 %.
        pub budgets: Option<Vec<Budget>>,
    }
}

choice! {
    /// Which consolidation moves are allowed.
    pub enum ConsolidationPolicy {
        /// Only empty nodes are removed.
        WhenEmpty = "WhenEmpty",
        /// Any move with a strictly lower price.
        WhenEmptyOrUnderutilized = "WhenEmptyOrUnderutilized",
        /// Moves whose saving is worth the disruption.
        Balanced = "Balanced",
    }
}

object! {
    /// A disruption budget.
    pub struct Budget {
        /// Reasons it applies to; absent = all.
        pub reasons: Option<Vec<DisruptionReason>>,
        /// How many nodes.
        pub nodes: String = "10%".to_owned(),
        /// Cron expression (UTC) at which it becomes active; with `duration`.
        pub schedule: Option<String>,
        /// How long it stays active.
        pub duration: Option<GoDuration>,
    }
}

choice! {
    /// Why a node is disrupted.
    pub enum DisruptionReason {
        /// Its pods fit elsewhere, or on a cheaper node.
        Underutilized = "Underutilized",
        /// It has no pods that count.
        Empty = "Empty",
        /// It differs from its NodePool or node class.
        Drifted = "Drifted",
    }
}

object! {
    /// An EC2NodeClass.
    pub struct Ec2NodeClass {
        /// Name.
        pub metadata: ObjectMeta,
        /// Spec. Fields that change nothing else are kept for drift.
        pub spec: Written<Ec2NodeClassSpec>,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// EC2NodeClass spec, as far as it changes capacity, zones or drift.
    pub struct Ec2NodeClassSpec {
        /// AMI family; default from the alias in `amiSelectorTerms`, else AL2023.
        pub ami_family: Option<AmiFamily>,
        /// AMIs, each term adding some: for drift, the family, and which architectures can be launched. Without `[[amis]]` other terms are other AMIs.
        pub ami_selector_terms: Vec<AmiSelectorTerm>,
        /// kubelet settings that change capacity.
        pub kubelet: Option<KubeletConfiguration>,
        /// Volumes; the root volume's size is the node's ephemeral storage.
        pub block_device_mappings: Vec<BlockDeviceMapping>,
        /// `RAID0` makes instance-store disks the node's ephemeral storage.
        pub instance_store_policy: Option<String>,
        /// Subnets, each term adding some. Without `[[subnets]]` only for drift: a node drifts when a term that was there at its launch is gone.
        pub subnet_selector_terms: Vec<SubnetSelectorTerm>,
        /// Security groups, each term adding some; only for drift. Without `[[securityGroups]]` other terms are other groups.
        pub security_group_selector_terms: Vec<SecurityGroupSelectorTerm>,
        /// Capacity reservations whose instances may be launched, each term adding some.
        pub capacity_reservation_selector_terms: Vec<CapacityReservationSelectorTerm>,
        /// Only for drift.
        pub user_data: Option<String>,
        /// Only for drift.
        pub role: Option<String>,
        /// Only for drift.
        pub instance_profile: Option<String>,
        /// Only for drift.
        pub tags: BTreeMap<String, Node>,
        /// Only for drift.
        pub metadata_options: BTreeMap<String, Node>,
        /// Only for drift.
        pub detailed_monitoring: Option<bool>,
        /// Only for drift.
        @"associatePublicIPAddress" pub associate_public_ip_address: Option<bool>,
        /// Only for drift.
        pub network_interfaces: Vec<Node>,
    }
    ignore ["context", "placementGroupSelector", "cpuOptions", "connectionTracking", "ipPrefixCount",
        "licenseSelectorTerms"]
}

choice! {
    /// AMI family of a node class.
    pub enum AmiFamily {
        /// Amazon Linux 2.
        Al2 = "AL2",
        /// Amazon Linux 2023.
        Al2023 = "AL2023",
        /// Bottlerocket.
        Bottlerocket = "Bottlerocket",
        /// User's own.
        Custom = "Custom",
        /// Windows Server 2019.
        Windows2019 = "Windows2019",
        /// Windows Server 2022.
        Windows2022 = "Windows2022",
        /// Windows Server 2025.
        Windows2025 = "Windows2025",
    }
}

object! {
    /// Selects AMIs: a release by `alias`, one by `id` or `ssmParameter`, or those that meet all of the other fields.
    pub struct AmiSelectorTerm {
        /// Family and version, such as `al2023@latest`; stands alone, as the only term.
        pub alias: Option<String>,
        /// Id, `ami-0123456789abcdef0`; stands alone.
        pub id: Option<String>,
        /// Name; `*` stands for any text.
        pub name: Option<String>,
        /// Tags that it has; value `*` = any.
        pub tags: BTreeMap<String, String>,
        /// Parameter of SSM that holds an AMI's id.
        pub ssm_parameter: Option<String>,
    }
    ignore ["owner"]
}

object! {
    /// Selects subnets: one by `id`, or those with all of the tags.
    pub struct SubnetSelectorTerm {
        /// Id, `subnet-0123456789abcdef0`; stands alone.
        pub id: Option<String>,
        /// Tags that it has; value `*` = any.
        pub tags: BTreeMap<String, String>,
    }
}

object! {
    /// Selects security groups: one by `id` or `name`, or those with all of the tags.
    pub struct SecurityGroupSelectorTerm {
        /// Id, `sg-0123456789abcdef0`; stands alone.
        pub id: Option<String>,
        /// Name (not the tag `Name`); stands alone.
        pub name: Option<String>,
        /// Tags that it has; value `*` = any.
        pub tags: BTreeMap<String, String>,
    }
}

object! {
    /// Selects capacity reservations: one by `id`, or those that meet all of the other fields.
    pub struct CapacityReservationSelectorTerm {
        /// Id, `cr-0123456789abcdef0`; stands alone.
        pub id: Option<String>,
        /// Tags that it has; value `*` = any.
        pub tags: BTreeMap<String, String>,
        /// Account that owns it; beside `tags` or `instanceMatchCriteria`.
        @"ownerID" pub owner_id: Option<String>,
        /// `open` or `targeted`.
        pub instance_match_criteria: Option<InstanceMatchCriteria>,
    }
}

choice! {
    /// Which instances of the account may use a capacity reservation.
    pub enum InstanceMatchCriteria {
        /// Any of its type and zone.
        Open = "open",
        /// Those that name it.
        Targeted = "targeted",
    }
}

object! {
    /// kubelet settings that change capacity.
    pub struct KubeletConfiguration {
        /// Most pods on a node.
        pub max_pods: Option<u32>,
        /// Most pods per vCPU.
        pub pods_per_core: Option<u32>,
        /// Reserved for the kubelet and runtime, per resource.
        pub kube_reserved: BTreeMap<String, String>,
        /// Reserved for the system, per resource.
        pub system_reserved: BTreeMap<String, String>,
        /// Eviction thresholds: `memory.available`, `nodefs.available`.
        pub eviction_hard: BTreeMap<String, String>,
    }
    ignore ["clusterDNS", "evictionSoft", "evictionSoftGracePeriod", "evictionMaxPodGracePeriod", "imageGCHighThresholdPercent", "imageGCLowThresholdPercent", "cpuCFSQuota"]
}

object! {
    /// A volume of the node.
    pub struct BlockDeviceMapping {
        /// Device name.
        pub device_name: Option<String>,
        /// Whether it is the root volume.
        pub root_volume: bool = false,
        /// EBS settings.
        pub ebs: Option<BlockDevice>,
    }
}

object! {
    /// EBS settings of a volume.
    pub struct BlockDevice {
        /// Size.
        pub volume_size: Option<crate::units::Memory>,
    }
    ignore ["volumeType", "iops", "throughput", "encrypted", "kmsKeyID", "deleteOnTermination", "snapshotID", "volumeInitializationRate"]
}

object! {
    /// A KWOKNodeClass: nodes made of nothing, as Karpenter's KWOK provider makes them.
    pub struct KwokNodeClass {
        /// Name.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: KwokNodeClassSpec = super::decode::defaults(),
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// KWOKNodeClass spec.
    pub struct KwokNodeClassSpec {
        /// Time from launch to the Node object.
        pub node_registration_delay: GoDuration = GoDuration(Duration::ZERO),
    }
}

impl Disruption {
    /// The budgets in force: one of 10 % when none are written; an empty list means no limit.
    #[must_use]
    pub fn effective_budgets(&self) -> Vec<Budget> {
        self.budgets.clone().unwrap_or_else(|| vec![super::decode::defaults()])
    }
}

/// Labels type re-exported for users of this module.
pub type NodeLabels = Labels;
