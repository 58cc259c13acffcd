//! `explain RUN OBJECT`: the decisions that led to one object, in order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};

use crate::cli::terminal::Terminal;
use crate::cluster::Rule;
use crate::report::numbers::{count, span};
use crate::telemetry::Factor;
use crate::time::Duration;

use super::{Decision, message};

/// Most decisions that are listed of one object.
const LISTED: usize = 60;

/// What is explained.
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Object {
    /// A pod: why it was created, where it went, what it waited for, why it ended
    Pod {
        /// Its name, as in pods.csv
        name: String,
    },
    /// A node: why it was made, what it became, why it went
    Node {
        /// Its name, as in nodes.csv, or that of its NodeClaim or instance
        name: String,
    },
    /// What stood at a time: the last decision about each object
    At {
        /// The time, such as 12m
        #[arg(value_parser = super::time)]
        time: Duration,
    },
    /// What HPAs decided, with KEDA's part
    Hpa {
        /// Its name, or its Deployment's; all when absent
        name: Option<String>,
    },
    /// A Deployment: who scaled it and why
    Deployment {
        /// Its name
        name: String,
    },
    /// A message: what it waited for, who received it, what became of it; the scenario is run again for it
    Message(message::Arguments),
}

/// A run to explain.
pub(super) struct Run<'a> {
    /// What the user named: the scenario, or the folder of results.
    pub file: &'a Path,
    /// Where its results are.
    pub folder: &'a Path,
}

/// Something that happened, without a decision: a step of a pod or node.
pub(super) struct Step {
    pub at: Duration,
    pub text: String,
}

/// A story: steps and decisions, in order of time.
pub(super) struct Story<'a> {
    pub title: String,
    /// What it comes to, before the details; lines, or nothing.
    pub summary: String,
    pub steps: Vec<Step>,
    pub decisions: Vec<&'a Decision>,
}

/// The explanation of an object; nothing when the scenario cannot run, which has been shown then.
pub(super) fn explain(
    run: &Run<'_>,
    object: &Object,
    decisions: &[Decision],
    terminal: &Terminal,
) -> anyhow::Result<Option<String>> {
    let folder = run.folder;
    let story = match object {
        Object::Pod { name } => pod(folder, name, decisions)?,
        Object::Node { name } => node(folder, name, decisions)?,
        Object::At { time } => at(folder, *time, decisions)?,
        Object::Hpa { name } => autoscalers(folder, name.as_deref(), "HorizontalPodAutoscaler/", decisions)?,
        Object::Deployment { name } => autoscalers(folder, Some(name), "Deployment/", decisions)?,
        Object::Message(arguments) => match message::message(folder, run.file, arguments, decisions, terminal)? {
            Some(story) => story,
            None => return Ok(None),
        },
    };
    Ok(Some(tell(story, terminal.color_out)))
}

pub(super) type Row = BTreeMap<String, String>;

pub(super) fn rows(folder: &Path, file: &str) -> anyhow::Result<Vec<Row>> {
    let path = folder.join(file);
    let shown = || format!("cannot read {}", path.display());
    let mut reader = csv::Reader::from_reader(File::open(&path).with_context(shown)?);
    let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
    rows.with_context(shown)
}

pub(super) fn field<'r>(row: &'r Row, key: &str) -> &'r str {
    row.get(key).map_or("", String::as_str)
}

pub(super) fn instant(row: &Row, key: &str) -> Option<Duration> {
    field(row, key).parse().ok().map(Duration::from_secs_f64)
}

/// Steps of a row that were reached, by column and what to call them.
fn steps(row: &Row, columns: &[(&str, &str)]) -> Vec<Step> {
    let step = |(key, text): &(&str, &str)| Some(Step { at: instant(row, key)?, text: (*text).to_owned() });
    columns.iter().filter_map(step).collect()
}

/// The numbers of the run.
pub(super) fn summary(folder: &Path) -> anyhow::Result<serde_json::Value> {
    let path = folder.join("summary.json");
    let shown = || format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(&path).with_context(shown)?;
    serde_json::from_str(&text).with_context(shown)
}

