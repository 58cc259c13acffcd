//! Which pods block, move or count (`pkg/utils/pod/scheduling.go`, `pkg/utils/pdb/pdb.go`).

use crate::time::Time;

use super::model::{DoNotDisrupt, Owner, PdbState, Phase, PodView};

impl PodView {
    /// Neither finished nor terminating (`IsActive`).
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.phase != Phase::Terminal && !self.terminating
    }

    /// Whether it must run elsewhere when its node goes (`IsReschedulable`): active, or terminating but owned by a
    /// StatefulSet; not owned by a DaemonSet or by the node. A pod that nothing owns counts.
    #[must_use]
    pub fn is_reschedulable(&self) -> bool {
        let comes_back = self.owner == Owner::StatefulSet && self.terminating && self.phase != Phase::Terminal;
        (self.is_active() || comes_back) && !matches!(self.owner, Owner::DaemonSet | Owner::Node)
    }

    /// Whether `karpenter.sh/do-not-disrupt` holds at `now` (`IsDoNotDisruptActive`).
    #[must_use]
    pub fn is_do_not_disrupt(&self, now: Time) -> bool {
        match self.do_not_disrupt {
            DoNotDisrupt::No => false,
            DoNotDisrupt::Always => true,
            DoNotDisrupt::For(_, None) => true,
            DoNotDisrupt::For(span, Some(start)) => now.since(start) < span,
        }
    }

    /// Whether the drain evicts it (`IsEvictable`).
    #[must_use]
    pub fn is_evictable(&self, now: Time) -> bool {
        self.is_active() && !self.tolerates_disrupted && self.owner != Owner::Node && !self.is_do_not_disrupt(now)
    }

    /// Whether a PodDisruptionBudget forbids its eviction now (`Limits.CanEvictPods`). Checked pod by pod: five pods under a
    /// budget that allows one are not blocked.
    #[must_use]
    pub fn is_pdb_blocked(&self, now: Time) -> bool {
        self.is_evictable(now)
            && match self.pdb {
                PdbState::None => false,
                PdbState::Several => true,
                PdbState::One { allowed, always_allow_unhealthy, .. } => {
                    allowed == 0 && !(always_allow_unhealthy && self.unready)
                }
            }
    }

    /// Whether simulations move it (`Limits.IsCurrentlyReschedulable`): reschedulable, not protected by its annotation, no
    /// budget that never allows anything.
    #[must_use]
    pub fn is_currently_reschedulable(&self, now: Time) -> bool {
        let fully_blocked = self.is_evictable(now)
            && match self.pdb {
                PdbState::None => false,
                PdbState::Several => true,
                PdbState::One { fully_blocking, .. } => fully_blocking,
            };
        self.is_reschedulable() && !self.is_do_not_disrupt(now) && !fully_blocked
    }

    /// `clamp(1 + deletionCost/2^27 + priority/2^25, -10, 10)` (`pkg/utils/disruption: EvictionCost`).
    #[must_use]
    pub fn eviction_cost(&self) -> f64 {
        let mut cost = 1.0;
        cost += f64::from(self.deletion_cost) / 2_f64.powi(27);
        cost += f64::from(self.priority) / 2_f64.powi(25);
        cost.clamp(-10.0, 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn low_priority_and_low_deletion_cost_make_a_pod_free_to_evict() {
        let pod = |deletion_cost, priority| PodView { deletion_cost, priority, ..PodView::default() };
        assert_eq!(pod(0, 0).eviction_cost(), 1.0);
        assert_eq!(pod(-134_217_728, 0).eviction_cost(), 0.0);
        assert_eq!(pod(0, -33_554_432).eviction_cost(), 0.0);
        assert!(pod(-134_217_727, 0).eviction_cost() > 0.0);
        assert_eq!(pod(i32::MAX, i32::MAX).eviction_cost(), 10.0);
        assert_eq!(pod(i32::MIN, i32::MIN).eviction_cost(), -10.0);
    }

    #[test]
    fn a_do_not_disrupt_duration_ends() {
        let pod = PodView {
            do_not_disrupt: DoNotDisrupt::For(Duration::from_secs(60), Some(Time::ZERO)),
            ..PodView::default()
        };
        assert!(pod.is_do_not_disrupt(Time::from_secs_f64(59.9)));
        assert!(!pod.is_do_not_disrupt(Time::from_secs_f64(60.0)));
    }

    #[test]
    fn terminating_pods_count_only_when_a_stateful_set_owns_them() {
        let pod = PodView { terminating: true, ..PodView::default() };
        assert!(!pod.is_reschedulable());
        assert!(PodView { owner: Owner::StatefulSet, ..pod }.is_reschedulable());
        assert!(!PodView { owner: Owner::DaemonSet, ..PodView::default() }.is_reschedulable());
    }

    #[test]
    fn an_unready_pod_may_pass_an_exhausted_budget() {
        let pdb = PdbState::One { allowed: 0, always_allow_unhealthy: true, fully_blocking: false };
        let pod = PodView { pdb, ..PodView::default() };
        assert!(pod.is_pdb_blocked(Time::ZERO));
        assert!(!PodView { unready: true, ..pod }.is_pdb_blocked(Time::ZERO));
        assert!(pod.is_currently_reschedulable(Time::ZERO));
    }

    #[test]
    fn a_drain_evicts_what_is_active_unprotected_and_not_the_nodes_own() {
        let evicted = |pod: PodView| pod.is_evictable(Time::ZERO);
        assert!(evicted(PodView::default()));
        assert!(!evicted(PodView { terminating: true, ..PodView::default() }));
        assert!(!evicted(PodView { tolerates_disrupted: true, ..PodView::default() }));
        assert!(!evicted(PodView { owner: Owner::Node, ..PodView::default() }));
        assert!(!evicted(PodView { do_not_disrupt: DoNotDisrupt::Always, ..PodView::default() }));
        assert!(!evicted(PodView { terminating: true, owner: Owner::Node, ..PodView::default() }));
    }
}
