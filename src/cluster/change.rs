//! What happened to an object: what a watch would show.

use super::ids::{
    DaemonSetId, DeploymentId, HpaId, InstanceId, JobId, NodeClaimId, NodeClassId, NodeId, NodePoolId, PodId,
    ScaledJobId, ScaledObjectId,
};

use super::nodeclaim::LaunchError;

/// One change, handed to every controller that watches the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A ScaledObject was created, or its spec changed (a new generation).
    ScaledObjectSpec(ScaledObjectId),
    /// A ScaledObject's annotations changed.
    ScaledObjectAnnotations(ScaledObjectId),
    /// A ScaledObject was deleted.
    ScaledObjectDeleted(ScaledObjectId),
    /// A ScaledJob was created, or its spec or annotations changed.
    ScaledJobSpec(ScaledJobId),
    /// A ScaledJob was deleted.
    ScaledJobDeleted(ScaledJobId),
    /// An HPA was created.
    HpaCreated(HpaId),
    /// An HPA's spec changed.
    HpaSpec(HpaId),
    /// An HPA was deleted.
    HpaDeleted(HpaId),
    /// A Deployment was created, or its `spec.replicas` or template changed.
    DeploymentSpec(DeploymentId),
    /// A DaemonSet was created.
    DaemonSetCreated(DaemonSetId),
    /// A Job was created.
    JobCreated(JobId),
    /// A Job completed or failed.
    JobFinished(JobId),
    /// A Job object was removed.
    JobGone(JobId),
    /// A pod was created.
    PodCreated(PodId),
    /// A scheduling attempt failed: condition PodScheduled=False, reason Unschedulable, was written.
    PodUnschedulable(PodId),
    /// The scheduler nominated a node for the pod (preemption).
    PodNominated(PodId),
    /// The pod was bound to a node.
    PodBound(PodId),
    /// The pod's application can work: its containers run and have started up, ready or not.
    PodWorking(PodId),
    /// The pod's Ready condition became True.
    PodReady(PodId),
    /// The pod's Ready condition became False after it was True.
    PodNotReady(PodId),
    /// The pod reached Succeeded or Failed.
    PodFinished(PodId),
    /// The pod got a deletionTimestamp.
    PodDeleting(PodId),
    /// Its containers got SIGTERM.
    PodTerm(PodId),
    /// Its containers were killed, or their machine is gone: what they were doing is lost.
    PodKilled(PodId),
    /// Its containers crashed: what they were doing is lost, and they are started again as its restart policy says.
    PodCrashed(PodId),
    /// The pod object was removed.
    PodGone(PodId),
    /// A Node object was created.
    NodeCreated(NodeId),
    /// A Node's Ready condition became True.
    NodeReady(NodeId),
    /// A Node's Ready condition became False or Unknown.
    NodeNotReady(NodeId),
    /// Taints of a Node changed.
    NodeTaints(NodeId),
    /// Labels, allocatable or cordon of a Node changed.
    NodeUpdated(NodeId),
    /// A Node got a deletionTimestamp.
    NodeDeleting(NodeId),
    /// A Node object was removed.
    NodeGone(NodeId),
    /// A NodeClaim was created; its launch is asked of the cloud.
    NodeClaimCreated(NodeClaimId),
    /// The cloud refused the launch.
    NodeClaimLaunchFailed(NodeClaimId, LaunchError),
    /// The launch is asked of the cloud again.
    NodeClaimLaunchRequested(NodeClaimId),
    /// The cloud answered the launch: the NodeClaim has a provider id.
    NodeClaimLaunched(NodeClaimId),
    /// The NodeClaim's Node joined.
    NodeClaimRegistered(NodeClaimId),
    /// The NodeClaim is initialized.
    NodeClaimInitialized(NodeClaimId),
    /// Labels of the NodeClaim changed.
    NodeClaimLabels(NodeClaimId),
    /// Condition Consolidatable changed.
    NodeClaimConsolidatable(NodeClaimId),
    /// Condition Drifted changed.
    NodeClaimDrifted(NodeClaimId),
    /// The NodeClaim was marked for deletion, or unmarked, by a disruption command.
    NodeClaimMarked(NodeClaimId),
    /// The NodeClaim got a deletionTimestamp.
    NodeClaimDeleting(NodeClaimId),
    /// The NodeClaim object was removed.
    NodeClaimGone(NodeClaimId),
    /// Prices or availability of a node class's offerings changed, as far as Karpenter knows.
    Offerings(NodeClassId),
    /// A NodePool was created or its spec changed.
    NodePoolSpec(NodePoolId),
    /// An EC2NodeClass changed, or what its selectors find.
    NodeClassSpec(NodeClassId),
    /// A CapacityBuffer keeps room for another number of pods, or on other nodes.
    CapacityBuffers,
    /// Claims that waited for a node got their volumes.
    ClaimsBound,
    /// A PodDisruptionBudget was created, changed or deleted.
    PodDisruptionBudgets,
    /// Termination of an instance was asked of the cloud.
    InstanceTerminateRequested(InstanceId),
    /// An instance changed its state.
    InstanceState(InstanceId),
    /// The cloud announced that it will take a Spot instance back in two minutes.
    SpotInterruptionWarning(InstanceId),
    /// The cloud announced that the owner of an instance's capacity reservation takes it back in two minutes.
    ReservationInterruptionWarning(InstanceId),
    /// The cloud recommends to rebalance a Spot instance.
    RebalanceRecommendation(InstanceId),
    /// After SIGTERM, the process of this pod ended of its own accord.
    ConsumerStopped(PodId),
    /// The process of this pod ended by itself, its work being done (`true`, exit code 0) or not.
    ConsumerExited(PodId, bool),
    /// The process of this pod crashed; its container is started again as its restart policy says.
    ConsumerCrashed(PodId),
}
