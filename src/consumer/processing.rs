//! What becomes of a received message: its start, its end, its visibility meanwhile.

use super::event::{Kind, NO_EVENT};
use super::plane::{DataPlane, WorkerEventKind};
use super::worker::{Delivery, Fate, NONE, Poll};
use crate::engine::count_one;
use crate::scenario::consumers::{Ack, Backoff, Heartbeat, OnError, PollMode};
use crate::sqs::{Deleted, MAX_VISIBILITY, Received, SqsError};
use crate::time::{Duration, Time};

/// Deletes sent in one call at most.
const ACKS_PER_CALL: u32 = 10;
/// How long a throttled delete waits before it is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

impl DataPlane {
    /// Takes a received message into a worker, where it arrives at `ready`: the first free slot processes it. Since messages
    /// start in the order of their arrival, start and end are known at once.
    #[inline(always)]
    pub(super) fn begin(&mut self, now: Time, ready: Time, worker: u32, message: &Received) {
        let state = &mut self.workers[worker];
        let first_slot = state.slots as usize;
        let consumer = &mut self.consumers[usize::from(state.consumer)];
        let settings = &consumer.settings;
        let service = if message.work < 0.0 {
            Duration::from_secs_f64(f64::from(-message.work))
        } else {
            let drawn = settings.processing.sample_member(&consumer.service, message.receipt.message_id());
            if message.work == 1.0 { drawn } else { scaled(drawn, message.work) }
        };
        let slots = &mut self.slots[first_slot..first_slot + settings.slots as usize];
        let slot = earliest(slots);
        let start = slots[slot].max(ready);
        let mut end = start + service;
        let mut fate = Fate::Done;
        if message.poison || !consumer.plain {
            let key = message.receipt.message_id().wrapping_mul(1_000_003) ^ u64::from(message.receive_count);
            let mut stream = consumer.fates.member(key);
            let poison = message.poison
                || (settings.poison > 0.0
                    && consumer.poison.member(message.receipt.message_id()).chance(settings.poison));
            if stream.chance(settings.crashes) {
                fate = Fate::Crash;
                end = start + scaled(service, stream.unit() as f32);
            } else if poison
                || stream.chance(settings.failures)
                || consumer.faults.attempt_fails(start, end, &mut stream)
            {
                fate = Fate::Failed;
            }
        }
        if fate == Fate::Done
            && settings.ack == Ack::Late
            && let Some(latency) = &settings.delete_latency
        {
            end += latency.sample(&mut consumer.latencies);
        }
        slots[slot] = end;
        let (index, delivery) = self.deliveries.place();
        delivery.receipt = message.receipt;
        delivery.worker = worker;
        delivery.event = NO_EVENT;
        delivery.begin_event = NO_EVENT;
        delivery.previous = NONE;
        delivery.next = NONE;
        delivery.receive_count = message.receive_count;
        delivery.fate = fate;
        delivery.deleted = false;
        delivery.received = now;
        delivery.deadline = message.deadline;
        delivery.start = start;
        delivery.end = end;
        let event_kind = if fate == Fate::Crash { Kind::Crash } else { Kind::Complete };
        delivery.event = self.events.add(end, event_kind, index);
        let first = state.first;
        state.first = index;
        state.held += 1;
        count_one(&mut consumer.held);
        delivery.next = first;
        // Sees to the visibility timeout if it will run out before the message is deleted, and to early deletes.
        let mut delete_now = false;
        match settings.ack {
            Ack::Late | Ack::Batched => {
                let until = if settings.ack == Ack::Batched { end + settings.ack_interval } else { end };
                let deadline = deadline_at(settings.heartbeat.as_ref(), delivery, until);
                if deadline <= until {
                    self.sqs.arm(message.receipt, deadline);
                }
            }
            Ack::Early if start > now => {
                if message.deadline <= start {
                    self.sqs.arm(message.receipt, message.deadline);
                }
                delivery.begin_event = self.events.add(start, Kind::Begin, index);
            }
            Ack::Early => delete_now = true,
        }
        if first != NONE {
            self.deliveries[first].previous = index;
        }
        if delete_now {
            self.delete_early(now, index);
        }
        if self.log.is_some() {
            self.note(now, worker, WorkerEventKind::Receive(message.receive_count));
        }
    }

