//! A small world around the lifecycle controllers: scripted clouds, kubelets and users.

use std::sync::Arc;

use forescale::api::decode::{Decode, Problems, defaults};
use forescale::api::meta::Labels;
use forescale::api::pod::{PodSpec, Taint, TaintEffect, Toleration, TolerationOperator};
use forescale::api::tree::{Key, Node as Tree, Span, Value as TreeValue};
use forescale::cluster::catalogue::{CapacityType, TypeId, ZoneId};
use forescale::cluster::instance::{Instance, InstanceState};
use forescale::cluster::node::Node;
use forescale::cluster::nodeclaim::{LaunchError, NodeClaim, NodePool};
use forescale::cluster::pod::{EndReason, Owner, PodShape};
use forescale::cluster::workload::Deployment;
use forescale::cluster::{
    Change, Cluster, DaemonSetId, DeploymentId, InstanceId, Launched, NoQueues, NodeClaimId, NodeClassId, NodeId,
    NodePoolId, PodId, World,
};
use forescale::engine::{Agenda, Calendar, Distribution, Streams};
use forescale::karpenter::lifecycle::controller::{Event as LifecycleEvent, Lifecycle};
use forescale::karpenter::lifecycle::taints;
use forescale::scenario::Scenario;
use forescale::scenario::faults::{Fault, FaultKind};
use forescale::time::{Duration, Time};
use forescale::units::{Cpu, Memory, Resources, Usd};
use serde_json::Value;

#[derive(Clone, Copy)]
enum Event {
    Lifecycle(LifecycleEvent),
    Script(usize),
    PodGone(PodId, u64),
    Terminated(InstanceId),
}

/// The world of one case.
pub struct Stage {
    cluster: Cluster,
    scenario: Scenario,
    lifecycle: Lifecycle,
    calendar: Calendar<Event>,
    script: Vec<Value>,
    pods: Vec<(String, Option<f64>)>,
    kwok: bool,
    terminate_takes: Duration,
    log: Vec<(f64, String)>,
}

fn seconds(value: &Value) -> Option<Duration> {
    value.as_f64().map(Duration::from_secs_f64)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text is needed, not {value}"))
}

impl Stage {
    /// Sets the scene of a case.
    pub fn new(case: &Value) -> Self {
        let mut scenario: Scenario = defaults();
        let settings = &case["settings"];
        scenario.clocks.drain_poll_slip = seconds(&settings["drainPollSlip"]).unwrap_or(Duration::ZERO);
        scenario.clocks.whole_second = seconds(&settings["wholeSecond"]).unwrap_or(Duration::ZERO);
        scenario.karpenter.interruption_queue = settings["interruptionQueue"].as_bool().unwrap_or(true);
        scenario.karpenter.node_repair = settings["nodeRepair"].as_bool().unwrap_or(false);
        let delivery = seconds(&settings["interruptionEvent"]).unwrap_or(Duration::from_secs(2));
        scenario.latencies.interruption_event = Distribution::Constant(delivery);
        let down = |span: &Value| Fault {
            at: seconds(&span[0]).expect("a beginning"),
            duration: seconds(&span[1]).zip(seconds(&span[0])).map(|(until, at)| until - at),
            kind: FaultKind::KarpenterDown,
            queue: None,
            deployment: None,
            nodes: None,
            zone: None,
            share: 1.0,
        };
        scenario.faults.extend(settings.get("down").map(down));
        let streams = Streams::new(1, 0);
        let mut stage = Stage {
            cluster: Cluster::new(streams.open("uid", 0)),
            scenario,
            lifecycle: Lifecycle::new(streams),
            calendar: Calendar::default(),
            script: case["script"].as_array().cloned().unwrap_or_default(),
            pods: Vec::new(),
            kwok: settings["kwok"].as_bool().unwrap_or(false),
            terminate_takes: seconds(&settings["terminateTakes"]).unwrap_or(Duration::from_secs(45)),
            log: Vec::new(),
        };
        stage.cluster.nodepools.push(NodePool {
            name: "pool".to_owned(),
            object: Arc::new(node_pool()),
            node_class: NodeClassId(0),
            generation: 1,
            applied: Some(Time::ZERO),
            deleted: false,
        });
        for budget in case["budgets"].as_array().into_iter().flatten() {
            stage.cluster.pdbs.push(budget_of(budget));
        }
        for (number, step) in stage.script.iter().enumerate() {
            let at = Time::ZERO + seconds(&step["at"]).expect("`at` of a step");
            stage.calendar.schedule(at, Event::Script(number));
        }
        stage
    }

