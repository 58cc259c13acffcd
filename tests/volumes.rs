//! Volumes of pods in small runs: pods wait for their attachment, and a node that goes for their detachment.

use forescale::telemetry::Outcome;

#[path = "support/small_cluster.rs"]
#[expect(dead_code, reason = "some helpers are not needed here")]
mod small_cluster;
use small_cluster::{class, deployment, nodes_of, pool, run_with};

const VOLUMES: &str =
    "volumes = [{ name = \"data\", ephemeral = { volumeClaimTemplate = {} } }, { name = \"cache\", emptyDir = {} }]\n";
const DELETE: &str = "[[changes]]\nat = \"5m\"\ndelete = [\"NodePool/workers\"]\n";
const LATENCIES: &[(&str, &str)] =
    &[("latencies.volumeAttach", "\"20s\""), ("latencies.volumeDetach", "\"90s\""), ("latencies.podCleanup", "\"1s\"")];

/// A node with a pod with these volumes; the pool with this template goes after five minutes.
fn deleted(volumes: &str, grace: &str) -> Outcome {
    let pool = pool("workers", &["m5.large"], &["on-demand"], "");
    let pool = pool.replacen("requirements = [", &format!("{grace}requirements = ["), 1);
    run_with("20m", &format!("{pool}{}{}{volumes}{DELETE}", class(""), deployment("web", 1, "500m")), LATENCIES)
}

/// From the first pod's binding to its start, and from its end to the end of the instance.
fn waits(outcome: &Outcome) -> (f64, f64) {
    let pod = &outcome.pods[0];
    let seconds = |time: Option<forescale::time::Time>| time.expect("an instant").as_secs_f64();
    let node = nodes_of(outcome, "workers")[0];
    (seconds(pod.started) - seconds(pod.scheduled), seconds(node.terminated) - seconds(pod.ended))
}

#[test]
fn a_pod_waits_for_its_volume_and_its_node_until_it_is_detached() {
    let (start, end) = waits(&deleted(VOLUMES, ""));
    let (plain_start, plain_end) = waits(&deleted("", ""));
    assert!((start - plain_start - 20.0).abs() < 0.001, "{start} {plain_start}");
    assert!(plain_end < 6.0, "{plain_end}");
    assert!((90.0..93.0).contains(&end), "looked at every second: {end}");
}

#[test]
fn termination_grace_period_bounds_the_wait() {
    let outcome = deleted(VOLUMES, "terminationGracePeriod = \"60s\"\n");
    let ends = nodes_of(&outcome, "workers")[0].terminated.expect("terminated").as_secs_f64();
    assert!((360.0..363.0).contains(&ends), "{ends}");
    let (_, end) = waits(&outcome);
    assert!(end < 60.0, "{end}");
}

#[test]
fn volumes_of_pods_that_stay_hold_no_node() {
    let tolerant = "tolerations = [{ operator = \"Exists\" }]\n";
    let outcome = deleted(&format!("{tolerant}{VOLUMES}"), "");
    let node = nodes_of(&outcome, "workers")[0];
    let seconds = |time: Option<forescale::time::Time>| time.expect("an instant").as_secs_f64();
    assert!(seconds(node.terminated) - seconds(node.draining) < 10.0, "it is not drained, nor its volume waited for");
}

/// Two volumes a pod, four a node. A new node is planned without the limit, so that all pods are meant for the first one; those
/// which kube-scheduler does not put there get another, and so on.
#[test]
fn a_node_takes_as_many_pods_as_its_driver_attaches_volumes() {
    let two = "volumes = [{ name = \"a\", ephemeral = { volumeClaimTemplate = {} } }, { name = \"b\", ephemeral = { volumeClaimTemplate = {} } }]\n";
    let pool = pool("workers", &["m5.xlarge"], &["on-demand"], "");
    let text = format!("{pool}{}{}{two}", class(""), deployment("web", 6, "100m"));
    let free = run_with("20m", &text, &[]);
    let limited = run_with("20m", &text, &[("cloud.volumeAttachLimit", "4")]);
    assert_eq!((nodes_of(&free, "workers").len(), nodes_of(&limited, "workers").len()), (1, 3));
    for node in 0..limited.nodes.len() {
        let on_it = limited.pods_of(None).filter(|pod| pod.node.is_some_and(|key| key.0 as usize == node));
        assert!(on_it.count() <= 2, "node {node}");
    }
    assert!(limited.pods_of(None).all(|pod| pod.ready.is_some()), "all run in the end");
    let held = limited.decisions.iter().filter(|decision| limited.detail(decision).contains("NodeVolumeLimits"));
    assert!(held.count() > 0);
}

/// The one node has no room for the volumes of a second pod until the first is gone: that wakes it.
#[test]
fn a_pod_waits_for_the_volumes_of_another() {
    let group =
        "[[nodeGroups]]\nname = \"fixed\"\ncount = 1\ncapacity = { cpu = \"8\", memory = \"16Gi\", pods = 50 }\n";
    let change = "[[changes]]\nat = \"5m\"\nscale = { first = 0 }\n[[changes]]\nat = \"1m\"\nscale = { second = 1 }\n";
    let (first, second) = (deployment("first", 1, "100m"), deployment("second", 0, "100m"));
    let text = format!("{group}{change}{first}{VOLUMES}{second}{VOLUMES}");
    let outcome = run_with("10m", &text, &[("cloud.volumeAttachLimit", "1")]);
    let [first, second] = &outcome.pods[..] else { panic!("{:?}", outcome.pods) };
    let seconds = |time: Option<forescale::time::Time>| time.expect("an instant").as_secs_f64();
    let (gone, bound) = (seconds(first.ended), seconds(second.scheduled));
    assert!(gone > 300.0 && (gone..gone + 2.0).contains(&bound), "gone at {gone}, bound at {bound}");
}
