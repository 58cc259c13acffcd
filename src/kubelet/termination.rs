//! How long a pod takes to stop (`pkg/kubelet/kuberuntime/kuberuntime_container.go: killContainer`).

use crate::api::pod::PodSpec;
use crate::time::Duration;

/// What is left at least after preStop (`minimumGracePeriodInSeconds`).
pub const MINIMUM_GRACE: Duration = Duration::from_secs(2);

/// When a container is asked to stop and when it is killed, from the moment kubelet sees the deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPlan {
    /// SIGTERM.
    pub term: Duration,
    /// SIGKILL, if it still runs.
    pub kill: Duration,
}

/// The plan for a grace period and a preStop hook of some length.
#[must_use]
pub fn stop_plan(grace: Duration, pre_stop: Option<Duration>) -> StopPlan {
    let hook = pre_stop.filter(|_| grace > Duration::ZERO).map_or(Duration::ZERO, |hook| hook.min(grace));
    let left = (grace - hook).max(MINIMUM_GRACE);
    StopPlan { term: hook, kill: hook + left }
}

/// When a container has ended that exits `exits_after` its SIGTERM (`None` = it ignores it).
#[must_use]
pub fn ended(plan: StopPlan, exits_after: Option<Duration>) -> Duration {
    exits_after.map_or(plan.kill, |after| (plan.term + after).min(plan.kill))
}

/// The longest preStop sleep of a pod's containers: they run side by side.
#[must_use]
pub fn pre_stop(spec: &PodSpec) -> Option<Duration> {
    let sleep = |container: &crate::api::pod::Container| {
        Some(container.lifecycle.as_ref()?.pre_stop.as_ref()?.sleep.as_ref()?.seconds.duration())
    };
    spec.containers.iter().filter_map(sleep).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_stop_eats_into_the_grace_period_but_leaves_two_seconds() {
        let s = Duration::from_secs;
        assert_eq!(stop_plan(s(30), Some(s(10))), StopPlan { term: s(10), kill: s(30) });
        assert_eq!(stop_plan(s(30), Some(s(40))), StopPlan { term: s(30), kill: s(32) });
        assert_eq!(stop_plan(s(1), None), StopPlan { term: s(0), kill: s(2) });
        assert_eq!(ended(stop_plan(s(30), Some(s(10))), Some(s(3))), s(13));
    }
}
