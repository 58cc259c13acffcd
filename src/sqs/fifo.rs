//! FIFO queues: message groups, each of which delivers its oldest messages while none before them is in flight.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::list::{Age, List, Place};
use super::message::{Messages, NONE, State};

/// A message group: all its undeleted messages in the order of sends, whatever their state.
#[derive(Debug, Default)]
struct Group {
    messages: List<Place>,
    in_flight: u32,
    /// Whether the heap of ready groups has an entry for it.
    ready: bool,
}

/// The groups of a FIFO queue. A group can deliver when its oldest message is visible; then it delivers the run of visible
/// messages that begins there. Groups come in the order of their oldest messages.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    ready: BinaryHeap<Reverse<(u64, u32)>>,
    look_ahead: u64,
    /// The last message within the look-ahead, when there are messages beyond it.
    boundary: u32,
    with_in_flight: u64,
    /// Messages that wait behind one in flight of their group.
    blocked: u64,
}

impl Groups {
    pub fn new(look_ahead: u64) -> Self {
        let look_ahead = look_ahead.max(1);
        Groups {
            groups: Vec::new(),
            ready: BinaryHeap::new(),
            look_ahead,
            boundary: NONE,
            with_in_flight: 0,
            blocked: 0,
        }
    }

    /// ApproximateNumberOfGroupsWithInflightMessages.
    pub fn with_in_flight(&self) -> u64 {
        self.with_in_flight
    }

    /// Messages that wait behind one in flight of their group, delayed ones too.
    pub fn blocked(&self) -> u64 {
        self.blocked
    }

    /// Whether a message of the group is in flight.
    pub fn has_in_flight(&self, group: u32) -> bool {
        self.groups[group as usize].in_flight > 0
    }

    /// Adds a sent message, which the age list already holds.
    pub fn append(&mut self, messages: &mut Messages, age: &List<Age>, slot: u32) {
        let group = messages[slot].group as usize;
        if group >= self.groups.len() {
            self.groups.resize_with(group + 1, Group::default);
        }
        self.groups[group].messages.push_back(messages, slot);
        self.blocked += u64::from(self.groups[group].in_flight > 0);
        if age.len == self.look_ahead {
            self.boundary = slot;
        }
        self.refresh(messages, group as u32);
    }

    /// Notes that a message of `group` has become visible.
    pub fn refresh(&mut self, messages: &Messages, group: u32) {
        let entry = &mut self.groups[group as usize];
        let head = entry.messages.head;
        if head != NONE && !entry.ready && messages[head].state == State::Visible {
            entry.ready = true;
            self.ready.push(Reverse((messages[head].sequence, group)));
        }
    }

    /// Removes a message for good; it must still be in the age list.
    pub fn remove(&mut self, messages: &mut Messages, slot: u32) {
        let (group, sequence) = (messages[slot].group, messages[slot].sequence);
        let entry = &mut self.groups[group as usize];
        entry.messages.remove(messages, slot);
        self.blocked -= u64::from(entry.in_flight > 0);
        if self.boundary != NONE && sequence <= messages[self.boundary].sequence {
            self.boundary = messages[self.boundary].younger;
        }
        self.refresh(messages, group);
    }

    /// Counts a message of `group` in or out of flight.
    pub fn count_in_flight(&mut self, group: u32, taken: bool) {
        let Group { messages, in_flight, .. } = &mut self.groups[group as usize];
        if taken {
            if *in_flight == 0 {
                self.with_in_flight += 1;
                self.blocked += messages.len;
            }
            *in_flight += 1;
            self.blocked -= 1;
        } else {
            *in_flight -= 1;
            self.blocked += 1;
            if *in_flight == 0 {
                self.with_in_flight -= 1;
                self.blocked -= messages.len;
            }
        }
    }

    /// The first group that can deliver, without taking it.
    pub fn first_ready(&mut self, messages: &Messages) -> Option<u32> {
        while let Some(Reverse((sequence, group))) = self.ready.peek().copied() {
            let head = self.groups[group as usize].messages.head;
            if head != NONE && messages[head].state == State::Visible && messages[head].sequence == sequence {
                return self.within(messages, head).then_some(group);
            }
            self.ready.pop();
            self.groups[group as usize].ready = false;
            self.refresh(messages, group);
        }
        None
    }

    /// Takes the first group that can deliver; its first message is the result. The caller takes messages with
    /// [`Groups::following`] and then calls [`Groups::refresh`].
    pub fn take(&mut self, messages: &Messages) -> Option<(u32, u32)> {
        let group = self.first_ready(messages)?;
        self.ready.pop();
        self.groups[group as usize].ready = false;
        Some((group, self.groups[group as usize].messages.head))
    }

    /// The message after `slot` in its group.
    pub fn following(messages: &Messages, slot: u32) -> u32 {
        List::<Place>::after(messages, slot)
    }

    /// Whether a message can be delivered as part of a run: visible, and within the look-ahead.
    pub fn can_follow(&self, messages: &Messages, slot: u32) -> bool {
        slot != NONE && messages[slot].state == State::Visible && self.within(messages, slot)
    }

    fn within(&self, messages: &Messages, slot: u32) -> bool {
        self.boundary == NONE || messages[slot].sequence <= messages[self.boundary].sequence
    }
}
