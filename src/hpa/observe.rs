//! What a pass reads from the cluster: counts, pods, samples of CPU.

use super::metrics::{Metric, Reading, Target};
use super::metrics_server::MetricsServer;
use super::pod_metrics::{ContainerRequest, InitContainer, PodMetrics, PodPhase, PodView, calculate_requests};
use super::reconcile::Selector;
use super::replica_calculator::Counts;
use crate::api::pod::{Container, PodSpec};
use crate::cluster::pod::{Phase, Pod};
use crate::cluster::{DeploymentId, ExternalMetrics, HpaId, PodId, World};
use crate::units::{Resource, Resources};

/// Counts of a target; the numbers of pods only where a metric needs them.
#[must_use]
pub fn counts(world: &World<'_>, target: DeploymentId, metrics: &[Metric]) -> Counts {
    let deployment = &world.cluster.deployments[target.index()];
    let signed = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let mut counts = Counts {
        spec: signed(deployment.replicas),
        status: signed(deployment.status_replicas),
        pods: i32::try_from(deployment.pods.len()).unwrap_or(i32::MAX),
        ready: 0,
    };
    let by_ready = |metric: &Metric| {
        matches!(
            metric,
            Metric::External { target: Target::Value(_), .. } | Metric::Object { target: Target::Value(_), .. }
        )
    };
    if metrics.iter().any(by_ready) {
        let pods = deployment.pods.iter().map(|pod| &world.cluster.pods[pod.index()]);
        counts.ready = pods.filter(|pod| pod.phase == Phase::Running && pod.ready).count() as i32;
    }
    counts
}

/// Whether the target's pods are selected by it alone, among the targets of all HPAs (`horizontal.go: validateAndParseSelector`).
#[must_use]
pub fn selector(world: &World<'_>, hpa: HpaId, target: DeploymentId) -> Selector {
    let deployment = &world.cluster.deployments[target.index()];
    if deployment.selector.match_labels.is_empty() && deployment.selector.match_expressions.is_empty() {
        return Selector::Invalid;
    }
    let labels = &world.cluster.shapes[deployment.shape.index()].labels;
    let shared = world.cluster.hpas.iter().enumerate().any(|(index, other)| {
        index != hpa.index()
            && other.exists
            && other.target.is_some_and(|target| world.cluster.deployments[target.index()].selector.matches(labels))
    });
    if shared { Selector::Ambiguous } else { Selector::Valid }
}

/// Reads one metric. The second value tells whether it came from a cache.
pub fn read(
    world: &mut World<'_>,
    hpa: HpaId,
    target: DeploymentId,
    metric: &Metric,
    external: &mut ExternalMetrics<'_>,
    server: &MetricsServer,
) -> (Reading, bool) {
    match metric {
        Metric::External { name, .. } => {
            let Some(owner) = world.cluster.hpas[hpa.index()].owner else {
                return (Reading::Failed(format!("no adapter serves the external metric {name}")), false);
            };
            let answer = external(owner, name, world);
            (answer.values.map_or_else(Reading::Failed, Reading::Series), answer.cached)
        }
        Metric::Resource { name, container, .. } if name == "cpu" => {
            (cpu(world, target, container.as_deref(), server), false)
        }
        Metric::Resource { name, .. } => {
            (Reading::Failed(format!("no samples of {name}: the usage of pods is known for cpu only")), false)
        }
        Metric::Object { name, .. } | Metric::Pods { name, .. } => {
            (Reading::Failed(format!("no adapter serves the custom metric {name}")), false)
        }
        Metric::Invalid { reason } => (Reading::Failed(reason.as_str().to_owned()), false),
    }
}

/// CPU of the target's pods as metrics-server has it.
fn cpu(world: &World<'_>, target: DeploymentId, container: Option<&str>, server: &MetricsServer) -> Reading {
    let deployment = &world.cluster.deployments[target.index()];
    let spec = &world.cluster.shapes[deployment.shape.index()].spec;
    let request = request_of(spec, container);
    let (mut views, mut samples) = (Vec::with_capacity(deployment.pods.len()), PodMetrics::new());
    for id in &deployment.pods {
        views.push(view(*id, &world.cluster.pods[id.index()], request.clone()));
        samples.extend(server.sample(*id).map(|metric| (id.0, metric)));
    }
    if samples.is_empty() {
        return Reading::Failed("no metrics returned from resource metrics API".to_owned());
    }
    Reading::Pods { pods: views, samples }
}

fn view(id: PodId, pod: &Pod, request_milli: Result<i64, String>) -> PodView {
    PodView {
        id: id.0,
        phase: match pod.phase {
            Phase::Pending => PodPhase::Pending,
            Phase::Running => PodPhase::Running,
            Phase::Succeeded => PodPhase::Succeeded,
            Phase::Failed => PodPhase::Failed,
        },
        deleting: pod.terminating(),
        ready: pod.node.is_some().then_some(pod.ready),
        ready_transition: pod.ready_changed.or(pod.path.bound),
        start: pod.path.bound,
        request_milli,
    }
}

fn request_of(spec: &PodSpec, container: Option<&str>) -> Result<i64, String> {
    let cpu = |resources: Resources| Some(resources.get(Resource::Cpu)).filter(|milli| *milli > 0);
    let pod_level = spec.resources.as_ref().and_then(|resources| cpu(resources.effective_requests()));
    let entry = |container: &Container, init: Option<InitContainer>| ContainerRequest {
        name: container.name.clone().unwrap_or_default(),
        request_milli: cpu(container.requests()),
        init,
    };
    let mut containers: Vec<ContainerRequest> = spec.containers.iter().map(|c| entry(c, None)).collect();
    containers.extend(spec.init_containers.iter().map(|c| {
        let sidecar = c.restart_policy.as_deref() == Some("Always");
        entry(c, Some(if sidecar { InitContainer::Sidecar } else { InitContainer::Plain }))
    }));
    calculate_requests("cpu", "template", container, pod_level, &containers)
}
