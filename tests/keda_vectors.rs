//! Runs the KEDA test vectors (format: `tests/data/keda/README.md`). `FORESCALE_KEDA_VECTORS` names another file to run instead.

use std::process::ExitCode;

use forescale::api::decode::{Decode, Problems};
use forescale::api::keda::{
    Fallback, MultipleScalersCalculation, ScaledJobSpec, ScaledObjectSpec, ScalingStrategy, Trigger,
};
use forescale::api::meta::Labels;
use forescale::keda::annotations::Annotations;
use forescale::keda::capabilities::Capabilities;
use forescale::keda::executor::{Ready, Row, ScaleRequest, request_scale};
use forescale::keda::fallback::{FallbackContext, Health, get_metrics_with_fallback};
use forescale::keda::formula::{Formula, NamedValue, trigger_value};
use forescale::keda::hpa_spec;
use forescale::keda::scaled_job::{self, JobPod, JobPodPhase, JobState};
use forescale::keda::scaler::series::SeriesScaler;
use forescale::keda::scaler::{ExternalMetric, ExternalTarget, Partition, QueueCounts, Sample, Scaler, Source};
use forescale::keda::state::{
    QueryError, QueryResult, Record, Records, ScalersCache, Status, get_scaled_object_metrics, get_scaled_object_state,
};
use forescale::time::{Duration, Time};
use serde_json::{Map, Value, json};

#[path = "support/json.rs"]
mod json_tree;

/// "now" of every vector; times of vectors are relative to it. A whole second.
const NOW: Time = Time::from_micros(10_000_000_000_000);

