//! Holds single decisions of disruption against those of the real methods (`tests/data/upstream/consolidation.jsonl`; form: the README
//! beside it). `FORESCALE_CONSOLIDATION_UPSTREAM` names another file.
//!
//! The real methods were run several times on each cluster: nodes come from a map. A decision matches when one of many orders here
//! leads to one of those found; equal nodes are interchangeable.

use std::process::ExitCode;
use std::sync::Arc;

use forescale::api::pod::{PodSpec, Taint};
use forescale::cluster::catalogue::{CapacityType, Catalogue};
use forescale::ec2::kwok;
use forescale::engine::Streams;
use forescale::karpenter::disruption::command::Command;
use forescale::karpenter::disruption::cost::node_price;
use forescale::karpenter::disruption::model::{Method, NodeView, PodView, PoolIndex, Rules};
use forescale::karpenter::disruption::pass::{Instant, Memory, Step};
use forescale::karpenter::disruption::simulate::{DecisionCost, PodIdentity, SolverSimulator};
use forescale::karpenter::scheduling::{Knowledge, MinValuesPolicy, host_ports};
use forescale::time::{Duration, Time};
use serde_json::{Value, json};

#[allow(dead_code, reason = "shared with harnesses that use more of it")]
#[path = "support/disruption_world.rs"]
mod disruption_world;
#[path = "support/json.rs"]
mod json;
#[path = "support/upstream.rs"]
mod upstream;

use disruption_world::{Pool, TestCluster, TestNode, run_pass};
use upstream::{decode, labels_of, list, pool_spec, requirements, shape_of, text, type_names};

/// How many orders of nodes and pools are tried.
const SEEDS: u64 = 60;
const NOW: Time = Time::from_micros(7_200_000_000);
const METHODS: [(Method, &str); 3] = [
    (Method::Emptiness, "*disruption.Emptiness"),
    (Method::MultiNodeConsolidation, "*disruption.MultiNodeConsolidation"),
    (Method::SingleNodeConsolidation, "*disruption.SingleNodeConsolidation"),
];

fn main() -> ExitCode {
    let file = std::env::var("FORESCALE_CONSOLIDATION_UPSTREAM")
        .unwrap_or_else(|_| "tests/data/upstream/consolidation.jsonl".to_owned());
    let lines = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let types = std::fs::read_to_string("tests/data/recorded/catalogue.json").expect("the catalogue");
    let catalogue = kwok::parse_catalogue(&types).expect("a catalogue");
    let (mut matched, mut total) = (0, 0);
    for line in lines.lines() {
        let case: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}"));
        total += 1;
        match judge(&case, &Arc::new(sold(&case, &catalogue))) {
            Ok(()) => matched += 1,
            Err(got) => println!("{}:\n    got  {got}\n    want {}", case["id"], case["outcomes"]),
        }
    }
    println!("{matched} passed, {} failed", total - matched);
    println!("consolidation_upstream: matched {matched} of {total}");
    if matched == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The catalogue without what is sold out.
fn sold(case: &Value, catalogue: &Catalogue) -> Catalogue {
    let mut catalogue = catalogue.clone();
    for entry in list(&case["ice"]) {
        let id = catalogue.find(text(&entry[0])).expect("a type");
        let zone = catalogue.find_zone(text(&entry[1])).expect("a zone");
        let capacity_type = CapacityType::parse(text(&entry[2])).expect("a capacity type");
        let offerings = catalogue.types[id.0 as usize].offerings.iter_mut();
        offerings.filter(|o| o.zone == zone && o.capacity_type == capacity_type).for_each(|o| o.available = false);
    }
    catalogue
}

fn judge(case: &Value, catalogue: &Arc<Catalogue>) -> Result<(), Value> {
    let mut nearest = None;
    for seed in 0..SEEDS {
        let got = decide(case, catalogue, seed);
        if list(&case["outcomes"]).contains(&got) {
            return Ok(());
        }
        nearest.get_or_insert(got);
    }
    Err(nearest.expect("an order"))
}

