//! Distributions of durations. Every draw is rounded to the microsecond at once, so that results do not hang on the last bits
//! of a floating-point library.

use std::sync::Arc;

use rand::Rng;
use rand_distr::{Distribution as _, Exp1, Gamma, LogNormal, StandardNormal, Weibull};

use super::stream::{Family, Stream, below, unit};
use crate::time::Duration;

/// Standard normal quantile at 0.99, which turns (p50, p99) into a lognormal's sigma.
const Z99: f64 = 2.326_347_874_040_841;

/// A distribution of durations, all in seconds. Draws below zero cannot occur.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential {
        /// Mean.
        mean: Duration,
    },
    /// Uniform between two bounds.
    Uniform {
        /// Lower bound.
        min: Duration,
        /// Upper bound.
        max: Duration,
    },
    /// Lognormal: `median · exp(sigma · N(0,1))`.
    Lognormal {
        /// Median (p50).
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Gamma with this mean and shape; shape 1 is exponential.
    Gamma {
        /// Mean.
        mean: Duration,
        /// Shape, > 0.
        shape: f64,
    },
    /// Weibull; shape 1 is exponential.
    Weibull {
        /// Scale (63.2 % quantile).
        scale: Duration,
        /// Shape, > 0.
        shape: f64,
    },
    /// One of the listed values, all equally likely.
    Empirical(Arc<[Duration]>),
    /// Sum of a fixed part and another distribution, cut at a maximum.
    Shifted {
        /// Added to each draw.
        offset: Duration,
        /// The random part.
        of: Box<Distribution>,
        /// Draws above are cut to this.
        max: Duration,
    },
}

impl Distribution {
    /// Lognormal from its median and 99th percentile (`p99 >= p50 > 0`).
    #[must_use]
    pub fn lognormal_p50_p99(p50: Duration, p99: Duration) -> Self {
        let sigma = (p99.as_secs_f64() / p50.as_secs_f64()).ln() / Z99;
        Distribution::Lognormal { median: p50, sigma }
    }

    /// One draw.
    #[inline(always)]
    pub fn sample(&self, stream: &mut Stream) -> Duration {
        // Much of what is drawn for each message is constant: that costs no call.
        if let Distribution::Constant(value) = self { *value } else { self.sample_random(stream) }
    }

    fn sample_random(&self, stream: &mut Stream) -> Duration {
        self.sample_by(stream.generator())
    }

    /// One draw from the stream of a member of a family, as [`Distribution::sample`] from [`Family::member`].
    #[inline(always)]
    pub fn sample_member(&self, family: &Family, number: u64) -> Duration {
        if let Distribution::Constant(value) = self { *value } else { self.sample_by(&mut family.opening(number)) }
    }

    #[inline(always)]
    fn sample_by(&self, generator: &mut impl Rng) -> Duration {
        let seconds = match self {
            Distribution::Constant(value) => return *value,
            Distribution::Exponential { mean } => {
                let exponential: f64 = Exp1.sample(generator);
                exponential * mean.as_secs_f64()
            }
            Distribution::Uniform { min, max } => min.as_secs_f64() + unit(generator) * (*max - *min).as_secs_f64(),
            Distribution::Lognormal { median, sigma } => {
                let normal: f64 = StandardNormal.sample(generator);
                median.as_secs_f64() * (sigma * normal).exp()
            }
            other => return other.sample_rarely(generator),
        };
        Duration::from_secs_f64(seconds)
    }

    fn sample_rarely(&self, generator: &mut impl Rng) -> Duration {
        let seconds = match self {
            Distribution::Gamma { mean, shape } => Gamma::new(*shape, mean.as_secs_f64() / shape)
                .map_or(mean.as_secs_f64(), |gamma| gamma.sample(generator)),
            Distribution::Weibull { scale, shape } => Weibull::new(scale.as_secs_f64(), *shape)
                .map_or(scale.as_secs_f64(), |weibull| weibull.sample(generator)),
            Distribution::Empirical(values) => {
                return if values.is_empty() { Duration::ZERO } else { values[below(generator, values.len())] };
            }
            Distribution::Shifted { offset, of, max } => return (*offset + of.sample_nested(generator)).min(*max),
            other => return other.sample_by(generator),
        };
        Duration::from_secs_f64(seconds)
    }

    fn sample_nested(&self, generator: &mut impl Rng) -> Duration {
        self.sample_by(generator)
    }

