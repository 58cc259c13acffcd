//! Scaling: KEDA's ScaledObjects and ScaledJobs, and HPAs.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::context::{At, Context};
use super::{bounds, consumers_of, deployment, down_window, needs_karpenter, p99, parallel, recurring, shortest_wait};
use crate::api::decode::Problems;
use crate::api::hpa::{Behavior, HpaSpec, MetricTargetType};
use crate::api::keda::{FallbackBehavior, JobStrategy, ScaledJobSpec, ScaledObject, Trigger, TriggerMetricType};
use crate::engine::cron::Schedule;
use crate::scenario::lint::Rule;
use crate::time::Duration;
use crate::units::Resource;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (object, at) in cx.elements("scaledObjects", &cx.scenario.scaled_objects) {
        let at = at.into(&["spec"]);
        without_effect(object, at, problems);
        at_zero(object, at, problems);
        in_flight(object, at, cx, problems);
        values(object, at, cx, problems);
        out_of_reach(object, at, cx, problems);
        long_queue(object, at, cx, problems);
        cold_start(object, at, cx, problems);
        let config =
            object.spec.advanced.as_ref().and_then(|advanced| advanced.horizontal_pod_autoscaler_config.as_ref());
        let behavior = config.and_then(|config| config.behavior.as_ref());
        let place = at.into(&["advanced", "horizontalPodAutoscalerConfig", "behavior"]);
        windows(behavior, &object.spec.scale_target_ref.name, place, cx, problems);
        for (index, trigger) in object.spec.triggers.iter().enumerate() {
            schedule(trigger, at.into(&["triggers", &index.to_string(), "metadata"]), cx, problems);
            let refuses = cx.scenario.versions.keda_refuses_metadata_type();
            if refuses && matches!(trigger.kind.as_str(), "cpu" | "memory") && trigger.metadata.contains_key("type") {
                let span = at.key(&["triggers", &index.to_string(), "metadata", "type"]);
                let help = format!("metricType: {} beside `metadata`", trigger.metadata["type"]);
                let message = "KEDA refuses a cpu or memory trigger with `type`";
                Rule::DeprecatedTriggerType.report(problems, span, message, "since KEDA 2.18", Some(help));
            }
        }
    }
    for (hpa, at) in cx.elements("horizontalPodAutoscalers", &cx.scenario.hpas) {
        let at = at.into(&["spec"]);
        let target = &hpa.spec.scale_target_ref.name;
        windows(hpa.spec.behavior.as_ref(), target, at.into(&["behavior"]), cx, problems);
        requests(&hpa.spec, at, cx, problems);
    }
    for (job, at) in cx.elements("scaledJobs", &cx.scenario.scaled_jobs) {
        jobs(&job.spec, at.into(&["spec"]), problems);
        for (index, trigger) in job.spec.triggers.iter().enumerate() {
            let at = at.into(&["spec", "triggers", &index.to_string(), "metadata"]);
            schedule(trigger, at, cx, problems);
        }
    }
}

