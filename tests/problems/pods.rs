//! Problems of KEDA, the HPA and the queue: 2, 7 to 14, 30 to 32.

use std::collections::BTreeMap;

use forescale::cluster::Rule;
use forescale::scenario::Scenario;
use forescale::scenario::load::{self, load_texts};
use forescale::simulation::{self, Options};
use forescale::telemetry::outcome::WorkloadRecord;
use forescale::time::Duration;

use crate::support::*;

const POLL: &str = "ScaledObject/worker.pollingInterval";
const COOLDOWN: &str = "ScaledObject/worker.cooldownPeriod";
const MIN: &str = "ScaledObject/worker.minReplicaCount";
const IN_FLIGHT: &str = "ScaledObject/worker.triggers[0].metadata.scaleOnInFlight";

#[test]
fn problem_02_scale_in_kills_busy_workers_unless_the_grace_period_covers_the_message() {
    let grace = |seconds| run("02-scale-in-kills-busy-workers", &[(GRACE, seconds)]);
    const GRACE: &str = "Deployment/worker.template.spec.terminationGracePeriodSeconds";
    let (short, medium, long) = (grace("30"), grace("600"), grace("1800"));
    let killed = |outcome: &forescale::telemetry::Outcome| outcome.queues[0].totals.expired;
    assert!(killed(&short) > 50 && killed(&medium) > 0 && killed(&medium) < killed(&short) / 2);
    assert_eq!(killed(&long), 0);
    assert_eq!(long.queues[0].totals.processed, 500);
    // Each kill is a message received once more, and no kill has its price in hours of pods that finish.
    let received = |outcome: &forescale::telemetry::Outcome| outcome.queues[0].totals.received;
    assert_eq!(received(&long), 500);
    let left = short.queues[0].totals.left;
    let ended = short.queues[0].totals.processed + killed(&short);
    assert!((ended..=ended + left).contains(&received(&short)), "{} received, {ended} ended", received(&short));
    assert!(pods_stopped(&short, "ScaledDown") >= killed(&short) as usize);
    let stopping =
        |outcome: &forescale::telemetry::Outcome| outcome.pods_terminating(None).integral(outcome.end) as f64 / 3.6e9;
    assert!(stopping(&long) > 3.0 * stopping(&short), "{} {}", stopping(&long), stopping(&short));
    println!("grace 30 s: {} killed, {:.1} pod-hours", killed(&short), pod_hours(&short));
    println!("grace 600 s: {} killed, {:.1} pod-hours", killed(&medium), pod_hours(&medium));
    println!("grace 1800 s: {} killed, {:.1} pod-hours", killed(&long), pod_hours(&long));
}

#[test]
fn problem_07_the_cooldown_only_counts_down_to_zero() {
    let name = "07-cooldown-period";
    let curve = |minimum, cooldown| staircase(&run(name, &[(MIN, minimum), (COOLDOWN, cooldown)]));
    let [short, medium, long] = ["60", "300", "900"].map(|cooldown| curve("1", cooldown));
    assert!(short == medium && medium == long);
    assert_eq!(short.last().map(|(_, count)| *count), Some(1));
    let zero = ["60", "300", "900"].map(|cooldown| curve("0", cooldown));
    let ends: Vec<f64> = zero.iter().map(|curve| curve[curve.len() - 1].0).collect();
    assert!(zero.iter().all(|curve| curve[curve.len() - 1].1 == 0));
    // Both count from the same poll, the last one that saw a message.
    assert!((ends[1] - ends[0] - 240.0).abs() < 1.0 && (ends[2] - ends[1] - 600.0).abs() < 1.0, "{ends:?}");
    let warnings = loaded(name, &[]).problems.list;
    assert!(warnings.iter().any(|warning| warning.message.contains("`cooldownPeriod` has no effect")));
    assert!(loaded(name, &[(MIN, "0")]).problems.list.is_empty());
}