/// Who scales a workload: HPAs, ScaledObjects, ScaledJobs, as `summary.json` knows them; `workload` may be one of these, too.
pub(super) fn scalers(folder: &Path, workload: &str) -> anyhow::Result<BTreeSet<String>> {
    let summary = summary(folder)?;
    let workloads = summary["workloads"].as_array().into_iter().flatten();
    let mut found = BTreeSet::new();
    for known in workloads {
        let by = known["scaled_by"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
        let is_one = |by: &str| by.rsplit('/').next() == Some(workload);
        if known["name"] == workload || by.clone().any(is_one) {
            found.extend(by.map(str::to_owned));
        }
    }
    Ok(found)
}

/// The last decision of each of the subjects, up to a time, that changed a count.
pub(super) fn last_changes<'a>(
    decisions: &'a [Decision],
    subjects: &BTreeSet<String>,
    until: Duration,
) -> Vec<&'a Decision> {
    let mut last: BTreeMap<&str, &Decision> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.at <= until && subjects.contains(&decision.subject)) {
        if decision.from != decision.to {
            last.insert(&decision.subject, decision);
        }
    }
    last.into_values().collect()
}

pub(super) fn about<'a>(decisions: &'a [Decision], subjects: &BTreeSet<String>) -> impl Iterator<Item = &'a Decision> {
    decisions.iter().filter(move |decision| subjects.contains(&decision.subject))
}

pub(super) fn pod<'a>(folder: &Path, name: &str, decisions: &'a [Decision]) -> anyhow::Result<Story<'a>> {
    let pods = rows(folder, "pods.csv")?;
    let Some(row) = pods.iter().find(|row| field(row, "name") == name) else {
        bail!("there was no pod `{name}`: see pods.csv in {}", folder.display());
    };
    let (workload, of_node) = (field(row, "workload"), field(row, "node"));
    let created = instant(row, "created_s").unwrap_or(Duration::ZERO);
    let mut scalers = scalers(folder, workload)?;
    scalers.insert(format!("Deployment/{workload}"));
    let mut found = last_changes(decisions, &scalers, created);
    found.extend(about(decisions, &BTreeSet::from([format!("Pod/{name}")])));
    if let Some(node) =
        rows(folder, "nodes.csv")?.iter().find(|row| !of_node.is_empty() && field(row, "name") == of_node)
    {
        let claim = format!("NodeClaim/{}", field(node, "node_claim"));
        let ended = instant(row, "ended_s").unwrap_or(Duration::MAX);
        let bound = instant(row, "scheduled_s").unwrap_or(Duration::MAX);
        let evicted = ["Evicted", "NodeLost"].contains(&field(row, "reason"));
        found.extend(about(decisions, &BTreeSet::from([claim])).filter(|decision| {
            let made = decision.at >= created && decision.at <= bound;
            made || (evicted && decision.at > bound && decision.at <= ended && decision.action != "hold")
        }));
    }
    if field(row, "reason") == "ScaledDown" {
        let stopping = instant(row, "stopping_s").unwrap_or(Duration::MAX);
        found.extend(last_changes(decisions, &scalers, stopping).into_iter().filter(|decision| decision.at > created));
    }
    let ended = format!("ended: {}", field(row, "reason"));
    let columns = [
        ("created_s", "created"),
        ("scheduled_s", "on its node"),
        ("image_pulled_s", "its images are there"),
        ("started_s", "its containers run"),
        ("ready_s", "ready"),
        ("stopping_s", "asked to stop"),
        ("ended_s", ended.as_str()),
    ];
    let place = if of_node.is_empty() { "on no node".to_owned() } else { format!("on node {of_node}") };
    Ok(Story {
        title: format!("Pod {name} of {workload}, {place}"),
        summary: String::new(),
        steps: steps(row, &columns),
        decisions: found,
    })
}

