//! A small timeline around the disruption cores: the loop's passes and validations, commands, drains, replacements that boot, and
//! kube-scheduler placing evicted pods. What a recording leaves open (names, ties, when nodes were last touched) is drawn from a seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use forescale::api::meta::{LabelSelector, Labels};
use forescale::api::pod::{PodSpec, Taint, TaintEffect};
use forescale::cluster::catalogue::{CapacityType, TypeId, ZoneId};
use forescale::ec2::kwok;
use forescale::engine::{Stream, Streams};
use forescale::karpenter::disruption::command::Command;
use forescale::karpenter::disruption::model::{Method, NodeView, PodView, Rules};
use forescale::karpenter::disruption::pass::{self, Instant, Memory, POLLING_PERIOD, Step, UNSYNCED_PERIOD};
use forescale::karpenter::disruption::quiet::{self, Consolidatable, PodEvent};
use forescale::karpenter::disruption::replacement::Replacement;
use forescale::karpenter::disruption::simulate::{DecisionCost, SolverSimulator};
use forescale::karpenter::disruption::validation::VALIDATION_DELAY;
use forescale::karpenter::scheduling::Knowledge;
use forescale::scheduler::choose::{Choice, ChooseConfig, Chooser};
use forescale::scheduler::shape::{PodTraits, ShapeIndex};
use forescale::scheduler::snapshot::{NodeSpec, Placed, Slot, Snapshot};
use forescale::time::{Duration, Time};
use forescale::units::{Resource, Resources};
use serde_json::{Value, json};

use super::disruption_world::{Pool, TestCluster, TestNode, decode};

/// What the recording does not tell about the nodes at the first decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untold {
    /// All nodes may be disrupted then.
    Nothing,
    /// Only the nodes of the first command may: the others' quiet time still runs.
    OthersUnquiet,
    /// Only the nodes of the first command may: pods were planned onto the others a moment before.
    OthersNominated,
    /// Only one node, drawn at random, may be disrupted at first; the others' quiet time still runs.
    OneQuiet,
}

/// Measured on the recorded cluster: from a started deletion to the NodeClaims' deletion, on to the evictions, and to the node's end.
const DELETE_AFTER: Duration = Duration::from_millis(200);
const EVICT_AFTER: Duration = Duration::from_millis(200);
const POD_GONE_AFTER: Duration = Duration::from_secs(1);
const NODE_GONE_AFTER: Duration = Duration::from_millis(5100);
/// From a start to the launched replacement, on to its registration (3 s of the node class and what follows) and initialization.
const LAUNCH_AFTER: Duration = Duration::from_millis(100);
const REGISTER_AFTER: Duration = Duration::from_millis(3100);
const INITIALIZE_AFTER: Duration = Duration::from_millis(1100);
const NOMINATION: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Pass,
    Validate,
    Queue(usize),
    Delete(u32),
    Evict(u32),
    PodGone(u32, u32),
    NodeGone(u32),
    Launched(u32),
    Registered(u32),
    Initialized(u32),
}

struct Running {
    nodes: Vec<u32>,
    replacements: Vec<u32>,
    done: bool,
}

/// A command as it began.
#[derive(Clone, Debug)]
pub struct Began {
    pub at: Time,
    pub description: Value,
}

pub struct Replay<'a> {
    case: &'a Value,
    cluster: TestCluster,
    kube: Snapshot,
    chooser: Chooser,
    slots: Vec<Slot>,
    shapes: Vec<ShapeIndex>,
    knowledge: Knowledge,
    ties: Stream,
    memory: Memory,
    now: Time,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    sequence: u64,
    validating: Option<Command>,
    running: Vec<Running>,
    pods: u32,
    names: Vec<String>,
    unlaunched: usize,
    waiting: Vec<(u32, usize)>,
    /// Where whole seconds of the wall clock fall.
    second: Time,
    pub began: Vec<Began>,
}

