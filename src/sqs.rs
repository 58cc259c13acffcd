//! Amazon SQS at the level of single messages: a pure model, driven by explicit instants.
//!
//! [`Sqs`] holds all queues of a scenario. Its calls are those of the API (SendMessage, ReceiveMessage, DeleteMessage,
//! ChangeMessageVisibility, PurgeQueue, StartMessageMoveTask, GetQueueAttributes); each takes the instant at which the service
//! acts. What happens by itself (a delay or a visibility timeout ends, a message is too old, a move task goes on) is done by
//! [`Sqs::advance`]; every call first advances to its own instant, so at equal times timers come before calls.
//!
//! Who waits for messages, and for how long, is no matter of this model: a long poll that finds nothing is repeated by its
//! caller when [`Sqs::take_woken`] names the queue.

pub mod attributes;
mod calls;
mod counts;
mod dedup;
mod fair;
mod fifo;
mod glimpse;
pub mod invariants;
mod list;
mod maintenance;
mod message;
mod order;
pub mod price;
mod queue;
mod redrive;
pub mod settings;
mod standard;
pub mod statistics;
mod throughput;
mod timers;

pub use attributes::QueueAttributes;
pub use counts::{Counts, Depth, Extremes, Window};
pub use glimpse::{Glimpse, Place};
pub use maintenance::NewAttributes;
pub use queue::Queue;
pub use settings::QueueSettings;
pub use statistics::{Counters, Statistics, Unfinished};

use crate::engine::Streams;
use crate::time::{Duration, Time};
use message::{Messages, ORIGIN_SHIFT, State};
use timers::Timers;

/// The longest visibility of one receipt, from its receive.
pub const MAX_VISIBILITY: Duration = Duration::from_hours(12);

/// A queue of the scenario, in the order of `[[queues]]` (implied dead-letter queues follow).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u16);

/// A receipt handle: names one receive of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) id: u64,
}

impl Receipt {
    /// MessageId: the place of the message in the order of the sends to its first queue, and that queue's number above bit 44.
    #[must_use]
    pub const fn message_id(&self) -> u64 {
        self.id
    }
}

/// A SendMessage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SendMessage {
    /// MessageGroupId; `None` = none (a FIFO queue puts it into group 0).
    pub group: Option<u32>,
    /// DelaySeconds; `None` = the queue's. Ignored by FIFO queues.
    pub delay: Option<Duration>,
    /// MessageDeduplicationId or digest of the body; `None` = unique.
    pub deduplication: Option<u64>,
    /// Size in bytes; 0 = the queue's.
    pub size: u32,
    /// Messages that share the SendMessageBatch call, 1 to 10.
    pub batch: u32,
    /// Processing time as a multiple of the consumer's; negative: seconds that replace it.
    pub work: f32,
    /// Whether each attempt to process it fails.
    pub poison: bool,
}

impl Default for SendMessage {
    fn default() -> Self {
        SendMessage { group: None, delay: None, deduplication: None, size: 0, batch: 1, work: 1.0, poison: false }
    }
}

/// A ReceiveMessage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReceiveMessage {
    /// MaxNumberOfMessages, 1 to 10.
    pub max: u32,
    /// Whether WaitTimeSeconds is above 0.
    pub long: bool,
    /// VisibilityTimeout; `None` = the queue's.
    pub visibility: Option<Duration>,
    /// When the service got the request; at most the instant of the call. The 12 hours count from here.
    pub requested: Time,
    /// ReceiveRequestAttemptId (FIFO).
    pub attempt: Option<u64>,
    /// Whether the visibility timeouts are watched. A caller that passes `false` must call [`Sqs::arm`] for each message that
    /// it will not delete before its deadline.
    pub armed: bool,
}

impl ReceiveMessage {
    /// A receive of up to `max` messages by long (`true`) or short poll at `now`, with watched timeouts.
    #[must_use]
    pub const fn new(now: Time, max: u32, long: bool) -> Self {
        ReceiveMessage { max, long, visibility: None, requested: now, attempt: None, armed: true }
    }
}

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Received {
    /// Its receipt handle.
    pub receipt: Receipt,
    /// ApproximateReceiveCount, this receive included.
    pub receive_count: u32,
    /// When it becomes visible again.
    pub deadline: Time,
    /// SentTimestamp.
    pub sent: Time,
    /// MessageGroupId; `u32::MAX` = none.
    pub group: u32,
    /// See [`SendMessage::work`].
    pub work: f32,
    /// See [`SendMessage::poison`].
    pub poison: bool,
}

