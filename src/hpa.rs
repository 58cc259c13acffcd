//! The HorizontalPodAutoscaler controller of kube-controller-manager (`pkg/controller/podautoscaler`).
//!
//! Pure core, in the order of a pass: [`replica_calculator`] and [`pod_metrics`] turn metrics into proposals, [`metrics`] picks
//! one of them, [`normalize`] stabilizes and limits it with the help of the [`history`], [`mod@reconcile`] is the whole pass.
//! Shell: [`controller`] queues passes, [`observe`] reads the cluster for them, [`metrics_server`] samples the pods' CPU.

pub mod controller;
pub mod history;
pub mod metrics;
pub mod metrics_server;
pub mod normalize;
pub mod observe;
pub mod pod_metrics;
pub mod reconcile;
pub mod replica_calculator;
pub mod settings;
pub mod status;

pub use controller::{Controller, Event};
pub use history::History;
pub use metrics::{Metric, Reading, Target};
pub use reconcile::{Autoscaler, Decision, Observed, Selector, reconcile};
pub use settings::{Capabilities, Settings, Tolerances};
pub use status::{Condition, Conditions, Reason, Status};
