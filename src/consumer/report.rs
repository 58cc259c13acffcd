//! What the control plane and the telemetry read from the data plane.

use super::plane::{DataPlane, PodRef};
use super::processing::used;
use super::settings::ConsumerSettings;
use super::worker::NONE;
use crate::sqs::{Depth, Queue, QueueAttributes, QueueId, Sqs, SqsError, Statistics, Unfinished, Window, price};
use crate::time::{Duration, Time};
use crate::units::Usd;

/// What a kind of consumer has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages processed to the end.
    pub processed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Messages deleted before their processing, which then did not end well.
    pub lost: u64,
}

/// Slot-time that the processes of a pod have spent on messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// All of it.
    pub busy: Duration,
    /// Of it, on attempts that led to nothing: the message had to be processed again, had been processed already, or is lost.
    pub wasted: Duration,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        self.busy += other.busy;
        self.wasted += other.wasted;
    }
}

impl DataPlane {
    /// GetQueueAttributes as a scaler sees it: lagging counters, unless the queue is exact.
    ///
    /// # Errors
    /// `NonExistentQueue`.
    pub fn attributes(&mut self, now: Time, queue: QueueId) -> Result<QueueAttributes, SqsError> {
        self.sqs.attributes(now, queue)
    }

    /// The true counts of a queue.
    #[must_use]
    pub fn true_counts(&self, queue: QueueId) -> Depth {
        self.sqs.queue(queue).counts().depth()
    }

    /// Integrals of visible and in-flight messages over time until `now`, in message-microseconds. The difference of two readings
    /// divided by the time between them is an exact mean.
    #[must_use]
    pub fn areas(&self, now: Time, queue: QueueId) -> (i128, i128) {
        self.sqs.queue(queue).counts().areas(now)
    }

    /// The fewest and the most messages since the last call for this queue, and when.
    pub fn take_window(&mut self, now: Time, queue: QueueId) -> Window {
        self.sqs.take_window(now, queue)
    }

    /// Counters and histograms of a queue, with the empty polls up to `now`.
    pub fn statistics(&mut self, now: Time, queue: QueueId) -> &Statistics {
        self.count_idle_polls(now, queue);
        self.sqs.queue(queue).statistics()
    }

    /// Waits and sojourns of messages sent before `from` are not counted.
    pub fn measure_from(&mut self, from: Time) {
        self.sqs.measure_from(from);
    }

    /// The messages of a queue that are not done with at `now`.
    #[must_use]
    pub fn unfinished(&self, now: Time, queue: QueueId) -> Unfinished {
        self.sqs.unfinished(now, queue)
    }

    /// What the requests to a queue cost up to `now`, without the free tier.
    pub fn request_cost(&mut self, now: Time, queue: QueueId) -> Usd {
        self.count_idle_polls(now, queue);
        let queue = self.sqs.queue(queue);
        price::price(queue.settings().kind, &queue.statistics().counters.requests)
    }

    /// ApproximateAgeOfOldestMessage.
    #[must_use]
    pub fn age_of_oldest(&self, now: Time, queue: QueueId) -> Duration {
        self.sqs.age_of_oldest(now, queue)
    }

    /// The queue of this name.
    #[must_use]
    pub fn find_queue(&self, name: &str) -> Option<QueueId> {
        self.sqs.find(name)
    }

    /// All queues, those of the scenario first.
    #[must_use]
    pub fn queues(&self) -> &[Queue] {
        self.sqs.queues()
    }

    /// The queue model itself, to read.
    #[must_use]
    pub fn sqs(&self) -> &Sqs {
        &self.sqs
    }

    /// Settings of a kind of consumer.
    #[must_use]
    pub fn consumer_settings(&self, consumer: usize) -> &ConsumerSettings {
        &self.consumers[consumer].settings
    }

    /// The index of the kind of consumer that the pods of this Deployment or ScaledJob are.
    #[must_use]
    pub fn find_consumer(&self, name: &str) -> Option<usize> {
        self.consumers.iter().position(|consumer| consumer.settings.name == name)
    }

