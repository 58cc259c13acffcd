//! One message and the store of all messages.

use std::ops::{Index, IndexMut};

use crate::time::Time;

/// No message.
pub(crate) const NONE: u32 = u32::MAX;
/// No group.
pub(crate) const NO_GROUP: u32 = u32::MAX;

/// The number of a message's first queue stands in its id from this bit on.
pub(crate) const ORIGIN_SHIFT: u32 = 44;

/// Where in its life a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not a message: a free place of the store.
    Free,
    /// Sent with a delay that has not passed.
    Delayed,
    /// Waits to be received.
    Visible,
    /// Received; its visibility timeout runs.
    InFlight,
    /// Deleted, but a forgotten copy will show up once more.
    Lingering,
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// MessageId; survives the move to a dead-letter queue.
    pub id: u64,
    /// Place in the order of its present queue.
    pub sequence: u64,
    /// Enqueue time: retention counts from it.
    pub sent: Time,
    /// ApproximateAgeOfOldestMessage counts from it: the send, or the move to a dead-letter queue.
    pub aged_from: Time,
    /// In flight: when it becomes visible; delayed: when the delay ends.
    pub deadline: Time,
    /// When the service got the request that received it last.
    pub received: Time,
    pub size: u32,
    pub work: f32,
    pub group: u32,
    /// Another one after each receive and in each new message: tells receipts apart.
    pub generation: u32,
    pub receive_count: u32,
    pub previous: u32,
    pub next: u32,
    pub older: u32,
    pub younger: u32,
    pub queue: u16,
    pub state: State,
    pub shard: u8,
    pub poison: bool,
    /// Whether it is a second delivery of a deleted message.
    pub copy: bool,
    /// Whether it has left the age list because of its receives.
    pub set_back: bool,
    /// Whether its retention is watched by a timer of its own.
    pub own_retention: bool,
}

/// No message: what a new one does not say is as here.
pub(crate) const BLANK: Message = Message {
    id: u64::MAX,
    sequence: 0,
    sent: Time::ZERO,
    aged_from: Time::ZERO,
    deadline: Time::ZERO,
    received: Time::ZERO,
    size: 0,
    work: 1.0,
    group: NO_GROUP,
    generation: 0,
    receive_count: 0,
    previous: NONE,
    next: NONE,
    older: NONE,
    younger: NONE,
    queue: 0,
    state: State::Free,
    shard: 0,
    poison: false,
    copy: false,
    set_back: false,
    own_retention: false,
};

/// All messages of all queues. Places of deleted messages are used again, the last freed first.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    places: Vec<Message>,
    /// Places to use again. They are listed here, not in the places, so that to find one reads no memory long unused.
    free: Vec<u32>,
    generations: u32,
}

impl Messages {
    /// A place for a message and the generation that it has in it. The caller writes it there, which costs less than to move one in.
    #[inline(always)]
    pub fn place(&mut self) -> (u32, u32, &mut Message) {
        let generation = self.next_generation();
        let slot = self.free.pop().unwrap_or_else(|| self.new_place());
        (slot, generation, &mut self.places[slot as usize])
    }

    /// Gives a message a place and a generation.
    #[cfg(test)]
    pub fn add(&mut self, message: Message) -> u32 {
        let (slot, generation, place) = self.place();
        *place = Message { generation, ..message };
        slot
    }

    #[cold]
    fn new_place(&mut self) -> u32 {
        assert!(self.places.len() < NONE as usize, "more than four billion messages at once");
        self.places.push(BLANK);
        (self.places.len() - 1) as u32
    }

    /// A generation that no message has: four billion later it comes again.
    #[inline(always)]
    pub fn next_generation(&mut self) -> u32 {
        self.generations = self.generations.wrapping_add(1);
        self.generations
    }

    /// Gives a place back. Its id stays readable for receipts that come late.
    #[inline]
    pub fn release(&mut self, slot: u32) {
        self[slot].state = State::Free;
        self.free.push(slot);
    }

    /// How many places exist: the largest number of messages at once so far.
    pub fn places(&self) -> usize {
        self.places.len()
    }
}

impl Index<u32> for Messages {
    type Output = Message;
    #[inline]
    fn index(&self, slot: u32) -> &Message {
        &self.places[slot as usize]
    }
}

impl IndexMut<u32> for Messages {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut Message {
        &mut self.places[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_last_freed_is_used_first_under_another_generation() {
        let mut messages = Messages::default();
        let slots = [1, 2, 3].map(|id| messages.add(Message { id, ..BLANK }));
        assert_eq!(slots, [0, 1, 2]);
        let before = messages[1].generation;
        messages.release(0);
        messages.release(1);
        assert_eq!((messages[1].state, messages[1].id), (State::Free, 2));
        assert_eq!([messages.add(BLANK), messages.add(BLANK), messages.add(BLANK)], [1, 0, 3]);
        assert_ne!(messages[1].generation, before);
        let all = std::collections::BTreeSet::from_iter((0..4).map(|slot| messages[slot].generation));
        assert!(all.len() == 4 && !all.contains(&messages.next_generation()));
    }
}
