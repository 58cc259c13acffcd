//! Moves between queues: exhausted messages to their dead-letter queue, and back by a move task.

use super::message::{NO_GROUP, NONE, ORIGIN_SHIFT, State};
use super::order::Order;
use super::statistics::PARTS;
use super::timers::Timer;
use super::{QueueId, Sqs, SqsError};
use crate::time::{Duration, Time};

/// Time between two steps of a move task, if its rate is not below one message per step.
const STEP: Duration = Duration::from_millis(100);
/// Messages a second at most.
const MAX_RATE: u32 = 500;
/// Longest life of a move task.
const MAX_LIFE: Duration = Duration::from_hours(36);

/// A StartMessageMoveTask that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MoveTask {
    messages_per_second: u32,
    started: Time,
}

impl Sqs {
    /// StartMessageMoveTask: messages of this dead-letter queue go back to the queue from which they came, as new messages.
    ///
    /// # Errors
    /// `NonExistentQueue`, `NoMove`.
    pub fn start_move(&mut self, now: Time, id: QueueId, messages_per_second: u32) -> Result<(), SqsError> {
        self.catch_up(now);
        let has_source =
            self.queues.iter().any(|queue| queue.settings.redrive.is_some_and(|r| r.dead_letter_queue == id));
        let queue = &mut self.queues[usize::from(id.0)];
        if !queue.exists {
            return Err(SqsError::NonExistentQueue);
        }
        if queue.move_task.is_some() || !has_source {
            return Err(SqsError::NoMove);
        }
        let messages_per_second = messages_per_second.clamp(1, MAX_RATE);
        queue.move_task = Some(MoveTask { messages_per_second, started: now });
        self.timers.add(now, Timer::Move { queue: id.0 });
        Ok(())
    }

    /// Whether a move task of this queue runs.
    #[must_use]
    pub fn is_moving(&self, id: QueueId) -> bool {
        self.queue(id).move_task.is_some()
    }

    /// Puts the messages of a chain through `next` (last one first) into the dead-letter queue of `id`.
    pub(super) fn move_exhausted(&mut self, now: Time, id: QueueId, chain: u32) {
        if chain == NONE {
            return;
        }
        let Some(policy) = self.queue(id).settings.redrive else { return };
        let mut reversed = NONE;
        let mut slot = chain;
        while slot != NONE {
            let next = self.messages[slot].next;
            self.messages[slot].next = reversed;
            reversed = slot;
            slot = next;
        }
        while reversed != NONE {
            let next = self.messages[reversed].next;
            self.queues[usize::from(id.0)].statistics.counters.dead_lettered += 1;
            self.bury(now, policy.dead_letter_queue, reversed);
            reversed = next;
        }
        self.wake(policy.dead_letter_queue);
    }

    /// Puts a message that has left its queue into a dead-letter queue.
    fn bury(&mut self, now: Time, id: QueueId, slot: u32) {
        let (queue, messages) = (&mut self.queues[usize::from(id.0)], &mut self.messages);
        let fifo = queue.is_fifo();
        let generation = messages.next_generation();
        let message = &mut messages[slot];
        message.aged_from = now;
        message.generation = generation;
        message.set_back = false;
        if fifo {
            // FIFO: the move is a new enqueue time. Standard: retention goes on from the first send.
            message.sent = now;
        }
        message.group = if fifo && message.group == NO_GROUP { 0 } else { message.group };
        message.own_retention = true;
        let (sent, message_id) = (message.sent, message.id);
        queue.statistics.counters.dead_letters += 1;
        queue.enqueue(messages, &mut self.timers, now, slot, Duration::ZERO);
        let end = (sent + self.queues[usize::from(id.0)].settings.retention).max(now);
        self.timers.add(end, Timer::TooOld { slot, id: message_id });
    }

    /// One step of a move task.
    pub(super) fn move_step(&mut self, now: Time, id: QueueId) {
        let Some(task) = self.queue(id).move_task else { return };
        let (interval, count) = if task.messages_per_second >= 10 {
            (STEP, task.messages_per_second / 10)
        } else {
            (Duration::from_micros(1_000_000 / i64::from(task.messages_per_second)), 1)
        };
        for _ in 0..count {
            let Some(slot) = self.next_to_move(now, id) else {
                // Nothing visible: the task ends.
                self.queues[usize::from(id.0)].move_task = None;
                return;
            };
            self.send_again(now, id, slot);
        }
        let queue = &mut self.queues[usize::from(id.0)];
        queue.move_task = (now.since(task.started) < MAX_LIFE).then_some(task);
        if queue.move_task.is_some() {
            self.timers.add(now + interval, Timer::Move { queue: id.0 });
        }
    }

    /// Takes one visible message out of a dead-letter queue.
    fn next_to_move(&mut self, now: Time, id: QueueId) -> Option<u32> {
        let (queue, messages) = (&mut self.queues[usize::from(id.0)], &mut self.messages);
        if queue.counts.depth().visible == 0 {
            return None;
        }
        let slot = match &mut queue.order {
            Order::Standard(shards) => {
                let slot = shards.take(messages, u64::MAX, &mut queue.order_stream)?;
                queue.counts.change(now, |depth| depth.visible -= 1);
                queue.leave_age(messages, slot);
                slot
            }
            Order::Fair(tenants) => {
                let slot = tenants.take(messages, now)?;
                queue.counts.change(now, |depth| depth.visible -= 1);
                queue.leave_age(messages, slot);
                slot
            }
            Order::Fifo(groups) => {
                let (_, slot) = groups.take(messages)?;
                queue.take_out(messages, now, slot);
                slot
            }
        };
        let requests = &mut queue.statistics.counters.requests;
        requests.receive_parts += PARTS / 10;
        requests.delete_parts += PARTS / 10;
        queue.statistics.counters.redriven += 1;
        Some(slot)
    }

    /// Sends a message taken from a dead-letter queue to its source, as a new message.
    fn send_again(&mut self, now: Time, from: QueueId, slot: u32) {
        let origin = QueueId((self.messages[slot].id >> ORIGIN_SHIFT) as u16);
        let leads_here = |queue: &super::Queue| queue.settings.redrive.is_some_and(|r| r.dead_letter_queue == from);
        let target = match self.queues.get(usize::from(origin.0)) {
            Some(queue) if leads_here(queue) => Some(origin),
            _ => self.queues.iter().find(|queue| leads_here(queue)).map(super::Queue::id),
        };
        let Some(target) = target.filter(|target| self.queue(*target).exists) else {
            self.messages.release(slot);
            return;
        };
        let old = self.messages[slot].clone();
        debug_assert_ne!(old.state, State::InFlight, "only visible messages are moved");
        self.messages.release(slot);
        let again = super::SendMessage {
            group: (old.group != NO_GROUP).then_some(old.group),
            delay: None,
            deduplication: None,
            size: old.size,
            batch: 10,
            work: old.work,
            poison: old.poison,
        };
        self.accept(now, target, &again, Duration::ZERO);
        self.wake(target);
    }
}
