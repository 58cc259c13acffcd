//! The front-page spike with KEDA and Karpenter, and with what people come from: an HPA on CPU and Cluster Autoscaler. Prints the
//! table that scenarios/front-page-baseline.toml and the README show.

use std::path::Path;

use forescale::scenario::load::{Options, load};
use forescale::simulation;
use forescale::telemetry::Outcome;
use forescale::time::{Duration, Time};

/// The front page: messages begin to come in numbers.
const BURST: Time = Time::from_micros(300_000_000);

/// One line of the table; instants are times of the run.
struct Row {
    name: &'static str,
    first: Option<Time>,
    /// Pods that are ready when the burst begins.
    at_burst: i64,
    fiftieth: Option<Time>,
    hundredth: Option<Time>,
    drained: Option<Time>,
    p95: f64,
    cost: f64,
}

fn run(name: &'static str, file: &str, settings: &[(&str, &str)]) -> (Row, Outcome) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(file);
    let settings = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    let options = Options { settings, ..Options::default() };
    let loaded = load(&path, &options).unwrap_or_else(|invalid| panic!("{invalid}"));
    let outcome = simulation::run(&loaded.scenario, simulation::Options::replication(0)).unwrap();
    let queue = &outcome.queues[0];
    let ready = outcome.pods_ready(None);
    let with = |pods: i64| ready.first(Time::ZERO, |count| count >= pods);
    // Emptied after the burst: nothing but what a quiet night keeps in the queue.
    let after = BURST + Duration::from_mins(4);
    let row = Row {
        name,
        first: with(1),
        at_burst: ready.at(BURST),
        fiftieth: with(50),
        hundredth: with(100),
        drained: queue.visible.first(after, |visible| visible < 50),
        p95: queue.wait.quantile(0.95).map_or(0.0, Duration::as_secs_f64),
        cost: outcome.total_cost().as_f64(),
    };
    (row, outcome)
}

/// The table, line by line.
fn table(rows: &[&Row]) -> Vec<String> {
    let clock = |time: Option<Time>| {
        let seconds = time.map(|time| time.as_secs_f64().round() as u64);
        seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{}:{:02}", seconds / 60, seconds % 60))
    };
    let mut lines = vec![
        "                             1st pod  pods at   50th     100th   backlog    p95".to_owned(),
        "                              ready    5:00     ready    ready    gone     wait     cost".to_owned(),
    ];
    for row in rows {
        let [first, fiftieth, hundredth, drained] = [row.first, row.fiftieth, row.hundredth, row.drained].map(clock);
        lines.push(format!(
            "{:29}{first:>6}{:>8}{fiftieth:>10}{hundredth:>9}{drained:>9}{:>7.0} s{:>7.2} USD",
            row.name, row.at_burst, row.p95, row.cost
        ));
    }
    lines
}

/// Prints the table, which must stand in the scenario's comment and in the README.
fn told(lines: &[String]) {
    for line in lines {
        println!("# {line}");
    }
    for (file, mark) in [("scenarios/front-page-baseline.toml", "# "), ("README.md", "")] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        for line in lines {
            let wanted = format!("{mark}{line}");
            assert!(text.lines().any(|known| known == wanted), "{file} lacks\n{wanted}");
        }
    }
}

#[test]
fn keda_and_karpenter_are_there_first() {
    let (chain, _) = run("KEDA and Karpenter", "front-page.toml", &[]);
    let (same, outcome) = run("CPU and Cluster Autoscaler", "front-page-baseline.toml", &[]);
    let booting = |name, time| run(name, "front-page-baseline.toml", &[("latencies.nodeRegistered", time)]).0;
    let (slow, slower) = (booting("  3 min to a node", "3m"), booting("  5 min to a node", "5m"));
    told(&table(&[&chain, &same, &slow, &slower]));

    assert!(chain.fiftieth < same.fiftieth && chain.hundredth < same.hundredth && chain.drained < same.drained);
    assert!(same.hundredth < slow.hundredth && slow.drained < slower.drained);
    assert!(chain.p95 < same.p95 && same.p95 < slow.p95 && slow.p95 < slower.p95);
    // The HPA asked for more by CPU alone, the group grew, and its nodes are those of the group.
    let rules: Vec<&str> = outcome.decisions.iter().map(|decision| decision.rule.name()).collect();
    assert!(rules.contains(&"TriggeredScaleUp"));
    assert!(outcome.nodes.iter().filter(|node| node.info.name.starts_with("workers-")).count() > 5);
    assert!(outcome.decisions.iter().all(|d| d.controller != forescale::cluster::Controller::Keda));
}
