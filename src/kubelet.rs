//! kubelet and what watches over nodes: images, probes, termination, joining, heartbeats, eviction, garbage collection, daemons.

pub mod controller;
mod crash_faults;
mod daemon_sets;
pub mod daemons;
pub mod health;
pub mod images;
mod kubelet_faults;
mod node_health;
mod node_start;
mod pod_workers;
pub mod probes;
pub mod termination;
mod volumes;

pub use controller::{Event, Kubelets};
