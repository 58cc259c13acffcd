//! `[objectives]`: what a run is held against.

use crate::api::decode::{Decode, Problems};
use crate::api::tree::Node;
use crate::object;
use crate::time::Duration;
use crate::units::Usd;

object! {
    /// Objectives; each one that is left out is not checked. They concern all queues together, without the warm-up.
    pub struct Objectives {
        /// Median of the wait, from the sending of a message to its first receive.
        pub p50_wait: Option<Duration>,
        /// 95th percentile of the wait.
        pub p95_wait: Option<Duration>,
        /// 99th percentile of the wait.
        pub p99_wait: Option<Duration>,
        /// Longest wait.
        pub max_wait: Option<Duration>,
        /// 95th percentile of the time from a message's sending to its deletion.
        pub p95_sojourn: Option<Duration>,
        /// Largest age of the oldest message (`ApproximateAgeOfOldestMessage`).
        pub max_age: Option<Duration>,
        /// Time after the last arrival by which no message is left.
        pub drained_within: Option<Duration>,
        /// Most messages in the dead-letter queue.
        pub dead_lettered: Option<u64>,
        /// Most messages processed more than once.
        pub duplicates: Option<u64>,
        /// Most USD for the run.
        pub max_cost: Option<Dollars>,
        /// Most USD per million messages.
        pub max_cost_per_million: Option<Dollars>,
        /// Most pods at a time.
        pub max_pods: Option<u32>,
        /// Most nodes at a time.
        pub max_nodes: Option<u32>,
    }
}

/// An amount of US dollars, written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dollars(pub Usd);

impl Decode for Dollars {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let dollars = f64::decode(node, problems)?;
        if !(0.0..=1e9).contains(&dollars) {
            problems.error(node.span, "not an amount of money", "must be between 0 and 1000000000 USD");
            return None;
        }
        Some(Dollars(Usd::from_f64(dollars)))
    }
    fn describe() -> String {
        "USD, a number >= 0".to_owned()
    }
}
