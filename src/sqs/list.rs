//! Doubly linked lists threaded through the message store, so that moving a message allocates nothing.

use super::message::{Message, Messages, NONE};

/// Which of a message's two pairs of links a list uses.
pub(crate) trait Links {
    fn get(message: &Message) -> (u32, u32);
    fn set_previous(message: &mut Message, slot: u32);
    fn set_next(message: &mut Message, slot: u32);
}

/// The links of the place where a message waits: shard, group or tenant.
#[derive(Debug)]
pub(crate) struct Place;

/// The links of the order of sends.
#[derive(Debug)]
pub(crate) struct Age;

impl Links for Place {
    #[inline]
    fn get(message: &Message) -> (u32, u32) {
        (message.previous, message.next)
    }
    #[inline]
    fn set_previous(message: &mut Message, slot: u32) {
        message.previous = slot;
    }
    #[inline]
    fn set_next(message: &mut Message, slot: u32) {
        message.next = slot;
    }
}

impl Links for Age {
    #[inline]
    fn get(message: &Message) -> (u32, u32) {
        (message.older, message.younger)
    }
    #[inline]
    fn set_previous(message: &mut Message, slot: u32) {
        message.older = slot;
    }
    #[inline]
    fn set_next(message: &mut Message, slot: u32) {
        message.younger = slot;
    }
}

/// A list of messages.
#[derive(Debug)]
pub(crate) struct List<L> {
    pub head: u32,
    pub tail: u32,
    pub len: u64,
    links: std::marker::PhantomData<L>,
}

impl<L> Default for List<L> {
    fn default() -> Self {
        List { head: NONE, tail: NONE, len: 0, links: std::marker::PhantomData }
    }
}

impl<L: Links> List<L> {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head == NONE
    }

    #[inline]
    pub fn push_back(&mut self, messages: &mut Messages, slot: u32) {
        let message = &mut messages[slot];
        L::set_previous(message, self.tail);
        L::set_next(message, NONE);
        if self.tail == NONE {
            self.head = slot;
        } else {
            L::set_next(&mut messages[self.tail], slot);
        }
        self.tail = slot;
        self.len += 1;
    }

    #[inline]
    pub fn push_front(&mut self, messages: &mut Messages, slot: u32) {
        let message = &mut messages[slot];
        L::set_previous(message, NONE);
        L::set_next(message, self.head);
        if self.head == NONE {
            self.tail = slot;
        } else {
            L::set_previous(&mut messages[self.head], slot);
        }
        self.head = slot;
        self.len += 1;
    }

    #[inline]
    pub fn remove(&mut self, messages: &mut Messages, slot: u32) {
        let (previous, next) = L::get(&messages[slot]);
        if previous == NONE {
            self.head = next;
        } else {
            L::set_next(&mut messages[previous], next);
        }
        if next == NONE {
            self.tail = previous;
        } else {
            L::set_previous(&mut messages[next], previous);
        }
        self.len -= 1;
    }

    /// The message after `slot`, or `NONE`.
    #[inline]
    pub fn after(messages: &Messages, slot: u32) -> u32 {
        L::get(&messages[slot]).1
    }
}