    /// The start of a message that is deleted before it is processed.
    pub(super) fn delete_early(&mut self, now: Time, index: u32) {
        let delivery = &mut self.deliveries[index];
        delivery.deleted = true;
        let (receipt, kind) = (delivery.receipt, usize::from(self.workers[delivery.worker].consumer));
        let queue = self.consumers[kind].settings.queue;
        // A delete that comes too late changes nothing for the worker.
        let _result = self.sqs.delete(now, queue, receipt, 1);
    }

    /// The end of a message's processing.
    #[inline(always)]
    pub(super) fn complete(&mut self, now: Time, index: u32) {
        let delivery = &self.deliveries[index];
        let (worker, fate, deleted, receipt) = (delivery.worker, delivery.fate, delivery.deleted, delivery.receipt);
        let kind = usize::from(self.workers[worker].consumer);
        let consumer = &mut self.consumers[kind];
        let settings = &consumer.settings;
        let queue = settings.queue;
        let mut wasted = fate == Fate::Failed;
        let batched = settings.ack == Ack::Batched && fate == Fate::Done;
        if let Some(heartbeat) = &settings.heartbeat {
            let beats = delivery.end.since(delivery.start).as_micros() / heartbeat.every.as_micros().max(1);
            self.sqs.count_visibility_changes(queue, beats as u64);
        }
        if fate == Fate::Failed {
            self.fail(now, index, kind);
        } else if !deleted && !batched {
            match self.sqs.delete(now, queue, receipt, 1) {
                Ok(Deleted::Gone) => {}
                Err(SqsError::Throttled(_)) => {
                    self.deliveries[index].end = now + RETRY_PAUSE;
                    self.deliveries[index].event = self.events.add(now + RETRY_PAUSE, Kind::Complete, index);
                    return;
                }
                // Another consumer got it meanwhile, or has even deleted it.
                Ok(Deleted::Kept | Deleted::Nothing) | Err(_) => wasted = true,
            }
            count_one(&mut consumer.processed);
        } else if !batched {
            count_one(&mut consumer.processed);
        }
        if self.log.is_some() {
            let step = if fate == Fate::Failed { WorkerEventKind::Error } else { WorkerEventKind::Done };
            self.note(now, worker, step);
        }
        let busy = self.let_go(now, worker, index);
        if wasted {
            self.workers[worker].wasted += busy;
        }
        if batched {
            self.add_ack(now, worker, index);
        } else {
            self.forget(kind, index);
        }
        // Those who wait already come before the worker that is free only now.
        self.dispatch(now, queue);
        self.after_completion(now, worker);
    }

    /// What a worker does when it has got rid of a message.
    #[inline]
    fn after_completion(&mut self, now: Time, worker: u32) {
        let state = &self.workers[worker];
        if state.poll == Poll::Waiting && !state.stopping {
            // Its long poll is outstanding meanwhile.
            return;
        }
        if state.stopping {
            if state.held == 0 {
                self.stopping_worker_empty(now, worker);
            }
            return;
        }
        let settings = &self.consumers[usize::from(state.consumer)].settings;
        if settings.max_messages.is_some_and(|max| state.taken >= max) {
            if state.held == 0 {
                self.flush_acks(now, worker);
                self.worker_done(now, worker);
            }
            return;
        }
        if settings.poll_mode == PollMode::Continuous || state.held == 0 {
            self.poll(now, worker);
        }
    }

    fn fail(&mut self, now: Time, index: u32, kind: usize) {
        let delivery = &self.deliveries[index];
        let (receipt, worker, count) = (delivery.receipt, delivery.worker, delivery.receive_count);
        let consumer = &mut self.consumers[kind];
        consumer.failed += 1;
        let settings = &consumer.settings;
        let queue = settings.queue;
        if delivery.deleted {
            consumer.lost += 1;
        } else {
            match settings.on_error {
                OnError::Timeout => {
                    let deadline = deadline_at(settings.heartbeat.as_ref(), delivery, now);
                    self.sqs.arm(receipt, deadline);
                }
                // The receipt may have expired meanwhile; then there is nothing left to do.
                OnError::Release => _ = self.sqs.change_visibility(now, queue, receipt, Duration::ZERO),
                OnError::Backoff => {
                    let timeout = backoff(&settings.backoff, count);
                    _ = self.sqs.change_visibility(now, queue, receipt, timeout);
                }
                OnError::Delete => _ = self.sqs.delete(now, queue, receipt, 1),
            }
        }
        self.workers[worker].failed = true;
    }

