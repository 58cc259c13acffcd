//! How much a scenario may hold: no file, however it is made, exhausts memory or runs for ever. Limits on single files and on
//! nesting are where files are read.

use super::context::Context;
use super::queues::number_within;
use crate::api::decode::Problems;
use crate::api::tree::{Node, Span};
use crate::scenario::arrivals::Arrivals;
use crate::time::Duration;

/// Most entries of a list of the scenario, such as `[[deployments]]` or `[[faults]]`.
const MAX_ENTRIES: usize = 10_000;
/// Most queues.
const MAX_QUEUES: usize = 1000;
/// Most pods that `simulation.maxPods` may allow.
const MAX_PODS: u32 = 1_000_000;
/// Most nodes of a node group or of a NodePool of fixed size.
const MAX_NODES: u64 = 100_000;
/// Most messages in all queues together at one time: a run that comes to have more is cut off.
pub const MAX_AT_ONCE: u64 = 25_000_000;
/// What comes within less than this comes at once.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Most message groups of a source or of a backlog.
const MAX_GROUPS: u64 = 1_000_000;
/// Most messages that a pod may process at a time.
const MAX_HANDLERS: u64 = 10_000;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (key, value) in cx.root.entries().unwrap_or_default() {
        let most = if key.name == "queues" { MAX_QUEUES } else { MAX_ENTRIES };
        let length = value.items().map_or(0, <[Node]>::len);
        at_most(&key.name, key.span, length as u64, most as u64, problems);
    }
    if let Some(at) = cx.section("simulation") {
        let pods = cx.scenario.simulation.max_pods;
        number_within(at, "maxPods", f64::from(pods), 1.0, f64::from(MAX_PODS), problems);
    }
    for (group, at) in cx.elements("nodeGroups", &cx.scenario.node_groups) {
        for (field, value) in [("count", Some(group.count)), ("min", group.min), ("max", group.max)] {
            let nodes = u64::from(value.unwrap_or(0));
            at_most("nodes in a group", at.span(&[field]), nodes, MAX_NODES, problems);
        }
    }
    for (pool, at) in cx.elements("nodePools", &cx.scenario.node_pools) {
        let nodes = u64::from(pool.spec.replicas.unwrap_or(0));
        at_most("nodes in a NodePool", at.span(&["spec", "replicas"]), nodes, MAX_NODES, problems);
    }
    for (consumer, at) in cx.elements("consumers", &cx.scenario.consumers) {
        let of = |value: Option<u32>| u64::from(value.unwrap_or(1));
        let handlers = of(consumer.slots) * of(consumer.threads);
        let field = if consumer.threads.is_some() { "threads" } else { "slots" };
        at_most("handlers in a pod", at.span(&[field]), handlers, MAX_HANDLERS, problems);
    }
    queues(cx, problems);
    too_many_messages(cx, problems);
}

/// Reports more than `limit`.
fn at_most(what: &str, span: Span, value: u64, limit: u64, problems: &mut Problems) {
    if value > limit {
        problems.error(span, format!("too many {what}"), format!("{value}: at most {limit}"));
    }
}

fn queues(cx: &Context<'_>, problems: &mut Problems) {
    let mut at_once = 0_u64;
    for (queue, at) in cx.elements("queues", &cx.scenario.queues) {
        let groups = u64::from(queue.backlog_groups);
        at_most("message groups", at.span(&["backlogGroups"]), groups, MAX_GROUPS, problems);
        let sends = queue.changes.iter().map(|change| change.messages);
        at_once = sends.chain([queue.backlog]).fold(at_once, u64::saturating_add);
        for (index, arrivals) in queue.arrivals.iter().enumerate() {
            let common = arrivals.common();
            let groups = u64::from(common.groups) + u64::from(common.first_group);
            let span = at.span(&["arrivals", &index.to_string(), "groups"]);
            at_most("message groups", span, groups, MAX_GROUPS, problems);
            at_once = at_once.saturating_add(sent_at_once(arrivals));
        }
    }
    let span = cx.section("queues").map_or(Span::default(), |at| at.span(&["0"]));
    at_most("messages at once", span, at_once, MAX_AT_ONCE, problems);
}

/// Messages that a source sends within moments.
fn sent_at_once(arrivals: &Arrivals) -> u64 {
    let soon = |over: Duration, messages: u64| if over < AT_ONCE { messages } else { 0 };
    match arrivals {
        Arrivals::Burst(burst) => soon(burst.over, burst.messages),
        Arrivals::Batch(batch) => batch.messages,
        Arrivals::List(list) => {
            list.sends.iter().map(|send| soon(send.over, send.messages)).fold(0, u64::saturating_add)
        }
        _ => 0,
    }
}

/// Rough count of what the sources send: the run would end before its time.
fn too_many_messages(cx: &Context<'_>, problems: &mut Problems) {
    let limit = cx.scenario.simulation.max_messages;
    let length = cx.scenario.simulation.duration;
    let mut total = 0.0;
    for queue in &cx.scenario.queues {
        let expected = queue.arrivals.iter().map(|arrivals| expected_messages(arrivals, length));
        total += queue.backlog as f64 + expected.sum::<f64>();
    }
    if total > limit as f64 {
        let span = cx.section("queues").map_or(Span::default(), |at| at.span(&["0"]));
        let help = "raise `simulation.maxMessages`, shorten the run, or lower the rates";
        let label = format!("about {total:.0} messages, more than {limit}");
        problems.error_with_help(span, "too many messages", label, help);
    }
}

/// Messages of a source in a run of that length, not more than come; 0 where that is not known without playing it.
fn expected_messages(arrivals: &Arrivals, length: Duration) -> f64 {
    let common = arrivals.common();
    let span = (common.end.unwrap_or(length).min(length) - common.start).max_zero().as_secs_f64();
    let times = |every: Option<Duration>| every.map_or(1.0, |every| (span / every.as_secs_f64().max(1e-6)).ceil());
    match arrivals {
        Arrivals::Poisson(pattern) => pattern.rate.per_second * span,
        Arrivals::Constant(pattern) => pattern.rate.per_second * span,
        Arrivals::Sine(pattern) => pattern.rate.per_second * span,
        Arrivals::Ramp(pattern) => pattern.from.per_second.min(pattern.to.per_second) * span,
        Arrivals::Burst(pattern) => pattern.messages as f64 * times(pattern.every),
        Arrivals::Batch(pattern) => {
            let mean = pattern.every.as_ref().map(|every| every.mean().as_secs_f64().max(1e-6));
            let rate = pattern.rate.map_or_else(|| mean.map_or(0.0, |mean| 1.0 / mean), |rate| rate.per_second);
            pattern.messages as f64 * rate * span
        }
        Arrivals::List(pattern) => {
            let within = pattern.sends.iter().filter(|send| send.at.as_secs_f64() <= span);
            within.map(|send| send.messages as f64).sum()
        }
        _ => 0.0,
    }
}
