//! The Kubernetes-shaped objects: fields, defaults and decoding. One type serves YAML manifests and TOML tables.

pub mod capacity_buffer;
pub mod decode;
pub mod distribution;
pub mod formula;
pub mod hpa;
pub mod karpenter;
pub mod keda;
pub mod meta;
pub mod pod;
pub mod rate;
pub mod scalar;
pub mod storage;
pub mod tree;
pub mod workload;
pub mod written;
