//! Node repair (`node/health/controller.go`; gate `NodeRepair`; policies of karpenter-provider-aws `pkg/cloudprovider:
//! RepairPolicies`).

use crate::time::{Duration, Time};

/// Unhealthy nodes of a pool beyond which nothing is repaired, in percent, rounded up.
const ALLOWED_UNHEALTHY_PERCENT: usize = 20;
/// Time to the next look when too many nodes are unhealthy.
pub const BLOCKED_RETRY: Duration = Duration::from_mins(5);
/// How long a node may be NotReady.
pub const NOT_READY_TOLERATION: Duration = Duration::from_mins(30);

/// What to do with an unhealthy node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Too many nodes of the pool are unhealthy: look again at that time.
    BlockedUntil(Time),
    /// Delete its NodeClaim with the drain's deadline set to now.
    Delete,
}

/// Decides for a node that has been NotReady for [`NOT_READY_TOLERATION`], in a pool of `nodes` of which `unhealthy` are.
#[must_use]
pub fn repair(unhealthy: usize, nodes: usize, now: Time) -> Repair {
    if unhealthy > (nodes * ALLOWED_UNHEALTHY_PERCENT).div_ceil(100) {
        Repair::BlockedUntil(now + BLOCKED_RETRY)
    } else {
        Repair::Delete
    }
}
