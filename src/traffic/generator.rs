//! The arrival patterns: each gives the instants of its messages one by one.

use std::sync::Arc;

use super::ahead::Ahead;
use super::rates::{Piece, Rates, unit_exponential};
use super::sine::SineProcess;
use super::trace::pieces;
use super::{Extra, nanos};
use crate::engine::{Distribution, Stream};
use crate::scenario::arrivals::{Arrivals, Batch, Burst, List, Mmpp, OnOff, Spike, Steps, Trace};
use crate::scenario::trace::{self, Event, Rows};
use crate::time::{Duration, round_half_away};

const NANOS: f64 = 1e9;

/// The state of a pattern.
#[derive(Clone, Debug)]
pub(crate) enum Generator {
    /// No messages.
    Silent,
    /// Poisson: (mean gap, present instant) in nanoseconds.
    Poisson { mean: f64, now: u64 },
    /// Evenly spaced: message `count` comes at `count · gap` nanoseconds.
    Even { gap: f64, count: u64 },
    /// Poisson with a piecewise linear rate.
    Rates(Rates),
    /// Poisson with the rate of a sine.
    Sine(SineProcess),
    /// Poisson with a rate that rises, then halves again and again.
    Spike { rise: Rates, risen: bool, decay: Decay },
    /// Poisson with a rate that jumps between phases.
    Phases { phases: Vec<Phase>, index: usize, now: f64, end: f64 },
    /// Messages evenly over a span, again and again.
    Burst { burst: Burst, round: u64, sent: u64 },
    /// Several messages at once: (present instant, messages left of it).
    Batch { batch: Batch, now: f64, left: u64 },
    /// A recorded sequence.
    Events { events: Arc<[Event]>, index: usize, round: f64, repeat: bool },
    /// Small counts per bucket: instants of the present bucket, last first.
    Counts { buckets: Arc<[(f64, f64, f64)]>, index: usize, round: f64, repeat: bool, pending: Vec<f64> },
    /// Given instants.
    List { list: List, index: usize, sent: u64 },
}

/// A phase of a process whose rate jumps.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    rate: f64,
    length: Distribution,
}

/// An exponentially falling rate.
#[derive(Clone, Debug)]
pub(crate) struct Decay {
    /// Seconds after the start at which it begins.
    from: f64,
    /// Events still to come, as an integral of the rate.
    left: f64,
    /// Integral of the rate that is not to come, since the source ends first.
    cut: f64,
    /// Natural rate of decay a second.
    speed: f64,
    peak: f64,
}

/// Mean count of a bucket below which counts are placed one by one.
const SMALL_COUNT: f64 = 5.0;

impl Generator {
    pub fn new(arrivals: &Arrivals) -> Self {
        match arrivals {
            Arrivals::Poisson(p) if p.rate.per_second > 0.0 => {
                Generator::Poisson { mean: NANOS / p.rate.per_second, now: 0 }
            }
            Arrivals::Constant(p) if p.rate.per_second > 0.0 => {
                Generator::Even { gap: NANOS / p.rate.per_second, count: u64::from(!p.at_start) }
            }
            Arrivals::Poisson(_) | Arrivals::Constant(_) => Generator::Silent,
            Arrivals::Ramp(p) => {
                let length = p.over.as_secs_f64();
                let (from, to) = (p.from.per_second, p.to.per_second);
                let pieces = vec![
                    Piece { at: 0.0, length, from, to },
                    Piece { at: length, length: f64::INFINITY, from: to, to },
                ];
                Generator::Rates(Rates::new(pieces, None))
            }
            Arrivals::Steps(p) => Generator::Rates(steps(p)),
            Arrivals::Sine(p) => Generator::Sine(SineProcess::new(p)),
            Arrivals::Burst(p) => Generator::Burst { burst: p.clone(), round: 0, sent: 0 },
            Arrivals::OnOff(p) => on_off(p),
            Arrivals::Mmpp(p) => mmpp(p),
            Arrivals::Batch(p) if p.rate.is_some_and(|rate| rate.per_second > 0.0) || p.every.is_some() => {
                Generator::Batch { batch: p.clone(), now: 0.0, left: 0 }
            }
            Arrivals::Batch(_) => Generator::Silent,
            Arrivals::Spike(p) => spike(p),
            Arrivals::Trace(p) => from_trace(p),
            Arrivals::List(p) => {
                let mut list = p.clone();
                list.sends.sort_by_key(|send| send.at);
                Generator::List { list, index: 0, sent: 0 }
            }
        }
    }

