//! `explain FILE message M`: what one message waited for. A run keeps no single messages, so the scenario is run again and the
//! message followed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, bail};

use crate::cli::load::{self, Source};
use crate::cli::terminal::Terminal;
use crate::cluster::QueueId;
use crate::consumer::{Attempt, MessageStep, MessageStepKind, MessageTrail};
use crate::report::numbers::{count, percent, span};
use crate::report::points::aligned;
use crate::report::tables;
use crate::simulation::{self, Options};
use crate::telemetry::{Factor, Outcome};
use crate::time::{Duration, Time};

use super::Decision;
use super::object::{Step, Story, about, field, instant, last_changes, pod, rows, scalers};

/// Which message.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Arguments {
    /// Its number: those of a queue are numbered from 1 as they are sent, the initial backlog first
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 43))]
    number: u64,
    /// Its queue, where the scenario has more than one that producers send to
    #[arg(long)]
    queue: Option<String>,
    /// The settings changed for the run, as given to it: `ScaledObject/orders.pollingInterval=5`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = load::parse_setting)]
    settings: Vec<(String, String)>,
    /// Allow the scenario to read files outside its folder, as the run did
    #[arg(long)]
    allow_outside: bool,
}

/// The story of a message; nothing when the scenario cannot run, which has been shown then.
pub(super) fn message<'a>(
    folder: &Path,
    file: &Path,
    arguments: &Arguments,
    decisions: &'a [Decision],
    terminal: &Terminal,
) -> anyhow::Result<Option<Story<'a>>> {
    if file.is_dir() {
        bail!("to follow a message its scenario is run again: name the scenario's file, not the folder of its results");
    }
    let summary = super::object::summary(folder)?;
    let mut settings = arguments.settings.clone();
    settings.push(("simulation.seed".to_owned(), summary["seed"].to_string()));
    let source = Source { file: file.to_owned(), settings, allow_outside: arguments.allow_outside };
    let Some(loaded) = load::scenario(&source, true, terminal)? else { return Ok(None) };
    let scenario = &loaded.scenario;
    let queues: Vec<&str> = scenario.queues.iter().map(|queue| queue.name.as_str()).collect();
    let fed = |queue: &&crate::scenario::queues::QueueSpec| !queue.arrivals.is_empty() || queue.backlog > 0;
    let fed: Vec<&str> = scenario.queues.iter().filter(fed).map(|queue| queue.name.as_str()).collect();
    let name = match (&arguments.queue, fed.as_slice()) {
        (Some(name), _) => name.as_str(),
        (None, [only]) => only,
        _ => bail!("which queue? --queue with one of: {}", queues.join(", ")),
    };
    let Some(queue) = queues.iter().position(|queue| *queue == name) else {
        bail!("there is no queue `{name}`: {}", queues.join(", "));
    };
    let options = Options { check_invariants: false, ..Options::replication(0) };
    let (outcome, trail) = simulation::follow(scenario, options, QueueId(queue as u32), arguments.number)?;
    check_same(folder, &outcome)?;
    let sent = outcome.queues[queue].totals.sent;
    if trail.steps.is_empty() {
        bail!("queue {name} got no message {}: {} were sent", count(arguments.number), count(sent));
    }
    story(folder, queue, arguments.number, &outcome, &trail, decisions).map(Some)
}

/// That the run in `folder` was this one.
fn check_same(folder: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    let path = folder.join("decisions.csv");
    let there = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut again = Vec::with_capacity(there.len());
    tables::write_decisions(outcome, &mut again)?;
    if there != again {
        bail!(
            "the scenario does not give the run in {}: it was changed since, or the run was made with --set, which \
             must be given here too",
            folder.display()
        );
    }
    Ok(())
}

/// What a message does for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Its delay passes.
    Delayed,
    /// It waits in the queue.
    Queued,
    /// A pod has received it and works on others first.
    Buffered,
    /// A pod works on it, or is about to delete it.
    Held,
    /// Nobody works on it until its visibility timeout runs out.
    Lost,
}

