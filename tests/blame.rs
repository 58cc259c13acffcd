//! Blame: each factor in a scenario in which it alone limits, and sums that hold in all of them.

use std::collections::BTreeMap;

use forescale::report::{summary, tables};
use forescale::scenario::load;
use forescale::simulation::{self, Options};
use forescale::telemetry::{Factor, Outcome, QueueRecord};

/// No accidents, and every step of a start takes no time unless a scenario says so.
const BASE: &str = r#"
[simulation]
duration = "20m"

[market]
interruptions       = "never"
onDemandUnavailable = 0
spotUnavailable     = 0
"#;
const LATENCIES: &str = r#"
[latencies]
podStart            = "0s"
appStart            = "0s"
imagePullBase       = "0s"
imagePullPer100MB   = "0s"
slowNodeProbability = 0
clusterFactorSigma  = 0
"#;
const QUICK_NODES: &str =
    "instanceRunning = \"1s\"\nnodeRegistered = \"1s\"\nnodeReady = \"1s\"\ncreateFleet = \"1s\"\n";
const SLOW_NODES: &str = "instanceRunning = \"6s\"\nnodeRegistered = \"200s\"\nnodeReady = \"200s\"\n";
const CLOCKS: &str = "\n[clocks]\nkedaFirstPoll = \"0s\"\nhpaFirstPass = \"0s\"\n";
const ROOM: &str =
    "\n[[nodeGroups]]\nname = \"room\"\ncapacity = { cpu = \"2000\", memory = \"8000Gi\", pods = 10000 }\n";
const QUEUE: &str = "\n[[queues]]\nname = \"work\"\ncounters = \"exact\"\nvisibilityTimeout = \"30m\"\n";

/// Pods of 1 CPU that take one message of `processing` at a time.
fn pods(replicas: u32, processing: &str) -> String {
    workload("worker", "work", replicas, processing, "")
}

fn workload(name: &str, queue: &str, replicas: u32, processing: &str, spec: &str) -> String {
    format!(
        r#"
[[consumers]]
deployment = "{name}"
queue      = "{queue}"
batchSize  = 1
waitTime   = "20s"
processing = "{processing}"

[[deployments]]
metadata = {{ name = "{name}" }}
[deployments.spec]
replicas = {replicas}
selector = {{ matchLabels = {{ app = "{name}" }} }}
[deployments.spec.template.metadata]
labels = {{ app = "{name}" }}
[deployments.spec.template.spec]
{spec}
containers = [{{ name = "worker", image = "w", resources = {{ requests = {{ cpu = "1", memory = "1Gi" }} }} }}]
"#
    )
}

/// A ScaledObject on the queue; `more` adds to its spec.
fn scaled(min: u32, max: u32, queue_length: u32, more: &str) -> String {
    format!(
        r#"
[[scaledObjects]]
metadata = {{ name = "worker" }}
[scaledObjects.spec]
scaleTargetRef  = {{ name = "worker" }}
minReplicaCount = {min}
maxReplicaCount = {max}
{more}
triggers = [{{ type = "aws-sqs-queue", metadata = {{ queueURL = "https://sqs.us-east-1.amazonaws.com/1/work", awsRegion = "us-east-1", queueLength = "{queue_length}" }} }}]
"#
    )
}

/// A NodePool of m5.2xlarge; `spec` adds to it.
fn pool(spec: &str) -> String {
    format!(
        r#"
[[nodePools]]
metadata = {{ name = "pool" }}
[nodePools.spec]
{spec}
[nodePools.spec.template.spec]
nodeClassRef = {{ group = "karpenter.k8s.aws", kind = "EC2NodeClass", name = "default" }}
requirements = [
  {{ key = "karpenter.sh/capacity-type", operator = "In", values = ["on-demand"] }},
  {{ key = "node.kubernetes.io/instance-type", operator = "In", values = ["m5.2xlarge"] }},
]
[nodePools.spec.disruption]
consolidationPolicy = "WhenEmpty"
consolidateAfter    = "Never"
[[ec2NodeClasses]]
metadata = {{ name = "default" }}
[ec2NodeClasses.spec]
amiSelectorTerms = [{{ alias = "al2023@latest" }}]
"#
    )
}

