//! Problems of the node layer: 15 to 17, 26 to 29.

use forescale::api::karpenter::AmiFamily;
use forescale::ec2::capacity::NodeSettings;
use forescale::ec2::{data, labels};
use forescale::scenario::load;
use forescale::scenario::validate::{Known, KnownType};
use forescale::telemetry::Outcome;
use forescale::time::Duration;
use forescale::units::Resource;

use rayon::prelude::*;

use crate::support::*;

const IDLE: &str = "clocks.batchIdle";
const MAX: &str = "clocks.batchMax";

/// Instants of the passes that launched something.
fn plans(outcome: &Outcome) -> Vec<f64> {
    let plans = outcome
        .decisions
        .iter()
        .filter(|decision| decision.rule.name() == "Solve" && decision.action.as_str() == "plan");
    plans.map(|decision| decision.at.as_secs_f64()).collect()
}

/// vCPUs of the largest node.
fn largest(outcome: &Outcome) -> i64 {
    karpenter_nodes(outcome).map(|node| node.info.capacity.get(Resource::Cpu) / 1000).max().unwrap_or(0)
}

/// Pods of a workload.
fn pods<'o>(
    outcome: &'o Outcome,
    workload: &str,
) -> impl Iterator<Item = &'o forescale::telemetry::outcome::PodRecord> {
    let number = outcome.workloads.iter().position(|record| record.name == workload).expect("a workload");
    outcome.pods.iter().filter(move |pod| pod.workload.is_some_and(|key| key.0 as usize == number))
}

#[test]
fn problem_15_nodes_for_jobs_that_are_over_before_they_join() {
    // NodeClaims over what would do if nodes came at once.
    let ratio = |processing: &str, (idle, max), needed: usize| {
        let settings = [("consumers.worker.processing", processing), (IDLE, idle), (MAX, max)];
        let outcome = run("15-too-many-nodes", &settings);
        assert_eq!(outcome.queues[0].totals.processed, 120);
        karpenter_nodes(&outcome).count() as f64 / needed as f64
    };
    let default = ratio("20s", ("1s", "10s"), 2);
    let longer = ratio("20s", ("15s", "30s"), 2);
    let longest = ratio("20s", ("30s", "60s"), 2);
    assert!(default > 2.0 && longer < default && longest < longer, "{default} {longer} {longest}");
    assert_eq!(ratio("5m", ("1s", "10s"), 22), 1.0);
}

#[test]
fn problem_16_each_step_of_the_hpa_is_a_batch_unless_the_window_is_longer_than_its_period() {
    let short = run("16-trickling-pods", &[]);
    let steps = staircase(&short);
    assert_eq!(steps.iter().map(|step| step.1).collect::<Vec<_>>(), [1, 4, 8, 16, 32, 64, 80]);
    for (at, _) in &steps[1..] {
        assert_eq!(plans(&short).iter().filter(|plan| (*at..at + 3.0).contains(*plan)).count(), 1, "step at {at}");
    }
    let long = run("16-trickling-pods", &[(IDLE, "20s"), (MAX, "2m")]);
    assert_eq!(plans(&long).len(), 2);
    assert!(karpenter_nodes(&long).count() < karpenter_nodes(&short).count() / 2);
    assert!(largest(&long) > largest(&short));
    let wait = |outcome: &Outcome| {
        let ready = outcome.pods.iter().filter_map(|pod| Some((pod.ready? - pod.created).as_secs_f64()));
        ready.sum::<f64>() / 80.0
    };
    assert!(wait(&long) > wait(&short) + 20.0);
}

#[test]
fn problem_17_a_limit_is_never_filled_or_blown_through() {
    let name = "17-node-pool-limits";
    let vcpus = |outcome: &Outcome| {
        karpenter_nodes(outcome).map(|node| node.info.capacity.get(Resource::Cpu) / 1000).sum::<i64>()
    };
    let packed = run(name, &[]);
    let running = pods(&packed, "worker").filter(|pod| pod.ready.is_some()).count();
    assert_eq!((vcpus(&packed), running, pods(&packed, "worker").count()), (100 - 100 % 8, 93, 110));
    // Every planned node is charged with its largest option.
    const SCALE: &str = "changes[0].scale";
    let apart = run(name, &[(SCALE, "{ apart = 12 }")]);
    assert_eq!((vcpus(&apart), karpenter_nodes(&apart).count()), (96, 12));
    assert!(plans(&apart).len() >= 5, "{:?}", plans(&apart));
    let first = karpenter_nodes(&apart).filter(|node| node.claimed.as_secs_f64() < 70.0).count();
    assert_eq!(first, 100 / 32);
    const LIMITS: &str = "NodePool/pool.limits";
    let counted = run(name, &[(SCALE, "{ apart = 12 }"), (LIMITS, "{ nodes = 3 }")]);
    assert_eq!((karpenter_nodes(&counted).count(), plans(&counted).len()), (12, 1));
    // A limit below every type is told before the run.
    assert_eq!(
        said(name, &[(LIMITS, "{ cpu = 6 }")]),
        ["no node can ever run the pods of Deployment `worker`", "no node can ever run the pods of Deployment `apart`"]
    );
    assert!(said(name, &[]).is_empty());
}

