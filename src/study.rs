//! Many runs: replications and their statistics, sweeps, tuning, comparison, shards and merge.

pub mod compare;
pub mod constraint;
pub mod design;
pub mod effects;
pub mod measures;
pub mod pareto;
pub mod plan;
pub mod profile;
pub mod space;
pub mod statistics;
pub mod sweep;
pub mod table;
pub mod tune;
pub mod worth;
