//! What Kubernetes keeps in its API server: the state through which controllers meet. Every write goes through a method here
//! and leaves a [`Change`] for the controllers that watch.

pub mod catalogue;
pub mod change;
pub mod decision;
pub mod disruption;
pub mod fargate;
pub mod ids;
pub mod instance;
pub mod invariants;
pub mod lifecycle;
pub mod node;
pub mod node_class;
pub mod node_group;
pub mod nodeclaim;
pub mod outlook;
pub mod pdb;
pub mod pod;
pub mod reservation;
pub mod rule;
pub mod state;
pub mod storage;
pub mod workload;
pub mod world;

pub use change::Change;
pub use decision::{Action, Controller, Counts, Decision, Detail, Subject};
pub use ids::*;
pub use lifecycle::Launched;
pub use rule::Rule;
pub use state::Cluster;
pub use world::{ExternalMetrics, MetricAnswer, NoQueues, QueueAttributes, QueueSource, World};
