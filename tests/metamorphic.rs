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
    let mut texts = BTreeMap::from([("scenario.toml".to_owned(), toml.to_owned())]);
    texts.insert("all.yaml".to_owned(), manifests.join("\n---\n"));
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

#[test]
fn the_order_of_manifests_does_not_matter() {
    let toml = burst("1m", "15m", "");
    let outcome = run(&toml, &manifests());
    assert!(outcome.nodes.len() > 1 && outcome.processed() == 300, "nothing happens in this scenario");
    let mut reversed = manifests();
    reversed.reverse();
    assert_same(&outcome, &run(&toml, &reversed));
}

#[test]
fn a_pool_that_no_pod_can_use_does_not_matter() {
    let toml = burst("1m", "15m", "");
    let mut more = manifests();
    more.push(node_pool("unused", "- { key: kubernetes.io/arch, operator: In, values: [arm64] }"));
    assert_same(&run(&toml, &manifests()), &run(&toml, &more));
}

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

/// Mean wait of a queue with evenly working pods, which arrivals reach once the pods are ready.
fn mean_wait(rate: u32, processing: &str, minutes: u32) -> f64 {
    let end = 10 + minutes;
    let toml = format!(
        "[simulation]\nduration = \"{}m\"\n[[queues]]\nname = \"work\"\nservice = \"moto\"\n\
         [[queues.arrivals]]\npattern = \"poisson\"\nrate = \"{rate}/s\"\nstart = \"10m\"\nend = \"{end}m\"\n\
         [[consumers]]\ndeployment = \"worker\"\nqueue = \"work\"\nbatchSize = 1\nwaitTime = \"20s\"\nvisibilityTimeout = \"1h\"\n\
         processing = \"{processing}\"\nreceiveLatency = \"0s\"\ndeleteLatency = \"0s\"\n\
         [[nodeGroups]]\nname = \"fixed\"\ncapacity = {{ cpu = \"8\", memory = \"64Gi\", pods = 100 }}\n",
        end + 10
    );
    let deployment = DEPLOYMENT
        .replace("replicas: 0", "replicas: 4")
        .replace("      nodeSelector: { kubernetes.io/arch: amd64 }\n", "");
    let toml = toml.replace("[simulation]", "[simulation]\nmanifests = [\"*.yaml\"]");
    let outcome = run(&toml, &[deployment]);
    assert_eq!(outcome.queues[0].totals.left, 0);
    outcome.queues[0].wait.mean().expect("messages").as_secs_f64()
}

#[test]
fn twice_the_rate_at_half_the_processing_time_halves_the_wait() {
    let (slow, fast) = (mean_wait(7, "500ms", 60), mean_wait(14, "250ms", 30));
    assert!(slow > 0.01, "nobody waits: {slow}");
    // Instants are whole microseconds: rounding of arrivals adds up, but no more than some of them.
    assert!((slow / 2.0 - fast).abs() < 1e-3 * fast, "{slow} s, and {fast} s");
}