    /// Leaves the stream as one draw would, for callers to whom the value makes no difference.
    pub fn skip(&self, stream: &mut Stream) {
        match self {
            Distribution::Constant(_) => {}
            Distribution::Lognormal { .. } => _ = Distribution::standard_normal(stream),
            Distribution::Shifted { of, .. } => of.skip(stream),
            other => _ = other.sample(stream),
        }
    }

    /// The most that a draw can be; `Duration::MAX` = there is no bound.
    #[must_use]
    pub fn max(&self) -> Duration {
        match self {
            Distribution::Constant(value) | Distribution::Uniform { max: value, .. } => *value,
            Distribution::Empirical(values) => values.iter().copied().max().unwrap_or(Duration::ZERO),
            Distribution::Shifted { offset, of, max } => {
                if of.max() < Duration::MAX {
                    (*offset + of.max()).min(*max)
                } else {
                    *max
                }
            }
            _ => Duration::MAX,
        }
    }

    /// The mean. For a cut distribution the mean before the cut.
    #[must_use]
    pub fn mean(&self) -> Duration {
        match self {
            Distribution::Constant(value) => *value,
            Distribution::Exponential { mean } | Distribution::Gamma { mean, .. } => *mean,
            Distribution::Uniform { min, max } => (*min + *max) / 2,
            Distribution::Lognormal { median, sigma } => {
                Duration::from_secs_f64(median.as_secs_f64() * (sigma * sigma / 2.0).exp())
            }
            Distribution::Weibull { scale, shape } => {
                Duration::from_secs_f64(scale.as_secs_f64() * statrs::function::gamma::gamma(1.0 + 1.0 / shape))
            }
            Distribution::Empirical(values) => {
                values.iter().copied().sum::<Duration>() / i64::try_from(values.len().max(1)).unwrap_or(i64::MAX)
            }
            Distribution::Shifted { offset, of, .. } => *offset + of.mean(),
        }
    }

    /// The value that a share `q` (0 to 1) of the draws does not exceed; of listed values the one of rank `q · n`, rounded up.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        let q = q.clamp(0.0, 1.0);
        let exponential = -(1.0 - q).ln();
        let seconds = match self {
            Distribution::Constant(value) => return *value,
            Distribution::Exponential { mean } => mean.as_secs_f64() * exponential,
            Distribution::Uniform { min, max } => min.as_secs_f64() + (*max - *min).as_secs_f64() * q,
            Distribution::Lognormal { median, sigma } => {
                let normal = statrs::function::erf::erfc_inv(2.0 * (1.0 - q)) * std::f64::consts::SQRT_2;
                median.as_secs_f64() * (sigma * normal).exp()
            }
            Distribution::Gamma { mean, shape } => mean.as_secs_f64() / shape * gamma_quantile(*shape, q),
            Distribution::Weibull { scale, shape } => scale.as_secs_f64() * exponential.powf(1.0 / shape),
            Distribution::Empirical(values) => {
                let mut sorted = values.to_vec();
                sorted.sort_unstable();
                let rank = (q * sorted.len() as f64).ceil() as usize;
                return sorted.get(rank.saturating_sub(1)).copied().unwrap_or(Duration::ZERO);
            }
            Distribution::Shifted { offset, of, max } => return (*offset + of.quantile(q)).min(*max),
        };
        Duration::from_secs_f64(seconds)
    }

    /// Normal with mean 0 and standard deviation 1.
    #[inline]
    #[must_use]
    pub fn standard_normal(stream: &mut Stream) -> f64 {
        StandardNormal.sample(stream.generator())
    }

    /// Lognormal with a mean of its own, for callers that draw factors rather than durations.
    #[must_use]
    pub fn lognormal_factor(sigma: f64, stream: &mut Stream) -> f64 {
        LogNormal::new(0.0, sigma).map_or(1.0, |lognormal| lognormal.sample(stream.generator()))
    }
}