fn node<'a>(folder: &Path, name: &str, decisions: &'a [Decision]) -> anyhow::Result<Story<'a>> {
    let nodes = rows(folder, "nodes.csv")?;
    let is_it = |row: &&Row| ["name", "node_claim", "instance"].iter().any(|key| field(row, key) == name);
    let Some(row) = nodes.iter().find(is_it) else {
        bail!("there was no node `{name}`: see nodes.csv in {}", folder.display());
    };
    let node = field(row, "name");
    let subjects = [("Node", node), ("NodeClaim", field(row, "node_claim")), ("Instance", field(row, "instance"))];
    let subjects = subjects.map(|(kind, name)| format!("{kind}/{name}")).into();
    let claimed = instant(row, "claimed_s").unwrap_or(Duration::ZERO);
    let mut found: Vec<&Decision> = about(decisions, &subjects).collect();
    if !field(row, "node_claim").is_empty() {
        let plan =
            decisions.iter().rev().find(|decision| decision.at <= claimed && decision.rule == Rule::Solve.name());
        found.extend(plan);
    }
    let removed = format!("gone: {}", field(row, "reason"));
    let columns = [
        ("claimed_s", "asked for"),
        ("launched_s", "its instance runs: billing starts"),
        ("registered_s", "joined the cluster"),
        ("ready_s", "ready for pods"),
        ("interrupted_s", "Spot interruption notice"),
        ("draining_s", "its deletion begins"),
        ("terminated_s", "its instance shut down: billing ends"),
        ("removed_s", removed.as_str()),
    ];
    let pods = rows(folder, "pods.csv")?.iter().filter(|pod| field(pod, "node") == node).count();
    let title = format!(
        "Node {node}: {} ({}) in {}, {pods} pods over its life, cost ${:.4}",
        field(row, "instance_type"),
        field(row, "capacity_type"),
        field(row, "zone"),
        field(row, "cost_usd").parse::<f64>().unwrap_or(0.0),
    );
    Ok(Story { title, summary: String::new(), steps: steps(row, &columns), decisions: found })
}

fn at<'a>(folder: &Path, time: Duration, decisions: &'a [Decision]) -> anyhow::Result<Story<'a>> {
    let timeline = rows(folder, "timeline.csv")?;
    let row = timeline.iter().rev().find(|row| instant(row, "time_s").is_some_and(|at| at <= time));
    let summary = row.map_or_else(String::new, |row| {
        let known = Factor::ALL.into_iter().find(|factor| factor.key() == field(row, "limiting_factor"));
        let factor = known.map_or("nothing waits".to_owned(), |factor| {
            format!("the backlog waits for: {} (less with {})", factor.label(), factor.advice())
        });
        let number = |key: &str| field(row, key).parse().map_or_else(|_| field(row, key).to_owned(), count);
        let counts = |what: &str, keys: &[(&str, &str)]| {
            let all: Vec<String> = keys.iter().map(|(key, name)| format!("{} {name}", number(key))).collect();
            format!("{what:<9} {}\n", all.join(", "))
        };
        let messages = counts("messages", &[("visible_messages", "visible"), ("in_flight_messages", "in flight")]);
        let pods = [
            ("desired_pods", "wanted"),
            ("pending_pods", "pending"),
            ("starting_pods", "starting"),
            ("ready_pods", "ready"),
        ];
        let nodes = counts("nodes", &[("booting_nodes", "booting"), ("ready_nodes", "ready")]);
        format!("{messages}{}{nodes}{:<9} {factor}\n", counts("pods", &pods), "limit")
    });
    let title = format!("At {}", span(time));
    let mut last: BTreeMap<(&str, &str), &Decision> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.at <= time) {
        // Single pods, nodes and Jobs are many: of these the last of each controller stands for all.
        let single = ["Pod/", "Node/", "NodeClaim/", "Instance/", "Job/"];
        let group = single.iter().find(|kind| decision.subject.starts_with(**kind));
        last.insert((&decision.controller, group.copied().unwrap_or(&decision.subject)), decision);
    }
    Ok(Story { title, summary, steps: Vec::new(), decisions: last.into_values().collect() })
}

