//! Replays recorded batches of pods (`tests/data/recorded/provisioning.jsonl`) against the scheduler and compares the NodeClaims, the
//! pods that stay pending, and where kube-scheduler then put the others. `FORESCALE_PROVISIONING_RECORDED` names another file.
//!
//! What the real program leaves to chance is tried in many ways: domains of equal load, zones of equal price, and the order of pods
//! of different shapes with equal requests (their UIDs are random). A case is matched when one outcome is the recorded one.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use forescale::api::karpenter::NodePoolSpec;
use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::cluster::catalogue::{CapacityType, Catalogue, TypeId, ZoneId};
use forescale::ec2::kwok;
use forescale::engine::{Stream, Streams};
use forescale::karpenter::lifecycle::taints;
use forescale::karpenter::scheduling::requirements::Requirements;
use forescale::karpenter::scheduling::{
    BoundPods, ExistingNode, Input, NewClaim, Options, Pod, Pool, Results, Shape, labels, resolve_labels, solve,
};
use forescale::scheduler::choose::{Choice, Chooser};
use forescale::scheduler::shape::{PodTraits, ShapeIndex};
use forescale::scheduler::snapshot::{NodeSpec, Placed, Snapshot};
use forescale::time::Time;
use forescale::units::{Resource, Resources};
use serde_json::{Value, json};

#[path = "support/json.rs"]
mod json;
#[path = "support/scheduling.rs"]
mod scheduling;

#[path = "provisioning_recorded/placement.rs"]
mod placement;

use scheduling::{decode, pod_spec, resources};

/// How many ways chance may have gone that are tried for a wave.
const ATTEMPTS: u64 = 2000;

/// The label by which pods of a case select its pools.
const CASE: &str = "case";

fn main() -> ExitCode {
    let file = std::env::var("FORESCALE_PROVISIONING_RECORDED")
        .unwrap_or_else(|_| "tests/data/recorded/provisioning.jsonl".to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let catalogue = std::fs::read_to_string("tests/data/recorded/catalogue.json").expect("the catalogue");
    let catalogue = Arc::new(kwok::parse_catalogue(&catalogue).expect("a catalogue"));
    let (mut matched, mut total) = (0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let case: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}"));
        total += 1;
        match replay(&case, &catalogue) {
            Ok(()) => matched += 1,
            Err(difference) => println!("{} {}:\n{difference}", case["case"], case["features"]),
        }
    }
    println!("{matched} passed, {} failed", total - matched);
    println!("provisioning_recorded: matched {matched} of {total}");
    if matched == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A pod of the case.
#[derive(Clone)]
struct PodRecord {
    name: String,
    shape: usize,
    wave: u64,
    /// Index of its node.
    node: Option<usize>,
    /// Whether the recording lost sight of it.
    unknown: bool,
}

/// A node of the case. It joins as soon as its claim is created.
#[derive(Clone)]
struct NodeRecord {
    name: String,
    host: String,
    pool: String,
    labels: Labels,
    instance_type: TypeId,
    zone: ZoneId,
    capacity_type: CapacityType,
    requests: Resources,
    options: Vec<TypeId>,
    zone_requirement: Vec<String>,
    /// Which recorded claim it is.
    recorded: Option<usize>,
}

/// The state of a case between passes.
#[derive(Clone, Default)]
struct State {
    pods: Vec<PodRecord>,
    nodes: Vec<NodeRecord>,
}

/// What does not change within a case.
struct Case<'c> {
    catalogue: &'c Arc<Catalogue>,
    pools: Vec<(String, NodePoolSpec)>,
    shapes: Vec<(Labels, PodSpec)>,
}

