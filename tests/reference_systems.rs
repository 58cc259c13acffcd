//! What the simulation shows about the claims of the texts that describe the four reference systems, whichever way it falls.
//! The opening comments of the scenarios tell the same in words.

use std::path::PathBuf;

use forescale::cluster::catalogue::CapacityType;
use forescale::scenario::{Options, Scenario, load};
use forescale::simulation;
use forescale::telemetry::{NodeRecord, Outcome, PodRecord, WorkloadKey};
use forescale::time::{Duration, Time};
use rayon::prelude::*;

fn scenario(name: &str, settings: &[(&str, &str)]) -> Scenario {
    let path = PathBuf::from("scenarios").join(format!("{name}.toml"));
    let settings = settings.iter().map(|&(path, value)| (path.to_owned(), value.to_owned())).collect();
    match load(&path, &Options { settings, ..Options::default() }) {
        Ok(loaded) => loaded.scenario,
        Err(invalid) => panic!("{name}: {invalid}"),
    }
}

fn run_replication(scenario: &Scenario, replication: u32) -> Outcome {
    let options = simulation::Options { replication, check_invariants: false, progress: None };
    simulation::run(scenario, options).expect("a shipped scenario runs")
}

fn run(name: &str, settings: &[(&str, &str)]) -> Outcome {
    run_replication(&scenario(name, settings), 0)
}

fn workload(outcome: &Outcome, name: &str) -> WorkloadKey {
    let index =
        outcome.workloads.iter().position(|workload| workload.name == name).expect("a workload of the scenario");
    WorkloadKey(index as u32)
}

fn karpenter_nodes(outcome: &Outcome) -> impl Iterator<Item = &NodeRecord> {
    outcome.nodes.iter().filter(|node| !node.info.pool.is_empty() && node.launched.is_some())
}

/// Most nodes of Karpenter with a running instance at a time.
fn most_nodes(outcome: &Outcome) -> i64 {
    use forescale::telemetry::NodeState;
    outcome.nodes_in(NodeState::Running, |node| !node.info.pool.is_empty()).max(outcome.end)
}

fn seconds(time: Option<Time>) -> f64 {
    time.expect("it happened").as_secs_f64()
}

/// Seconds from `from` until so many pods of the consumers are ready.
fn until_ready(outcome: &Outcome, pods: i64, from: f64) -> Option<f64> {
    let at = outcome.pods_ready(None).first(Time::from_secs_f64(from), |ready| ready >= pods);
    at.map(|at| at.as_secs_f64() - from)
}

/// Every message that came is somewhere.
fn assert_no_message_is_lost(outcome: &Outcome) {
    for queue in &outcome.queues {
        let totals = &queue.totals;
        let gone = totals.processed + totals.dead_lettered + totals.retention_expired + totals.purged + totals.left;
        assert_eq!(totals.sent, gone, "{}: {totals:?}", queue.name);
    }
}

// --- aws-sample ---------------------------------------------------------------------------------------------------------------

const SAMPLE_RATE: &str = "queues.keda-demo-queue.fifo.arrivals[0].rate";

#[test]
fn aws_sample_three_producers_make_pods_swing_between_1_and_five_times_what_is_needed() {
    let outcome = run("aws-sample", &[("simulation.duration", "34m")]);
    assert_no_message_is_lost(&outcome);
    let app = workload(&outcome, "sqs-app");
    let desired = &outcome.workloads[app.0 as usize].desired;
    let most = desired.max(outcome.end);
    let later = desired.steps().iter().filter(|(at, _)| at.as_secs_f64() > 600.0);
    let to_one = later.filter(|(_, value)| *value == 1).count();
    println!("aws-sample: 3 messages a second, {most} pods at most, {to_one} times back to 1 pod in 24 minutes");
    // Three pods would do: each takes one message a second.
    assert!(most >= 15, "{most}");
    // The HPA's window of 5 minutes forgets the last peak, goes to 1, and the backlog starts again.
    assert!(to_one >= 3, "{to_one}");
}

