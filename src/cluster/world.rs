//! What a controller is handed when it acts.

use super::ids::QueueId;
use super::state::Cluster;
use crate::scenario::Scenario;
use crate::time::Time;
use crate::units::{Cpu, Memory};

/// The answer of `GetQueueAttributes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueAttributes {
    /// `ApproximateNumberOfMessages`.
    pub visible: u64,
    /// `ApproximateNumberOfMessagesNotVisible`.
    pub not_visible: u64,
    /// `ApproximateNumberOfMessagesDelayed`.
    pub delayed: u64,
}

/// The queues as the control plane sees them.
pub trait QueueSource {
    /// `GetQueueAttributes` now; `None` when the call fails (the queue does not exist, the API is out).
    fn attributes(&mut self, queue: QueueId, now: Time) -> Option<QueueAttributes>;
    /// The kubelet's counter of a pod's CPU: core-seconds used since its start, up to `now`, which is the present. A counter that
    /// has gone back is that of a restarted container. `request` is the pod's CPU request. `None` = its use of CPU is not known.
    fn cpu_time(&mut self, pod: super::ids::PodId, request: Cpu, now: Time) -> Option<f64>;
    /// The working set of a pod's containers now. `None` = it is not known.
    fn memory(&mut self, pod: super::ids::PodId) -> Option<Memory>;
}

/// No queues, for those who ask for none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoQueues;

impl QueueSource for NoQueues {
    fn attributes(&mut self, _: QueueId, _: Time) -> Option<QueueAttributes> {
        None
    }
    fn cpu_time(&mut self, _: super::ids::PodId, _: Cpu, _: Time) -> Option<f64> {
        None
    }
    fn memory(&mut self, _: super::ids::PodId) -> Option<Memory> {
        None
    }
}

/// The present, the shared state, and the settings.
pub struct World<'a> {
    /// Now.
    pub now: Time,
    /// Shared state.
    pub cluster: &'a mut Cluster,
    /// Settings.
    pub scenario: &'a Scenario,
    /// Queues.
    pub queues: &'a mut dyn QueueSource,
}

/// What the external metrics API answers to the HPA controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricAnswer {
    /// Series in thousandths, or the error.
    pub values: Result<Vec<i64>, String>,
    /// Whether the answer came from a cache, without a call to the source.
    pub cached: bool,
}

/// The external metrics API: asks the ScaledObject's owner for one of its metrics, by name. The simulation wires it, because
/// controllers do not know each other.
pub type ExternalMetrics<'a> = dyn FnMut(super::ids::ScaledObjectId, &str, &mut World<'_>) -> MetricAnswer + 'a;
