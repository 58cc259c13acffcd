//! The data plane as the control plane sees it, and its main loop.

use super::event::{Events, Kind};
use super::faults::Faults;
use super::idle::IdleLine;
use super::report::Work;
use super::settings::ConsumerSettings;
use super::worker::{Delivery, Slab, Worker};
use crate::engine::{Family, Stream, Streams};
use crate::scenario::consumers::ConsumerSpec;
use crate::scenario::queues::{QueueAction, QueueSpec};
use crate::sqs::{QueueId, QueueSettings, Received, SendMessage, Sqs, SqsError};
use crate::time::{Duration, Time};
use crate::traffic::Source;

/// A pod, by the number that the caller gives it. Numbers should be small: they index a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodRef(pub u32);

/// Something in the data plane that the control plane must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When it happened.
    pub at: Time,
    /// Whose process it is. The data plane has forgotten the pod by now.
    pub pod: PodRef,
    /// What happened.
    pub kind: NoticeKind,
}

/// What the control plane must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// The process ended after SIGTERM, of its own accord.
    Stopped,
    /// The process ended by itself: its messages are done, or it waited too long for one.
    Exited {
        /// Whether all its messages were processed (exit code 0).
        ok: bool,
    },
    /// The process crashed.
    Crashed,
}

/// A step of a worker, as a log would show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerEvent {
    /// When.
    pub at: Time,
    /// Whose.
    pub pod: PodRef,
    /// What.
    pub kind: WorkerEventKind,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEventKind {
    /// Begins to poll.
    Start,
    /// Gets a message whose receive count is now this.
    Receive(u32),
    /// Has processed and deleted a message.
    Done,
    /// Failed to process a message.
    Error,
    /// Loses a message because it stops.
    Abandon,
    /// Ends.
    Stop,
}

/// What is planned for a queue.
#[derive(Clone, Debug)]
pub(super) struct PlannedChange {
    pub at: Time,
    pub queue: QueueId,
    pub change: crate::scenario::queues::QueueChange,
}

/// A kind of consumer and its idle workers.
#[derive(Debug)]
pub(super) struct Consumer {
    pub settings: ConsumerSettings,
    pub cycle: Duration,
    pub capacity: u32,
    /// Whether its queue is a FIFO queue.
    pub fifo: bool,
    pub idle: IdleLine,
    pub service: Family,
    pub fates: Family,
    pub poison: Family,
    pub latencies: Stream,
    pub warm_ups: Stream,
    /// Whether processing needs none of the rarer rules.
    pub plain: bool,
    /// What fails, and when.
    pub faults: Faults,
    /// Places in the table of slots that ended workers have left.
    pub free_slots: Vec<u32>,
    /// Messages that its workers hold, those whose delete is still to be sent included.
    pub held: u64,
    /// Messages lost because their pod ended after an early delete.
    pub lost: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Messages processed to the end.
    pub processed: u64,
}

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub reference: PodRef,
    pub consumer: u16,
    pub workers: Vec<u32>,
    pub stopping: bool,
    pub alive: bool,
    pub limit_event: u32,
    pub working: u32,
}

/// Who waits for the messages of a queue.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Workers whose long poll is always outstanding.
    pub workers: Vec<u32>,
    pub stream: Stream,
    /// Consumers whose workers pause between polls.
    pub cycling: Vec<u16>,
}

/// All queues, sources and consumers of a run. See the module documentation for how it is driven.
pub struct DataPlane {
    pub(super) sqs: Sqs,
    pub(super) sources: Vec<Source>,
    /// The earliest source and its instant.
    pub(super) next_source: (Time, u32),
    pub(super) changes: Vec<PlannedChange>,
    pub(super) events: Events,
    pub(super) consumers: Vec<Consumer>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) workers: Slab<Worker>,
    pub(super) deliveries: Slab<Delivery>,
    pub(super) pods: Slab<Pod>,
    /// Index into `pods` by the caller's number; `u32::MAX` = none.
    pub(super) pod_index: Vec<u32>,
    /// Work of processes that have ended, by the caller's number.
    pub(super) ended_work: Vec<Work>,
    /// When each slot of each worker is free.
    pub(super) slots: Vec<Time>,
    pub(super) notices: std::collections::VecDeque<Notice>,
    pub(super) received: Vec<Received>,
    pub(super) now: Time,
    pub(super) log: Option<Vec<WorkerEvent>>,
}