#[test]
fn problem_08_the_polling_interval_matters_only_with_cached_metrics() {
    const CACHED: &str = "ScaledObject/worker.triggers[0].useCachedMetrics";
    let of = |interval, cached| run("08-polling-interval", &[(POLL, interval), (CACHED, cached)]);
    let live = ["5", "15", "30", "60"].map(|interval| of(interval, "false"));
    let cached = ["5", "15", "30", "60"].map(|interval| of(interval, "true"));
    assert!(live.iter().all(|outcome| staircase(outcome) == staircase(&live[0])));
    for (index, interval) in [5.0, 15.0, 30.0, 60.0].into_iter().enumerate() {
        let lag = staircase(&cached[index])[1].0 - staircase(&live[index])[1].0;
        assert!((-1.0..=interval).contains(&lag), "{interval} s: {lag} s later");
        println!(
            "{interval} s: live {} requests, wait at most {:.0} s; cached {} requests, {lag:.0} s later, at most {:.0} s",
            live[index].queues[0].totals.requests,
            longest_wait(&live[index]),
            cached[index].queues[0].totals.requests,
            longest_wait(&cached[index]),
        );
        assert!(cached[index].queues[0].totals.requests < live[index].queues[0].totals.requests);
    }
    assert!(longest_wait(&cached[3]) > longest_wait(&cached[0]) + 30.0);
}

#[test]
fn problem_09_a_short_cooldown_drops_all_replicas_at_once() {
    let name = "09-all-to-zero-in-one-jump";
    let drop = |curve: &[(f64, i64)]| curve.windows(2).map(|pair| pair[0].1 - pair[1].1).max().unwrap_or(0);
    let short = staircase(&run(name, &[]));
    assert_eq!(short[short.len() - 2..].iter().map(|step| step.1).collect::<Vec<_>>(), [50, 0]);
    let long = staircase(&run(name, &[(COOLDOWN, "900")]));
    assert_eq!(long[long.len() - 2..].iter().map(|step| step.1).collect::<Vec<_>>(), [1, 0]);
    let one = staircase(&run(name, &[(MIN, "1")]));
    assert!(drop(&short) == 50 && drop(&long) < 10 && drop(&one) < 10);
    // The proposed rule: the HPA brings them down to one, and KEDA takes that away.
    let proposed = staircase(&run(name, &[("keda.zeroFromOneOnly", "true")]));
    assert_eq!(proposed[proposed.len() - 2..].iter().map(|step| step.1).collect::<Vec<_>>(), [1, 0]);
    assert!(
        drop(&proposed) < 10
            && proposed[proposed.len() - 1].0
                < staircase(&run(name, &[(COOLDOWN, "900")])).last().map_or(0.0, |end| end.0)
    );
    assert_eq!(one[one.len() - 1].1, 1);
}

#[test]
fn problem_10_messages_of_dead_workers_count_until_their_visibility_timeout() {
    let name = "10-in-flight";
    let (counted, not) = (run(name, &[]), run(name, &[(IN_FLIGHT, "\"false\"")]));
    let in_flight = |second| counted.queues[0].in_flight.at(at(second));
    // All else is done: what is left in flight belongs to workers that died, and nothing of it comes back before the timeout.
    let ghosts = in_flight(1600.0);
    assert!(ghosts > 5, "{ghosts}");
    assert!([1650.0, 1700.0, 1800.0, 1860.0].iter().all(|second| in_flight(*second) == ghosts));
    assert!(counted.queues[0].totals.expired >= ghosts as u64);
    let ratio = wanted(&counted, 700.0) as f64 / wanted(&not, 700.0) as f64;
    println!("{ghosts} ghosts; replicas after 700 s {} against {}", wanted(&counted, 700.0), wanted(&not, 700.0));
    assert!(ratio > 1.2, "{ratio}");
    // Before the work starts they agree.
    assert_eq!(wanted(&counted, 151.0), wanted(&not, 151.0));
}

