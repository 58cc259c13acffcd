//! Worked examples of Kubernetes' controllers, one by one. Format: tests/data/kubernetes/README.md.

use std::path::PathBuf;

use forescale::api::decode::{Decode, Problems, defaults};
use forescale::api::meta::{LabelSelector, Labels};
use forescale::api::pod::{PodSpec, Taint, TaintEffect};
use forescale::api::scalar::IntOrPercent;
use forescale::api::workload::PodDisruptionBudgetSpec;
use forescale::cluster::pdb;
use forescale::ec2::capacity::NodeSettings;
use forescale::ec2::data::instance_type;
use forescale::engine::{Streams, TokenBucket};
use forescale::kubelet::daemons::EKS_DAEMONS;
use forescale::kubelet::health::{self, MONITOR_PERIOD, POD_GC_PERIOD, Passes, RENEW_PERIOD};
use forescale::kubelet::images::{NodeImages, PullAnswer, PullConfig, PullRequest};
use forescale::kubelet::termination::{ended, stop_plan};
use forescale::replicaset::slow_start::{Manage, batches, manage};
use forescale::replicaset::victims::{Candidate, PhaseRank, age_bucket, choose};
use forescale::scheduler::choose::{Choice, Chooser};
use forescale::scheduler::filter::{Plugin, Plugins};
use forescale::scheduler::preemption::{Budget, preempt};
use forescale::scheduler::queue::{QueueConfig, SchedulingQueue};
use forescale::scheduler::score;
use forescale::scheduler::shape::{PodTraits, ShapeIndex};
use forescale::scheduler::snapshot::{NodeSpec, Placed, Snapshot};
use forescale::scheduler::volumes::Claims;
use forescale::time::{Duration, Time};
use forescale::units::{Resource, Resources};
use serde_json::{Value, json};

#[path = "support/json.rs"]
mod json_tree;
#[path = "support/volumes.rs"]
mod volumes;

fn main() {
    let path = std::env::var("FORESCALE_KUBERNETES_VECTORS").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/kubernetes/vectors.json"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let vectors = document["vectors"].as_array().cloned().unwrap_or_default();
    let mut passed = 0;
    for vector in &vectors {
        let actual = run(vector["kind"].as_str().unwrap_or_default(), &vector["given"], &vector["expect"]);
        if agrees(&vector["expect"], &actual) {
            passed += 1;
        } else {
            println!("FAILED {}: expected {}, got {actual}", vector["id"], vector["expect"]);
        }
    }
    println!("{passed} passed, {} failed", vectors.len() - passed);
    println!("kubernetes_vectors: passed {passed} of {}", vectors.len());
    if passed < vectors.len() || vectors.is_empty() {
        std::process::exit(1);
    }
}

/// Numbers agree within a microsecond.
fn agrees(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() < 1e-6),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b)),
        (Value::Object(a), Value::Object(b)) => a.iter().all(|(key, a)| b.get(key).is_some_and(|b| agrees(a, b))),
        _ => expected == actual,
    }
}

fn run(kind: &str, given: &Value, expect: &Value) -> Value {
    match kind {
        "batches" => run_batches(given),
        "bucket" => run_bucket(given),
        "victims" => run_victims(given, expect),
        "age_bucket" => json!({ "bucket": age_bucket(Time::ZERO, Time::from_secs_f64(float(given, "age_s"))) }),
        "termination" => run_termination(given),
        "pulls" => run_pulls(given),
        "queue" => run_queue(given),
        "feasible_nodes" => json!({ "want": score::feasible_nodes_to_find(int(given, "nodes") as usize, 0) }),
        "room" => run_room(given),
        "spread" => run_spread(given),
        "image" => {
            let bytes = int(given, "mb") << 20;
            let scaled = score::scaled_image(bytes, int(given, "nodes_having") as usize, int(given, "nodes") as usize);
            json!({ "score": score::image_locality(scaled, int(given, "containers") as usize) })
        }
        "preemption" => run_preemption(given),
        "node_loss" => run_node_loss(given),
        "pod_gc" => {
            let collector = Passes { phase: seconds(given, "phase_s"), period: POD_GC_PERIOD };
            json!({ "collected_s": health::collected_at(instant(given, "gone_s"), collector).as_secs_f64() })
        }
        "stay" => run_stay(given),
        "zone" => {
            let (ready, not_ready) = (int(given, "ready") as usize, int(given, "not_ready") as usize);
            let interval = health::eviction_interval(health::zone_state(ready, not_ready), ready + not_ready, false);
            json!({ "interval_s": interval.map(Duration::as_secs_f64) })
        }
        "budget" => run_budget(given),
        "eks_node" => run_eks_node(given),
        "volumes" => volumes::run(given),
        other => json!({ "unknown kind": other }),
    }
}