    /// What a kind of consumer has done.
    #[must_use]
    pub fn totals(&self, consumer: usize) -> Totals {
        let consumer = &self.consumers[consumer];
        Totals { processed: consumer.processed, failed: consumer.failed, lost: consumer.lost }
    }

    /// Slot-time that a pod has spent on messages from its start to `now`, over all its slots. The difference of two readings
    /// divided by the time between them and the number of slots is the busy fraction. Zero for a pod that is not there.
    #[must_use]
    pub fn busy(&self, now: Time, pod: PodRef) -> Duration {
        let Some(index) = self.pod(pod) else { return Duration::ZERO };
        self.pods[index].workers.iter().map(|worker| self.worker_busy(now, *worker)).sum()
    }

    /// What a pod's processes, ended ones too, have worked up to `now`.
    #[must_use]
    pub fn work(&self, now: Time, pod: PodRef) -> Work {
        let mut work = self.ended_work.get(pod.0 as usize).copied().unwrap_or_default();
        if let Some(index) = self.pod(pod) {
            for worker in &self.pods[index].workers {
                let wasted = Duration::from_micros(self.workers[*worker].wasted);
                work += Work { busy: self.worker_busy(now, *worker), wasted };
            }
        }
        work
    }

    /// Messages in flight that no consumer works on any more, since it is gone or has given up on them: they wait out their
    /// visibility timeout.
    #[must_use]
    pub fn lost_in_flight(&self, queue: QueueId) -> u64 {
        let of_queue = self.consumers.iter().filter(|consumer| consumer.settings.queue == queue);
        let held = of_queue.map(|consumer| consumer.held).sum();
        self.true_counts(queue).in_flight.saturating_sub(held)
    }

    /// Visible messages that nobody can receive, since an earlier one of their FIFO group is not done with.
    #[must_use]
    pub fn blocked(&mut self, queue: QueueId) -> u64 {
        self.sqs.blocked(queue)
    }

    /// When a source sends next; `None` = never again.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Time> {
        (self.next_source.0 < Time::MAX).then_some(self.next_source.0)
    }

    /// Messages that a pod holds.
    #[must_use]
    pub fn held(&self, pod: PodRef) -> u32 {
        let Some(index) = self.pod(pod) else { return 0 };
        self.pods[index].workers.iter().map(|worker| self.workers[*worker].held).sum()
    }

    /// Until when all has happened.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Number of data events so far: sends, polls, ends of processing.
    #[must_use]
    pub fn events_made(&self) -> u64 {
        self.events.made()
    }

    fn worker_busy(&self, now: Time, worker: u32) -> Duration {
        let state = &self.workers[worker];
        let mut busy = Duration::from_micros(state.busy);
        let mut index = state.first;
        while index != NONE {
            busy += used(&self.deliveries[index], now);
            index = self.deliveries[index].next;
        }
        busy
    }

    /// Counts the polls that idle workers have made for nothing up to `now`.
    fn count_idle_polls(&mut self, now: Time, queue: QueueId) {
        let place = usize::from(queue.0);
        let mut count = 0;
        for number in 0..self.waiting[place].workers.len() {
            let worker = self.waiting[place].workers[number];
            count += self.settle(now, worker);
        }
        for number in 0..self.waiting[place].cycling.len() {
            let kind = usize::from(self.waiting[place].cycling[number]);
            for at in 0..self.consumers[kind].idle.len() {
                let worker = self.consumers[kind].idle.worker(at);
                count += self.settle(now, worker);
            }
        }
        if count > 0 {
            self.sqs.count_empty_receives(queue, count);
        }
    }

    /// The idle polls of a worker that are over at `now` and not counted yet.
    fn settle(&mut self, now: Time, worker: u32) -> u64 {
        let state = &mut self.workers[worker];
        let cycle = self.consumers[usize::from(state.consumer)].cycle;
        if now < state.idle_from {
            return 0;
        }
        let over = now.since(state.idle_from).as_micros() / cycle.as_micros();
        state.idle_from += cycle * over;
        over as u64
    }
}
