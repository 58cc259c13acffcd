//! Proposals of metrics that every pod has: CPU, memory, custom pod metrics
//! (`pkg/controller/podautoscaler/replica_calculator.go`, `metrics/utilization.go`).

use std::collections::BTreeMap;

use super::replica_calculator::{Proposal, ceil_to_i32};
use super::settings::{Settings, Tolerances};
use crate::time::{Duration, Time};

/// Phase of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    /// Not all containers have started.
    Pending,
    /// Started.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Unreachable.
    Unknown,
}

/// What the controller sees of a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodView {
    /// Tells pods apart; samples refer to it.
    pub id: u32,
    /// Phase.
    pub phase: PodPhase,
    /// Whether deletionTimestamp is set.
    pub deleting: bool,
    /// Status of the Ready condition, if there is one.
    pub ready: Option<bool>,
    /// When the Ready condition last changed.
    pub ready_transition: Option<Time>,
    /// `status.startTime`.
    pub start: Option<Time>,
    /// What the pod requests of the metric's resource, in thousandths, or why that is not known ([`calculate_requests`]).
    pub request_milli: Result<i64, String>,
}

/// A sample of a pod's metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodMetric {
    /// Value in thousandths.
    pub value_milli: i64,
    /// End of what it covers.
    pub timestamp: Time,
    /// Length of what it covers.
    pub window: Duration,
}

/// Samples by pod; a sample of a pod that does not exist any more may be among them.
pub type PodMetrics = BTreeMap<u32, PodMetric>;

/// Pods by what their samples are worth (`groupPods`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodGroups {
    /// Pods whose samples count.
    pub ready_count: usize,
    /// Pods that are not ready for work.
    pub unready: Vec<u32>,
    /// Pods without a sample.
    pub missing: Vec<u32>,
    /// Pods on their way out.
    pub ignored: Vec<u32>,
}

/// Sorts pods into groups (`groupPods`). `cpu`: whether the readiness rules of CPU apply.
#[must_use]
pub fn group_pods(pods: &[PodView], samples: &PodMetrics, cpu: bool, settings: &Settings, now: Time) -> PodGroups {
    let mut groups = PodGroups::default();
    for pod in pods {
        let succeeded = pod.phase == PodPhase::Succeeded && settings.capabilities.succeeded_pods_ignored;
        if pod.deleting || pod.phase == PodPhase::Failed || succeeded {
            groups.ignored.push(pod.id);
        } else if pod.phase == PodPhase::Pending {
            groups.unready.push(pod.id);
        } else if let Some(sample) = samples.get(&pod.id) {
            if cpu && is_unready(pod, sample, settings, now) {
                groups.unready.push(pod.id);
            } else {
                groups.ready_count += 1;
            }
        } else {
            groups.missing.push(pod.id);
        }
    }
    groups
}

/// Whether a CPU sample is worth nothing because the pod is, or was while it was taken, not ready.
fn is_unready(pod: &PodView, sample: &PodMetric, settings: &Settings, now: Time) -> bool {
    let (Some(ready), Some(start)) = (pod.ready, pod.start) else { return true };
    let transition = pod.ready_transition.unwrap_or(Time::ZERO);
    if start + settings.cpu_initialization_period > now {
        !ready || sample.timestamp < transition + sample.window
    } else {
        !ready && start + settings.initial_readiness_delay > transition
    }
}

/// A container's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRequest {
    /// Name.
    pub name: String,
    /// Request in thousandths, if it has one.
    pub request_milli: Option<i64>,
    /// Whether it is an init container, and if so, one that keeps running.
    pub init: Option<InitContainer>,
}

/// Kind of an init container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitContainer {
    /// Runs to its end before the pod starts; not counted.
    Plain,
    /// `restartPolicy: Always`: counted.
    Sidecar,
}

/// What a pod requests of one resource: the named container's request, or pod-level requests, or the sum of its containers and
/// sidecars (`calculateRequests`).
///
/// # Errors
/// When a container that counts has no request, or the named container does not exist.
pub fn calculate_requests(
    resource: &str,
    pod: &str,
    container: Option<&str>,
    pod_level_milli: Option<i64>,
    containers: &[ContainerRequest],
) -> Result<i64, String> {
    if let (Some(milli), None) = (pod_level_milli, container) {
        return Ok(milli);
    }
    let counted = containers.iter().filter(|c| c.init != Some(InitContainer::Plain));
    let mut counted = counted.filter(|c| container.is_none_or(|name| name == c.name)).peekable();
    if let (Some(name), None) = (container, counted.peek()) {
        return Err(format!("container {name} not found in Pod {pod}"));
    }
    counted
        .map(|c| {
            let missing = || format!("missing request for {resource} in container {} of Pod {pod}", c.name);
            c.request_milli.ok_or_else(missing)
        })
        .sum()
}

/// What the proposal is compared against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PodTarget {
    /// Percent of requests.
    Utilization(i32),
    /// Thousandths per pod.
    Average(i64),
}

/// Usage of a set of samples against the target.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Usage {
    ratio: f64,
    average_milli: i64,
    percent: Option<i32>,
}

