//! Valid, but hardly what was meant: settings without effect, bounds that can never be reached, time-outs that are too short.

mod consumers;
mod pools;
mod scaling;
mod workloads;

use super::context::Context;
use crate::api::decode::Problems;
use crate::api::hpa::Behavior;
use crate::api::pod::PodSpec;
use crate::api::workload::Deployment;
use crate::engine::Distribution;
use crate::scenario::arrivals::{Arrivals, Burst};
use crate::scenario::consumers::ConsumerSpec;
use crate::scenario::queues::QueueSpec;
use crate::time::Duration;

/// The HPA's window when `behavior` gives none (`--horizontal-pod-autoscaler-downscale-stabilization`).
const DOWN_WINDOW: Duration = Duration::from_mins(5);

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    scaling::check(cx, problems);
    consumers::check(cx, problems);
    workloads::check(cx, problems);
    pools::check(cx, problems);
}

fn p99(distribution: &Distribution) -> Duration {
    distribution.quantile(0.99)
}

fn deployment<'a>(name: &str, cx: &Context<'a>) -> Option<&'a Deployment> {
    cx.scenario.deployments.iter().find(|deployment| deployment.metadata.name.as_deref() == Some(name))
}

/// What the pods of a Deployment consume.
fn consumers_of<'a>(name: &str, cx: &Context<'a>) -> impl Iterator<Item = &'a ConsumerSpec> {
    cx.scenario.consumers.iter().filter(move |consumer| consumer.deployment.as_deref() == Some(name))
}

fn queue_of<'a>(consumer: &ConsumerSpec, cx: &Context<'a>) -> Option<&'a QueueSpec> {
    cx.scenario.queues.iter().find(|queue| queue.name == consumer.queue)
}

/// Messages that a pod of this consumer works on at the same time.
fn parallel(consumer: &ConsumerSpec, cx: &Context<'_>) -> f64 {
    let habits = consumer.habits(queue_of(consumer, cx).is_some_and(|queue| queue.fifo));
    f64::from(habits.slots) * f64::from(habits.threads)
}

/// Fewest and most replicas of a Deployment, whoever scales it.
fn bounds(name: &str, cx: &Context<'_>) -> (u32, u32) {
    let object = cx.scenario.scaled_objects.iter().find(|object| object.spec.scale_target_ref.name == name);
    if let Some(object) = object {
        return (object.spec.min_replica_count.unwrap_or(0), object.spec.max_replica_count.unwrap_or(100));
    }
    let hpa = cx.scenario.hpas.iter().find(|hpa| hpa.spec.scale_target_ref.name == name);
    if let Some(hpa) = hpa {
        return (hpa.spec.min_replicas, hpa.spec.max_replicas);
    }
    let replicas = deployment(name, cx).and_then(|deployment| deployment.spec.replicas).unwrap_or(1);
    (replicas, replicas)
}

/// How long the HPA looks back before it scales in.
fn down_window(behavior: Option<&Behavior>) -> Duration {
    let rules = behavior.and_then(|behavior| behavior.scale_down.as_ref());
    rules.and_then(|rules| rules.stabilization_window_seconds).map_or(DOWN_WINDOW, |window| window.duration())
}

/// The objective for waiting that is missed first: its key and limit.
fn shortest_wait(cx: &Context<'_>) -> Option<(&'static str, Duration)> {
    let objectives = &cx.scenario.objectives;
    [
        ("p50Wait", objectives.p50_wait),
        ("p95Wait", objectives.p95_wait),
        ("p99Wait", objectives.p99_wait),
        ("maxWait", objectives.max_wait),
    ]
    .into_iter()
    .filter_map(|(name, limit)| Some((name, limit?)))
    .min_by_key(|(_, limit)| *limit)
}

/// The bursts that come again and again, of the queues that a Deployment consumes, with their period.
fn recurring<'a>(name: &str, cx: &Context<'a>) -> Vec<(&'a Burst, Duration)> {
    let queues = consumers_of(name, cx).filter_map(|consumer| queue_of(consumer, cx));
    let bursts = queues.flat_map(|queue| &queue.arrivals).filter_map(|arrivals| match arrivals {
        Arrivals::Burst(burst) => Some((burst, burst.every?)),
        _ => None,
    });
    bursts.collect()
}

/// Whether a node of a group, which is there without Karpenter, takes the pods.
fn fits_a_group(pod: &PodSpec, cx: &Context<'_>) -> bool {
    cx.scenario.node_groups.iter().any(|group| group.taints.iter().all(|taint| pod.tolerates(taint)))
}

/// Whether the pods can run on nodes of Karpenter only.
fn needs_karpenter(pod: &PodSpec, cx: &Context<'_>) -> bool {
    !cx.scenario.node_pools.is_empty() && !fits_a_group(pod, cx)
}