/// A group of m5.2xlarge that Cluster Autoscaler sizes, none at the beginning.
fn group(max: u32) -> String {
    format!(
        "\n[[nodeGroups]]\nname = \"group\"\ninstanceType = \"m5.2xlarge\"\ncount = 0\nmin = 0\nmax = {max}\n\
         \n[clusterAutoscaler]\nscanDuration = \"1s\"\ngroupLaunch = \"1s\"\n"
    )
}

/// An HPA without KEDA on a metric that `[[series]]` gives.
fn own_hpa(max: u32, more: &str) -> String {
    format!(
        r#"
[[horizontalPodAutoscalers]]
metadata = {{ name = "worker" }}
[horizontalPodAutoscalers.spec]
scaleTargetRef = {{ kind = "Deployment", name = "worker" }}
minReplicas = 1
maxReplicas = {max}
metrics = [{{ type = "External", external = {{ metric = {{ name = "depth" }}, target = {{ type = "AverageValue", averageValue = "10" }} }} }}]
{more}
[[series]]
hpa = "worker"
metric = "depth"
times = ["0s"]
values = [1000]
"#
    )
}

fn run(parts: &[&str]) -> Outcome {
    let text = [&[BASE], parts].concat().concat();
    let texts = BTreeMap::from([("scenario.toml".to_owned(), text)]);
    let loaded = load::load_texts("scenario.toml", texts, &load::Options::default()).unwrap_or_else(|e| panic!("{e}"));
    let outcome = simulation::run(&loaded.scenario, Options::replication(0)).unwrap_or_else(|e| panic!("{e}"));
    for queue in &outcome.queues {
        check_sums(queue);
    }
    let mut table = Vec::new();
    tables::write_blame(&outcome, &mut table).expect("a table in memory");
    let fractions = csv::Reader::from_reader(table.as_slice()).into_records().map(|row| row.expect("a row"));
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for row in fractions {
        *sums.entry(row[0].to_owned()).or_default() += row[3].parse::<f64>().expect("a fraction");
    }
    assert!(!sums.is_empty() && sums.values().all(|sum| (sum - 1.0).abs() < 1e-9), "{sums:?}");
    let all = summary::summarize(&outcome, &loaded.scenario.objectives);
    let queues: f64 = all.queues.iter().flat_map(|queue| queue.blame_message_s.values()).sum();
    assert!((queues - all.blame_message_s.values().sum::<f64>()).abs() < 1e-2);
    outcome
}

