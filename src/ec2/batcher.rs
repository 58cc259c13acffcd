//! Merging of requests to EC2 (karpenter-provider-aws `pkg/batcher`): the first request opens a window, each further one
//! restarts its idle timer, and it closes at the idle timeout, the longest time or the greatest number.

use crate::time::{Duration, Time};

/// When windows close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// Time without a further request.
    pub idle: Duration,
    /// Longest time.
    pub max: Duration,
    /// Most requests.
    pub max_items: usize,
}

impl BatchOptions {
    /// CreateFleet (`createfleet.go`).
    pub const CREATE_FLEET: BatchOptions =
        BatchOptions { idle: Duration::from_millis(35), max: Duration::from_secs(1), max_items: 1000 };
    /// DescribeInstances by id and TerminateInstances (`describeinstances.go`, `terminateinstances.go`).
    pub const BY_INSTANCE: BatchOptions =
        BatchOptions { idle: Duration::from_millis(100), max: Duration::from_secs(1), max_items: 500 };
}

/// The window of one API.
#[derive(Clone, Debug)]
pub struct Batcher<T> {
    options: BatchOptions,
    opened: Time,
    items: Vec<T>,
    generation: u32,
}

/// When to come back to a [`Batcher`], and for which state of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// When.
    pub at: Time,
    /// Generation to hand to [`Batcher::close`].
    pub generation: u32,
}

impl<T> Batcher<T> {
    /// An empty batcher.
    #[must_use]
    pub const fn new(options: BatchOptions) -> Self {
        Batcher { options, opened: Time::ZERO, items: Vec::new(), generation: 0 }
    }

    /// Adds a request. The window closes at the instant returned, unless another request comes before.
    pub fn add(&mut self, now: Time, item: T) -> Wake {
        if self.items.is_empty() {
            self.opened = now;
        }
        self.items.push(item);
        self.generation += 1;
        let at = if self.items.len() >= self.options.max_items {
            now
        } else {
            (now + self.options.idle).min(self.opened + self.options.max)
        };
        Wake { at, generation: self.generation }
    }

    /// The requests of the window, if `generation` is that of its last request; nothing otherwise.
    pub fn close(&mut self, generation: u32) -> Vec<T> {
        if generation == self.generation { std::mem::take(&mut self.items) } else { Vec::new() }
    }
}

/// Puts equal requests together, in the order of their first occurrence: each group is one call.
pub fn group_equal<K: PartialEq, T>(items: Vec<(K, T)>) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for (key, item) in items {
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, members)) => members.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn windows_close_when_idle_and_at_the_latest_after_their_maximum() {
        let mut batcher = Batcher::new(BatchOptions::CREATE_FLEET);
        let first = batcher.add(at(0), 'a');
        assert_eq!(first.at, at(35));
        let second = batcher.add(at(30), 'b');
        assert_eq!(second.at, at(65));
        assert!(batcher.close(first.generation).is_empty(), "a later request moved the end");
        assert_eq!(batcher.close(second.generation), ['a', 'b']);
        let mut last = batcher.add(at(100), 'c');
        for millis in (130..1100).step_by(30) {
            last = batcher.add(at(millis), 'd');
        }
        assert_eq!(last.at, at(1100));
    }

    #[test]
    fn equal_requests_become_one_call() {
        let groups = group_equal(vec![(1, 'a'), (2, 'b'), (1, 'c')]);
        assert_eq!(groups, [(1, vec!['a', 'c']), (2, vec!['b'])]);
    }
}