/// The times of a message until it is done with, in order.
fn spells(steps: &[MessageStep], end: Time) -> Vec<(Time, Time, Doing)> {
    let mut begins: Vec<(Time, Option<Doing>)> = Vec::new();
    for step in steps {
        let doing = match step.kind {
            MessageStepKind::Sent { delayed: true, .. } => Some(Doing::Delayed),
            MessageStepKind::Sent { .. } | MessageStepKind::DelayOver | MessageStepKind::Returned { .. } => {
                Some(Doing::Queued)
            }
            MessageStepKind::Received { by: Some(_), .. } => Some(Doing::Buffered),
            MessageStepKind::Ended(_, Attempt::Done) => Some(Doing::Held),
            MessageStepKind::Received { by: None, .. } | MessageStepKind::Ended(..) => Some(Doing::Lost),
            _ => None,
        };
        // Work that was planned for later and did not begin.
        begins.retain(|(at, _)| *at <= step.at);
        begins.push((step.at, doing));
        if let MessageStepKind::Received { by: Some(_), start, .. } = step.kind {
            begins.push((start, Some(Doing::Held)));
        }
        if doing.is_none() {
            break;
        }
    }
    begins.push((end, None));
    let spell = |pair: &[(Time, Option<Doing>)]| pair[0].1.map(|doing| (pair[0].0, pair[1].0, doing));
    begins.windows(2).filter_map(spell).filter(|(from, to, _)| from < to).collect()
}

/// What limited the message in a spell in the queue: the spell in pieces of one factor each. `None` = no look at the queue found a
/// backlog: a consumer waited for the message.
fn factors(
    outcome: &Outcome,
    queue: usize,
    trail: &MessageTrail,
    from: Time,
    to: Time,
) -> Vec<(Duration, Option<Factor>)> {
    let band = outcome.queues[queue].blame.receivable_band();
    let inside = |at: &Time| *at > from && *at < to;
    let mut borders: Vec<Time> = band.iter().map(|&(at, _)| at).filter(inside).collect();
    borders.extend(trail.group_blocked.iter().map(|&(at, _)| at).filter(inside));
    borders.extend([from, to]);
    borders.sort_unstable();
    borders.dedup();
    let piece = |border: &[Time]| {
        let (begin, end) = (border[0], border[1]);
        let blocked =
            trail.group_blocked.iter().rev().find(|(at, _)| *at <= begin).is_some_and(|&(_, blocked)| blocked);
        let before = band.partition_point(|&(at, _)| at <= begin);
        let now = before.checked_sub(1).and_then(|index| band[index].1);
        // A backlog that the last look did not find belongs to what the next look finds.
        let next = band.get(before).filter(|(at, _)| *at <= to).and_then(|&(_, factor)| factor);
        (end.since(begin), if blocked { Some(Factor::FifoGroup) } else { now.or(next) })
    };
    borders.windows(2).map(piece).collect()
}

