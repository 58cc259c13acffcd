//! Runs the HPA test vectors (format: `tests/data/hpa/README.md`). `FORESCALE_HPA_VECTORS` names another file to run instead.

use std::collections::BTreeMap;
use std::process::ExitCode;

use forescale::api::hpa::{ScalingPolicyType, SelectPolicy};
use forescale::hpa::history::{History, Recommendation, ScaleEvent, replicas_change_per_period};
use forescale::hpa::metrics::{Metric, Reading, Target};
use forescale::hpa::normalize::{self, Bounds, Policy, Rules, ScalingRules};
use forescale::hpa::pod_metrics::{
    self, ContainerRequest, InitContainer, PodMetric, PodMetricView, PodMetrics, PodPhase, PodView,
};
use forescale::hpa::reconcile::{
    Autoscaler, Observed, Rule, Selector, reconcile, record_failed_get_scale, record_failed_scale, record_scale,
};
use forescale::hpa::replica_calculator::{self as calculator, Counts, Proposal};
use forescale::hpa::settings::{Capabilities, Enqueue, HpaEvent, Settings, Tolerances, enqueue};
use forescale::hpa::status::{Condition, Reason, Status};
use forescale::time::{Duration, Time};
use serde_json::{Map, Value, json};

/// "now" of every vector; times of vectors are relative to it. Late enough for Go's zero time (-1e9 s).
const NOW: Time = Time::from_micros(2_000_000_000_000_000);

fn main() -> ExitCode {
    let files = match std::env::var("FORESCALE_HPA_VECTORS") {
        Ok(file) => vec![file],
        Err(_) => ["vectors", "worked_examples", "boundaries"].map(|name| format!("tests/data/hpa/{name}.json")).into(),
    };
    let (mut passed, mut total) = (0, 0);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for vector in list(&document["vectors"]) {
            total += 1;
            let got = run(text_of(&vector["kind"]), &vector["in"], &vector["want"]);
            let differences = differences(&vector["want"], &got);
            if differences.is_empty() {
                passed += 1;
            } else {
                println!("{} ({}):", text_of(&vector["id"]), text_of(&vector["upstream"]));
                differences.iter().for_each(|line| println!("    {line}"));
            }
        }
    }
    println!("{passed} passed, {} failed", total - passed);
    println!("hpa_vectors: passed {passed} of {total}");
    if passed == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every wanted key must be answered alike; `error` texts are compared by meaning: an error is an error.
fn differences(want: &Value, got: &Value) -> Vec<String> {
    let empty = Map::new();
    let fields = want.as_object().unwrap_or(&empty);
    fields
        .iter()
        .filter(|(key, wanted)| {
            if *key == "error" {
                return got["error"].is_string() == (*wanted == &json!(false));
            }
            got[key.as_str()] != **wanted
        })
        .map(|(key, wanted)| format!("{key}: want {wanted}, got {}", got[key.as_str()]))
        .collect()
}

fn run(kind: &str, input: &Value, want: &Value) -> Value {
    match kind {
        "external_per_pod" | "object_per_pod" | "external_value" | "object_value" => external(kind, input),
        "per_pod_usage" => {
            let usage = calculator::usage_per_pod(int(&input["usage_milli"]), int32(&input["status_replicas"]));
            json!({ "usage_per_pod_milli": usage })
        }
        "pods_metric" => pods_metric(input),
        "resource_utilization" => resource_utilization(input),
        "group_pods" => group_pods(input),
        "calculate_requests" => calculate_requests(input),
        "legacy_convert" => {
            let settings = legacy_settings(input);
            let (replicas, reason) =
                normalize::convert_desired_replicas_with_rules(&settings, bounds(input), int32(&input["desired"]));
            json!({ "replicas": replicas, "reason": reason.as_str() })
        }
        "behavior_rate" => behavior_rate(input),
        "scale_limit" => scale_limit(input),
        "stabilize_legacy" => stabilize_legacy(input),
        "stabilize_behavior" => stabilize_behavior(input),
        "store_scale_event" => store_scale_event(input),
        "enqueue" => enqueue_kind(input),
        "reconcile" => one_pass(input),
        "sequence" => sequence(input),
        "tolerance_boundary" => tolerance_boundary(input, want),
        other => json!({ "unknown kind": other }),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("not an integer: {value}"))
}

