//! Names of the objects of a run. A run refers to them by number, and a name is put together only where it is written.

use std::borrow::Cow;

use super::outcome::{Outcome, PodRecord};
use crate::cluster::pod::Owner;
use crate::cluster::{Cluster, Decision, Detail, InstanceId, Subject};

/// The names of objects, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Deployments.
    pub deployments: Vec<String>,
    /// Jobs.
    pub jobs: Vec<String>,
    /// DaemonSets.
    pub daemonsets: Vec<String>,
    /// ScaledObjects.
    pub scaled_objects: Vec<String>,
    /// ScaledJobs.
    pub scaled_jobs: Vec<String>,
    /// HPAs.
    pub hpas: Vec<String>,
    /// Nodes.
    pub nodes: Vec<String>,
    /// NodeClaims.
    pub nodeclaims: Vec<String>,
    /// NodePools.
    pub nodepools: Vec<String>,
}

impl Names {
    /// Takes the names of all objects out of a cluster that is needed no more.
    pub(super) fn take(cluster: &mut Cluster) -> Names {
        use std::mem::take;
        Names {
            deployments: cluster.deployments.iter_mut().map(|object| take(&mut object.name)).collect(),
            jobs: cluster.jobs.iter_mut().map(|object| take(&mut object.name)).collect(),
            daemonsets: cluster.daemonsets.iter_mut().map(|object| take(&mut object.name)).collect(),
            scaled_objects: cluster.scaled_objects.iter_mut().map(|object| take(&mut object.name)).collect(),
            scaled_jobs: cluster.scaled_jobs.iter_mut().map(|object| take(&mut object.name)).collect(),
            hpas: cluster.hpas.iter_mut().map(|object| take(&mut object.name)).collect(),
            nodes: cluster.nodes.iter_mut().map(|object| take(&mut object.name)).collect(),
            nodeclaims: cluster.nodeclaims.iter_mut().map(|object| take(&mut object.name)).collect(),
            nodepools: cluster.nodepools.iter_mut().map(|object| take(&mut object.name)).collect(),
        }
    }
}

impl Outcome {
    /// The name of a pod: its owner's and its number.
    #[must_use]
    pub fn pod_name(&self, pod: &PodRecord) -> String {
        let id = pod.id.0;
        match pod.owner {
            Owner::Deployment(deployment) => format!("{}-{id}", self.names.deployments[deployment.index()]),
            Owner::Job(job) => format!("{}-{id}", self.names.jobs[job.index()]),
            Owner::DaemonSet(daemon_set) => format!("{}-{id}", self.names.daemonsets[daemon_set.index()]),
            Owner::None => format!("pod-{id}"),
        }
    }

    /// About which object a decision is: `Deployment/orders`.
    #[must_use]
    pub fn subject(&self, decision: &Decision) -> String {
        let names = &self.names;
        match decision.subject {
            Subject::Cluster => "Cluster".to_owned(),
            Subject::ScaledObject(id) => format!("ScaledObject/{}", names.scaled_objects[id.index()]),
            Subject::ScaledJob(id) => format!("ScaledJob/{}", names.scaled_jobs[id.index()]),
            Subject::Hpa(id) => format!("HorizontalPodAutoscaler/{}", names.hpas[id.index()]),
            Subject::Deployment(id) => format!("Deployment/{}", names.deployments[id.index()]),
            Subject::Job(id) => format!("Job/{}", names.jobs[id.index()]),
            Subject::Pod(id) => format!("Pod/{}", self.pod_name(&self.pods[id.index()])),
            Subject::Node(id) => format!("Node/{}", names.nodes[id.index()]),
            Subject::NodeClaim(id) => format!("NodeClaim/{}", names.nodeclaims[id.index()]),
            Subject::NodePool(id) => format!("NodePool/{}", names.nodepools[id.index()]),
            Subject::Instance(id) => format!("Instance/{}", instance_name(id)),
        }
    }

    /// What the controller saw that decided so, in one sentence.
    #[must_use]
    pub fn detail<'a>(&self, decision: &'a Decision) -> Cow<'a, str> {
        match &decision.detail {
            Detail::Text(text) => Cow::Borrowed(text),
            Detail::Count(about) => Cow::Borrowed(&about.1),
            Detail::To(node) => Cow::Owned(format!("to {}", self.names.nodes[node.index()])),
        }
    }
}

/// Instances have no other name.
pub(super) fn instance_name(id: InstanceId) -> String {
    format!("i-{:08x}", id.0)
}