    /// Keeps a processed message for a batched delete.
    fn add_ack(&mut self, now: Time, worker: u32, index: u32) {
        let state = &mut self.workers[worker];
        self.deliveries[index].next = state.acks;
        self.deliveries[index].event = NO_EVENT;
        state.acks = index;
        state.ack_count += 1;
        if state.ack_count == ACKS_PER_CALL {
            self.flush_acks(now, worker);
        } else if state.ack_count == 1 {
            let interval = self.consumers[usize::from(state.consumer)].settings.ack_interval;
            self.workers[worker].flush_event = self.events.add(now + interval, Kind::Flush, worker);
        }
    }

    /// Sends the batched deletes of a worker.
    pub(super) fn flush_acks(&mut self, now: Time, worker: u32) {
        let state = &mut self.workers[worker];
        let (mut index, count, kind) = (state.acks, state.ack_count, usize::from(state.consumer));
        state.acks = NONE;
        state.ack_count = 0;
        state.flush_event = NO_EVENT;
        let queue = self.consumers[kind].settings.queue;
        self.consumers[kind].processed += u64::from(count);
        while index != NONE {
            let (receipt, next) = (self.deliveries[index].receipt, self.deliveries[index].next);
            // A delete that comes too late changes nothing for the worker.
            let result = self.sqs.delete(now, queue, receipt, count);
            if !matches!(result, Ok(Deleted::Gone)) {
                let delivery = &self.deliveries[index];
                self.workers[worker].wasted += used(delivery, delivery.end).as_micros();
            }
            self.forget(kind, index);
            index = next;
        }
    }

    /// Gives the place of a delivery back that no worker of the kind of consumer holds any more.
    #[inline]
    pub(super) fn forget(&mut self, kind: usize, index: u32) {
        self.consumers[kind].held -= 1;
        self.deliveries.free(index);
    }

    /// Takes a delivery out of its worker's list and counts its processing time until now, which is the result in microseconds.
    #[inline(always)]
    pub(super) fn let_go(&mut self, now: Time, worker: u32, index: u32) -> i64 {
        let delivery = &mut self.deliveries[index];
        let (previous, next) = (delivery.previous, delivery.next);
        delivery.event = NO_EVENT;
        delivery.begin_event = NO_EVENT;
        let busy = used(delivery, now).as_micros();
        if previous != NONE {
            self.deliveries[previous].next = next;
        }
        if next != NONE {
            self.deliveries[next].previous = previous;
        }
        let state = &mut self.workers[worker];
        if previous == NONE {
            state.first = next;
        }
        state.held -= 1;
        state.busy += busy;
        busy
    }
}

/// The deadline in force at `until` of a message that is processed from its start on, with the heartbeats that came before.
#[inline(always)]
pub(super) fn deadline_at(heartbeat: Option<&Heartbeat>, delivery: &Delivery, until: Time) -> Time {
    let Some(Heartbeat { every, to }) = heartbeat else { return delivery.deadline };
    let (every, to) = ((*every).max(Duration::from_millis(1)), *to);
    let first = delivery.start + every;
    if first > until || first >= delivery.deadline {
        // No beat yet, or the first comes too late.
        return delivery.deadline;
    }
    if to <= every {
        return first + to;
    }
    let beats = until.since(delivery.start).as_micros() / every.as_micros();
    // A beat that asks for more than twelve hours from the receive is refused.
    let latest = (delivery.received + MAX_VISIBILITY).since(delivery.start + to).as_micros() / every.as_micros();
    let accepted = beats.min(latest);
    if accepted < 1 { delivery.deadline } else { delivery.start + every * accepted + to }
}

fn backoff(backoff: &Backoff, receive_count: u32) -> Duration {
    let exponent = receive_count.saturating_sub(1).min(64);
    let seconds = backoff.base.as_secs_f64() * backoff.factor.powi(exponent as i32);
    Duration::from_secs_f64(seconds).min(backoff.max)
}

fn scaled(duration: Duration, factor: f32) -> Duration {
    Duration::from_secs_f64(duration.as_secs_f64() * f64::from(factor.max(0.0)))
}

#[inline]
fn earliest(slots: &[Time]) -> usize {
    let mut first = 0;
    for index in 1..slots.len() {
        if slots[index] < slots[first] {
            first = index;
        }
    }
    first
}

/// Slot-time that a delivery has used until `now`.
pub(super) fn used(delivery: &Delivery, now: Time) -> Duration {
    now.min(delivery.end).since(delivery.start).max_zero()
}
