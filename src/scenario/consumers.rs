//! `[[consumers]]`: what the pods of a Deployment or a ScaledJob do with the messages of a queue.

use crate::engine::Distribution;
use crate::time::Duration;
use crate::units::{Cpu, Memory};
use crate::{choice, object};

object! {
    /// How pods receive, process and delete messages. Fields that are absent take the value of `client`; see [`Client`].
    pub struct ConsumerSpec {
        /// Name of the Deployment whose pods these are.
        pub deployment: Option<String>,
        /// Name of the ScaledJob whose pods these are: each works off `messagesPerJob` messages and exits.
        pub job: Option<String>,
        /// Name of the queue.
        pub queue: String,
        /// The library whose defaults and stopping behavior hold; absent = `aws-sdk` with `batchSize` 10 and `waitTime` 20 s.
        pub client: Option<Client>,
        /// Processing time of a message.
        pub processing: Distribution,
        /// MaxNumberOfMessages of a receive (1 to 10).
        pub batch_size: Option<u32>,
        /// WaitTimeSeconds of a receive (0 s to 20 s; 0 = short polling); absent and not set by the client = the queue's.
        pub wait_time: Option<Duration>,
        /// Messages processed at the same time by one polling loop.
        pub slots: Option<u32>,
        /// Independent polling loops in a pod, each with its own slots.
        pub threads: Option<u32>,
        /// Messages received beyond the free slots, which wait in the pod while their visibility timeout runs.
        pub prefetch: Option<u32>,
        /// When the loop asks for more.
        pub poll_mode: Option<PollMode>,
        /// Pause after an empty receive.
        pub idle_poll: Option<Duration>,
        /// When a message is deleted.
        pub ack: Option<Ack>,
        /// `ack = "batched"`: a delete waits at most this long for others.
        pub ack_interval: Duration = Duration::from_secs(1),
        /// VisibilityTimeout of the receive; absent = the queue's.
        pub visibility_timeout: Option<Duration>,
        /// ChangeMessageVisibility while a message is processed.
        pub heartbeat: Option<Heartbeat>,
        /// What happens on SIGTERM.
        pub on_term: Option<OnTerm>,
        /// The loop ends this long after SIGTERM at the latest: `drain` leaves unfinished messages to their timeout, `release` sets them visible. Absent = the pod's grace period decides.
        pub drain_limit: Option<Duration>,
        /// Whether a stopping loop waits for the answer of its outstanding long poll and works off what comes.
        pub finish_poll: Option<bool>,
        /// Whether a long poll cut off by the end of its pod can still be answered: the message waits out its timeout.
        pub orphaned_polls: bool = false,
        /// What happens to a message whose processing failed.
        pub on_error: Option<OnError>,
        /// `onError = "backoff"`: new visibility timeout by receive count.
        pub backoff: Backoff = crate::api::decode::defaults(),
        /// Probability that an attempt to process a message fails.
        pub failures: f64 = 0.0,
        /// Probability that a message can never be processed.
        pub poison: f64 = 0.0,
        /// Probability that an attempt kills the pod, at a random point of the processing time.
        pub crashes: f64 = 0.0,
        /// Probability that the answer of a receive is lost on its way: the message counts as received and waits out its timeout.
        pub lost_receives: f64 = 0.0,
        /// Time that a polling loop spends on each batch it receives before the first of its messages starts: the more messages in a batch, the less of it each bears.
        pub batch_overhead: Distribution = Distribution::Constant(Duration::ZERO),
        /// Time from ready to the first receive.
        pub warm_up: Distribution = Distribution::Constant(Duration::ZERO),
        /// The pod exits when it has received nothing for this long; absent = never.
        pub idle_exit: Option<Duration>,
        /// The pod exits after this many messages; absent = never (jobs: 1).
        pub max_messages: Option<u32>,
        /// Round trip of a receive that brings messages.
        pub receive_latency: Option<Distribution>,
        /// Round trip of a delete; the slot is taken until it is over.
        pub delete_latency: Option<Distribution>,
        /// Round trip of an empty short poll.
        pub empty_latency: Option<Duration>,
        /// CPU used by a busy slot, for scaling on CPU; absent = the pod's CPU request divided by the slots of all its threads.
        pub cpu_busy: Option<Cpu>,
        /// CPU used by an idle pod.
        pub cpu_idle: Cpu = Cpu::ZERO,
        /// Memory of a pod that holds no message, for scaling on memory; absent = not known, and such a metric fails.
        pub memory_idle: Option<Memory>,
        /// Memory that each message adds while the pod holds it, prefetched ones included.
        pub memory_per_message: Memory = Memory::ZERO,
        /// Whether the memory of a pod stays at the most that a reading of metrics-server has found until its container starts anew, as that of many runtimes does; else what messages took is free again when they go.
        pub memory_kept: bool = false,
    }
}

