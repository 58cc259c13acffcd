//! How consumer libraries poll, handle and stop: the settings that hold where a scenario gives none.

use super::consumers::{Ack, Client, ConsumerSpec, OnTerm, PollMode};
use crate::time::Duration;

/// WaitTimeSeconds of a receive at most.
pub const LONG_POLL: Duration = Duration::from_secs(20);

/// A client's habits, with the scenario's overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Messages per receive at most (1 to 10).
    pub batch: u32,
    /// WaitTimeSeconds; `None` = the queue's ReceiveMessageWaitTimeSeconds.
    pub wait: Option<Duration>,
    /// Pause after an empty receive.
    pub idle_poll: Duration,
    /// Parallel handlers of a loop, at least 1.
    pub slots: u32,
    /// Loops in a pod, at least 1.
    pub threads: u32,
    /// Messages held beyond the slots.
    pub prefetch: u32,
    /// When a loop asks for more.
    pub poll_mode: PollMode,
    /// When a message is deleted.
    pub ack: Ack,
    /// Reaction to SIGTERM.
    pub on_term: OnTerm,
    /// Longest drain; `None` = until SIGKILL.
    pub drain_limit: Option<Duration>,
    /// Whether a stopping loop waits for its outstanding long poll.
    pub finish_poll: bool,
    /// The pod exits after this many messages per loop; `None` = never.
    pub max_messages: Option<u32>,
}

const LOOP: Habits = Habits {
    batch: 1,
    wait: None,
    idle_poll: Duration::ZERO,
    slots: 1,
    threads: 1,
    prefetch: 0,
    poll_mode: PollMode::AfterBatch,
    ack: Ack::Late,
    on_term: OnTerm::Drain,
    drain_limit: None,
    finish_poll: false,
    max_messages: None,
};

/// Before overrides. `fifo`: Shoryuken receives one at a time from FIFO queues, and Spring does not batch their deletes.
fn of_client(client: Option<Client>, fifo: bool) -> Habits {
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

impl ConsumerSpec {
    /// How the pods behave, on a FIFO queue or not.
    #[must_use]
    pub fn habits(&self, fifo: bool) -> Habits {
        let habits = of_client(self.client, fifo);
        let batch = self.batch_size.unwrap_or(habits.batch).clamp(1, 10);
        // bbc/sqs-consumer handles the whole batch in parallel.
        let own_slots = if self.client == Some(Client::SqsConsumer) { batch } else { habits.slots };
        let slots = self.slots.unwrap_or(own_slots).max(1);
        // Celery holds four messages per process that are not acknowledged: an early ack frees the place of those that run.
        let ack = self.ack.unwrap_or(habits.ack);
        let own_prefetch = match self.client {
            Some(Client::Celery) if ack == Ack::Early => 4 * slots,
            Some(Client::Celery) => 3 * slots,
            _ => habits.prefetch,
        };
        Habits {
            batch,
            wait: self.wait_time.or(habits.wait),
            idle_poll: self.idle_poll.unwrap_or(habits.idle_poll),
            slots,
            threads: self.threads.unwrap_or(1).max(1),
            prefetch: self.prefetch.unwrap_or(own_prefetch),
            poll_mode: self.poll_mode.unwrap_or(habits.poll_mode),
            ack,
            on_term: self.on_term.unwrap_or(habits.on_term),
            drain_limit: self.drain_limit.or(habits.drain_limit),
            finish_poll: self.finish_poll.unwrap_or(habits.finish_poll),
            max_messages: self.max_messages.or(if self.job.is_some() { Some(1) } else { habits.max_messages }),
        }
    }
}

impl Habits {
    /// Messages that a loop holds at most.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        capacity(self.poll_mode, self.batch, self.slots, self.prefetch)
    }
}

/// Messages that a loop holds at most: one that polls after its batch takes a whole batch, however many handlers it has.
#[must_use]
pub fn capacity(poll_mode: PollMode, batch: u32, slots: u32, prefetch: u32) -> u32 {
    match poll_mode {
        PollMode::AfterBatch => batch.max(slots + prefetch),
        PollMode::Continuous => slots + prefetch,
    }
}
