//! kubelet and what watches over nodes: images, probes, termination, joining, heartbeats, eviction, garbage collection, daemons.

pub mod daemons;
pub mod health;
pub mod images;
pub mod probes;
pub mod termination;
