//! kube-scheduler: which pod is tried when ([`queue`]), which node it gets ([`choose`]), whom it displaces ([`preemption`]).

pub mod affinity;
pub mod choose;
pub mod controller;
pub mod diagnosis;
pub mod filter;
pub mod hints;
mod memory;
pub mod preemption;
pub mod queue;
pub mod score;
pub mod shape;
pub mod snapshot;
pub mod spread;
pub mod volumes;

pub use controller::{Event, Scheduler};
