//! Standard queues: servers (shards) that each hand out their oldest message first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::list::{List, Place};
use super::message::{Messages, NONE, State};
use crate::engine::Stream;

/// One server's share of the visible messages.
#[derive(Debug, Default)]
struct Shard {
    /// Never received, or received so often that they go behind.
    waiting: List<Place>,
    /// Received before and visible again, by their place in the queue: (sequence, slot, generation). Entries of messages that
    /// have gone since are skipped.
    returned: BinaryHeap<Reverse<(u64, u32, u32)>>,
}

/// The visible messages of a standard queue.
#[derive(Debug)]
pub(crate) struct Shards {
    shards: Vec<Shard>,
    /// Bit s is set when shard s may have a message.
    filled: u64,
    /// The message of a queue with just one, which is mostly received before the next one comes: it is in no shard yet.
    single: u32,
    sampling: f64,
    /// The shards in the order in which messages are dealt to them, shuffled anew in each round, so that shares stay even.
    deal: Vec<u8>,
    dealt: usize,
}

/// Marks a message that waits in a shard's heap rather than in its list.
const RETURNED: u8 = 0x80;

impl Shards {
    pub fn new(shards: u32, sampling: f64) -> Self {
        Shards {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            filled: 0,
            single: NONE,
            sampling,
            deal: (0..shards as u8).collect(),
            dealt: 0,
        }
    }

    /// Puts a message that has not been received yet, or one that goes to the back, at the end of its shard.
    #[inline(always)]
    pub fn append(&mut self, messages: &mut Messages, slot: u32, stream: &mut Stream) {
        let shard = if self.shards.len() == 1 { 0 } else { self.next_shard(stream) };
        messages[slot].shard = shard as u8;
        if self.filled == 0 {
            self.single = slot;
        } else {
            self.put_single(messages);
            self.shards[shard].waiting.push_back(messages, slot);
        }
        self.filled |= 1 << shard;
    }

    /// Puts the single message into its shard: it is not alone any more.
    #[inline]
    fn put_single(&mut self, messages: &mut Messages) {
        if self.single != NONE {
            let shard = messages[self.single].shard;
            self.shards[usize::from(shard)].waiting.push_back(messages, self.single);
            self.single = NONE;
        }
    }

    /// One step of a Fisher-Yates shuffle of the round.
    #[inline]
    fn next_shard(&mut self, stream: &mut Stream) -> usize {
        let other = self.dealt + stream.below(self.deal.len() - self.dealt);
        self.deal.swap(self.dealt, other);
        let shard = usize::from(self.deal[self.dealt]);
        self.dealt = if self.dealt + 1 == self.deal.len() { 0 } else { self.dealt + 1 };
        shard
    }

    /// Puts a message whose delay has ended to its place by the order of sends.
    pub fn insert_delayed(&mut self, messages: &mut Messages, slot: u32, stream: &mut Stream) {
        messages[slot].shard = if self.shards.len() == 1 { 0 } else { self.next_shard(stream) as u8 };
        self.reinsert(messages, slot);
    }

    /// Puts a message back to its place by the order of sends.
    pub fn reinsert(&mut self, messages: &mut Messages, slot: u32) {
        self.put_single(messages);
        let message = &mut messages[slot];
        let shard = message.shard & !RETURNED;
        message.shard |= RETURNED;
        self.shards[usize::from(shard)].returned.push(Reverse((message.sequence, slot, message.generation)));
        self.filled |= 1 << shard;
    }

    /// Takes a visible message out of its place.
    pub fn remove(&mut self, messages: &mut Messages, slot: u32) {
        let shard = messages[slot].shard;
        if slot == self.single {
            self.single = NONE;
        } else if shard & RETURNED == 0 {
            self.shards[usize::from(shard)].waiting.remove(messages, slot);
        } else {
            // The heap entry is skipped once the message is no longer visible under this generation.
            messages[slot].shard = shard & !RETURNED;
        }
    }

    /// The servers that a receive asks: all by long poll, a random part by short poll.
    #[inline]
    pub fn asked(&self, long: bool, stream: &mut Stream) -> u64 {
        if long || self.sampling >= 1.0 {
            return u64::MAX;
        }
        (0..self.shards.len()).fold(0, |asked, shard| asked | u64::from(stream.chance(self.sampling)) << shard)
    }

