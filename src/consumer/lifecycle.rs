//! Pods come and go: start, SIGTERM, SIGKILL, crash, exit.

use super::event::{Kind, NO_EVENT};
use super::plane::{DataPlane, Notice, NoticeKind, Pod, PodRef, WorkerEventKind};
use super::processing::{deadline_at, used};
use super::report::Work;
use super::worker::{NONE, Poll, Worker};
use crate::scenario::consumers::OnTerm;
use crate::time::{Duration, Time};

impl DataPlane {
    /// The process of a pod begins to work at `now`: it is ready, and polls after its warm-up. `consumer` is the index of its
    /// kind (of `[[consumers]]`).
    ///
    /// # Panics
    /// If the pod is already there, or there is no such consumer: mistakes of the caller.
    pub fn add_consumer(&mut self, now: Time, pod: PodRef, consumer: usize) {
        assert!(self.pod(pod).is_none(), "{pod:?} is already there");
        let kind = &mut self.consumers[consumer];
        let warm_up = kind.settings.warm_up.sample(&mut kind.warm_ups);
        let (threads, slots) = (kind.settings.threads, kind.settings.slots);
        let index = self.pods.add(Pod {
            reference: pod,
            consumer: consumer as u16,
            workers: Vec::with_capacity(threads as usize),
            stopping: false,
            alive: true,
            limit_event: NO_EVENT,
            working: threads,
        });
        if self.pod_index.len() <= pod.0 as usize {
            self.pod_index.resize(pod.0 as usize + 1, NONE);
        }
        self.pod_index[pod.0 as usize] = index;
        for _ in 0..threads {
            let first_slot = self.consumers[consumer].free_slots.pop().unwrap_or_else(|| {
                let first = self.slots.len() as u32;
                self.slots.extend((0..slots).map(|_| Time::ZERO));
                first
            });
            self.slots[first_slot as usize..(first_slot + slots) as usize].fill(Time::ZERO);
            let worker = self.workers.add(Worker::new(index, consumer as u16, first_slot));
            self.pods[index].workers.push(worker);
            self.note(now + warm_up, worker, WorkerEventKind::Start);
            self.schedule_poll(now + warm_up, worker);
        }
    }

    /// SIGTERM at `now`. A notice tells when the process has ended by itself; until then the caller may [`DataPlane::kill`] it.
    /// An unknown pod (one that has ended) is left alone.
    pub fn begin_stop(&mut self, now: Time, pod: PodRef) {
        let Some(index) = self.pod(pod) else { return };
        if self.pods[index].stopping {
            return;
        }
        self.pods[index].stopping = true;
        let kind = usize::from(self.pods[index].consumer);
        let settings = &self.consumers[kind].settings;
        let (on_term, limit, queue) = (settings.on_term, settings.drain_limit, settings.queue);
        if let Some(limit) = limit {
            self.pods[index].limit_event = self.events.add(now + limit, Kind::DrainLimit, index);
        }
        for number in 0..self.pods[index].workers.len() {
            // With the last of its workers the pod is gone.
            let Some(worker) = self.pods[index].workers.get(number).copied() else { break };
            if !self.workers[worker].alive {
                continue;
            }
            self.workers[worker].stopping = true;
            match on_term {
                OnTerm::Die => self.abandon_all(now, worker),
                OnTerm::Release | OnTerm::Requeue => self.release(now, worker, true),
                OnTerm::Drain => {}
            }
            self.stop_polling(now, worker, on_term == OnTerm::Die);
            let state = &self.workers[worker];
            if state.alive && state.held == 0 {
                self.stopping_worker_empty(now, worker);
            }
        }
        self.dispatch(now, queue);
    }

    /// SIGKILL, or the loss of the node, at `now`: what the pod holds waits out its visibility timeout.
    pub fn kill(&mut self, now: Time, pod: PodRef) {
        if let Some(index) = self.pod(pod) {
            self.remove_pod(now, index, true);
        }
    }

    /// Whether the process of a pod is running.
    #[must_use]
    pub fn is_running(&self, pod: PodRef) -> bool {
        self.pod(pod).is_some()
    }

    pub(super) fn pod(&self, pod: PodRef) -> Option<u32> {
        self.pod_index.get(pod.0 as usize).copied().filter(|index| *index != NONE)
    }