fn int(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or(0)
}

fn float(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or(0.0)
}

fn seconds(value: &Value, key: &str) -> Duration {
    Duration::from_secs_f64(float(value, key))
}

fn instant(value: &Value, key: &str) -> Time {
    Time::from_secs_f64(float(value, key))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn pair(value: &Value, key: &str) -> [i64; 2] {
    [value[key][0].as_i64().unwrap_or(0), value[key][1].as_i64().unwrap_or(0)]
}

fn run_batches(given: &Value) -> Value {
    let expecting = given["expecting"].as_bool().unwrap_or(false);
    match manage(int(given, "active") as usize, int(given, "replicas") as usize, expecting) {
        Manage::Nothing => json!({ "create": [] }),
        Manage::Create(count) => json!({ "create": batches(count).collect::<Vec<_>>() }),
        Manage::Delete(count) => json!({ "delete": count }),
    }
}

fn run_bucket(given: &Value) -> Value {
    let mut bucket = TokenBucket::new(int(given, "per_second") as u32, int(given, "burst") as u32);
    let last = (0..int(given, "calls")).map(|_| bucket.take(Time::ZERO)).last();
    json!({ "last_s": last.map(Time::as_secs_f64) })
}

fn run_victims(given: &Value, expect: &Value) -> Value {
    let pods = list(given, "pods");
    let candidate = |pod: &Value| Candidate {
        assigned: pod["assigned"].as_bool().unwrap_or(true),
        phase: match pod["phase"].as_str() {
            Some("Pending") => PhaseRank::Pending,
            Some("Unknown") => PhaseRank::Unknown,
            _ => PhaseRank::Running,
        },
        ready: pod["ready"].as_bool().unwrap_or(true),
        deletion_cost: int(pod, "deletion_cost") as i32,
        crowd: int(pod, "crowd") as u32,
        ready_since: pod["ready_s"].as_f64().map(Time::from_secs_f64),
        restarts: int(pod, "restarts") as u32,
        created: instant(pod, "created_s"),
        uid: int(pod, "uid") as u64,
    };
    let candidates: Vec<Candidate> = pods.iter().map(candidate).collect();
    let chosen = choose(&candidates, int(given, "n") as usize, instant(given, "now_s"));
    let mut names: Vec<&str> = chosen.iter().filter_map(|index| pods[*index]["name"].as_str()).collect();
    names.sort_unstable();
    match expect["all_start_with"].as_str() {
        Some(prefix) if names.iter().all(|name| name.starts_with(prefix)) => json!({ "all_start_with": prefix }),
        _ => json!({ "victims": names }),
    }
}

fn run_termination(given: &Value) -> Value {
    let pre_stop = given["pre_stop_s"].as_f64().map(Duration::from_secs_f64);
    let plan = stop_plan(seconds(given, "grace_s"), pre_stop);
    let end = ended(plan, given["exits_after_s"].as_f64().map(Duration::from_secs_f64));
    json!({ "term_s": plan.term.as_secs_f64(), "end_s": end.as_secs_f64() })
}

fn run_pulls(given: &Value) -> Value {
    let config = PullConfig {
        serialize: given["serialize"].as_bool().unwrap_or(false),
        node_bytes_per_second: given["node_mb_per_s"].as_f64().map_or(125e6, |mb| mb * 1e6),
        ..PullConfig::default()
    };
    let mut images = NodeImages::new(config);
    let mut retries = Vec::new();
    for (pod, pull) in list(given, "pulls").iter().enumerate() {
        let bytes = float(pull, "seconds") * 10e6;
        let image = int(pull, "image") as u32;
        let request = PullRequest { pod: pod as u32, image, bytes, base: Duration::ZERO, rate: 10e6 };
        if let PullAnswer::RetryAt(at) = images.request(Time::ZERO, request) {
            retries.push(at.as_secs_f64());
        }
    }
    let mut ends = Vec::new();
    while let Some(end) = images.next_end() {
        ends.extend(images.finished(end).into_iter().map(|_| end.as_secs_f64()));
    }
    json!({ "ends_s": ends, "retries_s": retries })
}

fn plugins(step: &Value) -> Plugins {
    let named = |name: &str| Plugin::ALL.into_iter().find(|plugin| plugin.name() == name);
    let names = list(step, "plugins").iter().filter_map(Value::as_str);
    names.filter_map(named).fold(Plugins::NONE, Plugins::with)
}

/// One pod through the queue: between the steps the flushes run, and whatever is ready is tried at once.
fn run_queue(given: &Value) -> Value {
    let mut queue = SchedulingQueue::new(QueueConfig {
        pop_from_backoff: given["pop_from_backoff"].as_bool().unwrap_or(true),
        whole_second: instant(given, "whole_second_s"),
        ..QueueConfig::default()
    });
    let pool_period = Duration::from_secs(30);
    let mut pool_flush = Time::ZERO + pool_period;
    let mut tried = Vec::new();
    let steps = list(given, "steps");
    let last = steps.last().map_or(Time::ZERO, |step| instant(step, "t_s")) + Duration::from_secs(60);
    let mut now = Time::ZERO;
    for step in steps.iter().map(Some).chain([None]) {
        let until = step.map_or(last, |step| instant(step, "t_s"));
        loop {
            let flush = queue.next_flush().map_or(Time::MAX, |at| at.max(now));
            let next = flush.min(pool_flush);
            if next > until {
                break;
            }
            now = next;
            if flush == now {
                queue.flush_backoff(now);
            }
            if pool_flush == now {
                queue.flush_pool(now);
                pool_flush += pool_period;
            }
            tried.extend(queue.pop().map(|_| now.as_secs_f64()));
        }
        now = until;
        let Some(step) = step else { break };
        match step["do"].as_str() {
            Some("add") => queue.add(1, ShapeIndex(0), 0, now),
            Some("fail") => queue.put_back(1, plugins(step), now),
            Some("wake") => queue.move_all(now, |_| plugins(step)),
            _ => {}
        }
        tried.extend(queue.pop().map(|_| now.as_secs_f64()));
    }
    json!({ "tried_s": tried })
}

fn run_room(given: &Value) -> Value {
    let (allocatable, used, pod) = (pair(given, "allocatable"), pair(given, "used"), pair(given, "pod"));
    let with = [used[0] + pod[0], used[1] + pod[1]];
    json!({
        "least_allocated": score::least_allocated(allocatable, with),
        "balanced": score::balanced_allocation(allocatable, with),
        "balanced_improvement": score::balanced_improvement(
            score::balanced_allocation(allocatable, used),
            score::balanced_allocation(allocatable, with),
        ),
    })
}

fn run_spread(given: &Value) -> Value {
    let nodes = list(given, "nodes");
    let zone = |node: &Value| node["zone"].as_str().unwrap_or_default().to_owned();
    let mut zones: Vec<String> = nodes.iter().map(zone).collect();
    zones.sort_unstable();
    zones.dedup();
    let (host_weight, zone_weight) = (score::spread_weight(nodes.len()), score::spread_weight(zones.len()));
    let in_zone =
        |name: &str| nodes.iter().filter(|node| zone(node) == name).map(|node| int(node, "pods")).sum::<i64>();
    let raw: Vec<i64> = nodes
        .iter()
        .map(|node| score::spread([(int(node, "pods"), host_weight, 3), (in_zone(&zone(node)), zone_weight, 5)]))
        .collect();
    let (min, max) = (raw.iter().copied().min().unwrap_or(0), raw.iter().copied().max().unwrap_or(0));
    let weighted: Vec<i64> =
        raw.iter().map(|raw| score::weight::TOPOLOGY_SPREAD * score::normalized_spread(*raw, min, max)).collect();
    json!({ "raw": raw, "weighted": weighted })
}

fn pod_of(cpu_m: i64, priority: i64, preempts: bool, budget: bool) -> PodTraits {
    let mut problems = Problems::default();
    let tree =
        json_tree::node(&json!({ "containers": [{ "resources": { "requests": { "cpu": format!("{cpu_m}m") } } }] }));
    let spec = PodSpec::decode(&tree, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list));
    let labels: Labels = [("budget".to_owned(), budget.to_string())].into();
    PodTraits { labels, spec, priority: priority as i32, preempts, workload_selector: None, claims: Claims::default() }
}

