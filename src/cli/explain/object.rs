//! `explain RUN OBJECT`: the decisions that led to one object, in order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};

use crate::cluster::Rule;
use crate::report::numbers::span;
use crate::time::Duration;

use super::Decision;

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
}

/// Something that happened, without a decision: a step of a pod or node.
struct Step {
    at: Duration,
    text: String,
}

/// A story: steps and decisions, in order of time.
struct Story<'a> {
    title: String,
    steps: Vec<Step>,
    decisions: Vec<&'a Decision>,
}

/// The explanation of an object; `folder` holds the results of the run.
pub(super) fn explain(folder: &Path, object: &Object, decisions: &[Decision], color: bool) -> anyhow::Result<String> {
    let story = match object {
        Object::Pod { name } => pod(folder, name, decisions)?,
        Object::Node { name } => node(folder, name, decisions)?,
        Object::At { time } => at(folder, *time, decisions)?,
        Object::Hpa { name } => autoscalers(folder, name.as_deref(), "HorizontalPodAutoscaler/", decisions)?,
        Object::Deployment { name } => autoscalers(folder, Some(name), "Deployment/", decisions)?,
    };
    Ok(tell(story, color))
}

type Row = BTreeMap<String, String>;

fn rows(folder: &Path, file: &str) -> anyhow::Result<Vec<Row>> {
    let path = folder.join(file);
    let shown = || format!("cannot read {}", path.display());
    let mut reader = csv::Reader::from_reader(File::open(&path).with_context(shown)?);
    let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
    rows.with_context(shown)
}

fn field<'r>(row: &'r Row, key: &str) -> &'r str {
    row.get(key).map_or("", String::as_str)
}

fn instant(row: &Row, key: &str) -> Option<Duration> {
    field(row, key).parse().ok().map(Duration::from_secs_f64)
}

/// Steps of a row that were reached, by column and what to call them.
fn steps(row: &Row, columns: &[(&str, &str)]) -> Vec<Step> {
    let step = |(key, text): &(&str, &str)| Some(Step { at: instant(row, key)?, text: (*text).to_owned() });
    columns.iter().filter_map(step).collect()
}

/// Who scales a workload: HPAs, ScaledObjects, ScaledJobs, as `summary.json` knows them; `workload` may be one of these, too.
fn scalers(folder: &Path, workload: &str) -> anyhow::Result<BTreeSet<String>> {
    let path = folder.join("summary.json");
    let shown = || format!("cannot read {}", path.display());
    let text = std::fs::read_to_string(&path).with_context(shown)?;
    let summary: serde_json::Value = serde_json::from_str(&text).with_context(shown)?;
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
fn last_changes<'a>(decisions: &'a [Decision], subjects: &BTreeSet<String>, until: Duration) -> Vec<&'a Decision> {
    let mut last: BTreeMap<&str, &Decision> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.at <= until && subjects.contains(&decision.subject)) {
        if decision.from != decision.to {
            last.insert(&decision.subject, decision);
        }
    }
    last.into_values().collect()
}

fn about<'a>(decisions: &'a [Decision], subjects: &BTreeSet<String>) -> impl Iterator<Item = &'a Decision> {
    decisions.iter().filter(move |decision| subjects.contains(&decision.subject))
}

fn pod<'a>(folder: &Path, name: &str, decisions: &'a [Decision]) -> anyhow::Result<Story<'a>> {
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
    Ok(Story { title: format!("Pod {name} of {workload}, {place}"), steps: steps(row, &columns), decisions: found })
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
        "Node {node}: {} ({}) in {}, {pods} pods over its life, cost ${}",
        field(row, "instance_type"),
        field(row, "capacity_type"),
        field(row, "zone"),
        field(row, "cost_usd"),
    );
    Ok(Story { title, steps: steps(row, &columns), decisions: found })
}

fn at<'a>(folder: &Path, time: Duration, decisions: &'a [Decision]) -> anyhow::Result<Story<'a>> {
    let timeline = rows(folder, "timeline.csv")?;
    let row = timeline.iter().rev().find(|row| instant(row, "time_s").is_some_and(|at| at <= time));
    let title = row.map_or_else(String::new, |row| {
        let factor = field(row, "limiting_factor");
        let factor = if factor.is_empty() { "nothing" } else { factor };
        format!(
            "At {}: {} messages visible, {} in flight; pods: {} wanted, {} pending, {} starting, {} ready; nodes: {} booting, {} ready; limited by {factor}",
            span(time),
            field(row, "visible_messages"),
            field(row, "in_flight_messages"),
            field(row, "desired_pods"),
            field(row, "pending_pods"),
            field(row, "starting_pods"),
            field(row, "ready_pods"),
            field(row, "booting_nodes"),
            field(row, "ready_nodes"),
        )
    });
    let mut last: BTreeMap<(&str, &str), &Decision> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.at <= time) {
        // Single pods, nodes and Jobs are many: of these the last of each controller stands for all.
        let single = ["Pod/", "Node/", "NodeClaim/", "Instance/", "Job/"];
        let group = single.iter().find(|kind| decision.subject.starts_with(**kind));
        last.insert((&decision.controller, group.copied().unwrap_or(&decision.subject)), decision);
    }
    Ok(Story { title, steps: Vec::new(), decisions: last.into_values().collect() })
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
    Ok(Story { title, steps: Vec::new(), decisions: found })
}

/// Tells a story; each rule is explained where it comes first.
fn tell(mut story: Story<'_>, color: bool) -> String {
    let (bold, plain) = if color { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    // Within an instant, in the order of the log.
    story.decisions.sort_by_key(|decision| (decision.at, std::ptr::from_ref::<Decision>(decision).addr()));
    story.decisions.dedup_by(|a, b| std::ptr::eq(*a, *b));
    let mut text = format!("{bold}{}{plain}\n\n", story.title);
    let mut steps = story.steps.into_iter().peekable();
    let mut known = BTreeSet::new();
    for decision in story.decisions.iter().take(LISTED) {
        while let Some(step) = steps.next_if(|step| step.at < decision.at) {
            let _ = writeln!(text, "{:>8}  {}", span(step.at), step.text);
        }
        super::line(&mut text, decision, color);
        if let Some(rule) = Rule::parse(&decision.rule) {
            background(&mut text, rule, decision, known.insert(rule));
        }
    }
    for step in steps {
        let _ = writeln!(text, "{:>8}  {}", span(step.at), step.text);
    }
    if story.decisions.len() > LISTED {
        let _ = writeln!(
            text,
            "... and {} more decisions: narrow them down with --from, --to, --rule",
            story.decisions.len() - LISTED
        );
    }
    text
}

fn background(text: &mut String, rule: Rule, decision: &Decision, first: bool) {
    let wanted = decision.wanted.parse().ok();
    if first {
        let _ = writeln!(text, "{:>10}rule: {} ({}; {})", "", rule.meaning(), rule.upstream(), rule.page().path());
    }
    if first || wanted.is_some() {
        let _ = writeln!(text, "{:>10}otherwise: {}", "", rule.otherwise(wanted));
    }
}