fn autoscalers<'a>(
    folder: &Path,
    name: Option<&str>,
    kind: &str,
    decisions: &'a [Decision],
) -> anyhow::Result<Story<'a>> {
    let mut subjects = BTreeSet::new();
    match name {
        Some(name) => {
            subjects.extend(scalers(folder, name)?);
            subjects.extend([format!("{kind}{name}"), format!("Deployment/{name}")]);
        }
        None => {
            let all = decisions.iter().map(|decision| &decision.subject);
            subjects.extend(all.filter(|subject| subject.starts_with(kind)).cloned());
        }
    }
    let found: Vec<&Decision> = about(decisions, &subjects).collect();
    if found.is_empty() {
        bail!("nothing was decided about {kind}{}", name.unwrap_or("*"));
    }
    let title = name.map_or_else(|| "All HPAs".to_owned(), |name| format!("{kind}{name} and what scales it"));
    let summary = "Metric values are per pod, in Kubernetes' notation: 142518m is 142.518.\n".to_owned();
    Ok(Story { title, summary, steps: Vec::new(), decisions: found })
}

/// Decisions that hold an object where it is, without a count that they prevent: told once, with how often they came again for
/// the same reason, whatever its numbers.
fn fold<'a>(decisions: &[&'a Decision]) -> Vec<(&'a Decision, usize, Duration)> {
    let mut told: Vec<(&Decision, usize, Duration)> = Vec::new();
    let reason = |d: &Decision| d.detail.replace(|c: char| c.is_ascii_digit(), "");
    let key = |d: &'a Decision| (&d.controller, &d.subject, &d.action, &d.rule, &d.from, &d.to, reason(d));
    for &decision in decisions {
        let holds = ["hold", "blocked"].contains(&decision.action.as_str()) && decision.wanted.is_empty();
        match told.iter_mut().find(|(first, ..)| holds && key(first) == key(decision)) {
            Some((_, again, last)) => (*again, *last) = (*again + 1, decision.at),
            None => told.push((decision, 0, decision.at)),
        }
    }
    told
}

/// Tells a story; each rule is explained where it comes first.
fn tell(mut story: Story<'_>, color: bool) -> String {
    let (bold, plain) = if color { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    // Within an instant, in the order of the log.
    story.decisions.sort_by_key(|decision| (decision.at, std::ptr::from_ref::<Decision>(decision).addr()));
    story.decisions.dedup_by(|a, b| std::ptr::eq(*a, *b));
    let mut text = format!("{bold}{}{plain}\n\n", story.title);
    if !story.summary.is_empty() {
        let _ = writeln!(text, "{}", story.summary);
    }
    let mut steps = story.steps.into_iter().peekable();
    let mut known = BTreeSet::new();
    let decisions = fold(&story.decisions);
    for &(decision, again, last) in decisions.iter().take(LISTED) {
        while let Some(step) = steps.next_if(|step| step.at < decision.at) {
            let _ = writeln!(text, "{:>8}  {}", span(step.at), step.text);
        }
        super::line(&mut text, decision, color);
        if again > 0 {
            let times = if again == 1 { "once more".to_owned() } else { format!("{again} times more") };
            let _ = writeln!(text, "{:>10}({times} by {})", "", span(last));
        }
        if let Some(rule) = Rule::parse(&decision.rule) {
            background(&mut text, rule, decision, known.insert(rule));
        }
    }
    for step in steps {
        let _ = writeln!(text, "{:>8}  {}", span(step.at), step.text);
    }
    if decisions.len() > LISTED {
        let _ = writeln!(
            text,
            "... and {} more decisions: narrow them down with --from, --to, --rule",
            decisions.len() - LISTED
        );
    }
    text
}

fn background(text: &mut String, rule: Rule, decision: &Decision, first: bool) {
    let wanted = decision.wanted.parse().ok();
    if first {
        let (file, section) = rule.page().place();
        let _ = writeln!(text, "{:>10}rule: {} ({}; {file}: {section})", "", rule.meaning(), rule.upstream());
    }
    if first || wanted.is_some() {
        let _ = writeln!(text, "{:>10}otherwise: {}", "", rule.otherwise(wanted));
    }
}