    /// Lines that were written, with their instants in seconds.
    pub fn log(&self) -> &[(f64, String)] {
        &self.log
    }

    /// Runs until an instant.
    pub fn play(&mut self, until: f64) {
        let mut agenda = Agenda::default();
        self.lifecycle.start(&mut agenda);
        self.take(&mut agenda);
        while self.calendar.next_time().is_some_and(|at| at.as_secs_f64() <= until) {
            let Some((now, event)) = self.calendar.pop() else { break };
            match event {
                Event::Script(number) => self.step(now, &self.script[number].clone()),
                Event::PodGone(pod, generation) => {
                    let record = &self.cluster.pods[pod.index()];
                    if record.exists() && record.deletion_grace.as_micros() as u64 == generation {
                        self.cluster.remove_pod(now, pod);
                    }
                }
                Event::Terminated(id) => self.cluster.set_instance_state(now, id, InstanceState::Terminated),
                Event::Lifecycle(event) => {
                    let mut queues = NoQueues;
                    let mut world =
                        World { now, cluster: &mut self.cluster, scenario: &self.scenario, queues: &mut queues };
                    self.lifecycle.handle(event, &mut world, &mut agenda);
                    self.take(&mut agenda);
                }
            }
            self.settle(now);
        }
    }

    fn take(&mut self, agenda: &mut Agenda<LifecycleEvent>) {
        for (at, event) in agenda.drain() {
            self.calendar.schedule(at, Event::Lifecycle(event));
        }
    }

    /// Hands out changes until nothing changes any more.
    fn settle(&mut self, now: Time) {
        let mut agenda = Agenda::default();
        let mut changes = Vec::new();
        loop {
            self.cluster.take_changes(&mut changes);
            if changes.is_empty() {
                break;
            }
            for change in std::mem::take(&mut changes) {
                self.record(now, change);
                self.surroundings(now, change);
                let mut queues = NoQueues;
                let mut world =
                    World { now, cluster: &mut self.cluster, scenario: &self.scenario, queues: &mut queues };
                self.lifecycle.observe(&change, &mut world, &mut agenda);
            }
            self.take(&mut agenda);
        }
        let told = self.cluster.take_decisions().map(|decision| format!("told {}", decision.rule.name()));
        self.log.extend(told.map(|line| (now.as_secs_f64(), line)));
    }

    fn claim_name(&self, id: NodeClaimId) -> String {
        self.cluster.nodeclaims[id.index()].name.clone()
    }

    fn record(&mut self, now: Time, change: Change) {
        let node = |id: NodeId| self.cluster.nodes[id.index()].name.clone();
        let line = match change {
            Change::NodeClaimLaunchRequested(id) => format!("claim {} launch", self.claim_name(id)),
            Change::NodeClaimRegistered(id) => format!("claim {} registered", self.claim_name(id)),
            Change::NodeClaimInitialized(id) => format!("claim {} initialized", self.claim_name(id)),
            Change::NodeClaimDeleting(id) => {
                let end = self.cluster.nodeclaims[id.index()].end.unwrap_or_default();
                format!("claim {} deleting {end}", self.claim_name(id))
            }
            Change::NodeClaimGone(id) => format!("claim {} gone", self.claim_name(id)),
            Change::NodeDeleting(id) => format!("node {} deleting", node(id)),
            Change::NodeGone(id) => format!("node {} gone", node(id)),
            Change::NodeTaints(id) if self.cluster.nodes[id.index()].has_taint(taints::DISRUPTED) => {
                format!("node {} tainted", node(id))
            }
            Change::InstanceTerminateRequested(id) => {
                let claim = self.cluster.instances[id.index()].nodeclaim.expect("a claim");
                format!("instance {} terminate", self.claim_name(claim))
            }
            Change::PodDeleting(id) => {
                let grace = self.cluster.pods[id.index()].deletion_grace.as_secs_f64();
                let left = grace - now.since(self.cluster.pods[id.index()].path.deleting.unwrap_or(now)).as_secs_f64();
                format!("pod {} deleting {left:.0}", self.pods[id.index()].0)
            }
            Change::PodGone(id) => format!("pod {} gone", self.pods[id.index()].0),
            _ => return,
        };
        self.log.push((now.as_secs_f64(), line));
    }

