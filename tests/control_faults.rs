//! Faults of what runs the cluster: the API server, kubelets, Karpenter, Cluster Autoscaler.

use forescale::telemetry::{Outcome, PodRecord};
use forescale::time::Time;

#[path = "support/small_cluster.rs"]
mod small_cluster;
use small_cluster::{class, deployment, nodes_of, pool, run, running_at};

fn fault(kind: &str, at: &str, lasts: &str) -> String {
    format!("[[faults]]\nat = \"{at}\"\nkind = \"{kind}\"\nduration = \"{lasts}\"\n")
}

/// Nodes for one pod each, one at first and three from the sixth minute on.
fn growing(more: &str) -> Outcome {
    let pools = pool("workers", &["m5.large"], &["on-demand"], "disruption = { consolidateAfter = \"Never\" }");
    let change = "[[changes]]\nat = \"6m\"\nscale = { web = 3 }\n";
    run(&format!("{pools}{}{}{change}{more}", class(""), deployment("web", 1, "1500m")))
}

/// When the pods were created that came after the first five minutes, and when their nodes were asked for.
fn later(outcome: &Outcome) -> (Vec<f64>, Vec<f64>) {
    let after = |times: Vec<f64>| times.into_iter().filter(|at| *at > 300.0).collect();
    let pods = after(outcome.pods.iter().map(|pod| pod.created.as_secs_f64()).collect());
    (pods, after(nodes_of(outcome, "workers").iter().map(|node| node.claimed.as_secs_f64()).collect()))
}

fn all_within(times: &[f64], from: f64, to: f64) -> bool {
    times.len() == 2 && times.iter().all(|at| (from..to).contains(at))
}

#[test]
fn nothing_is_launched_while_karpenter_is_down_and_all_at_once_when_it_is_back() {
    let (pods, nodes) = later(&growing(""));
    assert!(all_within(&pods, 360.0, 361.0) && all_within(&nodes, 360.0, 375.0), "{pods:?} {nodes:?}");
    let (pods, nodes) = later(&growing(&fault("karpenterDown", "5m", "10m")));
    assert!(all_within(&pods, 360.0, 361.0) && all_within(&nodes, 900.0, 915.0), "{pods:?} {nodes:?}");
}

/// The change waits for the API server; Karpenter, which crashed meanwhile, is back with its container's backoff: 310 s + 10 s after
/// the API server went away at 300 s.
#[test]
fn an_outage_of_the_api_server_holds_everybody_and_pods_of_controllers_come_back_late() {
    let (pods, nodes) = later(&growing(&fault("apiServerDown", "5m", "4m")));
    assert!(all_within(&pods, 540.0, 541.0) && all_within(&nodes, 620.0, 640.0), "{pods:?} {nodes:?}");
    // Too short to cost anybody its leadership.
    let (pods, nodes) = later(&growing(&fault("apiServerDown", "355s", "10s")));
    assert!(all_within(&pods, 365.0, 366.0) && all_within(&nodes, 365.0, 380.0), "{pods:?} {nodes:?}");
}

/// Pods that run go on, and their nodes are not taken for lost: the monitor starts anew like everybody.
#[test]
fn an_outage_of_the_api_server_costs_no_node_and_no_message() {
    let queue = "[[queues]]\nname = \"jobs\"\nbacklog = 2000\n[[consumers]]\ndeployment = \"web\"\nqueue = \"jobs\"\nprocessing = \"1s\"\nwaitTime = \"0s\"\n";
    let done = |more: &str| {
        let outcome = growing(&format!("{queue}{more}"));
        let processed = &outcome.queues[0].processed;
        let during = processed.at(Time::from_secs_f64(590.0)) - processed.at(Time::from_secs_f64(310.0));
        assert!(outcome.nodes.iter().all(|node| node.reason.is_empty()), "no node goes");
        assert!(outcome.pods.iter().all(|pod| pod.ended.is_none()));
        during
    };
    let outage = fault("apiServerDown", "5m", "5m");
    // One pod at a message a second.
    assert!((275..=285).contains(&done(&outage)), "{}", done(&outage));
    assert!(done("") > 400, "the other pods join");
}

