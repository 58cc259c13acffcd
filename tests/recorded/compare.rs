//! Holds an outcome against a recording, by the three rules in `tests/data/recorded/README.md`.

use crate::track::{ClaimEvent, QUEUE_COUNTS, Steps, Track, average, peak};

/// What follows a clock of its own happens within this many seconds.
const CLOCK: f64 = 2.0;
/// A reading of the queue that races a worker may be acted on one HPA period earlier or later.
const PERIOD: f64 = 15.1;
/// Events of one decision; their order among each other is not compared.
const TOGETHER: f64 = 1.5;
/// Largest difference of a time average, as a share of the recorded peak.
const SHARE: f64 = 0.02;

/// Everything that differs, one line each; empty = matched.
pub fn differences(recorded: &Track, simulated: &Track, length: f64) -> Vec<String> {
    let mut misses = Vec::new();
    for (name, steps) in &recorded.replicas {
        let empty = Steps::new();
        let other = simulated.replicas.get(name).unwrap_or(&empty);
        replicas(name, steps, other, length, &mut misses);
    }
    jobs(&recorded.jobs, &simulated.jobs, &mut misses);
    claims("created", &recorded.created, &simulated.created, length, &mut misses);
    claims("removed", &recorded.removed, &simulated.removed, length, &mut misses);
    for (name, steps) in &recorded.counts {
        let Some(other) = simulated.counts.get(name) else { continue };
        let (want, have) = if QUEUE_COUNTS.iter().any(|what| name.starts_with(what)) {
            (mean_of(steps), mean_at(steps, other))
        } else {
            (average(steps, 0.0, length), average(other, 0.0, length))
        };
        let allowed = SHARE * peak(steps).max(1) as f64;
        if (want - have).abs() > allowed {
            misses.push(format!("mean {name}: recorded {want:.3}, simulated {have:.3} (allowed {allowed:.3})"));
        }
    }
    misses
}

/// Mean of sampled values.
fn mean_of(samples: &Steps) -> f64 {
    samples.iter().map(|(_, value)| *value as f64).sum::<f64>() / samples.len().max(1) as f64
}

/// Mean of `steps` at the instants at which the recorder read the queue.
fn mean_at(samples: &Steps, steps: &Steps) -> f64 {
    let value_at = |at: f64| match steps.partition_point(|(other, _)| *other <= at) {
        0 => 0,
        after => steps[after - 1].1,
    };
    samples.iter().map(|(at, _)| value_at(*at) as f64).sum::<f64>() / samples.len().max(1) as f64
}

fn replicas(name: &str, want: &Steps, have: &Steps, length: f64, misses: &mut Vec<String>) {
    let have: Steps = have.iter().copied().filter(|(at, _)| *at <= length).collect();
    let apart = want.iter().zip(&have).position(|(a, b)| a.1 != b.1 || (a.0 - b.0).abs() > CLOCK.max(PERIOD));
    let apart = apart.or_else(|| (want.len() != have.len()).then(|| want.len().min(have.len())));
    if let Some(at) = apart {
        misses.push(format!(
            "{name} replicas part at change {at}: recorded {} | simulated {}",
            shown(want, at),
            shown(&have, at)
        ));
        return;
    }
    for ((at, value), (other, _)) in want.iter().zip(&have) {
        if (at - other).abs() > CLOCK {
            misses.push(format!("{name} replicas -> {value}: recorded at {at:.2} s, simulated at {other:.2} s"));
        }
    }
}

fn jobs(want: &[f64], have: &[f64], misses: &mut Vec<String>) {
    if have.is_empty() && want.is_empty() {
        return;
    }
    if want.len() != have.len() {
        misses.push(format!("jobs: recorded {}, simulated {}", want.len(), have.len()));
        return;
    }
    for (index, (a, b)) in want.iter().zip(have).enumerate() {
        if (a - b).abs() > CLOCK {
            misses.push(format!("job {}: recorded at {a:.2} s, simulated at {b:.2} s", index + 1));
        }
    }
}

/// A few steps around the place where two sequences part.
fn shown(steps: &Steps, at: usize) -> String {
    let from = at.saturating_sub(2);
    let part: Vec<String> = steps.iter().skip(from).take(5).map(|(time, value)| format!("{value}@{time:.1}")).collect();
    part.join(" ")
}

fn claims(verb: &str, want: &[ClaimEvent], have: &[ClaimEvent], length: f64, misses: &mut Vec<String>) {
    let (mut want, mut have) = (grouped(want), grouped(have));
    // What falls within the clock's tolerance of the end may be on either side of it.
    let near_end = |event: &ClaimEvent| event.at > length - CLOCK;
    if want.len() + 1 == have.len() && have.last().is_some_and(near_end) {
        have.pop();
    } else if have.len() + 1 == want.len() && want.last().is_some_and(near_end) {
        want.pop();
    }
    if want.len() != have.len() || want.iter().zip(&have).any(|(a, b)| a.what != b.what) {
        misses.push(format!("NodeClaims {verb}: recorded {} | simulated {}", listed(&want), listed(&have)));
        return;
    }
    for (a, b) in want.iter().zip(&have) {
        if (a.at - b.at).abs() > CLOCK {
            misses
                .push(format!("NodeClaim {verb} ({}): recorded at {:.2} s, simulated at {:.2} s", a.what, a.at, b.at));
        }
    }
}

/// Orders events of one decision by what they are, since their order among each other is chance.
fn grouped(events: &[ClaimEvent]) -> Vec<ClaimEvent> {
    let mut all = events.to_vec();
    let mut start = 0;
    while start < all.len() {
        let end =
            all[start..].iter().position(|event| event.at > all[start].at + TOGETHER).map_or(all.len(), |n| start + n);
        all[start..end].sort_by(|a, b| a.what.cmp(&b.what));
        start = end;
    }
    all
}

fn listed(events: &[ClaimEvent]) -> String {
    events.iter().map(|event| format!("{:.1}:{}", event.at, event.what)).collect::<Vec<_>>().join(", ")
}