    /// Kubelets let pods go, the cloud terminates instances.
    fn surroundings(&mut self, now: Time, change: Change) {
        match change {
            Change::PodDeleting(id) => {
                let pod = &self.cluster.pods[id.index()];
                let grace = pod.deletion_grace;
                let own = self.pods[id.index()].1.map_or(grace, Duration::from_secs_f64);
                if own < Duration::from_hours(1000) {
                    let at = pod.path.deleting.unwrap_or(now) + own.min(grace);
                    self.calendar.schedule(at, Event::PodGone(id, grace.as_micros() as u64));
                }
            }
            Change::InstanceTerminateRequested(id) => {
                if self.cluster.instances[id.index()].state >= InstanceState::ShuttingDown {
                    return;
                }
                if self.kwok {
                    self.cluster.set_instance_state(now, id, InstanceState::Terminated);
                } else {
                    self.cluster.set_instance_state(now, id, InstanceState::ShuttingDown);
                    self.calendar.schedule(now + self.terminate_takes, Event::Terminated(id));
                }
            }
            _ => {}
        }
    }

    fn claim(&self, step: &Value) -> NodeClaimId {
        let name = text(&step["claim"]);
        let found = self.cluster.nodeclaims.iter().position(|claim| claim.name == name);
        NodeClaimId(found.unwrap_or_else(|| panic!("no claim {name}")) as u32)
    }

    fn node_of(&self, step: &Value) -> NodeId {
        self.cluster.nodeclaims[self.claim(step).index()].node.expect("the claim's node")
    }

    fn pod_of(&self, step: &Value) -> PodId {
        let name = text(&step["pod"]);
        let found = self.pods.iter().position(|(pod, _)| pod == name);
        PodId(found.unwrap_or_else(|| panic!("no pod {name}")) as u32)
    }

    fn step(&mut self, now: Time, step: &Value) {
        match text(&step["do"]) {
            "create" => {
                self.cluster.create_nodeclaim(nodeclaim(now, step));
            }
            "launch" => self.launch(now, self.claim(step)),
            "refuse" => self.cluster.fail_launch(self.claim(step), LaunchError::InsufficientCapacity),
            "fail" => self.cluster.fail_launch(self.claim(step), LaunchError::Retryable),
            "join" => self.join(now, self.claim(step), step),
            "ready" => self.ready(now, step, true),
            "notReady" => self.ready(now, step, false),
            "untaint" => {
                let node = self.node_of(step);
                let key = text(&step["key"]);
                let mut left = self.cluster.nodes[node.index()].taints.clone();
                left.retain(|taint| taint.key != key);
                self.cluster.set_taints(node, left);
            }
            "up" => {
                self.step(now, &with(step, "create"));
                self.launch(now, self.claim(step));
                self.join(now, self.claim(step), step);
                self.ready(now, step, true);
            }
            "pod" => self.pod(now, step),
            "deletePod" => {
                let grace = seconds(&step["grace"]).expect("`grace`");
                self.cluster.delete_pod(now, self.pod_of(step), grace, EndReason::OwnerGone);
            }
            "podReady" => self.cluster.set_pod_ready(now, self.pod_of(step), true),
            "delete" => self.cluster.delete_nodeclaim(now, self.claim(step), "Manual"),
            "deleteNode" => self.cluster.delete_node(now, self.node_of(step)),
            "notice" => self.cluster.announce(Change::SpotInterruptionWarning(self.instance(step))),
            "reclaim" => self.cluster.announce(Change::ReservationInterruptionWarning(self.instance(step))),
            "recommend" => self.cluster.announce(Change::RebalanceRecommendation(self.instance(step))),
            "poolSpec" => self.cluster.announce(Change::NodePoolSpec(NodePoolId(0))),
            "attach" => {
                self.cluster.attached.insert((self.node_of(step), self.pod_of(step)));
            }
            "detach" => {
                self.cluster.attached.remove(&(self.node_of(step), self.pod_of(step)));
            }
            "lose" => {
                let instance = self.instance(step);
                self.cluster.set_instance_state(now, instance, InstanceState::ShuttingDown);
                self.calendar.schedule(now + Duration::from_millis(1), Event::Terminated(instance));
            }
            other => panic!("unknown step `{other}`"),
        }
    }

