//! Problems of nodes that stay, or do not stay long enough: 3, 4, 6, 21, 25. Each prints the table of its scenario's comment.

use forescale::study::statistics::knee;
use forescale::telemetry::Outcome;
use forescale::time::Duration;

use rayon::prelude::*;

use crate::support::*;

const AFTER: &str = "NodePool/pool.disruption.consolidateAfter";
const POLICY: &str = "NodePool/pool.disruption.consolidationPolicy";
const REQUIREMENTS: &str = "NodePool/pool.template.spec.requirements";

/// A line of problem 3's table: nodes made, nodes removed as underutilized, pods moved, half of all lives, money, wait.
fn churn(title: &str, outcome: &Outcome) -> (String, usize, f64) {
    let made = karpenter_nodes(outcome).count();
    let wait = outcome.queues[0].wait.quantile(0.95).map_or(0.0, Duration::as_secs_f64);
    let line = format!(
        "{title:<22}{made:>6}{:>9}{:>8}{:>9.0} min{:>7.0} s{:>9.2}",
        nodes_gone(outcome, "Underutilized"),
        pods_stopped(outcome, "Evicted"),
        half_life(outcome) / 60.0,
        wait,
        dollars(outcome),
    );
    (line, made, dollars(outcome))
}

/// Seconds from the claim to the drain (or the end of the run) of the median node.
fn half_life(outcome: &Outcome) -> f64 {
    let life = |node: &forescale::telemetry::outcome::NodeRecord| {
        node.draining.unwrap_or(outcome.end).since(node.claimed).as_secs_f64()
    };
    let mut lives: Vec<f64> = karpenter_nodes(outcome).map(life).collect();
    lives.sort_by(f64::total_cmp);
    lives[lives.len() / 2]
}

/// Nodes by how many minutes they lived: up to 5, 10, 20, 40, 80, and longer.
fn lives(title: &str, outcome: &Outcome) -> (String, [usize; 6]) {
    let mut counts = [0; 6];
    for node in karpenter_nodes(outcome) {
        let minutes = node.draining.unwrap_or(outcome.end).since(node.claimed).as_secs_f64() / 60.0;
        counts[[5.0, 10.0, 20.0, 40.0, 80.0].iter().filter(|bound| minutes > **bound).count()] += 1;
    }
    let cells: Vec<String> = counts.iter().map(|count| format!("{count:>7}")).collect();
    (format!("{title:<20}{}", cells.concat()), counts)
}

#[test]
fn problem_03_churn_falls_and_money_rises_with_consolidate_after() {
    let rows = [
        ("1.13", "\"1.13\"", "WhenEmptyOrUnderutilized"),
        ("1.14", "\"1.14\"", "WhenEmptyOrUnderutilized"),
        ("1.14 Balanced", "\"1.14\"", "Balanced"),
    ];
    const AFTERS: [&str; 6] = ["30s", "2m", "5m", "10m", "20m", "30m"];
    let cells: Vec<_> = rows.into_iter().flat_map(|row| AFTERS.map(|after| (row, after))).collect();
    let cell = |&((title, version, policy), after): &_| {
        let settings = [("versions.karpenter", version), (POLICY, policy), (AFTER, after)];
        let (outcome, title) = (run("03-underutilised-churn", &settings), format!("{title}, {after}"));
        let ((line, made, money), (bars, lived)) = (churn(&title, &outcome), lives(&title, &outcome));
        let (removed, moved) = (nodes_gone(&outcome, "Underutilized"), pods_stopped(&outcome, "Evicted"));
        (line, bars, (made, money, lived[0] + lived[1], removed, moved))
    };
    let results: Vec<_> = cells.par_iter().map(cell).collect();
    let lines = results.iter().map(|(line, ..)| line.clone());
    let histogram = results.iter().map(|(_, bars, _)| bars.clone()).filter(|bars| !bars.contains("0m "));
    in_comment("03-underutilised-churn", &lines.chain(histogram).collect::<Vec<_>>());
    let numbers: Vec<_> = results.iter().map(|(_, _, numbers)| *numbers).collect();
    let table: Vec<_> = numbers.chunks(AFTERS.len()).collect();
    assert!(2 * table[0][0].2 > table[0][0].0, "most nodes of 1.13 live less than ten minutes");
    for newer in &table[1..] {
        assert!(table[0].iter().zip(*newer).all(|(old, new)| old.2 >= new.2), "{table:?}");
    }
    for row in &table {
        assert!(row.is_sorted_by(|a, b| a.0 >= b.0 && a.1 <= b.1), "fewer nodes and more money: {row:?}");
    }
    for (index, old) in table[0].iter().enumerate() {
        let (new, balanced) = (table[1][index], table[2][index]);
        // One run each: with the shortest clock Balanced removes as many nodes, give or take one in fifty, and moves fewer pods.
        assert!(old.3 >= new.3 && new.3 + new.3 / 50 >= balanced.3, "nodes removed: {old:?} {new:?} {balanced:?}");
        assert!(old.4 >= 2 * new.4 && new.4 >= balanced.4, "pods moved: {old:?} {new:?} {balanced:?}");
        assert!(new.1 >= balanced.1, "money: {new:?} {balanced:?}");
    }
}