fn run_preemption(given: &Value) -> Value {
    let mut snapshot = Snapshot::default();
    let mut names = Vec::new();
    for (index, node) in list(given, "nodes").iter().enumerate() {
        let allocatable = Resources::ZERO.with(Resource::Cpu, int(node, "cpu_m")).with(Resource::Pods, 110);
        let slot = snapshot.add_node(NodeSpec {
            name: format!("n{index}"),
            labels: Labels::new(),
            taints: Vec::new(),
            volume_limit: None,
            unschedulable: false,
            allocatable,
            images: Vec::new(),
        });
        for pod in list(node, "pods") {
            let budget = pod["budget"].as_bool().unwrap_or(false);
            let shape = snapshot.shape(&pod_of(int(pod, "cpu_m"), int(pod, "priority"), true, budget));
            let id = names.len() as u32;
            names.push(pod["name"].clone());
            let started = int(pod, "started_s") as u32;
            snapshot.place(slot, Placed { pod: id, shape, started, terminating: false, preempted: false });
        }
    }
    let budgets: Vec<Budget> = given["budget_allowed"]
        .as_i64()
        .map(|disruptions_allowed| Budget {
            selector: Some(LabelSelector {
                match_labels: [("budget".to_owned(), "true".to_owned())].into(),
                match_expressions: Vec::new(),
            }),
            disruptions_allowed,
        })
        .into_iter()
        .collect();
    let pod = &given["pod"];
    let preempts = pod["preempts"].as_bool().unwrap_or(true);
    let shape = snapshot.shape(&pod_of(int(pod, "cpu_m"), int(pod, "priority"), preempts, false));
    let mut random = Streams::new(1, 0).open("preemption", 0);
    let mut chooser = Chooser::default();
    match chooser.choose(&mut snapshot, u32::MAX, shape, None, &mut random) {
        Choice::Unschedulable(diagnosis) => {
            let preemptor = (u32::MAX, shape, None);
            let found = preempt(&mut chooser, &mut snapshot, preemptor, &diagnosis, &budgets, &mut random);
            found.map_or(json!({ "victims": null }), |candidate| {
                let victims: Vec<&Value> = candidate.victims.iter().map(|v| &names[v.pod as usize]).collect();
                json!({ "node": candidate.slot, "victims": victims })
            })
        }
        other => json!(format!("{other:?}")),
    }
}