choice! {
    /// Consumer libraries.
    pub enum Client {
        /// A boto3 loop: receive 1 with the queue's wait, handle one by one, delete; SIGTERM kills it.
        Boto3 = "boto3",
        /// A plain loop with any AWS SDK that stops gracefully: receive 1 with the queue's wait.
        AwsSdk = "aws-sdk",
        /// Celery 5 with the SQS transport: 4 processes, prefetch 4 each, wait 10 s, 1 s pause, deleted before it runs; on SIGTERM running tasks finish and the others are sent again.
        Celery = "celery",
        /// Shoryuken 7: 25 threads, the queue's wait, 8 s to finish.
        Shoryuken = "shoryuken",
        /// Spring Cloud AWS 4 `@SqsListener`: receive 10 with wait 10 s, 10 at a time, deletes batched, finishes its poll.
        SpringCloudAws = "spring-cloud-aws",
        /// bbc/sqs-consumer 15: receive 1 with wait 20 s, the whole batch in parallel, next poll after all; no signal handling.
        SqsConsumer = "sqs-consumer",
        /// A pod of a KEDA ScaledJob: receive 1 by short poll, work, delete, exit.
        KedaJob = "keda-job",
    }
}

choice! {
    /// When a polling loop asks for more messages.
    pub enum PollMode {
        /// Whenever it has room.
        Continuous = "continuous",
        /// When everything it holds is done.
        AfterBatch = "afterBatch",
    }
}

choice! {
    /// When a message is deleted.
    pub enum Ack {
        /// Before its processing starts: a crash loses it.
        Early = "early",
        /// After its processing, by a call of its own.
        Late = "late",
        /// After its processing, ten in one call or after `ackInterval`.
        Batched = "batched",
    }
}

choice! {
    /// What a consumer does on SIGTERM.
    pub enum OnTerm {
        /// Ends at once; what it holds waits out its visibility timeout.
        Die = "die",
        /// Receives no more, finishes all it holds, then ends.
        Drain = "drain",
        /// Receives no more, releases what has not started (visibility 0), finishes the rest, then ends.
        Release = "release",
        /// Receives no more, sends copies of what has not started (the originals wait out their visibility timeout and come too),
        /// finishes the rest, then ends.
        Requeue = "requeue",
    }
}

choice! {
    /// What a consumer does with a message whose processing failed.
    pub enum OnError {
        /// Nothing: the message waits out its visibility timeout.
        Timeout = "timeout",
        /// Sets its visibility timeout to 0.
        Release = "release",
        /// Sets its visibility timeout by `backoff`.
        Backoff = "backoff",
        /// Deletes it.
        Delete = "delete",
    }
}

object! {
    /// Extension of the visibility timeout while a message is processed.
    pub struct Heartbeat {
        /// Time between two extensions; the first comes this long after processing began.
        pub every: Duration,
        /// The visibility timeout that each extension sets, from its own instant.
        pub to: Duration,
    }
}

object! {
    /// Visibility timeout after the k-th failed receive: `base · factor^(k−1)`, at most `max`.
    pub struct Backoff {
        /// After the first failure.
        pub base: Duration = Duration::from_secs(10),
        /// Growth.
        pub factor: f64 = 2.0,
        /// Largest.
        pub max: Duration = Duration::from_mins(15),
    }
}
