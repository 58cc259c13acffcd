//! EKS Fargate: pods that a Fargate profile selects get a machine of their own, sized and paid for by the pod.

pub mod controller;
pub mod size;

pub use controller::{Event, Fargate};
