//! What people look at: the end screen, charts, CSV and JSON.

pub mod chart;
pub mod files;
pub mod numbers;
pub mod objectives;
#[cfg(test)]
mod sample;
pub mod screen;
pub mod summary;
pub mod tables;
pub mod timeline;
