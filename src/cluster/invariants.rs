//! Laws that hold between any two events. The checker walks the whole state and names every violation; docs/invariants.md
//! lists the laws.

use std::collections::BTreeMap;
use std::fmt;

use super::ids::{NodeId, PodId};
use super::pod::{Owner, Phase};
use super::state::Cluster;
use crate::time::Time;
use crate::units::{Resource, Resources};

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number of the law.
    pub law: &'static str,
    /// What is wrong.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.detail)
    }
}

/// All violations at `now`.
#[must_use]
pub fn check(cluster: &Cluster, now: Time) -> Vec<Violation> {
    let mut found = Vec::new();
    check_pods(cluster, now, &mut found);
    check_nodes(cluster, &mut found);
    check_owners(cluster, &mut found);
    check_claims(cluster, now, &mut found);
    check_instances(cluster, now, &mut found);
    found
}

fn report(found: &mut Vec<Violation>, law: &'static str, detail: String) {
    found.push(Violation { law, detail });
}

fn check_pods(cluster: &Cluster, now: Time, found: &mut Vec<Violation>) {
    for (index, pod) in cluster.pods.iter().enumerate() {
        let id = PodId(index as u32);
        let waits = cluster.unbound.contains(&id);
        if waits != (pod.exists() && pod.node.is_none()) {
            report(
                found,
                "P1",
                format!("pod {index} is {}listed as waiting for a node", if waits { "" } else { "not " }),
            );
        }
        if pod.exists() {
            let listed = pod.node.map_or(0, |node| count(&cluster.nodes[node.index()].pods, id));
            if pod.node.is_some_and(|node| cluster.nodes[node.index()].exists()) && listed != 1 {
                report(found, "P2", format!("pod {index} is listed {listed} times on its node"));
            }
        }
        if pod.ready && (!pod.exists() || pod.phase != Phase::Running) {
            report(found, "P3", format!("pod {index} is ready in phase {:?}, exists: {}", pod.phase, pod.exists()));
        }
        let path = [
            Some(pod.created),
            pod.path.bound,
            pod.path.sandbox,
            pod.path.image_pulled,
            pod.path.started,
            pod.path.ready,
            pod.path.gone,
        ];
        check_order("P4", "pod", index, &path, now, found);
    }
}

fn count(list: &[PodId], id: PodId) -> usize {
    list.iter().filter(|other| **other == id).count()
}

fn check_order(
    law: &'static str,
    what: &str,
    index: usize,
    path: &[Option<Time>],
    now: Time,
    found: &mut Vec<Violation>,
) {
    let mut last = Time::ZERO;
    for instant in path.iter().flatten() {
        if *instant < last || *instant > now {
            report(found, law, format!("{what} {index} took a step at {instant} after one at {last}, now {now}"));
            return;
        }
        last = *instant;
    }
}

fn check_nodes(cluster: &Cluster, found: &mut Vec<Violation>) {
    for (index, node) in cluster.nodes.iter().enumerate() {
        let id = NodeId(index as u32);
        if node.exists() != cluster.live_nodes.contains(&id) {
            report(found, "N1", format!("node {} exists: {}, listed otherwise", node.name, node.exists()));
        }
        let mut sum = Resources::ZERO;
        for pod in &node.pods {
            let record = &cluster.pods[pod.index()];
            if record.node != Some(id) || !record.exists() {
                report(found, "N2", format!("node {} lists pod {} which is not on it", node.name, pod.0));
            }
            if !record.terminal() {
                sum += cluster.shapes[record.shape.index()].requests;
            }
        }
        if sum != node.requested {
            report(found, "N3", format!("node {} counts {:?}, its pods request {sum:?}", node.name, node.requested));
        }
        for resource in [Resource::Cpu, Resource::Memory, Resource::Pods] {
            if node.exists() && sum.get(resource) > node.allocatable.get(resource) {
                let (used, has) = (sum.get(resource), node.allocatable.get(resource));
                report(found, "N4", format!("node {} is overfull: {used} of {has} {}", node.name, resource.name()));
            }
        }
    }
}

