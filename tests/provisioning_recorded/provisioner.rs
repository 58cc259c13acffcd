//! A pass of the scheduler over the pending pods of a case, and the nodes that the KWOK provider makes of its claims.

use std::collections::BTreeMap;
use std::sync::Arc;

use forescale::api::meta::Labels;
use forescale::cluster::catalogue::{CapacityType, ZoneId};
use forescale::ec2::kwok;
use forescale::engine::Stream;
use forescale::karpenter::scheduling::{
    BoundPods, ExistingNode, Input, NewClaim, Options, Pod, Pool, Results, Shape, labels, solve,
};
use forescale::time::Time;
use forescale::units::Resources;

use super::case::{Case, NodeRecord, State, node_labels};

pub fn pass(case: &Case<'_>, state: &State, pending: &[usize], stream: &mut Stream) -> Results {
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
        shapes: case
            .shapes
            .iter()
            .map(|(labels, spec)| Shape { labels, spec, volumes: 0, volume_topology: Vec::new() })
            .collect(),
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
pub fn launch(case: &Case<'_>, claim: &NewClaim, index: usize, stream: &mut Stream) -> NodeRecord {
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

/// NodeClaims get random names; their Nodes are ordered by them within a pool.
pub fn node_name(pool: &str, stream: &mut Stream) -> String {
    format!("kwok-{pool}-{:016x}", stream.bits())
}