#[test]
fn problem_11_the_links_of_a_cold_start_sum_to_the_age_of_the_first_message() {
    let mut waits = Vec::new();
    for replication in 0..5 {
        let outcome = run_replication("11-first-message", &[], replication);
        let (pod, node) = (&outcome.pods[0], &outcome.nodes[0]);
        let instants = [
            Some(at(300.0)),
            Some(pod.created),
            Some(node.claimed),
            node.launched,
            node.registered,
            node.ready,
            pod.scheduled,
            pod.pulled,
            pod.started,
            pod.ready,
            pod.ready.map(|ready| ready + Duration::from_secs(3)),
        ]
        .map(seconds);
        let links: Vec<f64> = instants.windows(2).map(|pair| pair[1] - pair[0]).collect();
        println!("{links:.1?}");
        assert!(links.iter().all(|link| *link >= 0.0), "{links:?}");
        assert!(links[0] <= 30.1, "a poll comes within its interval");
        let wait = longest_wait(&outcome);
        let sum: f64 = links.iter().sum();
        assert!((wait - sum).abs() < 1.0, "{wait} against {sum}");
        waits.push(wait);
    }
    let warm = run("11-first-message", &[(MIN, "1"), ("Deployment/worker.replicas", "1")]);
    assert!(longest_wait(&warm) < 1.0 && waits.iter().all(|wait| *wait > 30.0));
}

#[test]
fn problem_12_the_staircase_is_exact_and_the_ramp_chooses_the_nodes() {
    let name = "12-ramp";
    let steep = run(name, &[]);
    let steps = staircase(&steep);
    assert_eq!(steps.iter().map(|step| step.1).collect::<Vec<_>>(), [1, 5, 10, 20, 40, 80, 160]);
    for pair in steps[1..].windows(2) {
        assert!((pair[1].0 - pair[0].0 - 15.0).abs() < 0.1, "{steps:?}");
    }
    const POLICIES: &str = "ScaledObject/worker.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.policies";
    let slow = run(name, &[(POLICIES, "[{ type = \"Pods\", value = 4, periodSeconds = 30 }]")]);
    let steps = staircase(&slow);
    assert!(steps.windows(2).all(|pair| pair[1].1 - pair[0].1 <= 4), "{steps:?}");
    let largest = |outcome| {
        karpenter_nodes(outcome).map(|node| node.info.capacity.get(forescale::units::Resource::Cpu) / 1000).max()
    };
    let counts = (karpenter_nodes(&steep).count(), karpenter_nodes(&slow).count());
    println!("{counts:?} nodes, largest {:?} and {:?} vCPU", largest(&steep), largest(&slow));
    assert!(counts.1 > 2 * counts.0 && largest(&steep) > largest(&slow));
}

#[test]
fn problem_13_phantom_messages_wake_an_empty_queue() {
    let name = "13-flapping";
    let activations = |outcome| staircase(outcome).windows(2).filter(|pair| pair[0].1 == 0 && pair[1].1 > 0).count();
    let noisy = run(name, &[("simulation.duration", "3h")]);
    assert!(activations(&noisy) > 0);
    // No message was sent, and every activation buys a node.
    assert_eq!(noisy.queues[0].totals.sent, 0);
    let nodes = karpenter_nodes(&noisy).count();
    println!("{} activations, {nodes} nodes, ${:.3}", activations(&noisy), dollars(&noisy));
    assert!(nodes >= activations(&noisy));
    // Activations are polls that see a phantom: one in fifty of the polls of an empty queue that is at zero.
    let at_zero = noisy.end.as_secs_f64() - noisy.workloads[0].desired.integral(noisy.end) as f64 / 1e6;
    let expected = at_zero / 30.0 * 0.02;
    let seen = activations(&noisy) as f64;
    assert!((seen - expected).abs() < 3.0 * expected.sqrt(), "{seen} instead of {expected:.1}");
    const ABOVE: &str = "ScaledObject/worker.triggers[0].metadata.activationQueueLength";
    let deaf = run(name, &[("simulation.duration", "3h"), (ABOVE, "\"2\"")]);
    assert_eq!((activations(&deaf), karpenter_nodes(&deaf).count()), (0, 0));
    assert_eq!(activations(&run(name, &[("simulation.duration", "3h"), ("queues.work.phantoms", "0")])), 0);
}

