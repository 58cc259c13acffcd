//! Instants drawn before their messages are sent: many in one loop cost less than one at a time.

/// Most instants drawn at once.
const MOST: usize = 32;

/// Instants to come, in nanoseconds after the source's start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead {
    instants: [u64; MOST],
    taken: usize,
    drawn: usize,
}

impl Ahead {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.taken == self.drawn
    }

    /// The next of the instants drawn.
    #[inline]
    pub fn take(&mut self) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let next = self.instants[self.taken];
        self.taken += 1;
        Some(next)
    }

    /// Replaces the instants, all of which have been taken, by those that `draw` gives one by one until it gives none.
    #[inline]
    pub fn fill(&mut self, mut draw: impl FnMut() -> Option<u64>) {
        (self.taken, self.drawn) = (0, 0);
        for place in &mut self.instants {
            let Some(instant) = draw() else { break };
            *place = instant;
            self.drawn += 1;
        }
    }

    /// Replaces the instants, all of which have been taken, by one, or none.
    pub fn set(&mut self, instant: Option<u64>) {
        (self.taken, self.drawn) = (0, usize::from(instant.is_some()));
        self.instants[0] = instant.unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_comes_in_its_order_and_no_more() {
        let mut ahead = Ahead::default();
        let mut numbers = 0..40;
        let mut taken = Vec::new();
        while taken.len() < 40 {
            assert!(ahead.is_empty());
            ahead.fill(|| numbers.next());
            taken.extend(std::iter::from_fn(|| ahead.take()));
        }
        assert_eq!(taken, Vec::from_iter(0..40));
        ahead.fill(|| numbers.next());
        assert_eq!((ahead.is_empty(), ahead.take()), (true, None));
        ahead.set(Some(7));
        assert_eq!((ahead.take(), ahead.take()), (Some(7), None));
    }
}
