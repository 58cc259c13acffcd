//! Queues and their consumers: time-outs, dead letters, polling, parallelism.

use super::super::context::{At, Context};
use super::{bounds, p99, parallel};
use crate::api::decode::Problems;
use crate::api::scalar::Seconds;
use crate::scenario::arrivals::Arrivals;
use crate::scenario::clients::Habits;
use crate::scenario::consumers::{Ack, ConsumerSpec, OnError, OnTerm};
use crate::scenario::lint::Rule;
use crate::scenario::queues::QueueSpec;
use crate::time::Duration;

/// A pause between two empty short polls that makes them rare enough.
const CALM_POLL: Duration = Duration::from_secs(1);
/// The longest visibility of one receipt, from its receive.
const MAX_VISIBILITY: Duration = Duration::from_hours(12);

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (consumer, at) in cx.elements("consumers", &cx.scenario.consumers) {
        too_short(consumer, at, cx, problems);
        let Some(queue) = cx.scenario.queues.iter().find(|queue| queue.name == consumer.queue) else { continue };
        let habits = consumer.habits(queue.fifo);
        timeouts(consumer, queue, &habits, at, problems);
        late_retry(consumer, queue, &habits, at, cx, problems);
        stopping(consumer, &habits, at, cx, problems);
        polling(consumer, queue, &habits, at, problems);
        parallelism(consumer, queue, &habits, at, cx, problems);
    }
    for (queue, at) in cx.elements("queues", &cx.scenario.queues) {
        dead_letters(queue, at, cx, problems);
        retention(queue, at, cx, problems);
    }
}

/// Messages whose visibility, or whose pod's grace, runs out while they are in work.
fn too_short(consumer: &ConsumerSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let p99 = p99(&consumer.processing);
    let own = consumer.visibility_timeout;
    let queue = super::queue_of(consumer, cx);
    if let Some(timeout) = own.or(queue.map(|queue| queue.visibility_timeout))
        && consumer.heartbeat.is_none()
        && p99 > timeout
    {
        let field = if own.is_some() { "visibilityTimeout" } else { "processing" };
        let help = "raise the visibility timeout, or extend it with a `heartbeat`: such messages are received and processed again";
        let label = format!("1 message in 100 takes {p99} or more, the visibility timeout is {timeout}");
        Rule::VisibilityTooShort.report(
            problems,
            at.span(&[field]),
            "the visibility timeout runs out while messages are in work",
            label,
            Some(help.to_owned()),
        );
    }
    let Some(deployment) = consumer.deployment.as_deref().and_then(|name| super::deployment(name, cx)) else { return };
    let Seconds(grace) = deployment.spec.template.spec.termination_grace_period_seconds;
    let grace = Duration::from_secs(i64::from(grace));
    if consumer.on_term == Some(OnTerm::Drain) && p99 > grace {
        let label = format!("1 message in 100 takes {p99} or more, the grace period is {grace}");
        let help =
            "raise `terminationGracePeriodSeconds` of the pods: what is not done by then is killed and comes back";
        Rule::GraceTooShort.report(
            problems,
            at.span(&["onTerm"]),
            "pods are killed while they finish their messages",
            label,
            Some(help.to_owned()),
        );
    }
}