fn int32(value: &Value) -> i32 {
    i32::try_from(int(value)).unwrap_or_else(|_| panic!("not a 32-bit integer: {value}"))
}

fn ints(value: &Value) -> Vec<i64> {
    list(value).iter().map(int).collect()
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs_f64(value.as_f64().unwrap_or_else(|| panic!("not a number: {value}")))
}

fn time(value: &Value) -> Option<Time> {
    (!value.is_null()).then(|| NOW + seconds(value))
}

fn tolerances(input: &Value) -> Tolerances {
    let side = |key: &str| input[key].as_f64().unwrap_or(0.1);
    Tolerances { scale_up: side("tol_up"), scale_down: side("tol_down"), two_sided: true }
}

/// Upstream's test configuration on the newest version.
fn test_settings() -> Settings {
    Settings {
        cpu_initialization_period: Duration::from_secs(120),
        initial_readiness_delay: Duration::from_secs(10),
        ..Settings::of_kubernetes(37)
    }
}

fn legacy_settings(input: &Value) -> Settings {
    let mut settings = test_settings();
    if let Some(factor) = input["scale_up_factor"].as_f64().or(input["legacy_scale_up_factor"].as_f64()) {
        settings.scale_up_limit_factor = factor;
    }
    if let Some(minimum) = input["scale_up_minimum"].as_f64() {
        settings.scale_up_limit_minimum = minimum;
    }
    settings
}

fn bounds(input: &Value) -> Bounds {
    Bounds { min: int32(&input["min"]), max: int32(&input["max"]), current: int32(&input["current"]) }
}

fn answer(result: Result<Proposal, String>, value_key: &str) -> Value {
    match result {
        Ok(proposal) => {
            let mut fields = json!({ "replicas": proposal.replicas, value_key: proposal.usage_milli });
            if let Some(percent) = proposal.utilization_percent {
                fields["utilization_pct"] = json!(percent);
            }
            fields
        }
        Err(error) => json!({ "error": error }),
    }
}

fn external(kind: &str, input: &Value) -> Value {
    let pods = pods(&input["pods"], "", None);
    let counts = Counts {
        spec: input["spec_replicas"].as_i64().unwrap_or(0) as i32,
        status: input["status_replicas"].as_i64().unwrap_or(0) as i32,
        ..pod_counts(&pods)
    };
    let (series, tolerances) = (ints(&input["values_milli"]), tolerances(input));
    let target = input["target_average_milli"].as_i64().or(input["target_value_milli"].as_i64()).unwrap_or(0);
    let result = match kind {
        "external_per_pod" => {
            Ok(calculator::get_external_per_pod_metric_replicas(counts, &series, target, &tolerances))
        }
        "object_per_pod" => Ok(calculator::get_object_per_pod_metric_replicas(counts, series[0], target, &tolerances)),
        "external_value" => calculator::get_external_metric_replicas(counts, &series, target, &tolerances),
        _ => calculator::get_object_metric_replicas(counts, series[0], target, &tolerances),
    };
    answer(result, "usage_per_pod_milli")
}

fn pod_counts(pods: &[Pod]) -> Counts {
    let ready = pods.iter().filter(|pod| pod.view.phase == PodPhase::Running && pod.view.ready == Some(true)).count();
    Counts { pods: pods.len() as i32, ready: ready as i32, ..Counts::default() }
}

/// A pod of a vector: its view and its name.
struct Pod {
    view: PodView,
    name: String,
}

