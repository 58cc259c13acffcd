//! The table of rules.

use super::Info;
use crate::api::decode::Severity;

macro_rules! rules {
    ($( $name:ident = $id:literal, $severity:ident, $summary:literal, $reason:literal, $source:literal; )*) => {
        /// A rule of `forescale check`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $( #[doc = $summary] $name, )* }

        impl Rule {
            /// All rules, in the order of the page.
            pub const ALL: &'static [Rule] = &[ $( Rule::$name ),* ];

            /// What is known of it.
            #[must_use]
            pub const fn info(self) -> Info {
                match self {
                    $( Rule::$name => Info {
                        id: $id, severity: Severity::$severity, summary: $summary, reason: $reason, source: $source,
                    } ),*
                }
            }
        }
    };
}

rules! {
    CooldownWithoutEffect = "cooldown-without-effect", Warning,
        "`cooldownPeriod` or `initialCooldownPeriod` where KEDA never scales in",
        "The cooldown delays the step to 0 (or to `idleReplicaCount`) and nothing else. With `minReplicaCount` above 0 every scale-in is the HPA's: set `behavior.scaleDown` instead.",
        "keda `pkg/scaling/executor/scale_scaledobjects.go: RequestScale`; webhook `apis/keda/v1alpha1/scaledobject_webhook.go`";
    PollingWithoutEffect = "polling-without-effect", Warning,
        "`pollingInterval` where nobody acts on what a poll finds",
        "KEDA's poll decides between 0 and 1 replicas. Above that the HPA asks for the metric at each of its passes, every 15 s, and is answered from the source. With `minReplicaCount` above 0 the interval matters only with `useCachedMetrics`, or for counting failures towards `fallback`.",
        "keda `apis/keda/v1alpha1/scaledobject_webhook.go`; `pkg/scaling/scale_handler.go: GetScaledObjectMetrics`";
    ActivationWithoutEffect = "activation-without-effect", Warning,
        "`activationQueueLength` where nothing is ever at zero",
        "The activation threshold decides between 0 and 1 replicas only; the HPA does not know it. With `minReplicaCount` above 0 it is never read.",
        "keda `pkg/scaling/executor/scale_scaledobjects.go: RequestScale`";
    ActivationStrandsMessages = "activation-strands-messages", Note,
        "`activationQueueLength` above 0 on a workload that scales to zero",
        "As long as no more messages than the threshold are there, nobody is started for them: the last few of a burst, or a lonely one, wait until others come. Keep it below what may be left lying, or at 0.",
        "keda `pkg/scalers/aws_sqs_queue_scaler.go: GetMetricsAndActivity`";
    InFlightUncounted = "in-flight-uncounted", Warning,
        "`scaleOnInFlight: \"false\"` with messages that take longer than the cooldown",
        "Without messages in flight the queue looks empty while the last ones are worked on, and after `cooldownPeriod` KEDA takes all pods away. Count messages in flight, or make the cooldown longer than the work.",
        "keda `pkg/scalers/aws_sqs_queue_scaler.go: getAwsSqsQueueLength`";
    QueueLengthAboveObjective = "queue-length-above-objective", Warning,
        "a `queueLength` that one pod cannot work off within the objective",
        "The HPA is content with `queueLength` messages a pod, those in work included. When a pod needs longer for that many than the objective allows, the objective is missed in the steady state and after each burst, with replicas to spare.",
        "kubernetes `pkg/controller/podautoscaler/replica_calculator.go: GetExternalPerPodMetricReplicas`";
    ZeroReplicasAboveObjective = "zero-replicas-above-objective", Warning,
        "scaling to zero with an objective shorter than a cold start",
        "A message that finds no pod waits for the poll, the pod, and without a node of its own group for the node too. When the medians of these steps alone add up to more than the objective, each cold start misses it: keep a replica, or a warm node.",
        "keda `pkg/scaling/executor/scale_scaledobjects.go: scaleFromZeroOrIdle`";
    IdleAboveZero = "idle-above-zero", Warning,
        "`idleReplicaCount` above 0",
        "KEDA sets the idle count, and the HPA, whose minimum is `minReplicaCount`, puts it up again at its next pass: pods come and go for ever. Only 0 works.",
        "keda `apis/keda/v1alpha1/scaledobject_types.go`; kubernetes `pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler`";
    CachedMetricsStale = "cached-metrics-stale", Warning,
        "`useCachedMetrics` with a `pollingInterval` above the HPA's period",
        "The HPA is answered with the value of KEDA's last poll. When polls are rarer than its passes, it acts on old values: scaling out lags by up to an interval. Poll at least as often as the HPA asks (15 s), or do without the cache.",
        "keda `pkg/scaling/scale_handler.go: GetScaledObjectMetrics`";
    FallbackToZero = "fallback-to-zero", Warning,
        "`fallback` with 0 replicas",
        "When the metric cannot be read the fallback says 0, which KEDA takes as inactivity: after the cooldown all pods are gone while messages wait. Fall back to a number that keeps up.",
        "keda `pkg/fallback/fallback.go: GetMetricsWithFallback`";
    NothingToScale = "nothing-to-scale", Note,
        "`minReplicaCount` equal to `maxReplicaCount`",
        "The bounds leave one number of replicas: the triggers are asked and nothing is ever scaled.",
        "kubernetes `pkg/controller/podautoscaler/horizontal.go: normalizeDesiredReplicas`";
    AccurateCountsInFlight = "accurate-counts-in-flight", Warning,
        "ScaledJob strategy `accurate` with messages in flight counted",
        "`accurate` subtracts pending jobs only and presumes that messages in work are not counted. The SQS trigger counts them unless `scaleOnInFlight` is \"false\": every poll starts a job once more for each message in work.",
        "keda `pkg/scaling/executor/scale_jobs.go: accurateScalingStrategy.GetEffectiveMaxScale`";
    EagerCountsInFlight = "eager-counts-in-flight", Warning,
        "ScaledJob strategy `eager` with messages in flight counted",
        "`eager` starts as many jobs as there are messages at every poll until `maxReplicaCount` is reached, running ones or not. With messages in flight counted, every poll starts a job once more for each message in work.",
        "keda `pkg/scaling/executor/scale_jobs.go: eagerScalingStrategy.GetEffectiveMaxScale`";
    CustomStrategyWithoutPercentage = "custom-strategy-without-percentage", Warning,
        "ScaledJob strategy `custom` without a percentage that is a number",
        "`customScalingRunningJobPercentage` must be a number; otherwise KEDA uses strategy `default` and says so only in its log.",
        "keda `pkg/scaling/executor/scale_jobs.go: NewScalingStrategy`";
    UnknownTriggerField = "unknown-trigger-field", Warning,
        "a field of a trigger that its scaler does not know",
        "KEDA ignores unknown metadata without a word, so that a misspelt field leaves its default in force.",
        "keda `pkg/scalers/scalersconfig/typed_config.go`";
    MetricWithoutData = "metric-without-data", Warning,
        "a trigger or metric of which the scenario gives no values",
        "What a Kafka, Prometheus or custom metric says over time must be given by `[[series]]`; without it the metric fails in the run and the workload stays as it is.",
        "docs/scenario-reference.md, `[[series]]`";
    CronNeverActive = "cron-never-active", Warning,
        "a cron trigger whose window is not open at any time of the run",
        "The times of a cron trigger are those of its `timezone`, and the run begins at `simulation.start`, which is UTC: nine o'clock in New York is 13:00 or 14:00 there, by the season. Such a trigger does nothing in this run: correct one of them, or lengthen the run.",
        "keda `pkg/scalers/cron_scaler.go: GetMetricsAndActivity`";
    DeprecatedTriggerType = "deprecated-trigger-type", Warning,
        "`metadata.type` of a cpu or memory trigger",
        "Since KEDA 2.18 the trigger is refused: the ScaledObject gets no HPA and no loop, and its target stays as it is. Write `metricType` beside `metadata`.",
        "keda `pkg/scalers/cpu_memory_scaler.go: cpuMemoryMetadata`; `pkg/scalers/scalersconfig/typed_config.go: setValue`";
    DeprecatedRollout = "deprecated-rollout", Note,
        "`rolloutStrategy` of a ScaledJob",
        "The field is deprecated: write `rollout: { strategy: ... }`.",
        "keda `apis/keda/v1alpha1/scaledjob_types.go`";
    TwoAutoscalers = "two-autoscalers", Error,
        "two autoscalers of one Deployment",
        "A second HPA or ScaledObject undoes what the first does. Put all sources into one ScaledObject's `triggers`.",
        "keda `apis/keda/v1alpha1/scaledobject_webhook.go: verifyScaledObjects`, `verifyHpas`";
    CannotWake = "cannot-wake", Error,
        "cpu or memory as the only triggers of a workload that scales to zero",
        "Pods that do not exist use no CPU: nothing would ever start them. Set `minReplicaCount` to 1 or more, or add a trigger that can wake the workload.",
        "keda `apis/keda/v1alpha1/scaledobject_webhook.go: verifyCPUMemoryScalers`";
    UtilizationWithoutRequest = "utilization-without-request", Error,
        "a utilization target for containers without a request",
        "Utilization is a share of the request; without one the HPA cannot compute it and does nothing.",
        "keda `apis/keda/v1alpha1/scaledobject_webhook.go: verifyCPUMemoryScalers`; kubernetes `pkg/controller/podautoscaler/replica_calculator.go`";
    HpaWithoutRequest = "hpa-without-request", Warning,
        "an HPA on utilization of containers without a request",
        "Utilization is a share of the request. The API server takes the HPA; at each pass it fails to compute the metric and leaves the replicas as they are.",
        "kubernetes `pkg/controller/podautoscaler/replica_calculator.go: calculateRequests`";
    StabilizationOutlastsBursts = "stabilization-outlasts-bursts", Note,
        "a scale-down stabilization window that is longer than the time between bursts",
        "The HPA takes the highest recommendation of the window. Bursts that come more often than that keep the replicas of the peak for ever: shorten `behavior.scaleDown.stabilizationWindowSeconds`, or plan for the peak's cost.",
        "kubernetes `pkg/controller/podautoscaler/horizontal.go: stabilizeRecommendationWithBehaviors`";
    ScaleUpWindowAboveObjective = "scale-up-window-above-objective", Warning,
        "a scale-up stabilization window that is longer than the objective",
        "The HPA takes the lowest recommendation of the window: nothing is added until the load has lasted for all of it, which is longer than a message may wait.",
        "kubernetes `pkg/controller/podautoscaler/horizontal.go: stabilizeRecommendationWithBehaviors`";
    VisibilityTooShort = "visibility-too-short", Warning,
        "a visibility timeout below the 99th percentile of processing",
        "A message whose timeout runs out in the middle of its work is received and processed once more. Raise the timeout above the longest processing time, or extend it with a heartbeat.",
        "Amazon SQS developer guide, visibility timeout";
    PrefetchOutlivesVisibility = "prefetch-outlives-visibility", Warning,
        "messages that wait in a pod for longer than their visibility timeout",
        "The timeout runs from the receive. Messages that are handled one after another use it up while they wait for their turn, and come back before they are even begun. Receive fewer at a time, or handle them in parallel.",
        "Amazon SQS developer guide, visibility timeout";
    HeartbeatTooSlow = "heartbeat-too-slow", Warning,
        "a heartbeat that comes after the timeout it should extend",
        "The first extension comes `every` after the work begins. When the visibility timeout, or the one that the extension before has set, has run out by then, the message is already on its way to somebody else.",
        "Amazon SQS `ChangeMessageVisibility`";
    HeartbeatBeyondLimit = "heartbeat-beyond-limit", Warning,
        "a heartbeat for messages that take longer than 12 hours",
        "SQS refuses to extend a visibility timeout beyond 12 hours from the receive, whatever the heartbeat asks for: the message is delivered again while it is in work. Split the work, or delete the message first and keep its state elsewhere.",
        "Amazon SQS API reference, ChangeMessageVisibility";
    DiesOnSigterm = "dies-on-sigterm", Warning,
        "consumers that end at once on SIGTERM, on a workload that is scaled in",
        "Each scale-in, eviction or interruption then leaves messages in the middle of their work to their visibility timeout, and counts as a receive towards `maxReceiveCount`. Handle SIGTERM: receive no more, finish, exit.",
        "kubernetes website `concepts/workloads/pods/pod-lifecycle.md`";
    EarlyAck = "early-ack", Note,
        "messages that are deleted before they are processed",
        "At most once: what is in work when a pod crashes or is killed is lost without a trace. Delete after processing (Celery: `task_acks_late`).",
        "Celery `task_acks_late`";
    NoDeadLetterQueue = "no-dead-letter-queue", Warning,
        "messages that can fail for ever, and no dead-letter queue",
        "A message that can never be processed comes back after each visibility timeout until its retention ends, and takes a consumer's time at each attempt. Set `maxReceiveCount` and a dead-letter queue.",
        "Amazon SQS developer guide, dead-letter queues";
    SingleReceive = "single-receive", Warning,
        "`maxReceiveCount` of 1",
        "A receive whose answer is lost, or whose pod is stopped, counts: a healthy message is dead after one mishap that is not its own.",
        "Amazon SQS developer guide, dead-letter queues";
    DeadLettersExpire = "dead-letters-expire", Warning,
        "a dead-letter queue that keeps messages no longer than its source",
        "On a standard queue the age of a dead letter counts from its first send, not from the move: with the same retention it may be gone hours after it was moved. Give the dead-letter queue the longer retention.",
        "Amazon SQS developer guide, dead-letter queues, retention";
    LateRetry = "late-retry", Warning,
        "a visibility timeout above the age that the objective allows, with work that gets lost",
        "A message whose pod crashes, whose processing fails or whose receive is lost waits for the rest of its visibility timeout before anybody may try again. When that alone is longer than `maxAge`, one mishap misses it: shorten the timeout and extend it with a heartbeat.",
        "Amazon SQS developer guide, visibility timeout";
    RetentionBelowDrain = "retention-below-drain", Warning,
        "a retention shorter than working off the largest burst takes",
        "With all replicas at work the burst needs longer than messages are kept: the rest is deleted unprocessed.",
        "Amazon SQS `MessageRetentionPeriod`";
    ShortPolling = "short-polling", Warning,
        "short polling by pods that wait for messages",
        "Without WaitTimeSeconds each empty answer is followed by the next request at once: an idle pod pays for dozens of requests a second. Wait 20 s.",
        "Amazon SQS developer guide, short and long polling";
    FifoGroupsBelowReplicas = "fifo-groups-below-replicas", Warning,
        "more replicas than a FIFO queue has message groups",
        "Messages of a group are handled one after another, so that not more consumers than groups have anything to do. Replicas beyond that cost and do not help.",
        "Amazon SQS developer guide, FIFO delivery logic";
    InFlightLimit = "in-flight-limit", Warning,
        "consumers that together hold more messages than may be in flight",
        "Receives beyond the limit come back empty (or with an error): the last pods get nothing however long the queue is.",
        "Amazon SQS developer guide, quotas of messages in flight";
    GraceTooShort = "grace-too-short", Warning,
        "a grace period below the 99th percentile of processing",
        "A pod that is asked to stop finishes its message, but is killed when `terminationGracePeriodSeconds` is over; the message waits out its visibility timeout and is processed again.",
        "kubernetes `pkg/kubelet/kuberuntime/kuberuntime_container.go: killContainer`";
    PreStopEatsGrace = "pre-stop-eats-grace", Warning,
        "a `preStop` sleep that leaves no grace period",
        "The hook's time counts towards `terminationGracePeriodSeconds`. When it takes all of it, SIGTERM is followed by SIGKILL two seconds later and nothing is finished.",
        "kubernetes `pkg/kubelet/kuberuntime/kuberuntime_container.go: killContainer`";
    JobDeadlineTooShort = "job-deadline-too-short", Warning,
        "`activeDeadlineSeconds` of a ScaledJob's Jobs below the 99th percentile of processing",
        "The Job controller kills the pods of a Job that is older than its deadline, waiting for a node included, and the Job has failed: its message comes back after the visibility timeout and meets the same deadline.",
        "kubernetes `pkg/controller/job/job_controller.go: syncJob`";
    PodsWithoutRequests = "pods-without-requests", Warning,
        "containers without requests on nodes of Karpenter",
        "The scheduler and Karpenter count what is requested and nothing else: pods that request nothing are put on one small node up to its limit of pods, where they share what two of them need. What a run says of their speed is then not to be trusted. Request what a pod uses.",
        "karpenter `pkg/utils/resources/resources.go: RequestsForPods`";
    DeploymentWithoutSelector = "deployment-without-selector", Error,
        "a Deployment or DaemonSet without `selector`",
        "The API server refuses it: `apps/v1` has no default selector.",
        "kubernetes `pkg/apis/apps/validation/validation.go: ValidateDeploymentSpec`";
    UnschedulablePods = "unschedulable-pods", Warning,
        "pods that no node group and no NodePool takes",
        "They stay pending for ever: the taints, labels, sizes or limits of every pool refuse them. The finding lists each pool's reason.",
        "karpenter `pkg/controllers/provisioning/scheduling/nodeclaim.go: CanAdd`";
    OtherScheduler = "other-scheduler", Warning,
        "a `schedulerName` that is not simulated",
        "Pods of other schedulers are placed as `default-scheduler` would place them: the run may differ from the cluster.",
        "docs/kubernetes.md";
    BudgetLimitsNothing = "budget-limits-nothing", Warning,
        "a PodDisruptionBudget with neither `minAvailable` nor `maxUnavailable`",
        "Kubernetes takes it as `minAvailable: 0`: every eviction is allowed.",
        "kubernetes `pkg/controller/disruption/disruption.go`";
    BudgetSelectsNothing = "budget-selects-nothing", Warning,
        "a PodDisruptionBudget that selects no pod",
        "Its selector matches no template of the scenario: it protects nothing.",
        "kubernetes `pkg/controller/disruption/disruption.go`";
    BudgetBlocksDrain = "budget-blocks-drain", Warning,
        "a PodDisruptionBudget that never allows an eviction",
        "With `maxUnavailable: 0` or `minAvailable: 100%` no pod may be evicted: its node is never consolidated, and a drain that must be (expiry, interruption) hangs until the NodePool's `terminationGracePeriod`, for ever without one.",
        "kubernetes `pkg/controller/disruption/disruption.go`; karpenter `pkg/controllers/node/termination/terminator/eviction.go`";
    OnePodPerNode = "one-pod-per-node", Note,
        "required anti-affinity of a pod to its own kind on the same host",
        "Each replica gets a node of its own, however small it is. Use a topology spread with a larger `maxSkew`, or a preferred term.",
        "karpenter `pkg/controllers/provisioning/scheduling/topology.go`";
    AutoscalerAnnotationIgnored = "autoscaler-annotation-ignored", Warning,
        "Cluster Autoscaler's `safe-to-evict` on nodes of Karpenter",
        "Karpenter does not know it: the pod is evicted like any other. Write `karpenter.sh/do-not-disrupt: \"true\"`.",
        "karpenter `pkg/utils/pod/scheduling.go: IsDisruptable`";
    DeprecatedAnnotation = "deprecated-annotation", Warning,
        "`karpenter.sh/do-not-evict` or `do-not-consolidate`",
        "They belong to Karpenter before 0.32 and are ignored since v1: write `karpenter.sh/do-not-disrupt: \"true\"`.",
        "karpenter `pkg/apis/v1/labels.go`; upgrade guide of v1";
    DeprecatedLabel = "deprecated-label", Note,
        "a label with a `beta.kubernetes.io` or `failure-domain` name in a requirement",
        "Kubernetes has replaced it: `kubernetes.io/arch`, `kubernetes.io/os`, `node.kubernetes.io/instance-type`, `topology.kubernetes.io/zone`, `topology.kubernetes.io/region`. Karpenter reads it as the new one.",
        "karpenter `pkg/apis/v1/labels.go: NormalizedLabels`";
    DeprecatedApi = "deprecated-api", Note,
        "an API version that current releases have dropped",
        "It is read as the current version; the finding says what moved.",
        "kubernetes deprecation guide; karpenter upgrade guide of v1";
    NotSimulated = "not-simulated", Warning,
        "an object of a kind that is not simulated",
        "It scales or places pods in a way that the run does not have: look at this before trusting the results.",
        "docs/scenario-reference.md";
    ClaimUnusable = "claim-unusable", Warning,
        "a volume whose claim is not in the scenario, or cannot be bound",
        "kube-scheduler places no pod with it, and Karpenter makes no node for it: add the PersistentVolumeClaim, its StorageClass or the PersistentVolume that it names. A scenario without any of the three is taken not to describe storage.",
        "kubernetes `pkg/scheduler/framework/plugins/volumebinding/volume_binding.go: PreFilter`; karpenter `pkg/controllers/provisioning/scheduling/volumetopology.go: ValidatePersistentVolumeClaims`";
    GateOff = "gate-off", Warning,
        "a NodeOverlay or CapacityBuffer while its feature gate is off",
        "Karpenter reads these objects only behind the gates `NodeOverlay` and `CapacityBuffer`, which are off by default: until then they change nothing.",
        "karpenter `pkg/operator/options/options.go: FeatureGates`";
    NoNodeClass = "no-node-class", Note,
        "a NodePool whose EC2NodeClass is not in the scenario",
        "A class with defaults stands in: AL2023, a root volume of 20 GiB, default kubelet settings.",
        "karpenter-provider-aws `pkg/apis/v1/ec2nodeclass.go`";
    RestrictedLabel = "restricted-label", Warning,
        "a label of a domain that Kubernetes keeps for itself",
        "The CRDs of most versions of Karpenter refuse the NodePool. It changes nothing in the run: use a label of your own domain.",
        "karpenter `pkg/apis/v1/labels.go: IsRestrictedLabel`";
    UnknownValue = "unknown-value", Warning,
        "a requirement with a value that nothing in the region has",
        "A misspelt type, zone or family makes the pool smaller than it looks, or empty; pods that ask for it stay pending.",
        "karpenter-provider-aws `pkg/providers/instancetype`";
    LimitsBelowMax = "limits-below-max", Warning,
        "`maxReplicaCount` that the NodePools' `limits` do not hold",
        "Pods beyond the limits stay pending, and the HPA goes on asking for them. Raise the limits, or lower the maximum to what is meant.",
        "karpenter `pkg/apis/v1/nodepool.go: Limits.ExceededBy`";
    StartupTaintPermanent = "startup-taint-permanent", Warning,
        "a start-up taint of a network or storage agent under `taints`",
        "Karpenter believes that `taints` stay and never makes a node for pods that do not tolerate them; under `startupTaints` it knows that the agent removes them.",
        "karpenter website `concepts/nodepools.md`, startup taints";
    MinValuesUnreachable = "min-values-unreachable", Warning,
        "`minValues` that the instance types of the pool cannot reach",
        "Fewer different values are left by the other requirements than `minValues` asks for: no node is ever launched from this pool.",
        "karpenter `pkg/cloudprovider/types.go: InstanceTypes.SatisfiesMinValues`";
    BudgetNeverDisrupts = "budget-never-disrupts", Warning,
        "a disruption budget of 0 nodes at all times",
        "Without a schedule it holds always: empty and half-empty nodes are never removed, drifted ones never replaced; only expiry and interruptions take nodes.",
        "karpenter `pkg/apis/v1/nodepool.go: GetAllowedDisruptionsByReason`";
    BudgetStopsMultiNode = "budget-stops-multi-node", Warning,
        "a disruption budget of one node with consolidation of underutilized nodes",
        "Consolidation of several nodes at once needs at least two: a fleet shrinks one node a pass, and what only two nodes together would save is never saved.",
        "karpenter `pkg/controllers/disruption/multinodeconsolidation.go: ComputeCommands`";
    ConsolidateAfterBelowGap = "consolidate-after-below-gap", Note,
        "`consolidateAfter` that runs out between two bursts",
        "The nodes of each burst are gone when the next one comes, and it waits for new ones. Longer than the quiet time it keeps them, at their price.",
        "karpenter `pkg/controllers/disruption/consolidation.go: ShouldDisrupt`";
    SpotToSpotNeedsTypes = "spot-to-spot-needs-types", Warning,
        "Spot consolidation with fewer than 15 instance types",
        "A Spot node is replaced by a cheaper Spot node only if at least 15 types are cheaper, so that it is not a race to the smallest: with fewer in the pool half-empty nodes stay.",
        "karpenter `pkg/controllers/disruption/consolidation.go: computeSpotToSpotConsolidation`";
    SpotWithoutAlternative = "spot-without-alternative", Warning,
        "Spot as the only way to get nodes, of one type or in one zone",
        "When that pool is dry there is nowhere else to go: pods stay pending until capacity returns. Allow more types and zones, or on-demand as well.",
        "karpenter-provider-aws `pkg/providers/instance/instance.go: launchInstance`";
    SpotNoticeTooShort = "spot-notice-too-short", Warning,
        "messages that take longer than a Spot notice, on nodes that can only be Spot",
        "EC2 takes the instance back two minutes after the notice, whatever grace period the pod has: such messages are lost in the middle and processed again. Run them on demand.",
        "Amazon EC2 user guide, Spot interruption notices";
    PoolGraceBelowPodGrace = "pool-grace-below-pod-grace", Warning,
        "a NodePool's `terminationGracePeriod` shorter than the pods' grace",
        "When a node is drained, pods are killed early enough for the node to be gone after its own grace period: the pod's longer one does not count.",
        "karpenter `pkg/controllers/node/termination/terminator/terminator.go: DeleteExpiringPods`";
    ProtectedNodesNeverDrain = "protected-nodes-never-drain", Warning,
        "`karpenter.sh/do-not-disrupt` on a pool with `expireAfter` and no `terminationGracePeriod`",
        "Expiry taints the node and then waits for the protected pods, without an end: the node takes no new pods, its replacement is paid as well. Set `terminationGracePeriod`, or `expireAfter: Never`.",
        "karpenter `pkg/controllers/nodeclaim/expiration/controller.go`; `pkg/controllers/node/termination/terminator/terminator.go: Drain`";
    ExpiresBeforeMessageEnds = "expires-before-message-ends", Warning,
        "`expireAfter` shorter than processing",
        "Expiry is forceful and not held up by budgets: a message that takes longer than a node lives is interrupted on each of them.",
        "karpenter `pkg/controllers/nodeclaim/expiration/controller.go`";
    AfterTheEnd = "after-the-end", Warning,
        "something that happens after the end of the run",
        "It is never reached: lengthen `simulation.duration`, or correct the time.",
        "docs/scenario-reference.md";
    SendsNothing = "sends-nothing", Warning,
        "a source of messages with a rate of 0",
        "It sends nothing during the whole run.",
        "docs/scenario-reference.md";
    SelectsNothing = "selects-nothing", Warning,
        "a pattern of instance types or node groups, a term of an EC2NodeClass or a Fargate profile that matches none",
        "The outage or price change concerns no offering; the term adds nothing; the profile takes no pod, the pattern gives no group a priority.",
        "docs/scenario-reference.md";
}
