//! Triggers: what KEDA's scalers demand of their metadata, and whether the source exists in the scenario.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::context::{At, Context, listed};
use crate::api::decode::{Problems, closest};
use crate::api::keda::{Trigger, TriggerMetricType};
use crate::api::tree::Span;
use crate::engine::cron::Schedule;
use crate::scenario::lint::Rule;

/// Fields of `aws-sqs-queue` that have an effect or are needed upstream.
const SQS_FIELDS: [&str; 17] = [
    "queueURL",
    "queueURLFromEnv",
    "queueLength",
    "activationQueueLength",
    "scaleOnInFlight",
    "scaleOnDelayed",
    "awsRegion",
    "awsEndpoint",
    "identityOwner",
    "awsAccessKeyIDFromEnv",
    "awsSecretAccessKeyFromEnv",
    "awsAccessKeyID",
    "awsSecretAccessKey",
    "awsSessionToken",
    "awsRoleArn",
    "externalID",
    "awsSessionTokenFromEnv",
];
/// Triggers that read a series of `[[series]]`.
pub(super) const SERIES: [&str; 6] = ["kafka", "prometheus", "aws-cloudwatch", "metrics-api", "rabbitmq", "redis"];
const CRON_FIELDS: [&str; 4] = ["timezone", "start", "end", "desiredReplicas"];

pub(super) fn check(triggers: &[Trigger], at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    for (index, trigger) in triggers.iter().enumerate() {
        let at = at.into(&[&index.to_string()]);
        if let Some(name) = trigger.name.as_deref() {
            let span = at.span(&["name"]);
            if let Some(first) = names.insert(name, span) {
                problems.error(span, format!("two triggers are named `{name}`"), "the second one");
                problems.relate(first, "the first one");
            }
        }
        check_metric_type(trigger, at, problems);
        match trigger.kind.as_str() {
            "aws-sqs-queue" => sqs(trigger, at, cx, problems),
            "cron" => cron(trigger, at, problems),
            "cpu" | "memory" => resource(trigger, at, problems),
            other if SERIES.contains(&other) => {}
            other => {
                let known: Vec<&str> = ["aws-sqs-queue", "cron", "cpu", "memory"].into_iter().chain(SERIES).collect();
                let help = closest(other, known.iter().copied())
                    .map_or_else(|| format!("known: {}", listed(&known)), |near| format!("did you mean `{near}`?"));
                problems.error_with_help(
                    at.span(&["type"]),
                    format!("unknown trigger type `{other}`"),
                    "not simulated, or no such scaler",
                    help,
                );
            }
        }
    }
}

fn check_metric_type(trigger: &Trigger, at: At<'_>, problems: &mut Problems) {
    let is_resource = matches!(trigger.kind.as_str(), "cpu" | "memory");
    match trigger.metric_type {
        Some(TriggerMetricType::Utilization) if !is_resource => {
            let help = "use `AverageValue` (default) or `Value`";
            problems.error_with_help(
                at.span(&["metricType"]),
                "`Utilization` is for cpu and memory only",
                "not allowed here",
                help,
            );
        }
        Some(TriggerMetricType::Value) if is_resource => {
            let help = "use `Utilization` or `AverageValue`";
            problems.error_with_help(
                at.span(&["metricType"]),
                "`Value` does not go with cpu and memory",
                "not allowed here",
                help,
            );
        }
        None if is_resource && !trigger.metadata.contains_key("type") => {
            problems.error(
                at.span(&["type"]),
                format!("a {} trigger needs `metricType`", trigger.kind),
                "`Utilization` or `AverageValue`",
            );
        }
        _ => {}
    }
    if trigger.use_cached_metrics && (is_resource || trigger.kind == "cron") {
        let message = format!("`useCachedMetrics` does not go with {}", trigger.kind);
        problems.error(at.span(&["useCachedMetrics"]), message, "not allowed here");
    }
}

/// Fields that a scaler does not know are ignored by KEDA without a word.
fn unknown_fields(trigger: &Trigger, known: &[&str], at: At<'_>, problems: &mut Problems) {
    for key in trigger.metadata.keys().filter(|key| !known.contains(&key.as_str())) {
        let help = match closest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("`{}` knows {}", trigger.kind, listed(known)),
        };
        let message = format!("`{}` does not know `{key}`", trigger.kind);
        Rule::UnknownTriggerField.report(
            problems,
            at.key(&["metadata", key]),
            message,
            "KEDA ignores this without a word",
            Some(help),
        );
    }
}

fn required<'a>(trigger: &'a Trigger, key: &str, at: At<'_>, problems: &mut Problems) -> Option<&'a str> {
    let value = trigger.metadata.get(key).map(String::as_str).filter(|value| !value.is_empty());
    if value.is_none() {
        problems.error(at.span(&["metadata"]), format!("`{}` needs `{key}`", trigger.kind), format!("no `{key}`"));
    }
    value
}

fn integer(trigger: &Trigger, key: &str, at: At<'_>, problems: &mut Problems) -> Option<i64> {
    let text = trigger.metadata.get(key)?;
    let value = text.parse::<i64>().ok();
    if value.is_none() {
        problems.error(
            at.span(&["metadata", key]),
            format!("`{text}` is not an integer"),
            format!("{key} must be an integer, in quotes"),
        );
    }
    value
}

