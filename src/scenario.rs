//! What a user writes: TOML and manifests -> one validated [`Scenario`], with diagnostics that point at the line.

pub mod clocks;
pub mod diagnostic;
pub mod files;
pub mod latencies;
pub mod toml;
pub mod versions;
pub mod yaml;

use crate::object;
use crate::time::Duration;

object! {
    /// A scenario.
    pub struct Scenario {
        /// `[simulation]`.
        pub simulation: Simulation = crate::api::decode::defaults(),
        /// `[clocks]`.
        pub clocks: clocks::Clocks = crate::api::decode::defaults(),
        /// `[latencies]`.
        pub latencies: latencies::Latencies = crate::api::decode::defaults(),
        /// `[versions]`.
        pub versions: versions::Versions = crate::api::decode::defaults(),
    }
}

object! {
    /// The run as a whole.
    pub struct Simulation {
        /// Length of the run.
        pub duration: Duration = Duration::from_hours(1),
        /// Seed of all randomness.
        pub seed: u64 = 42,
        /// AWS region: prices, instance types, Spot savings.
        pub region: String = "us-east-1".to_owned(),
    }
}
