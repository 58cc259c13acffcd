//! What a scheduling pass tells about the pods without a node. Pods of the question beyond the real ones stand for none.

use std::collections::BTreeMap;

use super::scheduling::{ClaimError, NewClaim, Results, SchedulingError};
use super::state::StateNode;
use crate::cluster::outlook::{Coming, Outlook, Refusal};
use crate::cluster::{Cluster, NodePoolId, PodId, ShapeId};

/// What becomes of the pods that get no new NodeClaim, by template. Results count in pools, nodes and pods of the question.
#[must_use]
pub fn of_results(
    results: &Results,
    (pools, nodes): (&[NodePoolId], &[StateNode]),
    pods: &[PodId],
    cluster: &Cluster,
) -> BTreeMap<ShapeId, Outlook> {
    let mut outlooks: BTreeMap<ShapeId, Outlook> = BTreeMap::new();
    for (node, placed) in &results.existing {
        let Some(claim) = nodes[*node].claim else { continue };
        for shape in placed.iter().filter_map(|pod| shape_of(*pod, pods, cluster)) {
            outlooks.entry(shape).or_default().add_coming(Coming::NodeClaim(claim), 1);
        }
    }
    for (pod, error) in &results.errors {
        let Some(shape) = shape_of(*pod, pods, cluster) else { continue };
        if let Some(refusal) = refusal(error, &results.skipped_pools, shape, pools, cluster) {
            outlooks.entry(shape).or_default().add_refused(refusal, 1);
        }
    }
    outlooks
}

/// How many pods of each template a planned NodeClaim is for.
#[must_use]
pub fn templates(claim: &NewClaim, pods: &[PodId], cluster: &Cluster) -> BTreeMap<ShapeId, u32> {
    let mut counts = BTreeMap::new();
    for shape in claim.pods.iter().filter_map(|pod| shape_of(*pod, pods, cluster)) {
        *counts.entry(shape).or_default() += 1;
    }
    counts
}

fn shape_of(pod: usize, pods: &[PodId], cluster: &Cluster) -> Option<ShapeId> {
    pods.get(pod).map(|id| cluster.pods[id.index()].shape)
}

