//! `decisions.csv`, `nodes.csv`, `pods.csv`: one row an event or object.

use std::io::Write;

use crate::cluster::catalogue::CapacityType;
use crate::cluster::{Controller, Counts};
use crate::telemetry::{Blame, NodeRecord, Outcome, PodRecord, series};
use crate::time::Time;

/// Columns of `decisions.csv`.
pub const DECISION_COLUMNS: [&str; 9] =
    ["time_s", "controller", "subject", "action", "rule", "from", "to", "wanted", "detail"];

/// Columns of `blame.csv`.
pub const BLAME_COLUMNS: [&str; 4] = ["queue", "factor", "message_s", "fraction"];

/// Columns of `nodes.csv`.
pub const NODE_COLUMNS: [&str; 29] = [
    "name",
    "node_pool",
    "instance_type",
    "zone",
    "capacity_type",
    "cpu_milli",
    "memory_bytes",
    "allocatable_cpu_milli",
    "allocatable_memory_bytes",
    "claimed_s",
    "launched_s",
    "registered_s",
    "ready_s",
    "interrupted_s",
    "draining_s",
    "terminated_s",
    "removed_s",
    "reason",
    "billed_s",
    "cost_usd",
    "useful_usd",
    "redone_usd",
    "idle_usd",
    "empty_usd",
    "boot_usd",
    "draining_usd",
    "overhead_usd",
    "node_claim",
    "instance",
];

/// Columns of `pods.csv`.
pub const POD_COLUMNS: [&str; 11] = [
    "name",
    "workload",
    "node",
    "created_s",
    "scheduled_s",
    "image_pulled_s",
    "started_s",
    "ready_s",
    "stopping_s",
    "ended_s",
    "reason",
];

/// Writes the decision log.
///
/// # Errors
/// When the output cannot be written.
pub fn write_decisions(outcome: &Outcome, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(DECISION_COLUMNS)?;
    for decision in &outcome.decisions {
        let Counts { from, to, wanted } = decision.counts();
        writer.write_record([
            &seconds(Some(decision.at)),
            controller_key(decision.controller),
            &outcome.subject(decision),
            decision.action.as_str(),
            decision.rule.name(),
            &from.map(|count| count.to_string()).unwrap_or_default(),
            &to.map(|count| count.to_string()).unwrap_or_default(),
            &wanted.map(|count| count.to_string()).unwrap_or_default(),
            &outcome.detail(decision),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

/// Writes what the backlogs waited for: each queue, and all together under an empty name where there are several.
///
/// # Errors
/// When the output cannot be written.
pub fn write_blame(outcome: &Outcome, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(BLAME_COLUMNS)?;
    let mut all = Blame::default();
    for queue in &outcome.queues {
        all.add(&queue.blame);
    }
    let queues = outcome.queues.iter().map(|queue| (queue.name.as_str(), &queue.blame));
    let together = (outcome.queues.len() > 1).then_some(("", &all));
    for (name, blame) in queues.chain(together) {
        for (factor, micros, share) in blame.ranking() {
            let message_s = format!("{:.3}", series::seconds(micros));
            writer.write_record([name, factor.key(), &message_s, &format!("{share:.12}")])?;
        }
    }
    writer.flush()?;
    Ok(())
}

/// Writes the life of each node.
///
/// # Errors
/// When the output cannot be written.
pub fn write_nodes(outcome: &Outcome, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(NODE_COLUMNS)?;
    for node in &outcome.nodes {
        writer.write_record(node_row(node, outcome.end))?;
    }
    writer.flush()?;
    Ok(())
}

/// Writes the path of each pod.
///
/// # Errors
/// When the output cannot be written.
pub fn write_pods(outcome: &Outcome, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(POD_COLUMNS)?;
    for pod in &outcome.pods {
        writer.write_record(pod_row(pod, outcome))?;
    }
    writer.flush()?;
    Ok(())
}

/// The name of a controller in files.
#[must_use]
pub const fn controller_key(controller: Controller) -> &'static str {
    match controller {
        Controller::User => "user",
        Controller::Keda => "keda",
        Controller::Hpa => "hpa",
        Controller::ReplicaSet => "replicaset",
        Controller::Scheduler => "scheduler",
        Controller::Kubelet => "kubelet",
        Controller::Provisioner => "karpenter.provisioner",
        Controller::NodeLifecycle => "karpenter.lifecycle",
        Controller::Disruption => "karpenter.disruption",
        Controller::ClusterAutoscaler => "cluster-autoscaler",
        Controller::Fargate => "fargate-scheduler",
        Controller::Ec2 => "ec2",
    }
}

fn seconds(time: Option<Time>) -> String {
    time.map(|time| time.as_secs_f64().to_string()).unwrap_or_default()
}

fn node_row(node: &NodeRecord, end: Time) -> [String; NODE_COLUMNS.len()] {
    let info = &node.info;
    let cost = node.bill.as_ref().map(|bill| (bill.billed(end), bill.cost(end)));
    let money = |of: fn(&crate::telemetry::ledger::Split) -> crate::units::Usd| {
        cost.as_ref().map(|(_, split)| of(split).as_f64().to_string()).unwrap_or_default()
    };
    [
        info.name.clone(),
        info.pool.clone(),
        info.instance_type.clone(),
        info.zone.clone(),
        info.capacity_type.map_or("", CapacityType::as_str).to_owned(),
        info.capacity.cpu().milli().to_string(),
        info.capacity.memory().bytes().to_string(),
        info.allocatable.cpu().milli().to_string(),
        info.allocatable.memory().bytes().to_string(),
        seconds(Some(node.claimed)),
        seconds(node.launched),
        seconds(node.registered),
        seconds(node.ready),
        seconds(node.interrupted),
        seconds(node.draining),
        seconds(node.terminated),
        seconds(node.removed),
        node.reason.clone(),
        cost.as_ref().map(|(billed, _)| billed.as_secs_f64().to_string()).unwrap_or_default(),
        money(|split| split.total),
        money(|split| split.useful),
        money(|split| split.redone),
        money(|split| split.idle),
        money(|split| split.empty),
        money(|split| split.boot),
        money(|split| split.draining),
        money(|split| split.overhead),
        node.claim.clone(),
        node.instance.clone(),
    ]
}

fn pod_row(pod: &PodRecord, outcome: &Outcome) -> [String; POD_COLUMNS.len()] {
    let workload = pod.workload.map(|key| outcome.workloads[key.0 as usize].name.clone());
    let node = pod.node.map(|key| outcome.nodes[key.0 as usize].info.name.clone());
    [
        outcome.pod_name(pod),
        workload.unwrap_or_default(),
        node.unwrap_or_default(),
        seconds(Some(pod.created)),
        seconds(pod.scheduled),
        seconds(pod.pulled),
        seconds(pod.started),
        seconds(pod.ready),
        seconds(pod.stopping),
        seconds(pod.ended),
        pod.reason().to_owned(),
    ]
}