#[test]
fn a_kubelet_that_is_away_for_a_while_costs_readiness_and_one_that_stays_away_its_pods() {
    let outcome = |lasts: &str| growing(&fault("kubeletDown", "10m", lasts));
    let not_ready = |outcome: &Outcome, second: f64| {
        let now = Time::from_secs_f64(second);
        let is_ready = |pod: &&PodRecord| {
            let lapses = pod.unready.iter().any(|(from, until)| *from <= now && now < *until);
            pod.ready.is_some_and(|ready| ready <= now) && pod.ended.is_none_or(|end| now < end) && !lapses
        };
        3 - outcome.pods.iter().filter(is_ready).count() as i64
    };
    // Silent for less than the monitor's grace: nobody notices.
    let short = outcome("30s");
    assert!((601..700).all(|second| not_ready(&short, f64::from(second)) == 0));
    // Not ready from 40 to 60 s on, and back with the kubelet; the pods tolerate five minutes.
    let longer = outcome("3m");
    assert_eq!([630.0, 670.0, 775.0, 782.0].map(|at| not_ready(&longer, at)), [0, 3, 3, 0]);
    assert_eq!((longer.pods.len(), longer.pods.iter().filter(|pod| pod.ended.is_some()).count()), (3, 0));
    // One of three, so that evictions go on: deleted after 5 min and replaced elsewhere; its kubelet sees that when it is back.
    let long = growing(&format!("{}share = 0.34\n", fault("kubeletDown", "10m", "15m")));
    let ends: Vec<f64> = long.pods.iter().filter_map(|pod| pod.ended).map(|at| at.as_secs_f64()).collect();
    assert!(ends.len() == 1 && (1500.0..1540.0).contains(&ends[0]), "{ends:?}");
    let replaced = long.pods.last().expect("a pod").created.as_secs_f64();
    assert!((940.0..965.0).contains(&replaced), "{replaced}");
    assert_eq!(not_ready(&long, 1200.0), 0, "the replacement runs");
    assert_eq!(running_at(&nodes_of(&long, "workers"), 1200.0), 4);
}

#[test]
fn pods_that_come_to_a_node_without_kubelet_start_when_it_is_back() {
    let pools = pool("workers", &["m5.4xlarge"], &["on-demand"], "disruption = { consolidateAfter = \"Never\" }");
    let change = "[[changes]]\nat = \"10m\"\nscale = { web = 3 }\n";
    let down = fault("kubeletDown", "595s", "30s");
    let outcome = run(&format!("{pools}{}{}{change}{down}", class(""), deployment("web", 1, "1500m")));
    let ready: Vec<f64> = outcome.pods.iter().map(|pod| pod.ready.expect("ready").as_secs_f64()).collect();
    assert!(ready[0] < 300.0 && ready[1..].iter().all(|at| (625.0..640.0).contains(at)), "{ready:?}");
}

/// The ten minutes for which a node must not be needed count from the restart.
#[test]
fn cluster_autoscaler_forgets_with_a_restart_for_how_long_nodes_were_not_needed() {
    let group = "[[nodeGroups]]\nname = \"group\"\ninstanceType = \"m5.large\"\ncount = 3\nmin = 0\nmax = 3\n";
    let down = |more: &str| {
        let outcome = run(&format!("{group}{}{more}", deployment("web", 1, "500m")));
        let ends: Vec<f64> =
            outcome.nodes.iter().filter_map(|node| node.terminated).map(|at| at.as_secs_f64()).collect();
        (ends.len(), ends.into_iter().fold(f64::INFINITY, f64::min))
    };
    let (count, first) = down("");
    assert!(count == 2 && (600.0..660.0).contains(&first), "{count} {first}");
    let (count, first) = down(&fault("clusterAutoscalerDown", "5m", "1m"));
    assert!(count == 2 && (960.0..1020.0).contains(&first), "{count} {first}");
}
