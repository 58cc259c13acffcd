//! Holds the scheduler against passes of the real one (`tests/data/upstream/provisioning.jsonl`; form: the README beside it).
//! `FORESCALE_PROVISIONING_UPSTREAM` names another file.
//!
//! The real one was run several times on each pass: domains of equal load are drawn from a map. A pass matches when one of many draws
//! here gives one of its outcomes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use forescale::api::karpenter::NodePoolSpec;
use forescale::api::meta::Labels;
use forescale::api::pod::{PodSpec, Taint};
use forescale::cluster::catalogue::Catalogue;
use forescale::ec2::kwok;
use forescale::engine::Streams;
use forescale::karpenter::scheduling::{
    BoundPods, ExistingNode, Input, MinValuesPolicy, Options, Pod, Pool, PreferencePolicy, Results, Shape, host_ports,
    solve,
};
use forescale::time::Time;
use forescale::units::{Resource, Resources};
use serde_json::{Value, json};

#[path = "support/json.rs"]
mod json;
#[path = "support/upstream.rs"]
mod upstream;

use upstream::{decode, labels_of, list, pool_spec, requirements, shape_of, text, type_names};

/// How many draws are tried for a pass.
const ATTEMPTS: u64 = 300;

fn main() -> ExitCode {
    let file = std::env::var("FORESCALE_PROVISIONING_UPSTREAM")
        .unwrap_or_else(|_| "tests/data/upstream/provisioning.jsonl".to_owned());
    let lines = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let types = std::fs::read_to_string("tests/data/recorded/catalogue.json").expect("the catalogue");
    let catalogue = Arc::new(kwok::parse_catalogue(&types).expect("a catalogue"));
    let (mut matched, mut total) = (0, 0);
    for line in lines.lines() {
        let case: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}"));
        total += 1;
        match Case::read(&case).judge(&case, &catalogue) {
            Ok(()) => matched += 1,
            Err(difference) => println!("{}:\n{difference}", case["id"]),
        }
    }
    println!("{matched} passed, {} failed", total - matched);
    println!("provisioning_upstream: matched {matched} of {total}");
    if matched == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Node {
    name: String,
    labels: Labels,
    taints: Vec<Taint>,
    /// `inflight` = no Node yet, `registered` = not initialized.
    state: String,
    target: bool,
    allocatable: Resources,
    capacity: Resources,
}

struct Case {
    pools: Vec<(String, NodePoolSpec)>,
    shapes: Vec<(String, Labels, PodSpec)>,
    daemons: Vec<PodSpec>,
    nodes: Vec<Node>,
    bound: Vec<BoundPods>,
    pending: Vec<Pod>,
    options: Options,
}

fn amounts(value: &Value) -> Resources {
    let bytes = value["memory"].to_string();
    decode(&json!({"cpu": format!("{}m", value["cpu"]), "memory": bytes, "pods": value["pods"].to_string()}))
}

impl Case {
    fn read(case: &Value) -> Case {
        let shapes: Vec<(String, Labels, PodSpec)> = list(&case["shapes"]).iter().map(shape_of).collect();
        let shape_named = |name: &str| shapes.iter().position(|shape| shape.0 == name).expect("a shape");
        let nodes = list(&case["nodes"]).iter().map(|node| Node {
            name: text(&node["name"]).to_owned(),
            labels: labels_of(&node["labels"]),
            taints: list(&node["taints"]).iter().map(decode).collect(),
            state: text(&node["mode"]).to_owned(),
            target: node["deleting"] != json!(true),
            allocatable: amounts(&node["allocatable"]),
            capacity: amounts(&node["capacity"]),
        });
        let mut bound = Vec::new();
        for (index, node) in list(&case["nodes"]).iter().enumerate() {
            for (shape, count) in node["pods"].as_object().into_iter().flatten() {
                let count = count.as_u64().expect("a count") as u32;
                bound.push(BoundPods { shape: shape_named(shape), node: index, running: count, present: count });
            }
        }
        let pending = list(&case["pending"]).iter().map(|pod| Pod {
            shape: pod["shape"].as_u64().expect("a shape") as usize,
            created: Time::from_micros(pod["created"].as_u64().expect("a time") * 60_000_000),
            uid: text(&pod["uid"]).parse().expect("a uid"),
            gated: false,
        });
        let mut options = Options::default();
        if case["options"]["preferencePolicy"] == "Ignore" {
            options.preferences = PreferencePolicy::Ignore;
        }
        if case["options"]["minValuesPolicy"] == "BestEffort" {
            options.min_values = MinValuesPolicy::BestEffort;
        }
        let pools = list(&case["pools"]).iter().map(|pool| (text(&pool["name"]).to_owned(), decode(&pool_spec(pool))));
        Case {
            pools: pools.collect(),
            daemons: list(&case["daemonSets"]).iter().map(|daemon| shape_of(daemon).2).collect(),
            nodes: nodes.collect(),
            bound,
            pending: pending.collect(),
            options,
            shapes,
        }
    }

