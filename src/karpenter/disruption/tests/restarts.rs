//! Outages and restarts of Karpenter, and searches that take too long.

use super::*;

impl Bench {
    /// Karpenter is down from `at` on, for `lasts` or for ever.
    fn with_outage(at: i64, lasts: Option<i64>) -> Self {
        let mut bench = Bench::new(ALL);
        bench.calendar.clear();
        bench.scenario.faults.push(Fault {
            at: Duration::from_secs(at),
            duration: lasts.map(Duration::from_secs),
            kind: FaultKind::KarpenterDown,
            queue: None,
            deployment: None,
            nodes: None,
            zone: None,
            share: 1.0,
        });
        bench.with(|disruption, world, agenda| disruption.start(world, agenda));
        bench
    }

    fn deleted_at(&self, claim: NodeClaimId) -> Option<Time> {
        self.cluster.nodeclaims[claim.index()].deleting
    }
}

#[test]
fn nothing_is_decided_while_karpenter_is_down() {
    let mut bench = Bench::with_outage(4, Some(56));
    let empty = bench.node(SMALL);
    bench.run(100.0);
    assert_eq!(bench.deleted_at(empty), Some(seconds(75.0)), "decided at 60 s");
    let mut bench = Bench::with_outage(4, None);
    assert!(!bench.calendar.iter().any(|(_, _, event)| *event == Event::Up), "it never starts again");
    let empty = bench.node(SMALL);
    bench.run(1000.0);
    assert_eq!(bench.deleted_at(empty), None);
}

#[test]
fn a_pass_that_was_due_before_a_restart_does_not_begin() {
    let mut bench = Bench::with_outage(12, Some(1));
    bench.run(14.0);
    let empty = bench.node(SMALL);
    bench.run(60.0);
    assert_eq!(bench.deleted_at(empty), Some(seconds(38.0)), "passes at 5, 13 and 23 s");
}

#[test]
fn a_search_ends_with_the_process_that_ran_it() {
    let mut bench = Bench::with_outage(8, Some(1));
    bench.disruption.cost.simulation = Duration::from_secs(4);
    let both = [(); 2].map(|()| bench.node(SMALL));
    for claim in both {
        bench.pod(1, claim);
    }
    bench.run(60.0);
    let deleted = both.iter().find_map(|claim| bench.deleted_at(*claim));
    assert_eq!(deleted, Some(seconds(9.0 + 8.0 + 15.0)), "two simulations of 4 s from 9 s on, then 15 s");
}

#[test]
fn a_command_that_waits_for_its_second_look_is_forgotten_in_a_restart() {
    let mut bench = Bench::with_outage(10, Some(1));
    let empty = bench.node(SMALL);
    bench.run(60.0);
    assert_eq!(bench.deleted_at(empty), Some(seconds(26.0)), "found at 5 s, and again at 11 s");
}

#[test]
fn the_first_pass_comes_somewhere_in_the_first_ten_seconds() {
    let first = |replication: u64| {
        let mut bench = Bench::new(ALL);
        bench.scenario.clocks.disruption_first_pass = None;
        bench.disruption = Disruption::new(&bench.scenario, Streams::new(1, replication));
        bench.calendar.clear();
        bench.with(|disruption, world, agenda| disruption.start(world, agenda));
        bench.calendar[0].0.as_secs_f64()
    };
    let all: Vec<f64> = (0..20).map(first).collect();
    assert!(all.iter().all(|at| (0.0..10.0).contains(at)), "{all:?}");
    assert!((4..=16).contains(&all.iter().filter(|at| **at < 5.0).count()), "{all:?}");
}

#[test]
fn what_a_pass_takes_delays_what_it_finds_and_the_next_pass() {
    let mut bench = Bench::new(ALL);
    bench.scenario.latencies.disruption_pass = Duration::from_secs(2);
    bench.run(6.0);
    let empty = bench.node(SMALL);
    bench.run(60.0);
    assert_eq!(bench.deleted_at(empty), Some(seconds(5.0 + 12.0 + 2.0 + 15.0)));
}

/// `Timeout`: a minute for several nodes, three for single ones.
#[test]
fn searches_that_run_out_of_time_are_told() {
    let mut bench = Bench::new(ALL);
    bench.disruption.cost.simulation = Duration::from_secs(61);
    for _ in 0..4 {
        let claim = bench.node(SMALL);
        bench.pod(0, claim);
    }
    bench.run(6.0);
    let timeouts: Vec<Box<str>> = bench
        .cluster
        .take_decisions()
        .filter(|decision| decision.rule.name() == "ConsolidationTimeout")
        .map(|decision| match decision.detail {
            Detail::Text(text) => text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(timeouts.len(), 2, "{timeouts:?}");
    assert!(timeouts.iter().all(|text| text.ends_with("ran out of time")), "{timeouts:?}");
}