/// Quantile of the gamma distribution of scale 1, by bisection of its distribution function.
fn gamma_quantile(shape: f64, q: f64) -> f64 {
    let below = |x: f64| statrs::function::gamma::gamma_lr(shape, x) < q;
    let mut high = shape.max(1.0);
    while below(high) && high < 1e9 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if below(middle) { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;

    fn mean_of(distribution: &Distribution) -> f64 {
        let mut stream = Streams::new(7, 0).open("distribution", 0);
        let n = 200_000;
        (0..n).map(|_| distribution.sample(&mut stream).as_secs_f64()).sum::<f64>() / f64::from(n)
    }

    #[test]
    fn sample_means_agree_with_the_closed_forms() {
        let second = Duration::from_secs(1);
        for distribution in [
            Distribution::Exponential { mean: second },
            Distribution::Uniform { min: Duration::ZERO, max: second * 2 },
            Distribution::Lognormal { median: second, sigma: 0.5 },
            Distribution::Gamma { mean: second, shape: 2.5 },
            Distribution::Weibull { scale: second, shape: 1.5 },
        ] {
            let (sampled, exact) = (mean_of(&distribution), distribution.mean().as_secs_f64());
            assert!((sampled / exact - 1.0).abs() < 0.01, "{distribution:?}: {sampled} against {exact}");
        }
    }

    #[test]
    fn quantiles_split_the_draws() {
        let second = Duration::from_secs(1);
        let shifted = Distribution::Shifted {
            offset: second,
            of: Box::new(Distribution::Exponential { mean: second }),
            max: second * 9,
        };
        for distribution in [
            Distribution::Exponential { mean: second },
            Distribution::Uniform { min: second, max: second * 2 },
            Distribution::Lognormal { median: second, sigma: 0.5 },
            Distribution::Gamma { mean: second, shape: 0.7 },
            Distribution::Gamma { mean: second, shape: 4.0 },
            Distribution::Weibull { scale: second, shape: 1.5 },
            Distribution::Empirical((1..=1000).map(Duration::from_millis).collect::<Vec<_>>().into()),
            shifted,
        ] {
            let mut stream = Streams::new(7, 0).open("distribution", 0);
            for q in [0.5, 0.95, 0.99] {
                let limit = distribution.quantile(q);
                let below = (0..100_000).filter(|_| distribution.sample(&mut stream) <= limit).count();
                assert!((below as f64 / 1e5 - q).abs() < 0.006, "{distribution:?} {q}: {below}");
            }
        }
        let listed = Distribution::Empirical([3, 1, 2].map(Duration::from_secs).to_vec().into());
        assert_eq!(listed.quantile(0.99), Duration::from_secs(3));
        assert_eq!(Distribution::Constant(second).quantile(0.99), second);
    }

    #[test]
    fn a_skipped_draw_leaves_the_stream_as_a_draw_does_and_none_is_above_the_most() {
        let second = Duration::from_secs(1);
        let lognormal = Distribution::Lognormal { median: second, sigma: 0.5 };
        let shifted = |of| Distribution::Shifted { offset: second, of: Box::new(of), max: second * 3 };
        for (distribution, most) in [
            (Distribution::Constant(second), second),
            (Distribution::Exponential { mean: second }, Duration::MAX),
            (Distribution::Uniform { min: second, max: second * 2 }, second * 2),
            (lognormal.clone(), Duration::MAX),
            (Distribution::Gamma { mean: second, shape: 2.5 }, Duration::MAX),
            (Distribution::Weibull { scale: second, shape: 1.5 }, Duration::MAX),
            (Distribution::Empirical([3, 1, 2].map(Duration::from_secs).to_vec().into()), second * 3),
            (shifted(lognormal), second * 3),
            (shifted(Distribution::Constant(second)), second * 2),
        ] {
            assert_eq!(distribution.max(), most, "{distribution:?}");
            let mut drawn = Streams::new(7, 0).open("distribution", 0);
            let mut skipped = drawn.clone();
            for _ in 0..1000 {
                assert!(distribution.sample(&mut drawn) <= most, "{distribution:?}");
                distribution.skip(&mut skipped);
            }
            assert_eq!(drawn.bits(), skipped.bits(), "{distribution:?}");
        }
    }

    #[test]
    fn lognormal_meets_its_percentiles() {
        let distribution = Distribution::lognormal_p50_p99(Duration::from_millis(150), Duration::from_millis(900));
        let mut stream = Streams::new(7, 0).open("distribution", 0);
        let mut draws: Vec<Duration> = (0..100_000).map(|_| distribution.sample(&mut stream)).collect();
        draws.sort_unstable();
        let (p50, p99) = (draws[50_000].as_secs_f64(), draws[99_000].as_secs_f64());
        assert!((p50 - 0.150).abs() < 0.003, "{p50}");
        assert!((p99 - 0.900).abs() < 0.03, "{p99}");
    }
}