    /// Ends a stopping worker's polling: at once, or with the answer of its outstanding long poll.
    fn stop_polling(&mut self, now: Time, worker: u32, dies: bool) {
        let state = &self.workers[worker];
        let settings = &self.consumers[usize::from(state.consumer)].settings;
        let end = self.poll_end(now, worker);
        match end {
            Some(end) if settings.finish_poll && !dies => {
                self.workers[worker].last_poll = true;
                self.workers[worker].poll_event = self.events.add(end, Kind::LastPoll, worker);
            }
            Some(end) if settings.orphaned_polls => {
                let event = self.events.add(end, Kind::LastPoll, worker);
                // The process is gone, but the service does not know.
                self.workers[worker].orphan = true;
                self.workers[worker].poll_event = event;
            }
            _ => {
                self.leave_idle(now, worker, true);
                let state = &mut self.workers[worker];
                state.poll = Poll::No;
                state.poll_event = NO_EVENT;
            }
        }
    }

    /// When the long poll that is outstanding at `now` ends.
    fn poll_end(&self, now: Time, worker: u32) -> Option<Time> {
        let state = &self.workers[worker];
        let consumer = &self.consumers[usize::from(state.consumer)];
        let wait = consumer.settings.wait;
        if !matches!(state.poll, Poll::Waiting | Poll::Cycling) || wait == Duration::ZERO || now < state.idle_from {
            return None;
        }
        let cycle = consumer.cycle.as_micros();
        let elapsed = Duration::from_micros(now.since(state.idle_from).as_micros() % cycle);
        (elapsed < wait).then(|| now + wait - elapsed)
    }

    /// The last poll of a stopping worker has brought messages, or nothing.
    pub(super) fn last_poll_answered(&mut self, now: Time, worker: u32) {
        let state = &mut self.workers[worker];
        state.last_poll = false;
        state.poll_event = NO_EVENT;
        if matches!(state.poll, Poll::Waiting | Poll::Cycling) {
            self.leave_idle(now, worker, false);
        }
        self.workers[worker].poll = Poll::No;
        if self.workers[worker].held == 0 {
            self.stopping_worker_empty(now, worker);
        }
    }

    /// The long poll of a stopping (or gone) worker ends without messages.
    pub(super) fn last_poll_ends(&mut self, now: Time, worker: u32) {
        self.leave_idle(now, worker, false);
        if self.workers[worker].orphan {
            self.orphan_ends(worker);
        } else {
            self.last_poll_answered(now, worker);
        }
    }

    /// The long poll that a worker has cut off is over; the worker itself may still work off what it holds, and its pod those of
    /// the others: only a worker whose pod is gone gives its place back here.
    pub(super) fn orphan_ends(&mut self, worker: u32) {
        let state = &mut self.workers[worker];
        state.orphan = false;
        state.poll = Poll::No;
        state.poll_event = NO_EVENT;
        if state.pod == NONE {
            self.retire(worker);
        }
    }

    /// A stopping worker holds nothing any more.
    pub(super) fn stopping_worker_empty(&mut self, now: Time, worker: u32) {
        if !self.workers[worker].last_poll {
            self.flush_acks(now, worker);
            self.worker_done(now, worker);
        }
    }

    /// The drain has lasted long enough: what is left is released or abandoned.
    pub(super) fn drain_limit(&mut self, now: Time, pod: u32) {
        let kind = usize::from(self.pods[pod].consumer);
        let settings = &self.consumers[kind].settings;
        let (on_term, queue) = (settings.on_term, settings.queue);
        if on_term == OnTerm::Release {
            for number in 0..self.pods[pod].workers.len() {
                let worker = self.pods[pod].workers[number];
                if self.workers[worker].alive {
                    self.release(now, worker, false);
                }
            }
        }
        let reference = self.pods[pod].reference;
        self.remove_pod(now, pod, false);
        self.notices.push_back(Notice { at: now, pod: reference, kind: NoticeKind::Stopped });
        self.dispatch(now, queue);
    }

    /// A message's processing kills its pod.
    pub(super) fn crash(&mut self, now: Time, delivery: u32) {
        let pod = self.workers[self.deliveries[delivery].worker].pod;
        let reference = self.pods[pod].reference;
        self.remove_pod(now, pod, false);
        self.notices.push_back(Notice { at: now, pod: reference, kind: NoticeKind::Crashed });
    }

    /// A worker ends of its own accord; with the last of its pod the process ends.
    pub(super) fn worker_done(&mut self, now: Time, worker: u32) {
        let pod = self.workers[worker].pod;
        self.note(now, worker, WorkerEventKind::Stop);
        self.workers[worker].alive = false;
        self.pods[pod].working -= 1;
        if self.pods[pod].working > 0 {
            return;
        }
        let ok = !self.pods[pod].workers.iter().any(|worker| self.workers[*worker].failed);
        let kind = if self.pods[pod].stopping { NoticeKind::Stopped } else { NoticeKind::Exited { ok } };
        let reference = self.pods[pod].reference;
        self.remove_pod(now, pod, false);
        self.notices.push_back(Notice { at: now, pod: reference, kind });
    }