fn replay(case: &Value, catalogue: &Arc<Catalogue>) -> Result<(), String> {
    let id = case["case"].as_str().expect("a name");
    let pools = case["pools"].as_array().expect("pools").iter().map(|pool| pool_of(pool, id)).collect();
    let waves = case["waves"].as_array().expect("waves");
    let shapes =
        waves.iter().flat_map(|wave| wave["shapes"].as_array().expect("shapes")).map(|shape| shape_of(shape, id));
    let world = Case { catalogue, pools, shapes: shapes.collect() };
    let mut state = State::default();
    let mut first_shape = 0;
    for (number, wave) in waves.iter().enumerate() {
        let shapes = wave["shapes"].as_array().expect("shapes");
        for (offset, shape) in shapes.iter().enumerate() {
            for index in 0..shape["count"].as_u64().expect("a count") {
                let name = format!("{}-{index}", shape["name"].as_str().expect("a name"));
                state.pods.push(PodRecord {
                    name,
                    shape: first_shape + offset,
                    wave: number as u64,
                    node: None,
                    unknown: false,
                });
            }
        }
        first_shape += shapes.len();
        let wanted = Outcome::recorded(wave, &state);
        let mut nearest = None;
        let found = (0..ATTEMPTS).any(|attempt| {
            let followed = (attempt % 2 == 1 && wave["pods"].is_object()).then_some(wave);
            let mut stream = Streams::new(attempt, 0).open("chance", 0);
            let got = run_wave(&world, state.clone(), number as u64, followed, &mut stream);
            let got = Outcome::of(&world, &got, wave);
            let same = got.same(&wanted);
            nearest.get_or_insert(got);
            same
        });
        if !found {
            let got = nearest.expect("an attempt");
            return Err(format!("  wave {number}\n{}", got.difference(&wanted)));
        }
        if wave["pods"].is_object() {
            placement::check(&world, &state, wave).map_err(|difference| format!("  wave {number}\n{difference}"))?;
        }
        state.adopt(&world, wave);
    }
    Ok(())
}

fn pool_of(pool: &Value, case: &str) -> (String, NodePoolSpec) {
    let spec = json!({
        "weight": pool["weight"], "limits": pool["limits"],
        "template": {
            "metadata": {"labels": {CASE: case}},
            "spec": {"requirements": pool["requirements"], "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "instant"}},
        },
    });
    let mut spec = spec.as_object().cloned().expect("an object");
    spec.retain(|_, value| !value.is_null());
    (pool["name"].as_str().expect("a name").to_owned(), decode(&Value::Object(spec)))
}

fn shape_of(shape: &Value, case: &str) -> (Labels, PodSpec) {
    let mut spec = shape["spec"].clone();
    spec["nodeSelector"][CASE] = json!(case);
    let requests = json!({"cpu": format!("{}m", shape["cpu_m"]), "memory": format!("{}Mi", shape["mem_mi"])});
    let app = shape["name"].as_str().expect("a name");
    (Labels::from([("app".to_owned(), app.to_owned())]), pod_spec(&spec, &requests))
}

/// Passes until one launches nothing. Between them kube-scheduler tries new pods on the nodes there are, then pending pods on nodes
/// that join; or, with `followed`, pods go where the recording has them in the end.
fn run_wave(case: &Case<'_>, mut state: State, wave: u64, followed: Option<&Value>, stream: &mut Stream) -> State {
    // Where a pod is that the recording does not mention, nobody knows.
    let gone = stream.chance(0.5);
    state.pods.retain(|pod| !(pod.unknown && gone));
    for index in 0..state.nodes.len() {
        state.nodes[index].name = node_name(&state.nodes[index].pool, stream);
    }
    let mut scheduler = KubeScheduler::new(case, &state);
    match followed {
        Some(wave) => state.follow(wave),
        None => {
            let new = (0..state.pods.len()).filter(|pod| state.pods[*pod].wave == wave || state.pods[*pod].unknown);
            let new: Vec<usize> = new.collect();
            scheduler.schedule(&mut state, &new, stream);
        }
    }
    loop {
        let pending: Vec<usize> = (0..state.pods.len()).filter(|pod| state.pods[*pod].node.is_none()).collect();
        if pending.is_empty() {
            return state;
        }
        let results = pass(case, &state, &pending, stream);
        if results.claims.is_empty() {
            return state;
        }
        let first = state.nodes.len();
        for claim in &results.claims {
            let index = state.nodes.len();
            state.nodes.push(launch(case, claim, index, stream));
        }
        match followed {
            Some(wave) => {
                state.recognise(case, first, wave);
                state.follow(wave);
            }
            None => scheduler.join_all(&mut state, first, pending, stream),
        }
    }
}

/// NodeClaims get random names; their Nodes are ordered by them within a pool.
fn node_name(pool: &str, stream: &mut Stream) -> String {
    format!("kwok-{pool}-{:016x}", stream.bits())
}

/// kube-scheduler on the nodes of a case.
struct KubeScheduler<'c> {
    case: &'c Case<'c>,
    snapshot: Snapshot,
    chooser: Chooser,
    shapes: Vec<ShapeIndex>,
    /// Slot of each node that has joined.
    slots: BTreeMap<usize, usize>,
}

