//! PodDisruptionBudgets and the eviction API (`pkg/controller/disruption`, `pkg/registry/core/pod/storage/eviction.go`).

use super::ids::PodId;
use super::pod::{EndReason, Owner, Phase};
use super::state::Cluster;
use crate::api::scalar::IntOrPercent;
use crate::api::workload::{PodDisruptionBudgetSpec, UnhealthyPodEvictionPolicy};
use crate::time::{Duration, Time};

/// Status of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetStatus {
    /// Matching pods that are ready and not terminating.
    pub current_healthy: i64,
    /// How many must stay.
    pub desired_healthy: i64,
    /// How many there should be.
    pub expected: i64,
    /// How many may go now.
    pub disruptions_allowed: i64,
}

/// Why an eviction is refused; the caller tries again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The budget of this index allows no disruption now (429).
    Budget(usize),
    /// More than one budget covers the pod (500).
    SeveralBudgets,
}

/// What the eviction API looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvictionView {
    /// Phase is Pending, Succeeded or Failed, or the pod terminates already: no budget counts.
    pub exempt: bool,
    /// Ready condition.
    pub ready: bool,
}

/// Arithmetic of a budget: `matching` pods, of which `healthy` are ready and not terminating, whose controllers want `scale` pods in all.
#[must_use]
pub fn status(spec: &PodDisruptionBudgetSpec, matching: i64, healthy: i64, scale: i64) -> BudgetStatus {
    let percent = |percent: i64| (scale * percent + 99) / 100;
    let (expected, desired_healthy) = match (spec.max_unavailable, spec.min_available) {
        (Some(IntOrPercent::Count(count)), _) => (scale, (scale - count).max(0)),
        (Some(IntOrPercent::Percent(share)), _) => (scale, (scale - percent(share)).max(0)),
        (None, Some(IntOrPercent::Count(count))) => (matching, count),
        (None, Some(IntOrPercent::Percent(share))) => (scale, percent(share)),
        (None, None) => (matching, 0),
    };
    // With nothing expected, or fewer healthy pods than desired, no disruption is allowed.
    let allowed = if expected <= 0 { 0 } else { (healthy - desired_healthy).max(0) };
    BudgetStatus { current_healthy: healthy, desired_healthy, expected, disruptions_allowed: allowed }
}

/// Whether the eviction API lets a pod go; `budgets` are those that cover it, by their index.
///
/// # Errors
/// The refusal.
pub fn may_evict(
    pod: EvictionView,
    budgets: &[(usize, UnhealthyPodEvictionPolicy, BudgetStatus)],
) -> Result<(), Refusal> {
    if pod.exempt {
        return Ok(());
    }
    match budgets {
        [] => Ok(()),
        [(index, policy, budget)] => {
            let enough = budget.desired_healthy > 0 && budget.current_healthy >= budget.desired_healthy;
            let free = !pod.ready && (enough || *policy == UnhealthyPodEvictionPolicy::AlwaysAllow);
            if free || budget.disruptions_allowed > 0 { Ok(()) } else { Err(Refusal::Budget(*index)) }
        }
        _ => Err(Refusal::SeveralBudgets),
    }
}

impl Cluster {
    /// Status of the budget of that index, from the pods as they are. An evicted pod is terminating at once, so that parallel
    /// evictions cannot overspend.
    #[must_use]
    pub fn budget_status(&self, budget: usize) -> BudgetStatus {
        let spec = &self.pdbs[budget].spec;
        let Some(selector) = &spec.selector else {
            return BudgetStatus::default();
        };
        let matches: Vec<bool> = self.shapes.iter().map(|shape| selector.matches(&shape.labels)).collect();
        let (mut matching, mut healthy, mut scale) = (0, 0, 0);
        let mut count = |id: &PodId| {
            let pod = &self.pods[id.index()];
            if matches[pod.shape.index()] {
                matching += 1;
                healthy += i64::from(pod.ready && !pod.terminating());
            }
        };
        for deployment in &self.deployments {
            deployment.pods.iter().for_each(&mut count);
            if deployment.applied.is_some() && matches[deployment.shape.index()] && !deployment.pods.is_empty() {
                scale += i64::from(deployment.replicas);
            }
        }
        for node in &self.live_nodes {
            let others = self.nodes[node.index()].pods.iter();
            others.filter(|id| !matches!(self.pods[id.index()].owner, Owner::Deployment(_))).for_each(&mut count);
        }
        status(spec, matching, healthy, scale)
    }

