//! Loading as a whole: what manifests become, what paths reach, what changes work out to.

use std::collections::BTreeMap;
use std::path::Path;

use super::kind::Object;
use super::load::{Loaded, Options, load, load_texts};
use super::toml::parse_value;
use crate::api::decode::Problems;
use crate::api::scalar::NillableDuration;
use crate::api::tree::Value;
use crate::time::Duration;

const BASE: &str = r#"
[simulation]
duration = "10m"
manifests = ["m/*.yaml"]

[[queues]]
name = "orders"

[[nodeGroups]]
name = "static"
capacity = { cpu = "100", memory = "100Gi", pods = 1000 }

[[consumers]]
deployment = "orders"
queue = "orders"
processing = "1s"
"#;

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
        - name: worker
          env:
            - {name: QUEUE, value: "https://sqs.us-east-1.amazonaws.com/123456789012/orders"}
          resources: {requests: {cpu: 250m}}
"#;

const SCALED_OBJECT: &str = r#"
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: orders}
spec:
  scaleTargetRef: {name: orders}
  triggers:
    - type: aws-sqs-queue
      metadata: {queueURLFromEnv: QUEUE, awsRegion: us-east-1, queueLength: "5"}
"#;

fn try_texts(toml: &str, yaml: &[&str]) -> Result<Box<Loaded>, String> {
    let mut texts = BTreeMap::from([("scenario.toml".to_owned(), toml.to_owned())]);
    for (index, text) in yaml.iter().enumerate() {
        texts.insert(format!("m/{index}.yaml"), (*text).to_owned());
    }
    load_texts("scenario.toml", texts, &Options::default()).map_err(|invalid| invalid.to_string())
}

fn texts(toml: &str, yaml: &[&str]) -> Box<Loaded> {
    try_texts(toml, yaml).unwrap_or_else(|text| panic!("{text}"))
}

#[test]
fn every_shipped_scenario_is_valid() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"));
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{error}"));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        if let Err(invalid) = load(&file, &Options::default()) {
            panic!("{invalid}");
        }
    }
}

#[test]
fn manifests_and_inline_objects_are_one() {
    let inline = format!(
        "{BASE}\n[[deployments]]\nmetadata = {{ name = \"web\" }}\nspec = {{ selector = {{ matchLabels = {{ app = \"web\" }} }}, template = {{ metadata = {{ labels = {{ app = \"web\" }} }}, spec = {{ containers = [{{}}] }} }} }}\n"
    );
    let loaded = texts(&inline, &[DEPLOYMENT, SCALED_OBJECT]);
    let names: Vec<_> = loaded.scenario.deployments.iter().filter_map(|d| d.metadata.name.clone()).collect();
    assert_eq!(names, ["web", "orders"]);
}

#[test]
fn lists_of_objects_and_kinds_without_effect_are_read() {
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: web}}\n",
        DEPLOYMENT.trim().replace('\n', "\n  ")
    );
    let loaded = texts(BASE, &[&list, SCALED_OBJECT]);
    assert_eq!(loaded.scenario.deployments.len(), 1);
    assert_eq!(loaded.problems.list, []);
}

#[test]
fn queue_urls_are_found_in_the_target_s_environment() {
    let loaded = texts(BASE, &[DEPLOYMENT, SCALED_OBJECT]);
    let metadata = &loaded.scenario.scaled_objects[0].spec.triggers[0].metadata;
    assert_eq!(metadata["queueURL"], "https://sqs.us-east-1.amazonaws.com/123456789012/orders");
}

