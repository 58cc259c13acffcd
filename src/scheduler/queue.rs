//! Which pod is tried when (`pkg/scheduler/backend/queue`): active queue, backoff queue and the pool of unschedulable pods.
//!
//! Attempts are instantaneous here, so that no event falls into one; upstream keeps such events and evaluates them when the
//! attempt fails, with the same result.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::engine::Table;
use crate::time::{Duration, Time};

use super::filter::Plugins;
use super::shape::ShapeIndex;

/// What is fixed about the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// First backoff (`podInitialBackoffSeconds`). Default 1 s.
    pub initial_backoff: Duration,
    /// Longest backoff (`podMaxBackoffSeconds`). Default 10 s.
    pub max_backoff: Duration,
    /// Longest stay in the pool of unschedulable pods (`podMaxInUnschedulablePodsDuration`). Default 5 min.
    pub max_in_pool: Duration,
    /// Whether an idle scheduler takes pods from the backoff queue early, and backoffs end on whole seconds (gate
    /// `SchedulerPopFromBackoffQ`, on since 1.33). Default true.
    pub pop_from_backoff: bool,
    /// An instant at which a second of the wall clock begins. Default 0.
    pub whole_second: Time,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            max_in_pool: Duration::from_mins(5),
            pop_from_backoff: true,
            whole_second: Time::ZERO,
        }
    }
}

/// Pods for which the active queue always has room, once it had.
const LEAST_ROOM: usize = 1024;
/// Period of the flush of the backoff queue.
const FLUSH: Duration = Duration::from_secs(1);

/// Where a pod waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To be tried as soon as the scheduler gets to it.
    Active,
    /// To be tried when its backoff is over, or when the scheduler is idle.
    Backoff,
    /// As `Backoff`, after an error: never taken early.
    ErrorBackoff,
    /// Waiting for an event.
    Unschedulable,
    /// Taken out by [`SchedulingQueue::pop`]: being tried or bound.
    InFlight,
}

/// A pod that waits (`framework.QueuedPodInfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its shape.
    pub shape: ShapeIndex,
    /// Its priority.
    pub priority: i32,
    /// When it was added or last failed.
    pub timestamp: Time,
    /// How often plugins rejected it.
    pub unschedulable_count: u32,
    /// How often in a row it failed by an error.
    pub consecutive_errors: u32,
    /// Who rejected it last.
    pub plugins: Plugins,
    /// Where it is.
    pub place: Place,
    sequence: u64,
}

impl Queued {
    fn active_key(&self, pod: u32) -> ActiveKey {
        (Reverse(self.priority), self.timestamp, self.sequence, pod)
    }
}

/// `queuesort/priority_sort.go: Less`: priority, then timestamp; equal ones in the order of creation.
type ActiveKey = (Reverse<i32>, Time, u64, u32);
type BackoffKey = (Time, ActiveKey);

/// The three places.
#[derive(Clone, Debug, Default)]
pub struct SchedulingQueue {
    /// What is fixed.
    pub config: QueueConfig,
    pods: Table<Queued>,
    /// Entries of pods that are not active any more stay until they would be the first.
    active: BinaryHeap<Reverse<ActiveKey>>,
    backoff: BTreeSet<BackoffKey>,
    error_backoff: BTreeSet<BackoffKey>,
    pool: BTreeSet<u32>,
    sequence: u64,
}

