//! Figures of single passes: provisioning, placement, disruption.

use std::sync::Arc;

use forescale::cluster::catalogue::Catalogue;
use forescale::karpenter::scheduling::{Input, solve};
use serde_json::json;

use super::case::Case;
use super::placement::Placement;
use super::provisioning::{ties, whole_catalogue, with_pending};
use super::{Figures, Goal, fastest, once, plain_scheduler};

pub fn print(figures: &Figures) {
    let catalogue = Arc::new(whole_catalogue());
    for (shapes, goal) in [(1, 50.0), (100, 500.0)] {
        figures.print(&format!("provisioning_10000_pods_{shapes}_shapes"), "ms", Goal::AtMost(goal), || {
            provision(&catalogue, 10_000, shapes)
        });
    }
    for shapes in [1, 100] {
        let name = format!("provisioning_plain_over_production_{shapes}_shapes");
        figures.print(&name, "ratio", Goal::AtLeast(10.0), || plain_over_production(&catalogue, 300, shapes));
    }
    figures.print("scheduler_7064_pods_1200_nodes", "ms", Goal::AtMost(50.0), || place(7064, 1200));
    figures.print("disruption_pass_500_nodes_5000_pods", "ms", Goal::AtMost(100.0), || disrupt(500));
}

/// Milliseconds of one scheduling pass of Karpenter's that knows nothing of former ones.
pub fn provision(catalogue: &Arc<Catalogue>, pods: usize, shapes: usize) -> f64 {
    let pass = |input: &Input<'_>| 1e3 * fastest(3, || assert!(!solve(input, &mut ties()).claims.is_empty()));
    with_pending(catalogue, pods, shapes, pass)
}

/// Passes of the production solver that are measured together: one is too short for the clock.
const REPEATED: u32 = 50;

/// Time of the plain solver of the tests over that of the production one, on one question, one right after the other.
fn plain_over_production(catalogue: &Arc<Catalogue>, pods: usize, shapes: usize) -> f64 {
    with_pending(catalogue, pods, shapes, |input| {
        let claims = solve(input, &mut ties()).claims.len();
        let production = fastest(3, || {
            (0..REPEATED).for_each(|_| assert_eq!(solve(input, &mut ties()).claims.len(), claims));
        }) / f64::from(REPEATED);
        let plain = fastest(1, || assert_eq!(plain_scheduler::solve(input, 1).claims.len(), claims));
        plain / production
    })
}

/// Pods times nodes that are placed together: fewer are too short for the clock.
const PLACED_TOGETHER: usize = 4_000_000;

/// Milliseconds in which kube-scheduler's rules place pods of 200 sizes.
pub fn place(pods: u32, nodes: usize) -> f64 {
    let count = (PLACED_TOGETHER / (pods as usize * nodes)).max(1);
    let one = || {
        let mut placements: Vec<Placement> = (0..count).map(|_| Placement::new(pods, nodes, false)).collect();
        1e3 * once(|| placements.iter_mut().for_each(|placement| assert!(placement.place() > 0))) / count as f64
    };
    std::iter::repeat_with(one).take(3).fold(f64::INFINITY, f64::min)
}

/// Milliseconds of one disruption pass over full nodes with ten pods each, of 20 shapes: every search is made and finds nothing.
fn disrupt(nodes: usize) -> f64 {
    let of_node = |node: usize| {
        let pod = |i: usize| {
            let shape = (node + i) % 20;
            json!({ "cpu": format!("{}m", 3000 + 5 * shape), "memory": format!("{}Mi", 10_000 + shape) })
        };
        json!({
            "name": format!("node-{node}"),
            "type": "32-cpu-128-mem-amd64-linux-test-zone-1-on-demand",
            "pods": (0..10).map(pod).collect::<Vec<_>>(),
        })
    };
    let on_demand = json!([{ "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"] }]);
    let cluster = json!({
        "catalogue": "assorted",
        "pools": [{ "name": "workers", "spec": { "template": { "spec": { "requirements": on_demand } } } }],
        "nodes": (0..nodes).map(of_node).collect::<Vec<_>>(),
    });
    let mut milliseconds = f64::INFINITY;
    for _ in 0..2 {
        let mut case = Case::read(&cluster);
        milliseconds = milliseconds.min(1e3 * once(|| case.pass(&[])));
        assert!(case.started.is_empty(), "nodes that are full are removed: {:?}", case.started);
    }
    milliseconds
}
