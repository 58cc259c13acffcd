//! The calls that producers and consumers make.

use super::message::{BLANK, Message, Messages, NO_GROUP, NONE, State};
use super::order::Order;
use super::price::share_of_call;
use super::queue::Queue;
use super::statistics::PARTS;
use super::throughput::Action;
use super::timers::{Timer, Timers};
use super::{Deleted, MAX_VISIBILITY, QueueId, Receipt, ReceiveMessage, Received, SendMessage, Sent, Sqs, SqsError};
use crate::engine::count_one;
use crate::time::{Duration, Time};

impl Sqs {
    /// SendMessage at `now`.
    ///
    /// # Errors
    /// `NonExistentQueue`, `Throttled`.
    #[inline(always)]
    pub fn send(&mut self, now: Time, id: QueueId, send: &SendMessage) -> Result<Sent, SqsError> {
        self.catch_up(now);
        let queue = &mut self.queues[usize::from(id.0)];
        if !queue.exists {
            return Err(SqsError::NonExistentQueue);
        }
        let mut delay = send.delay.unwrap_or(queue.settings.delay);
        if queue.is_fifo() {
            delay = queue.settings.delay;
            let group = queue.group_of(send.group);
            if let Err(until) = queue.throughput.admit(Action::Send, group, now, send.batch.max(1)) {
                queue.statistics.counters.throttled += 1;
                return Err(SqsError::Throttled(until));
            }
        }
        Ok(self.accept(now, id, send, delay))
    }

    /// Puts a message into a queue at time 0, whatever its quota.
    pub fn send_backlog(&mut self, id: QueueId, send: &SendMessage) {
        self.accept(Time::ZERO, id, send, send.delay.unwrap_or(Duration::ZERO));
    }

    /// Takes in a message that no quota holds back.
    #[inline(always)]
    pub(super) fn accept(&mut self, now: Time, id: QueueId, send: &SendMessage, delay: Duration) -> Sent {
        let (queue, messages) = (&mut self.queues[usize::from(id.0)], &mut self.messages);
        let group = queue.group_of(send.group);
        let size = if send.size == 0 { queue.settings.message_size } else { send.size };
        let batch = send.batch.max(1);
        if let Order::Fair(tenants) = &mut queue.order {
            tenants.sent(now, group);
        }
        let counters = &mut queue.statistics.counters;
        counters.requests.send_parts += share_of_call(u64::from(size), batch);
        if let Some(deduplication) = send.deduplication
            && queue.deduplication.seen(now, NO_GROUP, deduplication)
        {
            counters.deduplicated += 1;
            return Sent::Duplicate;
        }
        count_one(&mut counters.sent);
        queue.statistics.last_sent = Some(now);
        let message_id = queue.next_id;
        count_one(&mut queue.next_id);
        let (slot, generation, message) = messages.place();
        *message = Message {
            id: message_id,
            sent: now,
            aged_from: now,
            size,
            work: send.work,
            group,
            poison: send.poison,
            generation,
            ..BLANK
        };
        queue.enqueue(messages, &mut self.timers, now, slot, delay);
        watch_oldest(queue, messages, now, &mut self.timers);
        Sent::Enqueued(message_id)
    }

    /// [`Sqs::receive`] of at most one message from a queue that is not FIFO, by its shortest path: whether there was one, which
    /// is then `received`.
    ///
    /// # Errors
    /// `NonExistentQueue`, `OverLimit`.
    #[inline(always)]
    pub fn receive_one(
        &mut self,
        now: Time,
        id: QueueId,
        receive: &ReceiveMessage,
        received: &mut Received,
    ) -> Result<bool, SqsError> {
        self.catch_up(now);
        let queue = &mut self.queues[usize::from(id.0)];
        debug_assert!(!queue.is_fifo(), "groups need the long path");
        if !queue.exists {
            return Err(SqsError::NonExistentQueue);
        }
        let depth = queue.counts.depth();
        if depth.in_flight >= queue.settings.in_flight_limit && !receive.long {
            queue.statistics.counters.over_limit += 1;
            return Err(SqsError::OverLimit);
        }
        let missed = receive.long && depth.visible > 0 && queue.empty_long_polls.happens();
        let mut exhausted = NONE;
        let mut found = false;
        if depth.visible > 0 && depth.in_flight < queue.settings.in_flight_limit && !missed {
            let (messages, timers) = (&mut self.messages, &mut self.timers);
            let mut delivery = Delivery { queue, messages, timers, now, receive, payload: 0 };
            let (limit, asked) = (delivery.receive_limit(), delivery.asked());
            found = delivery.next(limit, asked, &mut exhausted, received);
            if found {
                let payload = delivery.payload;
                delivery.queue.statistics.counters.requests.receive_parts += share_of_call(payload, 1);
            }
        }
        if exhausted != NONE {
            self.move_exhausted(now, id, exhausted);
        }
        if !found {
            self.count_empty_receives(id, 1);
        }
        Ok(found)
    }

