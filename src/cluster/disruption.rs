//! What Karpenter's disruption writes about NodeClaims.

use super::change::Change;
use super::ids::NodeClaimId;
use super::state::Cluster;
use crate::api::karpenter::DisruptionReason;
use crate::time::Time;

impl Cluster {
    /// Sets or clears condition Consolidatable.
    pub fn set_consolidatable(&mut self, id: NodeClaimId, holds: bool) {
        let claim = &mut self.nodeclaims[id.index()];
        if claim.consolidatable != holds {
            claim.consolidatable = holds;
            self.announce(Change::NodeClaimConsolidatable(id));
        }
    }

    /// Sets condition Drifted since a time, or clears it.
    pub fn set_drifted(&mut self, id: NodeClaimId, since: Option<Time>) {
        let claim = &mut self.nodeclaims[id.index()];
        if claim.drifted.is_some() != since.is_some() {
            claim.drifted = since;
            self.announce(Change::NodeClaimDrifted(id));
        }
    }

    /// Writes `status.lastPodEventTime`.
    pub fn note_pod_event(&mut self, id: NodeClaimId, at: Time) {
        self.nodeclaims[id.index()].last_pod_event = Some(at);
    }

    /// Marks a NodeClaim for deletion by a disruption command, or takes the mark back.
    pub fn mark_nodeclaim(&mut self, id: NodeClaimId, reason: Option<DisruptionReason>) {
        let claim = &mut self.nodeclaims[id.index()];
        if claim.marked != reason {
            claim.marked = reason;
            self.announce(Change::NodeClaimMarked(id));
        }
    }

    /// Keeps a NodeClaim's node from disruption until a time, as pods are planned onto it.
    pub fn nominate_nodeclaim(&mut self, id: NodeClaimId, until: Time) {
        let claim = &mut self.nodeclaims[id.index()];
        if claim.exists() {
            claim.nominated_until = Some(until);
        }
    }
}
