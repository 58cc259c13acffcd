//! Runs the provisioning test vectors (format: `tests/data/provisioning/README.md`). `FORESCALE_PROVISIONING_VECTORS` names another file.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use forescale::api::karpenter::NodePoolSpec;
use forescale::api::meta::Labels;
use forescale::api::pod::{PodSpec, Taint};
use forescale::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, TypeId, ZoneId};
use forescale::ec2::launch::{FleetRequest, LaunchRequest, Override, plan};
use forescale::engine::{Stream, Streams};
use forescale::karpenter::batcher::Batcher;
use forescale::karpenter::scheduling::requirements::Requirements;
use forescale::karpenter::scheduling::{
    BoundPods, ExistingNode, Input, MinValuesPolicy, NewClaim, Options, Pod, Pool, PreferencePolicy, Results, Shape,
    labels, offering_allowed, resolve_labels, solve,
};
use forescale::time::{Duration, Time};
use forescale::units::{Cpu, Memory, Resource, Resources};
use serde_json::{Map, Value, json};

#[path = "support/json.rs"]
mod json;
#[path = "support/reservations.rs"]
mod reservations;
#[path = "support/scheduling.rs"]
mod scheduling;

use scheduling::{decode, pod_spec, resources};

fn main() -> ExitCode {
    let file = std::env::var("FORESCALE_PROVISIONING_VECTORS")
        .unwrap_or_else(|_| "tests/data/provisioning/vectors.json".to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (mut passed, mut total) = (0, 0);
    for vector in list(&document["vectors"]) {
        total += 1;
        let differences = match vector["kind"].as_str() {
            Some("batcher") => batcher(&vector["in"], &vector["want"]),
            Some("launch") => launch(&vector["in"], &document["catalogues"], &vector["want"]),
            Some("schedule") => schedule(&vector["in"], &document["catalogues"], &vector["want"]),
            other => vec![format!("unknown kind {other:?}")],
        };
        if differences.is_empty() {
            passed += 1;
        } else {
            println!("{} ({}):", vector["id"], vector["upstream"]);
            differences.iter().for_each(|line| println!("    {line}"));
        }
    }
    println!("{passed} passed, {} failed", total - passed);
    println!("provisioning_vectors: passed {passed} of {total}");
    if passed == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |list| &list[..])
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Windows of a list of triggers: when each closes.
fn batcher(input: &Value, want: &Value) -> Vec<String> {
    let seconds = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    let duration = |key: &str| Duration::from_secs_f64(seconds(&input[key]));
    let mut batcher = Batcher::new(duration("idle_s"), duration("max_s"));
    let mut closed = Vec::new();
    let mut close = |batcher: &mut Batcher<String>, until: Option<Time>| {
        while let Some(end) = batcher.closes_at().filter(|end| until.is_none_or(|until| *end <= until)) {
            batcher.close(end);
            closed.push(json!(end.as_secs_f64()));
            batcher.finished(end);
        }
    };
    for trigger in list(&input["triggers"]) {
        let at = Time::from_secs_f64(seconds(&trigger[0]));
        close(&mut batcher, Some(at));
        batcher.trigger(text(&trigger[1]).to_owned(), at);
    }
    close(&mut batcher, None);
    let got = Value::Array(closed);
    if got == want["closes_s"] { Vec::new() } else { vec![format!("closes_s {got}, wanted {}", want["closes_s"])] }
}

/// The types of a vector, which may name a catalogue of the file.
fn types<'a>(input: &'a Value, catalogues: &'a Value) -> &'a Value {
    match &input["catalogue"] {
        Value::String(name) => &catalogues[name.as_str()],
        inline => inline,
    }
}

/// CreateFleet requests of one NodeClaim that is tried again and again: pools without capacity are marked unavailable.
fn launch(input: &Value, catalogues: &Value, want: &Value) -> Vec<String> {
    let mut catalogue = catalogue(types(input, catalogues));
    let zone =
        |name: &Value| ZoneId(catalogue.zones.iter().position(|zone| zone == text(name)).expect("a zone") as u16);
    let zones: Vec<ZoneId> = list(&input["zones"]).iter().map(zone).collect();
    let capacity_types = list(&input["capacityTypes"]).iter().map(|name| CapacityType::parse(text(name)));
    let capacity_types: Vec<CapacityType> = capacity_types.map(|known| known.expect("a capacity type")).collect();
    let options: Vec<TypeId> = (0..catalogue.types.len()).map(|index| TypeId(index as u32)).collect();
    let (attempts, wanted) = (list(&input["attempts"]).len(), list(want));
    let mut differences = Vec::new();
    for (number, wanted) in wanted.iter().enumerate() {
        let request = LaunchRequest {
            reservations: &[],
            options: &options,
            zones: &zones,
            capacity_types: &capacity_types,
            requests: resources(&input["requests"]),
            has_min_values: false,
        };
        let fleet = plan(&catalogue, &request);
        let got = attempt(&mut catalogue, fleet.as_ref(), &input["ice"]);
        let differs = fields(wanted).filter(|(key, wanted)| got[key.as_str()] != **wanted);
        differences.extend(
            differs.map(|(key, wanted)| format!("attempt {number}: {key} {}, wanted {wanted}", got[key.as_str()])),
        );
    }
    if attempts != wanted.len() {
        differences.push(format!("{attempts} attempts, {} wanted outcomes", wanted.len()));
    }
    differences
}

/// What one request looks like and what became of it; its pools in `ice` fail.
fn attempt(catalogue: &mut Catalogue, fleet: Option<&FleetRequest>, ice: &Value) -> Value {
    let pools = fleet.map_or(&[][..], |fleet| &fleet.overrides[..]);
    let name = |pool: &Override| catalogue.get(pool.instance_type).name.clone();
    let shown: Vec<Value> = pools.iter().map(|pool| json!([name(pool), catalogue.zone(pool.zone)])).collect();
    let mut names: Vec<String> = pools.iter().map(name).collect();
    names.dedup();
    let capacity_type = fleet.map(|fleet| fleet.capacity_type);
    let is_short = |pool: &Value| {
        list(ice).iter().any(|entry| {
            entry[0] == pool[0]
                && entry[1] == pool[1]
                && Some(text(&entry[2])) == capacity_type.map(CapacityType::as_str)
        })
    };
    let failed = shown.iter().all(is_short);
    let short: Vec<(TypeId, ZoneId)> = pools
        .iter()
        .zip(&shown)
        .filter(|(_, shown)| is_short(shown))
        .map(|(pool, _)| (pool.instance_type, pool.zone))
        .collect();
    for (id, zone) in short {
        let offerings = &mut catalogue.types[id.0 as usize].offerings;
        offerings
            .iter_mut()
            .filter(|o| o.zone == zone && Some(o.capacity_type) == capacity_type)
            .for_each(|o| o.available = false);
    }
    let unavailable: Vec<Value> = catalogue
        .types
        .iter()
        .flat_map(|instance_type| {
            let closed = instance_type.offerings.iter().filter(|offering| !offering.available);
            closed
                .map(|o| json!([instance_type.name, catalogue.zone(o.zone), o.capacity_type.as_str()]))
                .collect::<Vec<_>>()
        })
        .collect();
    json!({
        "capacityType": capacity_type.map(CapacityType::as_str), "pools": shown, "overrides": shown.len(), "types": names.len(),
        "first": names.first(), "last": names.last(), "unavailable": unavailable, "error": failed.then_some("InsufficientCapacity"),
    })
}

/// A pod template of a vector.
struct ShapeRecord {
    name: String,
    labels: Labels,
    spec: PodSpec,
    volumes: u32,
    volume_topology: Vec<Vec<Requirements>>,
}

/// A node of a vector.
struct NodeRecord {
    name: String,
    labels: Labels,
    taints: Vec<Taint>,
    allocatable: Resources,
    capacity: Resources,
    instance_type: String,
    target: bool,
    initialized: bool,
    daemon_requests: Resources,
    free_volumes: Option<u32>,
}

struct Bench {
    catalogue: Arc<Catalogue>,
    pools: Vec<(String, NodePoolSpec)>,
    shapes: Vec<ShapeRecord>,
    daemons: Vec<PodSpec>,
    options: Options,
    nodes: Vec<NodeRecord>,
    /// Shape, step in which it was created, node.
    pods: Vec<(usize, u64, Option<usize>)>,
    random: Stream,
}

fn schedule(input: &Value, catalogues: &Value, want: &Value) -> Vec<String> {
    let mut bench = Bench::new(input, catalogues);
    let mut differences = Vec::new();
    let steps = list(&input["steps"]);
    for (number, (step, wanted)) in steps.iter().zip(list(want)).enumerate() {
        let got = bench.step(number as u64, step);
        for (key, wanted) in fields(wanted) {
            let same = match key.as_str() {
                "skew" | "domains" => {
                    fields(wanted).all(|(label, counts)| got[key.as_str()][label.as_str()] == *counts)
                }
                _ => got[key.as_str()] == *wanted,
            };
            if !same {
                differences.push(format!("step {number}: {key} {}, wanted {wanted}", got[key.as_str()]));
            }
        }
    }
    if steps.len() != list(want).len() {
        differences.push(format!("{} steps, {} wanted outcomes", steps.len(), list(want).len()));
    }
    differences
}

impl Bench {
    fn new(input: &Value, catalogues: &Value) -> Self {
        let types = types(input, catalogues);
        let pools = list(&input["pools"]).iter().map(|pool| {
            let mut spec = pool.as_object().cloned().expect("a pool");
            let name = spec.remove("name").expect("a name");
            spec.entry("template").or_insert_with(|| json!({"spec": {"requirements": []}}));
            (text(&name).to_owned(), decode(&Value::Object(spec)))
        });
        let shapes = fields(&input["shapes"]).map(|(name, shape)| {
            let labels = fields(&shape["labels"]).map(|(key, value)| (key.clone(), text(value).to_owned())).collect();
            let spec = pod_spec(&shape["spec"], &shape["requests"]);
            let place = |place: &Value| Requirements::of_list(&list(place).iter().map(decode).collect::<Vec<_>>());
            let volume = |volume: &Value| list(volume).iter().map(place).collect();
            ShapeRecord {
                name: name.clone(),
                labels,
                spec,
                volumes: shape["volumes"].as_u64().unwrap_or(0) as u32,
                volume_topology: list(&shape["volumeTopology"]).iter().map(volume).collect(),
            }
        });
        let daemons = list(&input["daemonSets"]).iter().map(|daemon| pod_spec(&daemon["spec"], &daemon["requests"]));
        let mut bench = Bench {
            catalogue: Arc::new(catalogue(types)),
            pools: pools.collect(),
            shapes: shapes.collect(),
            daemons: daemons.collect(),
            options: options(&input["options"]),
            nodes: Vec::new(),
            pods: Vec::new(),
            random: Streams::new(1, 0).open("vector", 0),
        };
        list(&input["nodes"]).iter().for_each(|node| bench.add_node(node));
        bench
    }

    fn add_node(&mut self, node: &Value) {
        let index = self.nodes.len();
        let mut all: Labels =
            fields(&node["labels"]).map(|(key, value)| (key.clone(), text(value).to_owned())).collect();
        all.insert(labels::HOSTNAME.to_owned(), text(&node["name"]).to_owned());
        let allocatable = resources(&node["allocatable"]);
        self.nodes.push(NodeRecord {
            name: text(&node["name"]).to_owned(),
            labels: all,
            taints: list(&node["taints"]).iter().map(decode).collect(),
            allocatable: if allocatable.pods() == 0 { allocatable.with(Resource::Pods, 110) } else { allocatable },
            capacity: resources(&node["capacity"]),
            instance_type: String::new(),
            target: node["deleting"] != json!(true),
            initialized: node["initialized"] != json!(false),
            daemon_requests: resources(&node["daemonRequests"]),
            free_volumes: node["volumeLimit"].as_u64().map(|limit| limit as u32),
        });
        for (shape, count) in fields(&node["pods"]) {
            let shape = self.shape(shape);
            (0..count.as_u64().unwrap_or(0)).for_each(|_| self.pods.push((shape, 0, Some(index))));
        }
    }

    fn shape(&self, name: &str) -> usize {
        self.shapes.iter().position(|shape| shape.name == name).unwrap_or_else(|| panic!("no shape {name}"))
    }

    /// New pods, one pass, launches; planned pods are bound.
    fn step(&mut self, number: u64, step: &Value) -> Value {
        for (shape, count) in fields(&step["pods"]) {
            let shape = self.shape(shape);
            (0..count.as_u64().unwrap_or(0)).for_each(|_| self.pods.push((shape, number, None)));
        }
        for name in list(&step["delete"]) {
            let node = self.nodes.iter_mut().find(|node| node.name == text(name)).expect("a node");
            node.target = false;
        }
        // Pods of leaving nodes are planned, but stay where they are.
        let planned: Vec<usize> = (0..self.pods.len())
            .filter(|pod| {
                self.pods[*pod].2.is_none_or(|node| !self.nodes[node].target && step["blocked"] != json!(true))
            })
            .collect();
        let results = self.solve(&planned);
        let mut claims = Vec::new();
        for (node, pods) in &results.existing {
            for pod in pods {
                self.pods[planned[*pod]].2.get_or_insert(*node);
            }
        }
        for claim in &results.claims {
            claims.push(self.describe(claim));
            if let Some(node) = self.launch(claim, &step["ice"], step["initialize"] != json!(false)) {
                for pod in &claim.pods {
                    self.pods[planned[*pod]].2.get_or_insert(node);
                }
            }
        }
        claims.sort_by_key(Value::to_string);
        self.outcome(claims, &results)
    }

    fn solve(&mut self, planned: &[usize]) -> Results {
        let requests: Vec<Resources> = self.shapes.iter().map(|shape| shape.spec.requests()).collect();
        let on = |index: usize| self.pods.iter().filter(move |pod| pod.2 == Some(index));
        let nodes = self.nodes.iter().enumerate().map(|(index, node)| ExistingNode {
            name: &node.name,
            hostname: &node.name,
            labels: &node.labels,
            taints: node.taints.iter().collect(),
            target: node.target,
            initialized: node.initialized,
            has_node: true,
            under_consolidate_after: false,
            available: node.allocatable - node.daemon_requests - on(index).map(|pod| requests[pod.0]).sum(),
            daemon_requests: node.daemon_requests,
            capacity: node.capacity,
            host_ports: Vec::new(),
            free_volumes: node
                .free_volumes
                .map(|limit| limit.saturating_sub(on(index).map(|pod| self.shapes[pod.0].volumes).sum())),
        });
        let mut bound: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        for (index, pod) in self.pods.iter().enumerate() {
            if let Some(node) = pod.2.filter(|_| !planned.contains(&index)) {
                *bound.entry((pod.0, node)).or_default() += 1;
            }
        }
        let mut uids = self.random.clone();
        let input = Input {
            catalogues: vec![Arc::clone(&self.catalogue)],
            pools: self.pools.iter().map(|(name, spec)| Pool { name, spec, catalogue: Some(0) }).collect(),
            nodes: nodes.collect(),
            daemon_sets: self.daemons.iter().collect(),
            shapes: self
                .shapes
                .iter()
                .map(|shape| Shape {
                    labels: &shape.labels,
                    spec: &shape.spec,
                    volumes: shape.volumes,
                    volume_topology: shape.volume_topology.clone(),
                })
                .collect(),
            pods: planned
                .iter()
                .map(|pod| Pod {
                    shape: self.pods[*pod].0,
                    created: Time::from_micros(self.pods[*pod].1 * 60_000_000),
                    uid: uids.bits(),
                    gated: false,
                })
                .collect(),
            bound: bound
                .into_iter()
                .map(|((shape, node), n)| BoundPods { shape, node, running: n, present: n })
                .collect(),
            options: self.options.clone(),
        };
        solve(&input, &mut uids)
    }

    /// The fake cloud launches the cheapest offering of the listed types; `None` when that one has no capacity, which marks it.
    fn launch(&mut self, claim: &NewClaim, ice: &Value, initialized: bool) -> Option<usize> {
        let allowed = |id: &TypeId| {
            let offerings = self.catalogue.get(*id).offerings.iter().enumerate();
            let open =
                offerings.filter(|(_, o)| o.available && offering_allowed(&self.catalogue, o, &claim.requirements));
            open.map(|(place, offering)| (offering.price, *id, place)).collect::<Vec<_>>()
        };
        let all = claim.options.iter().flat_map(allowed);
        let (_, id, place) = all.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)))?;
        let offering = self.catalogue.get(id).offerings[place];
        let (name, zone) = (self.catalogue.get(id).name.clone(), self.catalogue.zone(offering.zone).to_owned());
        let short = list(ice).iter().any(|entry| *entry == json!([name, zone, offering.capacity_type.as_str()]));
        if short {
            Arc::make_mut(&mut self.catalogue).types[id.0 as usize].offerings[place].available = false;
            return None;
        }
        if offering.capacity_type == CapacityType::Reserved {
            let reservation = usize::from(offering.reservation.expect("a reservation").0);
            let catalogue = Arc::make_mut(&mut self.catalogue);
            catalogue.reservations[reservation].left -= 1;
            catalogue.types[id.0 as usize].offerings[place].available = catalogue.reservations[reservation].left > 0;
        }
        let mut all = resolve_labels(&claim.requirements, &mut self.random);
        let instance_type = self.catalogue.get(id);
        for (key, values) in instance_type.labels.iter() {
            if let [value] = &values[..] {
                all.insert(key.clone(), value.clone());
            }
        }
        let node = format!("node-{:04}", self.nodes.len());
        let (pool, spec) = &self.pools[claim.pool];
        all.extend(spec.template.metadata.labels.clone());
        for (key, value) in [
            (labels::NODE_POOL, pool.as_str()),
            (labels::ZONE, &zone),
            (labels::CAPACITY_TYPE, offering.capacity_type.as_str()),
            (labels::HOSTNAME, &node),
        ] {
            all.insert(key.to_owned(), value.to_owned());
        }
        self.nodes.push(NodeRecord {
            name: node,
            labels: all,
            taints: spec.template.spec.taints.clone(),
            allocatable: instance_type.allocatable,
            capacity: instance_type.capacity,
            instance_type: name,
            target: true,
            initialized,
            daemon_requests: Resources::ZERO,
            free_volumes: None,
        });
        Some(self.nodes.len() - 1)
    }

    fn describe(&self, claim: &NewClaim) -> Value {
        let options: Vec<&str> = claim.options.iter().map(|id| self.catalogue.get(*id).name.as_str()).collect();
        let floors = claim.requirements.iter().filter_map(|(key, r)| Some((key.to_owned(), json!(r.min_values?))));
        json!({
            "pool": self.pools[claim.pool].0,
            "options": options,
            "requests": {
                "cpu_m": claim.requests.cpu().milli(),
                "memory_mi": claim.requests.memory().bytes() >> 20,
                "pods": claim.requests.pods(),
            },
            "minValues": Value::Object(floors.collect()),
            "minValuesRelaxed": claim.min_values_relaxed,
        })
    }

    fn outcome(&self, claims: Vec<Value>, results: &Results) -> Value {
        let mut pending: BTreeMap<&str, usize> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| pod.2.is_none()) {
            *pending.entry(self.shapes[pod.0].name.as_str()).or_default() += 1;
        }
        let mut types: BTreeMap<&str, usize> = BTreeMap::new();
        for node in self.nodes.iter().filter(|node| !node.instance_type.is_empty()) {
            *types.entry(node.instance_type.as_str()).or_default() += 1;
        }
        let mut per_node: Vec<usize> =
            (0..self.nodes.len()).map(|node| self.pods.iter().filter(|pod| pod.2 == Some(node)).count()).collect();
        per_node.sort_unstable_by(|a, b| b.cmp(a));
        let mut domains: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for (node, key, value) in
            self.nodes.iter().enumerate().flat_map(|(i, n)| n.labels.iter().map(move |(k, v)| (i, k, v)))
        {
            let count = self.pods.iter().filter(|pod| pod.2 == Some(node)).count();
            *domains.entry(key.clone()).or_default().entry(value.clone()).or_default() += count;
        }
        let skew: BTreeMap<&String, Vec<usize>> = domains
            .iter()
            .map(|(key, counts)| {
                let mut counts: Vec<usize> = counts.values().copied().filter(|count| *count > 0).collect();
                counts.sort_unstable_by(|a, b| b.cmp(a));
                (key, counts)
            })
            .collect();
        let mut errors: Vec<String> = results.errors.iter().map(|(_, error)| error.to_string()).collect();
        errors.sort_unstable();
        errors.dedup();
        let column = |key: &str| claims.iter().map(|claim| claim[key].clone()).collect::<Vec<_>>();
        json!({
            "newClaims": claims.len(), "options": column("options"), "requests": column("requests"), "pools": column("pool"),
            "minValues": column("minValues"), "minValuesRelaxed": column("minValuesRelaxed"), "nodes": types.values().sum::<usize>(), "types": types,
            "pending": pending, "podsPerNode": per_node, "errors": errors, "nodesWithRoom": self.nodes_with_room(),
            "byZone": domains.get(labels::ZONE), "capacityTypes": domains.get(labels::CAPACITY_TYPE),
            "zones": skew.get(&labels::ZONE.to_owned()), "skew": skew, "domains": domains,
        })
    }

    /// How many nodes could hold one more CPU.
    fn nodes_with_room(&self) -> usize {
        let used = |index: usize| -> i64 {
            let here = self.pods.iter().filter(|pod| pod.2 == Some(index));
            here.map(|pod| self.shapes[pod.0].spec.requests().cpu().milli()).sum()
        };
        let room = |(index, node): (usize, &NodeRecord)| node.allocatable.cpu().milli() - used(index) >= 1000;
        self.nodes.iter().enumerate().filter(|entry| room(*entry)).count()
    }
}

