//! Whether NodeClaims of a NodePool become nodes: condition `NodeRegistrationHealthy` (`pkg/state/nodepoolhealth/tracker.go`). It is told
//! to people; no controller reads it.

use std::collections::{BTreeMap, VecDeque};

use crate::cluster::NodePoolId;

/// Outcomes that are remembered (`BufferSize`).
const BUFFER_SIZE: usize = 4;
/// Failures among them from which on the condition is False (`ThresholdFalse` of the buffer).
const THRESHOLD: usize = 2;

/// The last outcomes of each NodePool, and whether the condition is False.
#[derive(Debug, Default)]
pub struct RegistrationHealth {
    pools: BTreeMap<NodePoolId, (VecDeque<bool>, bool)>,
}

impl RegistrationHealth {
    /// Takes an outcome: a Node was registered, or a NodeClaim timed out. Gives the failures remembered when the condition
    /// becomes False, or True after it was False.
    pub fn update(&mut self, pool: NodePoolId, registered: bool) -> Option<usize> {
        let (outcomes, unhealthy) = self.pools.entry(pool).or_default();
        if outcomes.len() == BUFFER_SIZE {
            outcomes.pop_front();
        }
        outcomes.push_back(registered);
        let failures = outcomes.iter().filter(|registered| !**registered).count();
        // A failure only sets False, a success only True (`liveness.go`, `registration.go`).
        let changes = (failures >= THRESHOLD) != *unhealthy && registered == *unhealthy;
        *unhealthy ^= changes;
        changes.then_some(failures)
    }

    /// The NodePool is another now: nothing is known of it.
    pub fn reset(&mut self, pool: NodePoolId) {
        self.pools.remove(&pool);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_failures_of_the_last_four_make_it_unhealthy() {
        let pool = NodePoolId(0);
        let mut health = RegistrationHealth::default();
        let mut changes = |outcomes: &[bool]| -> Vec<Option<usize>> {
            outcomes.iter().map(|registered| health.update(pool, *registered)).collect()
        };
        assert_eq!(changes(&[true, false, true, true]), [None; 4]);
        // The failure leaves the four before the next comes.
        assert_eq!(changes(&[true, false]), [None; 2]);
        assert_eq!(changes(&[false]), [Some(2)]);
        assert_eq!(changes(&[false, true, true]), [None, None, None]);
        assert_eq!(changes(&[true, true]), [Some(1), None], "told once that it is healthy again");
        health.reset(pool);
        assert_eq!([health.update(pool, false), health.update(pool, false)], [None, Some(2)]);
    }
}