    fn input(&self, catalogue: &Arc<Catalogue>) -> Input<'_> {
        let nodes = self.nodes.iter().enumerate().map(|(index, node)| {
            let own = || self.bound.iter().filter(move |bound| bound.node == index);
            let used = own().flat_map(|bound| (0..bound.present).map(|_| self.shapes[bound.shape].2.requests()));
            ExistingNode {
                name: &node.name,
                hostname: &node.name,
                labels: &node.labels,
                taints: node.taints.iter().collect(),
                target: node.target,
                initialized: node.state.is_empty(),
                has_node: node.state != "inflight",
                under_consolidate_after: false,
                available: node.allocatable - used.sum(),
                daemon_requests: Resources::ZERO,
                capacity: node.capacity,
                host_ports: own().flat_map(|bound| host_ports(&self.shapes[bound.shape].2)).collect(),
                free_volumes: None,
            }
        });
        let pool = |(name, spec)| Pool { name, spec, catalogue: Some(0) };
        Input {
            catalogues: vec![Arc::clone(catalogue)],
            pools: self.pools.iter().map(|(name, spec)| pool((name.as_str(), spec))).collect(),
            nodes: nodes.collect(),
            daemon_sets: self.daemons.iter().collect(),
            shapes: self
                .shapes
                .iter()
                .map(|(_, labels, spec)| Shape { labels, spec, volumes: 0, volume_topology: Vec::new() })
                .collect(),
            pods: self.pending.clone(),
            bound: self.bound.clone(),
            options: self.options.clone(),
        }
    }

    fn judge(&self, case: &Value, catalogue: &Arc<Catalogue>) -> Result<(), String> {
        let input = self.input(catalogue);
        let wanted: Vec<Value> = list(&case["outcomes"]).iter().map(ordered).collect();
        let mut nearest = None;
        for attempt in 0..ATTEMPTS {
            let results = solve(&input, &mut Streams::new(attempt, 0).open("chance", 0));
            let got = ordered(&self.outcome(catalogue, &results));
            if wanted.contains(&got) {
                return Ok(());
            }
            nearest.get_or_insert(got);
        }
        Err(difference(&wanted[0], &nearest.expect("an attempt")))
    }

    fn outcome(&self, catalogue: &Catalogue, results: &Results) -> Value {
        let counts = |pods: &[usize]| {
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            pods.iter().for_each(|pod| *counts.entry(&self.shapes[self.pending[*pod].shape].0).or_default() += 1);
            json!(counts)
        };
        let claims = results.claims.iter().map(|claim| {
            let requests = claim.requests;
            json!({
                "pool": self.pools[claim.pool].0, "pods": counts(&claim.pods), "options": type_names(catalogue, &claim.options),
                "requirements": requirements(catalogue, claim),
                "requests": {"cpu": requests.cpu().milli(), "memory": requests.memory().bytes(), "pods": requests.get(Resource::Pods)},
            })
        });
        let claims: Vec<Value> = claims.collect();
        let existing = results.existing.iter().map(|(node, pods)| (self.nodes[*node].name.as_str(), counts(pods)));
        let existing: BTreeMap<&str, Value> = existing.collect();
        let failed: Vec<usize> = results.errors.iter().map(|(pod, _)| *pod).collect();
        json!({"claims": claims, "existing": existing, "errors": counts(&failed)})
    }
}

/// The claims in a fixed order.
fn ordered(outcome: &Value) -> Value {
    let mut claims: Vec<Value> = list(&outcome["claims"]).to_vec();
    claims.sort_by_key(Value::to_string);
    json!({"claims": claims, "existing": outcome["existing"], "errors": outcome["errors"]})
}

fn difference(want: &Value, got: &Value) -> String {
    let mut text = String::new();
    let mut missing: Vec<Value> = list(&want["claims"]).to_vec();
    for claim in list(&got["claims"]) {
        match missing.iter().position(|other| other == claim) {
            Some(place) => drop(missing.remove(place)),
            None => text.push_str(&format!("    + {claim}\n")),
        }
    }
    missing.iter().for_each(|claim| text.push_str(&format!("    - {claim}\n")));
    for key in ["existing", "errors"] {
        if want[key] != got[key] {
            text.push_str(&format!("    {key}: got {}, want {}\n", got[key], want[key]));
        }
    }
    text
}
