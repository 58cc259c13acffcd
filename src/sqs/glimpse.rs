//! One message, looked at from outside: the queues do not know that somebody looks.

use super::message::{ORIGIN_SHIFT, State};
use super::order::Order;
use super::{QueueId, Receipt, Sqs};
use crate::time::Time;

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Sent with a delay that has not passed.
    Delayed,
    /// Waits to be received.
    Visible,
    /// Received, and hidden from other consumers.
    InFlight,
    /// Deleted, but the service will deliver a forgotten copy once more.
    Deleted,
}

/// A message at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// Where it is.
    pub place: Place,
    /// In which queue.
    pub queue: QueueId,
    /// Of its last receive.
    pub receipt: Receipt,
    /// ApproximateReceiveCount.
    pub receive_count: u32,
    /// SentTimestamp.
    pub sent: Time,
    /// In flight: when it becomes visible, unless its consumer does something.
    pub deadline: Time,
    /// Whether another message of its FIFO group is in flight.
    pub group_blocked: bool,
}

impl Sqs {
    /// The MessageId of a queue's message: they are numbered from 1 in the order of their sends, the initial backlog first.
    #[must_use]
    pub const fn message_id(queue: QueueId, number: u64) -> u64 {
        ((queue.0 as u64) << ORIGIN_SHIFT) + number - 1
    }

    /// Whether a message of this id has been sent.
    #[must_use]
    pub fn was_sent(&self, id: u64) -> bool {
        self.queues.get((id >> ORIGIN_SHIFT) as usize).is_some_and(|queue| id < queue.next_id)
    }

    /// The place of a message in the store, where it stays; `None` = it is not there (any more). Looks at all messages.
    #[must_use]
    pub fn find_message(&self, id: u64) -> Option<u32> {
        (0..self.messages.places() as u32).find(|slot| self.glimpse(*slot, id).is_some())
    }

    /// How far the order of a queue's sends is kept: messages sent before this one which wait still, and messages sent after it
    /// which were received (or are gone) already. Looks at all messages.
    #[must_use]
    pub fn overtaken(&self, id: u64) -> (u64, u64) {
        let origin = (id >> ORIGIN_SHIFT) as usize;
        let (mut earlier, mut later) = (0, 0);
        for slot in 0..self.messages.places() as u32 {
            let message = &self.messages[slot];
            let waits = matches!(message.state, State::Visible | State::Delayed);
            if waits && message.receive_count == 0 && (message.id >> ORIGIN_SHIFT) as usize == origin {
                earlier += u64::from(message.id < id);
                later += u64::from(message.id > id);
            }
        }
        (earlier, self.queues[origin].next_id - id - 1 - later)
    }

    /// The message of this id at its place in the store; `None` = it is gone.
    #[must_use]
    pub fn glimpse(&self, slot: u32, id: u64) -> Option<Glimpse> {
        let message = &self.messages[slot];
        let place = match message.state {
            State::Free => return None,
            _ if message.id != id => return None,
            State::Delayed => Place::Delayed,
            State::Visible => Place::Visible,
            State::InFlight => Place::InFlight,
            State::Lingering => Place::Deleted,
        };
        let queue = QueueId(message.queue);
        let group_blocked = match &self.queue(queue).order {
            Order::Fifo(groups) => place == Place::Visible && groups.has_in_flight(message.group),
            _ => false,
        };
        Some(Glimpse {
            place,
            queue,
            receipt: Receipt { slot, generation: message.generation, id },
            receive_count: message.receive_count,
            sent: message.sent,
            deadline: message.deadline,
            group_blocked,
        })
    }
}
