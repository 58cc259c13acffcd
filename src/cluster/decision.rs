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

macro_rules! actions {
    ($( $(#[doc = $doc:literal])* $variant:ident = $word:literal; )*) => {
        /// What was done, or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $( $(#[doc = $doc])* $variant, )*
        }

        impl Action {
            /// The word in files.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Action::$variant => $word, )*
                }
            }
        }
    };
}

actions! {
    /// Changes a count of replicas or nodes.
    Scale = "scale";
    /// Changes nothing, and says why.
    Hold = "hold";
    /// Creates an object, or several.
    Create = "create";
    /// Deletes an object, or several.
    Delete = "delete";
    /// Gives a pod its node.
    Bind = "bind";
    /// Was prevented.
    Blocked = "blocked";
    /// Plans NodeClaims.
    Plan = "plan";
    /// Replaces nodes by others.
    Replace = "replace";
    /// Gives up what it had begun.
    Abandon = "abandon";
    /// Finds something in the account.
    Find = "find";
    /// Finds a node drifted.
    Drift = "drift";
    /// Makes room by displacing others.
    Preempt = "preempt";
    /// Stops a loop.
    Pause = "pause";
    /// Finds something healthy.
    Healthy = "healthy";
    /// Finds something unhealthy.
    Unhealthy = "unhealthy";
    /// Changes a label.
    Relabel = "relabel";
    /// Refuses a launch.
    Refuse = "refuse";
    /// Launches an instance.
    Launch = "launch";
    /// Announces that an instance will go.
    Notice = "notice";
    /// Loses an instance.
    Lose = "lose";
    /// Terminates an instance.
    Terminate = "terminate";
    /// Takes an instance back.
    TakeBack = "take back";
    /// Taints a node.
    Taint = "taint";
    /// Stops a process.
    Stop = "stop";
    /// Asks no more for a while.
    Backoff = "backoff";
    /// Finds a node unneeded.
    Mark = "mark";
    /// Lets a Job fail.
    Fail = "fail";
}

/// The count that a decision is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The value before.
    pub from: Option<i64>,
    /// The value after.
    pub to: Option<i64>,
    /// The value that the controller would have chosen without the rule, where the rule changed it.
    pub wanted: Option<i64>,
}

impl Counts {
    /// From one value to another.
    #[must_use]
    pub const fn change(from: i64, to: i64) -> Self {
        Counts { from: Some(from), to: Some(to), wanted: None }
    }

    /// So many, where there was no value before.
    #[must_use]
    pub const fn to(count: i64) -> Self {
        Counts { from: None, to: Some(count), wanted: None }
    }
}

/// What a controller saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// One sentence.
    Text(Box<str>),
    /// One sentence about a count.
    Count(Box<(Counts, Box<str>)>),
    /// A Node, to which a pod goes: written out only when it is read, since there is one for each pod.
    To(NodeId),
}

impl From<String> for Detail {
    fn from(text: String) -> Detail {
        Detail::Text(text.into_boxed_str())
    }
}

impl From<&str> for Detail {
    fn from(text: &str) -> Detail {
        Detail::Text(text.into())
    }
}

/// One decision. A run keeps all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// By whom.
    pub controller: Controller,
    /// About what.
    pub subject: Subject,
    /// What was done, or not.
    pub action: Action,
    /// The rule that applied.
    pub rule: Rule,
    /// What the controller saw.
    pub detail: Detail,
}

impl Decision {
    /// A decision.
    #[must_use]
    pub fn plain(
        at: Time,
        controller: Controller,
        subject: Subject,
        action: Action,
        rule: Rule,
        detail: impl Into<Detail>,
    ) -> Self {
        Decision { at, controller, subject, action, rule, detail: detail.into() }
    }

    /// The same about a count, if there is one.
    #[must_use]
    pub fn about(self, counts: impl Into<Option<Counts>>) -> Self {
        match (self.detail, counts.into()) {
            (Detail::Text(text), Some(counts)) => Decision { detail: Detail::Count(Box::new((counts, text))), ..self },
            (detail, _) => Decision { detail, ..self },
        }
    }

    /// The count that it is about; nothing where it is about none.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match &self.detail {
            Detail::Count(about) => about.0,
            Detail::Text(_) | Detail::To(_) => Counts::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_small_for_a_run_keeps_all_of_them() {
        assert!(size_of::<Decision>() <= 48, "{} bytes", size_of::<Decision>());
    }
}
