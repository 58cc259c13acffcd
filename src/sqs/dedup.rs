//! The memory of FIFO queues for deduplication ids and receive attempts: five minutes each.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Receipt;
use crate::time::{Duration, Time};

/// Deduplication interval, from the first accepted send; ReceiveRequestAttemptIds live as long.
pub(crate) const INTERVAL: Duration = Duration::from_mins(5);

/// Deduplication ids of the last five minutes. Their scope is (group or whole queue, id).
#[derive(Debug, Default)]
pub(crate) struct Deduplication {
    known: FxHashMap<(u32, u64), Time>,
    order: VecDeque<(Time, (u32, u64))>,
}

impl Deduplication {
    /// Whether the id was accepted within the interval; if not it is remembered from now on.
    pub fn seen(&mut self, now: Time, scope: u32, id: u64) -> bool {
        while let Some((at, key)) = self.order.front().copied() {
            if at + INTERVAL > now {
                break;
            }
            self.order.pop_front();
            self.known.remove(&key);
        }
        if self.known.contains_key(&(scope, id)) {
            return true;
        }
        self.known.insert((scope, id), now);
        self.order.push_back((now, (scope, id)));
        false
    }

    pub fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

/// Messages handed out under a ReceiveRequestAttemptId.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    recent: Vec<(u64, Time, Vec<Receipt>)>,
}

impl Attempts {
    /// What was handed out under `attempt`, if that is less than five minutes ago.
    pub fn find(&mut self, now: Time, attempt: u64) -> Option<&[Receipt]> {
        self.recent.retain(|(_, at, _)| *at + INTERVAL > now);
        self.recent.iter().find(|(id, _, _)| *id == attempt).map(|(_, _, receipts)| receipts.as_slice())
    }

    pub fn remember(&mut self, now: Time, attempt: u64, receipts: Vec<Receipt>) {
        self.recent.retain(|(id, _, _)| *id != attempt);
        self.recent.push((attempt, now, receipts));
    }
}