impl SchedulingQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(config: QueueConfig) -> SchedulingQueue {
        SchedulingQueue { config, ..SchedulingQueue::default() }
    }

    /// Adds a pod that has just been created (`Add`).
    pub fn add(&mut self, pod: u32, shape: ShapeIndex, priority: i32, now: Time) {
        self.sequence += 1;
        let queued = Queued {
            shape,
            priority,
            timestamp: now,
            unschedulable_count: 0,
            consecutive_errors: 0,
            plugins: Plugins::NONE,
            place: Place::InFlight,
            sequence: self.sequence,
        };
        self.pods.insert(pod, queued);
        self.put(pod, Place::Active);
    }

    /// Takes the next pod to try: from the active queue, else early from the backoff queue (`activeQueue.pop`).
    pub fn pop(&mut self) -> Option<u32> {
        let pod = match self.active.peek() {
            Some(Reverse((.., pod))) => *pod,
            None if self.config.pop_from_backoff => self.backoff.first()?.1.3,
            None => return None,
        };
        self.put(pod, Place::InFlight);
        Some(pod)
    }

    /// Whether [`pop`](Self::pop) would give a pod.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.active.is_empty() || (self.config.pop_from_backoff && !self.backoff.is_empty())
    }

    /// Puts back a pod that was rejected by plugins, or, with no plugin, failed by an error (`AddUnschedulableIfNotPresent`).
    pub fn put_back(&mut self, pod: u32, plugins: Plugins, now: Time) {
        let Some(queued) = self.pods.get_mut(pod) else {
            return;
        };
        queued.plugins = plugins;
        queued.timestamp = now;
        if plugins.is_empty() {
            queued.consecutive_errors += 1;
            self.put(pod, Place::ErrorBackoff);
        } else {
            queued.unschedulable_count += 1;
            queued.consecutive_errors = 0;
            self.put(pod, Place::Unschedulable);
        }
    }

    /// Moves pods whose rejecting plugins share one with `wakes(shape)` (`MoveAllToActiveOrBackoffQueue`); the caller asks for
    /// each shape which plugins see hope in the event.
    pub fn move_all(&mut self, now: Time, mut wakes: impl FnMut(ShapeIndex) -> Plugins) {
        let mut by_shape: Vec<Option<Plugins>> = Vec::new();
        let mut waking = Vec::new();
        for pod in &self.pool {
            let queued = &self.pods[*pod];
            let index = queued.shape.0 as usize;
            if by_shape.len() <= index {
                by_shape.resize(index + 1, None);
            }
            if by_shape[index].get_or_insert_with(|| wakes(queued.shape)).intersects(queued.plugins) {
                waking.push(*pod);
            }
        }
        for pod in waking {
            self.wake(pod, now);
        }
    }

    /// Moves one pod out of the pool whatever rejected it (`Activate`): to be tried at once.
    pub fn activate(&mut self, pod: u32) {
        if self.pods.get(pod).is_some_and(|queued| queued.place != Place::InFlight) {
            self.put(pod, Place::Active);
        }
    }

    /// Moves pods whose backoff is over to the active queue (`flushBackoffQCompleted`, every second).
    pub fn flush_backoff(&mut self, now: Time) {
        for errors in [false, true] {
            loop {
                let queue = if errors { &self.error_backoff } else { &self.backoff };
                let Some((_, (.., pod))) = queue.first() else { break };
                let pod = *pod;
                if self.backing_off(&self.pods[pod], now) {
                    break;
                }
                self.put(pod, Place::Active);
            }
        }
    }

    /// Moves pods that were in the pool for too long (`flushUnschedulablePodsLeftover`, every 30 s).
    pub fn flush_pool(&mut self, now: Time) {
        let over = |pod: &&u32| now.since(self.pods[**pod].timestamp) > self.config.max_in_pool;
        for pod in self.pool.iter().filter(over).copied().collect::<Vec<_>>() {
            self.wake(pod, now);
        }
    }

    /// Forgets a pod that was bound or deleted.
    pub fn remove(&mut self, pod: u32) -> Option<Queued> {
        self.put(pod, Place::InFlight);
        self.pods.remove(pod)
    }

    /// A pod that waits.
    #[must_use]
    pub fn get(&self, pod: u32) -> Option<&Queued> {
        self.pods.get(pod)
    }

    /// Pods in the pool of unschedulable ones.
    pub fn pool(&self) -> impl Iterator<Item = u32> + '_ {
        self.pool.iter().copied()
    }

    /// The next flush of the backoff queue after which a pod is active; `None` with nothing in backoff.
    #[must_use]
    pub fn next_flush(&self) -> Option<Time> {
        let first = [&self.backoff, &self.error_backoff].into_iter().filter_map(BTreeSet::first).min()?.0;
        Some(if self.config.pop_from_backoff { first + FLUSH } else { self.flush_at_or_after(first) })
    }

    /// The first flush at or after an instant. Flushes run on whole seconds of the wall clock; before 1.33 on the seconds of the
    /// scheduler's own start, for which the same grid stands.
    fn flush_at_or_after(&self, at: Time) -> Time {
        let floor = at.floor_second(self.config.whole_second);
        if floor == at { at } else { floor + FLUSH }
    }

    fn wake(&mut self, pod: u32, now: Time) {
        let waits = self.backing_off(&self.pods[pod], now);
        self.put(pod, if waits { Place::Backoff } else { Place::Active });
    }

    /// `isPodBackingoff`: with the ordering window, the second in which the backoff ends still counts.
    fn backing_off(&self, queued: &Queued, now: Time) -> bool {
        let until = self.backoff_end(queued);
        if self.config.pop_from_backoff { until >= now.floor_second(self.config.whole_second) } else { until > now }
    }

    /// When the backoff ends: 1 s · 2^(failures − 1), at most 10 s, after the last failure (`getBackoffTime`).
    fn backoff_end(&self, queued: &Queued) -> Time {
        let failures =
            if queued.consecutive_errors > 0 { queued.consecutive_errors } else { queued.unschedulable_count };
        let doubled = |times: u32| self.config.initial_backoff * (1_i64 << times.min(30));
        let backoff = failures.checked_sub(1).map_or(Duration::ZERO, doubled).min(self.config.max_backoff);
        let end = queued.timestamp + backoff;
        if self.config.pop_from_backoff { end.floor_second(self.config.whole_second) } else { end }
    }

    fn put(&mut self, pod: u32, place: Place) {
        let Some(queued) = self.pods.get(pod).copied() else {
            return;
        };
        if queued.place == place {
            return;
        }
        // The keys are those under which the pod was put in: `put_back` changes them only for pods in flight.
        let active_key = queued.active_key(pod);
        let backoff_key = (self.backoff_end(&queued), active_key);
        if let Some(queued) = self.pods.get_mut(pod) {
            queued.place = place;
        }
        match queued.place {
            Place::Active => self.drop_inactive(),
            Place::Backoff => drop(self.backoff.remove(&backoff_key)),
            Place::ErrorBackoff => drop(self.error_backoff.remove(&backoff_key)),
            Place::Unschedulable => drop(self.pool.remove(&pod)),
            Place::InFlight => {}
        }
        match place {
            Place::Active => self.active.push(Reverse(active_key)),
            Place::Backoff => drop(self.backoff.insert(backoff_key)),
            Place::ErrorBackoff => drop(self.error_backoff.insert(backoff_key)),
            Place::Unschedulable => drop(self.pool.insert(pod)),
            Place::InFlight => {}
        }
    }

    /// Sees to it that the first entry of the active queue is that of an active pod. A queue that has become small gives room back.
    fn drop_inactive(&mut self) {
        let is_active = |&Reverse(key): &Reverse<ActiveKey>| {
            self.pods.get(key.3).is_some_and(|queued| queued.place == Place::Active && queued.active_key(key.3) == key)
        };
        while self.active.peek().is_some_and(|first| !is_active(first)) {
            self.active.pop();
        }
        let room = self.active.capacity();
        if room > LEAST_ROOM && self.active.len() < room / 4 {
            self.active.shrink_to(room / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Plugin;
    use super::*;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    const SHAPE: ShapeIndex = ShapeIndex(0);

    #[test]
    fn without_any_node_retries_follow_the_error_grid() {
        let mut queue =
            SchedulingQueue::new(QueueConfig { whole_second: Time::from_secs_f64(0.39), ..QueueConfig::default() });
        queue.add(1, SHAPE, 0, at(0.5));
        let mut retries = Vec::new();
        assert_eq!(queue.pop(), Some(1));
        queue.put_back(1, Plugins::NONE, at(0.52));
        for _ in 0..7 {
            assert_eq!(queue.pop(), None, "an error backoff is never taken early");
            let flush = queue.next_flush().unwrap_or(Time::ZERO);
            queue.flush_backoff(flush);
            assert_eq!(queue.pop(), Some(1));
            retries.push(flush.since(at(0.39)).as_secs_f64());
            queue.put_back(1, Plugins::NONE, flush + Duration::from_millis(20));
        }
        assert_eq!(retries, [2.0, 5.0, 10.0, 19.0, 30.0, 41.0, 52.0]);
    }

    #[test]
    fn an_idle_scheduler_ignores_backoff_but_older_ones_wait() {
        for (pop_from_backoff, early) in [(true, Some(1)), (false, None)] {
            let mut queue = SchedulingQueue::new(QueueConfig { pop_from_backoff, ..QueueConfig::default() });
            queue.add(1, SHAPE, 0, at(0.0));
            queue.pop();
            let taints = Plugins::NONE.with(Plugin::TaintToleration);
            queue.put_back(1, taints, at(0.1));
            assert_eq!(queue.pop(), None, "a pod in the pool waits for an event");
            queue.move_all(at(0.2), |_| Plugins::NONE.with(Plugin::NodeAffinity));
            assert!(!queue.is_ready(), "only events of the rejecting plugin count");
            queue.move_all(at(0.2), |_| taints);
            assert_eq!(queue.pop(), early);
        }
    }

    #[test]
    fn priority_comes_first_then_the_time_of_the_last_failure() {
        let mut queue = SchedulingQueue::default();
        queue.add(1, SHAPE, 0, at(0.0));
        queue.pop();
        queue.put_back(1, Plugins::NONE.with(Plugin::NodeResourcesFit), at(3.0));
        queue.add(2, SHAPE, 0, at(2.0));
        queue.add(3, SHAPE, 5, at(4.0));
        queue.flush_pool(at(400.0));
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(3), Some(2), Some(1)]);
    }
}
