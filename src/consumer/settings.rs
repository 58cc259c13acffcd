//! What the pods of one Deployment or ScaledJob do, ready for the model: a client's habits with the scenario's overrides.

use crate::engine::Distribution;
use crate::scenario::clients::{self, LONG_POLL};
use crate::scenario::consumers::{Ack, Backoff, ConsumerSpec, Heartbeat, OnError, OnTerm, PollMode};
use crate::sqs::{QueueId, QueueSettings};
use crate::time::Duration;
use crate::units::Cpu;

/// Resolved settings of a kind of consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerSettings {
    /// Name of its Deployment or ScaledJob.
    pub name: String,
    /// Whether its pods are jobs: they exit when their messages are done or none is there.
    pub job: bool,
    /// The queue it reads.
    pub queue: QueueId,
    /// Processing time of a message.
    pub processing: Distribution,
    /// Messages per receive at most.
    pub batch: u32,
    /// WaitTimeSeconds.
    pub wait: Duration,
    /// Pause after an empty receive.
    pub idle_poll: Duration,
    /// Parallel handlers of a loop.
    pub slots: u32,
    /// Loops in a pod.
    pub threads: u32,
    /// Messages held beyond the slots.
    pub prefetch: u32,
    /// When a loop asks for more.
    pub poll_mode: PollMode,
    /// When a message is deleted.
    pub ack: Ack,
    /// Longest wait of a batched delete.
    pub ack_interval: Duration,
    /// VisibilityTimeout of the receive; `None` = the queue's.
    pub visibility: Option<Duration>,
    /// Extensions of the visibility timeout.
    pub heartbeat: Option<Heartbeat>,
    /// Reaction to SIGTERM.
    pub on_term: OnTerm,
    /// Longest drain; `None` = until SIGKILL.
    pub drain_limit: Option<Duration>,
    /// Whether a stopping loop waits for its outstanding long poll.
    pub finish_poll: bool,
    /// Whether cut-off long polls can still be answered.
    pub orphaned_polls: bool,
    /// Reaction to a failed message.
    pub on_error: OnError,
    /// Backoff of failed messages.
    pub backoff: Backoff,
    /// Probability that an attempt fails.
    pub failures: f64,
    /// Probability that all attempts at a message fail.
    pub poison: f64,
    /// Probability that an attempt kills the pod.
    pub crashes: f64,
    /// Probability that an answer is lost.
    pub lost_receives: f64,
    /// Before the first message of each batch starts.
    pub batch_overhead: Distribution,
    /// Ready to first receive.
    pub warm_up: Distribution,
    /// Exit after this long without messages.
    pub idle_exit: Option<Duration>,
    /// Exit after this many messages per loop.
    pub max_messages: Option<u32>,
    /// Round trip of a receive with messages; `None` = 0.
    pub receive_latency: Option<Distribution>,
    /// Round trip of a delete; `None` = 0.
    pub delete_latency: Option<Distribution>,
    /// Round trip of an empty short poll.
    pub empty_latency: Duration,
    /// CPU of a busy slot.
    pub cpu_busy: Option<Cpu>,
    /// CPU of an idle pod.
    pub cpu_idle: Cpu,
}

impl ConsumerSettings {
    /// The settings that a scenario means for a consumer of this queue.
    #[must_use]
    pub fn from_spec(spec: &ConsumerSpec, queue: QueueId, queue_settings: &QueueSettings) -> Self {
        let fifo = matches!(queue_settings.kind, crate::sqs::settings::QueueKind::Fifo { .. });
        let habits = spec.habits(fifo);
        let wait = habits.wait.unwrap_or(queue_settings.receive_wait_time).min(LONG_POLL);
        let job = spec.job.is_some();
        let name = spec.deployment.clone().or_else(|| spec.job.clone()).unwrap_or_else(|| spec.queue.clone());
        ConsumerSettings {
            name,
            job,
            queue,
            processing: spec.processing.clone(),
            batch: habits.batch,
            wait,
            idle_poll: habits.idle_poll,
            slots: habits.slots,
            threads: habits.threads,
            prefetch: habits.prefetch,
            poll_mode: habits.poll_mode,
            ack: habits.ack,
            ack_interval: spec.ack_interval,
            visibility: spec.visibility_timeout,
            heartbeat: spec.heartbeat.clone(),
            on_term: habits.on_term,
            drain_limit: habits.drain_limit,
            finish_poll: habits.finish_poll,
            orphaned_polls: spec.orphaned_polls,
            on_error: spec.on_error.unwrap_or(OnError::Timeout),
            backoff: spec.backoff.clone(),
            failures: spec.failures,
            poison: spec.poison,
            crashes: spec.crashes,
            lost_receives: spec.lost_receives,
            batch_overhead: spec.batch_overhead.clone(),
            warm_up: spec.warm_up.clone(),
            idle_exit: spec.idle_exit,
            max_messages: habits.max_messages,
            receive_latency: spec.receive_latency.clone(),
            delete_latency: spec.delete_latency.clone(),
            empty_latency: spec.empty_latency.unwrap_or(Duration::ZERO),
            cpu_busy: spec.cpu_busy,
            cpu_idle: spec.cpu_idle,
        }
    }

    /// Time from the start of an empty poll to the start of the next; never zero.
    #[must_use]
    pub fn poll_cycle(&self) -> Duration {
        let round_trip = if self.wait > Duration::ZERO { Duration::ZERO } else { self.empty_latency };
        let cycle = self.wait + self.idle_poll + round_trip;
        cycle.max(SHORTEST_CYCLE)
    }

    /// Whether a waiting loop always has a long poll outstanding.
    #[must_use]
    pub fn always_waits(&self) -> bool {
        self.wait > Duration::ZERO && self.idle_poll == Duration::ZERO
    }

    /// Messages that a loop holds at most.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        clients::capacity(self.poll_mode, self.batch, self.slots, self.prefetch)
    }
}

/// A loop without any wait asks again after a round trip; if that is not given either, this long.
const SHORTEST_CYCLE: Duration = Duration::from_millis(20);
