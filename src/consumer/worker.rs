//! The moving parts: polling loops (workers) and the messages that they hold (deliveries).

use super::event::{EventNumber, NO_EVENT};
use crate::sqs::Receipt;
use crate::time::Time;

pub(crate) const NONE: u32 = u32::MAX;

/// What a worker's poll is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// Nothing: the worker is busy, or stopped.
    No,
    /// A long poll is outstanding, always renewed.
    Waiting,
    /// Polls and pauses in turn.
    Cycling,
    /// The next poll has an event.
    Scheduled,
}

/// One polling loop of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    /// Its pod; `NONE` = gone, while its last long poll is still outstanding.
    pub pod: u32,
    pub consumer: u16,
    pub poll: Poll,
    pub stopping: bool,
    /// A stopping worker whose outstanding long poll it still waits for.
    pub last_poll: bool,
    /// A stopped worker whose last long poll may still be answered to nobody.
    pub orphan: bool,
    pub alive: bool,
    /// Messages held.
    pub held: u32,
    /// First of the deliveries held.
    pub first: u32,
    /// Place in the list of waiting workers.
    pub wait_index: u32,
    /// First poll of the present idle time that is not counted yet.
    pub idle_from: Time,
    /// When an idle cycling worker may poll again at the earliest.
    pub not_before: Time,
    pub poll_event: EventNumber,
    pub give_up_event: EventNumber,
    pub flush_event: EventNumber,
    /// Messages received in its life.
    pub taken: u32,
    /// Whether any of its messages failed.
    pub failed: bool,
    /// First of the deliveries that wait for a batched delete, and their number.
    pub acks: u32,
    pub ack_count: u32,
    /// Slot-microseconds of processing that are over.
    pub busy: i64,
    /// Those of them that led to nothing: the message has to be processed again, or was, or is lost.
    pub wasted: i64,
    /// First of its slots in the table of slots.
    pub slots: u32,
}

impl Worker {
    pub fn new(pod: u32, consumer: u16, slots: u32) -> Self {
        Worker {
            pod,
            consumer,
            poll: Poll::No,
            stopping: false,
            last_poll: false,
            orphan: false,
            alive: true,
            held: 0,
            first: NONE,
            wait_index: NONE,
            idle_from: Time::ZERO,
            not_before: Time::ZERO,
            poll_event: NO_EVENT,
            give_up_event: NO_EVENT,
            flush_event: NO_EVENT,
            taken: 0,
            failed: false,
            acks: NONE,
            ack_count: 0,
            busy: 0,
            wasted: 0,
            slots,
        }
    }
}

/// How processing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The message is done.
    Done,
    /// Its processing fails.
    Failed,
    /// It kills its pod.
    Crash,
}

/// A message in the hands of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub receipt: Receipt,
    pub worker: u32,
    pub event: EventNumber,
    /// Event of its start, for early deletes.
    pub begin_event: EventNumber,
    pub previous: u32,
    pub next: u32,
    pub receive_count: u32,
    pub fate: Fate,
    /// Whether it has been deleted before its processing (early ack).
    pub deleted: bool,
    /// When the service handed it out.
    pub received: Time,
    /// Its deadline without heartbeats.
    pub deadline: Time,
    /// When its processing starts.
    pub start: Time,
    /// When its processing, and its delete, are over.
    pub end: Time,
}

impl Delivery {
    const BLANK: Delivery = Delivery {
        receipt: Receipt { slot: NONE, generation: 0, id: 0 },
        worker: NONE,
        event: NO_EVENT,
        begin_event: NO_EVENT,
        previous: NONE,
        next: NONE,
        receive_count: 0,
        fate: Fate::Done,
        deleted: false,
        received: Time::ZERO,
        deadline: Time::ZERO,
        start: Time::ZERO,
        end: Time::ZERO,
    };
}

impl Slab<Delivery> {
    /// A place for a delivery, of which the caller sets every field: cheaper than to move a whole one in.
    #[inline]
    pub fn place(&mut self) -> (u32, &mut Delivery) {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.places.push(Delivery::BLANK);
                (self.places.len() - 1) as u32
            }
        };
        (index, &mut self.places[index as usize])
    }
}

/// Things in numbered places, of which the last freed is used first.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    pub places: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    #[inline]
    pub fn add(&mut self, thing: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.places[index as usize] = thing;
            return index;
        }
        self.places.push(thing);
        (self.places.len() - 1) as u32
    }

    /// All places, free ones too.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.places.iter()
    }

    #[inline]
    pub fn free(&mut self, index: u32) {
        self.free.push(index);
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;
    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.places[index as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.places[index as usize]
    }
}