/// Time-outs that run out before or between the handling of messages.
fn timeouts(consumer: &ConsumerSpec, queue: &QueueSpec, habits: &Habits, at: At<'_>, problems: &mut Problems) {
    let timeout = consumer.visibility_timeout.unwrap_or(queue.visibility_timeout);
    if let Some(heartbeat) = consumer.heartbeat.as_ref().filter(|heartbeat| heartbeat.every >= timeout) {
        let label = format!("the first comes after {}, the visibility timeout is {timeout}", heartbeat.every);
        let span = at.span(&["heartbeat", "every"]);
        let help = "extend well within the visibility timeout";
        let message = "the heartbeat comes too late";
        Rule::HeartbeatTooSlow.report(problems, span, message, label, Some(help.to_owned()));
    }
    let longest = p99(&consumer.processing);
    if consumer.heartbeat.is_some() && longest > MAX_VISIBILITY {
        let label = format!("1 message in 100 takes {longest} or more, SQS extends to {MAX_VISIBILITY} at most");
        let help = "split the work, or delete the message before it and keep its state elsewhere";
        let message = "the heartbeat cannot keep the longest messages hidden";
        Rule::HeartbeatBeyondLimit.report(problems, at.key(&["heartbeat"]), message, label, Some(help.to_owned()));
    }
    let rounds = habits.capacity().div_ceil(habits.slots);
    let last = consumer.processing.mean() * i64::from(rounds);
    if rounds > 1 && p99(&consumer.processing) <= timeout && last > timeout {
        let label =
            format!("the last of {} takes until {last}, the visibility timeout is {timeout}", habits.capacity());
        let help = "receive fewer at a time, handle more in parallel, or raise the visibility timeout";
        let field = if consumer.prefetch.is_some() { "prefetch" } else { "batchSize" };
        let message = "messages that wait in the pod come back before it handles them";
        Rule::PrefetchOutlivesVisibility.report(problems, at.span(&[field]), message, label, Some(help.to_owned()));
    }
}

/// Work that is lost for longer than the objective allows.
fn late_retry(
    consumer: &ConsumerSpec,
    queue: &QueueSpec,
    habits: &Habits,
    at: At<'_>,
    cx: &Context<'_>,
    problems: &mut Problems,
) {
    let timeout = consumer.visibility_timeout.unwrap_or(queue.visibility_timeout);
    let Some(limit) = cx.scenario.objectives.max_age.filter(|limit| *limit < timeout) else { return };
    let is_kept = consumer.heartbeat.is_some() || habits.ack == Ack::Early;
    let fails = consumer.failures > 0.0 && consumer.on_error.is_none_or(|reaction| reaction == OnError::Timeout);
    if !is_kept && (consumer.crashes > 0.0 || fails || consumer.lost_receives > 0.0) {
        let field = if consumer.visibility_timeout.is_some() { "visibilityTimeout" } else { "queue" };
        let label = format!("tried again after {timeout}, `maxAge` is {limit}");
        let help = "shorten the visibility timeout and extend it with a `heartbeat`";
        let message = "a message that gets lost once misses the objective";
        Rule::LateRetry.report(problems, at.span(&[field]), message, label, Some(help.to_owned()));
    }
}

fn stopping(consumer: &ConsumerSpec, habits: &Habits, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let from_client = |field| if at.has(&[field]) { at.span(&[field]) } else { at.span(&["client"]) };
    if habits.ack == Ack::Early {
        let help = "delete after processing: `ack = \"late\"`";
        let message = "messages are deleted before they are processed";
        Rule::EarlyAck.report(problems, from_client("ack"), message, "a crash loses them", Some(help.to_owned()));
        return;
    }
    let Some(name) = consumer.deployment.as_deref().filter(|_| habits.on_term == OnTerm::Die) else { return };
    let (min, max) = bounds(name, cx);
    if min < max {
        let help = "handle SIGTERM: receive no more, finish, then exit";
        let message = "each scale-in leaves messages in the middle of their work";
        let label = "ends at once on SIGTERM";
        Rule::DiesOnSigterm.report(problems, from_client("onTerm"), message, label, Some(help.to_owned()));
    }
}

fn polling(consumer: &ConsumerSpec, queue: &QueueSpec, habits: &Habits, at: At<'_>, problems: &mut Problems) {
    let wait = habits.wait.unwrap_or(queue.receive_wait_time);
    if wait == Duration::ZERO && habits.idle_poll < CALM_POLL && consumer.deployment.is_some() {
        let field = ["waitTime", "client"].into_iter().find(|field| at.has(&[field])).unwrap_or("queue");
        let help = "waitTime = \"20s\", or `receiveWaitTime` of the queue";
        let message = "idle pods ask for messages without a pause";
        Rule::ShortPolling.report(problems, at.span(&[field]), message, "short polling", Some(help.to_owned()));
    }
}