#[test]
fn problem_04_the_fleet_stays_when_each_node_hears_of_a_pod_within_consolidate_after() {
    let settings = ["30s", "1m", "2m", "3m", "5m", "10m"];
    let seconds = [30.0, 60.0, 120.0, 180.0, 300.0, 600.0];
    let mut lines = Vec::new();
    let left = settings.map(|after| {
        let outcome = run("04-consolidate-after-never-elapses", &[(AFTER, after)]);
        let left = karpenter_nodes(&outcome).filter(|node| node.draining.is_none()).count();
        assert_eq!(karpenter_nodes(&outcome).count(), 20);
        lines.push(format!("{after:>4}{left:>10}{:>9.2}", dollars(&outcome)));
        left as f64
    });
    assert!(left.is_sorted(), "{left:?}");
    // Twenty nodes, three binds and three ends a minute: a node hears of a pod every 200 s in the mean. Well below that most nodes
    // go, well above it next to none does.
    assert!(left[0] <= 20.0 * 0.4 && left[5] >= 20.0 * 0.85, "{left:?}");
    let knee = knee(&seconds, &left).expect("a knee");
    lines.push(format!("knee at {}", settings[knee]));
    in_comment("04-consolidate-after-never-elapses", &lines);
    assert!((180.0..=300.0).contains(&seconds[knee]));
}