#[test]
fn aws_sample_a_pod_stopped_with_a_message_in_hand_blocks_the_group_and_fills_the_cluster() {
    let outcome = run("aws-sample", &[("simulation.duration", "70m"), ("simulation.seed", "1")]);
    let queue = &outcome.queues[0];
    let (pods, nodes) = (outcome.pods_desired(None).max(outcome.end), most_nodes(&outcome));
    let (peak, at) = queue.peak(outcome.end);
    println!(
        "aws-sample: seed 1, {} visibility timeouts, backlog {peak} at {at}, {pods} pods, {nodes} nodes of Karpenter",
        queue.totals.expired
    );
    // "50+ pods and six nodes" at four messages a second; the front page tells these numbers.
    assert!(queue.totals.expired >= 1 && nodes >= 3, "{nodes} nodes");
    assert_eq!(pods, 121);
    assert_eq!(queue.in_flight.max(outcome.end), 1, "one message group, one message at a time");
}

#[test]
fn aws_sample_one_group_lets_one_message_be_in_flight_whatever_the_number_of_pods() {
    let rate = |pods: &str| {
        let settings = [
            ("simulation.duration", "9m"),
            (SAMPLE_RATE, "200/s"),
            ("Deployment/sqs-app.replicas", pods),
            ("ScaledObject/aws-sqs-queue-scaledobject.minReplicaCount", pods),
            ("ScaledObject/aws-sqs-queue-scaledobject.maxReplicaCount", pods),
        ];
        let outcome = run("aws-sample", &settings);
        assert!(outcome.queues[0].in_flight.max(outcome.end) <= 1);
        let processed = &outcome.queues[0].processed;
        let between = processed.at(Time::from_secs_f64(530.0)) - processed.at(Time::from_secs_f64(410.0));
        between as f64 / 120.0
    };
    let [ten, fifty, more] = ["10", "50", "200"].map(rate);
    println!("aws-sample: {ten:.1} messages a second with 10 pods, {fifty:.1} with 50, {more:.1} with 200");
    // Pods sleep for most of their second, so ten of them do work side by side, nearly. But a message takes 15 ms, and who asks
    // within the 15 ms of another gets nothing and sleeps again: at its own phase of the second, hence every time.
    assert!((7.0..=10.0).contains(&ten), "{ten}");
    assert!((20.0..=35.0).contains(&fifty), "{fifty}");
    assert!((35.0..=1.0 / 0.015).contains(&more), "{more}");
}

#[test]
fn aws_sample_cooldown_period_changes_nothing_above_one_replica() {
    let cooldown = |period: &str| {
        let path = "ScaledObject/aws-sqs-queue-scaledobject.cooldownPeriod";
        let outcome = run("aws-sample", &[("simulation.duration", "18m"), (path, period)]);
        let app = workload(&outcome, "sqs-app");
        outcome.workloads[app.0 as usize].desired.steps().to_vec()
    };
    assert_eq!(cooldown("10"), cooldown("600"));
}

#[test]
fn aws_sample_nodes_go_five_to_seven_minutes_after_the_last_message() {
    let settings = [
        ("simulation.duration", "25m"),
        (SAMPLE_RATE, "20/s"),
        ("queues.keda-demo-queue.fifo.arrivals[0].end", "10m"),
        ("queues.keda-demo-queue.fifo.arrivals[1].end", "10m"),
        ("queues.keda-demo-queue.fifo.arrivals[2].end", "10m"),
        ("queues.keda-demo-queue.fifo.arrivals[3].start", "24m59s"),
    ];
    let outcome = run("aws-sample", &settings);
    let drained = outcome.queues[0].visible.steps().iter().rev().find(|(at, _)| at.as_secs_f64() < 1400.0);
    let drained = drained.map_or(0.0, |(at, _)| at.as_secs_f64());
    let ends: Vec<f64> = karpenter_nodes(&outcome).map(|node| seconds(node.terminated) - drained).collect();
    println!("aws-sample: {} nodes of Karpenter, gone {ends:.0?} s after the queue was empty", ends.len());
    assert!(!ends.is_empty());
    let last = ends.iter().copied().fold(0.0, f64::max);
    assert!((280.0..480.0).contains(&last), "{last}");
}

