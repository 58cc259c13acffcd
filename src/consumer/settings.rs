//! What the pods of one Deployment or ScaledJob do, ready for the model: a client's habits with the scenario's overrides.

use crate::engine::Distribution;
use crate::scenario::consumers::{Ack, Backoff, Client, ConsumerSpec, Heartbeat, OnError, OnTerm, PollMode};
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

/// Habits of a client, before overrides.
struct Habits {
    batch: u32,
    /// `None` = the queue's ReceiveMessageWaitTimeSeconds.
    wait: Option<Duration>,
    idle_poll: Duration,
    slots: u32,
    prefetch: u32,
    poll_mode: PollMode,
    ack: Ack,
    on_term: OnTerm,
    drain_limit: Option<Duration>,
    finish_poll: bool,
    max_messages: Option<u32>,
}

const LOOP: Habits = Habits {
    batch: 1,
    wait: None,
    idle_poll: Duration::ZERO,
    slots: 1,
    prefetch: 0,
    poll_mode: PollMode::AfterBatch,
    ack: Ack::Late,
    on_term: OnTerm::Drain,
    drain_limit: None,
    finish_poll: false,
    max_messages: None,
};

const LONG_POLL: Duration = Duration::from_secs(20);

/// `fifo`: Shoryuken receives one at a time from FIFO queues, and Spring does not batch their deletes.
fn habits(client: Option<Client>, fifo: bool) -> Habits {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    match client {
        None => Habits { batch: 10, wait: Some(LONG_POLL), ..LOOP },
        Some(Client::AwsSdk) => LOOP,
        Some(Client::Boto3) => Habits { on_term: OnTerm::Die, ..LOOP },
        Some(Client::Celery) => Habits {
            batch: 10,
            wait: seconds(10),
            idle_poll: Duration::from_secs(1),
            slots: 4,
            prefetch: 16,
            poll_mode: PollMode::Continuous,
            ack: Ack::Early,
            on_term: OnTerm::Requeue,
            ..LOOP
        },
        Some(Client::Shoryuken) => Habits {
            batch: if fifo { 1 } else { 10 },
            slots: 25,
            poll_mode: PollMode::Continuous,
            drain_limit: seconds(8),
            ..LOOP
        },
        Some(Client::SpringCloudAws) => Habits {
            batch: 10,
            wait: seconds(10),
            slots: 10,
            poll_mode: PollMode::Continuous,
            ack: if fifo { Ack::Late } else { Ack::Batched },
            drain_limit: seconds(20),
            finish_poll: true,
            ..LOOP
        },
        Some(Client::SqsConsumer) => Habits { wait: Some(LONG_POLL), on_term: OnTerm::Die, ..LOOP },
        Some(Client::KedaJob) => Habits { wait: Some(Duration::ZERO), max_messages: Some(1), ..LOOP },
    }
}

impl ConsumerSettings {
    /// The settings that a scenario means for a consumer of this queue.
    #[must_use]
    pub fn from_spec(spec: &ConsumerSpec, queue: QueueId, queue_settings: &QueueSettings) -> Self {
        let fifo = matches!(queue_settings.kind, crate::sqs::settings::QueueKind::Fifo { .. });
        let habits = habits(spec.client, fifo);
        let batch = spec.batch_size.unwrap_or(habits.batch).clamp(1, 10);
        // bbc/sqs-consumer handles the whole batch in parallel.
        let own_slots = if spec.client == Some(Client::SqsConsumer) { batch } else { habits.slots };
        let slots = spec.slots.unwrap_or(own_slots).max(1);
        // Celery holds four messages per process that are not acknowledged: an early ack frees the place of those that run.
        let ack = spec.ack.unwrap_or(habits.ack);
        let own_prefetch = match spec.client {
            Some(Client::Celery) => {
                if ack == Ack::Early {
                    4 * slots
                } else {
                    3 * slots
                }
            }
            _ => habits.prefetch,
        };
        let wait = spec.wait_time.or(habits.wait).unwrap_or(queue_settings.receive_wait_time).min(LONG_POLL);
        let job = spec.job.is_some();
        let name = spec.deployment.clone().or_else(|| spec.job.clone()).unwrap_or_else(|| spec.queue.clone());
        ConsumerSettings {
            name,
            job,
            queue,
            processing: spec.processing.clone(),
            batch,
            wait,
            idle_poll: spec.idle_poll.unwrap_or(habits.idle_poll),
            slots,
            threads: spec.threads.unwrap_or(1).max(1),
            prefetch: spec.prefetch.unwrap_or(own_prefetch),
            poll_mode: spec.poll_mode.unwrap_or(habits.poll_mode),
            ack,
            ack_interval: spec.ack_interval,
            visibility: spec.visibility_timeout,
            heartbeat: spec.heartbeat.clone(),
            on_term: spec.on_term.unwrap_or(habits.on_term),
            drain_limit: spec.drain_limit.or(habits.drain_limit),
            finish_poll: spec.finish_poll.unwrap_or(habits.finish_poll),
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
            max_messages: spec.max_messages.or(if job { Some(1) } else { habits.max_messages }),
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
        match self.poll_mode {
            // A loop that polls after its batch takes a whole batch, however many handlers it has.
            PollMode::AfterBatch => self.batch.max(self.slots + self.prefetch),
            PollMode::Continuous => self.slots + self.prefetch,
        }
    }
}

/// A loop without any wait asks again after a round trip; if that is not given either, this long.
const SHORTEST_CYCLE: Duration = Duration::from_millis(20);