impl<'c> KubeScheduler<'c> {
    fn new(case: &'c Case<'c>, state: &State) -> Self {
        KubeScheduler::of(case, state, |_| true)
    }

    /// With those nodes that have joined.
    fn of(case: &'c Case<'c>, state: &State, joined: impl Fn(usize) -> bool) -> Self {
        let mut snapshot = Snapshot::default();
        let shape = |(labels, spec): &(Labels, PodSpec)| {
            let (labels, spec) = (labels.clone(), spec.clone());
            snapshot.shape(&PodTraits { labels, spec, priority: 0, preempts: true, workload_selector: None })
        };
        let shapes = case.shapes.iter().map(shape).collect();
        let mut scheduler =
            KubeScheduler { case, snapshot, chooser: Chooser::default(), shapes, slots: BTreeMap::new() };
        (0..state.nodes.len()).filter(|node| joined(*node)).for_each(|node| scheduler.join(state, node));
        for (index, pod) in state.pods.iter().enumerate() {
            if let Some(node) = pod.node {
                scheduler.place(index, pod.shape, scheduler.slots[&node]);
            }
        }
        scheduler
    }

    /// A Node appears. It carries the taint of a node that Karpenter has not registered.
    fn announce(&mut self, state: &State, node: usize) {
        let spec = NodeSpec { taints: vec![taints::unregistered()], ..self.spec(state, node) };
        self.slots.insert(node, self.snapshot.add_node(spec));
    }

    /// A Node is ready for pods.
    fn join(&mut self, state: &State, node: usize) {
        let spec = self.spec(state, node);
        match self.slots.get(&node) {
            Some(slot) => self.snapshot.update_node(*slot, spec),
            None => drop(self.slots.insert(node, self.snapshot.add_node(spec))),
        }
    }

    fn spec(&self, state: &State, node: usize) -> NodeSpec {
        let record = &state.nodes[node];
        NodeSpec {
            name: record.name.clone(),
            labels: record.labels.clone(),
            taints: Vec::new(),
            unschedulable: false,
            allocatable: self.case.catalogue.get(record.instance_type).allocatable,
            images: Vec::new(),
        }
    }

    /// Nodes join, in any order and with any of the pending pods tried between them.
    fn join_all(&mut self, state: &mut State, first: usize, pending: Vec<usize>, stream: &mut Stream) {
        let mut joining: Vec<usize> = (first..state.nodes.len()).collect();
        stream.shuffle(&mut joining);
        let mut order = pending;
        if stream.chance(0.3) {
            stream.shuffle(&mut order);
        }
        let one_by_one = stream.chance(0.5);
        for node in joining {
            self.join(state, node);
            if one_by_one && stream.chance(0.5) {
                self.schedule(state, &order, stream);
            }
        }
        self.schedule(state, &order, stream);
    }

    fn place(&mut self, pod: usize, shape: usize, slot: usize) {
        let placed = Placed {
            pod: pod as u32,
            shape: self.shapes[shape],
            started: Time::MAX,
            terminating: false,
            preempted: false,
        };
        self.snapshot.place(slot, placed);
    }

    fn has_nodes(&self) -> bool {
        !self.slots.is_empty()
    }

    fn attempt(&mut self, pod: usize, shape: usize, stream: &mut Stream) -> Choice {
        self.chooser.choose(&mut self.snapshot, pod as u32, self.shapes[shape], None, stream)
    }

    /// The nodes among which the last attempt drew.
    fn equals(&self) -> Vec<usize> {
        let node = |slot| self.slots.iter().find(|(_, other)| **other == slot).map(|(node, _)| *node);
        self.chooser.equals().filter_map(node).collect()
    }

    fn put(&mut self, pod: usize, shape: usize, node: usize) {
        self.place(pod, shape, self.slots[&node]);
    }