/// `decisions.csv` tells how many Jobs the first poll would have made without maxReplicaCount.
#[test]
fn problem_14_the_log_names_the_jobs_that_max_replica_count_prevents() {
    let first = |max: &str| {
        let settings = [("ScaledJob/worker.maxReplicaCount", max), ("simulation.duration", "5m")];
        let outcome = run("14-scaled-job-storm", &settings);
        let created = outcome.decisions.iter().find(|decision| decision.rule == Rule::StrategyDefault);
        created.map(|decision| (decision.counts().to, decision.counts().wanted)).unwrap()
    };
    let (without, nothing) = first("500");
    assert_eq!(nothing, None);
    assert_eq!(first("7"), (Some(7), without));
}

#[test]
fn problem_14_the_wrong_strategy_starts_several_jobs_a_message() {
    let jobs = |strategy: &str, in_flight: &str| {
        let settings = [
            ("queues.work.arrivals[0].messages", "20"),
            ("ScaledJob/worker.scalingStrategy.strategy", strategy),
            ("ScaledJob/worker.triggers[0].metadata.scaleOnInFlight", in_flight),
        ];
        let outcome = run("14-scaled-job-storm", &settings);
        assert_eq!(outcome.queues[0].totals.processed, 20);
        let per_message = outcome.pods.len() as f64 / 20.0;
        println!(
            "{strategy} {in_flight}: {per_message:.2} jobs a message, {} nodes",
            karpenter_nodes(&outcome).count()
        );
        per_message
    };
    let (yes, no) = ("\"true\"", "\"false\"");
    assert!((jobs("default", yes) - 1.0).abs() < 0.06);
    // Hidden messages are counted once as a message and once as a running Job: new ones wait, but no Job is in vain.
    assert!((jobs("default", no) - 1.0).abs() < 0.06);
    assert!((jobs("custom", yes) - 1.0).abs() < 0.06);
    assert!((jobs("custom", no) - 1.0).abs() < 0.06);
    assert!((jobs("accurate", no) - 1.0).abs() < 0.11);
    assert!(jobs("accurate", yes) > 2.0);
    assert!(jobs("eager", no) > 2.0);
    assert!(jobs("eager", yes) > 2.0);
}

#[test]
fn problem_30_nothing_changes_within_the_tolerance() {
    let curve = staircase(&run("30-dead-band", &[]));
    let counts: Vec<i64> = curve.iter().map(|step| step.1).collect();
    // 105 and 110 and 111 for 10 replicas: ratios 1.05, 1.1 and 1.11.
    assert_eq!(counts, [10, 12, 11]);
    assert!((900.0..916.0).contains(&curve[1].0), "{curve:?}");
    assert!((1800.0..1816.0).contains(&curve[2].0), "{curve:?}");
    const UP: &str = "ScaledObject/worker.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp";
    let exact = staircase(&run("30-dead-band", &[(UP, "{ tolerance = \"0.01\" }")]));
    assert_eq!(exact[1].1, 11);
    assert!((300.0..316.0).contains(&exact[1].0), "{exact:?}");
}