fn pods(value: &Value, resource: &str, container: Option<&str>) -> Vec<Pod> {
    let phase = |name: &str| match name {
        "Pending" => PodPhase::Pending,
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        _ => PodPhase::Unknown,
    };
    let view = |(index, pod): (usize, &Value)| {
        let name = text_of(&pod["name"]).to_owned();
        let containers: Vec<ContainerRequest> = pod["requests_milli"]
            .as_object()
            .map(|requests| {
                let request = |(name, value): (&String, &Value)| ContainerRequest {
                    name: name.clone(),
                    request_milli: value.as_i64(),
                    init: None,
                };
                requests.iter().map(request).collect()
            })
            .unwrap_or_default();
        let view = PodView {
            id: index as u32,
            phase: phase(text_of(&pod["phase"])),
            deleting: pod["deleting"] == json!(true),
            ready: pod["ready"].as_bool(),
            ready_transition: time(&pod["ready_transition_s"]),
            start: time(&pod["start_s"]),
            request_milli: pod_metrics::calculate_requests(resource, &name, container, None, &containers),
        };
        Pod { view, name }
    };
    list(value).iter().enumerate().map(view).collect()
}

fn views(pods: &[Pod]) -> Vec<PodView> {
    pods.iter().map(|pod| pod.view.clone()).collect()
}

/// The pod's number; samples of unknown pods get numbers of their own.
fn id_of(pods: &[Pod], name: &str, extra: &mut u32) -> u32 {
    pods.iter().position(|pod| pod.name == name).map_or_else(
        || {
            *extra += 1;
            1000 + *extra
        },
        |index| index as u32,
    )
}

/// Samples from `{pod: {container: milli}}`; one container, or all of them summed.
fn container_samples(pods: &[Pod], input: &Value, container: Option<&str>, at: Time, window: Duration) -> PodMetrics {
    let (mut samples, mut extra) = (PodMetrics::new(), 0);
    for (name, containers) in input.as_object().into_iter().flatten() {
        let value_milli = match container {
            Some(container) => containers[container].as_i64(),
            None => containers.as_object().map(|all| all.values().map(int).sum()),
        };
        if let Some(value_milli) = value_milli {
            samples.insert(id_of(pods, name, &mut extra), PodMetric { value_milli, timestamp: at, window });
        }
    }
    samples
}

fn pods_metric(input: &Value) -> Value {
    let pods = pods(&input["pods"], "", None);
    let (mut samples, mut extra) = (PodMetrics::new(), 0);
    for (name, value) in input["metric_milli"].as_object().into_iter().flatten() {
        let sample = PodMetric { value_milli: int(value), timestamp: NOW, window: Duration::from_secs(60) };
        samples.insert(id_of(&pods, name, &mut extra), sample);
    }
    let views = views(&pods);
    let view = PodMetricView { pods: &views, samples: &samples, cpu: false, tolerances: tolerances(input) };
    let (spec, target) = (int32(&input["spec_replicas"]), int(&input["target_average_milli"]));
    answer(pod_metrics::calc_plain_metric_replicas(spec, target, &view, &test_settings(), NOW), "average_milli")
}

fn resource_utilization(input: &Value) -> Value {
    let (resource, container) = (text_of(&input["resource"]), input["container"].as_str());
    let pods = pods(&input["pods"], resource, container);
    let (at, window) = (time(&input["metric_ts_s"]).unwrap_or(NOW), seconds(&input["metric_window_s"]));
    let samples = container_samples(&pods, &input["metrics_milli"], container, at, window);
    let views = views(&pods);
    let view = PodMetricView { pods: &views, samples: &samples, cpu: resource == "cpu", tolerances: tolerances(input) };
    let (spec, target) = (int32(&input["spec_replicas"]), int32(&input["target_utilization_pct"]));
    answer(pod_metrics::get_resource_replicas(spec, target, &view, &test_settings(), NOW), "average_milli")
}

