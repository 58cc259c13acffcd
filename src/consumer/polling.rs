//! Receiving: who polls when, and who gets a message that arrives.

use super::event::{Kind, NO_EVENT};
use super::plane::{DataPlane, WorkerEventKind};
use super::worker::{NONE, Poll, Worker};
use crate::scenario::consumers::PollMode;
use crate::sqs::{QueueId, ReceiveMessage, Received, SqsError};
use crate::time::{Duration, Time};

/// How long a client waits after an error before it tries again.
const ERROR_PAUSE: Duration = Duration::from_millis(200);
/// How soon a loop asks again after an empty answer to a long poll.
const NEXT_POLL: Duration = Duration::from_millis(1);

impl DataPlane {
    /// Hands what a queue can deliver to those who wait for it.
    #[inline(always)]
    pub(super) fn dispatch(&mut self, now: Time, queue: QueueId) {
        // Mostly nobody waits, or nothing is left for those who do: that costs no call.
        let waiting = &self.waiting[usize::from(queue.0)];
        let somebody_waits = !waiting.workers.is_empty() || !waiting.cycling.is_empty();
        if somebody_waits && self.sqs.deliverable(queue) {
            self.hand_out(now, queue);
        }
    }

    #[inline(never)]
    fn hand_out(&mut self, now: Time, queue: QueueId) {
        while let Some(worker) = self.pick_waiting(now, queue) {
            let state = &self.workers[worker];
            if self.sqs.has_one_message(queue) && !state.stopping && !state.orphan {
                if self.hand_over(now, worker, queue) == Outcome::Again {
                    return;
                }
            } else {
                self.answer(now, worker);
            }
            if !self.sqs.deliverable(queue) {
                return;
            }
        }
        if !self.waiting[usize::from(queue.0)].cycling.is_empty() {
            self.hand_out_to_cycling(now, queue);
        }
    }

    #[inline(never)]
    fn hand_out_to_cycling(&mut self, now: Time, queue: QueueId) {
        while let Some(worker) = self.pick_cycling(now, queue) {
            self.answer(now, worker);
            if !self.sqs.deliverable(queue) {
                return;
            }
        }
        self.call_next_cycling(now, queue);
    }

    /// Answers an outstanding long poll.
    #[inline(always)]
    fn answer(&mut self, now: Time, worker: u32) {
        if self.workers[worker].orphan {
            self.answer_nobody(now, worker);
        } else {
            self.poll(now, worker);
        }
    }

    /// Hands the only message of a queue to a worker that always waits: what [`DataPlane::poll`] does, without asking what is known
    /// here. Where consumers keep up, most messages come this way. `Again` = there is nothing more to hand out.
    #[inline(always)]
    fn hand_over(&mut self, now: Time, worker: u32, queue: QueueId) -> Outcome {
        let outcome = self.receive(now, worker, queue, 1);
        if outcome == Outcome::Over {
            return outcome;
        }
        let state = &mut self.workers[worker];
        let settings = &self.consumers[usize::from(state.consumer)].settings;
        if settings.max_messages.is_none_or(|max| state.taken < max) {
            // Its next poll finds nothing.
            state.idle_from = now;
            state.not_before = now + NEXT_INSTANT;
            wait(&mut self.waiting[usize::from(queue.0)].workers, state, worker);
        }
        outcome
    }

    /// Takes one of the workers whose long poll is always outstanding, which is idle no more.
    #[inline(always)]
    fn pick_waiting(&mut self, now: Time, queue: QueueId) -> Option<u32> {
        let waiting = &mut self.waiting[usize::from(queue.0)];
        let place = match waiting.workers.len() {
            0 => return None,
            1 => 0,
            count => waiting.stream.below(count),
        };
        let worker = waiting.workers.swap_remove(place);
        if let Some(moved) = waiting.workers.get(place) {
            self.workers[*moved].wait_index = place as u32;
        }
        let state = &mut self.workers[worker];
        state.poll = Poll::No;
        state.wait_index = NONE;
        self.count_polls(now, worker, false);
        Some(worker)
    }

    /// Takes the pausing worker whose present long poll began last, which is idle no more.
    fn pick_cycling(&mut self, now: Time, queue: QueueId) -> Option<u32> {
        for index in 0..self.waiting[usize::from(queue.0)].cycling.len() {
            let kind = usize::from(self.waiting[usize::from(queue.0)].cycling[index]);
            let consumer = &self.consumers[kind];
            if consumer.settings.wait == Duration::ZERO {
                continue;
            }
            if let Some((worker, elapsed)) = consumer.idle.latest(now)
                && elapsed < consumer.settings.wait
                && self.workers[worker].idle_from <= now
            {
                self.leave_idle(now, worker, false);
                return Some(worker);
            }
        }
        None
    }

