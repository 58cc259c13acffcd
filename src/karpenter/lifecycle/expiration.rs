//! NodeClaims that have become too old (`nodeclaim/expiration/controller.go`). They are deleted whatever budgets, annotations
//! or the state of a replacement say.

use crate::time::{Duration, Time};

/// What the controller sleeps after each deletion; it handles one NodeClaim at a time.
pub const SLEEP: Duration = Duration::from_secs(1);

/// When a NodeClaim expires; `created` is in whole seconds, as stored.
#[must_use]
pub fn expires_at(created: Time, expire_after: Option<Duration>) -> Option<Time> {
    expire_after.map(|after| created + after)
}

/// The one worker: when it is free again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worker {
    free_at: Time,
}

impl Worker {
    /// The earliest instant from `now` on at which a deletion may happen.
    #[must_use]
    pub fn next(&self, now: Time) -> Time {
        self.free_at.max(now)
    }

    /// Notes a deletion.
    pub fn deleted(&mut self, now: Time) {
        self.free_at = now + SLEEP;
    }
}
