//! Doubly linked lists threaded through the message store, so that moving a message allocates nothing.

use super::message::{Message, Messages, NONE};
use crate::engine::count_one;

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

/// A list of messages. The link of its first message to one before it means nothing: to keep it would touch one more message each
/// time that the first is taken.
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
        let before = self.extend(&mut messages[slot], slot);
        Self::follow(messages, before, slot);
    }

    /// The first half of [`List::push_back`], which touches only the message: [`List::follow`] must come next with the message
    /// before it, which is the result.
    #[inline]
    pub fn extend(&mut self, message: &mut Message, slot: u32) -> u32 {
        let before = self.tail;
        L::set_previous(message, before);
        L::set_next(message, NONE);
        if before == NONE {
            self.head = slot;
        }
        self.tail = slot;
        count_one(&mut self.len);
        before
    }

    /// The second half of [`List::push_back`].
    #[inline]
    pub fn follow(messages: &mut Messages, before: u32, slot: u32) {
        if before != NONE {
            L::set_next(&mut messages[before], slot);
        }
    }

    #[inline]
    pub fn push_front(&mut self, messages: &mut Messages, slot: u32) {
        L::set_next(&mut messages[slot], self.head);
        if self.head == NONE {
            self.tail = slot;
        } else {
            L::set_previous(&mut messages[self.head], slot);
        }
        self.head = slot;
        count_one(&mut self.len);
    }

    #[inline(always)]
    pub fn remove(&mut self, messages: &mut Messages, slot: u32) {
        let (previous, next) = L::get(&messages[slot]);
        self.len -= 1;
        let is_first = self.head == slot;
        if is_first {
            self.head = next;
        } else {
            L::set_next(&mut messages[previous], next);
        }
        if next == NONE {
            self.tail = if is_first { NONE } else { previous };
        } else if !is_first {
            L::set_previous(&mut messages[next], previous);
        }
    }

    /// Takes the first message, which `first` is, out of the list.
    #[inline]
    pub fn remove_first(&mut self, first: &Message) {
        self.len -= 1;
        self.head = L::get(first).1;
        if self.head == NONE {
            self.tail = NONE;
        }
    }

    /// The message after `slot`, or `NONE`.
    #[inline]
    pub fn after(messages: &Messages, slot: u32) -> u32 {
        L::get(&messages[slot]).1
    }
}