impl DataPlane {
    /// The data plane of a scenario: all queues with their backlogs at time 0, no pods.
    ///
    /// # Panics
    /// If a consumer names a queue that does not exist: validation must have refused that.
    #[must_use]
    pub fn new(queues: &[QueueSpec], consumers: &[ConsumerSpec], streams: &Streams) -> Self {
        let settings = QueueSettings::from_specs(queues);
        let mut plane = Self::with_queues(settings, streams);
        for (index, spec) in queues.iter().enumerate() {
            let id = QueueId(index as u16);
            for (number, arrivals) in spec.arrivals.iter().enumerate() {
                plane.add_source(Source::new(id, &spec.name, number, arrivals, streams));
            }
            for change in &spec.changes {
                let at = Time::ZERO + change.at;
                plane.changes.push(PlannedChange { at, queue: id, change: change.clone() });
            }
            let groups = u64::from(spec.backlog_groups);
            for number in 0..spec.backlog {
                let group = (groups > 0 && (spec.fifo || spec.fair)).then(|| (number % groups) as u32);
                let message = SendMessage { group, batch: 10, delay: Some(Duration::ZERO), ..SendMessage::default() };
                // Before the run nobody is throttled.
                plane.sqs.send_backlog(id, &message);
            }
        }
        // Taken from the end.
        plane.changes.sort_by_key(|planned| std::cmp::Reverse(planned.at));
        for spec in consumers {
            let queue = plane.sqs.find(&spec.queue).expect("a validated consumer names a queue of the scenario");
            let settings = ConsumerSettings::from_spec(spec, queue, plane.sqs.queue(queue).settings());
            plane.add_consumer_kind(settings, streams);
        }
        plane
    }

    /// A data plane with queues alone; sources and consumers are added by calls.
    #[must_use]
    pub fn with_queues(settings: Vec<QueueSettings>, streams: &Streams) -> Self {
        let waiting = settings
            .iter()
            .map(|queue| Waiting {
                workers: Vec::new(),
                stream: streams.open_named("consumer/waiting", &queue.name),
                cycling: Vec::new(),
            })
            .collect();
        DataPlane {
            sqs: Sqs::new(settings, streams),
            sources: Vec::new(),
            next_source: (Time::MAX, 0),
            changes: Vec::new(),
            events: Events::default(),
            consumers: Vec::new(),
            waiting,
            workers: Slab::default(),
            deliveries: Slab::default(),
            pods: Slab::default(),
            pod_index: Vec::new(),
            ended_work: Vec::new(),
            slots: Vec::new(),
            notices: std::collections::VecDeque::new(),
            received: Vec::with_capacity(10),
            now: Time::ZERO,
            log: None,
        }
    }

    /// Adds a source of messages.
    pub fn add_source(&mut self, source: Source) {
        self.sources.push(source);
        self.find_next_source();
    }

    /// Adds a kind of consumer; its index among the kinds is the result. Those of the scenario have the indices of
    /// `[[consumers]]`.
    pub fn add_consumer_kind(&mut self, settings: ConsumerSettings, streams: &Streams) -> usize {
        let index = self.consumers.len();
        let queue = usize::from(settings.queue.0);
        let queue_name = self.sqs.queue(settings.queue).settings().name.clone();
        if !settings.always_waits() {
            self.waiting[queue].cycling.push(index as u16);
        }
        let plain = settings.failures == 0.0 && settings.crashes == 0.0 && settings.poison == 0.0;
        self.consumers.push(Consumer {
            cycle: settings.poll_cycle(),
            capacity: settings.capacity(),
            fifo: self.sqs.queue(settings.queue).is_fifo(),
            idle: IdleLine::new(settings.poll_cycle()),
            // By queue, so that a message takes as long whatever consumer it meets.
            service: streams.family("consumer/service", &queue_name),
            fates: streams.family("consumer/fates", &queue_name),
            poison: streams.family("consumer/poison", &queue_name),
            latencies: streams.open_named("consumer/latencies", &settings.name),
            warm_ups: streams.open_named("consumer/warm-ups", &settings.name),
            plain,
            faults: Faults::none(streams, &settings.name),
            free_slots: Vec::new(),
            held: 0,
            lost: 0,
            failed: 0,
            processed: 0,
            settings,
        });
        index
    }

    /// Keeps a log of the workers' steps, to be read by [`DataPlane::take_worker_events`].
    pub fn record_workers(&mut self) {
        self.log.get_or_insert_with(Vec::new);
    }

    /// Takes the log of the workers' steps since the last call.
    pub fn take_worker_events(&mut self) -> Vec<WorkerEvent> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// When the data plane does something next; `None` = never, unless the control plane acts.
    #[must_use]
    pub fn next_event(&mut self) -> Option<Time> {
        let next = self.next_instant();
        (next < Time::MAX || !self.notices.is_empty()).then_some(if self.notices.is_empty() { next } else { self.now })
    }

    /// Does all that happens up to and including `until`; returns early, at the instant of the notice, when there is something
    /// that the control plane must see. Call again until the result is `None`.
    pub fn advance(&mut self, until: Time) -> Option<Notice> {
        loop {
            if !self.notices.is_empty() {
                return self.notices.pop_front();
            }
            let timer = self.sqs.next_timer();
            let change = self.changes.last().map_or(Time::MAX, |planned| planned.at);
            let source = self.next_source.0;
            let event = self.events.next();
            let first = timer.min(change).min(source).min(event);
            if first > until || first == Time::MAX {
                self.now = self.now.max(until.min(first));
                return None;
            }
            self.now = first;
            if timer == first {
                self.sqs.advance(first);
            } else if change == first {
                self.apply_next_change();
            } else if source == first {
                self.send_next(first);
                continue;
            } else if let Some((at, number, kind, index)) = self.events.take() {
                self.handle(at, number, kind, index);
            }
            if self.sqs.has_woken() {
                self.serve_woken();
            }
        }
    }