    /// Whether it tells more of a message than when it comes.
    pub fn describes(&self) -> bool {
        matches!(self, Generator::Events { .. } | Generator::List { .. })
    }

    /// Draws when the next messages come, in nanoseconds after the source's start; none = no more come. What is special about a
    /// message goes to `extra`: only one is drawn where there is such a thing, and where the next may be far.
    pub fn draw(&mut self, stream: &mut Stream, extra: &mut Extra, ahead: &mut Ahead) {
        match self {
            Generator::Poisson { mean, now } => ahead.fill(|| {
                *now += (stream.exponential() * *mean + 0.5) as u64;
                Some(*now)
            }),
            Generator::Even { gap, count } => ahead.fill(|| {
                let at = rounded(*count as f64 * *gap);
                *count += 1;
                Some(at)
            }),
            Generator::Sine(process) if process.is_silent() => ahead.set(None),
            Generator::Sine(process) => loop {
                ahead.fill(|| process.next_in_segment(stream).map(|seconds| rounded(seconds * NANOS)));
                if !ahead.is_empty() {
                    break;
                }
            },
            other => ahead.set(other.next(stream, extra)),
        }
    }

    fn next(&mut self, stream: &mut Stream, extra: &mut Extra) -> Option<u64> {
        let seconds = match self {
            Generator::Silent | Generator::Poisson { .. } | Generator::Even { .. } | Generator::Sine(_) => None,
            Generator::Rates(rates) => rates.next(stream),
            Generator::Spike { rise, risen, decay } => {
                let rising = if *risen { None } else { rise.next(stream) };
                *risen = rising.is_none();
                rising.or_else(|| decay.next(stream))
            }
            Generator::Phases { phases, index, now, end } => next_of_phases(phases, index, now, end, stream),
            Generator::Burst { burst, round, sent } => return next_of_burst(burst, round, sent),
            Generator::Batch { batch, now, left } => Some(next_of_batch(batch, now, left, stream)),
            Generator::Events { events, index, round, repeat } => {
                return next_of_events(events, index, round, *repeat, extra);
            }
            Generator::Counts { buckets, index, round, repeat, pending } => {
                next_of_counts(buckets, index, round, *repeat, pending, stream)
            }
            Generator::List { list, index, sent } => return next_of_list(list, index, sent, extra),
        }?;
        Some(rounded(seconds * NANOS))
    }
}

/// The nearest whole number of nanoseconds, none below 0.
#[inline]
fn rounded(nanos: f64) -> u64 {
    round_half_away(nanos).max(0) as u64
}

fn steps(steps: &Steps) -> Rates {
    let mut sorted = steps.steps.clone();
    sorted.sort_by_key(|step| step.at);
    let pieces = sorted
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let at = step.at.as_secs_f64();
            let from = step.rate.per_second;
            match sorted.get(index + 1) {
                Some(next) => {
                    let to = if steps.linear { next.rate.per_second } else { from };
                    Piece { at, length: next.at.as_secs_f64() - at, from, to }
                }
                None => {
                    let length = steps.every.map_or(f64::INFINITY, |every| (every.as_secs_f64() - at).max(0.0));
                    Piece { at, length, from, to: from }
                }
            }
        })
        .collect();
    Rates::new(pieces, steps.every)
}

