//! Many runs: replications and their statistics, sweeps, tuning, comparison, shards and merge.

pub mod design;
pub mod statistics;
