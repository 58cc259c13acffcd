//! Means with confidence intervals over independent replications, and paired differences under common random numbers.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean and its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Sample mean.
    pub mean: f64,
    /// Half the width of the confidence interval; infinite with fewer than two samples.
    pub half_width: f64,
    /// Sample standard deviation.
    pub deviation: f64,
    /// Number of samples.
    pub samples: usize,
}

impl Estimate {
    /// Student's t interval at `confidence` (0.95 = 95 %) from independent samples.
    #[must_use]
    pub fn of(samples: &[f64], confidence: f64) -> Estimate {
        let n = samples.len();
        let mean = samples.iter().sum::<f64>() / n.max(1) as f64;
        let squares: f64 = samples.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = if n > 1 { (squares / (n - 1) as f64).sqrt() } else { 0.0 };
        let half_width =
            if n > 1 { t_quantile(n - 1, confidence) * deviation / (n as f64).sqrt() } else { f64::INFINITY };
        Estimate { mean, half_width, deviation, samples: n }
    }

    /// Estimate of the mean of `b − a` from runs that share their random numbers pairwise.
    #[must_use]
    pub fn of_difference(a: &[f64], b: &[f64], confidence: f64) -> Estimate {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
        Estimate::of(&differences, confidence)
    }

    /// Lower end of the interval.
    #[must_use]
    pub fn low(&self) -> f64 {
        self.mean - self.half_width
    }

    /// Upper end of the interval.
    #[must_use]
    pub fn high(&self) -> f64 {
        self.mean + self.half_width
    }

    /// Whether the interval leaves out zero.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.low() > 0.0 || self.high() < 0.0
    }
}

/// Two-sided quantile of Student's t.
#[must_use]
pub fn t_quantile(degrees: usize, confidence: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees as f64).map_or(f64::INFINITY, |t| t.inverse_cdf(0.5 + confidence / 2.0))
}

/// The `q`-quantile of samples (nearest rank); `None` without samples.
#[must_use]
pub fn quantile(samples: &[f64], q: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied()
}

/// Index of the knee of a curve with increasing `x`: the point farthest from the straight line between its ends, both axes
/// scaled to [0, 1] (Satopää et al. 2011, Kneedle). `None` for a straight line or fewer than three points.
#[must_use]
pub fn knee(x: &[f64], y: &[f64]) -> Option<usize> {
    bend(x, y, f64::abs)
}

/// As [`knee`], among the points below the line only: where a falling curve stops falling much.
#[must_use]
pub fn knee_below(x: &[f64], y: &[f64]) -> Option<usize> {
    bend(x, y, |above| -above)
}

fn bend(x: &[f64], y: &[f64], distance_of: fn(f64) -> f64) -> Option<usize> {
    let (first, last) = (0, x.len().checked_sub(1)?);
    let (low, high) = y.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
    if x.len() < 3 || high <= low || x[last] <= x[first] {
        return None;
    }
    let scaled = |i: usize| ((x[i] - x[first]) / (x[last] - x[first]), (y[i] - low) / (high - low));
    let ((_, y0), (_, y1)) = (scaled(first), scaled(last));
    let distance = |i: usize| {
        let (px, py) = scaled(i);
        distance_of(py - (y0 + (y1 - y0) * px))
    };
    let best = (1..last).max_by(|a, b| distance(*a).total_cmp(&distance(*b)))?;
    (distance(best) > 0.1).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Distribution, Streams};
    use crate::time::Duration;

    #[test]
    fn t_quantiles_agree_with_the_tables() {
        for (degrees, want) in [(1, 12.706), (9, 2.262), (29, 2.045), (1000, 1.962)] {
            assert!((t_quantile(degrees, 0.95) - want).abs() < 0.001, "{degrees}: {}", t_quantile(degrees, 0.95));
        }
    }

    #[test]
    fn intervals_cover_the_mean_as_often_as_they_say() {
        let mut stream = Streams::new(3, 0).open("coverage", 0);
        let exponential = Distribution::Gamma { mean: Duration::from_secs(1), shape: 20.0 };
        let covered = (0..2000)
            .filter(|_| {
                let samples: Vec<f64> = (0..10).map(|_| exponential.sample(&mut stream).as_secs_f64()).collect();
                let estimate = Estimate::of(&samples, 0.95);
                estimate.low() <= 1.0 && 1.0 <= estimate.high()
            })
            .count();
        assert!((1860..=1940).contains(&covered), "covered {covered} of 2000");
    }

    #[test]
    fn pairing_removes_what_both_share() {
        let a = [10.0, 20.0, 30.0, 40.0];
        let b = [11.0, 21.1, 30.9, 41.0];
        let paired = Estimate::of_difference(&a, &b, 0.95);
        assert!((paired.mean - 1.0).abs() < 1e-9 && paired.is_significant());
    }

    #[test]
    fn the_knee_is_where_the_curve_bends() {
        let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(knee(&x, &[100.0, 20.0, 10.0, 8.0, 6.0, 5.0]), Some(1));
        assert_eq!(knee(&x, &[5.0, 4.0, 3.0, 2.0, 1.0, 0.0]), None);
        let bulge = [5.0, 4.9, 4.8, 1.6, 0.3, 0.0];
        assert_eq!((knee(&x, &bulge), knee_below(&x, &bulge)), (Some(2), Some(4)));
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(quantile(&samples, 0.5), Some(3.0));
        assert_eq!(quantile(&samples, 1.0), Some(5.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
