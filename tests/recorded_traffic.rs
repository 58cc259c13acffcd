//! Scenarios whose traffic is recorded: every row of the trace is played, and their opening comments tell the truth.

use std::path::PathBuf;

use forescale::scenario::{Options, load};
use forescale::simulation;
use forescale::telemetry::Outcome;

fn run(name: &str, settings: &[(&str, &str)]) -> Outcome {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "scenarios", &format!("{name}.toml")].iter().collect();
    let settings = settings.iter().map(|&(path, value)| (path.to_owned(), value.to_owned())).collect();
    let loaded = load(&path, &Options { settings, ..Options::default() }).unwrap_or_else(|e| panic!("{name}: {e}"));
    let options = simulation::Options { check_invariants: false, ..simulation::Options::replication(0) };
    simulation::run(&loaded.scenario, options).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Rows of a trace, as numbers where they are.
fn rows(file: &str) -> Vec<Vec<String>> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "scenarios", "traces", file].iter().collect();
    let mut reader = csv::Reader::from_path(path).expect("a trace");
    reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect()
}

fn p95(outcome: &Outcome) -> f64 {
    outcome.queues[0].wait.quantile(0.95).map_or(0.0, |wait| wait.as_secs_f64())
}

fn pod_hours(outcome: &Outcome) -> f64 {
    outcome.pods_existing(None).integral(outcome.end) as f64 / 3.6e9
}

#[test]
fn counts_of_a_load_balancer_keep_their_total_and_their_shape() {
    let name = "recorded-web-traffic";
    let (zero, one) = (run(name, &[]), run(name, &[("ScaledObject/worker.minReplicaCount", "1")]));
    // 288 buckets of 5 minutes from 00:04, a tenth of their counts; the traffic does not hear of the replicas.
    let day = rows("nab_elb_request_count_8c0756.csv");
    let requests: f64 = day[..288].iter().map(|row| row[1].parse::<f64>().expect("a count")).sum();
    let sent = zero.queues[0].totals.sent;
    assert!((sent as f64 - requests / 10.0).abs() < 60.0, "{sent} of {requests}");
    assert_eq!(sent, one.queues[0].totals.sent);
    assert_eq!(zero.queues[0].totals.processed, sent);
    // Zero is cheaper by about a tenth, and the wait is that of a cold start.
    let cost = |outcome: &Outcome| outcome.instance_cost().total.as_f64();
    let saved = 1.0 - cost(&zero) / cost(&one);
    assert!((0.05..0.2).contains(&saved), "{saved}");
    assert!(p95(&zero) > 60.0 && p95(&one) < 5.0, "{} {}", p95(&zero), p95(&one));
}

#[test]
fn requests_of_a_language_model_bring_their_own_length() {
    let name = "recorded-llm-requests";
    let of = |length: &str| {
        run(name, &[("ScaledObject/worker.triggers[0].metadata.queueLength", length), ("simulation.duration", "70m")])
    };
    let outcomes = ["\"1\"", "\"5\"", "\"20\""].map(of);
    let rows = rows("azure_llm_2023_code.csv");
    let tokens = |column: usize| rows.iter().map(|row| row[column].parse::<f64>().expect("tokens")).sum::<f64>();
    let work = 0.2 * rows.len() as f64 + 0.25e-3 * tokens(1) + 30e-3 * tokens(2);
    for outcome in &outcomes {
        let queue = &outcome.queues[0];
        assert_eq!((queue.totals.sent, queue.totals.processed), (rows.len() as u64, rows.len() as u64));
        // Sojourn is wait and processing: the difference of their means is the mean of the rows' own lengths.
        let mean = |durations: &forescale::engine::Durations| durations.mean().map_or(0.0, |mean| mean.as_secs_f64());
        let processing = (mean(&queue.sojourn) - mean(&queue.wait)) * rows.len() as f64;
        assert!((processing / work - 1.0).abs() < 0.02, "{processing} s of {work} s");
    }
    let pairs: Vec<(f64, f64)> = outcomes.iter().map(|outcome| (pod_hours(outcome), p95(outcome))).collect();
    assert!(pairs.windows(2).all(|pair| pair[1].0 < pair[0].0 * 0.7 && pair[1].1 > pair[0].1 * 1.5), "{pairs:?}");
}