// --- scale-to-zero ------------------------------------------------------------------------------------------------------------

#[test]
fn scale_to_zero_one_node_carries_both_pods_and_no_second_one_can_exist() {
    let outcome = run("scale-to-zero", &[]);
    assert_no_message_is_lost(&outcome);
    assert_eq!(most_nodes(&outcome), 1, "4 CPU hold one node of 4 vCPUs");
    let nodes: Vec<&NodeRecord> = karpenter_nodes(&outcome).collect();
    assert_eq!(nodes.len(), 2, "one bought for the two replicas before the first poll, one for the messages");
    for node in &nodes {
        assert_eq!(node.info.capacity.cpu().milli(), 4000);
        assert!(node.info.capacity.memory().bytes() <= 8 << 30);
        let start = seconds(node.ready) - node.claimed.as_secs_f64();
        assert!((15.0..120.0).contains(&start), "tens of seconds, not milliseconds: {start}");
    }
    assert_eq!(
        nodes[0].requested_cpu.max(outcome.end),
        150,
        "no pod of the two ever ran on the first: KEDA took them away"
    );
    assert_eq!(nodes[1].requested_cpu.max(outcome.end), 2150, "both pods share the second");
    let message = 240.0;
    let gone = outcome.pods_existing(None).first(Time::from_secs_f64(490.0), |pods| pods == 0);
    let timeline = [
        until_ready(&outcome, 1, message).expect("a pod") + message,
        seconds(gone),
        seconds(nodes[1].draining),
        seconds(nodes[1].removed),
    ];
    println!("scale-to-zero: message 240 s, ready pod, pods gone, node drained, node gone: {timeline:.0?} s");
    assert!(timeline.is_sorted() && timeline[0] < message + 90.0);
    // The queue is empty at 480 s; a poll sees it, the last active one is up to 10 s older, cooldownPeriod is 25 s.
    assert!((495.0..=515.0).contains(&timeline[1]), "{timeline:?}");
    // Empty for 30 s, then a pass of the loop (10 s) and its validation (15 s).
    assert!((30.0..=62.0).contains(&(timeline[2] - timeline[1])), "{timeline:?}");
}

#[test]
fn scale_to_zero_a_third_replica_stays_pending() {
    let outcome = run("scale-to-zero", &[("ScaledObject/aws-sqs-queue-scaledobject.maxReplicaCount", "3")]);
    assert_eq!(most_nodes(&outcome), 1, "one node, not two");
    assert_eq!(outcome.pods_ready(None).max(outcome.end), 2);
    let pending = outcome.pods_pending(None).at(Time::from_secs_f64(470.0));
    assert_eq!(pending, 1);
}

// --- front-page ---------------------------------------------------------------------------------------------------------------

const SPIKE: f64 = 300.0;
const ARCH: &str = r#"NodePool/batch-workers.template.spec.requirements."kubernetes.io/arch".values"#;

#[test]
fn front_page_the_backlog_is_the_fault_of_100_pods_not_of_the_nodes() {
    let outcome = run("front-page", &[("simulation.duration", "20m")]);
    assert_no_message_is_lost(&outcome);
    let queue = &outcome.queues[0];
    let (peak, _) = queue.peak(outcome.end);
    let drained = seconds(queue.drained(outcome.end)) - SPIKE;
    let hundred = until_ready(&outcome, 100, SPIKE).expect("100 pods");
    let before = outcome.pods_ready(None).at(Time::from_secs_f64(SPIKE));
    println!(
        "front-page: {before} pods before the spike, the 100th {hundred:.0} s after it, peak {peak}, gone after {drained:.0} s"
    );
    // The 200 messages at the beginning are worth 20 pods; they make three times as many, because the HPA sees the wave that waits
    // for the first nodes.
    assert!((50..=70).contains(&before), "{before}");
    assert!((30.0..120.0).contains(&hundred), "{hundred}");
    assert!(peak > 80_000, "{peak}");
    assert!((400.0..480.0).contains(&drained), "{drained}");
    use forescale::telemetry::Factor;
    let share = queue.blame.message_micros(Factor::MaxReplicas) as f64 / queue.blame.total_micros() as f64;
    assert!(share > 0.98, "{share}");
}

