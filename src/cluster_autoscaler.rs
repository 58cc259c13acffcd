//! Cluster Autoscaler (`kubernetes/autoscaler: cluster-autoscaler`): sizes node groups of one instance type each, one scan after
//! another, by trying pending pods on nodes that do not exist yet and the pods of idle nodes on those that stay.
//!
//! Pure core: [`fit`] tells what a node takes, [`estimator`] how many nodes of a group some pods need, [`expander`] which group,
//! [`scale_up`] puts the three together; [`scale_down`] finds nodes whose pods find room elsewhere; [`backoff`] leaves a group
//! alone whose nodes did not come. Shell: [`controller`] scans, [`observe`] reads the cluster, [`groups`] stands for the Auto
//! Scaling groups, [`deletion`] empties nodes.

pub mod backoff;
pub mod controller;
pub mod deletion;
pub mod estimator;
pub mod expander;
pub mod fit;
pub mod groups;
pub mod observe;
mod outlook;
pub mod scale_down;
pub mod scale_up;

pub use controller::{ClusterAutoscaler, Event};