    fn schedule(&mut self, state: &mut State, order: &[usize], stream: &mut Stream) {
        for index in order {
            let pod = &mut state.pods[*index];
            if pod.node.is_some() {
                continue;
            }
            let shape = self.shapes[pod.shape];
            if let Choice::Node(slot) = self.chooser.choose(&mut self.snapshot, *index as u32, shape, None, stream) {
                let node = self.slots.iter().find(|(_, other)| **other == slot).map(|(node, _)| *node);
                pod.node = node;
                let shape = pod.shape;
                self.place(*index, shape, slot);
            }
        }
    }
}

fn pass(case: &Case<'_>, state: &State, pending: &[usize], stream: &mut Stream) -> Results {
    let pools: Vec<Pool<'_>> = case.pools.iter().map(|(name, spec)| Pool { name, spec, catalogue: Some(0) }).collect();
    let requests: Vec<Resources> = case.shapes.iter().map(|(_, spec)| spec.requests()).collect();
    let used = |index: usize| -> Resources {
        state.pods.iter().filter(|pod| pod.node == Some(index)).map(|pod| requests[pod.shape]).sum()
    };
    let nodes = state.nodes.iter().enumerate().map(|(index, node)| ExistingNode {
        name: &node.name,
        hostname: &node.labels[labels::HOSTNAME],
        labels: &node.labels,
        taints: Vec::new(),
        target: true,
        initialized: true,
        has_node: true,
        under_consolidate_after: false,
        available: case.catalogue.get(node.instance_type).allocatable - used(index),
        daemon_requests: Resources::ZERO,
        capacity: node.requests,
        host_ports: Vec::new(),
        free_volumes: None,
    });
    let mut bound: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for pod in &state.pods {
        if let Some(node) = pod.node {
            *bound.entry((pod.shape, node)).or_default() += 1;
        }
    }
    let input = Input {
        catalogues: vec![Arc::clone(case.catalogue)],
        pools,
        nodes: nodes.collect(),
        daemon_sets: Vec::new(),
        shapes: case.shapes.iter().map(|(labels, spec)| Shape { labels, spec, volumes: 0 }).collect(),
        pods: pending
            .iter()
            .map(|pod| {
                let pod = &state.pods[*pod];
                Pod {
                    shape: pod.shape,
                    created: Time::from_micros(pod.wave * 60_000_000),
                    uid: stream.bits(),
                    gated: false,
                }
            })
            .collect(),
        bound: bound
            .into_iter()
            .map(|((shape, node), count)| BoundPods { shape, node, running: count, present: count })
            .collect(),
        options: Options::default(),
    };
    solve(&input, stream)
}

/// The node that the KWOK provider makes of a claim.
fn launch(case: &Case<'_>, claim: &NewClaim, index: usize, stream: &mut Stream) -> NodeRecord {
    let allowed = |key: &str, value: &str| claim.requirements.get(key).is_none_or(|requirement| requirement.has(value));
    let zones: Vec<ZoneId> = (0..case.catalogue.zones.len())
        .map(|zone| ZoneId(zone as u16))
        .filter(|zone| allowed(labels::ZONE, case.catalogue.zone(*zone)))
        .collect();
    let capacity_types: Vec<CapacityType> = [CapacityType::Spot, CapacityType::OnDemand]
        .into_iter()
        .filter(|capacity_type| allowed(labels::CAPACITY_TYPE, capacity_type.as_str()))
        .collect();
    let (instance_type, offering) =
        kwok::choose(case.catalogue, &claim.options, &zones, &capacity_types, stream).expect("an offering");
    let pool = case.pools[claim.pool].0.clone();
    let mut options = claim.options.clone();
    options.sort_unstable();
    let mut node = NodeRecord {
        name: node_name(&pool, stream),
        host: format!("{pool}-{index:04}"),
        pool,
        labels: Labels::new(),
        instance_type,
        zone: offering.zone,
        capacity_type: offering.capacity_type,
        requests: claim.requests,
        options,
        zone_requirement: claim
            .requirements
            .get(labels::ZONE)
            .map_or_else(Vec::new, |requirement| requirement.values().map(str::to_owned).collect()),
        recorded: None,
    };
    node.labels = node_labels(case.catalogue, &node, &claim.requirements, stream);
    node
}

