//! The loops of KEDA's operator: when they poll, and what polls of ScaledJobs and of series do.

#[path = "../support/driver.rs"]
mod driver;
mod jobs;
mod phases;
