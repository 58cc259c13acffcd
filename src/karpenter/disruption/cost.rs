//! What a node costs and what removing it disrupts (`pkg/controllers/disruption/types.go: NewCandidate`).

use crate::cluster::catalogue::Catalogue;
use crate::time::{Duration, Time};

use super::model::{NodeView, Owner, Phase, PodView};

/// What removing a node costs beside its pods (`PerNodeBaseDisruptionCost`).
pub const BASE_DISRUPTION_COST: f64 = 1.0;

/// `R(n)`: 1 plus the positive eviction costs of its reschedulable pods.
#[must_use]
pub fn rescheduling_cost(pods: &[PodView]) -> f64 {
    let mut cost = BASE_DISRUPTION_COST;
    for pod in pods.iter().filter(|pod| pod.is_reschedulable()) {
        cost += pod.eviction_cost().max(0.0);
    }
    cost
}

/// The same for a node that is no candidate: all pods that no DaemonSet owns count until they have ended or are gone
/// (`state/statenode.go: updateForPod`).
#[must_use]
pub fn rescheduling_cost_of_non_candidate(pods: &[PodView]) -> f64 {
    let mut cost = BASE_DISRUPTION_COST;
    for pod in pods.iter().filter(|pod| pod.owner != Owner::DaemonSet && pod.phase != Phase::Terminal) {
        cost += pod.eviction_cost().max(0.0);
    }
    cost
}

/// The order before 1.14: eviction costs of all pods, those of DaemonSets and ended ones included, scaled by the share of the node's life that is left
/// (`pkg/utils/disruption: ReschedulingCost, LifetimeRemaining`).
#[must_use]
pub fn lifetime_weighted_cost(node: &NodeView, expire_after: Option<Duration>, now: Time) -> f64 {
    let pods: f64 = node.pods.iter().map(PodView::eviction_cost).sum();
    pods * lifetime_remaining(now.since(node.created_at), expire_after)
}

/// The share of a node's life that is left at an age (`LifetimeRemaining`).
#[must_use]
pub fn lifetime_remaining(age: Duration, expire_after: Option<Duration>) -> f64 {
    match expire_after {
        None => 1.0,
        Some(total) if total <= Duration::ZERO => 0.0,
        Some(total) => ((total.as_secs_f64() - age.as_secs_f64()) / total.as_secs_f64()).clamp(0.0, 1.0),
    }
}

/// `P(n)`: price of the node's type in its zone and capacity type, available or not; 0 if unknown (`resolveNodePrice`).
#[must_use]
pub fn node_price(node: &NodeView, catalogue: &Catalogue) -> f64 {
    let (Some(instance_type), Some(zone), Some(capacity_type)) = (node.instance_type, node.zone, node.capacity_type)
    else {
        return 0.0;
    };
    let offerings = &catalogue.get(instance_type).offerings;
    let prices = offerings.iter().filter(|o| o.zone == zone && o.capacity_type == capacity_type).map(|o| o.price);
    let cheapest = prices.fold(f64::INFINITY, f64::min);
    if cheapest.is_finite() { cheapest } else { 0.0 }
}
