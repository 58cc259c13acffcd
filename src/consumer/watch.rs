//! The life of one message, by looking at the data plane after every instant: what it does to messages takes no notice of it.

use super::event::NO_EVENT;
use super::plane::{DataPlane, PodRef};
use super::worker::{Fate, NONE};
use crate::sqs::{Glimpse, Place, QueueId, Receipt, Sqs};
use crate::time::Time;

/// How a pod's work on a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was processed.
    Done,
    /// Its processing failed.
    Failed,
    /// Its processing crashed the pod.
    Crashed,
    /// The pod stopped, or gave it back, before it was processed.
    Dropped,
}

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStepKind {
    /// It was sent; so many other messages were visible.
    Sent {
        /// Visible messages besides it.
        ahead: u64,
        /// Whether consumers cannot see it yet, since its delay has not passed.
        delayed: bool,
    },
    /// Its delay has passed.
    DelayOver,
    /// It was received.
    Received {
        /// By whom; `None` = the answer of a poll whose process was gone.
        by: Option<PodRef>,
        /// ApproximateReceiveCount.
        count: u32,
        /// When its processing begins, if nothing comes between.
        start: Time,
        /// Messages sent before it that were never received and wait still.
        earlier_waiting: u64,
        /// Messages sent after it that were received before it.
        later_received: u64,
    },
    /// A pod is through with it.
    Ended(PodRef, Attempt),
    /// It became visible again.
    Returned {
        /// Whether its visibility timeout ran out; otherwise its consumer gave it back.
        timed_out: bool,
    },
    /// It was moved to this dead-letter queue.
    DeadLettered(QueueId),
    /// It was deleted.
    Deleted,
    /// A copy of the deleted message is delivered once more, as standard queues may.
    Repeated,
    /// It was older than the retention period.
    Expired,
    /// It was removed by a purge, with its queue, or by a move task, which sends it again as a new message.
    Removed,
}

/// What happened to a message, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageStep {
    /// When.
    pub at: Time,
    /// What.
    pub kind: MessageStepKind,
}

/// The life of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageTrail {
    /// What happened to it, in order of time; nothing when it was never sent.
    pub steps: Vec<MessageStep>,
    /// From when on it was (or was not) held up by a message of its FIFO group in flight.
    pub group_blocked: Vec<(Time, bool)>,
}

/// Follows one message.
#[derive(Debug)]
pub struct MessageWatch {
    id: u64,
    slot: Option<u32>,
    last: Option<Glimpse>,
    held: Option<Held>,
    trail: MessageTrail,
}

/// A pod's work on the message.
#[derive(Clone, Copy, Debug)]
struct Held {
    delivery: u32,
    receipt: Receipt,
    pod: PodRef,
    fate: Fate,
    end: Time,
    /// Whether it was deleted before it was processed.
    deleted: bool,
}

impl MessageWatch {
    /// Follows the message of this number in a queue: they are numbered from 1 in the order of their sends, the initial backlog
    /// first.
    #[must_use]
    pub fn new(queue: QueueId, number: u64) -> Self {
        let id = Sqs::message_id(queue, number);
        MessageWatch { id, slot: None, last: None, held: None, trail: MessageTrail::default() }
    }

    /// Looks what has happened; to be called after every instant, after the planning of the run too.
    pub fn look(&mut self, now: Time, plane: &DataPlane) {
        if self.trail.steps.is_empty() && plane.sqs.was_sent(self.id) {
            self.slot = plane.sqs.find_message(self.id);
            self.see_sent(now, plane);
        }
        let Some(slot) = self.slot else { return };
        let ended = self.see_attempt(now, plane);
        let seen = plane.sqs.glimpse(slot, self.id);
        match (self.last, seen) {
            (Some(before), Some(seen)) => self.see_change(now, plane, before, seen),
            (Some(before), None) => self.see_gone(now, plane, before, ended),
            (None, _) => {}
        }
        self.last = seen;
        let blocked = seen.is_some_and(|seen| seen.group_blocked);
        if self.trail.group_blocked.last().is_some_and(|&(_, was)| was) != blocked {
            self.trail.group_blocked.push((now, blocked));
        }
    }

    /// What was seen.
    #[must_use]
    pub fn trail(self) -> MessageTrail {
        self.trail
    }

    fn add(&mut self, at: Time, kind: MessageStepKind) {
        self.trail.steps.push(MessageStep { at, kind });
    }

    fn see_sent(&mut self, now: Time, plane: &DataPlane) {
        let Some(seen) = self.slot.and_then(|slot| plane.sqs.glimpse(slot, self.id)) else {
            // Received and deleted at the instant of its send.
            self.add(now, MessageStepKind::Sent { ahead: 0, delayed: false });
            let found = find_held(plane, |receipt| receipt.id == self.id);
            self.slot = found.map(|(held, _)| held.receipt.slot);
            self.see_received(now, plane, 1, found);
            self.add(now, MessageStepKind::Deleted);
            return;
        };
        let delayed = seen.place == Place::Delayed;
        let depth = plane.sqs.queue(seen.queue).counts().depth();
        let ahead = depth.visible - u64::from(seen.place == Place::Visible);
        self.add(seen.sent, MessageStepKind::Sent { ahead, delayed });
        // As it was sent: it may have been received at the same instant.
        let place = if delayed { Place::Delayed } else { Place::Visible };
        self.see_change(now, plane, Glimpse { place, ..seen }, seen);
        self.last = Some(seen);
    }

