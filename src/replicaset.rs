//! Deployment, ReplicaSet and Job controllers: from a replica count to pod objects.

pub mod controller;
pub mod deployment;
pub mod job;
pub mod slow_start;
pub mod victims;

pub use controller::{Event, ReplicaSets};
