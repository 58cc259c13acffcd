//! Karpenter: which nodes to launch for pending pods, and which to remove.

pub mod disruption;
pub mod lifecycle;
pub mod scheduling;