fn options(value: &Value) -> Options {
    let mut options = Options::default();
    if value["preferencePolicy"] == json!("Ignore") {
        options.preferences = PreferencePolicy::Ignore;
    }
    if value["minValuesPolicy"] == json!("BestEffort") {
        options.min_values = MinValuesPolicy::BestEffort;
    }
    if let Some(most) = value["maxInstanceTypes"].as_u64() {
        options.max_instance_types = most as usize;
    }
    options
}

/// Types from their short form; `{"linear": n}` makes n types of i+1 CPU, 2(i+1) Gi and 10(i+1) pods.
fn catalogue(value: &Value) -> Catalogue {
    let entries: Vec<Value> = match value["linear"].as_u64() {
        Some(count) => (0..count)
            .map(|i| {
                let (cpu, gib) = (i + 1, 2 * (i + 1));
                let price = 0.1 * cpu as f64 + 0.1 * (gib << 30) as f64 / 1e9;
                json!({"name": format!("fake-it-{i}"), "cpu": cpu, "memoryGi": gib, "pods": 10 * (i + 1), "price": price})
            })
            .collect(),
        None => list(value).to_vec(),
    };
    let zones: Vec<String> = ["test-zone-1", "test-zone-2", "test-zone-3"].map(str::to_owned).into();
    let mut types: Vec<InstanceType> = entries.iter().map(|entry| instance_type(entry, &zones)).collect();
    types.sort_by(|a, b| a.name.cmp(&b.name));
    let mut catalogue = Catalogue { zones, types, ..Catalogue::default() };
    let left =
        |name: &str| entries.iter().find(|entry| entry["name"] == name).and_then(|entry| entry["reserved"].as_u64());
    reservations::reserve(&mut catalogue, |name| left(name).unwrap_or(0) as u32);
    catalogue
}

