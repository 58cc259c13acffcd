//! Which nodes to remove, and what replaces them: emptiness, drift, multi-node and single-node consolidation.
//!
//! The pure cores look at plain values ([`model::Observed`]) and answer with commands and reasons; the shell runs the one
//! sequential loop with its clocks.

pub mod balanced;
pub mod budget;
pub mod candidate;
pub mod command;
pub mod consolidation;
pub mod controller;
pub mod cost;
pub mod drift_detection;
pub mod execution;
pub mod journal;
pub mod model;
pub mod pass;
pub mod pods;
pub mod queue;
pub mod quiet;
pub mod replacement;
pub mod running;
pub mod search;
pub mod simulate;
pub mod snapshot;
pub mod state;
pub mod unchanged;
pub mod validation;
pub mod watch;

pub use controller::{Disruption, Event};

#[cfg(test)]
mod tests;