    /// ReceiveMessage, answered at `now`: adds what is received to `out` and tells how many that were. Exhausted messages on
    /// the way go to the dead-letter queue.
    ///
    /// # Errors
    /// `NonExistentQueue`, `OverLimit`, `Throttled`.
    pub fn receive(
        &mut self,
        now: Time,
        id: QueueId,
        receive: &ReceiveMessage,
        out: &mut Vec<Received>,
    ) -> Result<u32, SqsError> {
        self.catch_up(now);
        let (queue, messages) = (&mut self.queues[usize::from(id.0)], &mut self.messages);
        if !queue.exists {
            return Err(SqsError::NonExistentQueue);
        }
        if queue.is_fifo() {
            if let Err(until) = queue.throughput.admit(Action::Receive, NO_GROUP, now, 1) {
                queue.statistics.counters.throttled += 1;
                return Err(SqsError::Throttled(until));
            }
            if let Some(attempt) = receive.attempt
                && let Some(count) = repeat(queue, messages, &mut self.timers, now, attempt, receive, out)
            {
                return Ok(count);
            }
        }
        let depth = queue.counts.depth();
        let room = queue.settings.in_flight_limit.saturating_sub(depth.in_flight);
        if room == 0 && !receive.long && !queue.is_fifo() {
            queue.statistics.counters.over_limit += 1;
            return Err(SqsError::OverLimit);
        }
        let max = room.min(u64::from(receive.max)) as u32;
        let first = out.len();
        let mut payload = 0;
        let missed = receive.long && depth.visible > 0 && queue.empty_long_polls.happens();
        if max > 0 && depth.visible > 0 && !missed {
            let mut delivery = Delivery { queue, messages, timers: &mut self.timers, now, receive, payload: 0 };
            let exhausted = delivery.fill(max, out);
            payload = delivery.payload;
            if exhausted != NONE {
                self.move_exhausted(now, id, exhausted);
            }
        }
        let queue = &mut self.queues[usize::from(id.0)];
        let count = (out.len() - first) as u32;
        queue.statistics.counters.requests.receive_parts += share_of_call(payload, 1);
        if count == 0 {
            queue.statistics.counters.empty_receives += 1;
        } else if let Some(attempt) = receive.attempt.filter(|_| queue.is_fifo()) {
            let receipts = out[first..].iter().map(|received| received.receipt).collect();
            queue.attempts.remember(now, attempt, receipts);
        }
        Ok(count)
    }

    /// Watches the visibility timeout of a message received with `armed: false`; `deadline` replaces the present one (after
    /// heartbeats that the caller has accounted for).
    pub fn arm(&mut self, receipt: Receipt, deadline: Time) {
        let message = &mut self.messages[receipt.slot];
        if message.generation == receipt.generation && message.state == State::InFlight {
            message.deadline = deadline;
            self.timers.add(deadline, Timer::Visible { slot: receipt.slot, generation: receipt.generation });
        }
    }

    /// SendMessage of what a received message holds: the same body, group and size in a message of its own.
    ///
    /// # Errors
    /// Those of a send.
    pub fn send_copy(&mut self, now: Time, id: QueueId, receipt: Receipt) -> Result<(), SqsError> {
        let message = &self.messages[receipt.slot];
        if message.generation != receipt.generation {
            return Ok(());
        }
        let copy = SendMessage {
            group: (message.group != NO_GROUP).then_some(message.group),
            size: message.size,
            work: message.work,
            poison: message.poison,
            ..SendMessage::default()
        };
        self.send(now, id, &copy).map(|_| ())
    }

