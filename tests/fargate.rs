//! Fargate in small runs: which pods it takes, how large and dear their machines are, and when they go.

use forescale::telemetry::{NodeRecord, Outcome, PodRecord};

#[path = "support/small_cluster.rs"]
#[expect(dead_code, reason = "some helpers are not needed here")]
mod small_cluster;
use small_cluster::{class, deployment, nodes_of, pool, run_with};

const STEADY: &[(&str, &str)] = &[("latencies.fargateStart", "\"50s\""), ("cloud.eksAddOns", "true")];
const PROFILE: &str = "[[fargateProfiles]]\nname = \"system\"\nselectors = [{ namespace = \"karpenter\" }]\n";

/// A Deployment of that namespace.
fn system(name: &str, namespace: &str, replicas: u32, cpu: &str) -> String {
    let metadata = format!("metadata = {{ name = \"{name}\" }}\n[deployments.spec]");
    let with = format!("metadata = {{ name = \"{name}\", namespace = \"{namespace}\" }}\n[deployments.spec]");
    deployment(name, replicas, cpu).replacen(&metadata, &with, 1)
}

fn workers() -> String {
    format!("{}{}{}", pool("workers", &["m5.large"], &["on-demand"], ""), class(""), deployment("web", 1, "500m"))
}

fn pods<'o>(outcome: &'o Outcome, name: &str) -> Vec<&'o PodRecord> {
    outcome.pods.iter().filter(|pod| outcome.pod_name(pod).starts_with(name)).collect()
}

fn machines(outcome: &Outcome) -> Vec<&NodeRecord> {
    outcome.nodes.iter().filter(|node| node.info.instance_type.starts_with("fargate-")).collect()
}

#[test]
fn selected_pods_get_a_machine_each_and_the_others_do_not() {
    let text = format!("{PROFILE}{}{}", workers(), system("karpenter", "karpenter", 2, "1"));
    let outcome = run_with("30m", &text, STEADY);
    let found = machines(&outcome);
    assert_eq!(found.len(), 2);
    for (node, pod) in found.iter().zip(pods(&outcome, "karpenter-")) {
        assert_eq!(node.info.instance_type, "fargate-1vCPU-2048Mi", "1 vCPU and 1 GiB, with 256 MiB added");
        let bound = pod.scheduled.expect("bound").as_secs_f64();
        assert!((50.0..51.0).contains(&bound), "{bound}");
        assert!(pod.ready.expect("ready").as_secs_f64() > bound + 2.0, "its image is pulled");
        let bill = node.bill.as_ref().expect("a bill");
        let expected = (1800.0 - bound) / 3600.0 * (0.04048 + 2.0 * 0.004_445);
        assert!((bill.cost(outcome.end).total.as_f64() - expected).abs() < 1e-6);
    }
    assert_eq!(nodes_of(&outcome, "workers").len(), 1, "Karpenter makes none for them");
    assert_eq!(pods(&outcome, "kube-proxy").len(), 1, "and no DaemonSet runs there");
    assert!(outcome.pods.iter().filter(|pod| outcome.pod_name(pod).starts_with("web")).all(|pod| pod.ready.is_some()));
}

#[test]
fn a_machine_goes_with_its_pod_and_a_profile_does_not_reach_other_namespaces() {
    let change = "[[changes]]\nat = \"10m\"\nscale = { karpenter = 0 }\n";
    let text = format!("{PROFILE}{change}{}{}", workers(), system("karpenter", "karpenter", 1, "250m"));
    let outcome = run_with("30m", &text, STEADY);
    let node = machines(&outcome)[0];
    let gone = pods(&outcome, "karpenter-")[0].ended.expect("ended");
    assert_eq!((node.terminated, node.removed), (Some(gone), Some(gone)));
    assert_eq!(node.bill.as_ref().and_then(|bill| bill.ended()), Some(gone));
    let text = format!("{PROFILE}{}{}", workers(), system("karpenter", "kube-system", 1, "250m"));
    let outcome = run_with("30m", &text, STEADY);
    assert_eq!(machines(&outcome).len(), 0);
    assert!(pods(&outcome, "karpenter-")[0].ready.is_some(), "it runs on a node like any other");
}

#[test]
fn starts_are_throttled_after_a_burst() {
    let text = format!("{PROFILE}{}{}", workers(), system("karpenter", "karpenter", 14, "250m"));
    let outcome = run_with("10m", &text, STEADY);
    let mut bound: Vec<f64> =
        pods(&outcome, "karpenter-").iter().map(|pod| pod.scheduled.expect("bound").as_secs_f64()).collect();
    bound.sort_by(f64::total_cmp);
    assert!(bound[9] < 51.0 && bound[10] > 50.5 && bound[13] > 53.0 && bound[13] < 55.0, "{bound:?}");
}

#[test]
fn a_pod_that_no_size_holds_never_starts() {
    let text = format!("{PROFILE}{}{}", workers(), system("karpenter", "karpenter", 1, "17"));
    let outcome = run_with("10m", &text, STEADY);
    assert!(pods(&outcome, "karpenter-").iter().all(|pod| pod.scheduled.is_none()));
    let told: Vec<&str> = outcome.decisions.iter().map(|decision| decision.rule.name()).collect();
    assert_eq!(told.iter().filter(|rule| **rule == "FargateSize").count(), 1);
    assert_eq!(machines(&outcome).len(), 0);
}
