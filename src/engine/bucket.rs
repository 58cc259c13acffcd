//! A token bucket: so many calls at once, so many a second after that.

use crate::time::{Duration, Time};

/// Grants calls at a rate after a burst (`golang.org/x/time/rate: Limiter.Reserve`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    per_second: i64,
    burst: i64,
    /// Millionths of a token; negative when calls are waiting.
    tokens: i64,
    filled: Time,
}

const MICRO: i64 = 1_000_000;

impl TokenBucket {
    /// A full bucket of `burst` tokens that fills at `per_second` (both > 0).
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> TokenBucket {
        let burst = burst as i64 * MICRO;
        TokenBucket { per_second: per_second as i64, burst, tokens: burst, filled: Time::ZERO }
    }

    /// Takes one token for a call made now; gives the instant at which the call may go.
    pub fn take(&mut self, now: Time) -> Time {
        self.fill(now);
        self.tokens -= MICRO;
        if self.tokens >= 0 {
            return self.filled;
        }
        let wait = (-self.tokens + self.per_second - 1) / self.per_second;
        self.filled + Duration::from_micros(wait)
    }

    /// Takes a token if one is there.
    pub fn try_take(&mut self, now: Time) -> bool {
        self.fill(now);
        let granted = self.tokens >= MICRO;
        if granted {
            self.tokens -= MICRO;
        }
        granted
    }

    fn fill(&mut self, now: Time) {
        let elapsed = now.since(self.filled).as_micros().max(0);
        self.tokens = self.tokens.saturating_add(elapsed.saturating_mul(self.per_second)).min(self.burst);
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_calls_go_at_the_rate() {
        let mut bucket = TokenBucket::new(20, 30);
        let start = Time::from_micros(5_000_000);
        let grants: Vec<i64> = (0..125).map(|_| bucket.take(start).since(start).as_micros()).collect();
        assert!(grants[..30].iter().all(|wait| *wait == 0));
        assert_eq!(grants[30], 50_000);
        assert_eq!(grants[124], 4_750_000);
        assert!(!bucket.try_take(start));
        assert!(bucket.try_take(start + Duration::from_secs(5)));
    }
}
