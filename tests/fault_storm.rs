//! Storms of faults over the whole chain: interruptions, lost nodes, crashed pods, no capacity, and every controller and service down
//! at times. When the storm is over all messages are done, every pod has a node or a reason why not, and the books balance.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use forescale::engine::Streams;
use forescale::scenario::faults::FaultKind;
use forescale::scenario::load::{Options, load_texts};
use forescale::simulation;
use forescale::telemetry::Outcome;
use forescale::time::Time;
use forescale::units::Usd;

const CHAIN: &str = r#"
[simulation]
duration = "2h"
region = "us-east-1"

[[queues]]
name = "work"
visibilityTimeout = "2m"
duplicates = 0.0
backlog = 100
[[queues.arrivals]]
pattern = "poisson"
rate = "30/m"
end = "35m"

[[consumers]]
deployment = "worker"
queue = "work"
processing = { exponential = { mean = "5s" } }

[[deployments]]
metadata = { name = "worker" }
[deployments.spec]
replicas = 0
selector = { matchLabels = { app = "worker" } }
template = { metadata = { labels = { app = "worker" } }, spec = { containers = [{ name = "c", image = "worker:1", resources = { requests = { cpu = "1", memory = "2Gi" } } }] } }

[[scaledObjects]]
metadata = { name = "worker" }
[scaledObjects.spec]
scaleTargetRef = { name = "worker" }
maxReplicaCount = 20
triggers = [{ type = "aws-sqs-queue", metadata = { queueURL = "https://sqs.us-east-1.amazonaws.com/123456789012/work", awsRegion = "us-east-1", queueLength = "5" } }]

[[deployments]]
metadata = { name = "service" }
[deployments.spec]
replicas = 6
selector = { matchLabels = { app = "service" } }
template = { metadata = { labels = { app = "service" } }, spec = { containers = [{ name = "c", image = "service:1", resources = { requests = { cpu = "1500m", memory = "2Gi" } } }], topologySpreadConstraints = [{ maxSkew = 1, topologyKey = "topology.kubernetes.io/zone", whenUnsatisfiable = "DoNotSchedule", labelSelector = { matchLabels = { app = "service" } } }] } }

[[podDisruptionBudgets]]
metadata = { name = "service" }
spec = { maxUnavailable = 1, selector = { matchLabels = { app = "service" } } }

# Fits no instance type: it has to wait, and somebody has to say so.
[[deployments]]
metadata = { name = "giant" }
[deployments.spec]
replicas = 1
selector = { matchLabels = { app = "giant" } }
template = { metadata = { labels = { app = "giant" } }, spec = { containers = [{ name = "c", image = "giant:1", resources = { requests = { cpu = "900" } } }] } }

[[nodePools]]
metadata = { name = "pool" }
[nodePools.spec.template.spec]
nodeClassRef = { group = "karpenter.k8s.aws", kind = "EC2NodeClass", name = "default" }
requirements = [
  { key = "karpenter.sh/capacity-type", operator = "In", values = ["spot", "on-demand"] },
  { key = "node.kubernetes.io/instance-type", operator = "In", values = ["m5.xlarge", "m5.2xlarge", "m6i.xlarge", "c5.2xlarge"] },
]
[nodePools.spec.disruption]
consolidateAfter = "30s"

# A share of the service's pods find room here as long as Cluster Autoscaler grows it.
[[nodeGroups]]
name = "group"
instanceType = "m5.large"
count = 1
min = 1
max = 3

[[ec2NodeClasses]]
metadata = { name = "default" }
spec = { amiSelectorTerms = [{ alias = "al2023@latest" }] }
"#;

/// The chain with a storm in its first forty minutes; every controller is down at least once.
fn storm(seed: u64) -> String {
    let mut draw = Streams::new(seed, 0).open("storm", 0);
    let mut text = CHAIN.replacen("[simulation]", &format!("[simulation]\nseed = {seed}"), 1);
    for kind in FaultKind::ALL.iter().filter(|kind| !kind.is_sudden()) {
        let kind = kind.as_str();
        for _ in 0..=draw.below(2) {
            let (at, lasts) = (draw.below(2400), 5 + draw.below(300));
            let _ = writeln!(text, "[[faults]]\nat = \"{at}s\"\nkind = \"{kind}\"\nduration = \"{lasts}s\"");
        }
    }
    for kind in FaultKind::ALL.iter().filter(|kind| kind.is_sudden()) {
        let kind = kind.as_str();
        for _ in 0..=draw.below(4) {
            let (at, share) = (60 + draw.below(2340), (1 + draw.below(10)) as f64 / 10.0);
            let _ = writeln!(text, "[[faults]]\nat = \"{at}s\"\nkind = \"{kind}\"\nshare = {share:?}");
        }
    }
    text
}

fn run(seed: u64) -> Outcome {
    let texts = BTreeMap::from([("storm.toml".to_owned(), storm(seed))]);
    let loaded = load_texts("storm.toml", texts, &Options::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
    let options = simulation::Options { check_invariants: true, ..simulation::Options::replication(0) };
    simulation::run(&loaded.scenario, options).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

#[test]
fn after_the_storm_everything_is_done_and_the_books_balance() {
    let mut interrupted = 0;
    for seed in 1..=12 {
        let outcome = run(seed);
        messages_are_kept(seed, &outcome);
        pods_have_a_place_or_a_reason(seed, &outcome);
        books_balance(seed, &outcome);
        interrupted += outcome.nodes.iter().filter(|node| node.interrupted.is_some()).count();
    }
    assert!(interrupted > 12, "the storms hit something: {interrupted}");
}

/// Nothing is lost, and nothing is left an hour after the last fault.
fn messages_are_kept(seed: u64, outcome: &Outcome) {
    let totals = &outcome.queues[0].totals;
    assert_eq!(totals.sent, totals.processed + totals.left, "seed {seed}");
    assert_eq!(totals.left, 0, "seed {seed}: the workers are stuck");
}

/// No dead-lock: at the end a pod has a node, or Karpenter says why it has none.
fn pods_have_a_place_or_a_reason(seed: u64, outcome: &Outcome) {
    let waiting: Vec<_> = outcome.pods.iter().filter(|pod| pod.ended.is_none() && pod.scheduled.is_none()).collect();
    let names: Vec<String> = waiting.iter().map(|pod| outcome.pod_name(pod)).collect();
    assert!(names.len() == 1 && names[0].starts_with("giant"), "seed {seed}: {names:?}");
    let hour = Time::from_secs_f64(3600.0);
    let said =
        outcome.decisions.iter().any(|decision| decision.at > hour && decision.rule.name() == "FailedScheduling");
    assert!(said, "seed {seed}: nobody says why {names:?} waits");
    let running = |name: &str| {
        outcome
            .pods
            .iter()
            .filter(|pod| outcome.pod_name(pod).starts_with(name) && pod.ended.is_none() && pod.ready.is_some())
            .count()
    };
    assert_eq!(running("service"), 6, "seed {seed}");
}

/// The whole is the sum of the nodes, and of its uses; what never ran costs nothing.
fn books_balance(seed: u64, outcome: &Outcome) {
    let split = outcome.instance_cost();
    let worked = split.useful + split.redone + split.overhead;
    let waited = split.idle + split.empty + split.boot + split.draining;
    assert_eq!(worked + waited, split.total, "seed {seed}");
    assert_eq!(outcome.total_cost(), split.total + outcome.request_cost(), "seed {seed}");
    assert!(split.total > Usd::ZERO);
    for node in &outcome.nodes {
        assert!(node.bill.is_none() || node.launched.is_some(), "seed {seed}: {:?}", node.info);
    }
}
