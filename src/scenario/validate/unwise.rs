//! Valid, but hardly what was meant: settings without effect, bounds that can never be reached, time-outs that are too short.

use super::context::{At, Context, warn};
use crate::api::decode::Problems;
use crate::api::keda::{ScaledObject, Trigger};
use crate::api::scalar::Seconds;
use crate::api::workload::Deployment;
use crate::engine::Distribution;
use crate::scenario::consumers::{ConsumerSpec, OnTerm};
use crate::scenario::queues::QueueSpec;
use crate::time::Duration;
use crate::units::Resource;

/// −ln(1 − 0.99).
const EXPONENTIAL_P99: f64 = 4.605_170_185_988_091;
/// Standard normal quantile at 0.99.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (object, at) in cx.elements("scaledObjects", &cx.scenario.scaled_objects) {
        without_effect(object, at.into(&["spec"]), problems);
        in_flight(object, at.into(&["spec"]), cx, problems);
        out_of_reach(object, at.into(&["spec"]), cx, problems);
    }
    for (consumer, at) in cx.elements("consumers", &cx.scenario.consumers) {
        too_short(consumer, at, cx, problems);
    }
    for (queue, at) in cx.elements("queues", &cx.scenario.queues) {
        if queue.max_receive_count == Some(1) {
            let help = "a receive whose answer is lost on its way counts too: such a message is never tried again";
            let span = at.span(&["maxReceiveCount"]);
            warn(problems, span, "one receive and a message is dead", "no second attempt", Some(help.to_owned()));
        }
    }
}

/// With `minReplicaCount` above 0 KEDA never scales in: that is the HPA's.
fn without_effect(object: &ScaledObject, at: At<'_>, problems: &mut Problems) {
    let spec = &object.spec;
    if spec.min_replica_count.unwrap_or(0) == 0 || spec.idle_replica_count.is_some() {
        return;
    }
    for field in ["cooldownPeriod", "initialCooldownPeriod"] {
        if at.has(&[field]) {
            let help = "it only delays the step to 0 (or to `idleReplicaCount`); scaling in above that is the HPA's, by `behavior.scaleDown`";
            let message = format!("`{field}` has no effect while `minReplicaCount` is above 0");
            warn(problems, at.key(&[field]), message, "never used", Some(help.to_owned()));
        }
    }
    for (index, trigger) in spec.triggers.iter().enumerate() {
        if trigger.metadata.contains_key("activationQueueLength") {
            let span = at.key(&["triggers", &index.to_string(), "metadata", "activationQueueLength"]);
            let help = "it decides between 0 and 1 replicas only; the HPA does not know it";
            let message = "`activationQueueLength` has no effect while `minReplicaCount` is above 0";
            warn(problems, span, message, "never used", Some(help.to_owned()));
        }
    }
}

fn sqs(trigger: &Trigger) -> bool {
    trigger.kind == "aws-sqs-queue"
}

/// Without messages in flight a queue looks empty while the last ones are still being worked on.
fn in_flight(object: &ScaledObject, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let spec = &object.spec;
    let hidden =
        |trigger: &Trigger| sqs(trigger) && trigger.metadata.get("scaleOnInFlight").is_some_and(|text| text == "false");
    let Some(index) = spec.triggers.iter().position(hidden) else { return };
    if spec.min_replica_count.unwrap_or(0) > 0 {
        return;
    }
    let target = &spec.scale_target_ref.name;
    let slow = cx.scenario.consumers.iter().filter(|consumer| consumer.deployment.as_ref() == Some(target));
    if let Some(p99) = slow.filter_map(|consumer| p99(&consumer.processing)).max()
        && p99 > spec.cooldown_period.duration()
    {
        let span = at.key(&["triggers", &index.to_string(), "metadata", "scaleOnInFlight"]);
        let help = "count messages in flight, or raise `cooldownPeriod` above the longest processing time";
        let label =
            format!("1 message in 100 takes {p99} or more, cooldownPeriod is {}", spec.cooldown_period.duration());
        warn(problems, span, "pods go to zero while their last messages are in work", label, Some(help.to_owned()));
    }
}

fn target_of<'a>(object: &ScaledObject, cx: &Context<'a>) -> Option<&'a Deployment> {
    let name = &object.spec.scale_target_ref.name;
    cx.scenario.deployments.iter().find(|deployment| deployment.metadata.name.as_ref() == Some(name))
}