    fn instance(&self, step: &Value) -> InstanceId {
        self.cluster.nodeclaims[self.claim(step).index()].instance.expect("the claim's instance")
    }

    fn launch(&mut self, now: Time, id: NodeClaimId) {
        let instance = self.cluster.add_instance(Instance {
            nodeclaim: Some(id),
            ..Instance::new(now, NodeClassId(0), TypeId(0), (ZoneId(0), CapacityType::Spot), Usd::ZERO)
        });
        self.cluster.set_instance_state(now, instance, InstanceState::Running);
        let launched = Launched {
            instance,
            instance_type: TypeId(0),
            zone: ZoneId(0),
            capacity_type: CapacityType::Spot,
            subnet: None,
            capacity: size(),
            allocatable: size(),
            labels: Labels::new(),
        };
        self.cluster.launch_nodeclaim(now, id, launched);
    }

    fn join(&mut self, now: Time, id: NodeClaimId, step: &Value) {
        let claim = &self.cluster.nodeclaims[id.index()];
        let mut present = vec![taints::unregistered(), taint("node.kubernetes.io/not-ready")];
        present.extend(step["taints"].as_array().into_iter().flatten().map(|key| taint(text(key))));
        let label = |value: &Value| (taints::DO_NOT_SYNC_TAINTS_LABEL.to_owned(), text(value).to_owned());
        let node = Node {
            labels: step.get("doNotSyncTaints").map(label).into_iter().collect(),
            nodeclaim: Some(id),
            pool: Some(claim.pool),
            instance: claim.instance,
            taints: present,
            capacity: size(),
            allocatable: size(),
            ..Node::new(claim.name.clone(), now)
        };
        self.cluster.create_node(node);
    }

    fn ready(&mut self, now: Time, step: &Value, ready: bool) {
        let node = self.node_of(step);
        let mut left = self.cluster.nodes[node.index()].taints.clone();
        left.retain(|taint| taint.key != "node.kubernetes.io/not-ready");
        self.cluster.set_taints(node, left);
        self.cluster.set_node_ready(now, node, ready);
    }

