//! Vectors of claims and volumes: which nodes kube-scheduler rules out for which pod, and what binding a pod does to others.

use std::sync::Arc;

use forescale::api::decode::{Decode, Problems};
use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::cluster::node::Node;
use forescale::cluster::pod::{Owner, PodShape};
use forescale::cluster::storage::Storage;
use forescale::cluster::{Cluster, NodeId, PodId};
use forescale::engine::Streams;
use forescale::karpenter::state::{Ignored, takes_part};
use forescale::scenario::Scenario;
use forescale::scheduler::choose::{Choice, Chooser};
use forescale::scheduler::shape::PodTraits;
use forescale::scheduler::snapshot::{NodeSpec, Snapshot};
use forescale::scheduler::volumes::Claims;
use forescale::time::{Duration, Time};
use forescale::units::{Resource, Resources};
use serde_json::{Map, Value, json};

use super::json_tree;

fn decode<T: Decode>(value: &Value) -> T {
    let mut problems = Problems::default();
    let object = T::decode(&json_tree::node(value), &mut problems);
    object.filter(|_| problems.list.is_empty()).unwrap_or_else(|| panic!("{:?}", problems.list))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Pods one after the other: who rules out which node, what the condition says, what Karpenter says of the claims, and then the pod is
/// bound where the step says.
pub fn run(given: &Value) -> Value {
    let scenario: Scenario = decode(&given["objects"]);
    let zones: Vec<String> = list(given, "zones").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let mut cluster = Cluster::new(Streams::new(1, 0).open("uid", 0));
    cluster.storage = Storage::of(&scenario, &zones);
    for node in list(given, "nodes") {
        let labels: Labels =
            node["labels"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect();
        cluster.create_node(Node { labels, ..Node::new(text(&node["name"]), Time::ZERO) });
    }
    let pods = list(given, "pods").iter().map(|step| {
        let pod = create(&mut cluster, &step["volumes"]);
        let mut told = look(&cluster, pod);
        if let Some(name) = step["bind"].as_str() {
            let node = cluster.nodes.iter().position(|node| node.name == name).expect("a node");
            told["bound"] = json!(cluster.bind_claims(pod, NodeId(node as u32)));
            cluster.bind(Time::ZERO, pod, NodeId(node as u32));
        }
        told
    });
    json!({ "pods": pods.collect::<Vec<_>>() })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn create(cluster: &mut Cluster, volumes: &Value) -> PodId {
    let spec: PodSpec = decode(&json!({ "containers": [{}], "volumes": volumes }));
    let shape = cluster.add_shape(PodShape {
        spec: Arc::new(spec),
        labels: Arc::default(),
        annotations: Arc::default(),
        requests: Resources::ZERO,
        priority: 0,
        may_preempt: true,
        grace: Duration::ZERO,
        fargate: false,
    });
    cluster.create_pod(Time::ZERO, shape, Owner::None)
}

fn look(cluster: &Cluster, pod: PodId) -> Value {
    let spec = &cluster.shape_of(pod).spec;
    let accesses = cluster.storage.accesses(spec, cluster.storage.variant_of(pod));
    let mut snapshot = Snapshot::default();
    for node in &cluster.nodes {
        snapshot.add_node(NodeSpec {
            name: node.name.clone(),
            labels: node.labels.clone(),
            taints: Vec::new(),
            unschedulable: false,
            allocatable: Resources::ZERO.with(Resource::Pods, 110),
            volume_limit: None,
            images: Vec::new(),
        });
    }
    let shape = snapshot.shape(&PodTraits {
        labels: Labels::new(),
        spec: (**spec).clone(),
        priority: 0,
        preempts: true,
        workload_selector: None,
        claims: Claims::of(&accesses),
    });
    let mut chooser = Chooser::default();
    let condition = match chooser.choose(&mut snapshot, 0, shape, None, &mut Streams::new(1, 0).open("tie", 0)) {
        Choice::Unschedulable(diagnosis) => json!(diagnosis.to_string()),
        Choice::Node(_) | Choice::NoNodes => Value::Null,
    };
    let mut rejected = Map::new();
    for (slot, node) in cluster.nodes.iter().enumerate() {
        if let Err(rejection) = chooser.feasible(&mut snapshot, 0, shape, slot) {
            rejected.insert(node.name.clone(), json!(rejection.plugin.name()));
        }
    }
    let ignored = match takes_part(cluster, pod) {
        Err(Ignored::Claim(fault)) => json!(fault.to_string()),
        _ => Value::Null,
    };
    json!({ "rejected": rejected, "condition": condition, "karpenter": ignored })
}
