//! Typed indices of everything in the cluster.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )* };
}

ids! {
    /// A pod; ids follow the order of creation.
    PodId,
    /// A pod template that pods share.
    ShapeId,
    /// A Node object.
    NodeId,
    /// A NodeClaim.
    NodeClaimId,
    /// A NodePool.
    NodePoolId,
    /// A node class.
    NodeClassId,
    /// An EC2 instance (or a KWOK stand-in).
    InstanceId,
    /// A Deployment.
    DeploymentId,
    /// A Job.
    JobId,
    /// A DaemonSet.
    DaemonSetId,
    /// A ScaledObject.
    ScaledObjectId,
    /// A ScaledJob.
    ScaledJobId,
    /// A HorizontalPodAutoscaler.
    HpaId,
    /// A queue.
    QueueId,
}
