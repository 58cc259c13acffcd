//! Windows in which triggers are collected before a scheduling pass (`pkg/controllers/provisioning/batcher.go: Batcher`).

use std::collections::BTreeSet;

use crate::time::{Duration, Time};

/// Collects triggers. The caller tells it the time; it tells when to look again.
#[derive(Clone, Debug)]
pub struct Batcher<U> {
    idle: Duration,
    max: Duration,
    state: State,
    /// The one-slot flag that a new trigger sets.
    flag: bool,
    seen: BTreeSet<U>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waiting for a first trigger.
    Waiting,
    /// A window is open: it closes at the earlier of the two.
    Open { idle_end: Time, max_end: Time },
    /// A pass is running.
    Busy,
}

impl<U: Ord> Batcher<U> {
    /// Windows end `idle` after the last new trigger (`BATCH_IDLE_DURATION`, default 1 s), at the latest `max` after they opened
    /// (`BATCH_MAX_DURATION`, default 10 s).
    #[must_use]
    pub fn new(idle: Duration, max: Duration) -> Self {
        Batcher { idle, max, state: State::Waiting, flag: false, seen: BTreeSet::new() }
    }

    /// A trigger. One that was seen in this window does nothing; one during a pass opens the next window when the pass ends
    /// (`Trigger`). Returns when the window would close now, if it opened or moved.
    pub fn trigger(&mut self, uid: U, now: Time) -> Option<Time> {
        if !self.seen.insert(uid) {
            return None;
        }
        match self.state {
            State::Busy => {
                self.flag = true;
                None
            }
            State::Waiting => Some(self.open(now)),
            State::Open { max_end, .. } => {
                self.state = State::Open { idle_end: now + self.idle, max_end };
                self.closes_at()
            }
        }
    }

    /// When the open window closes, if no trigger comes.
    #[must_use]
    pub fn closes_at(&self) -> Option<Time> {
        match self.state {
            State::Open { idle_end, max_end } => Some(idle_end.min(max_end)),
            State::Waiting | State::Busy => None,
        }
    }

    /// Closes the window if its time has come; `true` when a pass must start now. Timers that are out of date change nothing.
    pub fn close(&mut self, now: Time) -> bool {
        let due = self.closes_at().is_some_and(|end| end <= now);
        if due {
            self.state = State::Busy;
            self.seen.clear();
        }
        due
    }

    /// The pass is over. Returns when the next window closes, if a trigger came meanwhile.
    pub fn finished(&mut self, now: Time) -> Option<Time> {
        self.state = State::Waiting;
        if std::mem::take(&mut self.flag) { Some(self.open(now)) } else { None }
    }

    fn open(&mut self, now: Time) -> Time {
        self.state = State::Open { idle_end: now + self.idle, max_end: now + self.max };
        now + self.idle.min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    #[test]
    fn the_same_trigger_does_not_extend_a_window_and_another_does() {
        for (second, closes) in [(1_u32, 5.0), (2, 8.0)] {
            let mut batcher = Batcher::new(Duration::from_secs(5), Duration::from_secs(10));
            assert_eq!(batcher.trigger(1, at(0.0)), Some(at(5.0)));
            batcher.trigger(second, at(3.0));
            assert_eq!(batcher.closes_at(), Some(at(closes)));
            assert!(!batcher.close(at(closes - 0.1)));
            assert!(batcher.close(at(closes)));
        }
    }

    #[test]
    fn a_window_never_lasts_longer_than_its_maximum() {
        let mut batcher = Batcher::new(Duration::from_secs(1), Duration::from_secs(10));
        for step in 0..30 {
            batcher.trigger(step, at(f64::from(step) * 0.5));
            if batcher.close(at(f64::from(step) * 0.5)) {
                assert_eq!(step, 20);
                return;
            }
        }
        panic!("the window did not close");
    }

    #[test]
    fn triggers_during_a_pass_open_the_next_window_when_it_ends() {
        let mut batcher = Batcher::new(Duration::from_secs(1), Duration::from_secs(10));
        batcher.trigger(1, at(0.0));
        assert!(batcher.close(at(1.0)));
        assert_eq!(batcher.trigger(1, at(1.2)), None);
        assert_eq!(batcher.finished(at(2.0)), Some(at(3.0)));
        assert_eq!(batcher.trigger(1, at(2.5)), None, "seen during the pass");
        assert!(batcher.close(at(3.0)));
        assert_eq!(batcher.finished(at(3.1)), None);
        assert!(!batcher.close(at(5.0)));
    }
}
