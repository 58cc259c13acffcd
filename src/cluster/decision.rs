//! The decision log: what a controller did or was prevented from doing, what it saw and which rule applied.

use super::ids::{
    DeploymentId, HpaId, InstanceId, JobId, NodeClaimId, NodeId, NodePoolId, PodId, ScaledJobId, ScaledObjectId,
};
use super::rule::Rule;
use crate::time::Time;

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// The user, through a timed change.
    User,
    /// KEDA's operator.
    Keda,
    /// The HorizontalPodAutoscaler controller.
    Hpa,
    /// Deployment, ReplicaSet and Job controllers.
    ReplicaSet,
    /// kube-scheduler.
    Scheduler,
    /// kubelet and node lifecycle.
    Kubelet,
    /// Karpenter's provisioner.
    Provisioner,
    /// Karpenter's NodeClaim lifecycle and termination.
    NodeLifecycle,
    /// Karpenter's disruption loop.
    Disruption,
    /// Cluster Autoscaler.
    ClusterAutoscaler,
    /// EC2.
    Ec2,
    /// The Fargate scheduler.
    Fargate,
}

/// What a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The cluster as a whole.
    Cluster,
    /// A ScaledObject.
    ScaledObject(ScaledObjectId),
    /// A ScaledJob.
    ScaledJob(ScaledJobId),
    /// An HPA.
    Hpa(HpaId),
    /// A Deployment.
    Deployment(DeploymentId),
    /// A Job.
    Job(JobId),
    /// A pod.
    Pod(PodId),
    /// A Node.
    Node(NodeId),
    /// A NodeClaim.
    NodeClaim(NodeClaimId),
    /// A NodePool.
    NodePool(NodePoolId),
    /// An instance.
    Instance(InstanceId),
}

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// By whom.
    pub controller: Controller,
    /// About what.
    pub subject: Subject,
    /// What was done, or not: `scale`, `hold`, `create`, `delete`, `bind`, `blocked`, ...
    pub action: &'static str,
    /// The rule that applied.
    pub rule: Rule,
    /// The value before, where the decision changes a count.
    pub from: Option<i64>,
    /// The value after.
    pub to: Option<i64>,
    /// The value that the controller would have chosen without the rule, where the rule changed it.
    pub wanted: Option<i64>,
    /// What the controller saw, in one sentence.
    pub detail: String,
}

impl Decision {
    /// A decision that changes no count.
    #[must_use]
    pub fn plain(
        at: Time,
        controller: Controller,
        subject: Subject,
        action: &'static str,
        rule: Rule,
        detail: String,
    ) -> Self {
        Decision { at, controller, subject, action, rule, from: None, to: None, wanted: None, detail }
    }
}
