//! Laws of the cluster's state. The checker walks all of it and names every violation; docs/invariants.md lists the laws.

use std::collections::BTreeMap;

use super::ids::{DeploymentId, JobId, NodeClaimId, NodeId, PodId};
use super::pod::{Owner, Phase};
use super::state::Cluster;
use crate::engine::law::{Law, Violations, laws};
use crate::time::Time;
use crate::units::{Resource, Resources};

laws! {
    P1 "pods without a node are listed";
    P2 "a node lists its pods once";
    P3 "a ready pod runs";
    P4 "a pod's steps are in order";
    N1 "existing nodes are listed";
    N2 "a node lists only its pods";
    N3 "requests of a node are those of its pods";
    N4 "no node is overfull";
    O1 "an owner lists its pods";
    C1 "existing NodeClaims are listed";
    C2 "a NodeClaim's steps are in order";
    C3 "no Node outlives its registered NodeClaim";
    I1 "an instance's steps are in order";
    I2 "an instance always has a price";
}

/// All violations at `now`.
pub fn check(cluster: &Cluster, now: Time, found: &mut Violations) {
    check_pods(cluster, now, found);
    check_nodes(cluster, found);
    check_owners(cluster, found);
    check_claims(cluster, now, found);
    check_instances(cluster, now, found);
}

fn check_pods(cluster: &Cluster, now: Time, found: &mut Violations) {
    for (index, pod) in cluster.pods.iter().enumerate() {
        let id = PodId(index as u32);
        let waits = cluster.unbound.contains(&id);
        found.must(P1, waits == (pod.exists() && pod.node.is_none()), || {
            format!("pod {index} is {}listed as waiting for a node", if waits { "" } else { "not " })
        });
        if let Some(node) = pod.node.filter(|node| pod.exists() && cluster.nodes[node.index()].exists()) {
            let listed = cluster.nodes[node.index()].pods.iter().filter(|other| **other == id).count();
            found.must(P2, listed == 1, || format!("pod {index} is listed {listed} times on its node"));
        }
        found.must(P3, !pod.ready || (pod.exists() && pod.phase == Phase::Running), || {
            format!("pod {index} is ready in phase {:?}, exists: {}", pod.phase, pod.exists())
        });
        let path = &pod.path;
        let start = [Some(pod.created), path.bound, path.image_pulled, path.started, path.ready];
        check_order(P4, "pod", index, &start, now, found);
        check_order(P4, "pod", index, &[Some(pod.created), path.deleting, path.gone], now, found);
        check_order(P4, "pod", index, &[path.bound, path.finished, path.gone], now, found);
    }
}

fn check_order(law: Law, what: &str, index: usize, path: &[Option<Time>], now: Time, found: &mut Violations) {
    let mut last = Time::ZERO;
    for instant in path.iter().flatten() {
        found.must(law, last <= *instant && *instant <= now, || {
            format!("{what} {index} took a step at {instant} after one at {last}, now {now}")
        });
        last = *instant;
    }
}

fn check_nodes(cluster: &Cluster, found: &mut Violations) {
    for (index, node) in cluster.nodes.iter().enumerate() {
        let id = NodeId(index as u32);
        found.must(N1, node.exists() == cluster.live_nodes.contains(&id), || {
            format!("node {} exists: {}, listed otherwise", node.name, node.exists())
        });
        let mut sum = Resources::ZERO;
        for pod in &node.pods {
            let record = &cluster.pods[pod.index()];
            found.must(N2, record.node == Some(id) && record.exists(), || {
                format!("node {} lists pod {} which is not on it", node.name, pod.0)
            });
            if !record.terminal() {
                sum += cluster.shapes[record.shape.index()].requests;
            }
        }
        found.must(N3, sum == node.requested, || {
            format!("node {} counts {:?}, its pods request {sum:?}", node.name, node.requested)
        });
        for resource in [Resource::Cpu, Resource::Memory, Resource::Pods] {
            let (used, has) = (sum.get(resource), node.allocatable.get(resource));
            found.must(N4, !node.exists() || used <= has, || {
                format!("node {} is overfull: {used} of {has} {}", node.name, resource.name())
            });
        }
    }
}

fn check_owners(cluster: &Cluster, found: &mut Violations) {
    let mut existing: BTreeMap<Owner, usize> = BTreeMap::new();
    for pod in cluster.pods.iter().filter(|pod| pod.exists()) {
        *existing.entry(pod.owner).or_default() += 1;
    }
    let mut owner = |owner: Owner, name: &str, pods: &[PodId]| {
        let existing = existing.get(&owner).copied().unwrap_or(0);
        let owned = pods.iter().filter(|pod| cluster.pods[pod.index()].owner == owner).count();
        found.must(O1, existing == pods.len() && owned == existing, || {
            format!("{name} lists {} pods, {owned} of them its own; {existing} exist", pods.len())
        });
    };
    for (index, deployment) in cluster.deployments.iter().enumerate() {
        owner(Owner::Deployment(DeploymentId(index as u32)), &deployment.name, &deployment.pods);
    }
    for (index, job) in cluster.jobs.iter().enumerate() {
        owner(Owner::Job(JobId(index as u32)), &job.name, &job.pods);
    }
}

fn check_claims(cluster: &Cluster, now: Time, found: &mut Violations) {
    for (index, claim) in cluster.nodeclaims.iter().enumerate() {
        found.must(C1, claim.exists() == cluster.live_nodeclaims.contains(&NodeClaimId(index as u32)), || {
            format!("NodeClaim {} exists: {}, listed otherwise", claim.name, claim.exists())
        });
        let path = [Some(claim.created), claim.launched, claim.registered, claim.initialized, claim.gone];
        check_order(C2, "NodeClaim", index, &path, now, found);
        check_order(C2, "NodeClaim", index, &[Some(claim.created), claim.deleting, claim.gone], now, found);
        let node_left = claim.node.is_some_and(|node| cluster.nodes[node.index()].exists());
        // A Node that joined too late to be registered is left to the cloud's node controller.
        found.must(C3, claim.exists() || !node_left || claim.registered.is_none(), || {
            format!("NodeClaim {} is gone, its Node is not", claim.name)
        });
    }
}

fn check_instances(cluster: &Cluster, now: Time, found: &mut Violations) {
    for (index, instance) in cluster.instances.iter().enumerate() {
        let path = [Some(instance.launched), instance.running, instance.shutting_down, instance.terminated];
        check_order(I1, "instance", index, &path, now, found);
        let prices = &instance.prices;
        let from_launch = prices.first().is_some_and(|(from, _)| *from <= instance.launched);
        found.must(I2, from_launch && prices.is_sorted_by_key(|(from, _)| *from), || {
            format!("instance {index} has no price for some of its time: {prices:?}")
        });
    }
}
