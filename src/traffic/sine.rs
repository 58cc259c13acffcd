//! A Poisson process whose rate follows a sine, by thinning (Lewis and Shedler, 1979) over short segments: within one the rate has close
//! bounds, so that few draws are thinned out and few need the sine itself.

use super::rates::unit_exponential;
use crate::engine::Stream;
use crate::scenario::arrivals::Sine;

/// Segments of a period.
const SEGMENTS: f64 = 128.0;

/// The state of the process; all in seconds and events a second.
#[derive(Clone, Debug)]
pub(crate) struct SineProcess {
    mean: f64,
    swing: f64,
    period: f64,
    phase: f64,
    now: f64,
    segment: Segment,
}

/// A stretch of time with bounds of the rate in it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    end: f64,
    lowest: f64,
    highest: f64,
}

impl SineProcess {
    pub fn new(sine: &Sine) -> Self {
        let mut process = SineProcess {
            mean: sine.rate.per_second,
            swing: sine.amplitude.per_second,
            period: sine.period.as_secs_f64().max(1e-6),
            phase: sine.phase.as_secs_f64(),
            now: 0.0,
            segment: Segment { end: 0.0, lowest: 0.0, highest: 0.0 },
        };
        process.segment = process.segment_from(0.0);
        process
    }

    /// Whether no event ever comes.
    pub fn is_silent(&self) -> bool {
        self.mean + self.swing.abs() <= 0.0
    }

    /// The next event in the present segment; `None` = it is over, and the next one has begun.
    #[inline]
    pub fn next_in_segment(&mut self, stream: &mut Stream) -> Option<f64> {
        let Segment { end, lowest, highest } = self.segment;
        loop {
            let at = self.now + if highest > 0.0 { unit_exponential(stream) / highest } else { f64::INFINITY };
            if at >= end {
                self.now = end;
                self.segment = self.segment_from(end);
                return None;
            }
            self.now = at;
            let level = stream.unit() * highest;
            if level < lowest || level < self.rate(at) {
                return Some(at);
            }
        }
    }

    fn rate(&self, at: f64) -> f64 {
        let angle = std::f64::consts::TAU * (at - self.phase) / self.period;
        (self.mean + self.swing * angle.sin()).max(0.0)
    }

    /// The segment that begins at `from`. A sine leaves the range of its ends by at most the square of half a segment's angle over
    /// two; the bounds allow for that.
    fn segment_from(&self, from: f64) -> Segment {
        let end = from + self.period / SEGMENTS;
        let half_angle = std::f64::consts::PI / SEGMENTS;
        let beyond = self.swing.abs() * half_angle * half_angle / 2.0;
        let (first, last) = (self.rate(from), self.rate(end));
        Segment { end, lowest: (first.min(last) - beyond).max(0.0), highest: first.max(last) + beyond }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;

    fn process(rate: f64, amplitude: f64) -> SineProcess {
        let (mean, swing, period) = (rate, amplitude, 100.0);
        let segment = Segment { end: 0.0, lowest: 0.0, highest: 0.0 };
        let mut process = SineProcess { mean, swing, period, phase: 0.0, now: 0.0, segment };
        process.segment = process.segment_from(0.0);
        process
    }

    #[test]
    fn the_bounds_hold_within_every_segment() {
        for (rate, amplitude) in [(20.0, 20.0), (20.0, 5.0), (1.0, 30.0)] {
            let process = process(rate, amplitude);
            let mut segment = process.segment_from(0.0);
            for step in 0..100_000 {
                let at = f64::from(step) * 0.002;
                while at >= segment.end {
                    segment = process.segment_from(segment.end);
                }
                let rate = process.rate(at);
                assert!(segment.lowest <= rate + 1e-9 && rate <= segment.highest + 1e-9, "{at}: {rate} in {segment:?}");
            }
        }
    }

    #[test]
    fn half_a_period_yields_the_integral_of_the_rate() {
        let mut process = process(200.0, 100.0);
        let mut stream = Streams::new(4, 0).open("sine", 0);
        let times: Vec<f64> = std::iter::from_fn(|| {
            loop {
                if let Some(at) = process.next_in_segment(&mut stream) {
                    return Some(at);
                }
            }
        })
        .take_while(|at| *at < 1000.0)
        .collect();
        let rising = times.iter().filter(|at| **at % 100.0 < 50.0).count() as f64;
        // 200 / s over 500 s and twice the amplitude over the angular speed in each of ten periods.
        let expected = 100_000.0 + 10.0 * 2.0 * 100.0 / (std::f64::consts::TAU / 100.0);
        assert!((rising - expected).abs() < 4.0 * expected.sqrt(), "{rising} against {expected}");
        assert!((times.len() as f64 - 200_000.0).abs() < 4.0 * 200_000_f64.sqrt());
        assert!(times.is_sorted());
    }
}
