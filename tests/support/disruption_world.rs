//! A small cluster for disruption tests: pools, nodes with their pods, pending pods; seen through the plain inputs of the cores.

use std::collections::BTreeMap;
use std::sync::Arc;

use forescale::api::decode::{Decode, Problems};
use forescale::api::karpenter::NodePoolSpec;
use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::cluster::catalogue::{Catalogue, TypeId, ZoneId};
use forescale::karpenter::disruption::budget::BudgetRule;
use forescale::karpenter::disruption::candidate::Candidates;
use forescale::karpenter::disruption::model::{Method, NodeView, Observed, PodView, PoolIndex, PoolView, Rules};
use forescale::karpenter::disruption::pass::{self, Instant, Memory, Outcome};
use forescale::karpenter::disruption::simulate::{Base, PodIdentity, SolverSimulator};
use forescale::karpenter::scheduling::{self, ExistingNode, Input, MinValuesPolicy, Shape, labels};
use forescale::time::Time;
use forescale::units::Resources;
use serde_json::Value;

/// A pool.
pub struct Pool {
    pub name: String,
    pub spec: NodePoolSpec,
}

/// A node.
#[derive(Clone)]
pub struct TestNode {
    pub view: NodeView,
    pub labels: Labels,
    pub allocatable: Resources,
    pub identities: Vec<PodIdentity>,
}

/// All of it.
pub struct TestCluster {
    pub catalogue: Arc<Catalogue>,
    pub pools: Vec<Pool>,
    pub nodes: Vec<TestNode>,
    pub shapes: Vec<(Labels, PodSpec)>,
    pub pending: Vec<PodIdentity>,
    pub rules: Rules,
    pub tracked_costs: BTreeMap<usize, f64>,
    pub min_values: MinValuesPolicy,
}

/// Decodes a manifest part written in JSON.
pub fn decode<T: Decode>(json: &Value) -> T {
    let mut problems = Problems::default();
    let value = T::decode(&super::json::node(json), &mut problems);
    match value {
        Some(value) if !problems.has_errors() => value,
        _ => panic!("{json}: {:?}", problems.list),
    }
}

impl TestCluster {
    /// The index of an equal shape, added if there is none.
    pub fn shape(&mut self, pod_labels: Labels, spec: PodSpec) -> usize {
        let known = self.shapes.iter().position(|(labels, known)| *labels == pod_labels && *known == spec);
        known.unwrap_or_else(|| {
            self.shapes.push((pod_labels, spec));
            self.shapes.len() - 1
        })
    }

    /// Puts a pod on a node, or makes it pending.
    pub fn add_pod(&mut self, node: Option<usize>, view: PodView, shape: usize, created: Time) {
        let identity = PodIdentity { shape, created, uid: u64::from(view.id) };
        match node {
            Some(node) => {
                self.nodes[node].view.pods.push(view);
                self.nodes[node].identities.push(identity);
            }
            None => self.pending.push(identity),
        }
    }

    pub fn pool(&self, name: &str) -> Option<PoolIndex> {
        self.pools.iter().position(|pool| pool.name == name).map(PoolIndex)
    }

    /// Labels of a node of a type, as the provider and Karpenter write them.
    pub fn labels_of(&self, view: &NodeView) -> Labels {
        let mut all = Labels::new();
        if let Some(id) = view.instance_type {
            let instance_type = self.catalogue.get(id);
            for (key, values) in instance_type.labels.iter() {
                all.insert(key.clone(), values[0].clone());
            }
            all.insert(labels::INSTANCE_TYPE.to_owned(), instance_type.name.clone());
        }
        if let Some(zone) = view.zone {
            all.insert(labels::ZONE.to_owned(), self.catalogue.zone(zone).to_owned());
        }
        if let Some(capacity_type) = view.capacity_type {
            all.insert(labels::CAPACITY_TYPE.to_owned(), capacity_type.as_str().to_owned());
        }
        if let Some(pool) = view.pool {
            all.insert(labels::NODE_POOL.to_owned(), self.pools[pool.0].name.clone());
        }
        all.insert(labels::HOSTNAME.to_owned(), view.name.clone());
        all
    }