    /// DeleteMessage at `now`; `batch` messages share the call.
    ///
    /// # Errors
    /// `NonExistentQueue`, `ReceiptExpired` (FIFO), `Throttled`.
    #[inline(always)]
    pub fn delete(&mut self, now: Time, id: QueueId, receipt: Receipt, batch: u32) -> Result<Deleted, SqsError> {
        self.catch_up(now);
        let (queue, messages) = (&mut self.queues[usize::from(id.0)], &mut self.messages);
        if !queue.exists {
            return Err(SqsError::NonExistentQueue);
        }
        let message = &messages[receipt.slot];
        let present = message.id == receipt.id && !matches!(message.state, State::Free | State::Lingering);
        let latest = present && message.generation == receipt.generation;
        if queue.is_fifo()
            && let Err(until) = queue.throughput.admit(Action::Delete, message.group, now, batch)
        {
            queue.statistics.counters.throttled += 1;
            return Err(SqsError::Throttled(until));
        }
        queue.statistics.counters.requests.delete_parts += share_of_call(0, batch);
        if queue.is_fifo() && present && (!latest || message.state != State::InFlight) {
            queue.statistics.counters.late_deletes += 1;
            return Err(SqsError::ReceiptExpired);
        }
        if !latest {
            queue.statistics.counters.late_deletes += 1;
            return Ok(if present { Deleted::Kept } else { Deleted::Nothing });
        }
        count_one(&mut queue.statistics.counters.deleted);
        queue.statistics.first_deleted.get_or_insert(now);
        queue.statistics.last_deleted = Some(now);
        if !message.copy && message.sent >= queue.statistics.measured_from {
            let sojourn = now.since(message.sent);
            queue.statistics.sojourn.record(sojourn);
        }
        queue.take_out(messages, now, receipt.slot);
        if queue.duplicates.happens() {
            let delay = Duration::from_secs_f64(0.1 + 59.9 * queue.duplicates.stream().unit());
            let generation = messages.next_generation();
            let message = &mut messages[receipt.slot];
            message.state = State::Lingering;
            message.deadline = now + delay;
            message.generation = generation;
            self.timers.add(now + delay, Timer::Visible { slot: receipt.slot, generation });
        } else {
            messages.release(receipt.slot);
        }
        Ok(Deleted::Gone)
    }

    /// ChangeMessageVisibility at `now` to `timeout` from `now`.
    ///
    /// # Errors
    /// `NonExistentQueue`, `BeyondTwelveHours`, `NoSuchMessage`, `ReceiptExpired` (FIFO).
    pub fn change_visibility(
        &mut self,
        now: Time,
        id: QueueId,
        receipt: Receipt,
        timeout: Duration,
    ) -> Result<(), SqsError> {
        self.catch_up(now);
        let (queue, messages) = (&mut self.queues[usize::from(id.0)], &mut self.messages);
        if !queue.exists {
            return Err(SqsError::NonExistentQueue);
        }
        queue.statistics.counters.requests.change_visibility_parts += PARTS;
        let message = &mut messages[receipt.slot];
        if message.id != receipt.id || matches!(message.state, State::Free | State::Lingering) {
            return Err(SqsError::NoSuchMessage);
        }
        if message.generation != receipt.generation || message.state != State::InFlight {
            return if queue.is_fifo() { Err(SqsError::ReceiptExpired) } else { Ok(()) };
        }
        if now + timeout > message.received + MAX_VISIBILITY {
            return Err(SqsError::BeyondTwelveHours);
        }
        message.deadline = now + timeout;
        if timeout == Duration::ZERO {
            queue.statistics.counters.released += 1;
            queue.put_back(messages, now, receipt.slot);
        } else {
            let generation = receipt.generation;
            self.timers.add(now + timeout, Timer::Visible { slot: receipt.slot, generation });
        }
        Ok(())
    }

    /// Whether a receive would get, or move, at least one message.
    #[inline]
    pub fn deliverable(&mut self, id: QueueId) -> bool {
        self.queues[usize::from(id.0)].deliverable(&self.messages)
    }

