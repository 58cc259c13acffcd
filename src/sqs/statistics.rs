//! What is counted about a queue: calls, messages, waits.

use crate::engine::Durations;
use crate::time::Time;

/// Numbers of messages and calls since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages sent and enqueued (NumberOfMessagesSent); moves from another queue not included.
    pub sent: u64,
    /// Deliveries (NumberOfMessagesReceived).
    pub received: u64,
    /// Deliveries beyond the first of their message.
    pub redelivered: u64,
    /// Messages removed by a delete.
    pub deleted: u64,
    /// Visibility timeouts that ran out.
    pub visibility_expired: u64,
    /// Messages released by a visibility timeout of 0.
    pub released: u64,
    /// Second deliveries of deleted messages.
    pub duplicates: u64,
    /// Deleted messages that showed up once more.
    pub returned: u64,
    /// Messages moved to the dead-letter queue.
    pub dead_lettered: u64,
    /// Messages that came here as dead letters.
    pub dead_letters: u64,
    /// Messages removed because of their age.
    pub retention_expired: u64,
    /// Messages removed by a purge or with the queue.
    pub purged: u64,
    /// Messages that a move task took away.
    pub redriven: u64,
    /// Sends not enqueued because their deduplication id was known.
    pub deduplicated: u64,
    /// Empty answers (NumberOfEmptyReceives).
    pub empty_receives: u64,
    /// Answers `OverLimit`.
    pub over_limit: u64,
    /// Calls throttled.
    pub throttled: u64,
    /// Deletes that came too late to remove a message.
    pub late_deletes: u64,
    /// Requests as billed.
    pub requests: Requests,
}

/// Parts of a billed request: divisible by every batch size from 1 to 10.
pub const PARTS: u64 = 2520;

/// Billed requests by kind: calls times their 64 KiB units of payload, in parts ([`PARTS`]) so that shares of a batch are whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// SendMessage(Batch).
    pub send_parts: u64,
    /// ReceiveMessage.
    pub receive_parts: u64,
    /// DeleteMessage(Batch).
    pub delete_parts: u64,
    /// ChangeMessageVisibility.
    pub change_visibility_parts: u64,
    /// GetQueueAttributes.
    pub attributes_parts: u64,
}

impl Requests {
    /// All of them, as billed requests.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total_parts().div_ceil(PARTS)
    }

    /// All of them, in parts.
    #[must_use]
    pub const fn total_parts(&self) -> u64 {
        self.send_parts + self.receive_parts + self.delete_parts + self.change_visibility_parts + self.attributes_parts
    }
}

/// Counters and histograms of a queue.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Numbers of messages and calls.
    pub counters: Counters,
    /// When the last message was sent.
    pub last_sent: Option<Time>,
    /// When a consumer deleted its first message.
    pub first_deleted: Option<Time>,
    /// When a consumer deleted its last message.
    pub last_deleted: Option<Time>,
    /// Waits and sojourns are those of messages sent from here on.
    pub measured_from: Time,
    /// Sent -> first received.
    pub wait: Durations,
    /// Sent -> deleted; second deliveries are not counted.
    pub sojourn: Durations,
}

/// Messages of a queue that are not done with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unfinished {
    /// Ages of those never received, sent from [`Statistics::measured_from`] on.
    pub waiting: Durations,
    /// Ages of all that are there, sent from [`Statistics::measured_from`] on, without dead letters.
    pub present: Durations,
    /// Dead letters: messages that came from another queue.
    pub dead_letters: u64,
}