    pub fn observed(&self) -> Observed<'_> {
        let pools = self.pools.iter().enumerate().map(|(i, pool)| PoolView {
            name: pool.name.clone(),
            policy: pool.spec.disruption.consolidation_policy,
            consolidate_after: pool.spec.disruption.consolidate_after.0,
            budgets: pool.spec.disruption.effective_budgets().iter().map(BudgetRule::read).collect(),
            replicas: pool.spec.replicas,
            expire_after: pool.spec.template.spec.expire_after.0,
            tracked_cost: self.tracked_costs.get(&i).copied(),
        });
        Observed {
            catalogue: &self.catalogue,
            pools: pools.collect(),
            nodes: self.nodes.iter().map(|node| node.view.clone()).collect(),
            rules: self.rules,
        }
    }

    fn requests(&self, identity: &PodIdentity) -> Resources {
        self.shapes[identity.shape].1.requests()
    }

    pub fn base(&self) -> Base<'_> {
        let nodes = self.nodes.iter().map(|node| {
            let bound = node.view.pods.iter().zip(&node.identities);
            let held: Resources = bound
                .filter(|(pod, _)| pod.phase != forescale::karpenter::disruption::model::Phase::Terminal)
                .map(|(_, identity)| self.requests(identity))
                .sum();
            ExistingNode {
                name: &node.view.name,
                hostname: &node.view.name,
                labels: &node.labels,
                taints: Vec::new(),
                target: true,
                initialized: node.view.initialized,
                has_node: node.view.registered,
                under_consolidate_after: false,
                available: node.allocatable - held,
                daemon_requests: Resources::ZERO,
                capacity: node.allocatable,
                host_ports: Vec::new(),
                free_volumes: None,
            }
        });
        let pools = self.pools.iter().filter(|pool| pool.spec.replicas.is_none());
        let pending = self.pending.iter().map(|identity| {
            let PodIdentity { shape, created, uid } = *identity;
            scheduling::Pod { shape, created, uid, gated: false }
        });
        Base {
            input: Input {
                catalogues: vec![Arc::clone(&self.catalogue)],
                pools: pools
                    .clone()
                    .map(|pool| scheduling::Pool { name: &pool.name, spec: &pool.spec, catalogue: Some(0) })
                    .collect(),
                nodes: nodes.collect(),
                daemon_sets: Vec::new(),
                shapes: self
                    .shapes
                    .iter()
                    .map(|(labels, spec)| Shape { labels, spec, volumes: 0, volume_topology: Vec::new() })
                    .collect(),
                pods: pending.collect(),
                bound: Vec::new(),
                options: scheduling::Options {
                    min_values: self.min_values,
                    reserved_strict: false,
                    ..scheduling::Options::default()
                },
            },
            pods: self.nodes.iter().map(|node| node.identities.clone()).collect(),
            pools: pools.map(|pool| self.pool(&pool.name).expect("a known pool")).collect(),
        }
    }

    pub fn find_type(&self, name: &str) -> TypeId {
        self.catalogue.find(name).unwrap_or_else(|| panic!("no instance type {name}"))
    }

    pub fn find_zone(&self, name: &str) -> ZoneId {
        self.catalogue.find_zone(name).unwrap_or_else(|| panic!("no zone {name}"))
    }
}

/// A pass of the methods from `first` on over what is observed, in a world without static pools.
pub fn run_pass(
    memory: &mut Memory,
    observed: &Observed<'_>,
    simulator: &mut SolverSimulator<'_, '_>,
    first: Option<Method>,
    at: Instant,
) -> Outcome {
    pass::run(&Candidates::of(observed, at.now), memory, observed, simulator, first, at, &pass::no_static_pools)
}