    /// Takes the next message of the servers asked.
    #[inline(always)]
    pub fn take(&mut self, messages: &mut Messages, asked: u64, stream: &mut Stream) -> Option<u32> {
        if self.single == NONE || self.filled & asked == 0 {
            return self.take_of_shards(messages, asked, stream);
        }
        self.filled = 0;
        Some(std::mem::replace(&mut self.single, NONE))
    }

    #[inline(never)]
    fn take_of_shards(&mut self, messages: &mut Messages, asked: u64, stream: &mut Stream) -> Option<u32> {
        loop {
            let candidates = self.filled & asked;
            if candidates == 0 {
                return None;
            }
            let shard = if candidates.is_power_of_two() {
                candidates.trailing_zeros()
            } else {
                let turn = (stream.bits() >> 58) as u32;
                (candidates.rotate_right(turn).trailing_zeros() + turn) % 64
            };
            if let Some(slot) = self.take_from(messages, shard as usize) {
                return Some(slot);
            }
            self.filled &= !(1 << shard);
        }
    }

    #[inline]
    fn take_from(&mut self, messages: &mut Messages, index: usize) -> Option<u32> {
        let shard = &mut self.shards[index];
        while let Some(Reverse((sequence, slot, generation))) = shard.returned.peek().copied() {
            let message = &messages[slot];
            let present = message.generation == generation
                && message.state == State::Visible
                && usize::from(message.shard) == index | usize::from(RETURNED);
            if !present {
                shard.returned.pop();
                continue;
            }
            if !shard.waiting.is_empty() && messages[shard.waiting.head].sequence < sequence {
                break;
            }
            shard.returned.pop();
            messages[slot].shard = index as u8;
            return Some(slot);
        }
        if shard.waiting.is_empty() {
            return None;
        }
        let slot = shard.waiting.head;
        shard.waiting.remove_first(&messages[slot]);
        if shard.waiting.is_empty() && shard.returned.is_empty() {
            self.filled &= !(1 << index);
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{BLANK, Message};
    use super::*;
    use crate::engine::Streams;

    /// Shards, the store with messages of these sequences in them, and a stream.
    fn filled(sequences: &[u64]) -> (Shards, Messages, Stream) {
        let (mut shards, mut messages) = (Shards::new(4, 1.0), Messages::default());
        let mut stream = Streams::new(1, 0).open("order", 0);
        for sequence in sequences {
            let slot = messages.add(Message { sequence: *sequence, state: State::Visible, ..BLANK });
            shards.append(&mut messages, slot, &mut stream);
        }
        (shards, messages, stream)
    }

    fn take_all(shards: &mut Shards, messages: &mut Messages, stream: &mut Stream) -> Vec<u64> {
        let mut taken: Vec<u64> = std::iter::from_fn(|| {
            let slot = shards.take(messages, u64::MAX, stream)?;
            messages[slot].state = State::InFlight;
            Some(messages[slot].sequence)
        })
        .collect();
        taken.sort_unstable();
        taken
    }

    #[test]
    fn a_single_message_is_found_by_those_who_ask_its_shard() {
        let (mut shards, mut messages, mut stream) = filled(&[7]);
        let its_shard = 1 << messages[0].shard;
        assert_eq!(shards.take(&mut messages, !its_shard, &mut stream), None);
        assert_eq!(shards.take(&mut messages, its_shard, &mut stream), Some(0));
        assert_eq!(shards.take(&mut messages, u64::MAX, &mut stream), None);
    }

    #[test]
    fn a_single_message_is_there_with_those_that_follow_it() {
        let (mut shards, mut messages, mut stream) = filled(&[7, 8, 9]);
        assert_eq!(take_all(&mut shards, &mut messages, &mut stream), [7, 8, 9]);
        // With one that comes back, too.
        let (mut shards, mut messages, mut stream) = filled(&[7]);
        let back = messages.add(Message { sequence: 3, state: State::Visible, ..BLANK });
        shards.reinsert(&mut messages, back);
        assert_eq!(take_all(&mut shards, &mut messages, &mut stream), [3, 7]);
    }

    #[test]
    fn a_single_message_that_is_taken_out_is_gone() {
        let (mut shards, mut messages, mut stream) = filled(&[7]);
        shards.remove(&mut messages, 0);
        messages[0].state = State::Free;
        let next = messages.add(Message { sequence: 8, state: State::Visible, ..BLANK });
        shards.append(&mut messages, next, &mut stream);
        assert_eq!(take_all(&mut shards, &mut messages, &mut stream), [8]);
    }
}