#[test]
fn problem_06_protected_workers_and_a_short_clock_beat_the_long_clock_and_two_pools() {
    const PROTECTED: &str = "Deployment/worker.template.metadata.annotations.\"karpenter.sh/do-not-disrupt\"";
    const LIMIT: &str = "NodePool/pool.limits";
    let designs: [(&str, &[Setting<'_>]); 5] = [
        ("15 m", &[]),
        ("30 s", &[(AFTER, "30s")]),
        ("30 s and do-not-disrupt", &[(AFTER, "30s"), (PROTECTED, "true")]),
        ("two pools, 16 CPU in 15 m", &[(LIMIT, "{ cpu = \"16\" }")]),
        ("30 s and WhenEmpty", &[(AFTER, "30s"), (POLICY, "WhenEmpty")]),
    ];
    let mut lines = Vec::new();
    let [long, short, protected, two, empty] = designs.map(|(title, settings)| {
        let outcome = run("06-empty-nodes-held", settings);
        let (evicted, money) = (pods_stopped(&outcome, "Evicted"), dollars(&outcome));
        let cost = outcome.instance_cost();
        let unused = (cost.idle + cost.empty).as_f64();
        lines.push(format!("{title:<26}{evicted:>9}{unused:>9.2}{money:>9.2}"));
        (evicted, money, unused)
    });
    in_comment("06-empty-nodes-held", &lines);
    // The long clock is dearer than the annotation, and does not even keep all workers where they are.
    assert!(long.1 > protected.1 && long.0 > protected.0 && protected.0 == 0);
    // Two pools move nobody either, and pay the long clock for what the first one holds.
    assert!(two.0 == 0 && protected.1 < two.1 && two.1 < long.1);
    assert_eq!((empty.0, empty.1), (protected.0, protected.1), "nodes with workers are left alone either way");
    // The other two are both on the front: money against moves.
    assert!(short.1 < protected.1 && short.0 > 50);
    assert!(long.2 > 0.5 * long.1, "most of it is paid for nodes that wait for the clock");
}

#[test]
fn problem_21_a_cap_on_the_size_of_nodes_restores_utilisation() {
    let name = "21-do-not-disrupt-pins";
    let small = r#"[{ key = "karpenter.sh/capacity-type", operator = "In", values = ["on-demand"] }, { key = "node.kubernetes.io/instance-type", operator = "In", values = ["m5.large", "m5.xlarge"] }]"#;
    // Pods per large node and CPU asked of what there is, over the last hour.
    let last_hour = |settings: &[Setting<'_>]| {
        let outcome = run(name, settings);
        let nodes: Vec<_> =
            karpenter_nodes(&outcome).filter(|node| node.draining.is_none_or(|t| t > at(7200.0))).collect();
        let cpu: i64 = nodes.iter().map(|node| node.info.allocatable.cpu().milli()).sum();
        let asked: i64 = nodes.iter().map(|node| node.requested_cpu.at(at(7190.0))).sum();
        (nodes.len(), asked as f64 / cpu as f64, dollars(&outcome))
    };
    let (pinned, capped) = (last_hour(&[]), last_hour(&[(REQUIREMENTS, small)]));
    assert_eq!(pinned.0, 2, "the large nodes of the burst");
    assert!(pinned.1 < 0.25 && capped.1 > 0.5, "{pinned:?} {capped:?}");
    assert!(capped.2 < 0.5 * pinned.2);
}

/// Seconds of the run at which nodes begin to drain, in order.
fn drains(outcome: &Outcome) -> Vec<f64> {
    let mut drains: Vec<f64> =
        karpenter_nodes(outcome).filter_map(|node| node.draining).map(|t| t.as_secs_f64()).collect();
    drains.sort_by(f64::total_cmp);
    drains
}

/// Length of the run, nodes, how many are needed in the end, and the budgets: lines of problem 25's table, and how long each scale-in took.
fn scale_in(duration: &str, nodes: usize, needed: usize, budgets: [&str; 4]) -> (Vec<String>, [f64; 4]) {
    const BUDGETS: &str = "NodePool/pool.disruption.budgets";
    let (all, rest) = (nodes.to_string(), needed.to_string());
    let mut lines = Vec::new();
    let took = budgets.map(|budget| {
        let value = format!("[{{ nodes = \"{budget}\" }}]");
        let settings = [
            (BUDGETS, value.as_str()),
            ("Deployment/worker.replicas", &all),
            ("changes[0].scale.worker", &rest),
            ("simulation.duration", duration),
        ];
        let outcome = run("25-scale-in-takes-hours", &settings);
        let drains = drains(&outcome);
        assert_eq!(drains.len(), nodes - needed);
        // What is paid after the pods went, beyond the nodes that are needed.
        let waste: f64 = drains.iter().map(|at| (at - 900.0) / 3600.0 * 0.096).sum();
        let took = drains.last().expect("drains") - 900.0;
        let pace = drains.len() as f64 / took * 60.0;
        lines.push(format!("{nodes:>5}{budget:>9}{took:>8.0} s{pace:>8.1}{waste:>11.2}"));
        if budget == "10%" {
            paced(&drains, nodes);
        }
        took
    });
    (lines, took)
}

#[test]
fn problem_25_budget_validation_and_drain_set_the_pace_of_a_big_scale_in() {
    let (lines, took) = scale_in("1h", 60, 6, ["10%", "20%", "50%", "100%"]);
    in_comment("25-scale-in-takes-hours", &lines);
    assert!(took.is_sorted_by(|a, b| a > b), "{took:?}");
    assert!(took[0] > 5.0 * took[3]);
}

/// A budget in nodes makes the decline linear: that many each time a command's validation and drain are over.
#[test]
#[cfg_attr(debug_assertions, ignore = "10 s a run without optimisation")]
fn problem_25_from_five_hundred_nodes_to_fifty() {
    let (lines, took) = scale_in("4h", 500, 50, ["1", "5", "10%", "100%"]);
    in_comment("25-scale-in-takes-hours", &lines);
    assert!(took.is_sorted_by(|a, b| a > b), "{took:?}");
    assert!((took[0] / took[1] - 5.0).abs() < 0.5, "linear in the budget: {took:?}");
}

/// No command takes more than a tenth of the nodes, rounded up, and the next one waits for the validation at least.
fn paced(drains: &[f64], nodes: usize) {
    let mut commands: Vec<(f64, usize)> = Vec::new();
    for at in drains {
        match commands.last_mut() {
            Some((first, count)) if at - *first < 2.0 => *count += 1,
            _ => commands.push((*at, 1)),
        }
    }
    let mut left = nodes;
    for (index, (at, count)) in commands.iter().enumerate() {
        assert!(*count <= left.div_ceil(10), "{count} of {left} at {at}");
        left -= count;
        if let Some((next, _)) = commands.get(index + 1) {
            assert!(next - at >= 15.0, "{at} {next}");
        }
    }
}
