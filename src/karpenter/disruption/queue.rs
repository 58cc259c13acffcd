//! Commands under way: replacements that must become initialized before the old nodes go
//! (`pkg/controllers/disruption/queue.go`).

use crate::time::{Duration, Time};

/// How often a command is looked at (`queueBaseDelay`).
pub const POLL: Duration = Duration::from_secs(1);

/// Where a replacement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacementState {
    /// Its NodeClaim exists and is not initialized.
    Booting,
    /// It is or was initialized; once is enough.
    Initialized,
    /// Its NodeClaim is gone.
    Gone,
}

/// What to do with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Look again after [`POLL`].
    Wait,
    /// Delete the candidates' NodeClaims; the command is done.
    Delete,
    /// Give up: untaint and unmark the candidates, keep what was launched.
    Fail(Failure),
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A replacement's NodeClaim disappeared.
    ReplacementGone,
    /// It took too long.
    Timeout,
}

/// Longest life of a command: 80 ms for every queued candidate, 10 min to 1 h (`GetMaxRetryDuration`).
#[must_use]
pub fn timeout(queued_candidates: usize) -> Duration {
    let scaled = Duration::from_millis(80) * queued_candidates as i64;
    scaled.clamp(Duration::from_mins(10), Duration::from_hours(1))
}

/// What to do with a command created at `created_at` (`waitOrTerminate`). One whose time is over fails even if all its
/// replacements are there.
#[must_use]
pub fn progress(replacements: &[ReplacementState], created_at: Time, timeout: Duration, now: Time) -> Progress {
    if replacements.contains(&ReplacementState::Gone) {
        Progress::Fail(Failure::ReplacementGone)
    } else if now.since(created_at) > timeout {
        Progress::Fail(Failure::Timeout)
    } else if replacements.contains(&ReplacementState::Booting) {
        Progress::Wait
    } else {
        Progress::Delete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vector 38.
    #[test]
    fn timeout_grows_with_the_queue() {
        for (queued, seconds) in
            [(100, 600), (4_000, 600), (10_000, 800), (40_000, 3200), (80_000, 3600), (100_000, 3600)]
        {
            assert_eq!(timeout(queued), Duration::from_secs(seconds), "{queued}");
        }
    }

    /// Vector 39: a replacement that is not ready after 11 min, or is gone, ends the command.
    #[test]
    fn late_or_lost_replacements_fail_the_command() {
        let at = |minutes| Time::ZERO + Duration::from_mins(minutes);
        let ten = Duration::from_mins(10);
        let states = [ReplacementState::Initialized, ReplacementState::Booting];
        assert_eq!(progress(&states, at(0), ten, at(9)), Progress::Wait);
        assert_eq!(progress(&states, at(0), ten, at(11)), Progress::Fail(Failure::Timeout));
        assert_eq!(progress(&[ReplacementState::Initialized], at(0), ten, at(11)), Progress::Fail(Failure::Timeout));
        assert_eq!(progress(&[ReplacementState::Gone], at(0), ten, at(1)), Progress::Fail(Failure::ReplacementGone));
        assert_eq!(progress(&[ReplacementState::Initialized], at(0), ten, at(1)), Progress::Delete);
        assert_eq!(progress(&[], at(0), ten, at(0)), Progress::Delete);
    }
}