/// The parts of the time from the send to the end, the longest first.
fn parts(outcome: &Outcome, queue: usize, trail: &MessageTrail) -> Vec<(String, Duration, &'static str)> {
    let mut parts: Vec<(String, Duration, &'static str)> = Vec::new();
    let mut add = |label: String, length: Duration, advice: &'static str| match parts
        .iter_mut()
        .find(|(known, ..)| *known == label)
    {
        Some((_, sum, _)) => *sum += length,
        None => parts.push((label, length, advice)),
    };
    for (from, to, doing) in spells(&trail.steps, outcome.end) {
        match doing {
            Doing::Delayed => add("delayed".to_owned(), to.since(from), "the queue's or message's delay"),
            Doing::Buffered => add("behind others in its pod".to_owned(), to.since(from), "a smaller batchSize"),
            Doing::Held => add("in work".to_owned(), to.since(from), "faster processing"),
            Doing::Lost => {
                let factor = Factor::VisibilityTimeout;
                add(factor.label().to_owned(), to.since(from), factor.advice());
            }
            Doing::Queued => {
                for (length, factor) in factors(outcome, queue, trail, from, to) {
                    let label = factor.map_or("on its way to a waiting consumer", Factor::label);
                    add(label.to_owned(), length, factor.map_or("nothing: a consumer was waiting", Factor::advice));
                }
            }
        }
    }
    parts.sort_by_key(|(_, length, _)| std::cmp::Reverse(*length));
    parts
}

fn story<'a>(
    folder: &Path,
    queue: usize,
    number: u64,
    outcome: &Outcome,
    trail: &MessageTrail,
    decisions: &'a [Decision],
) -> anyhow::Result<Story<'a>> {
    let record = &outcome.queues[queue];
    let sent = since_start(trail.steps.first().map_or(Time::ZERO, |step| step.at));
    let is_receive = |step: &&MessageStep| matches!(step.kind, MessageStepKind::Received { .. });
    let mut received = trail.steps.iter().filter(is_receive).map(|step| since_start(step.at));
    let (first, last) = (received.clone().next(), received.next_back());
    let waited = match first {
        Some(first) => format!("waited {} for its first receive", span(first - sent)),
        None => "was never received".to_owned(),
    };
    let title = format!("Message {} of queue {}: sent at {}, {waited}", count(number), record.name, span(sent));
    let mut found = scaling(folder, &record.name, decisions, sent, last.unwrap_or(since_start(outcome.end)))?;
    let mut steps: Vec<Step> = trail.steps.iter().map(|step| told(step, outcome)).collect();
    let receivers = trail.steps.iter().filter_map(|step| match step.kind {
        MessageStepKind::Received { by: Some(pod), .. } => outcome.pods.get(pod.0 as usize),
        _ => None,
    });
    let names: BTreeSet<String> = receivers.map(|pod| outcome.pod_name(pod)).collect();
    for row in rows(folder, "pods.csv")?.iter().filter(|row| names.contains(field(row, "name"))) {
        let Some(ready) = instant(row, "ready_s").filter(|ready| *ready > sent) else { continue };
        // It was not there yet when the message was sent: why so late belongs to the story.
        let name = field(row, "name");
        let whole = pod(folder, name, decisions)?;
        found.extend(whole.decisions.into_iter().filter(|decision| decision.at <= ready));
        let until_ready = whole.steps.into_iter().filter(|step| step.at <= ready);
        steps.extend(until_ready.map(|step| Step { text: format!("{name}: {}", step.text), ..step }));
    }
    steps.sort_by_key(|step| step.at);
    let parts = parts(outcome, queue, trail);
    Ok(Story { title, summary: summary(&parts), steps, decisions: found })
}

/// What the message waited for, as a table.
fn summary(parts: &[(String, Duration, &'static str)]) -> String {
    let all: Duration = parts.iter().map(|(_, length, _)| *length).sum();
    let mut rows = vec![["where its time went", "time", "share", "less with"].map(str::to_owned).to_vec()];
    for (label, length, advice) in parts.iter().filter(|(_, length, _)| *length > Duration::ZERO) {
        let share = length.as_secs_f64() / all.as_secs_f64();
        rows.push(vec![label.clone(), span(*length), percent(share), (*advice).to_owned()]);
    }
    // The last column is text.
    let width = rows.iter().map(|row| row[3].chars().count()).max().unwrap_or(0);
    rows.iter_mut().for_each(|row| row[3] = format!("{:<width$}", row[3]));
    let mut text = aligned(&rows, 1, false);
    let _ = writeln!(text, "{} in all", span(all));
    text
}

/// What changed the number of consumers before the message was received last, and what held it at a count: once each reason.
fn scaling<'a>(
    folder: &Path,
    queue: &str,
    decisions: &'a [Decision],
    sent: Duration,
    until: Duration,
) -> anyhow::Result<Vec<&'a Decision>> {
    let summary = super::object::summary(folder)?;
    let consumers = summary["workloads"].as_array().into_iter().flatten().filter(|workload| workload["queue"] == queue);
    let mut subjects = BTreeSet::new();
    for name in consumers.filter_map(|workload| workload["name"].as_str()) {
        let by = scalers(folder, name)?;
        if by.is_empty() {
            subjects.insert(format!("Deployment/{name}"));
        }
        subjects.extend(by);
    }
    let mut found = last_changes(decisions, &subjects, sent);
    let mut holds = BTreeSet::new();
    found.extend(about(decisions, &subjects).filter(|decision| decision.at > sent && decision.at <= until).filter(
        |decision| decision.from != decision.to || holds.insert((decision.subject.as_str(), decision.rule.as_str())),
    ));
    Ok(found)
}

