//! The decision to grow a group (`core/scaleup/orchestrator/orchestrator.go: ScaleUpOrchestrator.ScaleUp`): one group a scan.

use super::estimator::estimate;
use super::expander::{Choice, best};
use super::fit::{Need, Room};
use crate::engine::Stream;
use crate::scenario::node_groups::Expander;
use crate::time::Time;
use crate::units::Resources;

/// A group as a scale-up sees it.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// A node of it, empty but for its daemons.
    pub template: Room,
    /// Capacity of a node.
    pub capacity: Resources,
    /// Nodes asked for.
    pub target: u32,
    /// Most nodes.
    pub max: u32,
    /// It is left alone until then.
    pub backoff_until: Option<Time>,
    /// Its place for the expander `priority`.
    pub priority: Option<i64>,
}

/// Why a group is no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It is as large as it may be (`MaxLimitReachedReason`).
    MaxSize,
    /// Nodes that it was asked for did not come (`BackoffReason`).
    Backoff,
    /// None of the pods fits its nodes (`NotReadyReason`, failed predicates).
    NoFit,
}

impl Skip {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Skip::MaxSize => "max node group size reached",
            Skip::Backoff => "backoff after a failed scale-up",
            Skip::NoFit => "no pending pod fits its nodes",
        }
    }
}

/// What a scan decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScaleUp {
    /// The group that grows, by how many nodes for how many pods.
    pub grows: Option<Choice>,
    /// Why other groups are no choice, by their place.
    pub skipped: Vec<(usize, Skip)>,
}

/// Decides for pods that neither nodes nor nodes to come have room for.
pub fn decide(pending: &[Need], groups: &[GroupView], expander: Expander, now: Time, draw: &mut Stream) -> ScaleUp {
    let mut result = ScaleUp::default();
    if pending.is_empty() {
        return result;
    }
    let mut choices = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let skip = if group.backoff_until.is_some_and(|until| now < until) {
            Skip::Backoff
        } else if group.target >= group.max {
            Skip::MaxSize
        } else {
            let estimate = estimate(pending, &group.template, group.max - group.target);
            if estimate.nodes > 0 {
                choices.push(Choice { group: index, estimate, capacity: group.capacity, priority: group.priority });
                continue;
            }
            Skip::NoFit
        };
        result.skipped.push((index, skip));
    }
    result.grows = best(&choices, expander, draw);
    result
}

#[cfg(test)]
mod tests {
    use super::super::fit::tests::{need, room};
    use super::*;
    use crate::engine::Streams;

    fn group(milli: i64, target: u32, max: u32) -> GroupView {
        let template = room("t", milli, 100_000);
        GroupView { capacity: template.free, template, target, max, backoff_until: None, priority: None }
    }

    fn run(pods: u32, groups: &[GroupView], now: f64) -> ScaleUp {
        let pending: Vec<Need> = (0..pods).map(|pod| need(pod, 500, 512)).collect();
        let mut draw = Streams::new(1, 0).open("expander", 0);
        decide(&pending, groups, Expander::LeastWaste, Time::from_secs_f64(now), &mut draw)
    }

    #[test]
    fn a_group_grows_by_what_the_pods_need_up_to_its_max() {
        let grown = |target| run(20, &[group(3770, target, 5)], 0.0).grows.map(|choice| choice.estimate.nodes);
        assert_eq!(grown(1), Some(3));
        assert_eq!(grown(3), Some(2));
        assert_eq!(grown(5), None);
        assert_eq!(run(20, &[group(3770, 5, 5)], 0.0).skipped, [(0, Skip::MaxSize)]);
    }

    #[test]
    fn the_less_wasteful_group_grows_and_no_other() {
        // 4 pods: 2 of 2 cores used, or 2 of 8.
        let up = run(4, &[group(8000, 0, 9), group(2000, 0, 9)], 0.0);
        assert_eq!(up.grows.map(|choice| (choice.group, choice.estimate.nodes)), Some((1, 1)));
    }

    #[test]
    fn groups_in_backoff_and_groups_that_do_not_fit_are_left_out() {
        let mut resting = group(3770, 0, 9);
        resting.backoff_until = Some(Time::from_secs_f64(300.0));
        let groups = [resting, group(400, 0, 9)];
        assert_eq!(
            run(1, &groups, 299.0),
            ScaleUp { grows: None, skipped: vec![(0, Skip::Backoff), (1, Skip::NoFit)] }
        );
        assert_eq!(run(1, &groups, 300.0).grows.map(|choice| choice.group), Some(0));
    }

    #[test]
    fn nothing_pending_changes_nothing() {
        assert_eq!(run(0, &[group(3770, 0, 9)], 0.0), ScaleUp::default());
    }
}