#[test]
fn front_page_from_zero_pods_the_first_is_ready_within_two_minutes_and_100_within_three() {
    let cold = [
        ("simulation.duration", "15m"),
        ("queues.orders.backlog", "0"),
        ("queues.orders.arrivals[0].end", "1s"),
        ("queues.orders.arrivals[0].rate", "0.001/s"),
        ("Deployment/order-processor.replicas", "0"),
    ];
    let outcome = run("front-page", &cold);
    let ready = [1, 50, 100].map(|pods| until_ready(&outcome, pods, SPIKE).unwrap_or(f64::NAN));
    let drained = seconds(outcome.queues[0].drained(outcome.end)) - SPIKE;
    println!(
        "front-page: from zero, 1st, 50th, 100th pod ready {ready:.0?} s after the spike, backlog gone after {drained:.0} s"
    );
    assert!((25.0..120.0).contains(&ready[0]), "{ready:?}");
    assert!(ready[0] < ready[1] && ready[1] <= ready[2] && ready[2] < 200.0, "{ready:?}");
    // KEDA makes one pod; the HPA needs its passes for the rest: at most 4, then double, every 15 s.
    let mut steps =
        outcome.workloads[0].desired.steps().iter().map(|(_, value)| *value).skip_while(|value| *value == 0);
    let path: Vec<i64> = steps.by_ref().take(7).collect();
    println!("front-page: replicas {path:?}");
    assert_eq!(path[..3], [1, 4, 8]);
    assert!(path.windows(2).all(|pair| pair[1] <= (2 * pair[0]).max(pair[0] + 4)), "{path:?}");
}

