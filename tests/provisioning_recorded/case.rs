//! A recorded case: what does not change within it, its pods and nodes, and what was recorded of them at the end of a wave.

use std::collections::BTreeMap;
use std::sync::Arc;

use forescale::api::karpenter::NodePoolSpec;
use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::cluster::catalogue::{CapacityType, Catalogue, TypeId, ZoneId};
use forescale::engine::{Stream, Streams};
use forescale::karpenter::scheduling::requirements::Requirements;
use forescale::karpenter::scheduling::{labels, resolve_labels};
use forescale::units::Resources;
use serde_json::{Value, json};

use super::outcome::ClaimOutcome;
use super::scheduling::{decode, pod_spec, resources};

/// The label by which pods of a case select its pools.
const CASE: &str = "case";

/// A pod of the case.
#[derive(Clone)]
pub struct PodRecord {
    pub name: String,
    pub shape: usize,
    pub wave: u64,
    /// Index of its node.
    pub node: Option<usize>,
    /// Whether the recording lost sight of it.
    pub unknown: bool,
}

/// A node of the case. It joins as soon as its claim is created.
#[derive(Clone)]
pub struct NodeRecord {
    pub name: String,
    pub host: String,
    pub pool: String,
    pub labels: Labels,
    pub instance_type: TypeId,
    pub zone: ZoneId,
    pub capacity_type: CapacityType,
    pub requests: Resources,
    pub options: Vec<TypeId>,
    pub zone_requirement: Vec<String>,
    /// Which recorded claim it is.
    pub recorded: Option<usize>,
}

/// The state of a case between passes.
#[derive(Clone, Default)]
pub struct State {
    pub pods: Vec<PodRecord>,
    pub nodes: Vec<NodeRecord>,
}

/// What does not change within a case.
pub struct Case<'c> {
    pub catalogue: &'c Arc<Catalogue>,
    pub pools: Vec<(String, NodePoolSpec)>,
    pub shapes: Vec<(Labels, PodSpec)>,
}

pub fn pool_of(pool: &Value, case: &str) -> (String, NodePoolSpec) {
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

pub fn shape_of(shape: &Value, case: &str) -> (Labels, PodSpec) {
    let mut spec = shape["spec"].clone();
    spec["nodeSelector"][CASE] = json!(case);
    let requests = json!({"cpu": format!("{}m", shape["cpu_m"]), "memory": format!("{}Mi", shape["mem_mi"])});
    let app = shape["name"].as_str().expect("a name");
    (Labels::from([("app".to_owned(), app.to_owned())]), pod_spec(&spec, &requests))
}

impl State {
    /// Continues from what was recorded at the end of a wave.
    pub fn adopt(&mut self, case: &Case<'_>, wave: &Value) {
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
    pub fn recognise(&mut self, case: &Case<'_>, first: usize, wave: &Value) {
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
    pub fn follow(&mut self, wave: &Value) {
        for pod in self.pods.iter_mut().filter(|pod| pod.node.is_none()) {
            let place = wave["pods"][&pod.name].as_u64().map(|claim| claim as usize);
            pod.node = self.nodes.iter().position(|node| place.is_some() && node.recorded == place);
        }
    }
}

pub fn recorded_node(case: &Case<'_>, claim: &Value) -> NodeRecord {
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

pub fn node_labels(
    catalogue: &Catalogue,
    node: &NodeRecord,
    requirements: &Requirements,
    stream: &mut Stream,
) -> Labels {
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

/// A list of texts in alphabetical order.
pub fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(&[][..], |list| &list[..]);
    let mut list: Vec<String> = list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect();
    list.sort_unstable();
    list
}
