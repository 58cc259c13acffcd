//! A cluster of two instance types and one pool, for the tests of controllers driven by hand.

use std::sync::Arc;

use crate::api::decode::{Decode, Problems};
use crate::api::karpenter::NodePool as NodePoolObject;
use crate::api::pod::PodSpec;
use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, ZoneId};
use crate::cluster::nodeclaim::NodePool;
use crate::cluster::pod::PodShape;
use crate::cluster::state::Applied;
use crate::cluster::{Cluster, NodeClassId, NodePoolId};
use crate::engine::Streams;
use crate::time::{Duration, Time};
use crate::units::{Cpu, Memory, Resource, Resources};

/// Reads an object from TOML.
pub fn parse<T: Decode>(toml: &str) -> T {
    let mut problems = Problems::default();
    let tree = crate::scenario::toml::parse(toml, 0, &mut problems);
    T::decode(&tree, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list))
}

/// Types `large` (4 CPU) and `small` (2 CPU), priced by their CPU.
pub fn catalogue() -> Catalogue {
    let instance_type = |name: &str, cpu: i64| InstanceType {
        name: name.to_owned(),
        labels: Arc::new(vec![("node.kubernetes.io/instance-type".to_owned(), vec![name.to_owned()])]),
        capacity: Resources::new(Cpu::from_milli(cpu), Memory::from_mib(8192)).with(Resource::Pods, 10),
        allocatable: Resources::new(Cpu::from_milli(cpu - 100), Memory::from_mib(8000)).with(Resource::Pods, 10),
        offerings: vec![Offering {
            zone: ZoneId(0),
            capacity_type: CapacityType::OnDemand,
            price: cpu as f64,
            available: true,
            reservation: None,
        }],
    };
    Catalogue {
        zones: vec!["z1".to_owned()],
        types: vec![instance_type("large", 4000), instance_type("small", 2000)],
        ..Catalogue::default()
    }
}

/// A cluster with the pool `workers`, of whose spec `spec` is written beside its template, and a shape of pods for each request of CPU.
pub fn cluster(streams: Streams, spec: &str, requests: &[&str]) -> Cluster {
    let mut cluster = Cluster::new(streams.open("uid", 0));
    cluster.catalogues.push(Arc::new(catalogue()));
    let pool = format!(
        "metadata = {{ name = \"workers\" }}\nspec = {{ {spec} template = {{ spec = {{ requirements = [] }} }} }}"
    );
    cluster.nodepools.push(NodePool {
        name: "workers".to_owned(),
        object: Arc::new(parse::<NodePoolObject>(&pool)),
        node_class: NodeClassId(0),
        generation: 1,
        applied: None,
        deleted: false,
    });
    cluster.apply(Time::ZERO, Applied::NodePool(NodePoolId(0)));
    for cpu in requests {
        let spec: PodSpec = parse(&format!("containers = [{{ resources = {{ requests = {{ cpu = \"{cpu}\" }} }} }}]"));
        cluster.add_shape(PodShape {
            requests: spec.requests(),
            spec: Arc::new(spec),
            labels: Arc::default(),
            annotations: Arc::default(),
            priority: 0,
            may_preempt: true,
            grace: Duration::from_secs(30),
            fargate: false,
        });
    }
    cluster
}