pub fn seconds(json: &Value) -> Time {
    Time::from_secs_f64(json.as_f64().expect("a number of seconds"))
}

impl<'a> Replay<'a> {
    pub fn new(case: &'a Value, catalogue: &forescale::cluster::catalogue::Catalogue, seed: u64) -> Self {
        let pools = case["pools"].as_array().expect("pools").iter().map(|pool| Pool {
            name: pool["name"].as_str().expect("a name").to_owned(),
            spec: decode(&pool_spec(case, pool)),
        });
        let cluster = TestCluster {
            catalogue: Arc::new(catalogue.clone()),
            pools: pools.collect(),
            nodes: Vec::new(),
            shapes: Vec::new(),
            pending: Vec::new(),
            rules: Rules::of_minor(14, false),
            tracked_costs: std::collections::BTreeMap::new(),
            min_values: forescale::karpenter::scheduling::MinValuesPolicy::Strict,
        };
        let mut replay = Replay {
            case,
            cluster,
            kube: Snapshot::default(),
            chooser: Chooser::new(ChooseConfig::default()),
            slots: Vec::new(),
            shapes: Vec::new(),
            knowledge: Knowledge::default(),
            ties: Streams::new(seed, 0).open("replay", 0),
            memory: Memory::default(),
            now: Time::ZERO,
            events: BinaryHeap::new(),
            sequence: 0,
            validating: None,
            running: Vec::new(),
            pods: 0,
            names: Vec::new(),
            unlaunched: 0,
            waiting: Vec::new(),
            second: Time::ZERO,
            began: Vec::new(),
        };
        replay.second = Time::from_micros((replay.ties.unit() * 1e6) as u64);
        replay.read_shapes();
        replay.read_nodes();
        replay
    }

    fn read_shapes(&mut self) {
        for shape in self.case["shapes"].as_array().expect("shapes") {
            let name = shape["name"].as_str().expect("a name");
            let (cpu, memory) = (format!("{}m", shape["cpu_m"]), format!("{}Mi", shape["mem_mi"]));
            let spec: PodSpec = decode(&json!({
                "containers": [{ "resources": { "requests": { "cpu": cpu, "memory": memory } } }],
                "terminationGracePeriodSeconds": 60
            }));
            let labels: Labels = [("app".to_owned(), name.to_owned())].into();
            let selector: LabelSelector = decode(&json!({ "matchLabels": { "app": name } }));
            let traits = PodTraits {
                labels: labels.clone(),
                spec: spec.clone(),
                priority: 0,
                preempts: true,
                workload_selector: Some(selector),
            };
            self.shapes.push(self.kube.shape(&traits));
            self.cluster.shape(labels, spec);
        }
    }

    /// The recorded nodes, in a random order and with random names, as ties and first fits are random in reality.
    fn read_nodes(&mut self) {
        let before = self.case["before"].as_object().expect("nodes");
        let mut order: Vec<&String> = before.keys().collect();
        self.ties.shuffle(&mut order);
        let mut labels: Vec<usize> = (0..order.len()).collect();
        self.ties.shuffle(&mut labels);
        for (name, label) in order.into_iter().zip(labels) {
            let node = &before[name];
            let id = self.cluster.find_type(node["type"].as_str().expect("a type"));
            let zone = self.cluster.find_zone(node["zone"].as_str().expect("a zone"));
            let capacity_type = CapacityType::parse(node["ct"].as_str().expect("a capacity type")).expect("known");
            let pool = node["pool"].as_str().expect("a pool");
            let index = self.add_node(name, &format!("{pool}-{label:05}"), (id, zone, capacity_type));
            let view = &mut self.cluster.nodes[index].view;
            view.pool = None;
            let known = self.cluster.pool(pool);
            let view = &mut self.cluster.nodes[index].view;
            view.pool = known;
            if !self.belongs(index) {
                // A leftover of the case before, on its way out.
                self.cluster.nodes[index].view.marked_for_deletion = true;
            }
            self.cluster.nodes[index].labels = self.cluster.labels_of(&self.cluster.nodes[index].view);
            for (shape, count) in node["pods"].as_object().into_iter().flatten() {
                let shape = self.shape_named(shape);
                for _ in 0..count.as_u64().expect("a count") {
                    self.pods += 1;
                    self.place(self.pods, shape, index);
                }
            }
        }
    }