#[test]
fn front_page_graviton_changes_the_bill_and_nothing_else() {
    let short = ("simulation.duration", "20m");
    let both = run("front-page", &[short]);
    let amd64 = run("front-page", &[short, (ARCH, r#"["amd64"]"#)]);
    let karpenter = |outcome: &Outcome| -> f64 {
        outcome
            .bills()
            .filter(|(node, _)| !node.info.pool.is_empty())
            .map(|(_, bill)| bill.cost(outcome.end).total.as_f64())
            .sum()
    };
    let (with, without) = (karpenter(&both), karpenter(&amd64));
    println!("front-page: Karpenter's nodes cost ${with:.4} with Graviton, ${without:.4} without");
    assert!(with < without);
    let p95 = |outcome: &Outcome| outcome.queues[0].wait.quantile(0.95).expect("messages").as_secs_f64();
    assert!((p95(&both) / p95(&amd64) - 1.0).abs() < 0.05);
    // By hand: seconds billed x price of the hour; no Spot price moves within these minutes.
    for (node, bill) in both.bills() {
        let billed = bill.billed(both.end).as_secs_f64();
        let expected = billed / 3600.0 * bill.price().as_f64();
        let cost = bill.cost(both.end).total.as_f64();
        assert!((cost - expected).abs() < 1e-6, "{}: {cost} against {expected}", node.info.name);
    }
}

// --- two-layer ----------------------------------------------------------------------------------------------------------------

const STEPS: [&str; 9] = [
    "KEDA poll, to the pod",
    "batch, simulation, to the NodeClaim",
    "launch to running",
    "to registered",
    "to ready",
    "to bound",
    "image",
    "container",
    "application, to the first receive",
];

/// From the message to its first receive, step by step, and the wait that the queue measured.
fn waterfall(outcome: &Outcome) -> Option<([Duration; 9], Duration)> {
    let queue = &outcome.queues[0];
    let sent = queue.totals.last_sent.expect("a message");
    let wait = queue.wait.max()?;
    let pod: &PodRecord = outcome.pods_of(Some(workload(outcome, "sqs-consumer"))).next().expect("a pod");
    let node = &outcome.nodes[pod.node.expect("a node").0 as usize];
    let instants = [
        Some(sent),
        Some(pod.created),
        Some(node.claimed),
        node.launched,
        node.registered,
        node.ready.min(pod.scheduled),
        pod.scheduled,
        pod.pulled,
        pod.started,
        Some(sent + wait),
    ]
    .map(|instant| instant.expect("it happened"));
    Some((std::array::from_fn(|step| instants[step + 1].since(instants[step])), wait))
}

/// `FORESCALE_COLD_STARTS` sets the number of runs (200).
#[test]
fn two_layer_cold_start_step_by_step() {
    let count = std::env::var("FORESCALE_COLD_STARTS").map_or(200, |text| text.parse().expect("a number of runs"));
    let lasting = |duration| {
        let settings = [
            ("simulation.duration", duration),
            ("queues.work-queue.arrivals[0].at", "30s"),
            ("queues.work-queue.arrivals[0].messages", "1"),
            ("queues.work-queue.arrivals[1].start", "20m"),
            // A count of a message that is not there would start the pod before the message comes.
            ("queues.work-queue.phantoms", "0"),
            ("faults[0].at", "20m"),
        ];
        scenario("two-layer", &settings)
    };
    // One node in 200 gets stuck when it starts; its run is repeated for longer.
    let (short, long) = (lasting("150s"), lasting("19m"));
    let one = |run: u32| {
        let found = waterfall(&run_replication(&short, run));
        found.or_else(|| waterfall(&run_replication(&long, run))).expect("the message is received")
    };
    let runs: Vec<_> = (0..count).into_par_iter().map(one).collect();
    for (steps, wait) in &runs {
        assert!(steps.iter().all(|step| *step >= Duration::ZERO), "{steps:?}");
        assert_eq!(steps.iter().copied().sum::<Duration>(), *wait, "{steps:?}");
    }
    let quantiles = |mut values: Vec<Duration>| {
        values.sort_unstable();
        [0.5, 0.9, 0.99].map(|q| values[((values.len() - 1) as f64 * q).round() as usize].as_secs_f64())
    };
    for (index, name) in STEPS.iter().enumerate() {
        let [p50, p90, p99] = quantiles(runs.iter().map(|(steps, _)| steps[index]).collect());
        println!("two-layer cold start: {name:<36} p50 {p50:>5.1}  p90 {p90:>5.1}  p99 {p99:>5.1} s");
    }
    let [p50, p90, p99] = quantiles(runs.iter().map(|(_, wait)| *wait).collect());
    println!("two-layer cold start: {:<36} p50 {p50:>5.1}  p90 {p90:>5.1}  p99 {p99:>5.1} s", "all");
    // The text says 60 to 140 s.
    assert!((50.0..75.0).contains(&p50) && p90 < 100.0 && p99 < 140.0, "{p50} {p90} {p99}");
}

#[test]
fn two_layer_fifty_pods_and_an_interruption_that_loses_no_message() {
    let outcome = run("two-layer", &[("simulation.duration", "14m")]);
    assert_no_message_is_lost(&outcome);
    let app = workload(&outcome, "sqs-consumer");
    assert_eq!(outcome.pods_desired(Some(app)).max(outcome.end), 50);
    let interrupted: Vec<&NodeRecord> = karpenter_nodes(&outcome).filter(|node| node.interrupted.is_some()).collect();
    let notice = seconds(interrupted[0].interrupted);
    let first_drain = interrupted.iter().map(|node| seconds(node.draining)).fold(f64::MAX, f64::min);
    let after = karpenter_nodes(&outcome).filter(|node| node.claimed.as_secs_f64() > notice);
    let replacement = after.map(|node| node.claimed.as_secs_f64()).fold(f64::MAX, f64::min);
    println!(
        "two-layer: {} nodes interrupted at {notice} s, first drain at {first_drain:.1} s, replacement asked for at {replacement:.1} s",
        interrupted.len()
    );
    // Nothing is bought before the drain begins: the evicted pods' successors ask for it.
    assert!(first_drain < replacement);
    let queue = &outcome.queues[0];
    assert_eq!((queue.totals.expired, queue.totals.dead_lettered, queue.totals.duplicates), (0, 0, 0));
    // The pods go; the nodes later than "within one minute".
    let pods_gone = outcome.pods_existing(Some(app)).steps().last().expect("pods").0.as_secs_f64();
    let nodes_gone = karpenter_nodes(&outcome).map(|node| seconds(node.terminated)).fold(0.0, f64::max);
    println!("two-layer: the last node goes {:.0} s after the last pod", nodes_gone - pods_gone);
    assert!((60.0..150.0).contains(&(nodes_gone - pods_gone)));
}

#[test]
fn two_layer_killed_consumers_leave_their_messages_to_the_visibility_timeout() {
    let outcome = run("two-layer", &[("simulation.duration", "14m"), ("consumers[0].onTerm", "die")]);
    let totals = &outcome.queues[0].totals;
    println!("two-layer: consumers that die on SIGTERM: {} messages wait out their timeout", totals.expired);
    assert!(totals.expired > 0 && totals.processed == totals.sent);
}

#[test]
fn two_layer_a_limit_of_10_cpu_never_runs_50_pods() {
    let settings = [
        ("simulation.duration", "12m"),
        ("queues.work-queue.arrivals[1].start", "12m"),
        ("faults[0].at", "12m"),
        ("NodePool/node-spot.limits.cpu", "10"),
        ("NodePool/node-od.limits.cpu", "0"),
    ];
    let outcome = run("two-layer", &settings);
    let app = workload(&outcome, "sqs-consumer");
    let ready = outcome.pods_ready(Some(app)).max(outcome.end);
    let wanted = outcome.pods_desired(Some(app)).max(outcome.end);
    println!("two-layer: limit 10 CPU, {wanted} pods wanted, {ready} ready at most");
    // 10 CPU hold 39 pods of 256m before what DaemonSets and kubelet take.
    assert!(wanted > ready && ready < 39, "{wanted} wanted, {ready} ready");
}

#[test]
fn two_layer_consolidate_after_must_outlast_the_time_without_pods_not_the_period() {
    let load = [("simulation.duration", "41m"), ("faults[0].at", "41m")];
    let of = |after: &str| {
        let outcome = run("two-layer", &[load[0], load[1], ("NodePool/node-spot.disruption.consolidateAfter", after)]);
        let launched = karpenter_nodes(&outcome).count();
        let p95 = outcome.queues[0].wait.quantile(0.95).expect("messages").as_secs_f64();
        (launched, outcome.instance_cost().total.as_f64(), p95)
    };
    let results = ["30s", "1m", "10m"].map(|after| (after, of(after)));
    for (after, (launched, cost, p95)) in results {
        println!("two-layer: consolidateAfter {after}: {launched} nodes launched, ${cost:.4}, p95 wait {p95:.0} s");
    }
    let [(_, short), (_, minute), (_, long)] = results;
    assert!(short.0 >= minute.0 && minute.0 >= long.0, "fewer launches with longer waits");
}

#[test]
fn two_layer_one_pod_in_five_runs_on_demand() {
    let settings = [
        ("simulation.duration", "5m"),
        ("queues.work-queue.arrivals[0].messages", "1"),
        ("queues.work-queue.arrivals[0].at", "290s"),
        ("queues.work-queue.arrivals[1].start", "5m"),
        ("faults[0].at", "5m"),
        ("changes[0].at", "10s"),
    ];
    let outcome = run("two-layer", &settings);
    let pods: Vec<&PodRecord> = outcome.pods_of(Some(workload(&outcome, "workload-split"))).collect();
    let on = |kind: CapacityType| {
        let placed = pods.iter().filter_map(|pod| pod.node);
        placed.filter(|node| outcome.nodes[node.0 as usize].info.capacity_type == Some(kind)).count()
    };
    assert_eq!((on(CapacityType::OnDemand), on(CapacityType::Spot)), (2, 8));
}
