//! Clusters of disruption vectors: reading them, running passes over them, comparing what was decided.

use std::sync::Arc;

use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::api::scalar::parse_go_duration;
use forescale::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, TypeId, ZoneId};
use forescale::engine::Streams;
use forescale::karpenter::disruption::command::Command;
use forescale::karpenter::disruption::model::{
    DoNotDisrupt, Method, NodeView, Owner, PdbState, Phase, PodView, PoolIndex, Rules,
};
use forescale::karpenter::disruption::pass::{self, Instant, Memory, Step};
use forescale::karpenter::disruption::replacement::Replacement;
use forescale::karpenter::disruption::simulate::{DecisionCost, SolverSimulator};
use forescale::karpenter::disruption::validation::{Invalid, VALIDATION_DELAY};
use forescale::karpenter::scheduling::{Knowledge, MinValuesPolicy};
use forescale::time::{Duration, Time};
use forescale::units::{Resource, Resources};
use serde_json::Value;

use super::disruption_world::{Pool, TestCluster, TestNode, decode, run_pass};

/// A vector's cluster and clock.
pub struct Case {
    pub cluster: TestCluster,
    pub memory: Memory,
    pub now: Time,
    wall_at_zero: jiff::Timestamp,
    pods: u32,
    replacements: u32,
    /// Commands started in the latest pass.
    pub started: Vec<Command>,
    /// Methods whose command was abandoned in the latest pass, and why.
    pub abandoned: Vec<(Method, Invalid)>,
    /// Texts of why nodes stayed, of the latest pass.
    pub notes: Vec<String>,
}

pub fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_else(|| panic!("not a text: {json}"))
}

pub fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

pub fn flag(json: &Value, default: bool) -> bool {
    json.as_bool().unwrap_or(default)
}

