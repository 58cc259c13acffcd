//! Rules that decisions name.

/// A section of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// What a timed change may do.
    Scenario,
    /// KEDA.
    Keda,
    /// The HPA.
    Hpa,
    /// ReplicaSets and Jobs.
    ReplicaSet,
    /// kube-scheduler.
    Scheduler,
    /// kubelets and node controllers.
    Kubelet,
    /// Fargate.
    Fargate,
    /// Outages of components.
    Outages,
    /// Karpenter's provisioner.
    Provisioning,
    /// NodePools of fixed size.
    StaticCapacity,
    /// The life of a NodeClaim.
    Lifecycle,
    /// Capacity reservations.
    Reservations,
    /// Karpenter's disruption.
    Disruption,
    /// Drift.
    Drift,
    /// What the selectors of EC2NodeClasses find.
    Selectors,
    /// What EC2 gives.
    Launch,
    /// What happens to instances.
    Accidents,
    /// Cluster Autoscaler.
    ClusterAutoscaler,
}

impl Page {
    /// Its file, and the words with which the heading begins.
    #[must_use]
    pub const fn place(self) -> (&'static str, &'static str) {
        match self {
            Page::Scenario => ("docs/scenario-reference.md", "[[changes]]"),
            Page::Keda => ("docs/keda.md", "Modelled"),
            Page::Hpa => ("docs/hpa.md", "Modelled"),
            Page::ReplicaSet => ("docs/kubernetes.md", "ReplicaSets, Deployments, Jobs"),
            Page::Scheduler => ("docs/kubernetes.md", "kube-scheduler"),
            Page::Kubelet => ("docs/kubernetes.md", "kubelet and node controllers"),
            Page::Fargate => ("docs/kubernetes.md", "Fargate"),
            Page::Outages => ("docs/kubernetes.md", "Outages"),
            Page::Provisioning => ("docs/karpenter.md", "Provisioning"),
            Page::StaticCapacity => ("docs/karpenter.md", "Static NodePools"),
            Page::Lifecycle => ("docs/karpenter.md", "Life of a NodeClaim"),
            Page::Reservations => ("docs/karpenter.md", "Capacity reservations"),
            Page::Disruption => ("docs/karpenter.md", "Disruption"),
            Page::Drift => ("docs/karpenter.md", "Drift"),
            Page::Selectors => ("docs/karpenter.md", "What selectors find"),
            Page::Launch => ("docs/ec2.md", "Reproduced"),
            Page::Accidents => ("docs/ec2.md", "Modelled"),
            Page::ClusterAutoscaler => ("docs/cluster-autoscaler.md", "What is modelled"),
        }
    }
}

/// `Variant = "upstream's name", page, "where it is upstream", "what would have had to differ";`. In the last text `{wanted}` stands
/// for the count without the rule.
macro_rules! rules {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, $page:ident, $upstream:literal, $otherwise:literal; )*) => {
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
                match self { $( Rule::$variant => concat!($($doc),+).trim_ascii(), )* }
            }

            /// The section that says how it is modelled.
            #[must_use]
            pub const fn page(self) -> Page {
                match self { $( Rule::$variant => Page::$page, )* }
            }

            /// Where it is in the source of the real thing.
            #[must_use]
            pub const fn upstream(self) -> &'static str {
                match self { $( Rule::$variant => $upstream, )* }
            }

            const fn otherwise_text(self) -> &'static str {
                match self { $( Rule::$variant => $otherwise, )* }
            }
        }
    };
}

impl Rule {
    /// The rule of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.name() == name)
    }

    /// What would have had to differ for another decision; `wanted` is the count without the rule, where it is known.
    #[must_use]
    pub fn otherwise(self, wanted: Option<i64>) -> String {
        let wanted = wanted.map_or("what the metrics propose".to_owned(), |count| count.to_string());
        self.otherwise_text().replace("{wanted}", &wanted)
    }
}

