//! Queues, what is sent to them, and who consumes it.

use super::context::{At, Context};
use crate::api::decode::{Problems, closest};
use crate::api::tree::Span;
use crate::scenario::arrivals::{Arrivals, Trace};
use crate::scenario::consumers::ConsumerSpec;
use crate::scenario::kind::Kind;
use crate::scenario::lint::Rule;
use crate::scenario::queues::QueueSpec;
use crate::scenario::trace;
use crate::time::Duration;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (queue, at) in cx.elements("queues", &cx.scenario.queues) {
        check_queue(queue, at, cx, problems);
        check_dead_letters(queue, at, cx, problems);
        for (index, arrivals) in queue.arrivals.iter().enumerate() {
            check_arrivals(arrivals, queue, at.into(&["arrivals", &index.to_string()]), cx, problems);
        }
    }
    for (consumer, at) in cx.elements("consumers", &cx.scenario.consumers) {
        check_consumer(consumer, at, cx, problems);
    }
}

/// A duration outside its range.
pub(super) fn within(at: At<'_>, field: &str, value: Duration, low: Duration, high: Duration, problems: &mut Problems) {
    if value < low || value > high {
        problems.error(
            at.span(&[field]),
            format!("{field} {value} is out of range"),
            format!("must be between {low} and {high}"),
        );
    }
}

/// A number outside its range.
pub(super) fn number_within(at: At<'_>, field: &str, value: f64, low: f64, high: f64, problems: &mut Problems) {
    if !(low..=high).contains(&value) {
        problems.error(
            at.span(&[field]),
            format!("{field} {value} is out of range"),
            format!("must be between {low} and {high}"),
        );
    }
}

