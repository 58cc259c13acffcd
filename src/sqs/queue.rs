//! One queue: its attributes, its messages in order, its counts and statistics.

use super::counts::Counts;
use super::dedup::{Attempts, Deduplication};
use super::list::{Age, List};
use super::message::{Messages, NO_GROUP, ORIGIN_SHIFT, State};
use super::order::Order;
use super::redrive::MoveTask;
use super::settings::{QueueKind, QueueSettings};
use super::statistics::Statistics;
use super::throughput::Throughput;
use super::timers::{Timer, Timers};
use super::{QueueId, attributes::Phantom};
use crate::engine::{Distribution, Stream, Streams, count_one};
use crate::time::{Duration, Time};

/// A queue. Its messages live in the common store.
pub struct Queue {
    pub(crate) id: QueueId,
    pub(crate) settings: QueueSettings,
    pub(crate) exists: bool,
    pub(crate) order: Order,
    /// Undeleted messages by the time of their send, oldest first, without those set back.
    pub(crate) age: List<Age>,
    /// Messages received so often that they no longer count for the age metric.
    pub(crate) set_back: List<Age>,
    pub(crate) counts: Counts,
    pub(crate) statistics: Statistics,
    pub(crate) deduplication: Deduplication,
    pub(crate) attempts: Attempts,
    pub(crate) throughput: Throughput,
    pub(crate) last_purge: Option<Time>,
    pub(crate) move_task: Option<MoveTask>,
    pub(crate) phantom: Option<Phantom>,
    pub(crate) oldest_watched: bool,
    pub(crate) next_id: u64,
    pub(crate) next_sequence: u64,
    pub(crate) order_stream: Stream,
    pub(crate) attributes_stream: Stream,
    pub(crate) duplicates: Rare,
    pub(crate) empty_long_polls: Rare,
}

/// A rare random event: counts down to its next occurrence instead of drawing every time.
#[derive(Clone, Debug)]
pub(crate) struct Rare {
    probability: f64,
    left: u64,
    stream: Stream,
}

impl Rare {
    pub fn new(probability: f64, stream: Stream) -> Self {
        let mut rare = Rare { probability, left: 0, stream };
        rare.draw();
        rare
    }

    /// Whether it happens this time.
    #[inline]
    pub fn happens(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.draw();
        self.probability > 0.0
    }

    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The number of times without it until it happens, geometrically distributed.
    fn draw(&mut self) {
        self.left = if self.probability <= 0.0 {
            u64::MAX
        } else if self.probability >= 1.0 {
            0
        } else {
            let mean = Duration::from_secs(1000);
            let exponential = Distribution::Exponential { mean }.sample(&mut self.stream).as_secs_f64() / 1000.0;
            (exponential / -(-self.probability).ln_1p()) as u64
        };
    }
}