rules! {
    /// A timed change of the scenario sets the count.
    KubectlScale = "kubectl scale", Scenario,
        "the scenario: [[changes]]",
        "the count would have stayed without the timed change of the scenario";
    /// The ScaledObject is paused: its loop is stopped and its HPA deleted.
    ScaledObjectPaused = "ScaledObjectPaused", Keda,
        "controllers/keda/scaledobject_controller.go: handlePause",
        "it would have scaled without the annotation that pauses it";
    /// A trigger is active and the target is at zero (or idle): it gets its minimum, at least 1.
    ScaleTargetActivated = "KEDAScaleTargetActivated", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have stayed without messages beyond activationQueueLength at this poll; it would have been active earlier with a shorter pollingInterval, or never at zero with minReplicaCount >= 1";
    /// A trigger is active, but scaling out is paused.
    PausedScaleOut = "paused-scale-out", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have scaled out without the annotation autoscaling.keda.sh/paused-scale-out";
    /// A trigger is active and another one failed: nothing changes and the cooldown goes on.
    PartialTriggerError = "PartialTriggerError", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "the cooldown would have begun anew if all triggers could be read";
    /// A trigger is active and the target is above zero: the count is the HPA's affair.
    ScalerActive = "ScalerActive", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "nothing else was KEDA's to decide: above zero the HPA scales";
    /// All triggers failed and a fallback is set: the count is held.
    Fallback = "fallback", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have scaled if a trigger could be read";
    /// All triggers failed and no fallback is set: the count is held.
    TriggerError = "TriggerError", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have scaled if a trigger could be read, or with a fallback";
    /// No trigger has been active for the cooldown: the target goes to zero (or idle).
    ScaleTargetDeactivated = "KEDAScaleTargetDeactivated", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have stayed with a trigger active within cooldownPeriod, a longer cooldownPeriod, or minReplicaCount >= 1";
    /// No trigger is active, but one was within the cooldown.
    ScalerCooldown = "ScalerCooldown", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have gone to zero (or idle) with a shorter cooldownPeriod";
    /// No trigger is active, but scaling in is paused.
    PausedScaleIn = "paused-scale-in", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have scaled in without the annotation autoscaling.keda.sh/paused-scale-in";
    /// No trigger is active; KEDA takes only the last replica away.
    ZeroFromOneOnly = "zeroFromOneOnly", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have gone to zero at once without zeroFromOneOnly";
    /// The count is below the minimum and is set to it.
    MinReplicaCount = "minReplicaCount", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have stayed with a lower minReplicaCount";
    /// No trigger is active and nothing is to be done.
    ScalerNotActive = "ScalerNotActive", Keda,
        "pkg/scaling/executor/scale_scaledobjects.go: RequestScale",
        "it would have been activated with messages beyond activationQueueLength at this poll";
    /// The target of the ScaledObject does not exist.
    ScaleTargetErr = "ScaleTargetErr", Keda,
        "controllers/keda/scaledobject_controller.go: checkTargetResourceIsScalable",
        "it would have scaled if its target existed";
    /// The ScaledObject does not pass KEDA's checks.
    ScaledObjectCheckFailed = "ScaledObjectCheckFailed", Keda,
        "controllers/keda/scaledobject_controller.go: reconcileScaledObject",
        "it would have scaled if it passed the check";
    /// The ScaledJob is paused.
    ScaledJobPaused = "ScaledJobPaused", Keda,
        "controllers/keda/scaledjob_controller.go: reconcileScaledJob",
        "it would have made Jobs without the annotation that pauses it";
    /// The ScaledJob does not pass KEDA's checks.
    ScaledJobCheckFailed = "ScaledJobCheckFailed", Keda,
        "controllers/keda/scaledjob_controller.go: reconcileScaledJob",
        "it would have made Jobs if it passed the check";
    /// Jobs of an earlier spec are deleted.
    ScaledJobRolloutCleanup = "ScaledJobRolloutCleanup", Keda,
        "controllers/keda/scaledjob_controller.go: deletePreviousVersionScaleJobs",
        "the Jobs would have stayed with rollout.strategy gradual";
    /// As many Jobs as the queue needs, less those that run.
    StrategyDefault = "default", Keda,
        "pkg/scaling/executor/scale_jobs.go: defaultScalingStrategy.GetEffectiveMaxScale",
        "there would have been more Jobs with a lower queueLength or fewer Jobs running; without maxReplicaCount: {wanted}";
    /// As many Jobs as the queue needs, less a deduction and a share of those that run.
    StrategyCustom = "custom", Keda,
        "pkg/scaling/executor/scale_jobs.go: customScalingStrategy.GetEffectiveMaxScale",
        "there would have been more Jobs with a lower customScalingQueueLengthDeduction or customScalingRunningJobPercentage";
    /// As many Jobs as the queue needs, less those that are pending.
    StrategyAccurate = "accurate", Keda,
        "pkg/scaling/executor/scale_jobs.go: accurateScalingStrategy.GetEffectiveMaxScale",
        "there would have been more Jobs with fewer Jobs pending; without maxReplicaCount: {wanted}";
    /// As many Jobs as are allowed.
    StrategyEager = "eager", Keda,
        "pkg/scaling/executor/scale_jobs.go: eagerScalingStrategy.GetEffectiveMaxScale",
        "there would have been more Jobs with a higher maxReplicaCount; without one: {wanted}";
    /// The scale could be read and nothing else was decided.
    SucceededGetScale = "SucceededGetScale", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler",
        "it would have scaled if the metrics had been looked at";
    /// The count was written as the metrics propose it.
    SucceededRescale = "SucceededRescale", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler",
        "it would have stayed if the metrics were within the tolerance of their targets";
    /// No stabilization and no limit applies: the metrics propose the count that is there, or are within the tolerance.
    ReadyForNewScale = "ReadyForNewScale", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler",
        "it would have scaled with a metric further from its target than the tolerance";
    /// A lower recommendation within the stabilization window of scaleUp applies.
    ScaleUpStabilized = "ScaleUpStabilized", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: stabilizeRecommendationWithBehaviors",
        "it would have scaled to {wanted} with a shorter behavior.scaleUp.stabilizationWindowSeconds";
    /// A higher recommendation within the stabilization window of scaleDown applies.
    ScaleDownStabilized = "ScaleDownStabilized", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: stabilizeRecommendationWithBehaviors",
        "it would have scaled to {wanted} with a shorter behavior.scaleDown.stabilizationWindowSeconds";
    /// The scale of the target could not be read.
    FailedGetScale = "FailedGetScale", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler",
        "it would have scaled if the scale of its target could be read";
    /// The scale of the target could not be written.
    FailedUpdateScale = "FailedUpdateScale", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler",
        "it would have scaled if nobody else had written the scale meanwhile";
    /// At least one metric is valid.
    ValidMetricFound = "ValidMetricFound", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: computeReplicasForMetrics",
        "it would have stayed if no metric could be read";
    /// The target is at zero: the HPA leaves it alone.
    ScalingDisabled = "ScalingDisabled", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler",
        "it would have scaled if the target were not at zero";
    /// An external metric could not be read.
    FailedGetExternalMetric = "FailedGetExternalMetric", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: computeStatusForExternalMetric",
        "it would have scaled if the external metric could be read";
    /// A resource metric could not be read.
    FailedGetResourceMetric = "FailedGetResourceMetric", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: computeStatusForResourceMetric",
        "it would have scaled if the resource metric could be read";
    /// A container's resource metric could not be read.
    FailedGetContainerResourceMetric = "FailedGetContainerResourceMetric", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: computeStatusForContainerResourceMetric",
        "it would have scaled if the container's resource metric could be read";
    /// A metric of pods could not be read.
    FailedGetPodsMetric = "FailedGetPodsMetric", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: computeStatusForPodsMetric",
        "it would have scaled if the metric of the pods could be read";
    /// A metric of an object could not be read.
    FailedGetObjectMetric = "FailedGetObjectMetric", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: computeStatusForObjectMetric",
        "it would have scaled if the metric of the object could be read";
    /// A metric is of no known type.
    InvalidMetricSourceType = "InvalidMetricSourceType", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: computeReplicasForMetric",
        "it would have scaled with a metric of a known type";
    /// The selector of the target is empty or does not parse.
    InvalidSelector = "InvalidSelector", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: validateAndParseSelector",
        "it would have scaled with a selector on its target";
    /// The pods of the target are selected by the target of another HPA too.
    AmbiguousSelector = "AmbiguousSelector", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: validateAndParseSelector",
        "it would have scaled if no other HPA's target selected the same pods";
    /// Nothing limits the count.
    DesiredWithinRange = "DesiredWithinRange", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: convertDesiredReplicasWithBehaviorRate",
        "nothing limited the count";
    /// minReplicas limits the count.
    TooFewReplicas = "TooFewReplicas", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: convertDesiredReplicasWithBehaviorRate",
        "it would have scaled in further, to {wanted}, with minReplicaCount <= {wanted} (minReplicas of an HPA of one's own)";
    /// maxReplicas limits the count.
    TooManyReplicas = "TooManyReplicas", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: convertDesiredReplicasWithBehaviorRate",
        "it would have scaled further with maxReplicaCount >= {wanted} (maxReplicas of an HPA of one's own)";
    /// The policies of scaleUp limit how fast the count grows.
    ScaleUpLimit = "ScaleUpLimit", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: convertDesiredReplicasWithBehaviorRate",
        "it would have scaled to {wanted} at once with behavior.scaleUp.policies that allow it";
    /// The policies of scaleDown limit how fast the count shrinks.
    ScaleDownLimit = "ScaleDownLimit", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: convertDesiredReplicasWithBehaviorRate",
        "it would have scaled to {wanted} at once with behavior.scaleDown.policies that allow it";
    /// This HPA scaled its target to zero.
    ScaledToZero = "ScaledToZero", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler",
        "it would have stayed above zero with minReplicas >= 1";
    /// This HPA did not scale its target to zero.
    NotScaledToZero = "NotScaledToZero", Hpa,
        "pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler",
        "it would have been brought to zero with minReplicas = 0 and metrics that allow it";
    /// A ReplicaSet creates or deletes pods until it has as many as it wants.
    ManageReplicas = "manageReplicas", ReplicaSet,
        "pkg/controller/replicaset/replica_set.go: manageReplicas",
        "no pod would have been created or deleted with spec.replicas at the number of pods";
    /// More pods of the Job failed than its backoffLimit allows.
    BackoffLimitExceeded = "BackoffLimitExceeded", ReplicaSet,
        "pkg/controller/job/job_controller.go: syncJob",
        "it would have tried again with a higher backoffLimit";
    /// The Job ran longer than its activeDeadlineSeconds.
    DeadlineExceeded = "DeadlineExceeded", ReplicaSet,
        "pkg/controller/job/job_controller.go: syncJob",
        "it would have gone on with a longer activeDeadlineSeconds";
    /// The node with the best score gets the pod.
    SelectHost = "selectHost", Scheduler,
        "pkg/scheduler/schedule_one.go: selectHost",
        "the pod would be elsewhere if another node had a higher score";
    /// A claim of the pod that waited for a node gets a volume.
    BindPodVolumes = "BindPodVolumes", Scheduler,
        "pkg/scheduler/framework/plugins/volumebinding/binder.go: BindPodVolumes",
        "the volume would be in another zone had the first pod with the claim got a node there";
    /// No node passes the filters.
    Unschedulable = "Unschedulable", Scheduler,
        "pkg/scheduler/schedule_one.go: handleSchedulingFailure",
        "it would have been bound if one of these nodes had the room, the labels or not the taint";
    /// Pods of lower priority are evicted to make room.
    DefaultPreemption = "DefaultPreemption", Scheduler,
        "pkg/scheduler/framework/preemption/preemption.go: Evaluator.Preempt",
        "no pod would have been evicted with room elsewhere, or at the same priority";
    /// The kubelet of a node has been silent for too long: the node is Unknown and gets a taint.
    NodeMonitorGracePeriod = "NodeMonitorGracePeriod", Kubelet,
        "pkg/controller/nodelifecycle/node_lifecycle_controller.go: monitorNodeHealth",
        "the node would have stayed Ready if its kubelet had reported within the grace period";
    /// The pod's toleration of the node's taint has run out.
    TaintManagerEviction = "TaintManagerEviction", Kubelet,
        "pkg/controller/tainteviction/taint_eviction.go: processPodOnNode",
        "the pod would have stayed with a longer tolerationSeconds";
    /// Karpenter's state does not know the instances of all NodeClaims yet: the pass is dropped.
    Synced = "Synced", Provisioning,
        "pkg/controllers/provisioning/provisioner.go: Reconcile",
        "the pass would have run if all NodeClaims had been launched";
    /// A scheduling pass planned NodeClaims for pending pods.
    Solve = "Solve", Provisioning,
        "pkg/controllers/provisioning/provisioner.go: Schedule",
        "fewer NodeClaims would have been planned with room on nodes, or fewer pending pods";
    /// Nodes of the NodePool exceed its limits: no further NodeClaim is created.
    ExceededBy = "ExceededBy", Provisioning,
        "pkg/apis/v1/nodepool.go: Limits.ExceededBy",
        "a NodeClaim would have been created with higher limits of the NodePool";
    /// A planned NodeClaim is created.
    CreateNodeClaims = "CreateNodeClaims", Provisioning,
        "pkg/controllers/provisioning/provisioner.go: Create",
        "no NodeClaim would have been created with room on nodes";
    /// A scheduling pass found no place for a pod: no node, no NodeClaim under way, and no NodePool that may make one.
    FailedScheduling = "FailedScheduling", Provisioning,
        "pkg/controllers/provisioning/scheduling/scheduler.go: Scheduler.add",
        "a node would have been made with a NodePool whose limits, requirements, taints and instance types admit the pod";
    /// A NodePool with replicas has too few or too many NodeClaims.
    StaticCapacity = "StaticCapacity", StaticCapacity,
        "pkg/controllers/static/provisioning/controller.go: Reconcile",
        "no NodeClaim would have come or gone with spec.replicas of the NodePool at their number";
    /// The NodeClaim was not launched within 5 minutes.
    LaunchTimeout = "launch_timeout", Lifecycle,
        "pkg/controllers/nodeclaim/lifecycle/liveness.go: Reconcile",
        "it would have stayed with an answer of the cloud within 5 minutes";
    /// The node of the NodeClaim did not join within 15 minutes.
    RegistrationTimeout = "registration_timeout", Lifecycle,
        "pkg/controllers/nodeclaim/lifecycle/liveness.go: Reconcile",
        "it would have stayed with a node that joins within 15 minutes";
    /// How many of the last four NodeClaims of the NodePool became nodes: with two failures it is unhealthy. Nothing acts on it.
    NodeRegistrationHealthy = "NodeRegistrationHealthy", Lifecycle,
        "pkg/state/nodepoolhealth/tracker.go: Tracker.Status",
        "the condition would be another if more, or fewer, of the last four NodeClaims had become nodes in time";
    /// The cloud has no capacity for any instance type of the NodeClaim.
    InsufficientCapacityDelete = "insufficient_capacity", Lifecycle,
        "pkg/controllers/nodeclaim/lifecycle/launch.go: launchNodeClaim",
        "it would have launched with more instance types, zones or capacity types to choose from";
    /// The node drains longer than its terminationGracePeriod allows: the pod goes without regard to budgets.
    TerminationGracePeriod = "TerminationGracePeriod", Lifecycle,
        "pkg/controllers/node/termination/terminator/terminator.go: DeleteExpiringPods",
        "the pod would have had longer with a longer terminationGracePeriod of the NodePool";
    /// A PodDisruptionBudget refuses the eviction.
    FailedDraining = "FailedDraining", Lifecycle,
        "pkg/controllers/node/termination/terminator/eviction.go: Queue.evict",
        "the pod would have been evicted with a PodDisruptionBudget that allows one more disruption";
    /// The node is older than expireAfter.
    Expired = "expired", Lifecycle,
        "pkg/controllers/nodeclaim/expiration/controller.go: Reconcile",
        "the node would have stayed with a longer expireAfter";
    /// The instance of the NodeClaim is gone.
    GarbageCollected = "garbage_collected", Lifecycle,
        "pkg/controllers/nodeclaim/garbagecollection/controller.go: Reconcile",
        "the NodeClaim would have stayed with its instance";
    /// EC2 takes the Spot instance back in two minutes.
    SpotInterrupted = "spot_interrupted", Lifecycle,
        "karpenter-provider-aws pkg/controllers/interruption/utils.go: handleNodeClaim",
        "the node would have stayed if EC2 had not taken the instance back: on demand, or from a deeper Spot pool";
    /// AWS announced maintenance of the instance.
    ScheduledChange = "scheduled_change", Lifecycle,
        "karpenter-provider-aws pkg/controllers/interruption/utils.go: handleNodeClaim",
        "the node would have stayed without the maintenance of its host";
    /// The capacity reservation of the instance ends.
    ReservationInterrupted = "capacity_reservation_interrupted", Reservations,
        "karpenter-provider-aws pkg/controllers/interruption/utils.go: handleNodeClaim",
        "the node would have stayed with its capacity reservation";
    /// The instance stops.
    InstanceStopped = "instance_stopped", Lifecycle,
        "karpenter-provider-aws pkg/controllers/interruption/utils.go: handleNodeClaim",
        "the node would have stayed if its instance had not been stopped";
    /// The instance is shut down.
    InstanceTerminated = "instance_terminated", Lifecycle,
        "karpenter-provider-aws pkg/controllers/interruption/utils.go: handleNodeClaim",
        "the node would have stayed if its instance had not been shut down";
    /// The node has been unhealthy for too long.
    Unhealthy = "unhealthy", Lifecycle,
        "pkg/controllers/node/health/controller.go: Reconcile",
        "the node would have stayed if it had become Ready again in time";
    /// The node may not be disrupted at present.
    DisruptionBlocked = "DisruptionBlocked", Disruption,
        "pkg/controllers/disruption/types.go: NewCandidate",
        "the node could have been disrupted without what blocks it";
    /// Consolidation would not save money, or is not allowed.
    Unconsolidatable = "Unconsolidatable", Disruption,
        "pkg/controllers/disruption/consolidation.go: computeConsolidation",
        "the node would have been consolidated without this reason";
    /// The disruption budget of the NodePool is used up.
    Budget = "Budget", Disruption,
        "pkg/controllers/disruption/helpers.go: BuildDisruptionBudgetMapping",
        "the node would have been disrupted with a larger disruption budget";
    /// Its pods fit elsewhere, or on a cheaper node.
    Underutilized = "Underutilized", Disruption,
        "pkg/controllers/disruption/consolidation.go: computeConsolidation",
        "the node would have stayed with consolidationPolicy WhenEmpty, a longer consolidateAfter, or pods that fit nowhere else for less money";
    /// The node has no pods that count.
    Empty = "Empty", Disruption,
        "pkg/controllers/disruption/emptiness.go: ComputeCommands",
        "the node would have stayed with a pod on it, or a longer consolidateAfter";
    /// The node is no longer what its NodePool would make.
    Drifted = "Drifted", Drift,
        "pkg/controllers/disruption/drift.go: ComputeCommands",
        "the node would have stayed with an unchanged NodePool";
    /// The command was looked at again before it began, and did not hold.
    ConsolidationRejected = "ConsolidationRejected", Disruption,
        "pkg/controllers/disruption/validation.go: Validate",
        "the command would have begun if nothing had changed in the 15 s before its second look";
    /// The replacement of a command did not get ready: its nodes stay.
    CommandFailed = "CommandFailed", Disruption,
        "pkg/controllers/disruption/queue.go: Reconcile",
        "the nodes would have gone with a replacement that got ready in time";
    /// The search for nodes to consolidate ran out of time.
    ConsolidationTimeout = "ConsolidationTimeout", Disruption,
        "pkg/controllers/disruption/multinodeconsolidation.go: firstNConsolidationOption",
        "more nodes would have been looked at with fewer candidates";
    /// The template of the NodePool changed since the node was made.
    NodePoolDrifted = "NodePoolDrifted", Drift,
        "pkg/controllers/nodeclaim/disruption/drift.go: areStaticFieldsDrifted",
        "it would not have drifted with an unchanged template of its NodePool";
    /// The node does not meet the requirements of its NodePool any more.
    RequirementsDrifted = "RequirementsDrifted", Drift,
        "pkg/controllers/nodeclaim/disruption/drift.go: areRequirementsDrifted",
        "it would not have drifted if it still met the requirements of its NodePool";
    /// EC2 no longer sells what the node stands on.
    InstanceTypeNotFound = "InstanceTypeNotFound", Drift,
        "pkg/controllers/nodeclaim/disruption/drift.go: instanceTypeNotFound",
        "it would not have drifted if its instance type were still sold in its zone";
    /// The EC2NodeClass changed since the node was launched.
    NodeClassDrift = "NodeClassDrift", Drift,
        "karpenter-provider-aws pkg/cloudprovider/drift.go: areStaticFieldsDrifted",
        "it would not have drifted with an unchanged EC2NodeClass";
    /// The EC2NodeClass finds another AMI than the node was launched with.
    AmiDrift = "AMIDrift", Drift,
        "karpenter-provider-aws pkg/cloudprovider/drift.go: isAMIDrifted",
        "it would not have drifted with `amiSelectorTerms` that name one AMI or version";
    /// The EC2NodeClass finds other security groups than the node was launched with.
    SecurityGroupDrift = "SecurityGroupDrift", Drift,
        "karpenter-provider-aws pkg/cloudprovider/drift.go: areSecurityGroupsDrifted",
        "it would not have drifted with unchanged `securityGroupSelectorTerms`";
    /// The EC2NodeClass no longer finds the subnet of the node.
    SubnetDrift = "SubnetDrift", Drift,
        "karpenter-provider-aws pkg/cloudprovider/drift.go: isSubnetDrifted",
        "it would not have drifted with `subnetSelectorTerms` that still find its subnet";
    /// The EC2NodeClass no longer selects the capacity reservation of the node.
    CapacityReservationDrift = "CapacityReservationDrift", Reservations,
        "karpenter-provider-aws pkg/cloudprovider/drift.go: isCapacityReservationDrifted",
        "it would not have drifted with `capacityReservationSelectorTerms` that still select its reservation";
    /// The capacity reservation of a node is over: the node is on demand from now on.
    SyncCapacityType = "syncCapacityType", Reservations,
        "karpenter-provider-aws pkg/controllers/capacityreservation/capacitytype/controller.go: syncCapacityType",
        "it would have stayed reserved with a later end of the capacity reservation";
    /// A capacity block ends within 40 minutes: its nodes are left before EC2 takes them.
    CapacityBlockExpiring = "capacityreservation.expiration", Reservations,
        "karpenter-provider-aws pkg/controllers/capacityreservation/expiration/controller.go: Reconcile",
        "it would have stayed with a later end of the capacity block";
    /// The AMIs that an EC2NodeClass finds changed.
    AmisReady = "AMIsReady", Selectors,
        "karpenter-provider-aws pkg/controllers/nodeclass/ami.go: Reconcile",
        "it would have found the same with `amiSelectorTerms` that name one AMI";
    /// The subnets that an EC2NodeClass finds changed.
    SubnetsReady = "SubnetsReady", Selectors,
        "karpenter-provider-aws pkg/controllers/nodeclass/subnet.go: Reconcile",
        "it would have found the same with `subnetSelectorTerms` that the change does not touch";
    /// The security groups that an EC2NodeClass finds changed.
    SecurityGroupsReady = "SecurityGroupsReady", Selectors,
        "karpenter-provider-aws pkg/controllers/nodeclass/securitygroup.go: Reconcile",
        "it would have found the same with `securityGroupSelectorTerms` that the change does not touch";
    /// The EC2NodeClass finds nothing of a kind that a launch needs.
    NodeClassNotReady = "NodeClassNotReady", Selectors,
        "karpenter-provider-aws pkg/cloudprovider/cloudprovider.go: Create",
        "it would have been launched if the selectors of its EC2NodeClass found AMIs, subnets and security groups";
    /// No instance type of the request has an offering that Karpenter believes to be available.
    InsufficientCapacity = "InsufficientCapacity", Launch,
        "karpenter-provider-aws pkg/providers/instance/instance.go: launchInstance",
        "it would have been launched with an instance type, zone or capacity type that was not short of capacity in the last 3 minutes";
    /// EC2 launches an instance.
    CreateFleet = "CreateFleet", Launch,
        "karpenter-provider-aws pkg/providers/instance/instance.go: launchInstance",
        "another instance would have been launched if its price, or the depth of its Spot pool, were better";
    /// EC2 has no instance of that type in that zone.
    InsufficientInstanceCapacity = "InsufficientInstanceCapacity", Launch,
        "karpenter-provider-aws pkg/errors/errors.go: IsUnfulfillableCapacity",
        "it would have been launched with capacity in this pool; other types and zones remain";
    /// The account's quota of Spot vCPUs is used up.
    MaxSpotInstanceCountExceeded = "MaxSpotInstanceCountExceeded", Launch,
        "karpenter-provider-aws pkg/errors/errors.go: IsUnfulfillableCapacity",
        "it would have been launched with a higher quota of Spot vCPUs";
    /// The account's quota of on-demand vCPUs is used up.
    VcpuLimitExceeded = "VcpuLimitExceeded", Launch,
        "karpenter-provider-aws pkg/errors/errors.go: IsUnfulfillableCapacity",
        "it would have been launched with a higher quota of on-demand vCPUs";
    /// The capacity reservation has no instance left.
    ReservationCapacityExceeded = "ReservationCapacityExceeded", Launch,
        "karpenter-provider-aws pkg/errors/errors.go: IsUnfulfillableCapacity",
        "it would have been launched with an instance left in the capacity reservation";
    /// EC2 takes back the instances of a capacity block half an hour before its end.
    CapacityBlockEnds = "CapacityBlockEnds", Accidents,
        "EC2: Capacity Blocks for ML, how they work",
        "the instance would have stayed with a later end of the capacity block";
    /// The owner of an interruptible capacity reservation takes its instances back.
    ReservationInterruptionWarning = "ReservationInterruptionWarning", Accidents,
        "EC2: Interruptible Capacity Reservations",
        "the instance would have stayed in a reservation that is not interruptible, or with a later end of it";
    /// The subnet has no address left.
    InsufficientFreeAddresses = "InsufficientFreeAddressesInSubnet", Launch,
        "karpenter-provider-aws pkg/errors/errors.go: IsUnfulfillableCapacity",
        "it would have been launched with a larger subnet";
    /// EC2 announces that it takes the Spot instance back.
    SpotInterruptionWarning = "SpotInterruptionWarning", Accidents,
        "EC2: Spot interruption notices",
        "the instance would have stayed on demand, or in a deeper Spot pool";
    /// A pod that a Fargate profile selects gets a machine of its own.
    FargateProfile = "FargateProfile", Fargate,
        "EKS: Define which Pods use AWS Fargate when launched",
        "kube-scheduler would have placed it on a node without the Fargate profile that selects it";
    /// No size of Fargate holds the pod.
    FargateSize = "FargateSize", Fargate,
        "EKS: Understand Fargate Pod configuration details",
        "it would have been started with requests of at most 16 vCPUs and 120 GiB, 256 MiB included";
    /// The instance is lost without notice: a fault of the scenario.
    NodeLoss = "NodeLoss", Accidents,
        "the scenario: [[faults]]",
        "the instance would have stayed without the fault of the scenario";
    /// A node's kubelet is down, and its containers run on.
    KubeletDown = "kubeletDown", Outages,
        "the scenario: [[faults]]",
        "the node would have been heard of without the fault of the scenario";
    /// A node that was asked for did not get ready in time: its group rests.
    FailedScaleUp = "FailedScaleUp", ClusterAutoscaler,
        "cluster-autoscaler/clusterstate/clusterstate.go: updateScaleRequests",
        "the group would not rest with a node that gets ready within --max-node-provision-time";
    /// A group grows for pending pods.
    TriggeredScaleUp = "TriggeredScaleUp", ClusterAutoscaler,
        "cluster-autoscaler/core/scaleup/orchestrator/orchestrator.go: ScaleUpOrchestrator.ScaleUp",
        "the group would not have grown with room for the pods";
    /// No group can grow for the pending pods.
    NotTriggerScaleUp = "NotTriggerScaleUp", ClusterAutoscaler,
        "cluster-autoscaler/core/scaleup/orchestrator/orchestrator.go: ScaleUpOrchestrator.ScaleUp",
        "a group would have grown with a higher max, without its backoff, or with nodes that the pods fit";
    /// An empty node was not needed for long enough.
    ScaleDownEmpty = "ScaleDownEmpty", ClusterAutoscaler,
        "cluster-autoscaler/core/scaledown/planner/planner.go: NodesToDelete",
        "the node would have stayed with a pod on it, or a longer --scale-down-unneeded-time";
    /// A node was not needed for long enough: its pods fit elsewhere.
    ScaleDown = "ScaleDown", ClusterAutoscaler,
        "cluster-autoscaler/core/scaledown/planner/planner.go: NodesToDelete",
        "the node would have stayed with more of it requested, or a longer --scale-down-unneeded-time";
    /// A node is not needed from here on.
    Unneeded = "Unneeded", ClusterAutoscaler,
        "cluster-autoscaler/core/scaledown/eligibility/eligibility.go: FilterOutUnremovable",
        "the node would be needed with more of it requested than --scale-down-utilization-threshold";
    /// The pods of the node request more than the utilization threshold.
    NotUnderutilized = "NotUnderutilized", ClusterAutoscaler,
        "cluster-autoscaler/core/scaledown/eligibility/eligibility.go: FilterOutUnremovable",
        "the node would be looked at with less of it requested";
    /// A pod of the node has no controller that would make it again.
    NotReplicated = "NotReplicated", ClusterAutoscaler,
        "cluster-autoscaler/simulator/drainability/rules/replicated/rule.go",
        "the node could go if a controller owned the pod";
    /// A pod of the node is annotated as not safe to evict.
    NotSafeToEvict = "NotSafeToEvictAnnotation", ClusterAutoscaler,
        "cluster-autoscaler/simulator/drainability/rules/notsafetoevict/rule.go",
        "the node could go without the annotation of the pod";
    /// A PodDisruptionBudget does not allow to move a pod of the node.
    NotEnoughPdb = "NotEnoughPdb", ClusterAutoscaler,
        "cluster-autoscaler/core/scaledown/pdb/basic.go: CanRemovePods",
        "the node could go with a PodDisruptionBudget that allows it";
    /// The pods of the node fit nowhere else.
    NoPlaceToMovePods = "NoPlaceToMovePods", ClusterAutoscaler,
        "cluster-autoscaler/simulator/cluster.go: findPlaceFor",
        "the node could go with room for its pods elsewhere";
    /// The node could not be removed a moment ago and is not looked at again yet.
    RecentlyUnremovable = "RecentlyUnremovable", ClusterAutoscaler,
        "cluster-autoscaler/core/scaledown/unremovable/nodes.go: IsRecent",
        "the node is looked at again later";
    /// The node could not be drained in time and stays.
    ScaleDownFailed = "ScaleDownFailed", ClusterAutoscaler,
        "cluster-autoscaler/core/scaledown/actuation/drain.go: DrainNode",
        "the node would have gone with pods that can be evicted and stop in time";
}

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn every_rule_is_found_by_its_name_and_says_what_would_have_had_to_differ() {
        for rule in Rule::ALL {
            assert_eq!(Rule::parse(rule.name()), Some(*rule));
            assert!(rule.meaning().ends_with('.'), "{}", rule.name());
            let otherwise = rule.otherwise(Some(34));
            assert!(!otherwise.is_empty() && !otherwise.contains(['{', '}']), "{}", rule.name());
            let upstream = rule.upstream();
            let of_source = upstream.contains(".go: ") || upstream.ends_with("/rule.go");
            assert!(
                of_source || ["the scenario: ", "EC2: ", "EKS: "].iter().any(|own| upstream.starts_with(own)),
                "{upstream}"
            );
            let (file, heading) = rule.page().place();
            let text = std::fs::read_to_string(file).expect("a page of the documentation");
            let headed = |line: &str| line.trim_start_matches('#').trim_start_matches([' ', '`']).starts_with(heading);
            assert!(text.lines().any(|line| line.starts_with('#') && headed(line)), "{file}: {heading}");
        }
        assert_eq!(Rule::parse("Sync"), None);
        let text = "it would have scaled further with maxReplicaCount >= 34 (maxReplicas of an HPA of one's own)";
        assert_eq!(Rule::TooManyReplicas.otherwise(Some(34)), text);
    }
}