    /// Whether a pod is through with the message; how it came out.
    fn see_attempt(&mut self, now: Time, plane: &DataPlane) -> Option<Held> {
        let held = self.held.as_mut()?;
        let delivery = &plane.deliveries[held.delivery];
        if delivery.receipt == held.receipt && delivery.event != NO_EVENT {
            (held.end, held.deleted) = (delivery.end, delivery.deleted);
            return None;
        }
        let held = self.held.take()?;
        let attempt = match held.fate {
            Fate::Crash if held.end == now => Attempt::Crashed,
            Fate::Failed if held.end <= now => Attempt::Failed,
            Fate::Done if held.end <= now => Attempt::Done,
            _ => Attempt::Dropped,
        };
        self.add(now, MessageStepKind::Ended(held.pod, attempt));
        Some(held)
    }

    fn see_change(&mut self, now: Time, plane: &DataPlane, before: Glimpse, seen: Glimpse) {
        let received_again = seen.receipt != before.receipt;
        match (before.place, seen.place) {
            (Place::InFlight, Place::Deleted) | (Place::Visible, Place::Deleted) => {
                self.add(now, MessageStepKind::Deleted);
            }
            (Place::InFlight, Place::InFlight) if !received_again => {}
            (Place::InFlight, _) => self.add(now, MessageStepKind::Returned { timed_out: now >= before.deadline }),
            (Place::Delayed, Place::Visible | Place::InFlight) => self.add(now, MessageStepKind::DelayOver),
            (Place::Deleted, Place::Visible | Place::InFlight) => self.add(now, MessageStepKind::Repeated),
            _ => {}
        }
        if seen.queue != before.queue {
            self.add(now, MessageStepKind::DeadLettered(seen.queue));
        }
        if seen.place == Place::InFlight && (received_again || before.place != Place::InFlight) {
            let found = find_held(plane, |receipt| receipt == seen.receipt);
            self.see_received(now, plane, seen.receive_count, found);
        }
    }

    fn see_received(&mut self, now: Time, plane: &DataPlane, count: u32, found: Option<(Held, Time)>) {
        let (by, start) = found.map_or((None, now), |(held, start)| (Some(held.pod), start));
        self.held = found.map(|(held, _)| held);
        let (earlier_waiting, later_received) = plane.sqs.overtaken(self.id);
        self.add(now, MessageStepKind::Received { by, count, start, earlier_waiting, later_received });
    }

    fn see_gone(&mut self, now: Time, plane: &DataPlane, before: Glimpse, ended: Option<Held>) {
        let retention = plane.sqs.queue(before.queue).settings().retention;
        // Deleted with its receive, before it is processed: it was never seen in flight.
        let newer = |receipt: Receipt| receipt.id == self.id && receipt.generation > before.receipt.generation;
        let at_once = find_held(plane, newer);
        if at_once.is_some() {
            if before.place == Place::InFlight {
                self.add(now, MessageStepKind::Returned { timed_out: now >= before.deadline });
            }
            self.see_received(now, plane, before.receive_count + 1, at_once);
        }
        let by_consumer = ended.is_some_and(|held| held.end <= now) || self.held.is_some_and(|held| held.deleted);
        let kind = match before.place {
            _ if by_consumer => MessageStepKind::Deleted,
            _ if now >= before.sent + retention => MessageStepKind::Expired,
            // Batched: the delete comes after the pod is through with it.
            _ if self.processed() => MessageStepKind::Deleted,
            _ => MessageStepKind::Removed,
        };
        self.add(now, kind);
    }

    /// Whether an attempt succeeded.
    fn processed(&self) -> bool {
        self.trail.steps.iter().any(|step| matches!(step.kind, MessageStepKind::Ended(_, Attempt::Done)))
    }
}

/// The pod's work on the message with such a receipt, and when its processing begins.
fn find_held(plane: &DataPlane, is_it: impl Fn(Receipt) -> bool) -> Option<(Held, Time)> {
    let held = |delivery: &super::worker::Delivery| is_it(delivery.receipt) && delivery.event != NO_EVENT;
    let index = plane.deliveries.iter().position(held)? as u32;
    let delivery = &plane.deliveries[index];
    let pod = plane.workers[delivery.worker].pod;
    let pod = (pod != NONE).then(|| plane.pods[pod].reference)?;
    let (receipt, fate, end, deleted) = (delivery.receipt, delivery.fate, delivery.end, delivery.deleted);
    Some((Held { delivery: index, receipt, pod, fate, end, deleted }, delivery.start))
}