fn check_owners(cluster: &Cluster, found: &mut Vec<Violation>) {
    let mut counts: BTreeMap<Owner, usize> = BTreeMap::new();
    for pod in cluster.pods.iter().filter(|pod| pod.exists()) {
        *counts.entry(pod.owner).or_default() += 1;
    }
    for (index, deployment) in cluster.deployments.iter().enumerate() {
        let owner = Owner::Deployment(super::ids::DeploymentId(index as u32));
        let existing = counts.get(&owner).copied().unwrap_or(0);
        if existing != deployment.pods.len() {
            let listed = deployment.pods.len();
            report(found, "O1", format!("Deployment {} lists {listed} pods, {existing} exist", deployment.name));
        }
    }
    for (index, job) in cluster.jobs.iter().enumerate() {
        let existing = counts.get(&Owner::Job(super::ids::JobId(index as u32))).copied().unwrap_or(0);
        if existing != job.pods.len() {
            report(found, "O1", format!("Job {} lists {} pods, {existing} exist", job.name, job.pods.len()));
        }
    }
}

fn check_claims(cluster: &Cluster, now: Time, found: &mut Vec<Violation>) {
    for (index, claim) in cluster.nodeclaims.iter().enumerate() {
        if claim.exists() != cluster.live_nodeclaims.contains(&super::ids::NodeClaimId(index as u32)) {
            report(found, "C1", format!("NodeClaim {} exists: {}, listed otherwise", claim.name, claim.exists()));
        }
        let path = [Some(claim.created), claim.launched, claim.registered, claim.initialized, claim.gone];
        check_order("C2", "NodeClaim", index, &path, now, found);
        let node_left = claim.node.is_some_and(|node| cluster.nodes[node.index()].exists());
        if !claim.exists() && node_left {
            report(found, "C3", format!("NodeClaim {} is gone, its Node is not", claim.name));
        }
    }
}

fn check_instances(cluster: &Cluster, now: Time, found: &mut Vec<Violation>) {
    for (index, instance) in cluster.instances.iter().enumerate() {
        let path = [Some(instance.launched), instance.running, instance.shutting_down, instance.terminated];
        check_order("I1", "instance", index, &path, now, found);
        if instance.prices.is_empty() || instance.prices.windows(2).any(|pair| pair[0].0 > pair[1].0) {
            report(found, "I2", format!("instance {index} has no price for some of its time"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::cluster::pod::{EndReason, PodShape};
    use crate::engine::Streams;
    use crate::time::Duration;

    fn cluster_with_a_pod() -> (Cluster, PodId) {
        let mut cluster = Cluster::new(Streams::new(1, 0).open("uid", 0));
        let spec: crate::api::pod::PodSpec = crate::api::pod::PodSpec { containers: Vec::new(), ..spec() };
        let shape = cluster.add_shape(PodShape {
            requests: spec.requests(),
            spec: spec.into(),
            labels: Default::default(),
            annotations: Default::default(),
            priority: 0,
            may_preempt: true,
            grace: Duration::from_secs(30),
        });
        let pod = cluster.create_pod(Time::ZERO, shape, Owner::None);
        (cluster, pod)
    }

    fn spec() -> crate::api::pod::PodSpec {
        defaults()
    }

    #[test]
    fn a_sound_state_has_no_violations() {
        let (mut cluster, pod) = cluster_with_a_pod();
        assert_eq!(check(&cluster, Time::ZERO), []);
        cluster.delete_pod(Time::ZERO, pod, Duration::ZERO, EndReason::ScaledDown);
        assert_eq!(check(&cluster, Time::ZERO), []);
    }

    #[test]
    fn each_tampering_is_named() {
        let (mut cluster, pod) = cluster_with_a_pod();
        cluster.unbound.remove(&pod);
        cluster.pods[pod.index()].ready = true;
        cluster.pods[pod.index()].path.gone = Some(Time::MAX);
        let laws: Vec<&str> = check(&cluster, Time::ZERO).iter().map(|violation| violation.law).collect();
        assert_eq!(laws, ["P3", "P4"]);
    }
}