fn on_off(spec: &OnOff) -> Generator {
    let on = Phase { rate: spec.rate.per_second, length: spec.on.clone() };
    let off = Phase { rate: 0.0, length: spec.off.clone() };
    phases(if spec.starts_off { vec![off, on] } else { vec![on, off] })
}

fn mmpp(spec: &Mmpp) -> Generator {
    let state = |state: &crate::scenario::arrivals::MmppState| Phase {
        rate: state.rate.per_second,
        length: Distribution::Exponential { mean: state.mean },
    };
    phases(spec.states.iter().map(state).collect())
}

fn phases(phases: Vec<Phase>) -> Generator {
    let lively = phases.iter().any(|phase| phase.rate > 0.0 && phase.length.mean() > Duration::ZERO);
    if !lively {
        return Generator::Silent;
    }
    let index = phases.len() - 1;
    Generator::Phases { phases, index, now: 0.0, end: 0.0 }
}

fn spike(spec: &Spike) -> Generator {
    let (at, length) = (spec.at.as_secs_f64(), spec.rise.as_secs_f64());
    let peak = spec.peak.per_second;
    let rise = Rates::new(vec![Piece { at, length, from: 0.0, to: peak }], None);
    let half_life = spec.half_life.as_secs_f64().max(1e-6);
    let speed = std::f64::consts::LN_2 / half_life;
    let all = peak / speed;
    let cut = all * spec.until.clamp(0.0, 1.0);
    Generator::Spike { rise, risen: false, decay: Decay { from: at + length, left: all - cut, cut, speed, peak } }
}

impl Decay {
    fn next(&mut self, stream: &mut Stream) -> Option<f64> {
        self.left -= unit_exponential(stream);
        if self.left < 0.0 {
            self.left = 0.0;
            return None;
        }
        // The rate when `left + cut` is still to come is (left + cut) · speed.
        let rate = (self.left + self.cut) * self.speed;
        Some(self.from + (self.peak / rate).ln() / self.speed)
    }
}

fn next_of_phases(
    phases: &[Phase],
    index: &mut usize,
    now: &mut f64,
    end: &mut f64,
    stream: &mut Stream,
) -> Option<f64> {
    loop {
        let rate = phases[*index].rate;
        if rate > 0.0 {
            let at = *now + unit_exponential(stream) / rate;
            if at < *end {
                *now = at;
                return Some(at);
            }
        }
        *now = *end;
        *index = (*index + 1) % phases.len();
        *end = *now + phases[*index].length.sample(stream).as_secs_f64();
    }
}

fn next_of_burst(burst: &Burst, round: &mut u64, sent: &mut u64) -> Option<u64> {
    if *sent == burst.messages {
        let every = burst.every.filter(|every| *every > Duration::ZERO && burst.messages > 0)?;
        *round += nanos(every);
        *sent = 0;
    }
    let over = u128::from(nanos(burst.over));
    let within = over * u128::from(*sent) / u128::from(burst.messages.max(1));
    if burst.messages == 0 {
        return None;
    }
    *sent += 1;
    Some(nanos(burst.at) + *round + within as u64)
}

fn next_of_batch(batch: &Batch, now: &mut f64, left: &mut u64, stream: &mut Stream) -> f64 {
    while *left == 0 {
        *now += match (&batch.every, batch.rate) {
            (Some(every), _) => every.sample(stream).as_secs_f64().max(1e-6),
            (None, Some(rate)) => unit_exponential(stream) / rate.per_second,
            (None, None) => f64::MAX,
        };
        *left = batch.messages.max(1);
    }
    *left -= 1;
    *now
}

