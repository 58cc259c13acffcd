//! How long a group is left alone after nodes that it was asked for did not come (`utils/backoff/exponential_backoff.go`).

use crate::time::{Duration, Time};

/// After a first failure (`--initial-node-group-backoff-duration`).
pub const INITIAL: Duration = Duration::from_mins(5);
/// At most (`--max-node-group-backoff-duration`).
pub const MAX: Duration = Duration::from_mins(30);
/// Failures older than this are forgotten (`--node-group-backoff-reset-timeout`).
pub const RESET: Duration = Duration::from_hours(3);

/// The failures of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    last: Option<(Time, Duration)>,
}

impl Backoff {
    /// A scale-up failed. Failures while the group rests change nothing.
    pub fn fail(&mut self, now: Time) {
        let duration = match self.last {
            Some((at, duration)) if now < at + duration => return,
            Some((at, duration)) if now < at + RESET => (duration * 2).min(MAX),
            _ => INITIAL,
        };
        self.last = Some((now, duration));
    }

    /// Nodes came: all is forgotten (`RemoveBackoff`).
    pub fn succeed(&mut self) {
        self.last = None;
    }

    /// When the group may grow again.
    #[must_use]
    pub fn until(&self) -> Option<Time> {
        self.last.map(|(at, duration)| at + duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_from_five_to_thirty_minutes_and_forgets_after_three_hours() {
        let minute = |minutes| Time::ZERO + Duration::from_mins(minutes);
        let mut backoff = Backoff::default();
        let mut rests = Vec::new();
        for at in [0, 6, 20, 50, 100, 300] {
            backoff.fail(minute(at));
            rests.push(backoff.until().map(|until| until.since(minute(at)).as_secs_f64() / 60.0));
        }
        assert_eq!(rests, [Some(5.0), Some(10.0), Some(20.0), Some(30.0), Some(30.0), Some(5.0)]);
        backoff.fail(minute(301));
        assert_eq!(backoff.until(), Some(minute(305)));
        backoff.succeed();
        assert_eq!(backoff.until(), None);
    }
}