    /// Whether a queue that is not FIFO has just one visible message.
    #[inline]
    #[must_use]
    pub fn has_one_message(&self, id: QueueId) -> bool {
        let queue = &self.queues[usize::from(id.0)];
        queue.counts.depth().visible == 1 && !queue.is_fifo()
    }

    /// Counts empty long or short polls that the caller did not make one by one.
    pub fn count_empty_receives(&mut self, id: QueueId, count: u64) {
        let counters = &mut self.queues[usize::from(id.0)].statistics.counters;
        counters.empty_receives += count;
        counters.requests.receive_parts += count * PARTS;
    }

    /// Counts visibility changes that the caller did not make one by one (heartbeats).
    pub fn count_visibility_changes(&mut self, id: QueueId, count: u64) {
        self.queues[usize::from(id.0)].statistics.counters.requests.change_visibility_parts += count * PARTS;
    }

    #[inline]
    pub(super) fn catch_up(&mut self, now: Time) {
        if self.timers.next() <= now {
            self.advance(now);
        }
    }
}

/// Sets the timer for the retention of the oldest message, if none is set.
#[inline]
pub(super) fn watch_oldest(queue: &mut Queue, messages: &Messages, now: Time, timers: &mut Timers) {
    if !queue.oldest_watched && queue.age.head != NONE {
        queue.oldest_watched = true;
        let at = messages[queue.age.head].sent + queue.settings.retention;
        timers.add(at.max(now), Timer::OldestTooOld { queue: queue.id.0 });
    }
}

/// Gives the messages of an earlier receive attempt again, if all are still in flight under their receipts.
fn repeat(
    queue: &mut Queue,
    messages: &mut Messages,
    timers: &mut Timers,
    now: Time,
    attempt: u64,
    receive: &ReceiveMessage,
    out: &mut Vec<Received>,
) -> Option<u32> {
    let receipts = queue.attempts.find(now, attempt)?;
    let untouched = receipts.iter().all(|receipt| {
        let message = &messages[receipt.slot];
        message.generation == receipt.generation && message.state == State::InFlight
    });
    if !untouched {
        return None;
    }
    let timeout = receive.visibility.unwrap_or(queue.settings.visibility_timeout);
    let mut payload = 0;
    for receipt in receipts {
        let message = &mut messages[receipt.slot];
        message.deadline = (now + timeout).min(message.received + MAX_VISIBILITY);
        timers.add(message.deadline, Timer::Visible { slot: receipt.slot, generation: receipt.generation });
        payload += u64::from(message.size);
        out.push(received_of(message, receipt.slot));
    }
    queue.statistics.counters.requests.receive_parts += share_of_call(payload, 1);
    Some(receipts.len() as u32)
}

#[inline]
fn received_of(message: &Message, slot: u32) -> Received {
    Received {
        receipt: Receipt { slot, generation: message.generation, id: message.id },
        receive_count: message.receive_count,
        deadline: message.deadline,
        sent: message.sent,
        group: message.group,
        work: message.work,
        poison: message.poison,
    }
}

/// One receive in the making.
struct Delivery<'a> {
    queue: &'a mut Queue,
    messages: &'a mut Messages,
    timers: &'a mut Timers,
    now: Time,
    receive: &'a ReceiveMessage,
    /// Bytes delivered.
    payload: u64,
}