/// A cron trigger whose window the run does not meet.
fn schedule(trigger: &Trigger, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let text = |key: &str| trigger.metadata.get(key).map(String::as_str);
    let ("cron", Some(start), Some(end), Some(zone)) =
        (trigger.kind.as_str(), text("start"), text("end"), text("timezone"))
    else {
        return;
    };
    let Ok(zone) = TimeZone::get(zone) else { return };
    let parsed = (Schedule::parse(start, zone.clone()), Schedule::parse(end, zone));
    let simulation = &cx.scenario.simulation;
    let (Ok(start), Ok(end)) = parsed else { return };
    let Ok(begin) = Timestamp::from_second(simulation.start.unix_seconds) else { return };
    let over = SignedDuration::from_micros(simulation.duration.as_micros());
    let (Some(opens), Some(closes), Ok(over)) = (start.next(begin), end.next(begin), begin.checked_add(over)) else {
        return;
    };
    if opens < closes && opens >= over {
        let message = "the window of this trigger is never open during the run";
        let label = format!("opens at {opens}, the run goes from {begin} to {over}");
        let help = "correct `timezone`, `simulation.start` or `simulation.duration`";
        Rule::CronNeverActive.report(problems, at.span(&["timezone"]), message, label, Some(help.to_owned()));
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
            Rule::CooldownWithoutEffect.report(
                problems,
                at.key(&[field]),
                message,
                "never used",
                Some(help.to_owned()),
            );
        }
    }
    for (index, trigger) in spec.triggers.iter().enumerate() {
        if trigger.metadata.contains_key("activationQueueLength") {
            let span = at.key(&["triggers", &index.to_string(), "metadata", "activationQueueLength"]);
            let help = "it decides between 0 and 1 replicas only; the HPA does not know it";
            let message = "`activationQueueLength` has no effect while `minReplicaCount` is above 0";
            Rule::ActivationWithoutEffect.report(problems, span, message, "never used", Some(help.to_owned()));
        }
    }
    let is_read = spec.fallback.is_some() || spec.triggers.iter().any(|trigger| trigger.use_cached_metrics);
    if at.has(&["pollingInterval"]) && !is_read {
        let help = "the HPA asks at each of its own passes; polls matter with `useCachedMetrics`, or at zero";
        let message = "`pollingInterval` has no effect while `minReplicaCount` is above 0";
        let span = at.key(&["pollingInterval"]);
        Rule::PollingWithoutEffect.report(problems, span, message, "never used", Some(help.to_owned()));
    }
}

/// What becomes of messages while nobody, or the idle count, runs.
fn at_zero(object: &ScaledObject, at: At<'_>, problems: &mut Problems) {
    let spec = &object.spec;
    if let Some(idle) = spec.idle_replica_count.filter(|idle| *idle > 0) {
        let help = "use 0, or leave it out and lower `minReplicaCount`";
        let label = format!("KEDA sets {idle}, the HPA {} again", spec.min_replica_count.unwrap_or(1));
        let message = "`idleReplicaCount` above 0 fights the HPA";
        Rule::IdleAboveZero.report(problems, at.span(&["idleReplicaCount"]), message, label, Some(help.to_owned()));
    }
    let to_zero = spec.min_replica_count.unwrap_or(0) == 0 || spec.idle_replica_count == Some(0);
    let [only] = spec.triggers.as_slice() else { return };
    let threshold = only.metadata.get("activationQueueLength").and_then(|text| text.parse::<i64>().ok());
    if let Some(threshold) = threshold.filter(|threshold| *threshold > 0 && sqs(only) && to_zero) {
        let span = at.span(&["triggers", "0", "metadata", "activationQueueLength"]);
        let label = format!("nobody is started for up to {threshold}");
        let help = "it keeps phantom counts from waking the workload, at the price of messages that wait for others";
        let message = "the last messages may wait for ever";
        Rule::ActivationStrandsMessages.report(problems, span, message, label, Some(help.to_owned()));
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
    if let Some(p99) = slow.map(|consumer| p99(&consumer.processing)).max()
        && p99 > spec.cooldown_period.duration()
    {
        let span = at.key(&["triggers", &index.to_string(), "metadata", "scaleOnInFlight"]);
        let help = "count messages in flight, or raise `cooldownPeriod` above the longest processing time";
        let label =
            format!("1 message in 100 takes {p99} or more, cooldownPeriod is {}", spec.cooldown_period.duration());
        Rule::InFlightUncounted.report(
            problems,
            span,
            "pods go to zero while their last messages are in work",
            label,
            Some(help.to_owned()),
        );
    }
}

/// Values that the HPA is given.
fn values(object: &ScaledObject, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let spec = &object.spec;
    let (interval, period) = (spec.polling_interval.duration(), cx.scenario.clocks.hpa_sync_period);
    if let Some(index) = spec.triggers.iter().position(|trigger| trigger.use_cached_metrics && interval > period) {
        let span = at.span(&["triggers", &index.to_string(), "useCachedMetrics"]);
        let label = format!("polled every {interval}, asked for every {period}");
        let help = format!("set `pollingInterval` to {} or less", period.as_secs_f64());
        Rule::CachedMetricsStale.report(problems, span, "the HPA acts on old values", label, Some(help));
    }
    let fallback = spec.fallback.as_ref();
    if fallback.is_some_and(|f| f.replicas == 0 && f.behavior == FallbackBehavior::Static)
        && spec.min_replica_count.unwrap_or(0) == 0
    {
        let span = at.span(&["fallback", "replicas"]);
        let help = "fall back to replicas that keep up with the usual load";
        let message = "a metric that fails is taken for an empty queue";
        Rule::FallbackToZero.report(problems, span, message, "all pods go after the cooldown", Some(help.to_owned()));
    }
    let (min, max) = bounds(&spec.scale_target_ref.name, cx);
    if min == max {
        let message = format!("there is nothing to scale: {min} replicas at least and at most");
        let span = at.span(&["minReplicaCount"]);
        Rule::NothingToScale.report(problems, span, message, "equal to `maxReplicaCount`", None);
    }
}

/// The limits of all NodePools together do not hold `maxReplicaCount` pods.
fn out_of_reach(object: &ScaledObject, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some(deployment) = deployment(&object.spec.scale_target_ref.name, cx) else { return };
    if !needs_karpenter(&deployment.spec.template.spec, cx) {
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
            Rule::LimitsBelowMax.report(problems, at.span(&["maxReplicaCount"]), message, label, Some(help.to_owned()));
        }
    }
}