    /// Forgets a pod; what it still holds waits out its timeout.
    fn remove_pod(&mut self, now: Time, pod: u32, killed: bool) {
        let workers = std::mem::take(&mut self.pods[pod].workers);
        let mut done = Work::default();
        for worker in workers {
            if self.workers[worker].alive {
                self.abandon_all(now, worker);
                if killed && !self.workers[worker].orphan {
                    self.stop_polling(now, worker, true);
                }
                self.note(now, worker, WorkerEventKind::Stop);
            }
            let state = &mut self.workers[worker];
            state.alive = false;
            done.busy += Duration::from_micros(state.busy);
            done.wasted += Duration::from_micros(state.wasted);
            if state.orphan {
                state.pod = NONE;
            } else {
                self.leave_idle(now, worker, true);
                self.retire(worker);
            }
        }
        let number = self.pods[pod].reference.0 as usize;
        if self.ended_work.len() <= number {
            self.ended_work.resize(number + 1, Work::default());
        }
        self.ended_work[number] += done;
        let state = &mut self.pods[pod];
        state.alive = false;
        state.limit_event = NO_EVENT;
        self.pod_index[state.reference.0 as usize] = NONE;
        self.pods.free(pod);
    }

    /// Gives a worker's places back.
    pub(super) fn retire(&mut self, worker: u32) {
        let state = &mut self.workers[worker];
        state.alive = false;
        state.poll = Poll::No;
        state.poll_event = NO_EVENT;
        state.give_up_event = NO_EVENT;
        state.flush_event = NO_EVENT;
        let (kind, slots) = (usize::from(state.consumer), state.slots);
        self.consumers[kind].free_slots.push(slots);
        self.workers.free(worker);
    }

    /// Leaves all that a worker holds to its visibility timeout.
    fn abandon_all(&mut self, now: Time, worker: u32) {
        let kind = usize::from(self.workers[worker].consumer);
        while self.workers[worker].first != NONE {
            let index = self.workers[worker].first;
            let delivery = &self.deliveries[index];
            if delivery.deleted {
                self.consumers[kind].lost += 1;
            } else {
                let heartbeat = self.consumers[kind].settings.heartbeat.as_ref();
                let deadline = deadline_at(heartbeat, delivery, now);
                self.sqs.arm(delivery.receipt, deadline);
            }
            let busy = self.let_go(now, worker, index);
            self.workers[worker].wasted += busy;
            self.forget(kind, index);
            self.note(now, worker, WorkerEventKind::Abandon);
        }
        // Processed, but not deleted yet: these come back too.
        let mut index = std::mem::replace(&mut self.workers[worker].acks, NONE);
        self.workers[worker].ack_count = 0;
        while index != NONE {
            let delivery = &self.deliveries[index];
            let next = delivery.next;
            self.workers[worker].wasted += used(delivery, delivery.end).as_micros();
            let heartbeat = self.consumers[kind].settings.heartbeat.as_ref();
            let deadline = deadline_at(heartbeat, delivery, delivery.end);
            self.sqs.arm(delivery.receipt, deadline);
            self.forget(kind, index);
            index = next;
        }
    }

    /// Sets what a worker holds (only what has not started, if `unstarted`) visible, or sends it again.
    fn release(&mut self, now: Time, worker: u32, unstarted: bool) {
        let kind = usize::from(self.workers[worker].consumer);
        let settings = &self.consumers[kind].settings;
        let (queue, requeue) = (settings.queue, settings.on_term == OnTerm::Requeue);
        let mut index = self.workers[worker].first;
        while index != NONE {
            let delivery = &self.deliveries[index];
            let (next, receipt, deleted) = (delivery.next, delivery.receipt, delivery.deleted);
            if !unstarted || delivery.start > now {
                if !deleted && requeue {
                    let heartbeat = self.consumers[kind].settings.heartbeat.as_ref();
                    let deadline = deadline_at(heartbeat, delivery, now);
                    // A copy that is refused is lost; the original comes back in any case.
                    let _result = self.sqs.send_copy(now, queue, receipt);
                    self.sqs.arm(receipt, deadline);
                } else if !deleted {
                    // If it has expired meanwhile there is nothing to release.
                    let _result = self.sqs.change_visibility(now, queue, receipt, Duration::ZERO);
                }
                let busy = self.let_go(now, worker, index);
                self.workers[worker].wasted += busy;
                self.forget(kind, index);
            }
            index = next;
        }
    }
}
