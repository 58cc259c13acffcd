//! Poisson processes with a rate that changes over time, sampled exactly by inverting the integral of the rate.

use crate::engine::Stream;
use crate::time::Duration;

/// A piece of a rate over time: from `at` to the next piece the rate goes linearly from `from` to `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    /// Seconds after the source's start.
    pub at: f64,
    /// Seconds.
    pub length: f64,
    /// Events a second at the beginning.
    pub from: f64,
    /// Events a second at the end.
    pub to: f64,
}

/// A piecewise linear rate.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    pieces: Vec<Piece>,
    /// Seconds after which the pieces begin again; `None` = never.
    period: Option<f64>,
    round: f64,
    index: usize,
    /// Seconds into the present piece.
    within: f64,
}

impl Rates {
    pub fn new(pieces: Vec<Piece>, period: Option<Duration>) -> Self {
        let period = period.map(Duration::as_secs_f64).filter(|period| *period > 0.0);
        // A period without any event would never end.
        let silent = pieces.iter().all(|piece| piece.from + piece.to <= 0.0 || piece.length <= 0.0);
        let pieces = if silent { Vec::new() } else { pieces };
        Rates { pieces, period, round: 0.0, index: 0, within: 0.0 }
    }

    /// Seconds after the start of the next event.
    pub fn next(&mut self, stream: &mut Stream) -> Option<f64> {
        let mut area = unit_exponential(stream);
        loop {
            let Some(piece) = self.pieces.get(self.index).copied() else {
                let period = self.period.filter(|_| !self.pieces.is_empty())?;
                self.round += period;
                self.index = 0;
                self.within = 0.0;
                continue;
            };
            let length = self.period.map_or(piece.length, |period| piece.length.min((period - piece.at).max(0.0)));
            let slope = if piece.length.is_finite() && piece.length > 0.0 {
                (piece.to - piece.from) / piece.length
            } else {
                0.0
            };
            let rate = piece.from + slope * self.within;
            let left = length - self.within;
            let available = if left.is_finite() {
                rate * left + slope * left * left / 2.0
            } else if rate > 0.0 {
                f64::INFINITY
            } else {
                0.0
            };
            if area < available {
                self.within += time_for(area, rate, slope);
                return Some(self.round + piece.at + self.within);
            }
            area -= available;
            self.index += 1;
            self.within = 0.0;
        }
    }
}

/// The time in which a rate that begins at `rate` and changes by `slope` a second yields `area` events.
fn time_for(area: f64, rate: f64, slope: f64) -> f64 {
    // 2·area / (rate + sqrt(rate² + 2·slope·area)): the stable form of the root.
    let root = (rate * rate + 2.0 * slope * area).max(0.0).sqrt();
    2.0 * area / (rate + root)
}

/// An exponential draw with mean 1, to 10⁻⁹.
#[inline]
pub(crate) fn unit_exponential(stream: &mut Stream) -> f64 {
    // As a draw with a mean of 1000 s that is rounded to the microsecond: nine digits are kept.
    let micros = (stream.exponential() * 1000.0 * 1e6 + 0.5) as i64;
    micros as f64 / 1e6 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;

    #[test]
    fn a_ramp_yields_the_integral_of_its_rate() {
        // From 0 to 100 a second over 100 s, then 100 a second: 5,000 in the ramp, 1,250 in its first half.
        let pieces = vec![
            Piece { at: 0.0, length: 100.0, from: 0.0, to: 100.0 },
            Piece { at: 100.0, length: f64::INFINITY, from: 100.0, to: 100.0 },
        ];
        let mut rates = Rates::new(pieces, None);
        let mut stream = Streams::new(3, 0).open("rates", 0);
        let times: Vec<f64> = std::iter::from_fn(|| rates.next(&mut stream)).take_while(|t| *t < 200.0).collect();
        let before = |end: f64| times.iter().filter(|t| **t < end).count();
        assert!(before(50.0).abs_diff(1_250) < 4 * 36, "{}", before(50.0));
        assert!(before(100.0).abs_diff(5_000) < 4 * 71, "{}", before(100.0));
        assert!(before(200.0).abs_diff(15_000) < 4 * 123, "{}", before(200.0));
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