fn instance_type(entry: &Value, zones: &[String]) -> InstanceType {
    let number = |key: &str, default: f64| entry[key].as_f64().unwrap_or(default);
    let memory = Memory::from_bytes((number("memoryGi", 0.0) * 1_073_741_824.0) as i64);
    let mut capacity = Resources::new(Cpu::from_milli((number("cpu", 0.0) * 1000.0) as i64), memory)
        .with(Resource::Pods, number("pods", 5.0) as i64);
    for (name, amount) in fields(&entry["extended"]) {
        let resource = Resource::parse(name).unwrap_or_else(|| panic!("no resource {name}"));
        capacity = capacity.with(resource, amount.as_i64().unwrap_or(0));
    }
    let overhead = Resources::new(Cpu::from_milli(number("overheadCpuM", 100.0) as i64), Memory::from_mib(10));
    let name = text(&entry["name"]).to_owned();
    let arch = entry["arch"].as_str().unwrap_or("amd64");
    let mut labels = vec![
        (labels::ARCH.to_owned(), vec![arch.to_owned()]),
        (labels::OS.to_owned(), vec!["linux".to_owned()]),
        (labels::INSTANCE_TYPE.to_owned(), vec![name.clone()]),
    ];
    labels.sort();
    let price = number("price", 0.1 * number("cpu", 0.0) + 0.1 * memory.bytes() as f64 / 1e9);
    let default = json!([
        ["test-zone-1", "spot"],
        ["test-zone-2", "spot"],
        ["test-zone-1", "on-demand"],
        ["test-zone-2", "on-demand"],
        ["test-zone-3", "on-demand"]
    ]);
    let offerings = if entry["offerings"].is_array() { &entry["offerings"] } else { &default };
    let offerings = list(offerings).iter().map(|offering| Offering {
        zone: ZoneId(zones.iter().position(|zone| zone == text(&offering[0])).expect("a zone") as u16),
        capacity_type: CapacityType::parse(text(&offering[1])).expect("a capacity type"),
        price: offering[2].as_f64().unwrap_or(price),
        available: offering[3].as_bool().unwrap_or(true),
        reservation: None,
    });
    InstanceType {
        name,
        labels: Arc::new(labels),
        allocatable: capacity - overhead,
        capacity,
        offerings: offerings.collect(),
    }
}
