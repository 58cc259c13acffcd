//! Progress of runs that take a while: simulated time, speed and time left, on a terminal's standard error only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration as WallDuration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::numbers::{short, span};
use crate::time::{Duration, Time};

use super::terminal::Terminal;

/// Runs shorter than this show nothing.
const QUIET_FOR: WallDuration = WallDuration::from_secs(2);

/// Progress of several runs of one length.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    runs: u64,
    length: Duration,
    /// Simulated microseconds of all runs.
    simulated: AtomicU64,
}

impl Progress {
    /// Of `runs` runs of `length` each.
    pub(super) fn new(terminal: &Terminal, quiet: bool, runs: u64, length: Duration) -> Progress {
        let bar = (terminal.progress && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::hidden());
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {eta} left");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Progress { bar, started: wall_clock(), runs, length, simulated: AtomicU64::new(0) }
    }

    /// One run advanced from one instant to another.
    pub(super) fn advanced(&self, from: Time, to: Time) {
        let simulated =
            self.simulated.fetch_add(to.since(from).max_zero().as_micros().unsigned_abs(), Ordering::Relaxed)
                + to.since(from).max_zero().as_micros().unsigned_abs();
        let Some(bar) = &self.bar else { return };
        let elapsed = wall_clock().duration_since(self.started);
        if elapsed < QUIET_FOR {
            return;
        }
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let whole = self.length.as_micros().unsigned_abs().saturating_mul(self.runs).max(1);
        bar.set_position((u128::from(simulated) * 1000 / u128::from(whole)) as u64);
        let done = Duration::from_micros(i64::try_from(simulated).unwrap_or(i64::MAX));
        let speed = done.as_secs_f64() / elapsed.as_secs_f64();
        let of = self.length * i64::try_from(self.runs).unwrap_or(i64::MAX);
        bar.set_message(format!("{} of {} simulated  {} times real time", span(done), span(of), short(speed)));
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Progress in finished runs.
pub(super) struct Counter {
    bar: Option<ProgressBar>,
    started: Instant,
    done: AtomicU64,
}

impl Counter {
    pub(super) fn new(terminal: &Terminal, quiet: bool) -> Counter {
        let bar = (terminal.progress && !quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::hidden());
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} runs  {per_sec}  {eta} left");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Counter { bar, started: wall_clock(), done: AtomicU64::new(0) }
    }

    /// So many runs are done, of so many.
    pub(super) fn reached(&self, done: usize, all: usize) {
        let Some(bar) = &self.bar else { return };
        if wall_clock().duration_since(self.started) < QUIET_FOR {
            return;
        }
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    }

    /// One more run is done, of so many.
    pub(super) fn one_more(&self, all: usize) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.reached(done as usize, all);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "progress is about wall-clock time, and no run can see it")]
fn wall_clock() -> Instant {
    Instant::now()
}
