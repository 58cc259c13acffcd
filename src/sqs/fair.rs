//! Fair queues: tenants by message group, of which the noisy ones wait for the quiet ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::list::{List, Place};
use super::message::{Messages, NO_GROUP};
use crate::time::{Duration, Time};

/// Share of the messages in flight, or of the recent processing time, above which a tenant is noisy.
const NOISY_SHARE: f64 = 0.10;
/// Messages in flight below which a tenant's share of them does not make it noisy.
const NOISY_IN_FLIGHT: u64 = 30;
/// A tenant that sent nothing for this long is quiet.
const QUIET_AFTER: Duration = Duration::from_mins(5);
/// Decay time of "recent" processing time.
const RECENT_SECONDS: f64 = 60.0;

/// Processing time that fades.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    seconds: f64,
    at: Time,
}

impl Recent {
    fn at(&self, now: Time) -> f64 {
        self.seconds * (-now.since(self.at).as_secs_f64() / RECENT_SECONDS).exp()
    }

    fn add(&mut self, now: Time, seconds: f64) {
        *self = Recent { seconds: self.at(now) + seconds, at: now };
    }
}

#[derive(Debug)]
struct Tenant {
    waiting: List<Place>,
    /// Sequence under which the heap of quiet tenants lists it; `NOT_LISTED` = not.
    listed: u64,
    in_flight: u64,
    noisy: bool,
    last_send: Time,
    busy: Recent,
}

const NOT_LISTED: u64 = u64::MAX;

impl Default for Tenant {
    fn default() -> Self {
        Tenant {
            waiting: List::default(),
            listed: NOT_LISTED,
            in_flight: 0,
            noisy: false,
            last_send: Time::ZERO,
            busy: Recent::default(),
        }
    }
}

/// The visible messages of a fair queue.
#[derive(Debug)]
pub(crate) struct Tenants {
    /// Tenant 0 stands for all messages without a group, each of which is a tenant of its own and so never noisy.
    tenants: Vec<Tenant>,
    /// Quiet tenants with visible messages by the sequence of their first; entries may be outdated.
    quiet: BinaryHeap<Reverse<(u64, u32)>>,
    noisy: Vec<u32>,
    in_flight: u64,
    busy: Recent,
}

fn index_of(group: u32) -> u32 {
    if group == NO_GROUP { 0 } else { group + 1 }
}

impl Tenants {
    pub fn new() -> Self {
        let tenants = vec![Tenant::default()];
        Tenants { tenants, quiet: BinaryHeap::new(), noisy: Vec::new(), in_flight: 0, busy: Recent::default() }
    }

    /// Whether a tenant is noisy.
    pub fn is_noisy(&self, group: u32) -> bool {
        self.tenants.get(index_of(group) as usize).is_some_and(|tenant| tenant.noisy)
    }

    /// Notes a send of `group`.
    pub fn sent(&mut self, now: Time, group: u32) {
        self.tenant(index_of(group)).last_send = now;
    }

    /// Puts a message at the end of its tenant's line, or at its beginning.
    pub fn insert(&mut self, messages: &mut Messages, slot: u32, front: bool) {
        let index = index_of(messages[slot].group);
        let waiting = &mut self.tenant(index).waiting;
        if front {
            waiting.push_front(messages, slot);
        } else {
            waiting.push_back(messages, slot);
        }
        if front || self.tenants[index as usize].waiting.len == 1 {
            self.announce(messages, index);
        }
    }

    /// Takes a visible message out of its place.
    pub fn remove(&mut self, messages: &mut Messages, slot: u32) {
        let index = index_of(messages[slot].group);
        self.tenants[index as usize].waiting.remove(messages, slot);
        self.announce(messages, index);
    }

    /// Takes the next message: the oldest of the quiet tenants, else one of the noisy tenant with the fewest in flight.
    pub fn take(&mut self, messages: &mut Messages, now: Time) -> Option<u32> {
        for place in (0..self.noisy.len()).rev() {
            let index = self.noisy[place];
            self.judge(index, now);
            self.announce(messages, index);
        }
        let index = self.first_quiet(messages).or_else(|| self.first_noisy())?;
        let tenant = &mut self.tenants[index as usize];
        let slot = tenant.waiting.head;
        tenant.waiting.remove(messages, slot);
        self.judge(index, now);
        self.announce(messages, index);
        Some(slot)
    }

    /// Counts a message into flight.
    pub fn count_taken(&mut self, messages: &Messages, now: Time, group: u32) {
        let index = index_of(group);
        self.in_flight += 1;
        self.tenants[index as usize].in_flight += 1;
        self.judge(index, now);
        self.announce(messages, index);
    }

    /// Counts a message out of flight after `held`.
    pub fn count_back(&mut self, messages: &Messages, now: Time, group: u32, held: Duration) {
        let index = index_of(group);
        self.in_flight -= 1;
        self.busy.add(now, held.as_secs_f64());
        let tenant = &mut self.tenants[index as usize];
        tenant.in_flight -= 1;
        tenant.busy.add(now, held.as_secs_f64());
        self.judge(index, now);
        self.announce(messages, index);
    }

    fn tenant(&mut self, index: u32) -> &mut Tenant {
        if index as usize >= self.tenants.len() {
            self.tenants.resize_with(index as usize + 1, Tenant::default);
        }
        &mut self.tenants[index as usize]
    }

    /// Decides anew whether a tenant is noisy.
    fn judge(&mut self, index: u32, now: Time) {
        if index == 0 {
            return;
        }
        let tenant = &self.tenants[index as usize];
        let by_flight =
            tenant.in_flight >= NOISY_IN_FLIGHT && tenant.in_flight as f64 > NOISY_SHARE * self.in_flight as f64;
        let recent = self.busy.at(now);
        let by_time = recent > 0.0 && tenant.busy.at(now) > NOISY_SHARE * recent;
        let backlog = tenant.noisy && !tenant.waiting.is_empty();
        let noisy = tenant.last_send + QUIET_AFTER > now && (by_flight || by_time || backlog);
        if noisy != tenant.noisy {
            self.tenants[index as usize].noisy = noisy;
            if noisy {
                self.noisy.push(index);
            } else {
                self.noisy.retain(|other| *other != index);
            }
        }
    }

    /// Makes sure that a quiet tenant with visible messages is found.
    fn announce(&mut self, messages: &Messages, index: u32) {
        let tenant = &mut self.tenants[index as usize];
        if !tenant.noisy && !tenant.waiting.is_empty() {
            let sequence = messages[tenant.waiting.head].sequence;
            if tenant.listed != sequence {
                tenant.listed = sequence;
                self.quiet.push(Reverse((sequence, index)));
            }
        }
    }

    fn first_quiet(&mut self, messages: &Messages) -> Option<u32> {
        while let Some(Reverse((sequence, index))) = self.quiet.peek().copied() {
            let tenant = &mut self.tenants[index as usize];
            let first = !tenant.waiting.is_empty() && messages[tenant.waiting.head].sequence == sequence;
            if first && !tenant.noisy && tenant.listed == sequence {
                return Some(index);
            }
            if tenant.listed == sequence {
                tenant.listed = NOT_LISTED;
            }
            self.quiet.pop();
        }
        None
    }

    fn first_noisy(&self) -> Option<u32> {
        let waiting = self.noisy.iter().copied().filter(|index| !self.tenants[*index as usize].waiting.is_empty());
        waiting.min_by_key(|index| (self.tenants[*index as usize].in_flight, *index))
    }
}