/// More messages a pod than it can work off in time.
fn long_queue(object: &ScaledObject, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some((objective, limit)) = shortest_wait(cx) else { return };
    let [trigger] = object.spec.triggers.as_slice() else { return };
    if !sqs(trigger) || trigger.metric_type == Some(TriggerMetricType::Value) {
        return;
    }
    let length = trigger.metadata.get("queueLength").map_or(Some(5.0), |text| text.parse::<f64>().ok());
    let Some(length) = length else { return };
    let url = trigger.metadata.get("queueURL").map(String::as_str).unwrap_or_default();
    let queue = url.rsplit('/').next().unwrap_or_default();
    let Some(consumer) = consumers_of(&object.spec.scale_target_ref.name, cx).find(|c| c.queue == queue) else {
        return;
    };
    let mean = consumer.processing.mean().as_secs_f64();
    let wait = mean * (length / parallel(consumer, cx) - 1.0);
    if wait > limit.as_secs_f64() {
        let wait = Duration::from_secs_f64(wait);
        let span = if at.has(&["triggers", "0", "metadata", "queueLength"]) {
            at.span(&["triggers", "0", "metadata", "queueLength"])
        } else {
            at.span(&["triggers", "0", "type"])
        };
        let label = format!("the last of {length} messages waits {wait}, `{objective}` is {limit}");
        let help = "lower it to what a pod works off within the objective";
        let message = "the HPA is content with a backlog that misses the objective";
        Rule::QueueLengthAboveObjective.report(problems, span, message, label, Some(help.to_owned()));
    }
}

/// The medians of the steps from nothing to a consumer, without the poll.
fn cold_start(object: &ScaledObject, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let spec = &object.spec;
    let to_zero = spec.min_replica_count.unwrap_or(0) == 0 || spec.idle_replica_count == Some(0);
    let Some((objective, limit)) = shortest_wait(cx).filter(|_| to_zero) else { return };
    let name = &spec.scale_target_ref.name;
    let (Some(deployment), Some(consumer)) = (deployment(name, cx), consumers_of(name, cx).next()) else { return };
    let latencies = &cx.scenario.latencies;
    let mut steps = vec![&latencies.pod_start, &latencies.app_start, &consumer.warm_up];
    let on_new_node = needs_karpenter(&deployment.spec.template.spec, cx) && cx.scenario.kwok_node_classes.is_empty();
    if on_new_node {
        steps.extend([&latencies.create_fleet, &latencies.node_registered, &latencies.node_ready]);
    }
    let total: Duration = steps.into_iter().map(|step| step.quantile(0.5)).sum();
    if total > limit {
        let what = if on_new_node { "node and pod" } else { "pod" };
        let label = format!("{what} take {total} in the median, `{objective}` is {limit}");
        let help = "keep a replica with `minReplicaCount: 1`, or nodes that are warm";
        let message = "a message that finds no pod misses the objective";
        let field = if at.has(&["minReplicaCount"]) { "minReplicaCount" } else { "scaleTargetRef" };
        Rule::ZeroReplicasAboveObjective.report(problems, at.span(&[field]), message, label, Some(help.to_owned()));
    }
}