    /// Makes sure that the next poll of each kind of pausing consumer happens, if it would get something.
    fn call_next_cycling(&mut self, now: Time, queue: QueueId) {
        for index in 0..self.waiting[usize::from(queue.0)].cycling.len() {
            let kind = self.waiting[usize::from(queue.0)].cycling[index];
            self.schedule_tick(kind, now);
        }
    }

    /// Gives the next poll of a kind of consumer at or after `from` an event, unless an earlier one has it.
    fn schedule_tick(&mut self, kind: u16, from: Time) {
        let idle = &mut self.consumers[usize::from(kind)].idle;
        if let Some(at) = idle.next_poll(from)
            && at < idle.tick_at
        {
            idle.tick_at = at;
            idle.tick_event = self.events.add(at, Kind::Tick, u32::from(kind));
        }
    }

    /// Lets those idle workers poll whose turn it is.
    pub(super) fn tick(&mut self, now: Time, kind: u16) {
        let consumer = &mut self.consumers[usize::from(kind)];
        consumer.idle.tick_at = Time::MAX;
        consumer.idle.tick_event = NO_EVENT;
        let queue = consumer.settings.queue;
        let mut skipped = 0;
        while self.sqs.deliverable(queue) {
            let Some(worker) = self.consumers[usize::from(kind)].idle.due(now, skipped) else { break };
            if self.workers[worker].not_before > now {
                skipped += 1;
                continue;
            }
            self.leave_idle(now, worker, false);
            self.poll(now, worker);
            // A worker that got nothing is idle again at its old place and has had its turn.
            skipped += usize::from(self.workers[worker].poll == Poll::Cycling);
        }
        if self.sqs.deliverable(queue) {
            self.schedule_tick(kind, now + Duration::from_micros(1));
        }
    }

    /// A poll at an instant that was set before.
    pub(super) fn scheduled_poll(&mut self, now: Time, worker: u32) {
        let state = &mut self.workers[worker];
        state.poll_event = NO_EVENT;
        state.poll = Poll::No;
        self.poll(now, worker);
    }

    /// Receives until the worker is full or there is nothing more; then it waits.
    #[inline(always)]
    pub(super) fn poll(&mut self, now: Time, worker: u32) {
        if let Some((queue, want)) = self.wanted(now, worker) {
            self.receive_all(now, worker, queue, want);
        }
    }

    #[inline(never)]
    fn receive_all(&mut self, now: Time, worker: u32, mut queue: QueueId, mut want: u32) {
        loop {
            let outcome = self.receive(now, worker, queue, want);
            if self.workers[worker].last_poll {
                return self.last_poll_answered(now, worker);
            }
            if outcome == Outcome::Over {
                return;
            }
            let Some(next) = self.wanted(now, worker) else { return };
            (queue, want) = next;
        }
    }

    /// What a worker asks for next, and how many; `None` = it does not ask, or waits since nothing is there.
    #[inline(always)]
    fn wanted(&mut self, now: Time, worker: u32) -> Option<(QueueId, u32)> {
        let state = &self.workers[worker];
        if (state.stopping && !state.last_poll) || !state.alive || state.poll != Poll::No {
            return None;
        }
        let consumer = &self.consumers[usize::from(state.consumer)];
        let settings = &consumer.settings;
        let left = settings.max_messages.map_or(u32::MAX, |max| max.saturating_sub(state.taken));
        let want = settings.batch.min(consumer.capacity - state.held).min(left);
        if want == 0 || (settings.poll_mode == PollMode::AfterBatch && state.held > 0) {
            return None;
        }
        let queue = settings.queue;
        if !self.sqs.deliverable(queue) && self.sqs.queue(queue).exists() {
            self.go_idle(now, worker, now, now + NEXT_INSTANT);
            return None;
        }
        Some((queue, want))
    }

    /// One receive call; tells whether the loop may call again at once.
    #[inline(always)]
    fn receive(&mut self, now: Time, worker: u32, queue: QueueId, want: u32) -> Outcome {
        let kind = usize::from(self.workers[worker].consumer);
        let consumer = &mut self.consumers[kind];
        if let Some(until) = consumer.faults.receive_fails(now) {
            return self.fail_receive(now, worker, until);
        }
        let settings = &consumer.settings;
        let call = || ReceiveMessage {
            max: want,
            long: settings.wait > Duration::ZERO,
            visibility: settings.visibility,
            requested: now,
            attempt: None,
            armed: false,
        };
        // Where there is but one message, more cannot be received.
        let at_most_one = want == 1 || self.sqs.queue(queue).counts().depth().visible == 1;
        if at_most_one && !consumer.fifo {
            let mut message = Received::NONE;
            return match self.sqs.receive_one(now, queue, &call(), &mut message) {
                Ok(true) => self.take_in(now, worker, std::slice::from_ref(&message)),
                Ok(false) => self.get_nothing(now, worker),
                Err(error) => self.refused(now, worker, error),
            };
        }
        let call = call();
        self.receive_many(now, worker, queue, &call)
    }