fn group_pods(input: &Value) -> Value {
    let pods = pods(&input["pods"], "", None);
    let settings = Settings {
        cpu_initialization_period: seconds(&input["cpu_init_s"]),
        initial_readiness_delay: seconds(&input["readiness_delay_s"]),
        ..test_settings()
    };
    let (mut samples, mut extra) = (PodMetrics::new(), 0);
    for (name, sample) in input["metrics"].as_object().into_iter().flatten() {
        let timestamp = time(&sample["ts_s"]).unwrap_or(NOW);
        let metric = PodMetric { value_milli: 1, timestamp, window: seconds(&sample["window_s"]) };
        samples.insert(id_of(&pods, name, &mut extra), metric);
    }
    let cpu = input["resource"] == json!("cpu");
    let groups = pod_metrics::group_pods(&views(&pods), &samples, cpu, &settings, NOW);
    let names = |ids: &[u32]| ids.iter().map(|id| pods[*id as usize].name.clone()).collect::<Vec<_>>();
    json!({
        "ready_count": groups.ready_count,
        "unready": names(&groups.unready),
        "missing": names(&groups.missing),
        "ignored": names(&groups.ignored),
    })
}

fn calculate_requests(input: &Value) -> Value {
    let container = |value: &Value, init: Option<InitContainer>| ContainerRequest {
        name: text_of(&value["name"]).to_owned(),
        request_milli: value["request_milli"].as_i64(),
        init,
    };
    let mut containers: Vec<_> = list(&input["containers"]).iter().map(|value| container(value, None)).collect();
    containers.extend(list(&input["init_containers"]).iter().map(|value| {
        let sidecar = value["restart_always"] == json!(true);
        container(value, Some(if sidecar { InitContainer::Sidecar } else { InitContainer::Plain }))
    }));
    let pod_level = input["pod_level_request_milli"].as_i64().filter(|_| input["pod_level_gate"] == json!(true));
    let resource = text_of(&input["resource"]);
    let name = input["container"].as_str();
    match pod_metrics::calculate_requests(resource, "test-pod", name, pod_level, &containers) {
        Ok(milli) => json!({ "request_milli": milli }),
        Err(error) => json!({ "error": error }),
    }
}

fn rules(value: &Value, defaults: ScalingRules) -> ScalingRules {
    if value.is_null() {
        return defaults;
    }
    let policy = |policy: &Value| Policy {
        kind: if policy["type"] == json!("Pods") { ScalingPolicyType::Pods } else { ScalingPolicyType::Percent },
        value: int32(&policy["value"]),
        period: seconds(&policy["period_s"]),
    };
    ScalingRules {
        stabilization_window: value["stabilization_s"].as_f64().map(Duration::from_secs_f64),
        select: match text_of(&value["select"]) {
            "Min" => SelectPolicy::Min,
            "Disabled" => SelectPolicy::Disabled,
            _ => SelectPolicy::Max,
        },
        policies: list(&value["policies"]).iter().map(policy).collect(),
        tolerance: value["tolerance"].as_f64(),
    }
}

fn behavior(up: &Value, down: &Value) -> Rules {
    Rules {
        scale_up: rules(up, ScalingRules::default_scale_up()),
        scale_down: rules(down, ScalingRules::default_scale_down()),
    }
}

fn events(value: &Value) -> Vec<ScaleEvent> {
    let event = |event: &Value| ScaleEvent {
        change: int32(&event["change"]),
        time: NOW - seconds(&event["age_s"]),
        outdated: event["outdated"] == json!(true),
    };
    list(value).iter().map(event).collect()
}

fn recommendations(value: &Value) -> Option<Vec<Recommendation>> {
    let recommendation = |recommendation: &Value| Recommendation {
        replicas: int32(&recommendation["replicas"]),
        time: time(&recommendation["t_s"]).unwrap_or(NOW),
    };
    value.as_array().map(|all| all.iter().map(recommendation).collect())
}