/// Shares sum to 1, and what waits is what the messages waited: two counts that know nothing of each other.
fn check_sums(queue: &QueueRecord) {
    let blame = &queue.blame;
    let shares: f64 = blame.ranking().iter().map(|(_, _, share)| share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    let waited = |times: &forescale::telemetry::Durations| {
        times.mean().map_or(0.0, |mean| mean.as_secs_f64() * times.count() as f64)
    };
    let waits = waited(&queue.wait) + waited(&queue.unfinished.waiting);
    let lost = blame.message_micros(Factor::VisibilityTimeout);
    let blamed = (blame.total_micros() - lost) as f64 / 1e6;
    // Between two looks the backlog is taken to change evenly.
    assert!((blamed - waits).abs() <= 0.01 * waits + 20.0, "blamed {blamed} message-seconds, waited {waits}");
}

fn share(outcome: &Outcome, queue: usize, factor: Factor) -> f64 {
    let blame = &outcome.queues[queue].blame;
    blame.message_micros(factor) as f64 / blame.total_micros() as f64
}

fn assert_blames(factor: Factor, parts: &[&str]) -> Outcome {
    let outcome = run(parts);
    let found = share(&outcome, 0, factor);
    assert!(found > 0.95, "{}: {found}, of {:?}", factor.key(), outcome.queues[0].blame.ranking());
    outcome
}

fn backlog(messages: u32) -> String {
    format!("{QUEUE}backlog = {messages}\n")
}

#[test]
fn the_maximum_of_replicas() {
    let (pods, scaled) = (pods(4, "1s"), scaled(4, 4, 5, ""));
    assert_blames(Factor::MaxReplicas, &[LATENCIES, CLOCKS, ROOM, &backlog(20_000), &pods, &scaled]);
}

#[test]
fn the_boot_of_nodes() {
    assert_blames(Factor::NodeBoot, &[LATENCIES, SLOW_NODES, &backlog(50), &pods(1, "10ms"), &pool("")]);
}

#[test]
fn the_poll_of_keda() {
    let clocks = "\n[clocks]\nkedaFirstPoll = \"290s\"\nhpaFirstPass = \"0s\"\n";
    let parts = [LATENCIES, clocks, ROOM, &backlog(50), &pods(0, "10ms"), &scaled(0, 4, 50, "pollingInterval = 300")];
    assert_blames(Factor::KedaPoll, &parts);
    // More than the maximum could do is waiting, but nothing is done before the poll.
    let parts = [LATENCIES, clocks, ROOM, &backlog(50), &pods(0, "10ms"), &scaled(0, 4, 1, "pollingInterval = 300")];
    assert_blames(Factor::KedaPoll, &parts);
}

#[test]
fn the_sync_of_the_hpa() {
    let clocks = "\n[clocks]\nkedaFirstPoll = \"0s\"\nhpaFirstPass = \"19m50s\"\nhpaSyncPeriod = \"20m\"\n";
    let keda = scaled(1, 200, 10, "");
    assert_blames(Factor::HpaSync, &[LATENCIES, clocks, ROOM, &backlog(1000), &pods(1, "60s"), &keda]);
    assert_blames(Factor::HpaSync, &[LATENCIES, clocks, ROOM, &backlog(1000), &pods(1, "60s"), &own_hpa(200, "")]);
}

#[test]
fn the_policy_or_the_window_of_the_hpa() {
    let rules = [
        "{ policies = [{ type = \"Pods\", value = 1, periodSeconds = 1800 }] }",
        "{ stabilizationWindowSeconds = 1800 }",
    ];
    for rule in rules {
        let more = format!("advanced = {{ horizontalPodAutoscalerConfig = {{ behavior = {{ scaleUp = {rule} }} }} }}");
        let keda = scaled(1, 200, 10, &more);
        assert_blames(Factor::HpaPolicy, &[LATENCIES, CLOCKS, ROOM, &backlog(1000), &pods(1, "60s"), &keda]);
        let own = own_hpa(200, &format!("behavior = {{ scaleUp = {rule} }}"));
        assert_blames(Factor::HpaPolicy, &[LATENCIES, CLOCKS, ROOM, &backlog(1000), &pods(1, "60s"), &own]);
    }
}

#[test]
fn the_tolerance_of_the_hpa_is_its_policy() {
    // 105 messages, 10 a replica: 11 would be needed, 10 are within the tolerance of a tenth.
    let keda = scaled(10, 200, 10, "");
    assert_blames(Factor::HpaPolicy, &[LATENCIES, CLOCKS, ROOM, &backlog(105), &pods(10, "2h"), &keda]);
}

#[test]
fn the_maximum_of_an_hpa_of_ones_own() {
    let parts = [LATENCIES, CLOCKS, ROOM, &backlog(1000), &pods(4, "60s"), &own_hpa(4, "")];
    assert_blames(Factor::MaxReplicas, &parts);
}

#[test]
fn the_scheduler() {
    let down = "\n[[faults]]\nkind = \"schedulerDown\"\nat = \"0s\"\nduration = \"10m\"\n";
    assert_blames(Factor::Scheduler, &[LATENCIES, ROOM, &backlog(50), &pods(5, "10ms"), down]);
    // Ten have room, nobody makes more nodes.
    let small = "\n[[nodeGroups]]\nname = \"small\"\ncapacity = { cpu = \"10\", memory = \"80Gi\", pods = 100 }\n";
    assert_blames(Factor::Scheduler, &[LATENCIES, small, &backlog(1000), &pods(50, "60s")]);
}

#[test]
fn the_batch_of_karpenter() {
    let clocks = "\n[clocks]\nbatchIdle = \"5m\"\nbatchMax = \"5m\"\n";
    let parts = [LATENCIES, QUICK_NODES, clocks, &backlog(50), &pods(1, "10ms"), &pool("")];
    assert_blames(Factor::KarpenterBatch, &parts);
}

#[test]
fn the_limit_of_a_node_pool() {
    // One node of 8 vCPU, and most of the pods without one.
    for limit in ["limits = { cpu = 8 }", "limits = { cpu = 14 }", "limits = { nodes = 1 }"] {
        let parts = [LATENCIES, QUICK_NODES, &backlog(5000), &pods(60, "60s"), &pool(limit)];
        let outcome = run(&parts);
        let found = share(&outcome, 0, Factor::NodePoolLimit);
        // The limit of nodes does not hold within a pass: all are made.
        let expected = if limit.contains("nodes") { 0.0..0.01 } else { 0.95..1.0 };
        assert!(expected.contains(&found), "{limit}: {found}, of {:?}", outcome.queues[0].blame.ranking());
        assert_eq!(!limit.contains("nodes"), outcome.marks.iter().any(|mark| mark.text == "NodePool limit reached"));
    }
}

#[test]
fn the_capacity_of_ec2() {
    let none = "\n[[faults]]\nkind = \"insufficientCapacity\"\nat = \"0s\"\n";
    assert_blames(Factor::NoCapacity, &[LATENCIES, QUICK_NODES, &backlog(50), &pods(5, "1s"), &pool(""), none]);
}

#[test]
fn the_capacity_of_ec2_is_blamed_for_those_who_lack_it_only() {
    let none = "\n[[faults]]\nkind = \"insufficientCapacity\"\nat = \"0s\"\nzone = \"us-east-1a\"\n";
    let in_zone = |zone: &str| format!("nodeSelector = {{ \"topology.kubernetes.io/zone\" = \"{zone}\" }}");
    let (without, with) = (in_zone("us-east-1a"), in_zone("us-east-1b"));
    let more = "\n[[queues]]\nname = \"other\"\nbacklog = 50\n";
    let outcome = run(&[
        LATENCIES,
        SLOW_NODES,
        &backlog(50),
        more,
        &workload("worker", "work", 5, "1s", &without),
        &workload("other", "other", 5, "1s", &with),
        &pool(""),
        none,
    ]);
    assert!(share(&outcome, 0, Factor::NoCapacity) > 0.95, "{:?}", outcome.queues[0].blame.ranking());
    assert!(share(&outcome, 1, Factor::NodeBoot) > 0.95, "{:?}", outcome.queues[1].blame.ranking());
}

#[test]
fn cluster_autoscaler_boots_nodes_reaches_its_limit_and_lacks_capacity() {
    let boot = [LATENCIES, SLOW_NODES, &backlog(50), &pods(1, "10ms"), &group(3)];
    assert_blames(Factor::NodeBoot, &boot);
    let limit = [LATENCIES, QUICK_NODES, &backlog(5000), &pods(60, "60s"), &group(1)];
    assert_blames(Factor::NodePoolLimit, &limit);
    let none = "\n[[faults]]\nkind = \"insufficientCapacity\"\nat = \"0s\"\n";
    assert_blames(Factor::NoCapacity, &[LATENCIES, QUICK_NODES, &backlog(50), &pods(5, "1s"), &group(3), none]);
}

#[test]
fn the_start_of_pods() {
    let slow = LATENCIES.replace("appStart            = \"0s\"", "appStart = \"5m\"");
    assert_ne!(slow, LATENCIES);
    assert_blames(Factor::PodStart, &[&slow, ROOM, &backlog(50), &pods(1, "10ms")]);
}

#[test]
fn the_visibility_timeout_of_lost_work() {
    let crash = "\n[[faults]]\nkind = \"podCrash\"\nat = \"30s\"\n";
    assert_blames(Factor::VisibilityTimeout, &[LATENCIES, ROOM, &backlog(10), &pods(10, "60s"), crash]);
}

#[test]
fn the_group_of_a_fifo_queue() {
    let fifo = "\n[[queues]]\nname = \"work.fifo\"\nfifo = true\nvisibilityTimeout = \"30m\"\nbacklog = 1000\n";
    for (groups, pods, factor) in
        [(1, 50, Factor::FifoGroup), (10, 50, Factor::FifoGroup), (1000, 5, Factor::ConsumersSaturated)]
    {
        let fifo = format!("{fifo}backlogGroups = {groups}\n");
        assert_blames(factor, &[LATENCIES, ROOM, &fifo, &workload("worker", "work.fifo", pods, "5s", "")]);
    }
    // Of 100 groups 10 are in work: nine tenths of the messages could be, had they consumers.
    let outcome = run(&[
        LATENCIES,
        ROOM,
        &format!("{fifo}backlogGroups = 100\n"),
        &workload("worker", "work.fifo", 10, "5s", ""),
    ]);
    let blocked = share(&outcome, 0, Factor::FifoGroup);
    assert!((0.05..0.2).contains(&blocked), "{blocked}");
}

#[test]
fn the_consumers() {
    let keda = scaled(4, 400, 5000, "");
    assert_blames(Factor::ConsumersSaturated, &[LATENCIES, CLOCKS, ROOM, &backlog(20_000), &pods(4, "1s"), &keda]);
    assert_blames(Factor::ConsumersSaturated, &[LATENCIES, ROOM, &backlog(20_000), &pods(4, "1s")]);
}

#[test]
fn the_money_of_every_node_is_split_without_rest() {
    let crash = "\n[[faults]]\nkind = \"podCrash\"\nat = \"10m\"\n";
    let queue = QUEUE.replace("30m", "2m");
    let more = format!("{queue}backlog = 400\n");
    let calm = run(&[LATENCIES, QUICK_NODES, &more, &pods(10, "20s"), &pool("")]);
    let crashed = run(&[LATENCIES, QUICK_NODES, &more, &pods(10, "20s"), &pool(""), crash]);
    for outcome in [&calm, &crashed] {
        let mut total = forescale::units::Usd::ZERO;
        for (_, bill) in outcome.bills() {
            let cost = bill.cost(outcome.end);
            assert_eq!(cost.sum(), cost.total);
            total += cost.total;
        }
        let cost = outcome.instance_cost();
        assert!(cost.total == total && cost.sum() == total && total > forescale::units::Usd::ZERO);
        assert!(cost.boot > forescale::units::Usd::ZERO && cost.idle > forescale::units::Usd::ZERO);
    }
    // 400 messages of 20 s on 10 pods: 800 of some 1,190 s are work; nothing is done twice.
    let (cost, again) = (calm.instance_cost(), crashed.instance_cost());
    assert_eq!(cost.redone, forescale::units::Usd::ZERO);
    let share = cost.useful.as_f64() / (cost.useful + cost.idle + cost.empty).as_f64();
    assert!((0.4..0.8).contains(&share), "{share}");
    // Ten messages were in work when the pods crashed, on average half done.
    let redone = again.redone.as_f64() / again.useful.as_f64();
    assert!((0.002..0.03).contains(&redone), "{redone}");
}
