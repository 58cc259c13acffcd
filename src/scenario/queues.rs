//! `[[queues]]`: SQS queues, what is sent to them and what is done to them.

use super::arrivals::Arrivals;
use crate::engine::Distribution;
use crate::time::Duration;
use crate::units::Memory;
use crate::{choice, object};

object! {
    /// An SQS queue. The attributes carry the names and defaults of SQS; the rest says how faithfully the service misbehaves.
    pub struct QueueSpec {
        /// Name, unique in the scenario.
        pub name: String,
        /// Whether this is a FIFO queue; its name should then end in `.fifo`.
        pub fifo: bool = false,
        /// VisibilityTimeout: how long a received message stays hidden (0 s to 12 h).
        pub visibility_timeout: Duration = Duration::from_secs(30),
        /// DelaySeconds of the queue: how long a sent message stays hidden (0 s to 15 min).
        pub delay: Duration = Duration::ZERO,
        /// MessageRetentionPeriod, counted from the send (1 min to 14 d).
        pub retention: Duration = Duration::from_hours(96),
        /// ReceiveMessageWaitTimeSeconds: used by consumers which set no wait of their own (0 s to 20 s; 0 = short polling).
        pub receive_wait_time: Duration = Duration::ZERO,
        /// Receives of one message before the next attempt moves it to the dead-letter queue (1 to 1000); absent = no redrive policy.
        pub max_receive_count: Option<u32>,
        /// Name of the dead-letter queue; absent with `maxReceiveCount` = a queue named after this one with `-dlq`, kept for 14 days.
        pub dead_letter_queue: Option<String>,
        /// Messages in flight at most.
        pub in_flight_limit: u32 = 120_000,
        /// FIFO: how many messages from the front are looked through for an available group.
        pub look_ahead: u32 = 120_000,
        /// Fair queue: standard queue whose messages carry group ids; noisy tenants wait for quiet ones.
        pub fair: bool = false,
        /// FIFO: what bounds the calls per second; absent = `standard` with service `aws`, `unlimited` with `moto`.
        pub throughput: Option<FifoThroughput>,
        /// FIFO, `throughput = "high"`: partitions, each with 300 calls a second of each kind.
        pub partitions: u32 = 10,
        /// Size of a message unless its source says otherwise; every 64 KiB of a request are billed as one.
        pub message_size: Memory = Memory::from_bytes(1024),
        /// Messages that are there at the beginning.
        pub backlog: u64 = 0,
        /// FIFO or fair: groups over which the backlog is spread; 0 = none.
        pub backlog_groups: u32 = 1,
        /// Whose service answers: sets the defaults of the fields below.
        pub service: Service = Service::Aws,
        /// Standard: servers that share the messages (1 to 64); 1 = strict order. Absent = 16 (`moto`: 1).
        pub shards: Option<u32>,
        /// Standard: probability that a short poll asks one server; below 1 there are false empties. Absent = 0.5 (`moto`: 1).
        pub short_poll_sampling: Option<f64>,
        /// Standard: probability of an empty answer to a long poll though messages exist. Absent = 0.001 (`moto`: 0).
        pub empty_long_polls: Option<f64>,
        /// Standard: probability that a deleted message is delivered once more within a minute. Absent = 1e-6 (`moto`: 0).
        pub duplicates: Option<f64>,
        /// How GetQueueAttributes errs. Absent = `approximate` (`moto` and FIFO: `exact`).
        pub counters: Option<Counters>,
        /// Lag of an approximate counter behind the truth, drawn for each counter and read.
        pub counter_lag: Distribution = Distribution::Shifted {
            offset: Duration::ZERO,
            of: Box::new(Distribution::Lognormal { median: Duration::from_secs(3), sigma: 1.29 }),
            max: Duration::from_secs(60),
        },
        /// Probability per read of an idle queue that one or two phantom messages show for a minute (approximate counters).
        pub phantoms: f64 = 2e-4,
        /// What is sent.
        pub arrivals: Vec<Arrivals>,
        /// What is done to the queue during the run.
        pub changes: Vec<QueueChange>,
    }
}

choice! {
    /// Whose implementation of SQS answers.
    pub enum Service {
        /// Amazon's: several servers, lagging counters, rare duplicates.
        Aws = "aws",
        /// An emulator: exact counters, strict order, no duplicates, no throttling.
        Moto = "moto",
    }
}

choice! {
    /// How true GetQueueAttributes is.
    pub enum Counters {
        /// The truth at the instant of the call.
        Exact = "exact",
        /// Each counter lags by its own random time; phantoms appear on idle queues.
        Approximate = "approximate",
    }
}

choice! {
    /// What bounds the API calls of a FIFO queue.
    pub enum FifoThroughput {
        /// 300 calls a second of each kind.
        Standard = "standard",
        /// 300 calls a second of each kind and partition.
        High = "high",
        /// Nothing.
        Unlimited = "unlimited",
    }
}

choice! {
    /// What is done to a queue.
    pub enum QueueAction {
        /// DeleteQueue: all messages are gone, and calls fail until it is created again.
        Delete = "delete",
        /// CreateQueue, after a delete.
        Create = "create",
        /// PurgeQueue: all messages are deleted, those in flight too.
        Purge = "purge",
        /// SetQueueAttributes with the attributes beside it.
        Set = "set",
        /// Sends `messages` messages at once.
        Send = "send",
        /// StartMessageMoveTask: messages of this dead-letter queue go back to the queue they came from.
        Redrive = "redrive",
    }
}

object! {
    /// One thing done to a queue at a time.
    pub struct QueueChange {
        /// When.
        pub at: Duration,
        /// What.
        pub action: QueueAction,
        /// `send`: how many.
        pub messages: u64 = 1,
        /// `redrive`: messages a second at most (1 to 500).
        pub messages_per_second: u32 = 500,
        /// `set`: VisibilityTimeout.
        pub visibility_timeout: Option<Duration>,
        /// `set`: DelaySeconds.
        pub delay: Option<Duration>,
        /// `set`: MessageRetentionPeriod.
        pub retention: Option<Duration>,
        /// `set`: maxReceiveCount.
        pub max_receive_count: Option<u32>,
    }
}
