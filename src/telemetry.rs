//! What a run remembers: time series, histograms, money, decisions, blame.

pub mod blame;
pub mod figures;
pub mod invariants;
pub mod ledger;
pub mod names;
pub mod outcome;
pub mod recorder;
pub mod reserved;
pub mod series;

pub use crate::engine::Durations;
pub use blame::{Blame, Factor, HpaBrake, Snapshot, Stuck};
pub use figures::NodeState;
pub use names::Names;
pub use outcome::{
    Ended, Mark, MarkKind, NodeInfo, NodeKey, NodeRecord, Outcome, PodRecord, QueueRecord, QueueSample, QueueTotals,
    RunInfo, Total, WorkloadKey, WorkloadRecord,
};
pub use recorder::{PodWork, Recorder};
pub use series::Series;
