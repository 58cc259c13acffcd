//! What a pass reads: counts, pods, samples of CPU and memory, and metrics from `[[series]]`.

use super::metrics::{Metric, Reading, Target};
use super::metrics_server::MetricsServer;
use super::pod_metrics::{
    ContainerRequest, InitContainer, PodMetric, PodMetrics, PodPhase, PodView, calculate_requests,
};
use super::reconcile::Selector;
use super::replica_calculator::Counts;
use crate::api::pod::{Container, PodSpec};
use crate::cluster::pod::{Phase, Pod};
use crate::cluster::{DeploymentId, ExternalMetrics, HpaId, PodId, World};
use crate::scenario::faults::FaultKind;
use crate::time::Duration;
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
    let reading = match metric {
        Metric::External { name, .. } => match world.cluster.hpas[hpa.index()].owner {
            Some(owner) => {
                let answer = external(owner, name, world);
                return (answer.values.map_or_else(Reading::Failed, Reading::Series), answer.cached);
            }
            None => series(world, hpa, "external", name),
        },
        Metric::Object { name, .. } => series(world, hpa, "custom", name),
        Metric::Pods { name, .. } => pods(world, hpa, target, name),
        Metric::Resource { name, container, .. } => match resource_named(name) {
            Some(resource) => resource_of_pods(world, target, resource, container.as_deref(), server),
            None => {
                Reading::Failed(format!("no samples of {name}: the usage of pods is known for cpu and memory only"))
            }
        },
        Metric::Invalid { reason } => Reading::Failed(reason.as_str().to_owned()),
    };
    (reading, false)
}

fn resource_named(name: &str) -> Option<Resource> {
    match name {
        "cpu" => Some(Resource::Cpu),
        "memory" => Some(Resource::Memory),
        _ => None,
    }
}

/// The value of a metric that `[[series]]` gives, in thousandths.
fn value_milli(world: &World<'_>, hpa: HpaId, metric: &str) -> Option<i64> {
    let hpa = &world.cluster.hpas[hpa.index()].name;
    let own = world
        .scenario
        .series
        .iter()
        .find(|series| series.hpa.as_ref() == Some(hpa) && series.metric.as_deref() == Some(metric))?;
    own.known_at(world.now).map(|value| (value * 1000.0).round() as i64)
}

fn series(world: &World<'_>, hpa: HpaId, api: &str, metric: &str) -> Reading {
    match value_milli(world, hpa, metric) {
        Some(value) => Reading::Series(vec![value]),
        None => Reading::Failed(format!("unable to get {api} metric {metric}: no value is known")),
    }
}

/// A metric of pods: the series is their total, of which each ready pod has an equal part. Other running pods report 0, those that do
/// not run report nothing.
fn pods(world: &World<'_>, hpa: HpaId, target: DeploymentId, metric: &str) -> Reading {
    let Some(total) = value_milli(world, hpa, metric) else {
        return Reading::Failed(format!("unable to get metric {metric}: no value is known"));
    };
    let (mut views, mut samples) = (Vec::new(), PodMetrics::new());
    let ready = |pod: &Pod| pod.phase == Phase::Running && pod.ready;
    let pods = &world.cluster.deployments[target.index()].pods;
    let share = total / (pods.iter().filter(|pod| ready(&world.cluster.pods[pod.index()])).count().max(1) as i64);
    for id in pods {
        let pod = &world.cluster.pods[id.index()];
        views.push(view(*id, pod, Ok(0)));
        if pod.phase == Phase::Running {
            let value_milli = if ready(pod) { share } else { 0 };
            samples.insert(id.0, PodMetric { value_milli, timestamp: world.now, window: Duration::ZERO });
        }
    }
    if samples.is_empty() {
        return Reading::Failed("no metrics returned from custom metrics API".to_owned());
    }
    Reading::Pods { pods: views, samples }
}

/// CPU or memory of the target's pods as metrics-server has it. What is known of a pod is what its first container, the consumer,
/// uses.
fn resource_of_pods(
    world: &World<'_>,
    target: DeploymentId,
    resource: Resource,
    container: Option<&str>,
    server: &MetricsServer,
) -> Reading {
    if world.scenario.outage_end(FaultKind::MetricsServerDown, world.now).is_some() {
        return Reading::Failed("the resource metrics API does not answer".to_owned());
    }
    let deployment = &world.cluster.deployments[target.index()];
    let spec = &world.cluster.shapes[deployment.shape.index()].spec;
    let consumer = spec.containers.first().and_then(|first| first.name.as_deref());
    if let Some(name) = container.filter(|name| Some(*name) != consumer) {
        return Reading::Failed(format!(
            "container {name} not present in metrics: only the first container's use is known"
        ));
    }
    let request = request_of(spec, resource, container);
    let (mut views, mut samples) = (Vec::with_capacity(deployment.pods.len()), PodMetrics::new());
    for id in &deployment.pods {
        views.push(view(*id, &world.cluster.pods[id.index()], request.clone()));
        samples.extend(server.sample(*id, resource).map(|metric| (id.0, metric)));
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

/// What a pod requests of a resource, in thousandths of a core or of a byte.
fn request_of(spec: &PodSpec, resource: Resource, container: Option<&str>) -> Result<i64, String> {
    let unit = if resource == Resource::Memory { 1000 } else { 1 };
    let amount = |resources: Resources| Some(resources.get(resource) * unit).filter(|milli| *milli > 0);
    let pod_level = spec.resources.as_ref().and_then(|resources| amount(resources.effective_requests()));
    let entry = |container: &Container, init: Option<InitContainer>| ContainerRequest {
        name: container.name.clone().unwrap_or_default(),
        request_milli: amount(container.requests()),
        init,
    };
    let mut containers: Vec<ContainerRequest> = spec.containers.iter().map(|c| entry(c, None)).collect();
    containers.extend(spec.init_containers.iter().map(|c| {
        let sidecar = c.restart_policy.as_deref() == Some("Always");
        entry(c, Some(if sidecar { InitContainer::Sidecar } else { InitContainer::Plain }))
    }));
    let name = if resource == Resource::Memory { "memory" } else { "cpu" };
    calculate_requests(name, "template", container, pod_level, &containers)
}