    /// A receive call that may get several messages.
    #[inline(never)]
    fn receive_many(&mut self, now: Time, worker: u32, queue: QueueId, call: &ReceiveMessage) -> Outcome {
        let mut received = std::mem::take(&mut self.received);
        received.clear();
        let outcome = match self.sqs.receive(now, queue, call, &mut received) {
            Ok(0) => self.get_nothing(now, worker),
            Ok(_) => self.take_in(now, worker, &received),
            Err(error) => self.refused(now, worker, error),
        };
        self.received = received;
        outcome
    }

    /// Takes received messages into a worker.
    #[inline(always)]
    fn take_in(&mut self, now: Time, worker: u32, received: &[Received]) -> Outcome {
        let state = &mut self.workers[worker];
        let consumer = &mut self.consumers[usize::from(state.consumer)];
        let settings = &consumer.settings;
        let latency = match &settings.receive_latency {
            Some(distribution) => distribution.sample(&mut consumer.latencies),
            None => Duration::ZERO,
        } + settings.batch_overhead.sample(&mut consumer.latencies);
        state.give_up_event = NO_EVENT;
        if settings.lost_receives > 0.0 && consumer.latencies.chance(settings.lost_receives) {
            for message in received {
                self.sqs.arm(message.receipt, message.deadline);
            }
            return self.poll_after(now + latency.max(NEXT_POLL), worker);
        }
        // Then it polls again when it has worked off what it holds.
        let full = settings.poll_mode == PollMode::AfterBatch
            || state.held as usize + received.len() >= consumer.capacity as usize;
        state.taken += received.len() as u32;
        for message in received {
            self.begin(now, now + latency, worker, message);
        }
        if full {
            Outcome::Over
        } else if latency > Duration::ZERO {
            self.poll_after(now + latency, worker)
        } else {
            Outcome::Again
        }
    }

    /// An empty answer though there was something: a short poll asked the wrong servers, or the rest went to the dead-letter
    /// queue. The service has counted this one.
    #[inline(never)]
    fn get_nothing(&mut self, now: Time, worker: u32) -> Outcome {
        let consumer = &self.consumers[usize::from(self.workers[worker].consumer)];
        if consumer.settings.always_waits() {
            self.schedule_poll(now + NEXT_POLL, worker);
        } else {
            let next = now + consumer.cycle;
            self.go_idle(now, worker, next, next);
        }
        Outcome::Over
    }

    /// An error for an answer.
    #[inline(never)]
    fn refused(&mut self, now: Time, worker: u32, error: SqsError) -> Outcome {
        let pause = match error {
            SqsError::Throttled(until) => until.since(now).max(ERROR_PAUSE),
            _ => self.consumers[usize::from(self.workers[worker].consumer)].settings.idle_poll.max(ERROR_PAUSE),
        };
        self.schedule_poll(now + pause, worker);
        Outcome::Over
    }

    /// The service fails until `until`: what the worker asks meanwhile fails too, so its next call that can succeed is the first
    /// one from there on.
    #[inline(never)]
    fn fail_receive(&mut self, now: Time, worker: u32, until: Time) -> Outcome {
        if until < Time::MAX {
            let settings = &self.consumers[usize::from(self.workers[worker].consumer)].settings;
            let pause = settings.idle_poll.max(ERROR_PAUSE);
            let calls = (until.since(now).as_micros() + pause.as_micros() - 1) / pause.as_micros();
            self.schedule_poll(now + pause * calls.max(1), worker);
        }
        Outcome::Over
    }

    /// Schedules the next receive of a worker that still has room once an answer has arrived.
    #[inline(never)]
    fn poll_after(&mut self, at: Time, worker: u32) -> Outcome {
        let state = &self.workers[worker];
        let consumer = &self.consumers[usize::from(state.consumer)];
        let after_batch = consumer.settings.poll_mode == PollMode::AfterBatch && state.held > 0;
        if state.held < consumer.capacity && !after_batch {
            self.schedule_poll(at, worker);
        }
        Outcome::Over
    }

    pub(super) fn schedule_poll(&mut self, at: Time, worker: u32) {
        let event = self.events.add(at, Kind::Poll, worker);
        let state = &mut self.workers[worker];
        state.poll = Poll::Scheduled;
        state.poll_event = event;
    }

