//! GetQueueAttributes: what a scaler sees, which is not quite what is there.

use super::message::NONE;
use super::order::Order;
use super::queue::Queue;
use super::statistics::PARTS;
use super::{QueueId, Sqs, SqsError};
use crate::time::{Duration, Time};

/// How long phantom messages show.
const PHANTOM_LIFE: Duration = Duration::from_secs(60);

/// The three Approximate* counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueAttributes {
    /// ApproximateNumberOfMessages.
    pub visible: u64,
    /// ApproximateNumberOfMessagesNotVisible.
    pub not_visible: u64,
    /// ApproximateNumberOfMessagesDelayed.
    pub delayed: u64,
}

/// Messages that are not there but show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phantom {
    messages: u64,
    until: Time,
}

impl Sqs {
    /// GetQueueAttributes at `now`: the counters lag, each by a time of its own, unless the queue is exact.
    ///
    /// # Errors
    /// `NonExistentQueue`.
    pub fn attributes(&mut self, now: Time, id: QueueId) -> Result<QueueAttributes, SqsError> {
        self.catch_up(now);
        let queue = &mut self.queues[usize::from(id.0)];
        if !queue.exists {
            return Err(SqsError::NonExistentQueue);
        }
        queue.statistics.counters.requests.attributes_parts += PARTS;
        let depth = queue.counts.depth();
        let exact = QueueAttributes { visible: depth.visible, not_visible: depth.in_flight, delayed: depth.delayed };
        let Some(lag) = &queue.settings.counter_lag else { return Ok(exact) };
        let stream = &mut queue.attributes_stream;
        let mut seen = exact;
        if queue.counts.steady_since(now - lag.max()) {
            // However old what is seen: the same counts.
            (0..3).for_each(|_| lag.skip(stream));
        } else {
            let [visible, not_visible, delayed] = [0; 3].map(|_| queue.counts.at(now - lag.sample(stream)));
            seen = QueueAttributes {
                visible: visible.visible,
                not_visible: not_visible.in_flight,
                delayed: delayed.delayed,
            };
        }
        if depth.total() == 0 {
            seen.visible += phantom(queue, now);
        }
        Ok(seen)
    }

    /// ApproximateAgeOfOldestMessage at `now`; zero without messages that count (standard: those received less than three times).
    #[must_use]
    pub fn age_of_oldest(&self, now: Time, id: QueueId) -> Duration {
        let oldest = self.queue(id).age.head;
        if oldest == NONE { Duration::ZERO } else { now.since(self.messages[oldest].aged_from).max_zero() }
    }

    /// Visible messages that nobody can receive (FIFO): those behind a message in flight of their group; all, when no group can
    /// deliver.
    #[must_use]
    pub fn blocked(&mut self, id: QueueId) -> u64 {
        let queue = &mut self.queues[usize::from(id.0)];
        let visible = queue.counts.depth().visible;
        match &mut queue.order {
            Order::Fifo(groups) => match groups.first_ready(&self.messages) {
                None => visible,
                Some(_) => groups.blocked().min(visible),
            },
            _ => 0,
        }
    }
}

/// Phantom messages on an idle queue.
fn phantom(queue: &mut Queue, now: Time) -> u64 {
    if queue.phantom.is_some_and(|phantom| phantom.until <= now) {
        queue.phantom = None;
    }
    let stream = &mut queue.attributes_stream;
    if queue.phantom.is_none() && stream.chance(queue.settings.phantoms) {
        let messages = 1 + stream.below(2) as u64;
        queue.phantom = Some(Phantom { messages, until: now + PHANTOM_LIFE });
    }
    queue.phantom.map_or(0, |phantom| phantom.messages)
}
