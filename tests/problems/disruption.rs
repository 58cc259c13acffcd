//! Problems of disruption and Spot: 1, 5, 18, 19, 20, 22, 23, 24.

use forescale::cluster::catalogue::CapacityType;
use forescale::telemetry::NodeState;
use forescale::telemetry::Outcome;

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

#[test]
fn problem_19_the_way_back_from_on_demand_is_consolidation() {
    let spot_only = (
        "NodePool/pool.template.spec.requirements",
        r#"[{ key = "karpenter.sh/capacity-type", operator = "In", values = ["spot"] }, { key = "node.kubernetes.io/instance-type", operator = "In", values = ["m5.xlarge", "m5.2xlarge"] }]"#,
    );
    let designs: [(&str, &[Setting<'_>]); 3] = [
        ("one pool", &[]),
        ("two pools", &[spot_only]),
        ("waits for Spot", &[spot_only, ("NodePool/fallback.limits.cpu", "0")]),
    ];
    // The drought lasts from 29 to 89 minutes.
    let minutes = [25, 40, 85, 92, 100];
    let mut lines = Vec::new();
    let [one, two, waits] = designs.map(|(title, settings)| {
        let outcome = run("19-spot-dries-up", settings);
        let on_demand =
            outcome.nodes_in(NodeState::Ready, |node| node.info.capacity_type == Some(CapacityType::OnDemand));
        let spot = outcome.nodes_in(NodeState::Ready, |node| node.info.capacity_type == Some(CapacityType::Spot));
        let at_minutes = minutes.map(|minute| {
            let now = at(f64::from(minute) * 60.0);
            (spot.at(now), on_demand.at(now))
        });
        let shown: Vec<String> = at_minutes.iter().map(|(spot, other)| format!("{spot}+{other}")).collect();
        let unready = pods_pending_minutes(&outcome);
        let evicted = pods_stopped(&outcome, "Evicted");
        lines.push(format!("{title:<16}{:>6}{evicted:>9}{unready:>9.0}{:>9.2}", shown.join("  "), dollars(&outcome)));
        (at_minutes, evicted, unready, dollars(&outcome))
    });
    in_comment("19-spot-dries-up", &lines);
    for design in [&one, &two] {
        assert_eq!((design.0[0], design.0[1], design.0[4]), ((3, 0), (0, 3), (3, 0)));
        assert_eq!(design.1, 12, "six pods are taken, and six move back");
    }
    assert_eq!((waits.0[1], waits.0[2], waits.0[4]), ((0, 0), (0, 0), (3, 0)));
    assert_eq!(waits.1, 6);
    assert!(waits.2 > 300.0 && one.2 < 15.0 && two.2 < 15.0, "six pods wait an hour");
    assert!(waits.3 < 0.5 * one.3);
}

/// Minutes which pods of the workloads waited for a node.
fn pods_pending_minutes(outcome: &Outcome) -> f64 {
    outcome.pods_pending(None).integral(outcome.end) as f64 / 6e7
}

#[test]
fn problem_22_a_message_lives_when_both_graces_outlast_it() {
    let mut lines = Vec::new();
    for (pod, pod_seconds) in [("1h", "3600"), ("7h", "25200")] {
        for node in ["1h", "8h"] {
            for expire in ["2h", "24h"] {
                let settings = [
                    ("Deployment/worker.template.spec.terminationGracePeriodSeconds", pod_seconds),
                    ("NodePool/pool.template.spec.terminationGracePeriod", node),
                    ("NodePool/pool.template.spec.expireAfter", expire),
                ];
                let outcome = run("22-hours-long-messages", &settings);
                // Of eight messages of up to six hours all are done in nine, unless the worker died.
                let died = 8 - outcome.queues[0].totals.processed;
                lines.push(format!("{pod:>6}{node:>8}{expire:>9}{died:>8}"));
                if (pod, node) == ("7h", "8h") {
                    assert_eq!(died, 0, "{settings:?}");
                } else {
                    assert!(died > 0, "{settings:?}");
                    assert!(expire == "24h" || died >= 5, "expiry falls inside: {settings:?}");
                }
            }
        }
    }
    in_comment("22-hours-long-messages", &lines);
}

#[test]
fn problem_23_outside_its_hours_a_budget_allows_everything() {
    let outcome = run("23-budgets-misread", &[]);
    let mut by_hour = [0; 24];
    for node in karpenter_nodes(&outcome) {
        if let Some(draining) = node.draining {
            by_hour[(draining.as_secs_f64() / 3600.0) as usize] += 1;
        }
    }
    let allowed = |hour: usize| if (8..14).contains(&hour) { "0" } else { "any" };
    let calendar = (0..24).map(|hour| format!("{hour:02}:00 {:>5}{:>4}", allowed(hour), by_hour[hour]));
    in_comment("23-budgets-misread", &calendar.filter(|line| !line.ends_with("any   0")).collect::<Vec<_>>());
    assert_eq!(by_hour[8..14], [0; 6], "six nodes are empty from 9 to 10 o'clock");
    assert_eq!((by_hour[3], by_hour[15], by_hour[21]), (6, 6, 6));
}
