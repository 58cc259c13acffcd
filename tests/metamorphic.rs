//! What must not change, or must change in a known way, when a scenario is changed in a known way.

use std::collections::BTreeMap;

use forescale::report::{files, summary, tables, timeline};
use forescale::scenario::load::load_texts;
use forescale::scenario::{Options, Scenario};
use forescale::simulation;
use forescale::telemetry::Outcome;
use forescale::time::{Duration, Time};

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: worker }
spec:
  replicas: 0
  selector: { matchLabels: { app: worker } }
  template:
    metadata: { labels: { app: worker } }
    spec:
      nodeSelector: { kubernetes.io/arch: amd64 }
      containers:
        - name: worker
          image: worker:1
          resources: { requests: { cpu: 500m, memory: 512Mi } }
";
const SCALED_OBJECT: &str = "
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: { name: worker }
spec:
  scaleTargetRef: { name: worker }
  pollingInterval: 15
  cooldownPeriod: 60
  minReplicaCount: 0
  maxReplicaCount: 20
  triggers:
    - type: aws-sqs-queue
      metadata:
        queueURL: https://sqs.us-east-1.amazonaws.com/123456789012/work
        awsRegion: us-east-1
        queueLength: \"5\"
";
const NODE_CLASS: &str = "
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: { name: default }
spec: { amiSelectorTerms: [{ alias: al2023@latest }] }
";

fn node_pool(name: &str, requirements: &str) -> String {
    format!(
        "
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {{ name: {name} }}
spec:
  template:
    spec:
      requirements:
        - {{ key: karpenter.sh/capacity-type, operator: In, values: [on-demand] }}
        {requirements}
      nodeClassRef: {{ group: karpenter.k8s.aws, kind: EC2NodeClass, name: default }}
  disruption: {{ consolidationPolicy: WhenEmpty, consolidateAfter: 30s }}
"
    )
}

fn manifests() -> Vec<String> {
    vec![DEPLOYMENT.to_owned(), SCALED_OBJECT.to_owned(), node_pool("pool", ""), NODE_CLASS.to_owned()]
}

/// A burst at an instant, and nodes bought for it. All phases are given, so that only what the test changes changes.
fn burst(at: &str, duration: &str, extra: &str) -> String {
    format!(
        "[simulation]\nduration = \"{duration}\"\nmanifests = [\"*.yaml\"]\n\
         [[queues]]\nname = \"work\"\nservice = \"moto\"\nvisibilityTimeout = \"2m\"\n\
         [[queues.arrivals]]\npattern = \"burst\"\nat = \"{at}\"\nmessages = 300\nover = \"10s\"\n\
         [[consumers]]\ndeployment = \"worker\"\nqueue = \"work\"\nbatchSize = 1\nwaitTime = \"20s\"\nonTerm = \"drain\"\n\
         processing = {{ lognormal = {{ p50 = \"4s\", p99 = \"20s\" }} }}\n\
         [market]\ninterruptions = \"never\"\nonDemandUnavailable = 0.0\n\
         [clocks]\nkedaFirstPoll = \"1s\"\nhpaFirstPass = \"2s\"\nhpaPassDormant = \"0s\"\ndisruptionFirstPass = \"3s\"\n{extra}"
    )
}

fn scenario(toml: &str, manifests: &[String]) -> Scenario {
    scenario_of(toml, BTreeMap::from([("all.yaml".to_owned(), manifests.join("\n---\n"))]))
}

fn scenario_of(toml: &str, mut texts: BTreeMap<String, String>) -> Scenario {
    texts.insert("scenario.toml".to_owned(), toml.to_owned());
    match load_texts("scenario.toml", texts, &Options::default()) {
        Ok(loaded) => loaded.scenario,
        Err(invalid) => panic!("{invalid}"),
    }
}