#[test]
fn v1beta1_node_pools_become_v1() {
    let pool = r#"
apiVersion: karpenter.sh/v1beta1
kind: NodePool
metadata: {name: default}
spec:
  template:
    spec:
      requirements: []
      kubelet: {maxPods: 20}
      nodeClassRef: {apiVersion: karpenter.k8s.aws/v1beta1, kind: EC2NodeClass, name: default}
  disruption: {consolidationPolicy: WhenUnderutilized, expireAfter: 24h}
---
apiVersion: karpenter.k8s.aws/v1beta1
kind: EC2NodeClass
metadata: {name: default}
spec: {amiFamily: AL2}
"#;
    let scenario = texts(BASE, &[DEPLOYMENT, pool]).scenario;
    let spec = &scenario.node_pools[0].spec;
    assert_eq!(spec.template.spec.expire_after, NillableDuration(Some(Duration::from_hours(24))));
    assert_eq!(spec.disruption.consolidation_policy.as_str(), "WhenEmptyOrUnderutilized");
    assert_eq!(
        spec.template.spec.node_class_ref.as_ref().and_then(|class| class.group.as_deref()),
        Some("karpenter.k8s.aws")
    );
    assert_eq!(scenario.node_classes[0].spec.kubelet.as_ref().and_then(|kubelet| kubelet.max_pods), Some(20));
}

#[test]
fn autoscaling_v1_targets_become_metrics() {
    let hpa = "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: orders}\nspec:\n  scaleTargetRef: {kind: Deployment, name: orders}\n  maxReplicas: 5\n  targetCPUUtilizationPercentage: 60\n";
    let scenario = texts(BASE, &[DEPLOYMENT, hpa]).scenario;
    let target = scenario.hpas[0].spec.metrics[0].resource.as_ref().map(|resource| &resource.target);
    assert_eq!(target.and_then(|target| target.average_utilization), Some(60));
}

#[test]
fn settings_are_changed_by_their_paths() {
    let dotted = BASE.replace("[[nodeGroups]]", "[[queues]]\nname = \"mail.fifo\"\nfifo = true\n\n[[nodeGroups]]");
    let loaded = texts(&dotted, &[DEPLOYMENT, SCALED_OBJECT]);
    for (path, value, again) in [
        ("ScaledObject/orders.pollingInterval", "5", Value::Int(5)),
        ("ScaledObject/orders.spec.cooldownPeriod", "60", Value::Int(60)),
        ("ScaledObject/orders.triggers[0].metadata.queueLength", "7", Value::Str("7".to_owned())),
        ("ScaledObject/orders.triggers.aws-sqs-queue.metadata.queueLength", "8", Value::Str("8".to_owned())),
        (
            "ScaledObject/orders.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds",
            "60",
            Value::Int(60),
        ),
        ("Deployment/orders.metadata.labels.app.kubernetes.io/name", "orders", Value::Str("orders".to_owned())),
        ("Deployment/orders.template.spec.containers.worker.resources.requests.cpu", "1", Value::Int(1)),
        ("queues.orders.visibilityTimeout", "45s", Value::Str("45s".to_owned())),
        ("queues.mail.fifo.retention", "1h", Value::Str("1h".to_owned())),
        ("clocks.hpaSyncPeriod", "20s", Value::Str("20s".to_owned())),
        ("consumers.orders.batchSize", "3", Value::Int(3)),
    ] {
        let mut document = loaded.document.clone();
        assert_eq!(document.set(path, parse_value(value)), Ok(()), "{path}");
        let written = document.get(path).map(|node| node.map(|node| node.value.clone()));
        assert_eq!(written, Ok(Some(again)), "{path}");
        if let Err(invalid) = super::load::finish(document, None, Problems::default()) {
            panic!("{path}: {invalid}");
        }
    }
}

#[test]
fn paths_that_lead_nowhere_say_what_was_meant() {
    let loaded = texts(BASE, &[DEPLOYMENT, SCALED_OBJECT]);
    for (path, help) in [
        ("ScaledObject/orders.poolingInterval", "did you mean `pollingInterval`?"),
        ("ScaledObject/order.pollingInterval", "did you mean `ScaledObject/orders`?"),
        ("ScaledObjct/orders.pollingInterval", "did you mean `ScaledObject/...`?"),
        ("queue.orders.delay", "did you mean `queues`?"),
        ("queues.ordrs.delay", "did you mean `orders`?"),
        (
            "ScaledObject/orders.stabilizationWindowSeconds",
            "`stabilizationWindowSeconds` belongs to `advanced.horizontalPodAutoscalerConfig.behavior.scaleUp`",
        ),
    ] {
        assert_eq!(
            loaded.document.get(path).map_err(|error| error.help.unwrap_or_default()).err().as_deref(),
            Some(help),
            "{path}"
        );
    }
    for path in ["", "queues..delay", "queues[x]", "queues[9]", "simulation.duration.x", "simulation."] {
        assert!(loaded.document.get(path).is_err(), "{path}");
    }
}