fn parallelism(
    consumer: &ConsumerSpec,
    queue: &QueueSpec,
    habits: &Habits,
    at: At<'_>,
    cx: &Context<'_>,
    problems: &mut Problems,
) {
    let Some(name) = consumer.deployment.as_deref() else { return };
    let (_, max) = bounds(name, cx);
    let groups: u32 = queue.arrivals.iter().map(|arrivals| arrivals.common().groups.max(1)).sum();
    let groups = groups.max(if queue.backlog > 0 { queue.backlog_groups } else { 0 });
    if queue.fifo && groups > 0 && groups < max {
        let label = format!("{groups} groups keep {groups} pods busy, there may be {max}");
        let message = "more replicas than message groups";
        let help = "bound the replicas by the number of groups, or use more groups";
        Rule::FifoGroupsBelowReplicas.report(problems, at.span(&["deployment"]), message, label, Some(help.to_owned()));
    }
    let held = u64::from(max) * u64::from(habits.threads) * u64::from(habits.capacity());
    if held > u64::from(queue.in_flight_limit) {
        let label = format!("{max} pods can hold {held} messages, {} may be in flight", queue.in_flight_limit);
        let message = "the last pods receive nothing";
        Rule::InFlightLimit.report(problems, at.span(&["deployment"]), message, label, None);
    }
}

fn dead_letters(queue: &QueueSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    if queue.max_receive_count == Some(1) {
        let help = "a receive whose answer is lost on its way counts too: such a message is never tried again";
        let span = at.span(&["maxReceiveCount"]);
        Rule::SingleReceive.report(
            problems,
            span,
            "one receive and a message is dead",
            "no second attempt",
            Some(help.to_owned()),
        );
    }
    let mut consumers = cx.scenario.consumers.iter().filter(|consumer| consumer.queue == queue.name);
    let sends_poison = queue.arrivals.iter().any(|arrivals| arrivals.common().poison > 0.0);
    let is_poisoned = consumers.any(|c| c.on_error != Some(OnError::Delete) && (c.poison > 0.0 || sends_poison));
    if queue.max_receive_count.is_none() && is_poisoned {
        let help = "maxReceiveCount = 5, with a `deadLetterQueue`";
        let message = "messages that cannot be processed come back until their retention ends";
        let span = at.span(&["name"]);
        Rule::NoDeadLetterQueue.report(problems, span, message, "no `maxReceiveCount`", Some(help.to_owned()));
    }
    let target = queue.dead_letter_queue.as_ref();
    let target = target.and_then(|name| cx.scenario.queues.iter().find(|other| other.name == *name));
    if let Some(target) = target.filter(|target| !queue.fifo && target.retention <= queue.retention) {
        let label = format!("kept for {}, `{}` for {}", target.retention, queue.name, queue.retention);
        let help = "give the dead-letter queue the longer retention (14 d at most): it counts from the first send";
        let span = at.span(&["deadLetterQueue"]);
        Rule::DeadLettersExpire.report(
            problems,
            span,
            "dead letters expire with their source",
            label,
            Some(help.to_owned()),
        );
    }
}

/// The largest heap of messages against what all pods work off before it expires.
fn retention(queue: &QueueSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let bursts = queue.arrivals.iter().map(|arrivals| match arrivals {
        Arrivals::Burst(burst) => burst.messages,
        _ => 0,
    });
    let heap = bursts.max().unwrap_or(0).max(queue.backlog);
    let rates = cx.scenario.consumers.iter().filter(|consumer| consumer.queue == queue.name).map(|consumer| {
        let name = consumer.deployment.as_deref()?;
        let mean = consumer.processing.mean().as_secs_f64();
        (mean > 0.0).then(|| f64::from(bounds(name, cx).1) * parallel(consumer, cx) / mean)
    });
    // Unknown for jobs and for work that takes no time.
    let Some(rate) = rates.sum::<Option<f64>>().filter(|rate| *rate > 0.0) else { return };
    let needed = heap as f64 / rate;
    if needed > queue.retention.as_secs_f64() {
        let label = format!("{heap} messages take {} with all replicas", Duration::from_secs_f64(needed));
        let field = if at.has(&["retention"]) { "retention" } else { "name" };
        let message = "messages expire before they can be processed";
        let help = "raise `retention`, or the number of replicas";
        Rule::RetentionBelowDrain.report(problems, at.span(&[field]), message, label, Some(help.to_owned()));
    }
}