pub fn span(json: &Value) -> Duration {
    parse_go_duration(text(json)).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The catalogue of upstream's `InstanceTypesAssorted`: one offering a type.
fn assorted() -> Catalogue {
    let zones: Vec<String> = (1..=3).map(|i| format!("test-zone-{i}")).collect();
    let mut types = Vec::new();
    for cpu in [1_i64, 2, 4, 8, 16, 32, 64] {
        for memory in [1_i64, 2, 4, 8, 16, 32, 64, 128] {
            for (zone, zone_name) in zones.iter().enumerate() {
                for capacity_type in [CapacityType::Spot, CapacityType::OnDemand] {
                    for os in ["linux", "windows"] {
                        for arch in ["amd64", "arm64"] {
                            let price = 0.1 * cpu as f64 + 0.1 * (memory << 30) as f64 / 1e9;
                            let name =
                                format!("{cpu}-cpu-{memory}-mem-{arch}-{os}-{zone_name}-{}", capacity_type.as_str());
                            let offering = Offering {
                                zone: ZoneId(zone as u16),
                                capacity_type,
                                price,
                                available: true,
                                reservation: None,
                            };
                            types.push(instance_type(&name, cpu * 1000, memory << 30, 5, (arch, os), vec![offering]));
                        }
                    }
                }
            }
        }
    }
    types.sort_by(|a, b| a.name.cmp(&b.name));
    Catalogue { zones, types, ..Catalogue::default() }
}

fn instance_type(
    name: &str,
    milli: i64,
    bytes: i64,
    pods: i64,
    (arch, os): (&str, &str),
    offerings: Vec<Offering>,
) -> InstanceType {
    let mut capacity = Resources::ZERO;
    capacity.0[Resource::Cpu as usize] = milli;
    capacity.0[Resource::Memory as usize] = bytes;
    capacity.0[Resource::Pods as usize] = pods;
    let mut allocatable = capacity;
    allocatable.0[Resource::Cpu as usize] -= 100;
    allocatable.0[Resource::Memory as usize] -= 10 << 20;
    let labels = vec![
        ("kubernetes.io/arch".to_owned(), vec![arch.to_owned()]),
        ("kubernetes.io/os".to_owned(), vec![os.to_owned()]),
        ("node.kubernetes.io/instance-type".to_owned(), vec![name.to_owned()]),
    ];
    InstanceType { name: name.to_owned(), labels: Arc::new(labels), capacity, allocatable, offerings }
}

/// `"assorted"`, or types as `{name, cpu, memoryGi, pods, offerings: [[zone number, capacity type, price, available]]}`.
fn catalogue(json: &Value) -> Catalogue {
    if json.as_str() == Some("assorted") {
        return assorted();
    }
    let mut types: Vec<InstanceType> = list(json)
        .iter()
        .map(|entry| {
            let offerings = list(&entry["offerings"]).iter().map(|offering| Offering {
                zone: ZoneId(offering[0].as_u64().expect("zone number") as u16 - 1),
                capacity_type: CapacityType::parse(text(&offering[1])).expect("capacity type"),
                price: offering[2].as_f64().expect("price"),
                available: flag(&offering[3], true),
                reservation: None,
            });
            let cpu = entry["cpu"].as_i64().unwrap_or(4) * 1000;
            let memory = entry["memoryGi"].as_i64().unwrap_or(4) << 30;
            let pods = entry["pods"].as_i64().unwrap_or(100);
            instance_type(text(&entry["name"]), cpu, memory, pods, ("amd64", "linux"), offerings.collect())
        })
        .collect();
    types.sort_by(|a, b| a.name.cmp(&b.name));
    let zones = (1..=3).map(|i| format!("test-zone-{i}")).collect();
    let mut catalogue = Catalogue { zones, types, ..Catalogue::default() };
    super::reservations::reserve(&mut catalogue, |_| 1);
    catalogue
}

impl Case {
    pub fn read(json: &Value) -> Self {
        let gate = flag(&json["gates"]["spotToSpot"], false);
        let mut rules = Rules::of_minor(json["version"].as_u64().unwrap_or(14) as u32, gate);
        rules.savings_of_allowed_offerings = flag(&json["savingsOfAllowedOfferings"], false);
        let pools = list(&json["pools"])
            .iter()
            .map(|pool| Pool { name: text(&pool["name"]).to_owned(), spec: decode(&pool["spec"]) })
            .collect();
        let cluster = TestCluster {
            catalogue: Arc::new(catalogue(&json["catalogue"])),
            pools,
            nodes: Vec::new(),
            shapes: Vec::new(),
            pending: Vec::new(),
            rules,
            tracked_costs: std::collections::BTreeMap::new(),
            min_values: if json["minValuesPolicy"] == "BestEffort" {
                MinValuesPolicy::BestEffort
            } else {
                MinValuesPolicy::Strict
            },
        };
        let wall = json["wall"].as_str().unwrap_or("2026-01-05T12:00:00Z");
        let mut case = Case {
            cluster,
            memory: Memory::default(),
            now: Time::ZERO + Duration::from_hours(24),
            wall_at_zero: wall.parse().expect("a wall clock"),
            pods: 0,
            replacements: 0,
            started: Vec::new(),
            abandoned: Vec::new(),
            notes: Vec::new(),
        };
        list(&json["nodes"]).iter().for_each(|node| case.add_nodes(node));
        list(&json["pending"]).iter().for_each(|pod| case.add_pods(None, pod));
        for (pool, cost) in json["trackedCosts"].as_object().into_iter().flatten() {
            let index = case.cluster.pool(pool).expect("a pool").0;
            case.cluster.tracked_costs.insert(index, cost.as_f64().expect("a cost"));
        }
        case
    }

    fn find(&self, name: &str) -> usize {
        let mut nodes = self.cluster.nodes.iter();
        nodes.position(|node| node.view.name == name).unwrap_or_else(|| panic!("no node {name}"))
    }

    fn instant(&self) -> Instant {
        let since = self.now.since(Time::ZERO + Duration::from_hours(24));
        let wall = self.wall_at_zero + jiff::SignedDuration::from_micros(since.as_micros());
        Instant { now: self.now, wall }
    }

    /// One node, or `count` alike whose names get `-1`, `-2`, ...
    fn add_nodes(&mut self, json: &Value) {
        let count = json["count"].as_u64().unwrap_or(1);
        for i in 1..=count {
            let name = text(&json["name"]);
            let name = if json["count"].is_u64() { format!("{name}-{i}") } else { name.to_owned() };
            let pool = match json["pool"].as_str() {
                Some("") => None,
                Some(pool) => self.cluster.pool(pool),
                None => Some(PoolIndex(0)),
            };
            let mut view = NodeView::new(self.cluster.nodes.len() as u32, &name, PoolIndex(0));
            view.pool = pool;
            let mut allocatable =
                Resources::ZERO.with(Resource::Cpu, 32_000).with(Resource::Memory, 128 << 30).with(Resource::Pods, 100);
            if let Some(type_name) = json["type"].as_str() {
                let id = self.cluster.find_type(type_name);
                let instance_type = self.cluster.catalogue.get(id);
                let offering = &instance_type.offerings[0];
                view.instance_type = Some(id);
                view.zone = Some(json["zone"].as_str().map_or(offering.zone, |zone| self.cluster.find_zone(zone)));
                view.capacity_type = Some(
                    json["capacityType"]
                        .as_str()
                        .map_or(offering.capacity_type, |c| CapacityType::parse(c).expect("capacity type")),
                );
                if json["cpu"].is_null() {
                    allocatable = instance_type.allocatable.with(Resource::Pods, 100);
                }
            }
            if let Some(cpu) = json["cpu"].as_f64() {
                allocatable = allocatable.with(Resource::Cpu, (cpu * 1000.0) as i64);
            }
            self.read_conditions(&mut view, json);
            let mut labels = self.cluster.labels_of(&view);
            for (key, value) in json["labels"].as_object().into_iter().flatten() {
                labels.insert(key.clone(), text(value).replace("{name}", &name));
            }
            let index = self.cluster.nodes.len();
            self.cluster.nodes.push(TestNode { view, labels, allocatable, identities: Vec::new() });
            list(&json["pods"]).iter().for_each(|pod| self.add_pods(Some(index), pod));
        }
    }

    fn read_conditions(&self, view: &mut NodeView, json: &Value) {
        let ago = |json: &Value| self.now - span(json);
        view.consolidatable = flag(&json["consolidatable"], true);
        view.managed = flag(&json["managed"], true);
        view.registered = view.managed;
        view.initialized = flag(&json["initialized"], true);
        view.initialized_at =
            if json["initializedAgo"].is_string() { ago(&json["initializedAgo"]) } else { Time::ZERO };
        view.ready = flag(&json["ready"], true);
        view.marked_for_deletion = flag(&json["marked"], false);
        view.instance_terminating = flag(&json["instanceTerminating"], false);
        view.do_not_disrupt = flag(&json["doNotDisrupt"], false);
        view.has_termination_grace_period = flag(&json["terminationGracePeriod"], false);
        view.has_buffer_pods = flag(&json["bufferPods"], false);
        view.drifted_at = json["driftedAgo"].as_str().map(|_| ago(&json["driftedAgo"]));
        view.last_pod_event = json["podEventAgo"].as_str().map(|_| ago(&json["podEventAgo"]));
        view.nominated_until = json["nominatedFor"].as_str().map(|_| self.now + span(&json["nominatedFor"]));
        view.created_at = json["createdAgo"].as_str().map_or(Time::ZERO, |_| ago(&json["createdAgo"]));
    }

    /// `count` pods alike.
    fn add_pods(&mut self, node: Option<usize>, json: &Value) {
        let mut spec = json["spec"].clone();
        if spec.is_null() {
            let mut requests = serde_json::Map::new();
            for resource in ["cpu", "memory"] {
                if let Some(amount) = json[resource].as_str() {
                    requests.insert(resource.to_owned(), amount.into());
                }
            }
            spec = serde_json::json!({ "containers": [{ "resources": { "requests": requests } }] });
        }
        for key in ["nodeSelector", "affinity"] {
            if !json[key].is_null() {
                spec[key] = json[key].clone();
            }
        }
        let node_name = node.map_or(String::new(), |node| self.cluster.nodes[node].view.name.clone());
        let spec: Value = serde_json::from_str(&spec.to_string().replace("{node}", &node_name)).expect("still JSON");
        let spec: PodSpec = decode(&spec);
        let labels: Labels = match json["labels"].as_object() {
            Some(labels) => labels.iter().map(|(key, value)| (key.clone(), text(value).to_owned())).collect(),
            None => Labels::new(),
        };
        let shape = self.cluster.shape(labels, spec);
        for _ in 0..json["count"].as_u64().unwrap_or(1) {
            self.pods += 1;
            let view = PodView { id: self.pods, ..self.pod_view(json) };
            self.cluster.add_pod(node, view, shape, self.now - Duration::from_hours(1));
        }
    }

    fn pod_view(&self, json: &Value) -> PodView {
        let owner = match json["owner"].as_str() {
            None => Owner::Workload,
            Some("StatefulSet") => Owner::StatefulSet,
            Some("DaemonSet") => Owner::DaemonSet,
            Some("Node") => Owner::Node,
            Some(other) => panic!("unknown owner {other}"),
        };
        let phase = match json["phase"].as_str() {
            None => Phase::Running,
            Some("Pending") => Phase::Pending,
            Some("Succeeded" | "Failed") => Phase::Terminal,
            Some(other) => panic!("unknown phase {other}"),
        };
        let pdb = match &json["pdbs"] {
            Value::Null => PdbState::None,
            Value::Number(_) => PdbState::Several,
            one => PdbState::One {
                allowed: one["allowed"].as_u64().unwrap_or(0) as u32,
                always_allow_unhealthy: flag(&one["alwaysAllow"], false),
                fully_blocking: flag(&one["fullyBlocking"], false),
            },
        };
        let started = json["startedAgo"].as_str().map(|_| self.now - span(&json["startedAgo"]));
        PodView {
            owner,
            phase,
            terminating: flag(&json["terminating"], false),
            unready: flag(&json["unready"], false),
            deletion_cost: json["deletionCost"].as_i64().unwrap_or(0) as i32,
            priority: json["priority"].as_i64().unwrap_or(0) as i32,
            do_not_disrupt: match json["doNotDisrupt"].as_str() {
                None => DoNotDisrupt::No,
                Some("true") => DoNotDisrupt::Always,
                Some(_) => DoNotDisrupt::For(span(&json["doNotDisrupt"]), started),
            },
            pdb,
            ..PodView::default()
        }
    }

    /// One pass from the first method on; `during` happens while a command is validated.
    pub fn pass(&mut self, during: &[Value]) {
        (self.started, self.abandoned, self.notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut from = None;
        loop {
            match self.compute(from) {
                Step::Idle => return,
                Step::Start(commands) => return self.start(commands),
                Step::Validate(command) => {
                    self.now += VALIDATION_DELAY;
                    if self.abandoned.is_empty() {
                        during.iter().for_each(|event| self.happen(event));
                    }
                    match self.validate(&command) {
                        Ok(valid) => return self.start(vec![valid]),
                        Err(invalid) => {
                            self.abandoned.push((command.method, invalid));
                            from = pass::after_abandoning(command.method);
                            if from.is_none() {
                                return;
                            }
                        }
                    }
                }
            }
        }
    }

    fn compute(&mut self, from: Option<Method>) -> Step {
        let at = self.instant();
        let mut stream = Streams::new(1, 0).open("ties", 0);
        let (observed, base) = (self.cluster.observed(), || self.cluster.base());
        let mut knowledge = Knowledge::default();
        let mut simulator =
            SolverSimulator::new(&observed, &base, at.now, DecisionCost::NONE, &mut knowledge, &mut stream);
        let outcome = run_pass(&mut self.memory, &observed, &mut simulator, from, at);
        self.notes.extend(outcome.notes.iter().map(|note| {
            let why = note.reason.as_ref().map_or_else(|| "over budget".to_owned(), ToString::to_string);
            format!("{}: {why}", observed.nodes[note.node as usize].name)
        }));
        outcome.step
    }

    fn validate(&self, command: &Command) -> Result<Command, Invalid> {
        let at = self.instant();
        let mut stream = Streams::new(1, 0).open("ties", 0);
        let (observed, base) = (self.cluster.observed(), || self.cluster.base());
        let mut knowledge = Knowledge::default();
        let mut simulator =
            SolverSimulator::new(&observed, &base, at.now, DecisionCost::NONE, &mut knowledge, &mut stream);
        pass::validate(command, &observed, &mut simulator, at)
    }

    /// Marks the nodes, nominates destinations, creates replacements; deletions stay marked, their pods stay on them.
    fn start(&mut self, commands: Vec<Command>) {
        for command in &commands {
            for replacement in &command.replacements {
                self.launch(replacement);
            }
            for id in command.ids() {
                let view = &mut self.cluster.nodes[id as usize].view;
                view.marked_for_deletion = true;
                view.in_command = true;
            }
            for id in &command.destinations {
                self.cluster.nodes[*id as usize].view.nominated_until = Some(self.now + Duration::from_secs(20));
            }
            self.memory.state.mark_unconsolidated(self.now);
        }
        self.started.extend(commands);
    }

    /// A node of the replacement's cheapest type that boots. One that is pinned to Spot may have no type that is sold as Spot: its
    /// launch fails.
    fn launch(&mut self, replacement: &Replacement) {
        let offered = |id: &TypeId| {
            let instance_type = self.cluster.catalogue.get(*id);
            let offering = instance_type.offerings.iter().find(|offering| replacement.allows(offering));
            offering.map(|offering| (*id, instance_type.clone(), *offering))
        };
        let Some((id, instance_type, offering)) = replacement.types.iter().find_map(offered) else { return };
        self.replacements += 1;
        let name = format!("replacement-{}", self.replacements);
        let mut view = NodeView::new(self.cluster.nodes.len() as u32, &name, replacement.pool);
        view.instance_type = Some(id);
        view.zone = Some(offering.zone);
        view.capacity_type = Some(offering.capacity_type);
        view.initialized = false;
        let mut labels = self.cluster.labels_of(&view);
        if let Some(plan) = &replacement.plan {
            for (key, requirement) in plan.requirements.iter() {
                if let Some(value) = requirement.single() {
                    labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
                }
            }
        }
        let allocatable = instance_type.allocatable;
        self.cluster.nodes.push(TestNode { view, labels, allocatable, identities: Vec::new() });
    }

    /// An event of a timeline.
    pub fn happen(&mut self, event: &Value) {
        let (name, what) = event.as_object().and_then(|fields| fields.iter().next()).expect("an event");
        match name.as_str() {
            "wait" => self.now += span(what),
            "bind" => {
                let node = self.find(text(&what["node"]));
                self.add_pods(Some(node), &what["pod"]);
                if !flag(&what["consolidatable"], true) {
                    self.cluster.nodes[node].view.consolidatable = false;
                }
                self.memory.state.mark_unconsolidated(self.now);
            }
            "set" => {
                let node = self.find(text(&what["node"]));
                let mut view = self.cluster.nodes[node].view.clone();
                for (key, value) in what.as_object().into_iter().flatten() {
                    match key.as_str() {
                        "consolidatable" => view.consolidatable = flag(value, false),
                        "initialized" => view.initialized = flag(value, false),
                        "marked" => view.marked_for_deletion = flag(value, false),
                        "bufferPods" => view.has_buffer_pods = flag(value, false),
                        "nominatedFor" => view.nominated_until = Some(self.now + span(value)),
                        "doNotDisrupt" => view.do_not_disrupt = flag(value, false),
                        "node" => {}
                        other => panic!("cannot set {other}"),
                    }
                }
                self.cluster.nodes[node].view = view;
                self.memory.state.mark_unconsolidated(self.now);
            }
            "remove" => {
                for name in list(what) {
                    let node = self.find(text(name));
                    let view = &mut self.cluster.nodes[node].view;
                    (view.managed, view.registered, view.initialized, view.marked_for_deletion) =
                        (false, false, false, true);
                    view.pods.clear();
                    self.cluster.nodes[node].identities.clear();
                }
                self.memory.state.mark_unconsolidated(self.now);
            }
            "quiet" => {
                let node = self.find(text(what));
                self.cluster.nodes[node].view.consolidatable = true;
            }
            "forget" => self.memory = Memory::default(),
            other => panic!("unknown event {other}"),
        }
    }
}