    /// A running pod on a claim's node. `exits`: seconds from its deletion until it is gone; default its grace.
    fn pod(&mut self, now: Time, step: &Value) {
        let name = text(&step["pod"]).to_owned();
        let mut spec: PodSpec = defaults();
        spec.priority_class_name = step["priorityClass"].as_str().map(str::to_owned);
        if step["toleratesAll"].as_bool() == Some(true) {
            let (key, effect, toleration_seconds) = (None, None, None);
            let operator = TolerationOperator::Exists;
            spec.tolerations.push(Toleration { key, operator, value: String::new(), effect, toleration_seconds });
        }
        let mut annotations = Labels::new();
        if let Some(value) = step["doNotDisrupt"].as_str() {
            annotations.insert("karpenter.sh/do-not-disrupt".to_owned(), value.to_owned());
        }
        let labels = Labels::from([("app".to_owned(), step["app"].as_str().unwrap_or(&name).to_owned())]);
        let shape = self.cluster.add_shape(PodShape {
            spec: Arc::new(spec),
            labels: Arc::new(labels),
            annotations: Arc::new(annotations),
            requests: Resources::ZERO,
            priority: 0,
            may_preempt: true,
            grace: seconds(&step["grace"]).unwrap_or(Duration::from_secs(30)),
            fargate: false,
        });
        let owner = match (step["daemon"].as_bool(), step["app"].as_str()) {
            (Some(true), _) => Owner::DaemonSet(DaemonSetId(0)),
            (_, Some(app)) => Owner::Deployment(self.deployment(app, shape, step)),
            _ => Owner::None,
        };
        let id = self.cluster.create_pod(now, shape, owner);
        self.pods.push((name, step["exits"].as_f64()));
        self.cluster.bind(now, id, self.node_of(step));
        self.cluster.start_pod(now, id);
        self.cluster.set_pod_ready(now, id, step["unready"].as_bool() != Some(true));
    }

    fn deployment(&mut self, app: &str, shape: forescale::cluster::ShapeId, step: &Value) -> DeploymentId {
        if let Some(id) = self.cluster.find_deployment(app) {
            return id;
        }
        self.cluster.deployments.push(Deployment {
            name: app.to_owned(),
            applied: Some(Time::ZERO),
            replicas: step["replicas"].as_u64().unwrap_or(1) as u32,
            shape,
            selector: Arc::new(defaults()),
            pods: Vec::new(),
            status_replicas: 0,
            ready_replicas: 0,
        });
        DeploymentId(self.cluster.deployments.len() as u32 - 1)
    }
}

fn with(step: &Value, action: &str) -> Value {
    let mut step = step.clone();
    step["do"] = Value::from(action);
    step
}

fn size() -> Resources {
    Resources::new(Cpu::from_milli(4000), Memory::from_mib(8192))
}

fn taint(key: &str) -> Taint {
    Taint { key: key.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule }
}

fn nodeclaim(now: Time, step: &Value) -> NodeClaim {
    let keys = step["startupTaints"].as_array().into_iter().flatten();
    NodeClaim {
        requests: Resources::new(Cpu::from_milli(1000), Memory::from_mib(1024)),
        startup_taints: keys.map(|key| taint(text(key))).collect(),
        expire_after: seconds(&step["expireAfter"]),
        termination_grace_period: seconds(&step["terminationGracePeriod"]),
        ..NodeClaim::new(text(&step["claim"]).to_owned(), NodePoolId(0), now)
    }
}

/// JSON as the tree that objects are decoded from.
fn tree(json: &Value) -> Tree {
    let span = Span::default();
    let value = match json {
        Value::Null => TreeValue::Null,
        Value::Bool(value) => TreeValue::Bool(*value),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| TreeValue::Float(number.as_f64().unwrap_or(f64::NAN)), TreeValue::Int)
        }
        Value::String(text) => TreeValue::Str(text.clone()),
        Value::Array(items) => TreeValue::List(items.iter().map(tree).collect()),
        Value::Object(entries) => TreeValue::Map(
            entries.iter().map(|(name, value)| (Key { name: name.clone(), span }, tree(value))).collect(),
        ),
    };
    Tree { value, span }
}

fn decode<T: Decode>(json: &Value) -> T {
    let mut problems = Problems::default();
    let decoded = T::decode(&tree(json), &mut problems);
    decoded.unwrap_or_else(|| panic!("{:?}", problems.list))
}

fn budget_of(spec: &Value) -> forescale::api::workload::PodDisruptionBudget {
    decode(&serde_json::json!({ "metadata": { "name": "budget" }, "spec": spec }))
}

fn node_pool() -> forescale::api::karpenter::NodePool {
    decode(&serde_json::json!({
        "metadata": { "name": "pool" },
        "spec": { "template": { "spec": { "requirements": [], "nodeClassRef": { "name": "default" } } } }
    }))
}