/// The cluster, with pools and nodes in an order that the seed decides, and the taints of its nodes.
fn cluster(case: &Value, catalogue: &Arc<Catalogue>, seed: u64) -> (TestCluster, Vec<Vec<Taint>>) {
    let mut stream = Streams::new(seed, 0).open("order", 0);
    let pool = |pool: &Value| Pool { name: text(&pool["name"]).to_owned(), spec: decode(&pool_spec(pool)) };
    let mut pools: Vec<Pool> = list(&case["pools"]).iter().map(pool).collect();
    stream.shuffle(&mut pools);
    let shapes = list(&case["shapes"]).iter().map(shape_of);
    let mut cluster = TestCluster {
        catalogue: Arc::clone(catalogue),
        pools,
        nodes: Vec::new(),
        shapes: shapes.map(|(_, labels, spec)| (labels, spec)).collect(),
        pending: list(&case["pending"]).iter().map(identity).collect(),
        rules: Rules::of_minor(14, case["spotToSpot"] == json!(true)),
        tracked_costs: std::collections::BTreeMap::new(),
        min_values: MinValuesPolicy::Strict,
    };
    let mut nodes: Vec<&Value> = list(&case["nodes"]).iter().collect();
    stream.shuffle(&mut nodes);
    for node in &nodes {
        let node = test_node(&cluster, node);
        let pool = node.view.pool.expect("a pool").0;
        *cluster.tracked_costs.entry(pool).or_default() += node_price(&node.view, catalogue);
        cluster.nodes.push(node);
    }
    let taints = |node: &&Value| list(&node["taints"]).iter().map(decode).collect();
    (cluster, nodes.iter().map(taints).collect())
}

fn test_node(cluster: &TestCluster, node: &Value) -> TestNode {
    let labels = labels_of(&node["labels"]);
    let pool = cluster.pool(&labels["karpenter.sh/nodepool"]).unwrap_or(PoolIndex(0));
    let mut view = NodeView::new(cluster.nodes.len() as u32, text(&node["name"]), pool);
    let id = cluster.find_type(&labels["node.kubernetes.io/instance-type"]);
    view.instance_type = Some(id);
    view.zone = Some(cluster.find_zone(&labels["topology.kubernetes.io/zone"]));
    view.capacity_type = CapacityType::parse(&labels["karpenter.sh/capacity-type"]);
    view.consolidatable = node["mode"] == "quiet";
    view.last_pod_event = Some(NOW - Duration::from_secs(if view.consolidatable { 60 } else { 5 }));
    let pods = list(&node["pods"]);
    view.pods = (0..pods.len()).map(|id| PodView { id: id as u32, ..PodView::default() }).collect();
    let allocatable = cluster.catalogue.get(id).allocatable;
    TestNode { view, labels, allocatable, identities: pods.iter().map(identity).collect() }
}

fn identity(pod: &Value) -> PodIdentity {
    PodIdentity {
        shape: pod["shape"].as_u64().expect("a shape") as usize,
        created: Time::from_micros(pod["created"].as_u64().expect("a time") * 60_000_000),
        uid: text(&pod["uid"]).parse().expect("a uid"),
    }
}

fn decide(case: &Value, catalogue: &Arc<Catalogue>, seed: u64) -> Value {
    let (cluster, taints) = cluster(case, catalogue, seed);
    let observed = cluster.observed();
    let base = || {
        let mut base = cluster.base();
        for ((node, taints), own) in base.input.nodes.iter_mut().zip(&taints).zip(&cluster.nodes) {
            let spec = |identity: &PodIdentity| -> &PodSpec { &cluster.shapes[identity.shape].1 };
            node.taints = taints.iter().collect();
            node.host_ports = own.identities.iter().flat_map(|identity| host_ports(spec(identity))).collect();
        }
        base
    };
    let mut memory = Memory::default();
    memory.state.mark_unconsolidated(NOW);
    let (mut knowledge, mut ties) = (Knowledge::default(), Streams::new(seed, 0).open("ties", 0));
    let mut simulator = SolverSimulator::new(&observed, &base, NOW, DecisionCost::NONE, &mut knowledge, &mut ties);
    let at = Instant { now: NOW, wall: jiff::Timestamp::UNIX_EPOCH };
    let from = METHODS[case["from"].as_u64().unwrap_or(0) as usize].0;
    match run_pass(&mut memory, &observed, &mut simulator, Some(from), at).step {
        Step::Validate(command) => describe(case, &cluster, &command),
        _ => json!({"method": "none"}),
    }
}

fn describe(case: &Value, cluster: &TestCluster, command: &Command) -> Value {
    let name = |id: &u32| cluster.nodes[*id as usize].view.name.as_str();
    let mut nodes: Vec<&str> = command.ids().iter().map(|id| text(&case["keys"][name(id)])).collect();
    nodes.sort_unstable();
    let replacements = command.replacements.iter().map(|replacement| {
        let plan = replacement.narrowed_plan().expect("a plan");
        json!({
            "pool": cluster.pools[replacement.pool.0].name, "types": type_names(&cluster.catalogue, &replacement.types),
            "requirements": requirements(&cluster.catalogue, &plan),
        })
    });
    let method = METHODS.iter().find(|(method, _)| *method == command.method).map(|(_, name)| name);
    let savings = command.estimated_savings(&cluster.catalogue, true);
    json!({
        "method": method, "nodes": nodes, "replacements": replacements.collect::<Vec<_>>(),
        "savings": format!("{savings:.4}"),
    })
}