/// CPU or memory against a percentage of requests (`GetResourceReplicas`).
///
/// # Errors
/// When there are no pods, no usable samples, or a pod without a request.
pub fn get_resource_replicas(
    spec_replicas: i32,
    target_percent: i32,
    view: &PodMetricView<'_>,
    settings: &Settings,
    now: Time,
) -> Result<Proposal, String> {
    replicas(spec_replicas, PodTarget::Utilization(target_percent), view, settings, now)
}

/// CPU, memory or a custom metric against an average per pod (`GetRawResourceReplicas`, `GetMetricReplicas`,
/// `calcPlainMetricReplicas`).
///
/// # Errors
/// When there are no pods or no usable samples.
pub fn calc_plain_metric_replicas(
    spec_replicas: i32,
    target_milli: i64,
    view: &PodMetricView<'_>,
    settings: &Settings,
    now: Time,
) -> Result<Proposal, String> {
    replicas(spec_replicas, PodTarget::Average(target_milli), view, settings, now)
}

/// Pods and samples of one metric.
#[derive(Clone, Copy, Debug)]
pub struct PodMetricView<'a> {
    /// Pods of the selector.
    pub pods: &'a [PodView],
    /// Samples.
    pub samples: &'a PodMetrics,
    /// Whether the readiness rules of CPU apply.
    pub cpu: bool,
    /// Tolerances.
    pub tolerances: Tolerances,
}

fn replicas(
    spec_replicas: i32,
    target: PodTarget,
    view: &PodMetricView<'_>,
    settings: &Settings,
    now: Time,
) -> Result<Proposal, String> {
    if view.samples.is_empty() {
        return Err("no metrics returned".to_owned());
    }
    if view.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = group_pods(view.pods, view.samples, view.cpu, settings, now);
    let mut values: BTreeMap<u32, i64> = view.samples.iter().map(|(id, sample)| (*id, sample.value_milli)).collect();
    for id in groups.ignored.iter().chain(&groups.unready) {
        values.remove(id);
    }
    if values.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let requests = requests_of(view.pods, target)?;
    let first = usage(&values, &requests, target)?;
    let tolerances = view.tolerances;
    let answer = |replicas| Proposal { replicas, usage_milli: first.average_milli, utilization_percent: first.percent };

    let scale_up_with_unready = !groups.unready.is_empty() && first.ratio > 1.0;
    if !scale_up_with_unready && groups.missing.is_empty() {
        let within = tolerances.is_within(first.ratio);
        let moved = ceil_to_i32(first.ratio * groups.ready_count as f64);
        return Ok(answer(if within { spec_replicas } else { moved }));
    }
    assume(&mut values, &groups, &requests, target, first.ratio);
    let second = usage(&values, &requests, target)?;
    let turned = (first.ratio < 1.0 && second.ratio > 1.0) || (first.ratio > 1.0 && second.ratio < 1.0);
    if tolerances.is_within(second.ratio) || turned {
        return Ok(answer(spec_replicas));
    }
    let moved = ceil_to_i32(second.ratio * values.len() as f64);
    let against = (second.ratio < 1.0 && moved > spec_replicas) || (second.ratio > 1.0 && moved < spec_replicas);
    Ok(answer(if against { spec_replicas } else { moved }))
}

/// Fills in what pods without a usable sample are assumed to use: enough to brake the move that the others ask for.
fn assume(
    values: &mut BTreeMap<u32, i64>,
    groups: &PodGroups,
    requests: &BTreeMap<u32, i64>,
    target: PodTarget,
    ratio: f64,
) {
    for id in &groups.missing {
        if ratio < 1.0 {
            let full = match target {
                PodTarget::Utilization(percent) => {
                    requests.get(id).copied().unwrap_or(0) * i64::from(percent.max(100)) / 100
                }
                PodTarget::Average(milli) => milli,
            };
            values.insert(*id, full);
        } else if ratio > 1.0 {
            values.insert(*id, 0);
        }
    }
    if ratio > 1.0 {
        values.extend(groups.unready.iter().map(|id| (*id, 0)));
    }
}

/// Requests of all pods of the selector; only utilization needs them.
fn requests_of(pods: &[PodView], target: PodTarget) -> Result<BTreeMap<u32, i64>, String> {
    match target {
        PodTarget::Average(_) => Ok(BTreeMap::new()),
        PodTarget::Utilization(_) => {
            pods.iter().map(|pod| pod.request_milli.clone().map(|request| (pod.id, request))).collect()
        }
    }
}

/// `metrics/utilization.go: GetResourceUtilizationRatio, GetMetricUsageRatio`: integer percent, integer average.
fn usage(values: &BTreeMap<u32, i64>, requests: &BTreeMap<u32, i64>, target: PodTarget) -> Result<Usage, String> {
    match target {
        PodTarget::Average(target) => {
            let average = values.values().sum::<i64>() / values.len() as i64;
            Ok(Usage { ratio: average as f64 / target as f64, average_milli: average, percent: None })
        }
        PodTarget::Utilization(target) => {
            let known = || values.iter().filter_map(|(id, value)| requests.get(id).map(|request| (*value, *request)));
            let used: i64 = known().map(|(value, _)| value).sum();
            let requested: i64 = known().map(|(_, request)| request).sum();
            if requested == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let percent = (used * 100 / requested) as i32;
            Ok(Usage {
                ratio: f64::from(percent) / f64::from(target),
                average_milli: used / known().count() as i64,
                percent: Some(percent),
            })
        }
    }
}