fn node_labels(catalogue: &Catalogue, node: &NodeRecord, requirements: &Requirements, stream: &mut Stream) -> Labels {
    let mut all = resolve_labels(requirements, stream);
    for (key, values) in catalogue.get(node.instance_type).labels.iter() {
        if let [value] = &values[..] {
            all.insert(key.clone(), value.clone());
        }
    }
    all.insert(labels::NODE_POOL.to_owned(), node.pool.clone());
    all.insert(labels::ZONE.to_owned(), catalogue.zone(node.zone).to_owned());
    all.insert(labels::CAPACITY_TYPE.to_owned(), node.capacity_type.as_str().to_owned());
    all.insert(labels::HOSTNAME.to_owned(), node.host.clone());
    all
}

impl State {
    /// Continues from what was recorded at the end of a wave.
    fn adopt(&mut self, case: &Case<'_>, wave: &Value) {
        let id = |value: &Value| value.as_u64().expect("an id") as usize;
        let mut claims: Vec<&Value> = wave["nodeclaims"].as_array().expect("claims").iter().collect();
        claims.sort_by_key(|claim| id(&claim["id"]));
        let places: BTreeMap<usize, usize> =
            claims.iter().enumerate().map(|(i, claim)| (id(&claim["id"]), i)).collect();
        self.nodes = claims.iter().map(|claim| recorded_node(case, claim)).collect();
        self.nodes.iter_mut().zip(&claims).for_each(|(node, claim)| node.recorded = Some(id(&claim["id"])));
        for pod in &mut self.pods {
            pod.node = wave["pods"][&pod.name].as_u64().and_then(|claim| places.get(&(claim as usize)).copied());
            pod.unknown = wave["pods"].get(&pod.name).is_none();
        }
    }

    /// Takes nodes launched since `first` for recorded ones that are equal.
    fn recognise(&mut self, case: &Case<'_>, first: usize, wave: &Value) {
        for index in first..self.nodes.len() {
            let own = ClaimOutcome::of(case, &self.nodes[index]);
            let taken: Vec<usize> = self.nodes.iter().filter_map(|node| node.recorded).collect();
            let claims = wave["nodeclaims"].as_array().expect("claims").iter();
            let mut free = claims.filter(|claim| !taken.contains(&(claim["id"].as_u64().expect("an id") as usize)));
            if let Some(claim) = free.find(|claim| ClaimOutcome::recorded(claim) == own) {
                let node = &mut self.nodes[index];
                node.recorded = claim["id"].as_u64().map(|id| id as usize);
                node.zone = case.catalogue.find_zone(claim["zone"].as_str().expect("a zone")).expect("a zone");
                node.labels.insert(labels::ZONE.to_owned(), case.catalogue.zone(node.zone).to_owned());
            }
        }
    }

    /// Puts pending pods on the recorded nodes that exist by now.
    fn follow(&mut self, wave: &Value) {
        for pod in self.pods.iter_mut().filter(|pod| pod.node.is_none()) {
            let place = wave["pods"][&pod.name].as_u64().map(|claim| claim as usize);
            pod.node = self.nodes.iter().position(|node| place.is_some() && node.recorded == place);
        }
    }
}

fn recorded_node(case: &Case<'_>, claim: &Value) -> NodeRecord {
    let text = |key: &str| claim[key].as_str().expect("a text");
    let mut node = NodeRecord {
        name: String::new(),
        host: format!("{}-{:04}", text("pool"), claim["id"]),
        pool: text("pool").to_owned(),
        labels: Labels::new(),
        instance_type: case.catalogue.find(text("type")).expect("a type"),
        zone: case.catalogue.find_zone(text("zone")).expect("a zone"),
        capacity_type: CapacityType::parse(text("capacity_type")).expect("a capacity type"),
        requests: resources(&claim["requests"]),
        options: texts(&claim["options"]).iter().map(|name| case.catalogue.find(name).expect("a type")).collect(),
        zone_requirement: texts(&claim["requirements"][labels::ZONE][1]),
        recorded: None,
    };
    node.labels = node_labels(case.catalogue, &node, &Requirements::new(), &mut Streams::new(0, 0).open("none", 0));
    let (_, pool) = case.pools.iter().find(|(name, _)| *name == node.pool).expect("a pool");
    node.labels.extend(pool.template.metadata.labels.clone());
    node
}

