//! Karpenter: which nodes to launch for pending pods, and which to remove.

pub mod batcher;
pub mod buffers;
pub mod disruption;
pub mod lifecycle;
mod outlooks;
pub mod provisioning;
pub mod scheduling;
#[cfg(test)]
mod small_cluster;
pub mod state;
pub mod static_capacity;
pub mod storage;