    /// SendMessage from outside the sources (a scripted message, say).
    pub fn send(&mut self, now: Time, queue: QueueId, message: &SendMessage) -> Result<(), SqsError> {
        self.sqs.send(now, queue, message)?;
        self.dispatch(now, queue);
        Ok(())
    }

    /// Does one of the things that a scenario plans for queues.
    ///
    /// # Errors
    /// Those of the API.
    pub fn apply(
        &mut self,
        now: Time,
        queue: QueueId,
        change: &crate::scenario::queues::QueueChange,
    ) -> Result<(), SqsError> {
        match change.action {
            QueueAction::Delete => self.sqs.delete_queue(now, queue),
            QueueAction::Create => self.sqs.create_queue(now, queue),
            QueueAction::Purge => self.sqs.purge(now, queue)?,
            QueueAction::Redrive => self.sqs.start_move(now, queue, change.messages_per_second)?,
            QueueAction::Send => {
                for _ in 0..change.messages {
                    self.send(now, queue, &SendMessage { batch: 10, ..SendMessage::default() })?;
                }
            }
            QueueAction::Set => {
                let new = crate::sqs::NewAttributes {
                    visibility_timeout: change.visibility_timeout,
                    delay: change.delay,
                    retention: change.retention,
                    max_receive_count: change.max_receive_count,
                };
                self.sqs.set_attributes(now, queue, &new);
            }
        }
        self.serve_woken();
        self.dispatch(now, queue);
        Ok(())
    }

    fn next_instant(&mut self) -> Time {
        let change = self.changes.last().map_or(Time::MAX, |planned| planned.at);
        self.sqs.next_timer().min(change).min(self.next_source.0).min(self.events.next())
    }

    fn apply_next_change(&mut self) {
        if let Some(planned) = self.changes.pop() {
            // A change that the service refuses (a second purge within a minute) has no effect.
            let _refused = self.apply(planned.at, planned.queue, &planned.change).is_err();
        }
    }

    #[inline]
    fn send_next(&mut self, now: Time) {
        let index = self.next_source.1 as usize;
        let source = &mut self.sources[index];
        let queue = source.queue();
        let sent = self.sqs.send(now, queue, source.message());
        match sent {
            Err(SqsError::Throttled(until)) => source.hold_back(until),
            // Where there is no queue to send to, the producer's message is lost.
            Ok(_) | Err(_) => source.go_on(),
        }
        self.find_next_source();
        if sent.is_ok() {
            self.dispatch(now, queue);
        }
    }

    #[inline]
    fn find_next_source(&mut self) {
        // Most scenarios have one.
        if let [source] = &self.sources[..] {
            self.next_source = (source.next(), 0);
            return;
        }
        let mut next = (Time::MAX, 0);
        for (index, source) in self.sources.iter().enumerate() {
            if source.next() < next.0 {
                next = (source.next(), index as u32);
            }
        }
        self.next_source = next;
    }

    pub(super) fn serve_woken(&mut self) {
        while let Some(queue) = self.sqs.take_woken() {
            self.dispatch(self.now, queue);
        }
    }

    #[inline(always)]
    fn handle(&mut self, now: Time, number: u32, kind: Kind, index: u32) {
        // Nearly all are ends of processing: these cost no call.
        if kind != Kind::Complete {
            self.handle_other(now, number, kind, index);
        } else if self.deliveries[index].event == number {
            self.complete(now, index);
        }
    }

    #[inline(never)]
    fn handle_other(&mut self, now: Time, number: u32, kind: Kind, index: u32) {
        match kind {
            // `handle` sees to these.
            Kind::Complete => {}
            Kind::Begin => {
                if self.deliveries[index].begin_event == number {
                    self.delete_early(now, index);
                }
            }
            Kind::Crash => {
                if self.deliveries[index].event == number {
                    self.crash(now, index);
                }
            }
            Kind::Poll => {
                if self.workers[index].poll_event == number {
                    self.scheduled_poll(now, index);
                }
            }
            Kind::Tick => {
                if self.consumers[index as usize].idle.tick_event == number {
                    self.tick(now, index as u16);
                }
            }
            Kind::Flush => {
                if self.workers[index].flush_event == number {
                    self.flush_acks(now, index);
                }
            }
            Kind::GiveUp => {
                if self.workers[index].give_up_event == number {
                    self.give_up(now, index);
                }
            }
            Kind::LastPoll => {
                if self.workers[index].poll_event == number {
                    self.last_poll_ends(now, index);
                }
            }
            Kind::DrainLimit => {
                if self.pods[index].limit_event == number {
                    self.drain_limit(now, index);
                }
            }
        }
    }
}