fn behavior_rate(input: &Value) -> Value {
    let rules = behavior(&input["scale_up"], &input["scale_down"]);
    let history = History {
        scale_up_events: events(&input["scale_up_events"]),
        scale_down_events: events(&input["scale_down_events"]),
        ..History::default()
    };
    let desired = int32(&input["desired"]);
    let (replicas, reason) =
        normalize::convert_desired_replicas_with_behavior_rate(&rules, &history, bounds(input), desired, NOW);
    json!({ "replicas": replicas, "reason": reason.as_str() })
}

fn scale_limit(input: &Value) -> Value {
    let (up, down) = (events(&input["scale_up_events"]), events(&input["scale_down_events"]));
    let (current, events) = (int32(&input["current"]), (up.as_slice(), down.as_slice()));
    let rules = rules(&input["rules"], ScalingRules::default_scale_up());
    let limit = if input["direction"] == json!("up") {
        normalize::calculate_scale_up_limit_with_scaling_rules(current, events, &rules, NOW)
    } else {
        normalize::calculate_scale_down_limit_with_behaviors(current, events, &rules, NOW)
    };
    json!({ "limit": limit })
}

fn history_of(input: &Value) -> History {
    History { recommendations: recommendations(&input["recommendations"]), ..History::default() }
}

fn list_after(history: &History) -> Vec<i32> {
    history.recommendations.iter().flatten().map(|stored| stored.replicas).collect()
}

fn stabilize_legacy(input: &Value) -> Value {
    let mut history = history_of(input);
    let (desired, window) = (int32(&input["desired"]), seconds(&input["window_s"]));
    let replicas = normalize::stabilize_recommendation(&mut history, desired, window, NOW);
    json!({ "replicas": replicas, "list_len_after": list_after(&history).len(), "list_after": list_after(&history) })
}

fn stabilize_behavior(input: &Value) -> Value {
    let mut history = history_of(input);
    let windows = (seconds(&input["up_window_s"]), seconds(&input["down_window_s"]));
    let (current, desired) = (int32(&input["current"]), int32(&input["desired"]));
    let (replicas, _) =
        normalize::stabilize_recommendation_with_behaviors(&mut history, current, desired, windows, NOW);
    json!({ "replicas": replicas, "list_after": list_after(&history) })
}

/// Once in each direction; the answers must agree.
fn store_scale_event(input: &Value) -> Value {
    let one = |up: bool| {
        let mut history = History::default();
        *(if up { &mut history.scale_up_events } else { &mut history.scale_down_events }) = events(&input["events"]);
        let list = |history: &History| {
            if up { history.scale_up_events.clone() } else { history.scale_down_events.clone() }
        };
        let before = replicas_change_per_period(seconds(&input["query_period_s"]), &list(&history), NOW);
        if !input["rules"].is_null() {
            let rules = rules(&input["rules"], ScalingRules::default_scale_up());
            let change = int32(&input["new_change"]);
            let (previous, new) = if up { (10, 10 + change) } else { (10 + change, 10) };
            history.store_scale_event((&rules, &rules), previous, new, NOW);
        }
        let after = list(&history);
        let outdated: Vec<usize> =
            after.iter().enumerate().filter(|(_, event)| event.outdated).map(|(index, _)| index).collect();
        json!({
            "sum_in_period_before": before,
            "events_after": after.iter().map(|event| event.change).collect::<Vec<_>>(),
            "still_marked_outdated_index": outdated,
        })
    };
    let (up, down) = (one(true), one(false));
    if up == down { up } else { json!({ "directions differ": [up, down] }) }
}

fn enqueue_kind(input: &Value) -> Value {
    let generation_changed = input["generation_changed"] == json!(true);
    let event = match text_of(&input["event"]) {
        "create" => HpaEvent::Created,
        _ => HpaEvent::Updated { generation_changed },
    };
    let gate = input["gate_HPAGeneration"].as_bool().unwrap_or(true);
    let capabilities = Capabilities { immediate_spec_change: gate, ..Capabilities::of_kubernetes(37) };
    let queued = match enqueue(capabilities, event) {
        Enqueue::Immediate => "immediate",
        Enqueue::RateLimited => "rate_limited",
    };
    json!({ "enqueue": queued })
}

