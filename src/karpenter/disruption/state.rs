//! The cluster's consolidation state: when something last changed that could make a move possible
//! (`pkg/controllers/state/cluster.go: ConsolidationState, MarkUnconsolidated`).

use crate::time::{Duration, Time};

use super::model::Method;

/// Age at which the state expires even if nothing changed.
pub const EXPIRY: Duration = Duration::from_mins(5);

/// The state `S` and what each method remembers of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsolidationState {
    changed_at: Option<Time>,
    remembered: [Option<Time>; Method::ALL.len()],
}

impl ConsolidationState {
    /// Something changed that may make a move possible: a pod bound or removed, a node or NodeClaim that appeared, was removed
    /// or became initialized, a mark for deletion that flipped, a NodePool's spec. A pod that ends or begins to terminate, a
    /// new pending pod, a price and the Consolidatable and Drifted conditions are no such changes.
    pub fn mark_unconsolidated(&mut self, now: Time) {
        self.changed_at = Some(now);
    }

    /// The state; reading one of 5 min or older renews it.
    pub fn read(&mut self, now: Time) -> Time {
        match self.changed_at {
            Some(at) if now.since(at) < EXPIRY => at,
            _ => {
                self.changed_at = Some(now);
                now
            }
        }
    }

    /// Whether the method has seen this state and found nothing to do (`IsConsolidated`).
    pub fn is_consolidated(&mut self, method: Method, now: Time) -> bool {
        let state = self.read(now);
        self.remembered[method.index()] == Some(state)
    }

    /// The method found nothing to do (`markConsolidated`). Remembers the state at the end of the evaluation, so a change that
    /// arrived during a long search is not looked at again before the next.
    pub fn mark_consolidated(&mut self, method: Method, now: Time) {
        self.remembered[method.index()] = Some(self.read(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    /// Vector 40: no change for 1 and 3 minutes is the same state, 5 minutes are a new one.
    #[test]
    fn state_expires_after_five_minutes() {
        let mut state = ConsolidationState::default();
        let first = state.read(at(0));
        assert_eq!(state.read(at(60)), first);
        assert_eq!(state.read(at(180)), first);
        assert_ne!(state.read(at(300)), first);
    }

    #[test]
    fn a_method_that_found_nothing_waits_for_a_change() {
        let mut state = ConsolidationState::default();
        let (multi, single) = (Method::MultiNodeConsolidation, Method::SingleNodeConsolidation);
        assert!(!state.is_consolidated(multi, at(1)));
        state.mark_consolidated(multi, at(1));
        assert!(state.is_consolidated(multi, at(11)));
        assert!(!state.is_consolidated(single, at(11)));
        state.mark_unconsolidated(at(12));
        assert!(!state.is_consolidated(multi, at(21)));
    }
}