/// The limits of all NodePools together do not hold `maxReplicaCount` pods.
fn out_of_reach(object: &ScaledObject, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some(deployment) = target_of(object, cx) else { return };
    let takes_group_nodes = cx
        .scenario
        .node_groups
        .iter()
        .any(|group| group.taints.iter().all(|taint| deployment.spec.template.spec.tolerates(taint)));
    if cx.scenario.node_pools.is_empty() || takes_group_nodes {
        return;
    }
    let max = i64::from(object.spec.max_replica_count.unwrap_or(100));
    let requests = deployment.spec.template.spec.requests();
    for resource in [Resource::Cpu, Resource::Memory] {
        let limits = cx
            .scenario
            .node_pools
            .iter()
            .map(|pool| pool.spec.limits.as_ref()?.get(resource.name()).map(|limit| limit.milli));
        let Some(total) = limits.sum::<Option<i64>>() else { continue };
        let per_pod = if resource == Resource::Cpu {
            requests.get(resource)
        } else {
            requests.get(resource).saturating_mul(1000)
        };
        if per_pod > 0 && per_pod.saturating_mul(max) > total {
            let label = format!("the NodePools' `limits` hold {} of these pods at most", total / per_pod);
            let message = format!("{max} replicas need more {} than the NodePools may have", resource.name());
            let help = "pods beyond that stay pending, and the HPA goes on asking for them";
            warn(problems, at.span(&["maxReplicaCount"]), message, label, Some(help.to_owned()));
        }
    }
}

/// Messages whose visibility, or whose pod's grace, runs out while they are in work.
fn too_short(consumer: &ConsumerSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some(p99) = p99(&consumer.processing) else { return };
    let own = consumer.visibility_timeout;
    let queue: Option<&QueueSpec> = cx.scenario.queues.iter().find(|queue| queue.name == consumer.queue);
    if let Some(timeout) = own.or(queue.map(|queue| queue.visibility_timeout))
        && consumer.heartbeat.is_none()
        && p99 > timeout
    {
        let field = if own.is_some() { "visibilityTimeout" } else { "processing" };
        let help = "raise the visibility timeout, or extend it with a `heartbeat`: such messages are received and processed again";
        let label = format!("1 message in 100 takes {p99} or more, the visibility timeout is {timeout}");
        warn(
            problems,
            at.span(&[field]),
            "the visibility timeout runs out while messages are in work",
            label,
            Some(help.to_owned()),
        );
    }
    let deployment = cx
        .scenario
        .deployments
        .iter()
        .find(|d| consumer.deployment.is_some() && d.metadata.name == consumer.deployment);
    let Some(deployment) = deployment else { return };
    let Seconds(grace) = deployment.spec.template.spec.termination_grace_period_seconds;
    let grace = Duration::from_secs(i64::from(grace));
    if consumer.on_term == Some(OnTerm::Drain) && p99 > grace {
        let label = format!("1 message in 100 takes {p99} or more, the grace period is {grace}");
        let help =
            "raise `terminationGracePeriodSeconds` of the pods: what is not done by then is killed and comes back";
        warn(
            problems,
            at.span(&["onTerm"]),
            "pods are killed while they finish their messages",
            label,
            Some(help.to_owned()),
        );
    }
}

/// 99th percentile, where it has a closed form.
fn p99(distribution: &Distribution) -> Option<Duration> {
    match distribution {
        Distribution::Constant(value) => Some(*value),
        Distribution::Exponential { mean } => Some(Duration::from_secs_f64(mean.as_secs_f64() * EXPONENTIAL_P99)),
        Distribution::Uniform { min, max } => Some(*min + Duration::from_secs_f64((*max - *min).as_secs_f64() * 0.99)),
        Distribution::Lognormal { median, sigma } => {
            Some(Duration::from_secs_f64(median.as_secs_f64() * (sigma * NORMAL_P99).exp()))
        }
        Distribution::Weibull { scale, shape } => {
            Some(Duration::from_secs_f64(scale.as_secs_f64() * EXPONENTIAL_P99.powf(1.0 / shape)))
        }
        Distribution::Empirical(values) => {
            let mut sorted = values.to_vec();
            sorted.sort_unstable();
            sorted.get((sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1))).copied()
        }
        Distribution::Shifted { offset, of, max } => p99(of).map(|inner| (*offset + inner).min(*max)),
        Distribution::Gamma { .. } => None,
    }
}
