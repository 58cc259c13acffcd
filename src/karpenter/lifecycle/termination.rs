//! The end of a Node and of its NodeClaim (`node/termination/controller.go: finalize`, `nodeclaim/lifecycle/controller.go:
//! finalize`).

use crate::time::{Duration, Time};

/// Time between two looks at a node that drains or whose volumes are still attached.
pub const DRAIN_POLL: Duration = Duration::from_secs(1);
/// Shortest drain, counted from the whole second in which it began (`MinDrainTime`).
pub const MIN_DRAIN_TIME: Duration = Duration::from_secs(5);
/// Time between two looks at an instance that is being terminated.
pub const INSTANCE_POLL: Duration = Duration::from_secs(5);

/// What the finalizer of a Node sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminationView {
    /// Ready condition of the Node.
    pub node_ready: bool,
    /// Whether the cloud still knows the instance.
    pub instance_exists: bool,
    /// Condition Drained.
    pub drain: DrainState,
    /// Pods that the drain waits for.
    pub waiting_pods: usize,
    /// Whether volumes of drainable pods are still attached.
    pub volumes_attached: bool,
    /// Deadline of the drain.
    pub deadline: Option<Time>,
}

/// Condition Drained of a NodeClaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainState {
    /// Not set: the drain begins now.
    Absent,
    /// Unknown since that time; the condition keeps whole seconds.
    Draining(Time),
    /// True.
    Drained,
}

/// What the finalizer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationStep {
    /// The instance is gone and the kubelet silent: remove the Node without a drain.
    RemoveWithoutDrain,
    /// The drain goes on: look again after `DRAIN_POLL`.
    AwaitDrain,
    /// Drained, but volumes are attached: look again after `DRAIN_POLL`.
    AwaitVolumeDetachment,
    /// Terminate the instance (again, harmlessly). Remove the Node if the cloud no longer knows it, else look again after
    /// `INSTANCE_POLL`.
    TerminateInstance,
}

/// One reconcile.
#[must_use]
pub fn finalize_node(view: &TerminationView, now: Time) -> TerminationStep {
    if !view.node_ready && !view.instance_exists {
        return TerminationStep::RemoveWithoutDrain;
    }
    let long_enough = match view.drain {
        DrainState::Absent => false,
        DrainState::Draining(since) => now.since(since) >= MIN_DRAIN_TIME,
        DrainState::Drained => true,
    };
    if view.waiting_pods > 0 || !long_enough {
        return TerminationStep::AwaitDrain;
    }
    let deadline_passed = view.deadline.is_some_and(|deadline| now > deadline);
    if view.volumes_attached && !deadline_passed {
        return TerminationStep::AwaitVolumeDetachment;
    }
    TerminationStep::TerminateInstance
}

/// What the finalizer of a NodeClaim does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimStep {
    /// Delete its Node, if that has no deletionTimestamp yet, and wait until it is gone.
    AwaitNode,
    /// Terminate the instance (again, harmlessly) and look again after `INSTANCE_POLL`.
    TerminateInstance,
    /// Remove the NodeClaim.
    Remove,
}

/// One reconcile of a deleting NodeClaim. A NodeClaim that was never registered is not drained.
#[must_use]
pub const fn finalize_claim(registered: bool, node_exists: bool, launched: bool, instance_exists: bool) -> ClaimStep {
    if registered && node_exists {
        ClaimStep::AwaitNode
    } else if launched && instance_exists {
        ClaimStep::TerminateInstance
    } else {
        ClaimStep::Remove
    }
}

/// Deadline of a drain, set once when the NodeClaim got its deletionTimestamp
/// (`ensureTerminationGracePeriodTerminationTimeAnnotation`).
#[must_use]
pub fn deadline(present: Option<Time>, deletion_timestamp: Time, grace: Option<Duration>) -> Option<Time> {
    present.or_else(|| grace.map(|grace| deletion_timestamp + grace))
}