fn since_start(at: Time) -> Duration {
    at.since(Time::ZERO)
}

/// A step in words.
fn told(step: &MessageStep, outcome: &Outcome) -> Step {
    let name = |pod: crate::consumer::PodRef| {
        outcome.pods.get(pod.0 as usize).map_or("a pod".to_owned(), |pod| outcome.pod_name(pod))
    };
    let text = match step.kind {
        MessageStepKind::Sent { ahead, delayed } => {
            let delayed = if delayed { ", with a delay" } else { "" };
            format!("the message is sent{delayed}; {} others are visible", count(ahead))
        }
        MessageStepKind::DelayOver => "its delay is over: it is visible".to_owned(),
        MessageStepKind::Received { by: None, count, .. } => {
            format!(
                "receive {count}: its answer reached nobody (the process was gone, or the answer was lost), so nobody works on it"
            )
        }
        MessageStepKind::Received { by: Some(pod), count: receive, start, earlier_waiting, later_received } => {
            let ready = outcome.pods.get(pod.0 as usize).and_then(|pod| pod.ready);
            let ready = ready.map_or(String::new(), |ready| format!(", ready since {}", span(since_start(ready))));
            let mut text = format!("receive {receive}: by pod {}{ready}", name(pod));
            let wait = start.since(step.at);
            if wait > Duration::ZERO {
                let _ = write!(text, ", which works {} on others before it begins", span(wait));
            }
            if earlier_waiting + later_received > 0 {
                let (earlier, later) = (count(earlier_waiting), count(later_received));
                let _ = write!(
                    text,
                    "\n{:>10}(no order is kept: {later} sent after it were received before it, {earlier} sent before it wait still)",
                    ""
                );
            }
            text
        }
        MessageStepKind::Ended(pod, Attempt::Done) => format!("pod {} has processed it", name(pod)),
        MessageStepKind::Ended(pod, Attempt::Failed) => format!("pod {} failed to process it", name(pod)),
        MessageStepKind::Ended(pod, Attempt::Crashed) => format!("its processing crashed pod {}", name(pod)),
        MessageStepKind::Ended(pod, Attempt::Dropped) => format!("pod {} stopped before it was processed", name(pod)),
        MessageStepKind::Returned { timed_out: true } => "visible again: its visibility timeout ran out".to_owned(),
        MessageStepKind::Returned { timed_out: false } => "visible again: its consumer gave it back".to_owned(),
        MessageStepKind::DeadLettered(queue) => {
            let queue = outcome.queues.get(usize::from(queue.0)).map_or("", |queue| queue.name.as_str());
            format!("received more often than maxReceiveCount allows: moved to {queue}")
        }
        MessageStepKind::Deleted => "deleted".to_owned(),
        MessageStepKind::Repeated => {
            "visible again although deleted: a standard queue delivers at least once".to_owned()
        }
        MessageStepKind::Expired => "gone: older than the retention period".to_owned(),
        MessageStepKind::Removed => "gone: by a purge, with its queue, or sent again by a move task".to_owned(),
    };
    Step { at: since_start(step.at), text }
}
