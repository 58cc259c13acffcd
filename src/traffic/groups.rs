//! Which message group a message belongs to.

use crate::engine::Stream;

/// A random choice among message groups.
#[derive(Clone, Debug)]
pub(crate) enum Groups {
    /// No group id.
    None,
    /// Always the same.
    One(u32),
    /// All equally likely.
    Uniform { first: u32, count: u32 },
    /// By cumulated shares.
    Skewed { first: u32, cumulated: Vec<f64> },
}

impl Groups {
    /// `count` groups from `first` on, with shares proportional to 1/k^skew.
    pub fn new(first: u32, count: u32, skew: f64) -> Self {
        match count {
            0 => Groups::None,
            1 => Groups::One(first),
            _ if skew == 0.0 => Groups::Uniform { first, count },
            _ => {
                let mut sum = 0.0;
                let shares = (1..=count).map(|k| {
                    sum += f64::from(k).powf(-skew);
                    sum
                });
                let mut cumulated: Vec<f64> = shares.collect();
                cumulated.iter_mut().for_each(|share| *share /= sum);
                Groups::Skewed { first, cumulated }
            }
        }
    }

    #[inline]
    pub fn draw(&self, stream: &mut Stream) -> Option<u32> {
        match self {
            Groups::None => None,
            Groups::One(group) => Some(*group),
            Groups::Uniform { first, count } => Some(first + stream.below(*count as usize) as u32),
            Groups::Skewed { first, cumulated } => {
                let at = stream.unit();
                let place = cumulated.partition_point(|share| *share <= at).min(cumulated.len() - 1);
                Some(first + place as u32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;

    #[test]
    fn skewed_groups_have_zipf_shares() {
        // Two groups with skew 1: shares 1/(1 + 1/2) = 2/3 and 1/3.
        let groups = Groups::new(5, 2, 1.0);
        let mut stream = Streams::new(1, 0).open("groups", 0);
        let first = (0..30_000).filter(|_| groups.draw(&mut stream) == Some(5)).count();
        assert!(first.abs_diff(20_000) < 300, "{first}");
    }
}
