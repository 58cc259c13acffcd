//! What happens by itself, and the calls that change a whole queue.

use super::calls::watch_oldest;
use super::list::{Age, List};
use super::message::{NONE, State};
use super::order::Order;
use super::settings::RedrivePolicy;
use super::timers::Timer;
use super::{QueueId, Sqs, SqsError};
use crate::time::{Duration, Time};

/// Time between two purges of a queue.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);

/// Attributes to set; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewAttributes {
    /// VisibilityTimeout: for later receives.
    pub visibility_timeout: Option<Duration>,
    /// DelaySeconds: for later sends; FIFO queues apply it to delayed messages too.
    pub delay: Option<Duration>,
    /// MessageRetentionPeriod: for all messages.
    pub retention: Option<Duration>,
    /// maxReceiveCount, if the queue has a redrive policy.
    pub max_receive_count: Option<u32>,
}

impl Sqs {
    /// Does all that happens by itself until `now`, in order.
    pub fn advance(&mut self, now: Time) {
        while let Some((at, timer)) = self.timers.due(now) {
            match timer {
                Timer::Visible { slot, generation } => self.become_visible(at, slot, generation),
                Timer::OldestTooOld { queue } => self.expire_oldest(at, queue),
                Timer::TooOld { slot, id } => self.expire(at, slot, id),
                Timer::Move { queue } => self.move_step(at, QueueId(queue)),
            }
        }
    }

    /// PurgeQueue: deletes all messages, those delayed and in flight too, and forgets deduplication ids.
    ///
    /// # Errors
    /// `NonExistentQueue`, `PurgeInProgress`.
    pub fn purge(&mut self, now: Time, id: QueueId) -> Result<(), SqsError> {
        self.catch_up(now);
        let queue = &mut self.queues[usize::from(id.0)];
        if !queue.exists {
            return Err(SqsError::NonExistentQueue);
        }
        if queue.last_purge.is_some_and(|last| last + PURGE_INTERVAL > now) {
            return Err(SqsError::PurgeInProgress);
        }
        queue.last_purge = Some(now);
        self.empty(now, id);
        Ok(())
    }

    /// DeleteQueue: all messages are gone and calls fail.
    pub fn delete_queue(&mut self, now: Time, id: QueueId) {
        self.catch_up(now);
        self.empty(now, id);
        self.queues[usize::from(id.0)].exists = false;
    }

    /// CreateQueue, after a delete: the queue is there again, empty, with the attributes it had.
    pub fn create_queue(&mut self, now: Time, id: QueueId) {
        self.catch_up(now);
        self.queues[usize::from(id.0)].exists = true;
    }

    /// SetQueueAttributes at `now`, with immediate effect.
    pub fn set_attributes(&mut self, now: Time, id: QueueId, new: &NewAttributes) {
        self.catch_up(now);
        let (queue, messages) = (&mut self.queues[usize::from(id.0)], &mut self.messages);
        if let Some(timeout) = new.visibility_timeout {
            queue.settings.visibility_timeout = timeout;
        }
        if let (Some(max), Some(redrive)) = (new.max_receive_count, &mut queue.settings.redrive) {
            *redrive = RedrivePolicy { max_receive_count: max, ..*redrive };
        }
        if let Some(delay) = new.delay {
            queue.settings.delay = delay;
            let mut slot = if queue.is_fifo() { queue.age.head } else { NONE };
            while slot != NONE {
                let message = &mut messages[slot];
                if message.state == State::Delayed {
                    message.deadline = (message.sent + delay).max(now);
                    let generation = message.generation;
                    self.timers.add(message.deadline, Timer::Visible { slot, generation });
                }
                slot = message.younger;
            }
        }
        if let Some(retention) = new.retention {
            queue.settings.retention = retention;
            queue.oldest_watched = false;
            watch_oldest(queue, messages, now, &mut self.timers);
            let heads = [queue.age.head, queue.set_back.head];
            for head in heads {
                let mut slot = head;
                while slot != NONE {
                    let message = &messages[slot];
                    if message.own_retention {
                        self.timers.add((message.sent + retention).max(now), Timer::TooOld { slot, id: message.id });
                    }
                    slot = List::<Age>::after(messages, slot);
                }
            }
        }
    }

    pub(super) fn wake(&mut self, id: QueueId) {
        if self.woken.last() != Some(&id) {
            self.woken.push(id);
        }
    }

    fn become_visible(&mut self, now: Time, slot: u32, generation: u32) {
        let messages = &mut self.messages;
        let message = &messages[slot];
        if message.generation != generation || message.deadline != now {
            return;
        }
        let id = QueueId(message.queue);
        let queue = &mut self.queues[usize::from(id.0)];
        match message.state {
            State::InFlight => {
                queue.statistics.counters.visibility_expired += 1;
                queue.put_back(messages, now, slot);
            }
            State::Delayed => {
                let group = message.group;
                messages[slot].state = State::Visible;
                queue.counts.change(now, |depth| {
                    depth.delayed -= 1;
                    depth.visible += 1;
                });
                match &mut queue.order {
                    Order::Fifo(groups) => groups.refresh(messages, group),
                    Order::Standard(shards) => shards.insert_delayed(messages, slot, &mut queue.order_stream),
                    Order::Fair(tenants) => tenants.insert(messages, slot, false),
                }
            }
            State::Lingering => {
                let message = &mut messages[slot];
                message.state = State::Visible;
                message.copy = true;
                message.set_back = true;
                queue.statistics.counters.returned += 1;
                queue.set_back.push_back(messages, slot);
                queue.counts.change(now, |depth| depth.visible += 1);
                queue.show(messages, slot);
            }
            State::Visible | State::Free => return,
        }
        self.wake(id);
    }

    fn expire_oldest(&mut self, now: Time, index: u16) {
        let (queue, messages) = (&mut self.queues[usize::from(index)], &mut self.messages);
        queue.oldest_watched = false;
        while queue.age.head != NONE && messages[queue.age.head].sent + queue.settings.retention <= now {
            let slot = queue.age.head;
            queue.statistics.counters.retention_expired += 1;
            queue.take_out(messages, now, slot);
            messages.release(slot);
        }
        watch_oldest(queue, messages, now, &mut self.timers);
        self.wake(QueueId(index));
    }

    fn expire(&mut self, now: Time, slot: u32, id: u64) {
        let messages = &mut self.messages;
        let message = &messages[slot];
        if message.id != id || matches!(message.state, State::Free | State::Lingering) {
            return;
        }
        let index = message.queue;
        let queue = &mut self.queues[usize::from(index)];
        let end = message.sent + queue.settings.retention;
        if end > now {
            self.timers.add(end, Timer::TooOld { slot, id });
            return;
        }
        queue.statistics.counters.retention_expired += 1;
        queue.take_out(messages, now, slot);
        messages.release(slot);
        self.wake(QueueId(index));
    }

    fn empty(&mut self, now: Time, id: QueueId) {
        let (queue, messages) = (&mut self.queues[usize::from(id.0)], &mut self.messages);
        queue.deduplication.clear();
        loop {
            let slot = if queue.age.head == NONE { queue.set_back.head } else { queue.age.head };
            if slot == NONE {
                return;
            }
            queue.statistics.counters.purged += 1;
            queue.take_out(messages, now, slot);
            messages.release(slot);
        }
    }
}
