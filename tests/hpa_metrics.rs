//! HorizontalPodAutoscalers on what pods use and on given series, through whole runs.

use std::collections::BTreeMap;

use forescale::scenario::load;
use forescale::simulation::{self, Options};
use forescale::telemetry::Outcome;
use forescale::time::Time;

/// Pods of 1 CPU and 1 GiB that hold one message of 100 s each. `consumer`, `hpa` (spec) and `more` add to it.
fn run(consumer: &str, hpa: &str, more: &str) -> Outcome {
    let scenario = format!(
        r#"
[simulation]
duration  = "20m"
manifests = ["objects.yaml"]

[[nodeGroups]]
name     = "room"
capacity = {{ cpu = "200", memory = "800Gi", pods = 1000 }}

[latencies]
podStart = "0s"
appStart = "0s"

[clocks]
hpaFirstPass  = "0s"
kedaFirstPoll = "0s"

[[queues]]
name = "work"
visibilityTimeout = "10m"
counters = "exact"
backlog = 2000

[[consumers]]
deployment = "worker"
queue      = "work"
batchSize  = 1
waitTime   = "20s"
processing = "100s"
{consumer}

{more}
"#
    );
    let objects = format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: worker}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: worker}}}}
  template:
    metadata: {{labels: {{app: worker}}}}
    spec:
      containers:
        - {{name: worker, image: "w:1", resources: {{requests: {{cpu: "1", memory: 1Gi}}}}}}
        - {{name: proxy, image: "p:1", resources: {{requests: {{cpu: "1", memory: 1Gi}}}}}}
---
{hpa}
"#
    );
    let texts = BTreeMap::from([("scenario.toml".to_owned(), scenario), ("objects.yaml".to_owned(), objects)]);
    let loaded = load::load_texts("scenario.toml", texts, &load::Options::default()).unwrap_or_else(|e| panic!("{e}"));
    simulation::run(&loaded.scenario, Options::replication(0)).unwrap_or_else(|e| panic!("{e}"))
}

fn hpa(metrics: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: worker}}\nspec:\n  scaleTargetRef: {{kind: Deployment, name: worker}}\n  minReplicas: 2\n  maxReplicas: 30\n  metrics:\n  - {metrics}\n"
    )
}

fn wanted(outcome: &Outcome, second: f64) -> i64 {
    outcome.workloads[0].desired.at(Time::from_secs_f64(second))
}

fn reasons(outcome: &Outcome) -> Vec<&'static str> {
    let mut rules: Vec<&str> = outcome.decisions.iter().map(|decision| decision.rule.name()).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[test]
fn memory_utilization_counts_what_is_held() {
    // 256 MiB and 768 MiB for the message in hand are 1 GiB of the 2 GiB requested: 50 % against 25 %, so 4 pods become 8, 16 (within
    // the limit of doubling), and 30 at last, since each further pod takes a message too.
    let consumer = "memoryIdle = \"256Mi\"\nmemoryPerMessage = \"768Mi\"";
    let metric = "{type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 25}}}";
    let outcome = run(consumer, &hpa(metric), "");
    assert_eq!(wanted(&outcome, 14.0), 4);
    let steps: Vec<i64> = outcome.workloads[0].desired.steps().iter().map(|(_, count)| *count).collect();
    assert_eq!(steps, [4, 8, 16, 30]);
    // At a target of 50 % it is just right.
    let calm = run(consumer, &hpa(&metric.replace("25", "50")), "");
    assert_eq!(calm.workloads[0].desired.steps().len(), 1);
    // Nothing is known of the memory of pods for which no consumer says it.
    let unknown = run("", &hpa(metric), "");
    assert_eq!(unknown.workloads[0].desired.steps().len(), 1);
    assert!(reasons(&unknown).contains(&"FailedGetResourceMetric"), "{:?}", reasons(&unknown));
}

#[test]
fn memory_that_a_pod_keeps_holds_the_replicas_when_the_work_is_gone() {
    // 1 GiB with a message in hand, as targeted. The queue is purged at 6 minutes, the last messages are done at 8.
    let metric = "{type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}}";
    let purge = "[[queues.changes]]\nat = \"6m\"\naction = \"purge\"\n";
    let at_the_end = |kept: &str| {
        let consumer = format!("memoryIdle = \"256Mi\"\nmemoryPerMessage = \"768Mi\"\n{kept}");
        wanted(&run(&consumer, &hpa(metric), purge), 1200.0)
    };
    assert_eq!((at_the_end(""), at_the_end("memoryKept = true")), (2, 4));
}

