//! Rules that decisions name.

macro_rules! rules {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, )*) => {
        /// The rule that applied to a decision, under the name that upstream gives it: the reason of a condition or event, a field
        /// of an object, an error code or a function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $( $(#[doc = $doc])+ $variant, )* }

        impl Rule {
            /// All rules.
            pub const ALL: &'static [Rule] = &[ $( Rule::$variant, )* ];

            /// Upstream's name, which no two rules share.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Rule::$variant => $name, )* }
            }

            /// The rule in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $( Rule::$variant => concat!($($doc),+), )* }
            }

            /// The rule of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Rule> {
                Rule::ALL.iter().copied().find(|rule| rule.name() == name)
            }
        }
    };
}

rules! {
    // ---- the user ----
    /// A timed change of the scenario sets the count.
    KubectlScale = "kubectl scale",
    // ---- KEDA ----
    /// The ScaledObject is paused: its loop is stopped and its HPA deleted.
    ScaledObjectPaused = "ScaledObjectPaused",
    /// A trigger is active and the target is at zero (or idle): it gets its minimum, at least 1.
    ScaleTargetActivated = "KEDAScaleTargetActivated",
    /// A trigger is active, but scaling out is paused.
    PausedScaleOut = "paused-scale-out",
    /// A trigger is active and another one failed: nothing changes and the cooldown goes on.
    PartialTriggerError = "PartialTriggerError",
    /// A trigger is active and the target is above zero: the count is the HPA's affair.
    ScalerActive = "ScalerActive",
    /// All triggers failed and a fallback is set: the count is held.
    Fallback = "fallback",
    /// All triggers failed and no fallback is set: the count is held.
    TriggerError = "TriggerError",
    /// No trigger has been active for the cooldown: the target goes to zero (or idle).
    ScaleTargetDeactivated = "KEDAScaleTargetDeactivated",
    /// No trigger is active, but one was within the cooldown.
    ScalerCooldown = "ScalerCooldown",
    /// No trigger is active, but scaling in is paused.
    PausedScaleIn = "paused-scale-in",
    /// No trigger is active; KEDA takes only the last replica away.
    ZeroFromOneOnly = "zeroFromOneOnly",
    /// The count is below the minimum and is set to it.
    MinReplicaCount = "minReplicaCount",
    /// No trigger is active and nothing is to be done.
    ScalerNotActive = "ScalerNotActive",
    /// The target of the ScaledObject does not exist.
    ScaleTargetErr = "ScaleTargetErr",
    /// The ScaledObject does not pass KEDA's checks.
    ScaledObjectCheckFailed = "ScaledObjectCheckFailed",
    /// The ScaledJob is paused.
    ScaledJobPaused = "ScaledJobPaused",
    /// The ScaledJob does not pass KEDA's checks.
    ScaledJobCheckFailed = "ScaledJobCheckFailed",
    /// Jobs of an earlier spec are deleted.
    ScaledJobRolloutCleanup = "ScaledJobRolloutCleanup",
    /// As many Jobs as the queue needs, less those that run.
    StrategyDefault = "default",
    /// As many Jobs as the queue needs, less a deduction and a share of those that run.
    StrategyCustom = "custom",
    /// As many Jobs as the queue needs, less those that are pending.
    StrategyAccurate = "accurate",
    /// As many Jobs as are allowed.
    StrategyEager = "eager",
    // ---- HorizontalPodAutoscaler ----
    /// The scale could be read and nothing else was decided.
    SucceededGetScale = "SucceededGetScale",
    /// The count was written as the metrics propose it.
    SucceededRescale = "SucceededRescale",
    /// No stabilization and no limit applies: the metrics propose the count that is there, or are within the tolerance.
    ReadyForNewScale = "ReadyForNewScale",
    /// A lower recommendation within the stabilization window of scaleUp applies.
    ScaleUpStabilized = "ScaleUpStabilized",
    /// A higher recommendation within the stabilization window of scaleDown applies.
    ScaleDownStabilized = "ScaleDownStabilized",
    /// The scale of the target could not be read.
    FailedGetScale = "FailedGetScale",
    /// The scale of the target could not be written.
    FailedUpdateScale = "FailedUpdateScale",
    /// At least one metric is valid.
    ValidMetricFound = "ValidMetricFound",
    /// The target is at zero: the HPA leaves it alone.
    ScalingDisabled = "ScalingDisabled",
    /// An external metric could not be read.
    FailedGetExternalMetric = "FailedGetExternalMetric",
    /// A resource metric could not be read.
    FailedGetResourceMetric = "FailedGetResourceMetric",
    /// A container's resource metric could not be read.
    FailedGetContainerResourceMetric = "FailedGetContainerResourceMetric",
    /// A metric of pods could not be read.
    FailedGetPodsMetric = "FailedGetPodsMetric",
    /// A metric of an object could not be read.
    FailedGetObjectMetric = "FailedGetObjectMetric",
    /// A metric is of no known type.
    InvalidMetricSourceType = "InvalidMetricSourceType",
    /// The selector of the target is empty or does not parse.
    InvalidSelector = "InvalidSelector",
    /// The pods of the target are selected by the target of another HPA too.
    AmbiguousSelector = "AmbiguousSelector",
    /// Nothing limits the count.
    DesiredWithinRange = "DesiredWithinRange",
    /// minReplicas limits the count.
    TooFewReplicas = "TooFewReplicas",
    /// maxReplicas limits the count.
    TooManyReplicas = "TooManyReplicas",
    /// The policies of scaleUp limit how fast the count grows.
    ScaleUpLimit = "ScaleUpLimit",
    /// The policies of scaleDown limit how fast the count shrinks.
    ScaleDownLimit = "ScaleDownLimit",
    /// This HPA scaled its target to zero.
    ScaledToZero = "ScaledToZero",
    /// This HPA did not scale its target to zero.
    NotScaledToZero = "NotScaledToZero",
    // ---- ReplicaSets and Jobs ----
    /// A ReplicaSet creates or deletes pods until it has as many as it wants.
    ManageReplicas = "manageReplicas",
    /// More pods of the Job failed than its backoffLimit allows.
    BackoffLimitExceeded = "BackoffLimitExceeded",
    /// The Job ran longer than its activeDeadlineSeconds.
    DeadlineExceeded = "DeadlineExceeded",
    // ---- kube-scheduler ----
    /// The node with the best score gets the pod.
    SelectHost = "selectHost",
    /// No node passes the filters.
    Unschedulable = "Unschedulable",
    /// Pods of lower priority are evicted to make room.
    DefaultPreemption = "DefaultPreemption",
    // ---- kubelet and node lifecycle ----
    /// The kubelet of a node has been silent for too long: the node is Unknown and gets a taint.
    NodeMonitorGracePeriod = "NodeMonitorGracePeriod",
    /// The pod's toleration of the node's taint has run out.
    TaintManagerEviction = "TaintManagerEviction",
    // ---- Karpenter: provisioning ----
    /// Karpenter's state does not know the instances of all NodeClaims yet: the pass is dropped.
    Synced = "Synced",
    /// A scheduling pass planned NodeClaims for pending pods.
    Solve = "Solve",
    /// Nodes of the NodePool exceed its limits: no further NodeClaim is created.
    ExceededBy = "ExceededBy",
    /// A planned NodeClaim is created.
    CreateNodeClaims = "CreateNodeClaims",
    /// A scheduling pass found no place for a pod: no node, no NodeClaim under way, and no NodePool that may make one.
    FailedScheduling = "FailedScheduling",
    /// A NodePool with replicas has too few or too many NodeClaims.
    StaticCapacity = "StaticCapacity",
    // ---- Karpenter: lifecycle ----
    /// The NodeClaim was not launched within 5 minutes.
    LaunchTimeout = "launch_timeout",
    /// The node of the NodeClaim did not join within 15 minutes.
    RegistrationTimeout = "registration_timeout",
    /// The cloud has no capacity for any instance type of the NodeClaim.
    InsufficientCapacityDelete = "insufficient_capacity",
    /// The node drains longer than its terminationGracePeriod allows: the pod goes without regard to budgets.
    TerminationGracePeriod = "TerminationGracePeriod",
    /// A PodDisruptionBudget refuses the eviction.
    FailedDraining = "FailedDraining",
    /// The node is older than expireAfter.
    Expired = "expired",
    /// The instance of the NodeClaim is gone.
    GarbageCollected = "garbage_collected",
    /// EC2 takes the Spot instance back in two minutes.
    SpotInterrupted = "spot_interrupted",
    /// AWS announced maintenance of the instance.
    ScheduledChange = "scheduled_change",
    /// The capacity reservation of the instance ends.
    ReservationInterrupted = "capacity_reservation_interrupted",
    /// The instance stops.
    InstanceStopped = "instance_stopped",
    /// The instance is shut down.
    InstanceTerminated = "instance_terminated",
    /// The node has been unhealthy for too long.
    Unhealthy = "unhealthy",
    // ---- Karpenter: disruption ----
    /// The node may not be disrupted at present.
    DisruptionBlocked = "DisruptionBlocked",
    /// Consolidation would not save money, or is not allowed.
    Unconsolidatable = "Unconsolidatable",
    /// The disruption budget of the NodePool is used up.
    Budget = "Budget",
    /// Its pods fit elsewhere, or on a cheaper node.
    Underutilized = "Underutilized",
    /// The node has no pods that count.
    Empty = "Empty",
    /// The node is no longer what its NodePool would make.
    Drifted = "Drifted",
    /// The command was looked at again before it began, and did not hold.
    ConsolidationRejected = "ConsolidationRejected",
    /// The replacement of a command did not get ready: its nodes stay.
    CommandFailed = "CommandFailed",
    /// The search for nodes to consolidate ran out of time.
    ConsolidationTimeout = "ConsolidationTimeout",
    /// The template of the NodePool changed since the node was made.
    NodePoolDrifted = "NodePoolDrifted",
    /// The node does not meet the requirements of its NodePool any more.
    RequirementsDrifted = "RequirementsDrifted",
    // ---- EC2 ----
    /// No instance type of the request has an offering that Karpenter believes to be available.
    InsufficientCapacity = "InsufficientCapacity",
    /// EC2 launches an instance.
    CreateFleet = "CreateFleet",
    /// EC2 has no instance of that type in that zone.
    InsufficientInstanceCapacity = "InsufficientInstanceCapacity",
    /// The account's quota of Spot vCPUs is used up.
    MaxSpotInstanceCountExceeded = "MaxSpotInstanceCountExceeded",
    /// The account's quota of on-demand vCPUs is used up.
    VcpuLimitExceeded = "VcpuLimitExceeded",
    /// The subnet has no address left.
    InsufficientFreeAddresses = "InsufficientFreeAddressesInSubnet",
    /// EC2 announces that it takes the Spot instance back.
    SpotInterruptionWarning = "SpotInterruptionWarning",
    /// The instance is lost without notice: a fault of the scenario.
    NodeLoss = "NodeLoss",
    // ---- Cluster Autoscaler ----
    /// A node that was asked for did not get ready in time: its group rests.
    FailedScaleUp = "FailedScaleUp",
    /// A group grows for pending pods.
    TriggeredScaleUp = "TriggeredScaleUp",
    /// No group can grow for the pending pods.
    NotTriggerScaleUp = "NotTriggerScaleUp",
    /// An empty node was not needed for long enough.
    ScaleDownEmpty = "ScaleDownEmpty",
    /// A node was not needed for long enough: its pods fit elsewhere.
    ScaleDown = "ScaleDown",
    /// A node is not needed from here on.
    Unneeded = "Unneeded",
    /// The pods of the node request more than the utilization threshold.
    NotUnderutilized = "NotUnderutilized",
    /// A pod of the node has no controller that would make it again.
    NotReplicated = "NotReplicated",
    /// A pod of the node is annotated as not safe to evict.
    NotSafeToEvict = "NotSafeToEvictAnnotation",
    /// A PodDisruptionBudget does not allow to move a pod of the node.
    NotEnoughPdb = "NotEnoughPdb",
    /// The pods of the node fit nowhere else.
    NoPlaceToMovePods = "NoPlaceToMovePods",
    /// The node could not be removed a moment ago and is not looked at again yet.
    RecentlyUnremovable = "RecentlyUnremovable",
    /// The node could not be drained in time and stays.
    ScaleDownFailed = "ScaleDownFailed",
}

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn every_rule_is_found_by_its_name_and_no_other() {
        for rule in Rule::ALL {
            assert_eq!(Rule::parse(rule.name()), Some(*rule));
            assert!(rule.meaning().trim().ends_with('.'), "{}", rule.name());
        }
        assert_eq!(Rule::parse("Sync"), None);
    }
}
