//! A small timeline around the disruption cores: the loop's passes and validations, commands, drains, replacements that boot, and
//! kube-scheduler placing evicted pods. What a recording leaves open (names, ties, when nodes were last touched) is drawn from a seed.

#[path = "consolidation_replay/beginning.rs"]
mod beginning;
#[path = "consolidation_replay/description.rs"]
mod description;
#[path = "consolidation_replay/nodes.rs"]
mod nodes;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use forescale::engine::{Stream, Streams};
use forescale::karpenter::disruption::command::Command;
use forescale::karpenter::disruption::cost::node_price;
use forescale::karpenter::disruption::model::{Method, Rules};
use forescale::karpenter::disruption::pass::{self, Instant, Memory, POLLING_PERIOD, Step, UNSYNCED_PERIOD};
use forescale::karpenter::disruption::quiet::{self, Consolidatable};
use forescale::karpenter::disruption::simulate::{DecisionCost, SolverSimulator};
use forescale::karpenter::disruption::validation::VALIDATION_DELAY;
use forescale::karpenter::scheduling::Knowledge;
use forescale::scheduler::choose::{ChooseConfig, Chooser};
use forescale::scheduler::shape::ShapeIndex;
use forescale::scheduler::snapshot::{Slot, Snapshot};
use forescale::time::{Duration, Time};
use serde_json::Value;

use super::disruption_world::{Pool, TestCluster, decode, run_pass};
use beginning::pool_spec;
use nodes::node_spec;

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
            let price = node_price(&node.view, &self.cluster.catalogue);
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
            let (observed, base) = (self.cluster.observed(), || self.cluster.base());
            let mut simulator = SolverSimulator::new(
                &observed,
                &base,
                self.now,
                DecisionCost::NONE,
                &mut self.knowledge,
                &mut self.ties,
            );
            run_pass(&mut self.memory, &observed, &mut simulator, from, at).step
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
            let (observed, base) = (self.cluster.observed(), || self.cluster.base());
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
}

/// Time zero of a recording on the replay's clock: what happened before it has positive times too.
pub const ORIGIN: Time = Time::from_micros(3_600_000_000);
