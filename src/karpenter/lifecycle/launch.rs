//! What becomes of a NodeClaim whose launch failed (`nodeclaim/lifecycle/launch.go`), and the pace of retries.

use crate::cluster::nodeclaim::LaunchError;
use crate::time::{Duration, Time};

/// First retry of a failing NodeClaim.
pub const BASE_DELAY: Duration = Duration::from_secs(1);
/// Longest time between retries.
pub const MAX_DELAY: Duration = Duration::from_secs(60);
/// Time after which a NodeClaim that was not launched is deleted (`liveness.go: LaunchTimeout`).
pub const LAUNCH_TIMEOUT: Duration = Duration::from_mins(5);

/// What to do after a failed launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Delete the NodeClaim at once: its pods are planned again without the refused offerings.
    Delete,
    /// Ask again at that time.
    RetryAt(Time),
}

/// Decides it; `failures` counts this one.
#[must_use]
pub fn after_failure(error: LaunchError, failures: u32, now: Time) -> AfterFailure {
    match error {
        LaunchError::InsufficientCapacity => AfterFailure::Delete,
        LaunchError::Retryable => AfterFailure::RetryAt(now + backoff(BASE_DELAY, MAX_DELAY, failures)),
    }
}

/// `base · 2^(failures − 1)`, at most `max` (client-go `ItemExponentialFailureRateLimiter`); `failures` from 1.
#[must_use]
pub fn backoff(base: Duration, max: Duration, failures: u32) -> Duration {
    (base * (1_i64 << failures.saturating_sub(1).min(30))).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_capacity_ends_the_claim_and_other_errors_are_retried_ever_slower() {
        let now = Time::from_micros(7);
        assert_eq!(after_failure(LaunchError::InsufficientCapacity, 1, now), AfterFailure::Delete);
        let delays =
            [1, 2, 3, 4, 5, 6, 7, 8, 99].map(|failures| match after_failure(LaunchError::Retryable, failures, now) {
                AfterFailure::RetryAt(at) => at.since(now).as_micros() / 1_000_000,
                AfterFailure::Delete => -1,
            });
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