fn run(toml: &str, manifests: &[String]) -> Outcome {
    let outcome = simulation::run(&scenario(toml, manifests), simulation::Options::replication(0));
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// Everything that is written of a run.
fn written(outcome: &Outcome) -> String {
    let objectives = forescale::api::decode::defaults();
    let mut bytes = files::json(&summary::summarize(outcome, &objectives)).into_bytes();
    timeline::write(outcome, &mut bytes).expect("a file in memory");
    tables::write_decisions(outcome, &mut bytes).expect("a file in memory");
    tables::write_nodes(outcome, &mut bytes).expect("a file in memory");
    tables::write_pods(outcome, &mut bytes).expect("a file in memory");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn assert_same(a: &Outcome, b: &Outcome) {
    let (a, b) = (written(a), written(b));
    if let Some((a, b)) = a.lines().zip(b.lines()).find(|(a, b)| a != b) {
        panic!("{a}\n{b}");
    }
    assert_eq!(a.len(), b.len());
}

/// Relation: manifests in any order, in one file or in several, leave the same bytes.
#[test]
fn the_order_of_manifests_does_not_matter() {
    let toml = burst("1m", "15m", "");
    let outcome = run(&toml, &manifests());
    assert!(outcome.nodes.len() > 1 && outcome.processed() == 300, "nothing happens in this scenario");
    let mut other = manifests();
    for _ in 0..other.len() {
        other.rotate_left(1);
        assert_same(&outcome, &run(&toml, &other));
    }
    other.reverse();
    assert_same(&outcome, &run(&toml, &other));
    let files = other.iter().enumerate().map(|(index, text)| (format!("{index}.yaml"), text.clone())).collect();
    let apart = simulation::run(&scenario_of(&toml, files), simulation::Options::replication(0));
    assert_same(&outcome, &apart.unwrap_or_else(|error| panic!("{error}")));
}

/// Relation: a NodePool that no pod can use leaves the same bytes as none.
#[test]
fn a_pool_that_no_pod_can_use_does_not_matter() {
    let toml = burst("1m", "15m", "");
    let mut more = manifests();
    more.push(node_pool("unused", "- { key: kubernetes.io/arch, operator: In, values: [arm64] }"));
    assert_same(&run(&toml, &manifests()), &run(&toml, &more));
}

/// Relation: traffic and changes that come half an hour later move all instants of the workload's pods, and nothing else, by exactly
/// half an hour: same waits, same cost of nodes in use.
#[test]
fn what_comes_later_happens_later() {
    // By half an hour: a multiple of all periods. (A pass of the HPA that reads nothing takes no time here: else each would move the
    // phase of the next.)
    let shift = Duration::from_mins(30);
    let early = run(&burst("1m", "15m", "[[changes]]\nat = \"8m\"\nscale = { worker = 3 }\n"), &manifests());
    let late = run(&burst("31m", "45m", "[[changes]]\nat = \"38m\"\nscale = { worker = 3 }\n"), &manifests());
    let of = |outcome: &Outcome, shift: Duration| -> Vec<[Option<Time>; 5]> {
        let shifted = |at: Option<Time>| at.map(|at| at + shift);
        let pods = outcome.pods.iter().filter(|pod| pod.workload.is_some());
        pods.map(|pod| [Some(pod.created), pod.scheduled, pod.ready, pod.stopping, pod.ended].map(shifted)).collect()
    };
    let (of_early, of_late) = (of(&early, shift), of(&late, Duration::ZERO));
    assert!(of_early.len() >= 20);
    assert_eq!(of_early, of_late);
    let wait = |outcome: &Outcome| outcome.queues[0].wait.mean();
    assert_eq!(wait(&early), wait(&late));
    // When an idle node goes depends on where the disruption loop stands, which is not shifted: idle time is left out.
    let used = |outcome: &Outcome| (outcome.instance_cost().useful, outcome.instance_cost().boot);
    assert_eq!(used(&early), used(&late));
}

/// Relation: with other names of queue, Deployment, ScaledObject and NodePool all happens at the same instants and costs the same.
#[test]
fn names_do_not_matter() {
    // Names choose the random streams: all that is random is made constant.
    let constant = "[latencies]\nschedulerAttempt = \"100ms\"\nprovisionerSolve = \"100ms\"\ncreateFleet = \"2s\"\ninstanceRunning = \"6s\"\n\
                    nodeRegistered = \"22s\"\nnodeReady = \"14s\"\nslowNodeProbability = 0.0\nclusterFactorSigma = 0.0\npodStart = \"1s\"\n\
                    imagePullPer100MB = \"3s\"\nappStart = \"3s\"\ninstanceTerminated = \"45s\"\n";
    let toml = burst("1m", "15m", constant).replace("{ lognormal = { p50 = \"4s\", p99 = \"20s\" } }", "\"5s\"");
    let renamed: Vec<String> = manifests()
        .iter()
        .map(|text| text.replace("worker", "other").replace("name: pool", "name: second").replace("/work", "/jobs"))
        .collect();
    let other = toml.replace("\"worker\"", "\"other\"").replace("\"work\"", "\"jobs\"");
    let (one, two) = (run(&toml, &manifests()), run(&other, &renamed));
    let of = |outcome: &Outcome| -> Vec<_> {
        let mut pods: Vec<_> =
            outcome.pods.iter().map(|pod| (pod.created, pod.scheduled, pod.ready, pod.ended)).collect();
        pods.sort();
        pods
    };
    assert_eq!(of(&one), of(&two));
    let totals = |outcome: &Outcome| outcome.queues[0].totals;
    assert_eq!(totals(&one).processed, totals(&two).processed);
    assert_eq!(one.queues[0].wait.mean(), two.queues[0].wait.mean());
    assert_eq!(one.instance_cost(), two.instance_cost());
}

/// Queues whose pods have long been ready when the first message comes, with `pods` of them each, on a node that is there.
fn steady(queues: &[(&str, &str)], pods: u32, processing: &str, minutes: u32) -> Outcome {
    let mut toml = format!(
        "[simulation]\nduration = \"{minutes}m\"\nmanifests = [\"*.yaml\"]\n\
         [[nodeGroups]]\nname = \"fixed\"\ncapacity = {{ cpu = \"8\", memory = \"64Gi\", pods = 100 }}\n"
    );
    let mut deployments = Vec::new();
    for (name, arrivals) in queues {
        toml += &format!(
            "[[queues]]\nname = \"{name}\"\nservice = \"moto\"\n[[queues.arrivals]]\n{arrivals}\n\
             [[consumers]]\ndeployment = \"{name}\"\nqueue = \"{name}\"\nbatchSize = 1\nwaitTime = \"20s\"\nvisibilityTimeout = \"1h\"\n\
             processing = \"{processing}\"\nreceiveLatency = \"0s\"\ndeleteLatency = \"0s\"\n"
        );
        let deployment = DEPLOYMENT
            .replace("worker", name)
            .replace("replicas: 0", &format!("replicas: {pods}"))
            .replace("      nodeSelector: { kubernetes.io/arch: amd64 }\n", "");
        deployments.push(deployment);
    }
    let outcome = run(&toml, &deployments);
    assert!(outcome.queues.iter().all(|queue| queue.totals.left == 0), "messages are left");
    outcome
}

fn mean_wait(outcome: &Outcome) -> f64 {
    let mut all = outcome.queues[0].wait.clone();
    outcome.queues[1..].iter().for_each(|queue| all.merge(&queue.wait));
    all.mean().expect("messages").as_secs_f64()
}

/// Relation: with all rates doubled and all processing times halved, everything happens in half the time, so waits halve. Exactly for
/// a burst, whose instants are whole microseconds in both; for random arrivals up to the rounding of their instants.
#[test]
fn twice_the_rate_at_half_the_processing_time_halves_the_wait() {
    let burst = |over: u32| format!("pattern = \"burst\"\nat = \"10m\"\nmessages = 250\nover = \"{over}s\"");
    let (slow, fast) =
        (steady(&[("work", &burst(10))], 4, "500ms", 20), steady(&[("work", &burst(5))], 4, "250ms", 20));
    let waits = |outcome: &Outcome| {
        let queue = &outcome.queues[0];
        (queue.wait.count(), queue.wait.mean().unwrap(), queue.wait.max().unwrap(), queue.sojourn.max().unwrap())
    };
    let (slow, fast) = (waits(&slow), waits(&fast));
    assert!(fast.2 > Duration::from_secs(5), "nobody waits: {fast:?}");
    assert_eq!((fast.0, fast.1 * 2, fast.2 * 2, fast.3 * 2), slow);

    let poisson =
        |rate: u32, end: u32| format!("pattern = \"poisson\"\nrate = \"{rate}/s\"\nstart = \"10m\"\nend = \"{end}m\"");
    let slow = mean_wait(&steady(&[("work", &poisson(7, 70))], 4, "500ms", 80));
    let fast = mean_wait(&steady(&[("work", &poisson(14, 40))], 4, "250ms", 50));
    assert!(slow > 0.01, "nobody waits: {slow}");
    // Rounding of arrivals adds up, but no more than some of them.
    assert!((slow / 2.0 - fast).abs() < 1e-3 * fast, "{slow} s, and {fast} s");
}

/// Relation: a queue that is split into two with half its messages and half its consumers each serves a batch of equal messages in
/// exactly the same time, each message in its turn; but messages that come at random wait longer, since a consumer of one half
/// cannot help the other (pooling).
#[test]
fn splitting_a_queue_with_its_consumers_costs_only_the_pooling() {
    let batch = |messages: u32| format!("pattern = \"burst\"\nat = \"10m\"\nmessages = {messages}\nover = \"0s\"");
    let (half, whole) = (batch(60), batch(120));
    let one = steady(&[("work", &whole)], 8, "5s", 20);
    let two = steady(&[("left", &half), ("right", &half)], 4, "5s", 20);
    let waits = |outcome: &Outcome| -> Vec<_> {
        let mut all = outcome.queues[0].wait.clone();
        outcome.queues[1..].iter().for_each(|queue| all.merge(&queue.wait));
        let quantiles = (0..=20).map(|part| all.quantile(f64::from(part) / 20.0));
        quantiles.chain([all.mean(), all.min(), all.max()]).collect()
    };
    assert_eq!(one.queues[0].wait.max(), Some(Duration::from_secs(70)));
    assert_eq!(waits(&one), waits(&two));
    let last = |outcome: &Outcome| outcome.queues.iter().filter_map(|queue| queue.totals.last_processed).max();
    assert_eq!(last(&one), last(&two));
    assert_eq!(one.processed(), two.processed());

    let poisson = |rate: u32| format!("pattern = \"poisson\"\nrate = \"{rate}/s\"\nstart = \"10m\"\nend = \"70m\"");
    let pooled = mean_wait(&steady(&[("work", &poisson(12))], 8, "600ms", 80));
    let apart = mean_wait(&steady(&[("left", &poisson(6)), ("right", &poisson(6))], 4, "600ms", 80));
    assert!(pooled > 0.05 && apart > 1.3 * pooled, "pooled {pooled} s, apart {apart} s");
}
