//! What a queue is told to be, ready for the model.

use super::QueueId;
use crate::engine::Distribution;
use crate::scenario::queues::{Counters, FifoThroughput, QueueSpec, Service};
use crate::time::Duration;

/// Retention of a dead-letter queue that the scenario does not declare.
const IMPLIED_DLQ_RETENTION: Duration = Duration::from_hours(14 * 24);

/// A queue's attributes and its service's habits.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSettings {
    /// Name.
    pub name: String,
    /// How messages are ordered and delivered.
    pub kind: QueueKind,
    /// VisibilityTimeout.
    pub visibility_timeout: Duration,
    /// DelaySeconds.
    pub delay: Duration,
    /// MessageRetentionPeriod.
    pub retention: Duration,
    /// ReceiveMessageWaitTimeSeconds.
    pub receive_wait_time: Duration,
    /// Redrive policy; `None` = none.
    pub redrive: Option<RedrivePolicy>,
    /// Messages in flight at most.
    pub in_flight_limit: u64,
    /// Size of a message in bytes, unless the send says otherwise.
    pub message_size: u32,
    /// Probability of an empty answer to a long poll though messages exist.
    pub empty_long_polls: f64,
    /// Probability that a deleted message is delivered once more.
    pub duplicates: f64,
    /// Receives after which a message goes to the back of the queue and out of the age metric; 0 = never. AWS: 3.
    pub back_after_receives: u32,
    /// Lag of each counter of GetQueueAttributes; `None` = exact.
    pub counter_lag: Option<Distribution>,
    /// Probability per read of an idle queue of phantom messages.
    pub phantoms: f64,
}

/// How messages are ordered and delivered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QueueKind {
    /// Standard queue.
    Standard {
        /// Servers that share the messages, 1 to 64.
        shards: u32,
        /// Probability that a short poll asks one server.
        sampling: f64,
    },
    /// Standard queue with message groups as tenants.
    Fair,
    /// FIFO queue.
    Fifo {
        /// Messages from the front among which available groups are looked for.
        look_ahead: u64,
        /// Partitions of 300 calls a second of each kind; 0 = unlimited.
        partitions: u32,
    },
}

/// When messages go to a dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// Deliveries of one message; the next attempt moves it.
    pub max_receive_count: u32,
    /// Where it goes.
    pub dead_letter_queue: QueueId,
}

impl QueueSettings {
    /// The settings of the queues of a scenario, in its order; dead-letter queues that are only named come after them.
    #[must_use]
    pub fn from_specs(specs: &[QueueSpec]) -> Vec<QueueSettings> {
        let mut all: Vec<QueueSettings> = specs.iter().map(Self::from_spec).collect();
        for (index, spec) in specs.iter().enumerate() {
            if spec.max_receive_count.is_none() && spec.dead_letter_queue.is_none() {
                continue;
            }
            let name = spec.dead_letter_queue.clone().unwrap_or_else(|| implied_name(spec));
            let target = all.iter().position(|queue| queue.name == name).unwrap_or_else(|| {
                let mut implied = Self::from_spec(spec);
                implied.name = name;
                implied.retention = IMPLIED_DLQ_RETENTION;
                implied.delay = Duration::ZERO;
                all.push(implied);
                all.len() - 1
            });
            all[index].redrive = Some(RedrivePolicy {
                max_receive_count: spec.max_receive_count.unwrap_or(10),
                dead_letter_queue: QueueId(target as u16),
            });
        }
        all
    }

    fn from_spec(spec: &QueueSpec) -> QueueSettings {
        let moto = spec.service == Service::Moto;
        let exact = if moto || spec.fifo { Counters::Exact } else { Counters::Approximate };
        let kind = if spec.fifo {
            let quota = if moto { FifoThroughput::Unlimited } else { FifoThroughput::Standard };
            let partitions = match spec.throughput.unwrap_or(quota) {
                FifoThroughput::Standard => 1,
                FifoThroughput::High => spec.partitions.max(1),
                FifoThroughput::Unlimited => 0,
            };
            QueueKind::Fifo { look_ahead: u64::from(spec.look_ahead), partitions }
        } else if spec.fair {
            QueueKind::Fair
        } else {
            QueueKind::Standard {
                shards: spec.shards.unwrap_or(if moto { 1 } else { 16 }).clamp(1, 64),
                sampling: spec.short_poll_sampling.unwrap_or(if moto { 1.0 } else { 0.5 }),
            }
        };
        QueueSettings {
            name: spec.name.clone(),
            kind,
            visibility_timeout: spec.visibility_timeout,
            delay: spec.delay,
            retention: spec.retention,
            receive_wait_time: spec.receive_wait_time,
            redrive: None,
            in_flight_limit: u64::from(spec.in_flight_limit),
            message_size: spec.message_size.bytes().clamp(0, i64::from(u32::MAX)) as u32,
            empty_long_polls: if spec.fifo {
                0.0
            } else {
                spec.empty_long_polls.unwrap_or(if moto { 0.0 } else { 0.001 })
            },
            duplicates: if spec.fifo { 0.0 } else { spec.duplicates.unwrap_or(if moto { 0.0 } else { 1e-6 }) },
            back_after_receives: if moto || spec.fifo { 0 } else { 3 },
            counter_lag: (spec.counters.unwrap_or(exact) == Counters::Approximate).then(|| spec.counter_lag.clone()),
            phantoms: spec.phantoms,
        }
    }
}

/// `orders` -> `orders-dlq`, `orders.fifo` -> `orders-dlq.fifo`.
fn implied_name(spec: &QueueSpec) -> String {
    match spec.name.strip_suffix(".fifo") {
        Some(stem) => format!("{stem}-dlq.fifo"),
        None => format!("{}-dlq", spec.name),
    }
}