    fn shape_named(&self, name: &str) -> usize {
        let shapes = self.case["shapes"].as_array().expect("shapes");
        shapes.iter().position(|shape| shape["name"] == name).expect("a known shape")
    }

    /// Whether the node's pool could have made it.
    fn belongs(&self, index: usize) -> bool {
        use forescale::karpenter::scheduling::requirement::Requirement;
        use forescale::karpenter::scheduling::requirements::Requirements;
        let view = &self.cluster.nodes[index].view;
        let Some(pool) = view.pool else { return false };
        let mut node = Requirements::of_labels(&self.cluster.labels_of(view));
        node.set("karpenter.sh/capacity-type", Requirement::is(view.capacity_type.expect("known").as_str()));
        let wanted = Requirements::of_list(&self.cluster.pools[pool.0].spec.template.spec.requirements);
        node.intersect(&wanted).is_ok()
    }

    fn add_node(
        &mut self,
        recorded: &str,
        name: &str,
        (id, zone, capacity_type): (TypeId, ZoneId, CapacityType),
    ) -> usize {
        let index = self.cluster.nodes.len();
        let mut view = NodeView::new(index as u32, name, forescale::karpenter::disruption::model::PoolIndex(0));
        view.instance_type = Some(id);
        view.zone = Some(zone);
        view.capacity_type = Some(capacity_type);
        let allocatable = self.cluster.catalogue.get(id).allocatable;
        let labels = self.cluster.labels_of(&view);
        self.slots.push(self.kube.add_node(node_spec(name, &labels, allocatable, false)));
        self.names.push(recorded.to_owned());
        self.cluster.nodes.push(TestNode { view, labels, allocatable, identities: Vec::new() });
        index
    }

    fn place(&mut self, pod: u32, shape: usize, node: usize) {
        let view = PodView { id: pod, ..PodView::default() };
        self.cluster.add_pod(Some(node), view, shape, Time::ZERO);
        let placed = Placed { pod, shape: self.shapes[shape], started: self.now, terminating: false, preempted: false };
        self.kube.place(self.slots[node], placed);
    }