fn tolerance_boundary(input: &Value, want: &Value) -> Value {
    let tolerance = input["tolerance"].as_f64().unwrap_or(0.1);
    let status = int32(&input["status_replicas"]);
    let counts = Counts { spec: status, status, ..Counts::default() };
    let replicas = |two_sided| {
        let tolerances = Tolerances { scale_up: tolerance, scale_down: tolerance, two_sided };
        let target = int(&input["target_average_milli"]);
        calculator::get_external_per_pod_metric_replicas(counts, &ints(&input["values_milli"]), target, &tolerances)
            .replicas
    };
    let mut answers = Map::new();
    for key in want.as_object().into_iter().flatten().map(|(key, _)| key) {
        answers.insert(key.clone(), json!(replicas(key.ends_with("later"))));
    }
    Value::Object(answers)
}

fn metric(value: &Value) -> Metric {
    let name = text_of(&value["name"]).to_owned();
    let average = value["target_average_milli"].as_i64();
    let value_target =
        || average.map_or_else(|| Target::Value(int(&value["target_value_milli"])), Target::AverageValue);
    let resource = |container: Option<String>| Metric::Resource {
        name: name.clone(),
        container,
        target: average
            .map_or_else(|| Target::Utilization(int32(&value["target_utilization_pct"])), Target::AverageValue),
    };
    match text_of(&value["type"]) {
        "External" => Metric::External { name, target: value_target() },
        "Object" => Metric::Object { name, target: value_target() },
        "Pods" => Metric::Pods { name, average_milli: average.unwrap_or(0) },
        "Resource" => resource(None),
        "ContainerResource" => resource(Some(text_of(&value["container"]).to_owned())),
        _ => Metric::Invalid { reason: Reason::InvalidMetricSourceType },
    }
}

fn reading(input: &Value, value: &Value) -> Reading {
    if value["api_error"] == json!(true) {
        return Reading::Failed("the metrics API answered with an error".to_owned());
    }
    let resource = text_of(&value["name"]);
    let container = value["container"].as_str();
    match text_of(&value["type"]) {
        "External" | "Object" => Reading::Series(ints(&value["values_milli"])),
        "Pods" => {
            let pods = pods(&input["pods"], "", None);
            let sample = |(index, value): (usize, i64)| {
                let metric = PodMetric { value_milli: value, timestamp: NOW, window: Duration::from_secs(60) };
                (index as u32, metric)
            };
            let samples: BTreeMap<u32, PodMetric> =
                ints(&value["values_milli"]).into_iter().enumerate().map(sample).collect();
            Reading::Pods { pods: views(&pods), samples }
        }
        "Resource" | "ContainerResource" => {
            let pods = pods(&input["pods"], resource, container);
            let window = Duration::from_secs(60);
            let samples = container_samples(&pods, &input["pod_cpu_milli"], container, NOW, window);
            Reading::Pods { pods: views(&pods), samples }
        }
        _ => Reading::Failed("invalid metric source type".to_owned()),
    }
}