/// Warnings about a scenario, where the types of the region are known.
fn said(name: &str, settings: &[Setting<'_>]) -> Vec<String> {
    let known = |_: &str| Known {
        types: ["m5.2xlarge", "m5.4xlarge", "m5.8xlarge"]
            .map(|name| {
                let row = data::instance_type(name).expect("a type");
                let labels = labels::of(row, "us-east-1", AmiFamily::Al2023);
                KnownType {
                    name: name.to_owned(),
                    labels: labels.into(),
                    allocatable: NodeSettings::of_family(AmiFamily::Al2023).allocatable(row),
                }
            })
            .to_vec(),
        regions: vec!["us-east-1".to_owned()],
        zones: ["us-east-1a", "us-east-1b", "us-east-1c"].map(str::to_owned).to_vec(),
    };
    let settings = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    let options = load::Options { settings, known: Some(&known), ..load::Options::default() };
    let loaded = load(&path(name), &options).unwrap_or_else(|invalid| panic!("{name}: {invalid}"));
    loaded.problems.list.into_iter().map(|warning| warning.message).collect()
}

#[test]
fn problem_26_headroom_pays_by_the_node_and_up_to_the_size_of_the_burst() {
    let of = |count: &str| {
        let outcome = run("26-headroom", &[("Deployment/headroom.replicas", count)]);
        (outcome.queues[0].wait.quantile(0.95).map_or(0.0, Duration::as_secs_f64), dollars(&outcome))
    };
    let [none, one, four, sixteen, twenty] = ["0", "1", "4", "16", "20"].map(of);
    println!("{none:?} {one:?} {four:?} {sixteen:?} {twenty:?}");
    assert!(one.0 < none.0 - 5.0 && one.1 > none.1 * 1.3);
    assert!((four.1 - one.1).abs() < 0.1 * one.1 && four.0 < one.0);
    assert!(sixteen.0 < four.0 - 15.0 && sixteen.1 > four.1 * 1.8);
    // Beyond the knee: dearer and no faster.
    assert!(twenty.1 > sixteen.1 + 0.1 && twenty.0 > sixteen.0 - 3.0);
}

#[test]
fn problem_27_packing_saves_little_where_karpenter_packs_anyway() {
    const RUNS: u32 = 5;
    // Pods moved and USD, sums over some runs.
    let of = |after: &str, scoring: &str| {
        let settings = [("NodePool/pool.disruption.consolidateAfter", after), ("scheduler.scoring", scoring)];
        let of_run = |replication| {
            let outcome = run_replication("27-scheduler-spread", &settings, replication);
            (pods_stopped(&outcome, "Evicted") as f64, dollars(&outcome))
        };
        let runs: Vec<_> = (0..RUNS).into_par_iter().map(of_run).collect();
        let (moved, cost) = runs.iter().fold((0.0, 0.0), |(moved, cost), run| (moved + run.0, cost + run.1));
        println!("{after} {scoring}: {:.1} moved, ${:.2}", moved / f64::from(RUNS), cost / f64::from(RUNS));
        (moved, cost)
    };
    let both = |after| ["LeastAllocated", "MostAllocated"].map(|scoring| of(after, scoring));
    // An eager loop packs what the scheduler spreads.
    let [spread, packed] = both("1m");
    assert!((packed.0 / spread.0 - 1.0).abs() < 0.25 && (packed.1 / spread.1 - 1.0).abs() < 0.025);
    // A slower one leaves something to the scheduler.
    let [spread, packed] = both("5m");
    assert!((0.94..0.995).contains(&(packed.1 / spread.1)));
}

#[test]
fn problem_28_two_solvers_disagree_about_who_fits() {
    let name = "28-pending-although-it-fits";
    // Nodes, and seconds that big pods wait after all nodes of the plan that was to hold them are ready.
    let lost = |priority: &str| {
        let outcome = run(name, &[("PriorityClass/big.value", priority)]);
        let first = plans(&outcome)[0];
        let planned = karpenter_nodes(&outcome).filter(|node| node.claimed.as_secs_f64() <= first);
        let ready = planned.map(|node| seconds(node.ready)).fold(0.0, f64::max);
        let waits = pods(&outcome, "big").map(|pod| (seconds(pod.scheduled) - ready).max(0.0));
        (karpenter_nodes(&outcome).count(), waits.sum::<f64>())
    };
    let (nodes, waited) = lost("0");
    println!("{nodes} nodes, {waited:.0} pod-seconds");
    assert!(nodes > 8 && waited > 60.0);
    let (nodes, waited) = lost("1000");
    assert!(nodes == 8 && waited < 5.0, "{nodes} {waited}");
}

#[test]
fn problem_29_pods_that_pull_are_moved_before_they_start() {
    let of = |image: &str, after: &str| {
        let settings = [("images.\"worker:1\"", image), ("NodePool/pool.disruption.consolidateAfter", after)];
        let outcome = run("29-slow-images", &settings);
        let moved = pods(&outcome, "worker").filter(|pod| pod.reason() == "Evicted" && pod.ready.is_none()).count();
        let mut ready: Vec<f64> = pods(&outcome, "worker")
            .filter(|pod| pod.reason() != "ScaledDown")
            .filter_map(|pod| pod.ready)
            .map(|ready| ready.as_secs_f64())
            .collect();
        ready.sort_by(f64::total_cmp);
        println!("{image} {after}: {moved} moved, three ready at {:.0} s, ${:.3}", ready[2], dollars(&outcome));
        (moved, ready[2], dollars(&outcome))
    };
    let (slow, patient) = (of("10G", "0s"), of("10G", "15m"));
    assert_eq!((slow.0, patient.0), (3, 0));
    assert!(slow.1 > patient.1 + 120.0 && slow.2 < patient.2);
    let small = of("1G", "0s");
    assert!(small.0 == 0 && small.1 < 240.0);
}