    /// Sets what is untold, and lets the first pass that may find something begin at `first`.
    pub fn prepare(&mut self, first: Time, untold: Untold, nominated: bool) {
        let after = self.cluster.pools[0].spec.disruption.consolidate_after.0.unwrap_or(Duration::ZERO);
        let early: Vec<String> = match self.case["commands"].get(0) {
            Some(command) => command["nodes"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            None => Vec::new(),
        };
        let lot = self.ties.below(self.names.len());
        let early = if untold == Untold::OneQuiet { vec![self.names[lot].clone()] } else { early };
        let quiet = first - after - Duration::from_secs(1);
        for (node, name) in self.cluster.nodes.iter_mut().zip(&self.names) {
            let view = &mut node.view;
            view.last_pod_event = Some(quiet.min(ORIGIN));
            if nominated {
                view.nominated_until = Some(first - Duration::from_millis(1));
            }
            if untold != Untold::Nothing && !early.contains(name) {
                if untold == Untold::OthersUnquiet || untold == Untold::OneQuiet {
                    view.last_pod_event = Some(ORIGIN.max(first - after + Duration::from_millis(500)));
                } else {
                    view.nominated_until = Some(first + Duration::from_millis(1));
                }
            }
        }
        let mut start = first;
        while start - POLLING_PERIOD >= ORIGIN {
            start = start - POLLING_PERIOD;
        }
        self.now = ORIGIN;
        self.memory.state.mark_unconsolidated(ORIGIN + Duration::from_secs(1));
        self.at(start, Event::Pass);
    }

    fn at(&mut self, time: Time, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time, self.sequence, event)));
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    pub fn run(&mut self) {
        let end = ORIGIN + seconds(&self.case["watched_s"]).since(Time::ZERO);
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            if time > end {
                break;
            }
            self.now = time;
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Pass => self.pass(None),
            Event::Validate => self.validate(),
            Event::Queue(command) => self.poll(command),
            Event::Delete(node) => self.after(EVICT_AFTER, Event::Evict(node)),
            Event::Evict(node) => self.evict(node as usize),
            Event::PodGone(node, pod) => self.pod_gone(node as usize, pod),
            Event::NodeGone(node) => self.node_gone(node as usize),
            Event::Launched(node) => {
                self.unlaunched -= 1;
                self.after(REGISTER_AFTER, Event::Registered(node));
            }
            Event::Registered(node) => {
                let view = &mut self.cluster.nodes[node as usize].view;
                view.registered = true;
                let (name, labels) = (view.name.clone(), self.cluster.nodes[node as usize].labels.clone());
                let allocatable = self.cluster.nodes[node as usize].allocatable;
                self.kube.update_node(self.slots[node as usize], node_spec(&name, &labels, allocatable, false));
                self.memory.state.mark_unconsolidated(self.now);
                self.schedule_waiting();
                self.after(INITIALIZE_AFTER, Event::Initialized(node));
            }
            Event::Initialized(node) => {
                let view = &mut self.cluster.nodes[node as usize].view;
                view.initialized = true;
                view.initialized_at = self.now;
                self.memory.state.mark_unconsolidated(self.now);
            }
        }
    }

    fn instant(&self) -> Instant {
        Instant { now: self.now, wall: jiff::Timestamp::UNIX_EPOCH }
    }

    fn refresh_conditions(&mut self) {
        for node in &mut self.cluster.nodes {
            let view = &mut node.view;
            let after = view.pool.and_then(|pool| self.cluster.pools[pool.0].spec.disruption.consolidate_after.0);
            let initialized = view.initialized.then_some(view.initialized_at);
            view.consolidatable =
                quiet::consolidatable(after, initialized, view.last_pod_event, self.now) == Consolidatable::Yes;
        }
    }

    /// What the pools' NodeClaims cost, deleting ones included until they are gone.
    fn track_costs(&mut self) {
        self.cluster.tracked_costs.clear();
        for node in &self.cluster.nodes {
            let Some(pool) = node.view.pool else { continue };
            let price = forescale::karpenter::disruption::cost::node_price(&node.view, &self.cluster.catalogue);
            *self.cluster.tracked_costs.entry(pool.0).or_default() += price;
        }
    }

    fn pass(&mut self, from: Option<Method>) {
        if self.unlaunched > 0 {
            self.after(UNSYNCED_PERIOD, Event::Pass);
            return;
        }
        self.refresh_conditions();
        self.track_costs();
        let at = self.instant();
        let step = {
            let (observed, base) = (self.cluster.observed(), self.cluster.base());
            let mut simulator = SolverSimulator::new(
                &observed,
                &base,
                self.now,
                DecisionCost::NONE,
                &mut self.knowledge,
                &mut self.ties,
            );
            pass::run(&mut self.memory, &observed, &mut simulator, from, at, &pass::no_static_pools).step
        };
        match step {
            Step::Idle => self.after(POLLING_PERIOD, Event::Pass),
            Step::Start(commands) => self.start(commands),
            Step::Validate(command) => {
                self.validating = Some(command);
                self.after(VALIDATION_DELAY, Event::Validate);
            }
        }
    }

    fn validate(&mut self) {
        let Some(command) = self.validating.take() else { return };
        self.refresh_conditions();
        let at = self.instant();
        let valid = {
            let (observed, base) = (self.cluster.observed(), self.cluster.base());
            let mut simulator = SolverSimulator::new(
                &observed,
                &base,
                self.now,
                DecisionCost::NONE,
                &mut self.knowledge,
                &mut self.ties,
            );
            pass::validate(&command, &observed, &mut simulator, at)
        };
        match valid {
            Ok(command) => self.start(vec![command]),
            Err(_) => match pass::after_abandoning(command.method) {
                Some(next) => self.pass(Some(next)),
                None => self.after(POLLING_PERIOD, Event::Pass),
            },
        }
    }

    fn start(&mut self, commands: Vec<Command>) {
        for mut command in commands {
            self.follow_the_recording(&mut command);
            let description = self.describe(&command);
            self.began.push(Began { at: self.now, description });
            let replacements: Vec<u32> = command.replacements.iter().map(|r| self.launch(r)).collect();
            for id in command.ids() {
                let view = &mut self.cluster.nodes[id as usize].view;
                (view.marked_for_deletion, view.in_command) = (true, true);
                let (name, labels) = (view.name.clone(), self.cluster.nodes[id as usize].labels.clone());
                let allocatable = self.cluster.nodes[id as usize].allocatable;
                self.kube.update_node(self.slots[id as usize], node_spec(&name, &labels, allocatable, true));
            }
            for id in &command.destinations {
                self.cluster.nodes[*id as usize].view.nominated_until = Some(self.now + NOMINATION);
            }
            self.memory.state.mark_unconsolidated(self.now);
            self.running.push(Running { nodes: command.ids(), replacements, done: false });
            let number = self.running.len() - 1;
            self.after(Duration::ZERO, Event::Queue(number));
        }
        self.at(self.now + Duration::from_millis(1), Event::Pass);
    }

    /// Where nodes are interchangeable, takes those that the recording took.
    fn follow_the_recording(&self, command: &mut Command) {
        let Some(recorded) = self.case["commands"].get(self.began.len()) else { return };
        let names: Vec<&str> = recorded["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let find = |name: &&str| self.names.iter().position(|known| known == name);
        let Some(wanted) = names.iter().map(find).collect::<Option<Vec<usize>>>() else { return };
        let mut mine: Vec<Value> = command.ids().iter().map(|id| self.key(*id as usize)).collect();
        let mut theirs: Vec<Value> = wanted.iter().map(|node| self.key(*node)).collect();
        mine.sort_by_key(Value::to_string);
        theirs.sort_by_key(Value::to_string);
        let gone = wanted.iter().any(|node| self.cluster.nodes[*node].view.marked_for_deletion);
        if mine == theirs && !gone {
            let fresh = wanted.iter().map(|node| {
                let id = *node as u32;
                let twin =
                    command.candidates.iter().find(|c| self.key(c.id as usize) == self.key(*node)).expect("a twin");
                let mut candidate = twin.clone();
                candidate.id = id;
                candidate
            });
            command.candidates = fresh.collect();
        }
    }

    /// What makes nodes interchangeable: pool, type, price and pods.
    fn key(&self, node: usize) -> Value {
        let view = &self.cluster.nodes[node].view;
        let mut pods: Vec<usize> = self.cluster.nodes[node].identities.iter().map(|identity| identity.shape).collect();
        pods.sort_unstable();
        let price = forescale::karpenter::disruption::cost::node_price(view, &self.cluster.catalogue);
        json!([view.pool.map(|pool| pool.0), view.instance_type.map(|id| id.0), price.to_string(), pods])
    }

    fn describe(&self, command: &Command) -> Value {
        let types: Vec<Value> = command
            .replacements
            .iter()
            .map(|replacement| {
                let mut names: Vec<&str> =
                    replacement.types.iter().map(|id| self.cluster.catalogue.get(*id).name.as_str()).collect();
                names.sort_unstable();
                json!(names)
            })
            .collect();
        let mut nodes: Vec<String> = command
            .candidates
            .iter()
            .map(|candidate| {
                let instance_type = candidate.instance_type.map_or("?", |id| &self.cluster.catalogue.get(id).name);
                let capacity_type = candidate.capacity_type.map_or("?", CapacityType::as_str);
                format!("{instance_type} {capacity_type} in {}", self.cluster.pools[candidate.pool.0].name)
            })
            .collect();
        nodes.sort();
        let mut loads: Vec<String> = command.ids().iter().map(|id| self.load(*id as usize)).collect();
        loads.sort();
        let pods: usize = command.candidates.iter().map(|candidate| candidate.reschedulable_pods).sum();
        let savings =
            command.estimated_savings(&self.cluster.catalogue, self.cluster.rules.savings_of_allowed_offerings);
        json!({
            "reason": command.reason().as_str(), "decision": command.decision(), "nodes": nodes, "pods": pods,
            "savings": format!("${savings:.2}"), "replacements": types, "loads": loads,
            "names": command.ids().iter().map(|id| self.names[*id as usize].clone()).collect::<Vec<_>>(),
        })
    }

    /// The pods of a node by shape, as recordings write them.
    fn load(&self, node: usize) -> String {
        let mut counts = serde_json::Map::new();
        for identity in &self.cluster.nodes[node].identities {
            let name = self.case["shapes"][identity.shape]["name"].as_str().expect("a name");
            let count = counts.get(name).and_then(Value::as_u64).unwrap_or(0) + 1;
            counts.insert(name.to_owned(), count.into());
        }
        Value::Object(counts).to_string()
    }

    fn launch(&mut self, replacement: &Replacement) -> u32 {
        let zones: Vec<ZoneId> = (0..self.cluster.catalogue.zones.len() as u16)
            .map(ZoneId)
            .filter(|z| replacement.zones.contains(*z))
            .collect();
        let capacity_types: Vec<CapacityType> = [CapacityType::Spot, CapacityType::OnDemand]
            .into_iter()
            .filter(|capacity_type| replacement.capacity_types.contains(*capacity_type))
            .collect();
        let (id, offering) =
            kwok::choose(&self.cluster.catalogue, &replacement.types, &zones, &capacity_types, &mut self.ties)
                .expect("an offering");
        let recorded = format!("new{}", self.cluster.nodes.len());
        let name = format!("{}-{:05}", self.cluster.pools[replacement.pool.0].name, self.ties.below(100_000));
        let index = self.add_node(&recorded, &name, (id, offering.zone, offering.capacity_type));
        let view = &mut self.cluster.nodes[index].view;
        view.pool = Some(replacement.pool);
        (view.initialized, view.registered) = (false, false);
        self.cluster.nodes[index].labels = self.cluster.labels_of(&self.cluster.nodes[index].view);
        let (labels, allocatable) = (self.cluster.nodes[index].labels.clone(), self.cluster.nodes[index].allocatable);
        self.kube.update_node(self.slots[index], node_spec(&name, &labels, allocatable, true));
        self.unlaunched += 1;
        self.memory.state.mark_unconsolidated(self.now);
        self.after(LAUNCH_AFTER, Event::Launched(index as u32));
        index as u32
    }

    fn poll(&mut self, number: usize) {
        let ready =
            self.running[number].replacements.iter().all(|id| self.cluster.nodes[*id as usize].view.initialized);
        if !ready {
            self.after(Duration::from_secs(1), Event::Queue(number));
            return;
        }
        if std::mem::replace(&mut self.running[number].done, true) {
            return;
        }
        for node in self.running[number].nodes.clone() {
            self.after(DELETE_AFTER, Event::Delete(node));
        }
    }

    fn evict(&mut self, node: usize) {
        self.after(NODE_GONE_AFTER - EVICT_AFTER, Event::NodeGone(node as u32));
        let pods: Vec<(u32, usize)> = self.cluster.nodes[node]
            .view
            .pods
            .iter()
            .zip(&self.cluster.nodes[node].identities)
            .map(|(pod, identity)| (pod.id, identity.shape))
            .collect();
        for (pod, shape) in pods {
            let view = self.cluster.nodes[node].view.pods.iter_mut().find(|view| view.id == pod).expect("a pod");
            view.terminating = true;
            self.kube.mark_terminating(self.slots[node], pod, false);
            self.after(POD_GONE_AFTER, Event::PodGone(node as u32, pod));
            self.pods += 1;
            self.waiting.push((self.pods, shape));
        }
        self.schedule_waiting();
    }

    fn schedule_waiting(&mut self) {
        for (pod, shape) in std::mem::take(&mut self.waiting) {
            match self.chooser.choose(&mut self.kube, pod, self.shapes[shape], None, &mut self.ties) {
                Choice::Node(slot) => {
                    let node = self.slots.iter().position(|known| *known == slot).expect("a node");
                    self.place(pod, shape, node);
                    let view = &mut self.cluster.nodes[node].view;
                    let event = quiet::last_pod_event(
                        PodEvent::Bound,
                        forescale::karpenter::disruption::model::Owner::Workload,
                        view.last_pod_event,
                        self.now,
                        self.second,
                    );
                    view.last_pod_event = event.or(view.last_pod_event);
                    self.memory.state.mark_unconsolidated(self.now);
                }
                _ => self.waiting.push((pod, shape)),
            }
        }
        self.cluster.pending = self
            .waiting
            .iter()
            .map(|(pod, shape)| forescale::karpenter::disruption::simulate::PodIdentity {
                shape: *shape,
                created: Time::ZERO,
                uid: u64::from(*pod),
            })
            .collect();
    }

    fn pod_gone(&mut self, node: usize, pod: u32) {
        let record = &mut self.cluster.nodes[node];
        if let Some(index) = record.view.pods.iter().position(|view| view.id == pod) {
            record.view.pods.remove(index);
            record.identities.remove(index);
        }
        self.kube.remove(self.slots[node], pod);
        self.memory.state.mark_unconsolidated(self.now);
    }

    fn node_gone(&mut self, node: usize) {
        let record = &mut self.cluster.nodes[node];
        (record.view.managed, record.view.registered, record.view.initialized) = (false, false, false);
        record.view.pool = None;
        record.view.pods.clear();
        record.identities.clear();
        self.kube.remove_node(self.slots[node]);
        self.slots[node] = usize::MAX;
        self.memory.state.mark_unconsolidated(self.now);
    }
}