#[test]
fn memory_is_read_at_the_scrape_and_needs_two_of_them() {
    let consumer = "memoryIdle = \"1Gi\"";
    let metric = "{type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 512Mi}}}";
    let outcome = run(consumer, &hpa(metric), "");
    let first = outcome.workloads[0].desired.steps()[1];
    // Two readings 15 s apart, and the pass after them: not before 15 s, not after two resolutions and a sync.
    assert!((15.0..47.0).contains(&first.0.as_secs_f64()) && first.1 == 8, "{first:?}");
}

#[test]
fn one_container_counts_alone() {
    let consumer = "cpuBusy = \"500m\"";
    let of = |container: &str, percent: u32| {
        let metric = format!(
            "{{type: ContainerResource, containerResource: {{name: cpu, container: {container}, target: {{type: Utilization, averageUtilization: {percent}}}}}}}"
        );
        run(consumer, &hpa(&metric), "")
    };
    // 500m of the container's 1 CPU; of the pod's 2 CPU it would be 25 %.
    let calm = of("worker", 50);
    assert_eq!(calm.workloads[0].desired.steps().len(), 1, "{:?}", calm.workloads[0].desired.steps());
    assert_eq!(wanted(&of("worker", 25), 200.0), 30);
    let proxy = of("proxy", 25);
    assert_eq!(proxy.workloads[0].desired.steps().len(), 1);
    assert!(reasons(&proxy).contains(&"FailedGetContainerResourceMetric"), "{:?}", reasons(&proxy));
}

#[test]
fn without_metrics_server_the_count_holds() {
    let metric = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 25}}}";
    let fault = "[[faults]]\nkind = \"metricsServerDown\"\nat = \"0s\"\nduration = \"5m\"\n";
    let outcome = run("", &hpa(metric), fault);
    assert_eq!(wanted(&outcome, 299.0), 4);
    // Back at 300 s it has to read twice.
    assert_eq!(wanted(&outcome, 314.0), 4);
    assert!(wanted(&outcome, 347.0) > 4);
    assert!(reasons(&outcome).contains(&"FailedGetResourceMetric"));
}

const SERIES: &str =
    "[[series]]\nhpa = \"worker\"\nmetric = \"load\"\ntimes = [\"0s\", \"100s\", \"600s\"]\nvalues = [40, 80, 20]\n";

#[test]
fn pods_share_a_given_total() {
    let metric = "{type: Pods, pods: {metric: {name: load}, target: {type: AverageValue, averageValue: '10'}}}";
    let outcome = run("", &hpa(metric), SERIES);
    // 40 over 4 pods is the target; 80 over 4 is twice it; then 20 over 8 is a quarter, held for the window of 300 s.
    assert_eq!([90.0, 130.0, 599.0, 850.0, 960.0].map(|second| wanted(&outcome, second)), [4, 8, 8, 8, 2]);
}

#[test]
fn an_object_and_an_external_metric_need_no_keda() {
    for metric in [
        "{type: Object, object: {metric: {name: load}, describedObject: {kind: Ingress, name: i}, target: {type: AverageValue, averageValue: '10'}}}",
        "{type: External, external: {metric: {name: load}, target: {type: AverageValue, averageValue: '10'}}}",
        // A Value target is compared with the total: twice 40 is twice the pods, and 20 is half of it.
        "{type: Object, object: {metric: {name: load}, describedObject: {kind: Ingress, name: i}, target: {type: Value, value: '40'}}}",
    ] {
        let outcome = run("", &hpa(metric), SERIES);
        let total = metric.contains("type: Value");
        let got = [90.0, 113.0, 130.0].map(|second| wanted(&outcome, second));
        // The total does not fall when pods are added: a Value target doubles again and again.
        assert_eq!(got, if total { [4, 8, 16] } else { [4, 8, 8] }, "{metric}");
        assert_eq!(wanted(&outcome, 590.0), if total { 30 } else { 8 }, "{metric}");
        // Halved after the window of 300 s; half of that would be due after another.
        assert_eq!(wanted(&outcome, 1190.0), if total { 15 } else { 2 }, "{metric}");
    }
    let unknown =
        run("", &hpa("{type: External, external: {metric: {name: load}, target: {type: Value, value: '1'}}}"), "");
    assert!(reasons(&unknown).contains(&"FailedGetExternalMetric"), "{:?}", reasons(&unknown));
}

#[test]
fn kedas_memory_trigger_reads_the_same_memory() {
    let object = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: worker}\nspec:\n  scaleTargetRef: {name: worker}\n  minReplicaCount: 1\n  maxReplicaCount: 10\n  triggers:\n  - {type: memory, metricType: AverageValue, metadata: {value: 512Mi}}\n";
    let outcome = run("memoryIdle = \"1Gi\"", object, "");
    assert_eq!(wanted(&outcome, 200.0), 10);
}
