//! Every figure that is promised, one line each: `figure NAME VALUE UNIT goal GOAL met|missed`.
//!
//! `cargo bench --bench figures`; names given behind `--` choose the figures whose name contains one of them.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the wall clock")]

use std::time::Instant;

#[path = "../tests/support/disruption_case.rs"]
mod case;
#[path = "figures/control_plane.rs"]
mod control_plane;
#[path = "../tests/support/disruption_world.rs"]
mod disruption_world;
#[path = "../tests/support/json.rs"]
mod json;
#[path = "support/parse.rs"]
mod parse;
#[path = "support/placement.rs"]
mod placement;
#[path = "../tests/support/plain_pools.rs"]
mod plain_pools;
#[path = "../tests/support/plain_scheduler.rs"]
mod plain_scheduler;
#[path = "../tests/support/plain_topology.rs"]
mod plain_topology;
#[path = "support/provisioning.rs"]
mod provisioning;
#[path = "support/queue.rs"]
mod queue;
#[path = "../tests/support/reservations.rs"]
mod reservations;
#[path = "figures/runs.rs"]
mod runs;
#[path = "figures/scaling.rs"]
mod scaling;

/// What a value is held against.
#[derive(Clone, Copy)]
enum Goal {
    /// It is missed above this.
    AtMost(f64),
    /// It is missed below this.
    AtLeast(f64),
}

/// Prints the figures that were asked for.
struct Figures {
    wanted: Vec<String>,
}

impl Figures {
    /// Measures a figure, unless others were asked for.
    fn print(&self, name: &str, unit: &str, goal: Goal, measure: impl FnOnce() -> f64) -> Option<f64> {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            return None;
        }
        let value = measure();
        let (bound, met) = match goal {
            Goal::AtMost(bound) => (bound, value <= bound),
            Goal::AtLeast(bound) => (bound, value >= bound),
        };
        let verdict = if met { "met" } else { "missed" };
        println!("figure {name} {} {unit} goal {bound} {verdict}", (value * 1000.0).round() / 1000.0);
        Some(value)
    }
}

/// The processor's account of a thread moves in steps of some milliseconds; short work is repeated until it fills many of them.
const LEAST_SECONDS: f64 = 0.1;

/// Seconds of the fastest of some repetitions of work that can be done again and again.
fn fastest(repetitions: usize, mut run: impl FnMut()) -> f64 {
    let mut one = || {
        let mut runs = 0.0;
        let start = Instant::now();
        let seconds = once(|| {
            while runs == 0.0 || start.elapsed().as_secs_f64() < LEAST_SECONDS {
                run();
                runs += 1.0;
            }
        });
        seconds / runs
    };
    std::iter::repeat_with(&mut one).take(repetitions).fold(f64::INFINITY, f64::min)
}

/// Seconds of work that changes what it works on: those that this thread ran on a processor, where the system tells, so that other
/// work on the machine counts as little as possible.
fn once(run: impl FnOnce()) -> f64 {
    let (start, on_processor) = (Instant::now(), seconds_on_processor());
    run();
    let elapsed = start.elapsed().as_secs_f64();
    match (on_processor, seconds_on_processor()) {
        (Some(before), Some(after)) => after - before,
        _ => elapsed,
    }
}

/// Seconds that this thread ran so far (Linux).
fn seconds_on_processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [first, count, ..] = &arguments[..]
        && let Ok(count) = count.parse()
    {
        match first.as_str() {
            runs::PEAK_OF_MESSAGES => return runs::print_peak(&queue::queue_of(10, count, "")),
            runs::PEAK_OF_PODS => return runs::print_peak(&runs::pods(count)),
            _ => {}
        }
    }
    let figures = Figures { wanted: arguments };
    runs::print(&figures);
    control_plane::print(&figures);
    scaling::print(&figures);
}
