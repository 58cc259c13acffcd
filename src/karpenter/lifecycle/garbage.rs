//! NodeClaims without an instance and instances without a NodeClaim (`nodeclaim/garbagecollection/controller.go`;
//! karpenter-provider-aws `pkg/controllers/nodeclaim/garbagecollection/controller.go`).

use crate::time::Duration;

/// Time between two passes of both collectors.
pub const PERIOD: Duration = Duration::from_mins(2);
/// Time between the first passes of the collector of instances.
pub const EARLY_PERIOD: Duration = Duration::from_secs(10);
/// How many passes of the collector of instances are early.
pub const EARLY_PASSES: u32 = 20;
/// Age before which an instance without a NodeClaim is left alone.
pub const MIN_INSTANCE_AGE: Duration = Duration::from_secs(30);

/// A NodeClaim as the collector sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimView {
    /// Condition Registered.
    pub registered: bool,
    /// Has a deletionTimestamp.
    pub deleting: bool,
    /// Whether the cloud lists its instance.
    pub instance_exists: bool,
    /// Its Node's Ready condition; `None` = there is no Node.
    pub node_ready: Option<bool>,
}

/// Whether the NodeClaim is deleted.
#[must_use]
pub fn collects(claim: &ClaimView) -> bool {
    claim.registered && !claim.deleting && !claim.instance_exists && claim.node_ready != Some(true)
}

/// Whether an instance is terminated.
#[must_use]
pub fn collects_instance(has_claim: bool, age: Duration) -> bool {
    !has_claim && age >= MIN_INSTANCE_AGE
}

/// Time to the next pass of the collector of instances after `passes` of them.
#[must_use]
pub const fn instance_period(passes: u32) -> Duration {
    if passes <= EARLY_PASSES { EARLY_PERIOD } else { PERIOD }
}