#[test]
fn problem_31_without_metrics_the_count_stays_unless_there_is_a_fallback() {
    let name = "31-metric-outage";
    let none = staircase(&run(name, &[]));
    assert!(none.iter().all(|step| !(601.0..1800.0).contains(&step.0)), "{none:?}");
    const FALLBACK: &str = "ScaledObject/worker.fallback";
    let fallback = run(name, &[(FALLBACK, "{ failureThreshold = 3, replicas = 40 }")]);
    let reached = fallback.workloads[0].desired.first(at(600.0), |count| count == 40);
    println!("fallback reached after {:.0} s", seconds(reached) - 600.0);
    assert!((600.0..760.0).contains(&seconds(reached)));
    assert_eq!(wanted(&fallback, 1700.0), 40);
    assert!(longest_wait(&fallback) < longest_wait(&run(name, &[])) / 2.0);
}

#[test]
fn problem_32_a_fleet_is_polled_object_by_object() {
    let outcome = run("32-fleet-of-scaled-objects", &[]);
    assert_eq!(outcome.queues.len(), 20);
    for (queue, workload) in outcome.queues.iter().zip(&outcome.workloads) {
        let activated = seconds(workload.desired.first(at(0.0), |count| count > 0)) - 300.0;
        assert!((0.0..=31.0).contains(&activated), "{}: {activated} s", queue.name);
        assert_eq!(queue.totals.processed, 1);
    }
    // All share the pool: far fewer nodes than queues.
    assert!(karpenter_nodes(&outcome).count() < 10);
    // One GetQueueAttributes a poll; the objects at zero are not asked by the HPA.
    let requests: u64 = outcome.queues.iter().map(|queue| queue.totals.requests).sum();
    println!("{requests} requests, {} nodes", karpenter_nodes(&outcome).count());
    assert!(requests >= 20 * 30);
}

/// The scenario with every queue and its objects so many times.
fn fleet(times: usize) -> Scenario {
    let folder = path("32-fleet-of-scaled-objects");
    let folder = folder.parent().expect("the folder of the problems");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a text of the scenario");
    let again = |text: &str| -> String {
        let numbered =
            |time| text.replace("work-", &format!("work-{time}-")).replace("worker-", &format!("worker-{time}-"));
        (0..times).map(numbered).collect()
    };
    let toml = read("32-fleet-of-scaled-objects.toml");
    let (first, rest) = toml.split_once("[[queues]]").expect("a queue");
    let (queues, last) = rest.split_once("[[nodePools]]").expect("a NodePool");
    let toml = format!("{first}{}[[nodePools]]{last}", again(&format!("[[queues]]{queues}")));
    let manifests = again(&format!("{}---\n", read("32-fleet/workers.yaml")));
    let texts = BTreeMap::from([("fleet.toml".to_owned(), toml), ("32-fleet/workers.yaml".to_owned(), manifests)]);
    load_texts("fleet.toml", texts, &load::Options::default()).unwrap_or_else(|invalid| panic!("{invalid}")).scenario
}

#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimisation")]
fn problem_32_a_fleet_of_500_is_activated_no_later() {
    let outcome = simulation::run(&fleet(25), Options::replication(0)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.queues.len(), 500);
    let activated = |workload: &WorkloadRecord| seconds(workload.desired.first(at(0.0), |count| count > 0)) - 300.0;
    let slowest = outcome.workloads.iter().map(activated).fold(0.0, f64::max);
    let first = outcome.queues.iter().map(|queue| seconds(queue.totals.first_processed) - 300.0).fold(0.0, f64::max);
    let requests: u64 = outcome.queues.iter().map(|queue| queue.totals.requests).sum();
    let line = format!(
        "500 queues: the last object active after {slowest:.1} s, its message done after {first:.0} s; {requests} requests, {} nodes",
        karpenter_nodes(&outcome).count()
    );
    in_comment("32-fleet-of-scaled-objects", &[line]);
    assert!((25.0..=31.0).contains(&slowest), "{slowest}");
    assert!(outcome.queues.iter().all(|queue| queue.totals.processed == 1));
    assert!(requests >= 500 * 30);
}