fn from_trace(spec: &Trace) -> Generator {
    // A file that cannot be played was refused with the scenario.
    let Ok(rows) = trace::read(spec) else { return Generator::Silent };
    match rows {
        Rows::Events(events) if events.is_empty() => Generator::Silent,
        Rows::Events(events) => Generator::Events { events, index: 0, round: 0.0, repeat: spec.repeat },
        Rows::Buckets(buckets) => {
            let total: f64 = buckets.iter().map(|(_, _, count)| count).sum();
            if total <= 0.0 {
                return Generator::Silent;
            }
            if total / (buckets.len() as f64) < SMALL_COUNT {
                return Generator::Counts { buckets, index: 0, round: 0.0, repeat: spec.repeat, pending: Vec::new() };
            }
            let end = buckets.last().map_or(0.0, |(at, length, _)| at + length);
            let period = spec.repeat.then(|| Duration::from_secs_f64(end));
            Generator::Rates(Rates::new(pieces(&buckets), period))
        }
    }
}

fn next_of_events(
    events: &[Event],
    index: &mut usize,
    round: &mut f64,
    repeat: bool,
    extra: &mut Extra,
) -> Option<u64> {
    if *index == events.len() {
        let last = events.last()?;
        if !repeat || last.at <= 0.0 {
            return None;
        }
        // The gap before the repetition is the mean gap.
        *round += last.at + last.at / (events.len() - 1) as f64;
        *index = 0;
    }
    let event = events[*index];
    *index += 1;
    extra.work = (event.work >= 0.0).then_some(-event.work);
    Some(rounded((*round + event.at) * NANOS))
}

fn next_of_counts(
    buckets: &[(f64, f64, f64)],
    index: &mut usize,
    round: &mut f64,
    repeat: bool,
    pending: &mut Vec<f64>,
    stream: &mut Stream,
) -> Option<f64> {
    while pending.is_empty() {
        let Some((at, length, count)) = buckets.get(*index).copied() else {
            let (at, length, _) = buckets.last()?;
            if !repeat {
                return None;
            }
            *round += at + length;
            *index = 0;
            continue;
        };
        *index += 1;
        // A scaled count is rounded up or down at random, so that its mean is kept.
        let whole = count.floor();
        let messages = whole as u64 + u64::from(stream.chance(count - whole));
        pending.extend((0..messages).map(|_| *round + at + length * stream.unit()));
        pending.sort_by(|a, b| b.total_cmp(a));
    }
    pending.pop()
}