fn check_queue(queue: &QueueSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let hours = Duration::from_hours;
    let zero = Duration::ZERO;
    within(at, "visibilityTimeout", queue.visibility_timeout, zero, hours(12), problems);
    within(at, "delay", queue.delay, zero, Duration::from_mins(15), problems);
    within(at, "retention", queue.retention, Duration::from_mins(1), hours(14 * 24), problems);
    within(at, "receiveWaitTime", queue.receive_wait_time, zero, Duration::from_secs(20), problems);
    if let Some(count) = queue.max_receive_count {
        number_within(at, "maxReceiveCount", f64::from(count), 1.0, 1000.0, problems);
    }
    if let Some(shards) = queue.shards {
        number_within(at, "shards", f64::from(shards), 1.0, 64.0, problems);
    }
    for (field, value) in [
        ("shortPollSampling", queue.short_poll_sampling),
        ("emptyLongPolls", queue.empty_long_polls),
        ("duplicates", queue.duplicates),
        ("phantoms", Some(queue.phantoms)),
    ] {
        number_within(at, field, value.unwrap_or(0.0), 0.0, 1.0, problems);
    }
    match (queue.fifo, queue.name.ends_with(".fifo")) {
        (true, false) => {
            let help = format!("name = \"{}.fifo\"", queue.name);
            problems.error_with_help(
                at.span(&["name"]),
                "the name of a FIFO queue must end in `.fifo`",
                "SQS refuses this name",
                help,
            );
        }
        (false, true) => {
            problems.error_with_help(
                at.span(&["name"]),
                "only FIFO queues may be named `.fifo`",
                "this queue is not FIFO",
                "add `fifo = true`",
            );
        }
        _ => {}
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if queue.name.len() > 80 || !queue.name.trim_end_matches(".fifo").chars().all(is_name) {
        problems.error(
            at.span(&["name"]),
            format!("`{}` is not a queue name", queue.name),
            "1 to 80 letters, digits, `-` and `_`",
        );
    }
    if queue.fifo && queue.fair {
        problems.error(at.span(&["fair"]), "a FIFO queue cannot be fair", "for standard queues only");
    }
    for (index, change) in queue.changes.iter().enumerate() {
        let at = at.into(&["changes", &index.to_string()]);
        after_the_end(change.at, at.span(&["at"]), cx, problems);
        number_within(at, "messagesPerSecond", f64::from(change.messages_per_second), 1.0, 500.0, problems);
    }
}

/// Something that happens when the run is over.
pub(super) fn after_the_end(at: Duration, span: Span, cx: &Context<'_>, problems: &mut Problems) {
    let end = cx.scenario.simulation.duration;
    if at > end {
        Rule::AfterTheEnd.report(
            problems,
            span,
            format!("this happens at {at}, after the end of the run"),
            format!("the run ends at {end}"),
            None,
        );
    }
}

fn check_dead_letters(queue: &QueueSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some(target) = &queue.dead_letter_queue else { return };
    let span = at.span(&["deadLetterQueue"]);
    if queue.max_receive_count.is_none() {
        let help = "maxReceiveCount = 5";
        problems.error_with_help(span, "`deadLetterQueue` needs `maxReceiveCount`", "after how many receives?", help);
    }
    let names: Vec<&str> = cx.scenario.queues.iter().map(|queue| queue.name.as_str()).collect();
    if !cx.must_exist("queue", target, &names, span, problems) {
        return;
    }
    let by_name = |name: &str| cx.scenario.queues.iter().find(|queue| queue.name == name);
    if by_name(target).is_some_and(|other| other.fifo != queue.fifo) {
        let kind = if queue.fifo { "FIFO" } else { "standard" };
        problems.error(
            span,
            format!("the dead-letter queue of a {kind} queue must be a {kind} queue"),
            "of the other kind",
        );
    }
    let mut at_queue = target.as_str();
    for _ in 0..cx.scenario.queues.len() {
        if at_queue == queue.name {
            let label = if *target == queue.name { "its own dead-letter queue" } else { "leads back here" };
            problems.error(span, format!("dead letters of `{}` would come back to it", queue.name), label);
            return;
        }
        match by_name(at_queue).and_then(|queue| queue.dead_letter_queue.as_deref()) {
            Some(next) => at_queue = next,
            None => return,
        }
    }
}

fn check_arrivals(arrivals: &Arrivals, queue: &QueueSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let common = arrivals.common();
    if let Some(end) = common.end.filter(|end| *end <= common.start) {
        problems.error(at.span(&["end"]), "`end` is not after `start`", format!("{end} is not after {}", common.start));
    }
    after_the_end(common.start, at.span(&["start"]), cx, problems);
    number_within(at, "sendBatch", f64::from(common.send_batch), 1.0, 10.0, problems);
    number_within(at, "poison", common.poison, 0.0, 1.0, problems);
    number_within(at, "work", common.work, 0.0, 1e6, problems);
    number_within(at, "groupSkew", common.group_skew, 0.0, 10.0, problems);
    if let Some(delay) = common.delay {
        within(at, "delay", delay, Duration::ZERO, Duration::from_mins(15), problems);
        if queue.fifo {
            problems.error_with_help(
                at.span(&["delay"]),
                "messages of a FIFO queue have no delay of their own",
                "not allowed here",
                "set `delay` of the queue",
            );
        }
    }
    match arrivals {
        Arrivals::Poisson(pattern) => positive_rate(pattern.rate.per_second, at, "rate", problems),
        Arrivals::Constant(pattern) => positive_rate(pattern.rate.per_second, at, "rate", problems),
        Arrivals::Steps(pattern) => {
            if pattern.steps.is_empty() {
                problems.error(at.key(&["steps"]), "`steps` needs a step", "an empty list");
            }
            if let Some(index) = pattern.steps.windows(2).position(|pair| pair[1].at <= pair[0].at) {
                let span = at.span(&["steps", &(index + 1).to_string(), "at"]);
                problems.error(span, "steps must be in order of time", "not after the step before");
            }
            if let (Some(every), Some(last)) = (pattern.every, pattern.steps.last())
                && every <= last.at
            {
                problems.error(
                    at.span(&["every"]),
                    "`every` must be longer than the sequence",
                    format!("the last step is at {}", last.at),
                );
            }
        }
        Arrivals::Sine(pattern) if pattern.period <= Duration::ZERO => {
            problems.error(at.span(&["period"]), "`period` must be above 0", "is 0");
        }
        Arrivals::Burst(pattern) => {
            after_the_end(common.start + pattern.at, at.span(&["at"]), cx, problems);
            if let Some(every) = pattern.every.filter(|every| *every <= Duration::ZERO) {
                problems.error(at.span(&["every"]), "`every` must be above 0", format!("is {every}"));
            }
        }
        Arrivals::Mmpp(pattern) if pattern.states.is_empty() => {
            problems.error(at.key(&["states"]), "`mmpp` needs a state", "an empty list")
        }
        Arrivals::Batch(pattern) if pattern.rate.is_none() == pattern.every.is_none() => {
            problems.error(at.span(&["pattern"]), "`batch` needs one of `rate` and `every`", "both or none are given");
        }
        Arrivals::Trace(pattern) if !cx.unreadable.contains(&pattern.file.span) => {
            check_trace(pattern, at, problems);
        }
        Arrivals::List(pattern) => {
            for (index, send) in pattern.sends.iter().enumerate() {
                after_the_end(common.start + send.at, at.span(&["sends", &index.to_string(), "at"]), cx, problems);
            }
        }
        _ => {}
    }
}

fn positive_rate(per_second: f64, at: At<'_>, field: &str, problems: &mut Problems) {
    if per_second <= 0.0 {
        Rule::SendsNothing.report(problems, at.span(&[field]), "this source sends nothing", "a rate of 0", None);
    }
}

fn check_trace(pattern: &Trace, at: At<'_>, problems: &mut Problems) {
    let (text, span, scale, stretch) = (&pattern.file.text, pattern.file.span, pattern.scale, pattern.stretch);
    let rows = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).skip(1).count();
    if rows == 0 {
        let label = if text.trim().is_empty() { "this file is empty" } else { "this file has a heading only" };
        problems.error(span, "an empty trace", label);
    } else if let Err(error) = trace::read(pattern) {
        problems.error(span, format!("`{}` is no trace that can be played", pattern.file.path), error.to_string());
    }
    for (field, value) in [("scale", scale), ("stretch", stretch)] {
        if value <= 0.0 || !value.is_finite() {
            problems.error(at.span(&[field]), format!("{field} must be above 0"), format!("is {value}"));
        }
    }
}