/// Stabilization windows against the traffic and the objectives.
fn windows(behavior: Option<&Behavior>, target: &str, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let window = down_window(behavior);
    let (min, max) = bounds(target, cx);
    let object = cx.scenario.scaled_objects.iter().find(|object| object.spec.scale_target_ref.name == target);
    let cooldown = object.filter(|_| min == 0).map(|object| object.spec.cooldown_period.duration());
    let is_outlasted = |every: Duration| window >= every && cooldown.is_none_or(|cooldown| cooldown >= every);
    if let Some((_, every)) = recurring(target, cx).into_iter().find(|(_, every)| min < max && is_outlasted(*every)) {
        let span = at.span(&["scaleDown", "stabilizationWindowSeconds"]);
        let message = "the replicas of the peak stay between bursts";
        let label = format!("bursts come every {every}, the HPA looks back {window}");
        let help = "shorten `behavior.scaleDown.stabilizationWindowSeconds` to scale in between them";
        Rule::StabilizationOutlastsBursts.report(problems, span, message, label, Some(help.to_owned()));
    }
    let up = behavior.and_then(|behavior| behavior.scale_up.as_ref()?.stabilization_window_seconds);
    if let (Some(up), Some((objective, limit))) = (up.map(|up| up.duration()), shortest_wait(cx))
        && up > limit
    {
        let span = at.span(&["scaleUp", "stabilizationWindowSeconds"]);
        let message = "scaling out begins after the objective is missed";
        let label = format!("the HPA waits {up}, `{objective}` is {limit}");
        Rule::ScaleUpWindowAboveObjective.report(problems, span, message, label, None);
    }
}

/// Utilization of pods that request nothing.
fn requests(spec: &HpaSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some(deployment) = deployment(&spec.scale_target_ref.name, cx) else { return };
    for (index, metric) in spec.metrics.iter().enumerate() {
        let Some(source) =
            metric.resource.as_ref().filter(|source| source.target.kind == MetricTargetType::Utilization)
        else {
            continue;
        };
        let Some(resource) = Resource::parse(&source.name) else { continue };
        if deployment.spec.template.spec.containers.iter().any(|container| container.requests().get(resource) == 0) {
            let span = at.span(&["metrics", &index.to_string(), "resource", "name"]);
            let label = format!("a container does not request {}", source.name);
            let help = "add it to `resources.requests`, or set a target of type `AverageValue`";
            let message = "the HPA cannot compute this utilization and never scales";
            Rule::HpaWithoutRequest.report(problems, span, message, label, Some(help.to_owned()));
        }
    }
}

fn jobs(spec: &ScaledJobSpec, at: At<'_>, problems: &mut Problems) {
    let counts = |trigger: &Trigger| {
        let hidden = trigger
            .metadata
            .get("scaleOnInFlight")
            .is_some_and(|text| ["false", "f", "F", "0", "FALSE", "False"].contains(&text.as_str()));
        sqs(trigger) && !hidden
    };
    let rule = match spec.scaling_strategy.strategy {
        JobStrategy::Accurate => Some(Rule::AccurateCountsInFlight),
        JobStrategy::Eager => Some(Rule::EagerCountsInFlight),
        JobStrategy::Default | JobStrategy::Custom => None,
    };
    if let Some(rule) = rule.filter(|_| spec.triggers.iter().any(counts)) {
        let span = at.span(&["scalingStrategy", "strategy"]);
        let help = "set `scaleOnInFlight: \"false\"`, or use strategy `default`";
        let message = "each poll starts a job again for every message in work";
        rule.report(problems, span, message, "counts messages in flight", Some(help.to_owned()));
    }
    if spec.rollout_strategy.is_some() {
        let help = "rollout: { strategy: ... }";
        let span = at.key(&["rolloutStrategy"]);
        Rule::DeprecatedRollout.report(problems, span, "`rolloutStrategy` is deprecated", "", Some(help.to_owned()));
    }
}
