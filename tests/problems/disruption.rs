//! Problems of disruption and Spot: 1, 5, 18, 20, 24.

use crate::support::*;

#[test]
fn problem_01_consolidation_evicts_busy_workers_and_emptiness_does_not() {
    let name = "01-consolidation-kills-workers";
    let policy = |policy| run(name, &[("NodePool/pool.disruption.consolidationPolicy", policy)]);
    let (underutilized, empty) = (policy("WhenEmptyOrUnderutilized"), policy("WhenEmpty"));
    assert!(pods_stopped(&underutilized, "Evicted") > 5);
    assert_eq!(pods_stopped(&empty, "Evicted"), 0);
    assert!(nodes_gone(&underutilized, "Underutilized") > 0 && nodes_gone(&empty, "Underutilized") == 0);
    assert!(dollars(&underutilized) < dollars(&empty));
}

#[test]
fn problem_05_the_clock_is_stale_when_many_pods_end_at_once() {
    // Nodes that drain before consolidateAfter has passed since their pods went.
    let early = |per_event| {
        let outcome = run("05-timer-not-reset", &[("latencies.podEvent", per_event)]);
        assert_eq!(nodes_gone(&outcome, "Empty"), 25);
        karpenter_nodes(&outcome).filter(|node| seconds(node.draining) < 900.0).count()
    };
    assert_eq!(early("0s"), 0);
    assert!(early("1s") > 12);
}

#[test]
fn problem_18_two_minutes_are_not_enough() {
    let outcome = run("18-spot-interruption", &[]);
    let interrupted = nodes_gone(&outcome, "Interrupted");
    assert!((20..=40).contains(&interrupted), "{interrupted}");
    let lost = outcome.queues[0].totals.expired;
    assert!(lost > 0 && lost <= interrupted as u64, "{lost}");
    assert_eq!(outcome.queues[0].totals.processed, 60);
    // What is lost comes back after the visibility timeout; without the reclaim nothing is.
    let calm = run("18-spot-interruption", &[("faults[0].at", "59m")]);
    assert_eq!(calm.queues[0].totals.expired, 0);
}

#[test]
fn problem_20_spot_is_replaced_only_with_fifteen_cheaper_types() {
    let name = "20-half-empty-spot-nodes";
    assert_eq!(nodes_gone(&run(name, &[]), "Underutilized"), 1);
    const REQUIREMENTS: &str = "NodePool/pool.template.spec.requirements";
    let ten = r#"[{ key = "karpenter.sh/capacity-type", operator = "In", values = ["spot"] }, { key = "node.kubernetes.io/instance-type", operator = "In", values = ["m5.large", "m5.xlarge", "m5.2xlarge", "m5.4xlarge", "m5a.large", "m5a.xlarge", "m5a.2xlarge", "m5a.4xlarge", "m6i.large", "m6i.4xlarge"] }]"#;
    assert_eq!(nodes_gone(&run(name, &[(REQUIREMENTS, ten)]), "Underutilized"), 0);
    assert_eq!(nodes_gone(&run(name, &[("karpenter.spotToSpotConsolidation", "false")]), "Underutilized"), 0);
}

#[test]
fn problem_24_what_was_born_together_expires_together_whatever_the_budget() {
    let outcome = run("24-everything-expires-at-once", &[]);
    assert_eq!(nodes_gone(&outcome, "Expired"), 12);
    // Born in one instant; the expiration controller deletes one a second.
    let expired = karpenter_nodes(&outcome).filter(|node| node.reason == "Expired");
    let ages: Vec<f64> = expired.map(|node| seconds(node.draining) - node.claimed.as_secs_f64() - 86_400.0).collect();
    for (index, age) in ages.iter().enumerate() {
        assert!((age - index as f64).abs() < 1.0, "{ages:?}");
    }
}