/// A list of texts in alphabetical order.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(&[][..], |list| &list[..]);
    let mut list: Vec<String> = list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect();
    list.sort_unstable();
    list
}

/// What is compared: the NodeClaims and how many pods of each shape are pending.
#[derive(Debug, PartialEq)]
struct Outcome {
    claims: Vec<ClaimOutcome>,
    pending: BTreeMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClaimOutcome {
    pool: String,
    cpu_milli: i64,
    memory_mib: i64,
    pods: i64,
    instance_type: String,
    capacity_type: String,
    zones: Vec<String>,
    options: Vec<String>,
}

impl ClaimOutcome {
    fn recorded(claim: &Value) -> Self {
        let requests = resources(&claim["requests"]);
        ClaimOutcome {
            pool: claim["pool"].as_str().expect("a pool").to_owned(),
            cpu_milli: requests.cpu().milli(),
            memory_mib: requests.memory().bytes() >> 20,
            pods: requests.get(Resource::Pods),
            instance_type: claim["type"].as_str().expect("a type").to_owned(),
            capacity_type: claim["capacity_type"].as_str().expect("a type").to_owned(),
            zones: texts(&claim["requirements"][labels::ZONE][1]),
            options: texts(&claim["options"]),
        }
    }

    fn of(case: &Case<'_>, node: &NodeRecord) -> Self {
        ClaimOutcome {
            pool: node.pool.clone(),
            cpu_milli: node.requests.cpu().milli(),
            memory_mib: node.requests.memory().bytes() >> 20,
            pods: node.requests.get(Resource::Pods),
            instance_type: case.catalogue.get(node.instance_type).name.clone(),
            capacity_type: node.capacity_type.as_str().to_owned(),
            zones: node.zone_requirement.clone(),
            options: node.options.iter().map(|id| case.catalogue.get(*id).name.clone()).collect(),
        }
    }
}

impl Outcome {
    fn recorded(wave: &Value, state: &State) -> Self {
        let claims = wave["nodeclaims"].as_array().expect("claims").iter().map(ClaimOutcome::recorded);
        let mut claims: Vec<ClaimOutcome> = claims.collect();
        claims.sort_unstable();
        Outcome { claims, pending: pending(state, wave, |pod| wave["pods"][&pod.name].is_null()) }
    }

    fn of(case: &Case<'_>, state: &State, wave: &Value) -> Self {
        let claims = state.nodes.iter().map(|node| ClaimOutcome::of(case, node));
        let mut claims: Vec<ClaimOutcome> = claims.collect();
        claims.sort_unstable();
        Outcome { claims, pending: pending(state, wave, |pod| pod.node.is_none()) }
    }

    fn same(&self, wanted: &Outcome) -> bool {
        self == wanted
    }

    fn difference(&self, wanted: &Outcome) -> String {
        let mut text = String::new();
        let show = |claim: &ClaimOutcome| {
            format!(
                "{} {}m {}Mi {} pods, {} {} in {:?}, {} options {:?}",
                claim.pool,
                claim.cpu_milli,
                claim.memory_mib,
                claim.pods,
                claim.instance_type,
                claim.capacity_type,
                claim.zones,
                claim.options.len(),
                claim.options.iter().take(3).collect::<Vec<_>>()
            )
        };
        let mut missing = wanted.claims.clone();
        for claim in &self.claims {
            match missing.iter().position(|other| other == claim) {
                Some(place) => drop(missing.remove(place)),
                None => text.push_str(&format!("    + {}\n", show(claim))),
            }
        }
        missing.iter().for_each(|claim| text.push_str(&format!("    - {}\n", show(claim))));
        if self.pending != wanted.pending {
            text.push_str(&format!("    pending {:?}, recorded {:?}\n", self.pending, wanted.pending));
        }
        text
    }
}

/// Pending pods by shape, among those whose fate was recorded.
fn pending(state: &State, wave: &Value, is_pending: impl Fn(&PodRecord) -> bool) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for pod in state.pods.iter().filter(|pod| wave["pods"].get(&pod.name).is_some() && is_pending(pod)) {
        let shape = pod.name.rsplit_once('-').map_or(pod.name.as_str(), |(shape, _)| shape);
        *counts.entry(shape.to_owned()).or_default() += 1;
    }
    counts
}