impl Received {
    /// No message: what a receive writes over.
    pub const NONE: Received = Received {
        receipt: Receipt { slot: message::NONE, generation: 0, id: 0 },
        receive_count: 0,
        deadline: Time::ZERO,
        sent: Time::ZERO,
        group: message::NO_GROUP,
        work: 1.0,
        poison: false,
    };
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Enqueued under this MessageId.
    Enqueued(u64),
    /// Accepted but not enqueued: its deduplication id was seen within five minutes.
    Duplicate,
}

/// What a successful delete did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The message is gone.
    Gone,
    /// The handle was old: the message stays.
    Kept,
    /// There was no such message any more.
    Nothing,
}

/// Errors of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqsError {
    /// `AWS.SimpleQueueService.NonExistentQueue`.
    #[error("the queue does not exist")]
    NonExistentQueue,
    /// `OverLimit`: a short poll of a standard queue met the in-flight limit.
    #[error("too many messages in flight")]
    OverLimit,
    /// `ThrottlingException`: a FIFO queue got more calls than its quota; tells when the next is allowed.
    #[error("throttled until {0}")]
    Throttled(Time),
    /// `InvalidParameterValue`: the receipt handle has expired (FIFO).
    #[error("the receipt handle has expired")]
    ReceiptExpired,
    /// `InvalidParameterValue`: the message does not exist or is not available for a change of its visibility.
    #[error("the message does not exist")]
    NoSuchMessage,
    /// `InvalidParameterValue`: the total visibility would pass twelve hours.
    #[error("total visibility timeout beyond 12 hours")]
    BeyondTwelveHours,
    /// `PurgeQueueInProgress`: less than 60 s since the last purge.
    #[error("a purge was made less than 60 s ago")]
    PurgeInProgress,
    /// Another move task of this queue is active, or no queue has it as its dead-letter queue.
    #[error("no such move is possible")]
    NoMove,
}

/// All queues of a run.
pub struct Sqs {
    pub(crate) messages: Messages,
    pub(crate) queues: Vec<Queue>,
    timers: Timers,
    woken: Vec<QueueId>,
}

impl Sqs {
    /// The queues that `settings` describe, empty. Dead-letter queues are named by their index.
    #[must_use]
    pub fn new(settings: Vec<QueueSettings>, streams: &Streams) -> Self {
        let queues = settings
            .into_iter()
            .enumerate()
            .map(|(index, settings)| Queue::new(QueueId(index as u16), settings, streams))
            .collect();
        Sqs { messages: Messages::default(), queues, timers: Timers::default(), woken: Vec::new() }
    }

    /// A queue.
    #[must_use]
    pub fn queue(&self, id: QueueId) -> &Queue {
        &self.queues[usize::from(id.0)]
    }

    /// All queues, in the order of their ids.
    #[must_use]
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// The queue of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<QueueId> {
        self.queues.iter().position(|queue| queue.settings().name == name).map(|index| QueueId(index as u16))
    }

    /// Waits and sojourns of messages sent before `from` are not counted.
    pub fn measure_from(&mut self, from: Time) {
        self.queues.iter_mut().for_each(|queue| queue.statistics.measured_from = from);
    }

    /// The messages of a queue that are not done with at `now`: what waits longer than anything that is counted so far.
    #[must_use]
    pub fn unfinished(&self, now: Time, id: QueueId) -> Unfinished {
        let from = self.queue(id).statistics.measured_from;
        let mut found = Unfinished::default();
        for slot in 0..self.messages.places() as u32 {
            let message = &self.messages[slot];
            let is_there = !matches!(message.state, State::Free | State::Lingering) && !message.copy;
            if !is_there || message.queue != id.0 {
                continue;
            }
            if message.id >> ORIGIN_SHIFT != u64::from(id.0) {
                found.dead_letters += 1;
            } else if message.sent >= from {
                let age = now.since(message.sent);
                found.present.record(age);
                if message.receive_count == 0 {
                    found.waiting.record(age);
                }
            }
        }
        found
    }

    /// The extremes of a queue's counts since the last call; `now` begins a new window.
    pub fn take_window(&mut self, now: Time, id: QueueId) -> Window {
        self.queues[usize::from(id.0)].counts.take_window(now)
    }

    /// The largest number of messages at once so far, all queues together.
    #[must_use]
    pub fn most_messages(&self) -> usize {
        self.messages.places()
    }

    /// When something happens next by itself; `Time::MAX` = never. May be early: then nothing happens.
    #[inline]
    #[must_use]
    pub fn next_timer(&self) -> Time {
        self.timers.next()
    }

    /// Whether a queue has got something to deliver by a timer or a move since the last call of [`Sqs::take_woken`].
    #[inline]
    #[must_use]
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Takes one of the queues which have got something to deliver other than by a send or a call on that queue.
    pub fn take_woken(&mut self) -> Option<QueueId> {
        self.woken.pop()
    }
}
