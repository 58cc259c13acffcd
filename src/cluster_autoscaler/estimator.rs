//! How many nodes of a group the pending pods need (`estimator/binpacking_estimator.go: BinpackingNodeEstimator.Estimate`):
//! first fit, large pods first, on nodes like the group's template.

use super::fit::{Need, Room};
use crate::units::{Resource, Resources};

/// Most nodes of one estimate (`--max-nodes-per-scaleup`).
pub const MAX_NODES_PER_SCALE_UP: u32 = 1000;

/// Nodes that would be added, and what they would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Nodes.
    pub nodes: u32,
    /// Pods that find room on them.
    pub pods: usize,
    /// What these pods request.
    pub requests: Resources,
}

/// Packs the pods on at most `limit` nodes like the template.
#[must_use]
pub fn estimate(pods: &[Need], template: &Room, limit: u32) -> Estimate {
    let limit = limit.min(MAX_NODES_PER_SCALE_UP);
    let mut sorted: Vec<&Need> = pods.iter().filter(|need| template.takes(need)).collect();
    sorted.sort_by(|a, b| size(b, template).total_cmp(&size(a, template)));
    let mut nodes: Vec<Room> = Vec::new();
    let mut result = Estimate::default();
    let mut first_open = 0;
    let mut shape = None;
    for need in sorted {
        // Pods of one template fill the nodes in turn: a node without room for one has none for the next.
        if shape != Some(need.shape) {
            (shape, first_open) = (Some(need.shape), 0);
        }
        while first_open < nodes.len() && !nodes[first_open].takes(need) {
            first_open += 1;
        }
        if first_open == nodes.len() {
            if nodes.len() as u32 >= limit {
                continue;
            }
            nodes.push(template.clone());
        }
        nodes[first_open].free -= need.requests;
        result.pods += 1;
        result.requests += need.requests;
    }
    result.nodes = nodes.len() as u32;
    result
}

/// Shares of a node's CPU and memory, added up (`decreasing_pod_orderer.go: calculatePodScore`).
fn size(need: &Need, template: &Room) -> f64 {
    let share = |resource: Resource| match template.free.get(resource) {
        0 => 0.0,
        whole => need.requests.get(resource) as f64 / whole as f64,
    };
    share(Resource::Cpu) + share(Resource::Memory)
}

#[cfg(test)]
mod tests {
    use super::super::fit::tests::{need, room};
    use super::*;

    #[test]
    fn seven_pods_of_half_a_core_fill_a_node_of_3_77_cores() {
        let pods: Vec<Need> = (0..15).map(|pod| need(pod, 500, 512)).collect();
        let found = estimate(&pods, &room("t", 3770, 14_000), 30);
        assert_eq!((found.nodes, found.pods), (3, 15));
        assert_eq!(found.requests.cpu().milli(), 7500);
    }

    #[test]
    fn large_pods_come_first_and_small_ones_fill_the_gaps() {
        // In the given order first fit would need three nodes.
        let pods = [need(0, 300, 0), need(1, 300, 0), need(2, 700, 0), need(3, 700, 0)];
        assert_eq!(estimate(&pods, &room("t", 1000, 100), 30).nodes, 2);
    }

    #[test]
    fn the_limit_leaves_pods_out() {
        let pods: Vec<Need> = (0..15).map(|pod| need(pod, 500, 512)).collect();
        let found = estimate(&pods, &room("t", 3770, 14_000), 1);
        assert_eq!((found.nodes, found.pods), (1, 7));
    }

    #[test]
    fn pods_that_fit_no_empty_node_add_none() {
        assert_eq!(estimate(&[need(0, 5000, 0)], &room("t", 3770, 14_000), 30), Estimate::default());
    }
}
