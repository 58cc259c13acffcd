//! `[simulation]`: the run as a whole.

use crate::api::decode::{Decode, Problems};
use crate::api::tree::Node;
use crate::time::Duration;
use crate::{choice, object};

object! {
    /// The run as a whole.
    pub struct Simulation {
        /// Length of the run.
        pub duration: Duration = Duration::from_hours(1),
        /// Seed of all randomness.
        pub seed: u64 = 42,
        /// AWS region: prices, instance types, Spot savings.
        pub region: String = "us-east-1".to_owned(),
        /// Availability zones that nodes may be in; empty = the region's first three (`us-east-1a`, `us-east-1b`, `us-east-1c`).
        pub zones: Vec<String>,
        /// Wall-clock time (UTC) at the beginning: schedules of budgets and cron triggers count from here.
        pub start: StartTime = StartTime::DEFAULT,
        /// Manifests to read: paths from this file's folder, in which `*` stands for any part of one name.
        pub manifests: Vec<String>,
        /// Beginning of the run that statistics leave out.
        pub warm_up: Duration = Duration::ZERO,
        /// Whether the run ends as soon as no message is left and none will arrive, and no node of Karpenter's is left.
        pub stop_when_idle: bool = false,
        /// How nodes, images and messages behave where it is not said otherwise.
        pub profile: Profile = Profile::Aws,
        /// Most messages of a run; it ends early, and says so, when more arrive.
        pub max_messages: u64 = 1_000_000_000,
        /// Most pods that may exist at a time; beyond, the run ends early and says so.
        pub max_pods: u32 = 200_000,
    }
}

choice! {
    /// What the surroundings are like.
    pub enum Profile {
        /// EC2: instances boot, images are pulled, queue counters lag.
        Aws = "aws",
        /// KWOK nodes: no boot, no images, exact counters, as in a test cluster without machines.
        Kwok = "kwok",
    }
}

/// A civil time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix_seconds: i64,
}

impl StartTime {
    /// Monday, 2026-01-05T00:00:00Z.
    pub const DEFAULT: StartTime = StartTime { unix_seconds: 1_767_571_200 };
}

impl Decode for StartTime {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = node.as_str().unwrap_or_default();
        let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
            let civil: jiff::civil::DateTime = text.parse().ok()?;
            jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
        });
        match instant {
            Some(instant) => Some(StartTime { unix_seconds: instant.as_second() }),
            None => {
                let help = "in UTC, such as \"2026-01-05T09:00:00Z\"";
                problems.error_with_help(node.span, "expected a date and time", "not a date and time", help);
                None
            }
        }
    }
    fn show(&self) -> String {
        jiff::Timestamp::from_second(self.unix_seconds).map(|start| format!("\"{start}\"")).unwrap_or_default()
    }
    fn describe() -> String {
        "a date and time in UTC such as \"2026-01-05T09:00:00Z\"".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tree::{Span, Value};

    #[test]
    fn start_times_are_utc_unless_they_say_otherwise() {
        let read = |text: &str| {
            let node = Node { value: Value::Str(text.to_owned()), span: Span::default() };
            StartTime::decode(&node, &mut Problems::default()).map(|start| start.unix_seconds)
        };
        assert_eq!(read("2026-01-05T00:00:00Z"), Some(StartTime::DEFAULT.unix_seconds));
        assert_eq!(read("2026-01-05T00:00:00"), Some(StartTime::DEFAULT.unix_seconds));
        assert_eq!(read("2026-01-05T01:00:00+01:00"), Some(StartTime::DEFAULT.unix_seconds));
        assert_eq!(read("2026-01-05"), Some(StartTime::DEFAULT.unix_seconds));
        assert_eq!(read("monday"), None);
    }
}