    /// The budgets that cover a pod.
    pub fn budgets_of(&self, pod: PodId) -> impl Iterator<Item = usize> + '_ {
        let labels = &self.shape_of(pod).labels;
        let covers = move |index: &usize| self.pdbs[*index].spec.selector.as_ref().is_some_and(|s| s.matches(labels));
        (0..self.pdbs.len()).filter(covers)
    }

    /// What the eviction API would answer.
    ///
    /// # Errors
    /// The refusal.
    pub fn eviction_allowed(&self, pod: PodId) -> Result<(), Refusal> {
        let record = &self.pods[pod.index()];
        let view = EvictionView { exempt: record.phase != Phase::Running || record.terminating(), ready: record.ready };
        let policy = |index: usize| self.pdbs[index].spec.unhealthy_pod_eviction_policy;
        let budgets: Vec<_> = self.budgets_of(pod).map(|i| (i, policy(i), self.budget_status(i))).collect();
        may_evict(view, &budgets)
    }

    /// Evicts a pod: deletes it with its own grace, at most `longest`, if its budget allows.
    ///
    /// # Errors
    /// The refusal.
    pub fn evict(&mut self, now: Time, pod: PodId, longest: Option<Duration>) -> Result<(), Refusal> {
        self.eviction_allowed(pod)?;
        let grace = self.shape_of(pod).grace;
        self.delete_pod(now, pod, longest.map_or(grace, |longest| grace.min(longest)), EndReason::Evicted);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(min: Option<IntOrPercent>, max: Option<IntOrPercent>) -> PodDisruptionBudgetSpec {
        PodDisruptionBudgetSpec { min_available: min, max_unavailable: max, ..crate::api::decode::defaults() }
    }

    #[test]
    fn percentages_round_up() {
        let quarter = spec(None, Some(IntOrPercent::Percent(25)));
        let of_ten = status(&quarter, 10, 10, 10);
        assert_eq!((of_ten.desired_healthy, of_ten.disruptions_allowed), (7, 3));
        assert_eq!(status(&quarter, 10, 7, 10).disruptions_allowed, 0);
        assert_eq!(status(&spec(Some(IntOrPercent::Percent(50)), None), 7, 7, 7).desired_healthy, 4);
    }

    #[test]
    fn an_unready_pod_may_go_while_enough_others_are_healthy() {
        let view = EvictionView { exempt: false, ready: false };
        let tight = BudgetStatus { current_healthy: 7, desired_healthy: 7, expected: 10, disruptions_allowed: 0 };
        let policy = UnhealthyPodEvictionPolicy::IfHealthyBudget;
        assert_eq!(may_evict(view, &[(0, policy, tight)]), Ok(()));
        let short = BudgetStatus { current_healthy: 6, ..tight };
        assert_eq!(may_evict(view, &[(0, policy, short)]), Err(Refusal::Budget(0)));
        assert_eq!(may_evict(view, &[(0, UnhealthyPodEvictionPolicy::AlwaysAllow, short)]), Ok(()));
        assert_eq!(may_evict(EvictionView { ready: true, ..view }, &[(0, policy, tight)]), Err(Refusal::Budget(0)));
        assert_eq!(may_evict(view, &[(0, policy, tight), (1, policy, tight)]), Err(Refusal::SeveralBudgets));
    }
}
