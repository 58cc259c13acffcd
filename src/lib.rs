//! forescale: rehearse KEDA + Karpenter autoscaling before you pay for it.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod cluster_autoscaler;
pub mod consumer;
pub mod ec2;
pub mod engine;
pub mod fargate;
pub mod hpa;
pub mod karpenter;
pub mod keda;
pub mod kubelet;
pub mod replicaset;
pub mod report;
pub mod scenario;
pub mod scheduler;
pub mod simulation;
pub mod sqs;
pub mod study;
pub mod telemetry;
pub mod time;
pub mod traffic;
pub mod units;