fn one_pass(input: &Value) -> Value {
    let mut settings = legacy_settings(input);
    if let Some(gate) = input["gate_HPAScaleToZero"].as_bool() {
        settings.capabilities.scale_to_zero = gate;
    }
    if let Some(gate) = input["gate_HPAConfigurableTolerance"].as_bool() {
        settings.capabilities.configurable_tolerance = gate;
    }
    let given = &input["behavior"];
    let autoscaler = Autoscaler {
        min: int32(&input["min"]),
        max: int32(&input["max"]),
        metrics: list(&input["metrics"]).iter().map(metric).collect(),
        rules: (!given.is_null()).then(|| behavior(&given["scale_up"], &given["scale_down"])),
    };
    let mut history = history_of(input);
    let mut status = Status::default();
    status.conditions.scaled_to_zero = input["condition_ScaledToZero"].as_str().map(|value| {
        let reason = if value == "True" { Reason::ScaledToZero } else { Reason::NotScaledToZero };
        Condition { status: value == "True", reason }
    });
    let counts = Counts {
        spec: int32(&input["spec_replicas"]),
        status: int32(&input["status_replicas"]),
        ..pod_counts(&pods(&input["pods"], "", None))
    };
    let observed = Observed {
        counts,
        selector: match text_of(&input["selector"]) {
            "" => Selector::Valid,
            "ambiguous" => Selector::Ambiguous,
            _ => Selector::Invalid,
        },
        readings: list(&input["metrics"]).iter().map(|value| reading(input, value)).collect(),
    };
    if input["scale_get_fails"] == json!(true) || input["get_scale_fails"] == json!(true) {
        record_failed_get_scale(&mut status);
        let reason = status.conditions.able_to_scale.map(|condition| condition.reason.as_str());
        return json!({ "replicas": counts.spec, "error": "error", "able_to_scale_reason": reason });
    }
    let decision = reconcile(&autoscaler, &settings, &mut history, &mut status, &observed, NOW);
    let fails = input["scale_update_fails"] == json!(true) && decision.rescale();
    if fails {
        record_failed_scale(&mut status);
    } else if decision.rescale() {
        record_scale(&autoscaler, &settings, &mut history, &mut status, &decision, NOW);
    }
    let reason = |condition: Option<Condition>| condition.map(|condition| condition.reason.as_str());
    let active = status.conditions.scaling_active.filter(|condition| !condition.status);
    // A pass that scales on the valid metrics reports the first invalid one as its error all the same.
    let failure = decision.failure.as_ref().map(|(reason, _)| reason.as_str());
    json!({
        "replicas": if fails { counts.spec } else { decision.desired },
        "computed": decision.desired,
        "metric": decision.metric,
        "held_back": decision.is_held_back(),
        "status_desired": status.desired_replicas,
        "scaled_to_zero": status.conditions.scaled_to_zero.map(|condition| condition.status),
        "error": if fails || decision.failure.is_some() { json!("error") } else { Value::Null },
        "able_to_scale_reason": reason(status.conditions.able_to_scale),
        "scaling_limited_reason": reason(status.conditions.scaling_limited),
        "scaling_active_false_reason": reason(active),
        "first_failure_reason": failure.filter(|_| decision.rule == Rule::NoDecision),
    })
}

fn sequence(input: &Value) -> Value {
    let settings = legacy_settings(input);
    let given = &input["behavior"];
    let target = int(&input["target_average_milli"]);
    let autoscaler = Autoscaler {
        min: int32(&input["min"]),
        max: int32(&input["max"]),
        metrics: vec![Metric::External { name: "metric".to_owned(), target: Target::AverageValue(target) }],
        rules: (!given.is_null()).then(|| behavior(&given["scale_up"], &given["scale_down"])),
    };
    let (mut history, mut status) = (History::default(), Status::default());
    let mut replicas = int32(&input["start_replicas"]);
    let mut after = Vec::new();
    for step in list(&input["steps"]) {
        let now = NOW + seconds(&step["t_s"]);
        let reading = match step["metric_milli"].as_i64() {
            Some(value) => Reading::Series(vec![value]),
            None => Reading::Failed("failed".to_owned()),
        };
        let counts = Counts { spec: replicas, status: replicas, pods: replicas, ready: replicas };
        let observed = Observed { counts, selector: Selector::Valid, readings: vec![reading] };
        let decision = reconcile(&autoscaler, &settings, &mut history, &mut status, &observed, now);
        if decision.rescale() {
            record_scale(&autoscaler, &settings, &mut history, &mut status, &decision, now);
        }
        replicas = decision.desired;
        after.push(replicas);
    }
    json!({ "replicas_after_each_step": after })
}