fn next_of_list(list: &List, index: &mut usize, sent: &mut u64, extra: &mut Extra) -> Option<u64> {
    loop {
        let send = list.sends.get(*index)?;
        if *sent == send.messages {
            *index += 1;
            *sent = 0;
            continue;
        }
        let gaps = u128::from(send.messages.saturating_sub(1).max(1));
        let within = u128::from(nanos(send.over)) * u128::from(*sent) / gaps;
        *sent += 1;
        extra.delay = send.delay;
        return Some(nanos(send.at) + within as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::{Decode, Problems};
    use crate::engine::Streams;
    use crate::scenario::toml;

    fn times(text: &str, until: f64) -> Vec<f64> {
        let mut problems = Problems::default();
        let node = toml::parse(text, 0, &mut problems);
        let arrivals = Arrivals::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
        let mut generator = Generator::new(&arrivals);
        let mut stream = Streams::new(5, 0).open("generator", 0);
        let mut ahead = Ahead::default();
        let mut next = || {
            if ahead.is_empty() {
                generator.draw(&mut stream, &mut Extra::default(), &mut ahead);
            }
            ahead.take()
        };
        std::iter::from_fn(&mut next).map(|nanos| nanos as f64 / NANOS).take_while(|at| *at < until).collect()
    }

    /// Number of messages within four standard deviations of a Poisson count.
    fn about(text: &str, until: f64, mean: f64) {
        let count = times(text, until).len() as f64;
        assert!((count - mean).abs() < 4.0 * mean.sqrt(), "{text}: {count} instead of {mean}");
    }

    #[test]
    fn counts_are_the_integrals_of_the_rates() {
        about("pattern = 'poisson'\nrate = '100/s'", 100.0, 10_000.0);
        about("pattern = 'ramp'\nfrom = '0/s'\nto = '100/s'\nover = '100s'", 200.0, 15_000.0);
        about("pattern = 'sine'\nrate = '100/s'\namplitude = '100/s'\nperiod = '20s'", 100.0, 10_000.0);
        // Rise: 100 · 10 / 2 = 500; decay: 100 · 20 / ln 2 · (1 − 0.001) = 2,882.5.
        about("pattern = 'spike'\npeak = '100/s'\nrise = '10s'\nhalfLife = '20s'", 1e6, 3_382.5);
        let steps =
            "pattern = 'steps'\nsteps = [{ at = '0s', rate = '10/s' }, { at = '10s', rate = '100/s' }]\nevery = '20s'";
        about(steps, 200.0, 11_000.0);
    }

    #[test]
    fn even_patterns_are_exact() {
        assert_eq!(times("pattern = 'constant'\nrate = '1/s'", 4.0), [1.0, 2.0, 3.0]);
        assert_eq!(times("pattern = 'constant'\nrate = '1/s'\natStart = true", 3.0), [0.0, 1.0, 2.0]);
        assert_eq!(times("pattern = 'burst'\nat = '5s'\nmessages = 4\nover = '2s'", 99.0), [5.0, 5.5, 6.0, 6.5]);
        assert_eq!(times("pattern = 'burst'\nmessages = 2\nevery = '10s'", 21.0), [0.0, 0.0, 10.0, 10.0, 20.0, 20.0]);
        assert_eq!(times("pattern = 'batch'\nmessages = 2\nevery = '3s'", 7.0), [3.0, 3.0, 6.0, 6.0]);
        let list = "pattern = 'list'\nsends = [{ at = '9s' }, { at = '1s', messages = 3, over = '2s' }]";
        assert_eq!(times(list, 99.0), [1.0, 2.0, 3.0, 9.0]);
    }

    #[test]
    fn on_and_off_times_alternate() {
        let on = times("pattern = 'onOff'\nrate = '100/s'\non = '10s'\noff = '30s'", 400.0);
        assert!(on.iter().all(|at| at % 40.0 < 10.0));
        assert!(on.len().abs_diff(10_000) < 400, "{}", on.len());
        about("pattern = 'mmpp'\nstates = [{ rate = '100/s', mean = '1s' }]", 100.0, 10_000.0);
    }

    #[test]
    fn a_modulated_rate_has_the_mean_of_its_states_and_varies_more_than_poisson() {
        let text = "pattern = 'mmpp'\nstates = [{ rate = '10/s', mean = '3s' }, { rate = '100/s', mean = '1s' }]";
        let until = 4_000.0;
        let times = times(text, until);
        // (3 · 10 + 1 · 100) / 4 = 32.5 a second.
        let mean = times.len() as f64 / until;
        assert!((mean - 32.5).abs() < 2.0, "{mean}");
        let mut counts = vec![0.0; until as usize];
        times.iter().for_each(|at| counts[*at as usize] += 1.0);
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / until;
        assert!(variance / mean > 10.0, "{variance} against {mean}");
    }

    #[test]
    fn a_sine_has_its_peaks_a_period_apart() {
        // A day of 24 s: most comes in the second quarter around the maximum, least half a period later.
        let text = "pattern = 'sine'\nrate = '100/s'\namplitude = '90/s'\nperiod = '24s'";
        let mut quarters = [0_u32; 4];
        times(text, 240.0).iter().for_each(|at| quarters[(at % 24.0 / 6.0) as usize] += 1);
        let (most, least) = (quarters.iter().max(), quarters.iter().min());
        let ratio = f64::from(*most.unwrap_or(&0)) / f64::from(*least.unwrap_or(&1));
        // Quarters around maximum and minimum begin a quarter after each other: 1 ± 0.9 · 2/π.
        assert!((3.2..4.2).contains(&ratio), "{quarters:?}");
    }
}
