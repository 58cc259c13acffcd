//! One run.
pub mod build;
pub mod changes;