fn check_consumer(consumer: &ConsumerSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    match (&consumer.deployment, &consumer.job) {
        (Some(name), None) => {
            let names = cx.names(Kind::Deployment);
            cx.must_exist("Deployment", name, &names, at.span(&["deployment"]), problems);
        }
        (None, Some(name)) => {
            let names = cx.names(Kind::ScaledJob);
            cx.must_exist("ScaledJob", name, &names, at.span(&["job"]), problems);
        }
        (Some(_), Some(_)) => {
            problems.error(at.key(&["job"]), "a consumer has one of `deployment` and `job`", "both are given");
            problems.relate(at.key(&["deployment"]), "the other one");
        }
        (None, None) => problems.error(at.span(&[]), "a consumer needs `deployment` or `job`", "whose pods are these?"),
    }
    let names: Vec<&str> = cx.scenario.queues.iter().map(|queue| queue.name.as_str()).collect();
    if !names.contains(&consumer.queue.as_str()) {
        let help = match closest(&consumer.queue, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add it: [[queues]] with name = \"{}\"", consumer.queue),
        };
        problems.error_with_help(
            at.span(&["queue"]),
            format!("no queue named `{}`", consumer.queue),
            "not in the scenario",
            help,
        );
    }
    if let Some(size) = consumer.batch_size {
        number_within(at, "batchSize", f64::from(size), 1.0, 10.0, problems);
    }
    if let Some(wait) = consumer.wait_time {
        within(at, "waitTime", wait, Duration::ZERO, Duration::from_secs(20), problems);
    }
    if let Some(timeout) = consumer.visibility_timeout {
        within(at, "visibilityTimeout", timeout, Duration::ZERO, Duration::from_hours(12), problems);
    }
    for (field, value) in [("slots", consumer.slots), ("threads", consumer.threads)] {
        if value == Some(0) {
            problems.error(at.span(&[field]), format!("`{field}` must be at least 1"), "is 0");
        }
    }
    for (field, value) in [
        ("failures", consumer.failures),
        ("poison", consumer.poison),
        ("crashes", consumer.crashes),
        ("lostReceives", consumer.lost_receives),
    ] {
        number_within(at, field, value, 0.0, 1.0, problems);
    }
    if let Some(heartbeat) = &consumer.heartbeat {
        let at = at.into(&["heartbeat"]);
        if heartbeat.every <= Duration::ZERO {
            problems.error(at.span(&["every"]), "`every` must be above 0", "is 0");
        } else if heartbeat.to <= heartbeat.every {
            let label = format!("runs out before the next extension, {} later", heartbeat.every);
            problems.error(at.span(&["to"]), "the heartbeat extends by too little", label);
        }
    }
}