/// Time zero of a recording on the replay's clock: what happened before it has positive times too.
pub const ORIGIN: Time = Time::from_micros(3_600_000_000);

fn pool_spec(case: &Value, pool: &Value) -> Value {
    let mut disruption = json!({
        "consolidationPolicy": case["policy"], "consolidateAfter": case["consolidate_after"],
    });
    if !pool["budgets"].is_null() {
        disruption["budgets"] = pool["budgets"].clone();
    }
    let mut spec = json!({
        "template": { "spec": { "requirements": pool["requirements"] } },
        "disruption": disruption,
    });
    if !pool["weight"].is_null() {
        spec["weight"] = pool["weight"].clone();
    }
    spec
}

fn node_spec(name: &str, labels: &Labels, allocatable: Resources, closed: bool) -> NodeSpec {
    let taint =
        Taint { key: "karpenter.sh/disrupted".to_owned(), value: String::new(), effect: TaintEffect::NoSchedule };
    NodeSpec {
        name: name.to_owned(),
        labels: labels.clone(),
        taints: if closed { vec![taint] } else { Vec::new() },
        unschedulable: false,
        allocatable: if allocatable.get(Resource::Pods) == 0 {
            allocatable.with(Resource::Pods, 110)
        } else {
            allocatable
        },
        images: Vec::new(),
    }
}