#[test]
fn settings_of_the_command_line_are_shown_with_their_text() {
    let texts = BTreeMap::from([("scenario.toml".to_owned(), BASE.replace("manifests = [\"m/*.yaml\"]", ""))]);
    let settings = vec![("simulation.duration".to_owned(), "soon".to_owned())];
    let options = Options { settings, ..Options::default() };
    let told =
        load_texts("scenario.toml", texts, &options).err().map(|invalid| invalid.to_string()).unwrap_or_default();
    assert!(told.contains("--set:1:21") && told.contains("simulation.duration=soon"), "{told}");
}

#[test]
fn timed_changes_build_on_each_other() {
    let changes = r#"
[[changes]]
at = "2m"
patch = { "ScaledObject/orders.maxReplicaCount" = 20 }

[[changes]]
at = "1m"
patch = { "ScaledObject/orders.pollingInterval" = 5, "Deployment/orders.template.spec.containers[0].resources.requests.cpu" = "1" }

[[changes]]
at = "3m"
create = ["Deployment/orders"]
"#;
    let scenario = texts(&format!("{BASE}{changes}"), &[DEPLOYMENT, SCALED_OBJECT]).scenario;
    assert_eq!(scenario.changes[1].patch.objects.len(), 2);
    let [Object::ScaledObject(object)] = scenario.changes[0].patch.objects.as_slice() else {
        panic!("one ScaledObject")
    };
    assert_eq!((object.spec.max_replica_count, object.spec.polling_interval.0), (Some(20), 5));
    assert_eq!(scenario.clocks.applied["Deployment/orders"], Duration::from_mins(3));
}

#[test]
fn series_are_read_from_files() {
    let hpa = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\n\
               spec:\n  scaleTargetRef: {kind: Deployment, name: orders}\n  maxReplicas: 9\n  metrics:\n  \
               - {type: External, external: {metric: {name: lag}, target: {type: AverageValue, averageValue: 5}}}\n";
    let series = "\n[[series]]\nhpa = \"web\"\nmetric = \"lag\"\nfile = \"lag.csv\"\nscale = 2\n";
    let all = BTreeMap::from([
        ("scenario.toml".to_owned(), format!("{BASE}{series}")),
        ("m/0.yaml".to_owned(), DEPLOYMENT.to_owned()),
        ("m/1.yaml".to_owned(), hpa.to_owned()),
        ("lag.csv".to_owned(), "seconds,lag\n100,3\n160,5\n".to_owned()),
    ]);
    let loaded = load_texts("scenario.toml", all, &Options::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
    let series = &loaded.scenario.series[0];
    assert_eq!(
        (&series.times[..], &series.values[..]),
        (&[Duration::ZERO, Duration::from_mins(1)][..], &[6.0, 10.0][..])
    );
}

#[test]
fn distributions_and_traces_are_read_from_files() {
    let toml = BASE.replace("processing = \"1s\"", "processing = { empirical = \"times.csv\" }");
    let toml = toml.replace(
        "name = \"orders\"\n",
        "name = \"orders\"\narrivals = [{ pattern = \"trace\", file = \"trace.csv\" }]\n",
    );
    let all = BTreeMap::from([
        ("scenario.toml".to_owned(), toml),
        ("m/0.yaml".to_owned(), DEPLOYMENT.to_owned()),
        ("times.csv".to_owned(), "seconds\n0.5\n1.5\n".to_owned()),
        ("trace.csv".to_owned(), "time\n1\n2\n".to_owned()),
    ]);
    let loaded = load_texts("scenario.toml", all, &Options::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
    assert_eq!(loaded.scenario.consumers[0].processing.mean(), Duration::from_secs(1));
    let mut arrivals = loaded.scenario.queues[0].arrivals[0].clone();
    assert_eq!(arrivals.file_mut().map(|file| file.text.to_string()), Some("time\n1\n2\n".to_owned()));
}