impl Delivery<'_> {
    /// Delivers up to `max` messages; exhausted ones met on the way are taken out and returned as a chain through `next`.
    fn fill(&mut self, max: u32, out: &mut Vec<Received>) -> u32 {
        let limit = self.receive_limit();
        let mut exhausted = NONE;
        if self.queue.is_fifo() {
            self.fill_fifo(max, limit, &mut exhausted, out);
            return exhausted;
        }
        let asked = self.asked();
        let mut received = Received::NONE;
        for _ in 0..max {
            if !self.next(limit, asked, &mut exhausted, &mut received) {
                break;
            }
            out.push(received);
        }
        exhausted
    }

    /// The receive count at which a message is exhausted.
    #[inline]
    fn receive_limit(&self) -> u32 {
        self.queue.settings.redrive.map_or(u32::MAX, |redrive| redrive.max_receive_count)
    }

    /// The servers asked.
    #[inline]
    fn asked(&mut self) -> u64 {
        match &self.queue.order {
            Order::Standard(shards) => shards.asked(self.receive.long, &mut self.queue.order_stream),
            Order::Fair(_) | Order::Fifo(_) => u64::MAX,
        }
    }

    /// Delivers one message of a queue that is not FIFO, if there is one.
    #[inline(always)]
    fn next(&mut self, limit: u32, asked: u64, exhausted: &mut u32, received: &mut Received) -> bool {
        loop {
            let slot = match &mut self.queue.order {
                Order::Standard(shards) => shards.take(self.messages, asked, &mut self.queue.order_stream),
                Order::Fair(tenants) => tenants.take(self.messages, self.now),
                Order::Fifo(_) => None,
            };
            let Some(slot) = slot else { return false };
            if self.messages[slot].receive_count < limit {
                self.deliver(slot, received);
                return true;
            }
            self.queue.counts.change(self.now, |depth| depth.visible -= 1);
            self.queue.leave_age(self.messages, slot);
            chain(self.messages, exhausted, slot);
        }
    }

    fn fill_fifo(&mut self, mut left: u32, limit: u32, exhausted: &mut u32, out: &mut Vec<Received>) {
        while left > 0 {
            let Order::Fifo(groups) = &mut self.queue.order else { return };
            let Some((group, mut slot)) = groups.take(self.messages) else { return };
            while left > 0 {
                let Order::Fifo(groups) = &mut self.queue.order else { return };
                if !groups.can_follow(self.messages, slot) {
                    break;
                }
                let following = super::fifo::Groups::following(self.messages, slot);
                if self.messages[slot].receive_count >= limit {
                    self.queue.take_out(self.messages, self.now, slot);
                    chain(self.messages, exhausted, slot);
                } else {
                    let mut received = Received::NONE;
                    self.deliver(slot, &mut received);
                    out.push(received);
                    left -= 1;
                }
                slot = following;
            }
            if let Order::Fifo(groups) = &mut self.queue.order {
                groups.refresh(self.messages, group);
            }
        }
    }

    /// Turns a visible message, already out of the order (FIFO: still in its group), into one in flight.
    #[inline(always)]
    fn deliver(&mut self, slot: u32, received: &mut Received) {
        let timeout = self.receive.visibility.unwrap_or(self.queue.settings.visibility_timeout);
        let generation = self.messages.next_generation();
        let message = &mut self.messages[slot];
        message.generation = generation;
        message.receive_count += 1;
        message.state = State::InFlight;
        message.received = self.receive.requested;
        message.deadline = (self.now + timeout).min(self.receive.requested + MAX_VISIBILITY);
        *received = received_of(message, slot);
        let sent = message.sent;
        let (group, count, copy) = (message.group, message.receive_count, message.copy);
        self.payload += u64::from(message.size);
        if self.receive.armed {
            self.timers.add(message.deadline, Timer::Visible { slot, generation });
        }
        let statistics = &mut self.queue.statistics;
        count_one(&mut statistics.counters.received);
        if count == 1 {
            if sent >= statistics.measured_from {
                statistics.wait.record(self.now.since(sent));
            }
        } else {
            statistics.counters.redelivered += 1;
            statistics.counters.duplicates += u64::from(copy);
        }
        self.queue.counts.take(self.now);
        if count == self.queue.settings.back_after_receives && !copy {
            self.set_back(slot);
        }
        match &mut self.queue.order {
            Order::Standard(_) => {}
            Order::Fair(tenants) => tenants.count_taken(self.messages, self.now, group),
            Order::Fifo(groups) => groups.count_in_flight(group, true),
        }
    }

    /// Takes a message that was received too often out of the age list; its retention gets a timer of its own.
    fn set_back(&mut self, slot: u32) {
        self.queue.age.remove(self.messages, slot);
        self.queue.set_back.push_back(self.messages, slot);
        let message = &mut self.messages[slot];
        message.set_back = true;
        if !message.own_retention {
            message.own_retention = true;
            let at = message.sent + self.queue.settings.retention;
            self.timers.add(at, Timer::TooOld { slot, id: message.id });
        }
    }
}

/// Puts a slot at the front of a chain through `next`.
fn chain(messages: &mut Messages, first: &mut u32, slot: u32) {
    messages[slot].next = *first;
    *first = slot;
}