    /// Lets a worker wait for messages: its polls from `from` on, of which those that find nothing are counted later.
    #[inline(always)]
    fn go_idle(&mut self, now: Time, worker: u32, from: Time, not_before: Time) {
        let state = &mut self.workers[worker];
        state.idle_from = from;
        state.not_before = not_before;
        let consumer = &mut self.consumers[usize::from(state.consumer)];
        let settings = &consumer.settings;
        let always_waits = settings.always_waits();
        if always_waits {
            wait(&mut self.waiting[usize::from(settings.queue.0)].workers, state, worker);
        } else {
            state.poll = Poll::Cycling;
            consumer.idle.insert(from, worker);
        }
        let patience =
            if settings.job { Some(settings.idle_exit.unwrap_or(settings.wait)) } else { settings.idle_exit };
        if let Some(patience) = patience
            && state.held == 0
            && state.give_up_event == NO_EVENT
        {
            state.give_up_event = self.events.add(now + patience, Kind::GiveUp, worker);
        }
        if !always_waits {
            let (kind, queue) = (state.consumer, settings.queue);
            if self.sqs.deliverable(queue) {
                self.schedule_tick(kind, now + NEXT_INSTANT);
            }
        }
    }

    /// Takes a worker out of its wait and counts its empty polls; `cut` = the poll that is outstanding is lost, so it counts.
    pub(super) fn leave_idle(&mut self, now: Time, worker: u32, cut: bool) {
        let state = &mut self.workers[worker];
        let consumer = &mut self.consumers[usize::from(state.consumer)];
        match state.poll {
            Poll::Waiting => {
                let waiting = &mut self.waiting[usize::from(consumer.settings.queue.0)].workers;
                let place = state.wait_index as usize;
                waiting.swap_remove(place);
                if let Some(moved) = waiting.get(place).copied() {
                    self.workers[moved].wait_index = place as u32;
                }
            }
            Poll::Cycling => consumer.idle.remove(state.idle_from, worker),
            Poll::No | Poll::Scheduled => return,
        }
        let state = &mut self.workers[worker];
        state.poll = Poll::No;
        state.wait_index = NONE;
        self.count_polls(now, worker, cut);
    }

    /// Counts the empty polls of a wait that ends.
    #[inline(always)]
    fn count_polls(&mut self, now: Time, worker: u32, cut: bool) {
        let state = &self.workers[worker];
        let consumer = &self.consumers[usize::from(state.consumer)];
        // Most waits are short, and none of their polls was empty.
        if now >= state.idle_from && (cut || now.since(state.idle_from) >= consumer.cycle) {
            self.count_empty_polls(now, worker, cut);
        }
    }

    fn count_empty_polls(&mut self, now: Time, worker: u32, cut: bool) {
        let state = &self.workers[worker];
        let consumer = &self.consumers[usize::from(state.consumer)];
        let elapsed = now.since(state.idle_from).as_micros();
        let count = (elapsed / consumer.cycle.as_micros()) as u64 + u64::from(cut);
        self.sqs.count_empty_receives(consumer.settings.queue, count);
    }

    /// Hands messages to a worker that is no more: they wait out their timeout.
    fn answer_nobody(&mut self, now: Time, worker: u32) {
        let kind = usize::from(self.workers[worker].consumer);
        let settings = &self.consumers[kind].settings;
        let mut call = ReceiveMessage::new(now, settings.batch, true);
        call.visibility = settings.visibility;
        let queue = settings.queue;
        let mut received = std::mem::take(&mut self.received);
        received.clear();
        // Whatever the answer is, nobody reads it.
        let _unread = self.sqs.receive(now, queue, &call, &mut received);
        self.received = received;
        self.orphan_ends(worker);
    }

    /// A worker that has waited long enough ends its pod.
    pub(super) fn give_up(&mut self, now: Time, worker: u32) {
        let state = &mut self.workers[worker];
        state.give_up_event = NO_EVENT;
        if state.alive && state.held == 0 && state.ack_count == 0 && !state.stopping {
            let short = self.consumers[usize::from(state.consumer)].settings.wait == Duration::ZERO;
            self.leave_idle(now, worker, short);
            self.worker_done(now, worker);
        }
    }

    /// Adds a step to the log, if one is kept.
    #[inline]
    pub(super) fn note(&mut self, now: Time, worker: u32, kind: WorkerEventKind) {
        if self.log.is_some() {
            let pod = self.pods[self.workers[worker].pod].reference;
            if let Some(log) = &mut self.log {
                log.push(super::plane::WorkerEvent { at: now, pod, kind });
            }
        }
    }
}

/// Puts a worker, whose long poll is outstanding from now on, behind those that wait.
#[inline(always)]
fn wait(waiting: &mut Vec<u32>, state: &mut Worker, worker: u32) {
    state.poll = Poll::Waiting;
    state.wait_index = waiting.len() as u32;
    waiting.push(worker);
}

/// One microsecond: a poll that has just found nothing does not get what arrives at the same instant.
const NEXT_INSTANT: Duration = Duration::from_micros(1);

/// Whether a loop may receive again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Again,
    Over,
}