fn sqs(trigger: &Trigger, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    unknown_fields(trigger, &SQS_FIELDS, at, problems);
    if let Some(length) = integer(trigger, "queueLength", at, problems).filter(|length| *length <= 0) {
        let label = "the API server refuses an HPA with this target";
        problems.error(at.span(&["metadata", "queueLength"]), format!("queueLength {length} must be above 0"), label);
    }
    integer(trigger, "activationQueueLength", at, problems);
    for key in ["scaleOnInFlight", "scaleOnDelayed"] {
        if let Some(text) = trigger.metadata.get(key)
            && !["true", "false", "1", "0", "t", "f", "T", "F", "TRUE", "FALSE", "True", "False"]
                .contains(&text.as_str())
        {
            problems.error(
                at.span(&["metadata", key]),
                format!("`{text}` is neither true nor false"),
                "must be \"true\" or \"false\"",
            );
        }
    }
    required(trigger, "awsRegion", at, problems);
    if let Some(url) = trigger.metadata.get("queueURL").filter(|url| !url.is_empty()) {
        queue_of(url, at, cx, problems);
    } else if let Some(variable) = trigger.metadata.get("queueURLFromEnv") {
        let help = "give the variable a plain `value` in the Deployment's first container, or write `queueURL`";
        let span = at.span(&["metadata", "queueURLFromEnv"]);
        problems.error_with_help(
            span,
            format!("the target has no environment variable `{variable}` with a value"),
            "cannot be resolved",
            help,
        );
    } else {
        problems.error(at.span(&["metadata"]), "`aws-sqs-queue` needs `queueURL`", "no `queueURL`");
    }
}

/// The queue of a URL must be one of the scenario.
fn queue_of(url: &str, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let span = at.span(&["metadata", "queueURL"]);
    let name = match url.split_once("://") {
        None => url,
        Some((_, rest)) => {
            let parts: Vec<&str> = rest.split('/').skip(1).collect();
            match parts.as_slice() {
                [account, name] if !account.is_empty() && !name.is_empty() => *name,
                _ => {
                    let help = "https://sqs.<region>.amazonaws.com/<account>/<name>";
                    problems.error_with_help(
                        span,
                        "this is not the URL of a queue",
                        "its path must be /<account>/<name>",
                        help,
                    );
                    return;
                }
            }
        }
    };
    let names: Vec<&str> = cx.scenario.queues.iter().map(|queue| queue.name.as_str()).collect();
    if names.contains(&name) {
        return;
    }
    let help = match closest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("add it to the scenario: [[queues]] with name = \"{name}\""),
        None => format!("the scenario has {}; add this one with [[queues]]", listed(&names)),
    };
    problems.error_with_help(span, format!("no queue named `{name}`"), "not in the scenario", help);
}

fn cron(trigger: &Trigger, at: At<'_>, problems: &mut Problems) {
    unknown_fields(trigger, &CRON_FIELDS, at, problems);
    let zone = required(trigger, "timezone", at, problems).and_then(|name| {
        let zone = TimeZone::get(name).ok();
        if zone.is_none() {
            let help = "a name of the IANA database, such as `Etc/UTC` or `Europe/Berlin`";
            problems.error_with_help(
                at.span(&["metadata", "timezone"]),
                format!("unknown time zone `{name}`"),
                "no such zone",
                help,
            );
        }
        zone
    });
    for key in ["start", "end"] {
        let Some(text) = required(trigger, key, at, problems) else { continue };
        let zone = zone.clone().unwrap_or(TimeZone::UTC);
        if text.starts_with('@') {
            problems.error(
                at.span(&["metadata", key]),
                format!("`{text}` is not a schedule"),
                "KEDA takes the five fields only",
            );
        } else if let Err(error) = Schedule::parse(text, zone) {
            let help = "minute hour day-of-month month day-of-week, such as `0 8 * * 1-5`";
            problems.error_with_help(
                at.span(&["metadata", key]),
                format!("`{text}` is not a schedule"),
                error.to_string(),
                help,
            );
        }
    }
    if trigger.metadata.contains_key("start") && trigger.metadata.get("start") == trigger.metadata.get("end") {
        problems.error(at.span(&["metadata", "end"]), "`start` and `end` must differ", "the same as `start`");
    }
    if required(trigger, "desiredReplicas", at, problems).is_some() {
        integer(trigger, "desiredReplicas", at, problems);
    }
}

fn resource(trigger: &Trigger, at: At<'_>, problems: &mut Problems) {
    let Some(value) = required(trigger, "value", at, problems) else { return };
    let percent = trigger.metric_type != Some(TriggerMetricType::AverageValue);
    if percent && value.parse::<u32>().is_ok_and(|value| value > 0) {
        return;
    }
    if !percent && crate::units::parse_quantity_milli(value).is_ok_and(|value| value > 0) {
        return;
    }
    let label =
        if percent { "must be a percentage above 0, in quotes" } else { "must be a quantity above 0, in quotes" };
    problems.error(at.span(&["metadata", "value"]), format!("`{value}` is not a target of {}", trigger.kind), label);
}