/// What keeps nodes from being made for a pod of the template; `None` = a later pass may place it. Pools whose taints the pod does
/// not tolerate could not help it whatever their limits.
fn refusal(
    error: &SchedulingError,
    skipped: &[usize],
    shape: ShapeId,
    pools: &[NodePoolId],
    cluster: &Cluster,
) -> Option<Refusal> {
    let spec = &cluster.shapes[shape.index()].spec;
    let reasons = match error {
        SchedulingError::NoClaimFits(reasons) => reasons.as_slice(),
        SchedulingError::AllPoolsFiltered => &[],
        SchedulingError::ReservedOffering => return None,
        SchedulingError::NoPools | SchedulingError::MinValuesAfterTruncation => return Some(Refusal::Unfit),
    };
    let pool = |index: usize| &cluster.nodepools[pools[index].index()].object.spec;
    let tolerated = |index| pool(index).template.spec.taints.iter().all(|taint| spec.tolerates(taint));
    let of_pool = |(index, reason): &(usize, ClaimError)| {
        let limited = pool(*index).limits.as_ref().is_some_and(|limits| !limits.is_empty());
        match reason {
            ClaimError::NodeLimit | ClaimError::Limits if tolerated(*index) => Refusal::PoolLimit,
            ClaimError::InstanceTypes { requirements_met: true, has_offering: false, .. } => Refusal::NoCapacity,
            // What is left of the limits admits types that are too small only.
            ClaimError::InstanceTypes { requirements_met: true, .. } if limited => Refusal::PoolLimit,
            _ => Refusal::Unfit,
        }
    };
    // A pool of which no type is left has no offering that Karpenter believes to be available.
    let of_skipped = |index: &usize| if tolerated(*index) { Refusal::NoCapacity } else { Refusal::Unfit };
    reasons.iter().map(of_pool).chain(skipped.iter().map(of_skipped)).min()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::pod::{Taint, TaintEffect};
    use crate::cluster::NodeClaimId;
    use crate::cluster::pod::Owner;
    use crate::engine::Streams;
    use crate::karpenter::small_cluster;
    use crate::time::Time;
    use crate::units::Resources;

    #[test]
    fn that_only_small_types_are_left_is_told_of_the_limits_where_there_are_some() {
        let told = |spec: &str| {
            let mut cluster = small_cluster::cluster(Streams::new(1, 0), spec, &["3"]);
            let pod = cluster.create_pod(Time::ZERO, ShapeId(0), Owner::None);
            let small = ClaimError::InstanceTypes { requirements_met: true, fits: false, has_offering: true };
            let errors = vec![(0, SchedulingError::NoClaimFits(vec![(0, small)]))];
            let results = Results { errors, ..Results::default() };
            of_results(&results, (&[NodePoolId(0)], &[]), &[pod], &cluster)[&ShapeId(0)].refused
        };
        let only = |refusal: Refusal| std::array::from_fn(|i| u32::from(i == refusal as usize));
        assert_eq!(told("limits = { cpu = \"2\" },"), only(Refusal::PoolLimit));
        assert_eq!(told("limits = {},"), only(Refusal::Unfit));
        assert_eq!(told(""), only(Refusal::Unfit));
    }

    /// What is told of a pod for an error of its only pool, which may have a taint.
    fn refused(error: SchedulingError, skipped: bool, taint: Option<TaintEffect>) -> [u32; Refusal::COUNT] {
        let mut cluster = small_cluster::cluster(Streams::new(1, 0), "limits = { cpu = \"2\" },", &["3"]);
        let taint = taint.map(|effect| Taint { key: "team".to_owned(), value: "a".to_owned(), effect });
        Arc::make_mut(&mut cluster.nodepools[0].object).spec.template.spec.taints = taint.into_iter().collect();
        let pod = cluster.create_pod(Time::ZERO, ShapeId(0), Owner::None);
        let skipped_pools = if skipped { vec![0] } else { Vec::new() };
        let results = Results { errors: vec![(0, error)], skipped_pools, ..Results::default() };
        let outlooks = of_results(&results, (&[NodePoolId(0)], &[]), &[pod], &cluster);
        outlooks.get(&ShapeId(0)).map_or([0; Refusal::COUNT], |outlook| outlook.refused)
    }

    #[test]
    fn limits_and_capacity_are_blamed_where_the_pod_tolerates_the_pool() {
        let only = |refusal: Refusal| std::array::from_fn(|i| u32::from(i == refusal as usize));
        let no_claim = |error: ClaimError| SchedulingError::NoClaimFits(vec![(0, error)]);
        for limit in [ClaimError::Limits, ClaimError::NodeLimit] {
            assert_eq!(refused(no_claim(limit.clone()), false, None), only(Refusal::PoolLimit));
            assert_eq!(refused(no_claim(limit), false, Some(TaintEffect::NoSchedule)), only(Refusal::Unfit));
        }
        let sold_out = ClaimError::InstanceTypes { requirements_met: true, fits: true, has_offering: false };
        assert_eq!(refused(no_claim(sold_out), false, None), only(Refusal::NoCapacity));
        let of_others = ClaimError::InstanceTypes { requirements_met: false, fits: true, has_offering: false };
        assert_eq!(refused(no_claim(of_others), false, None), only(Refusal::Unfit));
        let filtered = || SchedulingError::AllPoolsFiltered;
        assert_eq!(refused(filtered(), true, None), only(Refusal::NoCapacity));
        assert_eq!(refused(filtered(), true, Some(TaintEffect::NoExecute)), only(Refusal::Unfit));
        assert_eq!(refused(SchedulingError::NoPools, false, None), only(Refusal::Unfit));
        assert_eq!(refused(SchedulingError::ReservedOffering, false, None), [0; Refusal::COUNT], "a later pass may");
    }

    #[test]
    fn a_planned_claim_is_for_its_real_pods_by_template() {
        let mut cluster = small_cluster::cluster(Streams::new(1, 0), "", &["1", "2"]);
        let pods = [1, 0, 1].map(|shape| cluster.create_pod(Time::ZERO, ShapeId(shape), Owner::None));
        let claim = NewClaim {
            pool: 0,
            requirements: Arc::default(),
            options: Vec::new(),
            requests: Resources::ZERO,
            pods: vec![0, 1, 2, 3, 4],
            min_values_relaxed: false,
        };
        assert_eq!(templates(&claim, &pods, &cluster), [(ShapeId(0), 1), (ShapeId(1), 2)].into());
    }

    #[test]
    fn pods_that_existing_nodes_take_are_coming_there() {
        let mut cluster = small_cluster::cluster(Streams::new(1, 0), "", &["1"]);
        let pods = [(); 3].map(|()| cluster.create_pod(Time::ZERO, ShapeId(0), Owner::None));
        let [own, alien] = [Some(NodeClaimId(7)), None].map(|claim| StateNode { claim, node: None });
        let results = Results { existing: vec![(0, vec![2]), (1, vec![0, 1, 3])], ..Results::default() };
        let outlooks = of_results(&results, (&[], &[alien, own]), &pods, &cluster);
        assert_eq!(outlooks[&ShapeId(0)].coming, [(Coming::NodeClaim(NodeClaimId(7)), 2)].into());
    }
}
