//! Passes that need no look: the last one found nothing to do, and nothing has changed since that could lead another to something.
//! This only saves work; what such a pass tells about nodes that are no candidates, it tells again.

use crate::time::Time;

use super::candidate::Rejection;
use super::model::{DoNotDisrupt, Method, Observed};
use super::state::ConsolidationState;

/// What a pass without result leaves.
#[derive(Clone, Debug)]
pub struct Unchanged {
    /// Version of the cluster that was looked at.
    version: u64,
    /// When something ends by the clock alone: a nomination.
    until: Time,
    /// Methods that had candidates.
    methods: Vec<Method>,
    /// Nodes that were no candidates, and why.
    pub rejections: Vec<(u32, Rejection)>,
}

impl Unchanged {
    /// After a pass over all methods that found nothing; `None` when the next must look again: drift looks in every pass, and a pod's
    /// `do-not-disrupt` for some time ends by itself.
    #[must_use]
    pub fn after(
        observed: &Observed<'_>,
        methods: Vec<Method>,
        rejections: &[(u32, Rejection)],
        version: u64,
        now: Time,
    ) -> Option<Self> {
        let timed = |node: &super::model::NodeView| {
            node.pods.iter().any(|pod| matches!(pod.do_not_disrupt, DoNotDisrupt::For(..)))
        };
        let drift = methods.iter().any(|method| matches!(method, Method::Drift | Method::StaticDrift));
        let in_command = rejections.iter().any(|(_, rejection)| *rejection == Rejection::InCommand);
        if drift || in_command || observed.nodes.iter().any(timed) {
            return None;
        }
        let nominations = observed.nodes.iter().filter_map(|node| node.nominated_until).filter(|until| now < *until);
        let until = nominations.min().unwrap_or(Time::MAX);
        Some(Unchanged { version, until, methods, rejections: rejections.to_vec() })
    }

    /// Whether a pass at `now` over a cluster of this version would find nothing either.
    #[must_use]
    pub fn holds(&self, version: u64, state: &mut ConsolidationState, now: Time) -> bool {
        self.version == version
            && now < self.until
            && self.methods.iter().all(|method| state.is_consolidated(*method, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::Catalogue;
    use crate::karpenter::disruption::model::{NodeView, PodView, PoolIndex, Rules};
    use crate::time::Duration;

    #[test]
    fn drift_running_commands_and_protections_that_end_by_the_clock_are_looked_at_in_every_pass() {
        let catalogue = Catalogue::default();
        let kept = |do_not_disrupt: DoNotDisrupt, methods: Vec<Method>, rejection: Rejection| {
            let mut node = NodeView::new(0, "n", PoolIndex(0));
            node.pods = vec![PodView { do_not_disrupt, ..PodView::default() }];
            let rules = Rules::of_minor(14, false);
            let observed = Observed { catalogue: &catalogue, pools: Vec::new(), nodes: vec![node], rules };
            Unchanged::after(&observed, methods, &[(0, rejection)], 1, Time::ZERO).is_some()
        };
        let (always, multi) = (DoNotDisrupt::Always, Method::MultiNodeConsolidation);
        assert!(kept(always, vec![multi], Rejection::NoNode));
        assert!(!kept(DoNotDisrupt::For(Duration::from_mins(1), None), vec![multi], Rejection::NoNode));
        assert!(!kept(always, vec![multi], Rejection::InCommand));
        assert!(!kept(always, vec![Method::Drift], Rejection::NoNode));
        assert!(!kept(always, vec![Method::StaticDrift], Rejection::NoNode));
    }

    #[test]
    fn what_was_found_holds_until_the_cluster_changes_or_a_nomination_ends() {
        let catalogue = Catalogue::default();
        let at = |second: i64| Time::ZERO + Duration::from_secs(second);
        let nominated = |until: i64, now: i64| {
            let mut node = NodeView::new(0, "n", PoolIndex(0));
            node.nominated_until = Some(at(until));
            let rules = Rules::of_minor(14, false);
            let observed = Observed { catalogue: &catalogue, pools: Vec::new(), nodes: vec![node], rules };
            Unchanged::after(&observed, Vec::new(), &[], 1, at(now)).expect("nothing to look at again")
        };
        let holds = |unchanged: &Unchanged, version: u64, now: i64| {
            unchanged.holds(version, &mut ConsolidationState::default(), at(now))
        };
        let until_30 = nominated(30, 10);
        assert!(holds(&until_30, 1, 29) && !holds(&until_30, 2, 29));
        assert!(!holds(&until_30, 1, 30) && !holds(&until_30, 1, 31));
        assert!(holds(&nominated(10, 10), 1, 1000), "it was over");
    }
}