fn main() -> ExitCode {
    let files = match std::env::var("FORESCALE_KEDA_VECTORS") {
        Ok(file) => vec![file],
        Err(_) => ["vectors", "boundaries"].map(|name| format!("tests/data/keda/{name}.json")).into(),
    };
    let (mut passed, mut total) = (0, 0);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for vector in list(&document["vectors"]) {
            total += 1;
            let got = run(text_of(&vector["kind"]), &vector["in"]);
            let empty = Map::new();
            let wanted = vector["want"].as_object().unwrap_or(&empty);
            let wrong: Vec<_> = wanted.iter().filter(|(key, value)| got[key.as_str()] != **value).collect();
            if wrong.is_empty() {
                passed += 1;
            } else {
                println!("{} ({}):", text_of(&vector["id"]), text_of(&vector["source"]));
                wrong.iter().for_each(|(key, value)| println!("    {key}: want {value}, got {}", got[key.as_str()]));
            }
        }
    }
    println!("{passed} passed, {} failed", total - passed);
    println!("keda_vectors: passed {passed} of {total}");
    if passed == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(kind: &str, input: &Value) -> Value {
    match kind {
        "executor" => executor(input),
        "deactivation" => deactivation(input),
        "trigger" => trigger(input),
        "hpa_bounds" => {
            let spec = object_spec(&input["spec"]);
            json!({ "min": hpa_spec::get_hpa_min_replicas(&spec), "max": hpa_spec::get_hpa_max_replicas(&spec) })
        }
        "bounds_valid" => {
            let valid = hpa_spec::check_replica_count_bounds_are_valid(&object_spec(&input["spec"])).is_ok();
            json!({ "valid": valid })
        }
        "hpa_spec" => hpa(input),
        "fallback" => fallback(input),
        "formula" => formula(input),
        "state" => state(input),
        "pulls" => pulls(input),
        "paused" => json!({ "paused": annotations(&input["annotations"]).paused }),
        "effective_max_scale" => effective_max_scale(input),
        "job_bounds" => {
            let spec = job_spec(&input["spec"]);
            json!({ "max": scaled_job::max_replica_count(&spec), "min": scaled_job::min_replica_count(&spec) })
        }
        "job_state" => job_state(input),
        "jobs" => {
            let state = JobState {
                active: input["active"] == json!(true),
                scale_to: int(&input["scale_to"]),
                max_scale: int(&input["max_scale"]),
            };
            jobs(&job_spec(&input["spec"]), state, input)
        }
        "job_poll" => job_poll(input),
        "pending" => pending(input),
        "rollout" => json!({ "deletes": scaled_job::deletes_previous_version(&job_spec(&input["spec"])) }),
        "clean_up" => {
            let finished: Vec<Time> = list(&input["finished_s"]).iter().map(time).collect();
            json!({ "deleted": scaled_job::clean_up(&finished, int(&input["limit"]) as u32) })
        }
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

fn time(value: &Value) -> Time {
    NOW + Duration::from_secs_f64(value.as_f64().unwrap_or_else(|| panic!("not a number: {value}")))
}

fn decode<T: Decode>(value: &Value) -> T {
    let mut problems = Problems::default();
    let decoded = T::decode(&json_tree::node(value), &mut problems);
    decoded.unwrap_or_else(|| panic!("{value}: {:?}", problems.list))
}

/// A spec whose target may be left out.
fn object_spec(value: &Value) -> ScaledObjectSpec {
    let mut value = if value.is_null() { json!({}) } else { value.clone() };
    if value["scaleTargetRef"].is_null() {
        value["scaleTargetRef"] = json!({ "name": "target" });
    }
    decode(&value)
}

fn job_spec(value: &Value) -> ScaledJobSpec {
    let mut value = value.clone();
    let template = json!({ "spec": { "containers": [] } });
    value["jobTargetRef"] = json!({ "template": template });
    decode(&value)
}

fn annotations(value: &Value) -> Annotations {
    let labels: Labels = value
        .as_object()
        .map(|all| all.iter().map(|(key, value)| (key.clone(), text_of(value).to_owned())).collect())
        .unwrap_or_default();
    Annotations::of(&labels, Capabilities::default())
}

fn executor(input: &Value) -> Value {
    let spec = object_spec(&input["spec"]);
    let replicas = int(&input["replicas"]) as u32;
    let request = ScaleRequest {
        spec: &spec,
        annotations: annotations(&input["annotations"]),
        active: input["active"] == json!(true),
        error: input["error"] == json!(true),
        replicas,
        last_active: (!input["last_active_s"].is_null()).then(|| time(&input["last_active_s"])),
        created: time(&input["created_s"]),
        initial_cooldown: true,
        zero_from_one_only: input["zero_from_one_only"] == json!(true),
        now: NOW,
    };
    let result = request_scale(&request);
    json!({
        "replicas": result.scale_to.unwrap_or(replicas),
        "active": result.active,
        "last_active": if result.refresh_last_active { "now" } else { "kept" },
        "ready": match result.ready {
            Ready::True => "True",
            Ready::PartialTriggerError => "PartialTriggerError",
            Ready::TriggerError => "TriggerError",
        },
        "rule": result.row.rule().name(),
    })
}

/// Polls after the last active one until the target goes to zero.
fn deactivation(input: &Value) -> Value {
    let mut spec = object_spec(&Value::Null);
    spec.polling_interval = decode(&input["pollingInterval"]);
    spec.cooldown_period = decode(&input["cooldownPeriod"]);
    let last = time(&input["last_active_poll_s"]);
    let latency = Duration::from_secs_f64(input["poll_latency_s"].as_f64().unwrap_or(0.0));
    let interval = spec.polling_interval.duration();
    for polls in 1..100_000_i64 {
        let request = ScaleRequest {
            spec: &spec,
            annotations: Annotations::default(),
            active: false,
            error: false,
            replicas: 7,
            last_active: Some((last + latency).floor_second(NOW)),
            created: NOW,
            initial_cooldown: true,
            zero_from_one_only: false,
            now: last + interval * polls + latency,
        };
        if request_scale(&request).row == Row::ScaleToZeroOrIdle {
            return json!({ "polls": polls, "after_s": polls * interval.as_micros() / 1_000_000 });
        }
    }
    json!({ "polls": null })
}

fn source(input: &Value) -> Source {
    let count = |key: &str| input["queue"][key].as_u64().unwrap_or(0);
    if !input["queue"].is_null() {
        return Source::Queue(QueueCounts {
            visible: count("visible"),
            in_flight: count("in_flight"),
            delayed: count("delayed"),
        });
    }
    if let Some(partitions) = input["partitions"].as_array() {
        let partition = |value: &Value| {
            let lag = int(&value["lag"]);
            Partition { lag, lag_with_persistent: value["lag_with_persistent"].as_i64().unwrap_or(lag) }
        };
        return Source::Partitions(partitions.iter().map(partition).collect());
    }
    if let Some(clock) = input["clock"].as_str() {
        return Source::Clock(clock.parse().unwrap_or_else(|error| panic!("{clock}: {error}")));
    }
    // What JSON has no number for is a text: "inf", "NaN".
    let series = &input["series"];
    Source::Series(series.as_f64().or_else(|| series.as_str().and_then(|text| text.parse().ok())))
}

/// What the scaler reads of a metric put once a minute, in CloudWatch.
fn datapoint(scaler: &Scaler, minutes: &[Value], input: &Value) -> Source {
    let Scaler::Series(SeriesScaler { cloud_watch: Some(window), .. }) = scaler else {
        panic!("minutes are for CloudWatch")
    };
    let number = |key: &str| input[key].as_f64().unwrap_or(0.0);
    let value = |second: f64| minutes.get((second / 60.0) as usize).and_then(Value::as_f64);
    Source::Series(window.newest(number("now_s"), number("delay_s"), value))
}

fn trigger(input: &Value) -> Value {
    let trigger: Trigger = decode(&input["trigger"]);
    let scaler = match Scaler::build(&trigger, int(&input["index"]) as usize, capabilities(input)) {
        Ok(scaler) => scaler,
        Err(_) => return json!({ "parse_error": true }),
    };
    let source = match input["minutes"].as_array() {
        Some(minutes) => datapoint(&scaler, minutes, input),
        None => source(input),
    };
    let mut answer = match scaler.evaluate(&source) {
        Ok(sample) => json!({ "value_milli": sample.value_milli, "active": sample.active }),
        Err(_) => json!({ "error": true, "active": false }),
    };
    if let Some(metric) = scaler.external() {
        answer["metric_name"] = json!(*metric.name);
        answer["target_milli"] = json!(metric.target.milli());
    }
    answer
}

fn hpa(input: &Value) -> Value {
    let spec = object_spec(&input["spec"]);
    let cache = match ScalersCache::build(&spec, capabilities(input)) {
        Ok(cache) => cache,
        Err(_) => return json!({ "error": true }),
    };
    let made = match hpa_spec::new_hpa_for_scaled_object(&spec, annotations(&input["annotations"]), &cache) {
        Ok(made) => made,
        Err(_) => return json!({ "error": true }),
    };
    let metrics: Vec<Value> = made
        .metrics
        .iter()
        .map(|metric| {
            let (name, target) = match (&metric.external, &metric.resource, &metric.container_resource) {
                (Some(source), ..) => (&source.metric.name, &source.target),
                (_, Some(source), _) => (&source.name, &source.target),
                (.., Some(source)) => (&source.name, &source.target),
                _ => panic!("a metric without a source"),
            };
            let milli = target.average_value.or(target.value).map(|quantity| quantity.milli);
            json!([metric.kind.as_str(), name, milli.or(target.average_utilization.map(i64::from))])
        })
        .collect();
    let select = |rules: &Option<forescale::api::hpa::ScalingRules>| {
        rules.as_ref().and_then(|rules| rules.select_policy).map(|select| select.as_str())
    };
    let behavior = made
        .behavior
        .as_ref()
        .map(|behavior| json!({ "scaleUp": select(&behavior.scale_up), "scaleDown": select(&behavior.scale_down) }));
    json!({
        "name": hpa_spec::get_hpa_name(text_of(&input["name"]), &spec),
        "min": made.min_replicas,
        "max": made.max_replicas,
        "metrics": metrics,
        "behavior": behavior,
    })
}

fn capabilities(input: &Value) -> Capabilities {
    Capabilities::of_keda(input["keda_minor"].as_u64().unwrap_or(20) as u32)
}

fn context(spec: &ScaledObjectSpec, input: &Value) -> FallbackContext<'static> {
    // The vectors live as long as the program.
    let spec: &'static ScaledObjectSpec = Box::leak(Box::new(spec.clone()));
    FallbackContext {
        spec,
        replicas: input["replicas"].as_u64().unwrap_or(1) as u32,
        ready_pods: input["ready_pods"].as_u64().unwrap_or(1) as u32,
        capabilities: capabilities(input),
    }
}

fn fallback(input: &Value) -> Value {
    let mut spec = object_spec(&json!({ "advanced": { "scalingModifiers": input["scalingModifiers"] } }));
    spec.fallback = Some(decode::<Fallback>(&input["fallback"]));
    let target = int(&input["target"]) * 1000;
    let target = if input["metricType"] == json!("Value") {
        ExternalTarget::Value(target)
    } else {
        ExternalTarget::AverageValue(target)
    };
    let metric = ExternalMetric { name: "metric".into(), target };
    let mut health = Health::from([("metric".to_owned(), int(&input["failures"]) as u32)]);
    let raw = input["value"].as_i64().map(|value| value * 1000).ok_or_else(|| "failed".to_owned());
    let mut answer = match get_metrics_with_fallback(&context(&spec, input), &mut health, &metric, raw) {
        Ok(processed) => {
            json!({ "value": processed.value_milli / 1000, "fallback_active": processed.fallback_active })
        }
        Err(_) => json!({ "error": true }),
    };
    answer["failures"] = json!(health["metric"]);
    answer
}

fn formula(input: &Value) -> Value {
    let values = input["values"].as_object().cloned().unwrap_or_default();
    let trigger = |name: &String| json!({ "type": "metrics-api", "name": name, "metadata": { "targetValue": "1", "url": "u", "valueLocation": "v" } });
    let mut spec = json!({
        "triggers": values.keys().map(trigger).collect::<Vec<_>>(),
        "advanced": { "scalingModifiers": { "formula": input["formula"], "target": input["target"] } },
    });
    if !input["fallback"].is_null() {
        spec["fallback"] = input["fallback"].clone();
    }
    let spec = object_spec(&spec);
    let health: Health = input["failures"]
        .as_object()
        .map(|all| all.iter().map(|(name, failures)| (name.clone(), int(failures) as u32)).collect())
        .unwrap_or_default();
    let named: Vec<NamedValue<'_>> = values
        .iter()
        .map(|(name, value)| NamedValue {
            trigger: name,
            metric: name,
            value_milli: (value.as_f64().unwrap_or(f64::NAN) * 1000.0).round() as i64,
        })
        .collect();
    let compiled = match Formula::compile(&spec) {
        Ok(Some(compiled)) => compiled,
        other => return json!({ "error": true, "detail": format!("{other:?}") }),
    };
    let seen: Map<String, Value> = named
        .iter()
        .map(|value| {
            let shown = trigger_value(&spec, &health, value);
            (value.trigger.to_owned(), shown.as_float().map_or(Value::Null, |number| json!(number as i64)))
        })
        .collect();
    match compiled.evaluate(&spec, &health, &named) {
        Ok(milli) => json!({ "value_milli": milli, "trigger_values": seen }),
        Err(error) => json!({ "error": true, "detail": error, "trigger_values": seen }),
    }
}

fn result(value: &Value) -> QueryResult {
    if value["closed"] == json!(true) {
        return Err(QueryError::CacheClosed);
    }
    match value["value"].as_i64() {
        Some(number) => Ok(Sample { value_milli: number * 1000, active: value["active"] == json!(true) }),
        None => Err(QueryError::Failed(text_of(&value["error"]).to_owned())),
    }
}

fn state(input: &Value) -> Value {
    let spec = object_spec(&input["spec"]);
    let cache = ScalersCache::build(&spec, capabilities(input)).unwrap_or_else(|error| panic!("{error}"));
    let mut status = Status::default();
    let found =
        get_scaled_object_state(&cache, &context(&spec, input), &mut status, |index| result(&input["results"][index]));
    let values: Map<String, Value> =
        found.values.iter().map(|(name, milli)| (name.to_string(), json!(milli))).collect();
    json!({ "active": found.active, "error": found.error, "fallback": found.fallback_active, "values_milli": values })
}

/// Pulls one after another; what a pull's error does to the records is part of it.
fn pulls(input: &Value) -> Value {
    let spec = object_spec(&input["spec"]);
    let cache = ScalersCache::build(&spec, capabilities(input)).unwrap_or_else(|error| panic!("{error}"));
    let context = context(&spec, input);
    let mut status = Status::default();
    let mut records: Records = input["records"]
        .as_object()
        .map(|all| {
            let record = |value: &Value| Record { value: Ok(int(value) * 1000), active: true };
            all.iter().map(|(name, value)| (name.clone(), record(value))).collect()
        })
        .unwrap_or_default();
    let mut answers = Vec::new();
    for pull in list(&input["pulls"]) {
        let name = text_of(&pull["metric"]);
        let answer =
            get_scaled_object_metrics(&cache, &context, &mut status, &records, name, |_| result(&pull["result"]));
        if answer.scaler_error && !context.capabilities.records_survive_errors {
            records.clear();
        }
        answers.push(match answer.values {
            Ok(values) => json!(values.iter().map(|milli| milli / 1000).collect::<Vec<_>>()),
            Err(_) => Value::Null,
        });
    }
    json!({ "answers": answers })
}

fn effective_max_scale(input: &Value) -> Value {
    let strategy: ScalingStrategy = decode(&input["scalingStrategy"]);
    let state = JobState { active: true, scale_to: 0, max_scale: int(&input["max_scale"]) };
    let (running, pending, max) = (int(&input["running"]), int(&input["pending"]), int(&input["max"]));
    let (effective, scale_to) =
        scaled_job::get_effective_max_scale(&strategy, capabilities(input), state, running, pending, max);
    json!({ "effective": effective, "scale_to": scale_to })
}

fn job_state(input: &Value) -> Value {
    let spec = job_spec(&input["spec"]);
    let (min, max) = (scaled_job::min_replica_count(&spec), scaled_job::max_replica_count(&spec));
    let metrics: Vec<_> = list(&input["triggers"])
        .iter()
        .map(|trigger| {
            let (value, target) = (int(&trigger["value"]) * 1000, int(&trigger["target"]) * 1000);
            scaled_job::scaler_metrics(value, target, trigger["active"] == json!(true), max)
        })
        .collect();
    let calculation: MultipleScalersCalculation = decode(&input["calculation"]);
    let state = scaled_job::is_scaled_job_active(&metrics, calculation, min, max);
    json!({ "active": state.active, "scale_to": state.scale_to, "max_scale": state.max_scale })
}

fn jobs(spec: &ScaledJobSpec, state: JobState, input: &Value) -> Value {
    let (running, pending) = (int(&input["running"]), int(&input["pending"]));
    let decision = scaled_job::request_job_scale(spec, capabilities(input), state, running, pending);
    json!({ "create": decision.create, "effective": decision.effective_max_scale, "scale_to": decision.scale_to })
}

/// One poll of a ScaledJob with one trigger.
fn job_poll(input: &Value) -> Value {
    let spec = job_spec(&input["spec"]);
    let (min, max) = (scaled_job::min_replica_count(&spec), scaled_job::max_replica_count(&spec));
    let (value, target) = (int(&input["value"]), int(&input["target"]));
    let metric = scaled_job::scaler_metrics(value * 1000, target * 1000, value > 0, max);
    let state = scaled_job::is_scaled_job_active(&[metric], MultipleScalersCalculation::Max, min, max);
    jobs(&spec, state, input)
}

fn pending(input: &Value) -> Value {
    let conditions: Vec<String> = list(&input["conditions"]).iter().map(|text| text_of(text).to_owned()).collect();
    let held: Vec<Vec<&str>> =
        list(&input["pods"]).iter().map(|pod| list(&pod["conditions"]).iter().map(text_of).collect()).collect();
    let pods: Vec<JobPod<'_>> = list(&input["pods"])
        .iter()
        .zip(&held)
        .map(|(pod, held)| JobPod {
            phase: match text_of(&pod["phase"]) {
                "Running" => JobPodPhase::Running,
                "Succeeded" => JobPodPhase::Succeeded,
                _ => JobPodPhase::Other,
            },
            conditions: held,
        })
        .collect();
    json!({ "pending": scaled_job::is_pending(&conditions, &pods) })
}