impl Queue {
    pub(crate) fn new(id: QueueId, settings: QueueSettings, streams: &Streams) -> Self {
        let open = |label: &str| streams.open_named(label, &settings.name);
        let partitions = match settings.kind {
            QueueKind::Fifo { partitions, .. } => partitions,
            _ => 0,
        };
        Queue {
            id,
            exists: true,
            order: Order::new(settings.kind),
            age: List::default(),
            set_back: List::default(),
            counts: Counts::new(settings.counter_lag.is_some()),
            statistics: Statistics::default(),
            deduplication: Deduplication::default(),
            attempts: Attempts::default(),
            throughput: Throughput::new(partitions),
            last_purge: None,
            move_task: None,
            phantom: None,
            oldest_watched: false,
            next_id: u64::from(id.0) << ORIGIN_SHIFT,
            next_sequence: 0,
            order_stream: open("sqs/order"),
            attributes_stream: open("sqs/attributes"),
            duplicates: Rare::new(settings.duplicates, open("sqs/duplicates")),
            empty_long_polls: Rare::new(settings.empty_long_polls, open("sqs/empty-long-polls")),
            settings,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Attributes and habits.
    #[must_use]
    pub fn settings(&self) -> &QueueSettings {
        &self.settings
    }

    /// Whether it exists at present.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// True counts, their integrals and extremes.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Counters and histograms.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Whether it is a FIFO queue.
    #[inline]
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        matches!(self.order, Order::Fifo(_))
    }

    /// ApproximateNumberOfGroupsWithInflightMessages; 0 for queues that are not FIFO.
    #[must_use]
    pub fn groups_in_flight(&self) -> u64 {
        match &self.order {
            Order::Fifo(groups) => groups.with_in_flight(),
            _ => 0,
        }
    }

    /// Whether the tenant of a fair queue is noisy at present.
    #[must_use]
    pub fn is_noisy(&self, group: u32) -> bool {
        match &self.order {
            Order::Fair(tenants) => tenants.is_noisy(group),
            _ => false,
        }
    }

    /// The group under which a message is kept.
    #[inline]
    pub(crate) fn group_of(&self, group: Option<u32>) -> u32 {
        match self.order {
            Order::Fifo(_) => group.unwrap_or(0),
            _ => group.unwrap_or(NO_GROUP),
        }
    }

    /// Adds a message (filled in by the caller but for sequence, queue and state) to the order, the age list and the counts.
    #[inline(always)]
    pub(crate) fn enqueue(
        &mut self,
        messages: &mut Messages,
        timers: &mut Timers,
        now: Time,
        slot: u32,
        delay: Duration,
    ) {
        let message = &mut messages[slot];
        message.sequence = self.next_sequence;
        message.queue = self.id.0;
        count_one(&mut self.next_sequence);
        let older = self.age.extend(message, slot);
        if delay > Duration::ZERO {
            message.state = State::Delayed;
            message.deadline = now + delay;
            timers.add(now + delay, Timer::Visible { slot, generation: message.generation });
            self.counts.change(now, |depth| depth.delayed += 1);
            List::<Age>::follow(messages, older, slot);
            if let Order::Fifo(groups) = &mut self.order {
                groups.append(messages, &self.age, slot);
            }
        } else {
            message.state = State::Visible;
            self.counts.appear(now);
            List::<Age>::follow(messages, older, slot);
            self.show(messages, slot);
        }
    }

    /// Adds a message that has just become visible for the first time to the order.
    #[inline(always)]
    pub(crate) fn show(&mut self, messages: &mut Messages, slot: u32) {
        match &mut self.order {
            Order::Standard(shards) => shards.append(messages, slot, &mut self.order_stream),
            Order::Fair(tenants) => tenants.insert(messages, slot, false),
            Order::Fifo(groups) => groups.append(messages, &self.age, slot),
        }
    }

    /// Makes a message in flight visible again.
    pub(crate) fn put_back(&mut self, messages: &mut Messages, now: Time, slot: u32) {
        self.counts.change(now, |depth| {
            depth.in_flight -= 1;
            depth.visible += 1;
        });
        let message = &mut messages[slot];
        message.state = State::Visible;
        let (group, held, back) = (message.group, now.since(message.received), message.set_back);
        match &mut self.order {
            Order::Standard(shards) if back => shards.append(messages, slot, &mut self.order_stream),
            Order::Standard(shards) => shards.reinsert(messages, slot),
            Order::Fair(tenants) => {
                tenants.count_back(messages, now, group, held);
                tenants.insert(messages, slot, !back);
            }
            Order::Fifo(groups) => {
                groups.count_in_flight(group, false);
                groups.refresh(messages, group);
            }
        }
    }

    /// Takes a message, whatever its state, out of the order, the counts and the age list. The place stays allocated.
    #[inline(always)]
    pub(crate) fn take_out(&mut self, messages: &mut Messages, now: Time, slot: u32) {
        let message = &messages[slot];
        let (state, group) = (message.state, message.group);
        match state {
            State::InFlight => self.counts.finish(now),
            State::Visible => self.counts.change(now, |depth| depth.visible -= 1),
            State::Delayed => self.counts.change(now, |depth| depth.delayed -= 1),
            State::Free | State::Lingering => {}
        }
        match &mut self.order {
            Order::Standard(shards) => {
                if state == State::Visible {
                    shards.remove(messages, slot);
                }
            }
            Order::Fair(tenants) => match state {
                State::Visible => tenants.remove(messages, slot),
                State::InFlight => {
                    let held = now.since(message.received);
                    tenants.count_back(messages, now, group, held);
                }
                _ => {}
            },
            Order::Fifo(groups) => {
                if state == State::InFlight {
                    groups.count_in_flight(group, false);
                }
                groups.remove(messages, slot);
            }
        }
        self.leave_age(messages, slot);
    }

    /// Takes a message out of the age list or the list of those set back.
    #[inline(always)]
    pub(crate) fn leave_age(&mut self, messages: &mut Messages, slot: u32) {
        if messages[slot].set_back {
            self.set_back.remove(messages, slot);
        } else {
            self.age.remove(messages, slot);
        }
    }

    /// Whether a receive would get, or move, at least one message.
    #[inline]
    pub(crate) fn deliverable(&mut self, messages: &Messages) -> bool {
        let depth = self.counts.depth();
        if !self.exists || depth.visible == 0 || depth.in_flight >= self.settings.in_flight_limit {
            return false;
        }
        match &mut self.order {
            Order::Fifo(groups) => groups.first_ready(messages).is_some(),
            _ => true,
        }
    }
}