fn run_node_loss(given: &Value) -> Value {
    let renewals = Passes { phase: seconds(given, "renewal_phase_s"), period: RENEW_PERIOD };
    let monitor = Passes { phase: seconds(given, "monitor_phase_s"), period: MONITOR_PERIOD };
    let unknown = health::unknown_at(instant(given, "died_s"), renewals, monitor, seconds(given, "grace_s"));
    json!({ "unknown_s": unknown.as_secs_f64() })
}

fn run_stay(given: &Value) -> Value {
    let key = given["taint"].as_str().unwrap_or_default().to_owned();
    let taint = Taint { key, value: String::new(), effect: TaintEffect::NoExecute };
    let spec: PodSpec = defaults();
    let stay = health::stay(&spec, given["daemon"].as_bool().unwrap_or(false), &[taint]);
    json!({ "stay_s": stay.map(Duration::as_secs_f64) })
}

fn run_budget(given: &Value) -> Value {
    let bound = |key: &str| {
        let value = &given[key];
        let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse().ok()).map(IntOrPercent::Percent);
        value.as_i64().map(IntOrPercent::Count).or(percent)
    };
    let spec = PodDisruptionBudgetSpec {
        min_available: bound("minAvailable"),
        max_unavailable: bound("maxUnavailable"),
        ..defaults()
    };
    let status = pdb::status(&spec, int(given, "matching"), int(given, "healthy"), int(given, "scale"));
    json!({ "desired": status.desired_healthy, "allowed": status.disruptions_allowed })
}

fn run_eks_node(given: &Value) -> Value {
    let name = given["type"].as_str().unwrap_or_default();
    let Some(row) = instance_type(name) else { return json!({ "unknown type": name }) };
    let allocatable = NodeSettings::of_family(forescale::api::karpenter::AmiFamily::Al2023).allocatable(row);
    let daemons: i64 = EKS_DAEMONS.iter().map(|daemon| daemon.cpu.milli()).sum();
    json!({
        "pods": allocatable.get(Resource::Pods),
        "allocatable_cpu_m": allocatable.cpu().milli(),
        "for_work_cpu_m": allocatable.cpu().milli() - daemons,
    })
}
