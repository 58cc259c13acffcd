//! What Kubernetes keeps in its API server: the state through which controllers meet.

pub mod catalogue;
