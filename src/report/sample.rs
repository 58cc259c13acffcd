//! An outcome made up for tests: a burst on a queue, a slow start, Spot nodes of which one is interrupted.

use crate::cluster::catalogue::CapacityType;
use crate::cluster::pod::{EndReason, Owner};
use crate::cluster::{Action, Controller, Counts, Decision, DeploymentId, HpaId, PodId, QueueId, Rule, Subject};
use crate::telemetry::ledger::{Bill, Shares, Usage};
use crate::telemetry::{
    Blame, Durations, Ended, HpaBrake, Mark, MarkKind, NodeInfo, NodeKey, NodeRecord, Outcome, PodRecord, QueueRecord,
    QueueTotals, RunInfo, Series, Snapshot, Stuck, Total, WorkloadKey, WorkloadRecord,
};
use crate::time::{Duration, Time};
use crate::units::{Cpu, Memory, Resources, Usd};

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

/// Forty minutes of an order queue.
pub fn outcome() -> Outcome {
    let mut outcome = Outcome {
        run: RunInfo {
            scenario: "front-page".to_owned(),
            region: "us-east-1".to_owned(),
            seed: 42,
            ..RunInfo::default()
        },
        end: at(2400.0),
        ended: Ended::Duration,
        ..Outcome::default()
    };
    outcome.nodes = (0..18).map(node).collect();
    outcome.pods = (0..100).map(pod).collect();
    outcome.workloads.push(workload());
    outcome.queues.push(queue(&outcome));
    for (second, kind, text) in [
        (300.0, MarkKind::Scenario, "burst of 200,000 messages"),
        (415.0, MarkKind::Limit, "maxReplicaCount reached"),
        (520.0, MarkKind::LaunchFailed, "no capacity at EC2"),
        (1000.0, MarkKind::Interruption, "Spot interruption of c6i.2xlarge"),
        (2100.0, MarkKind::Disruption, "Empty"),
        (2103.0, MarkKind::Disruption, "Empty"),
        (2180.0, MarkKind::Disruption, "Underutilized"),
    ] {
        outcome.marks.push(Mark { at: at(second), kind, text: text.to_owned() });
    }
    outcome.names.deployments.push("orders".to_owned());
    outcome.names.hpas.push("keda-hpa-orders".to_owned());
    let (subject, rule) = (Subject::Hpa(HpaId(0)), Rule::ScaleUpLimit);
    let decision = Decision::plain(at(330.0), Controller::Hpa, subject, Action::Scale, rule, "wants 100, allowed 8");
    outcome.decisions.push(decision.about(Counts { wanted: Some(100), ..Counts::change(4, 8) }));
    outcome
}

fn node(index: usize) -> NodeRecord {
    let types = ["c6i.2xlarge", "c7g.4xlarge", "m5.2xlarge"];
    let (price, cpu) = [(0.14, 8), (0.21, 16), (0.384, 8)][index % 3];
    let capacity_type = if index % 3 == 2 { CapacityType::OnDemand } else { CapacityType::Spot };
    let claimed = if index < 2 { 0.0 } else { 340.0 + 11.0 * index as f64 };
    let launched = claimed + if index < 2 { 0.0 } else { 6.0 };
    let ready = launched + if index < 2 { 0.0 } else { 32.0 + index as f64 };
    let draining = match index {
        0..2 => None,
        5 => Some(1000.0),
        _ => Some(2080.0 + 9.0 * index as f64),
    };
    let capacity = Resources::new(Cpu::from_milli(cpu * 1000), Memory::from_mib(cpu * 2048));
    let allocatable = Resources::new(Cpu::from_milli(cpu * 1000 - 90), Memory::from_mib(cpu * 1900));
    let shares = |workload_ppm| Shares { workload_ppm, overhead_ppm: 40_000, occupied: workload_ppm > 0 };
    let mut bill = Bill::new(at(launched), capacity_type, Usd::from_f64(price));
    bill.usage_changed(at(ready), Usage::Node(shares(0)));
    bill.usage_changed(at(ready + 2.0), Usage::Node(shares(780_000)));
    bill.usage_changed(at(1980.0), Usage::Node(shares(0)));
    if let Some(draining) = draining {
        bill.usage_changed(at(draining), Usage::Draining(shares(0)));
        bill.end(at(draining + 15.0));
    }
    let mut requested_cpu = Series::default();
    requested_cpu.record(at(ready + 2.0), cpu * 780);
    requested_cpu.record(at(1980.0), 0);
    NodeRecord {
        info: NodeInfo {
            name: format!("node-{index}"),
            pool: if index < 2 { String::new() } else { "workers".to_owned() },
            instance_type: types[index % 3].to_owned(),
            zone: "us-east-1a".to_owned(),
            capacity_type: Some(capacity_type),
            capacity,
            allocatable,
        },
        claim: if index < 2 { String::new() } else { format!("workers-{index}") },
        instance: format!("i-{index:08x}"),
        reservation: None,
        claimed: at(claimed),
        launched: Some(at(launched)),
        registered: Some(at(ready - 5.0_f64.min(ready))),
        ready: Some(at(ready)),
        interrupted: (index == 5).then(|| at(1000.0)),
        draining: draining.map(at),
        terminated: draining.map(|draining| at(draining + 15.0)),
        removed: draining.map(|draining| at(draining + 45.0)),
        reason: match index {
            0..2 => "",
            5 => "Interrupted",
            17 => "Underutilized",
            _ => "Empty",
        }
        .to_owned(),
        bill: Some(bill),
        requested_cpu,
        requested_memory: Series::default(),
    }
}

fn pod(index: usize) -> PodRecord {
    let created = if index < 2 { 0.0 } else { 315.0 + 15.0 * (index as f64).log2().floor() };
    let scheduled = created + if index < 4 { 0.1 } else { 45.0 + index as f64 };
    let stopping = 2000.0 + (index / 10) as f64;
    let gone = index >= 2;
    PodRecord {
        id: PodId(index as u32),
        owner: Owner::Deployment(DeploymentId(0)),
        workload: Some(WorkloadKey(0)),
        node: Some(NodeKey((index % 18) as u32)),
        created: at(created),
        scheduled: Some(at(scheduled)),
        pulled: Some(at(scheduled + 6.0)),
        started: Some(at(scheduled + 7.0)),
        ready: Some(at(scheduled + 9.0)),
        unready: Vec::new(),
        stopping: gone.then(|| at(stopping)),
        ended: gone.then(|| at(stopping + 12.0)),
        end: gone.then_some(EndReason::ScaledDown),
    }
}

fn workload() -> WorkloadRecord {
    let mut record = WorkloadRecord { name: "orders".to_owned(), queue: Some(QueueId(0)), ..WorkloadRecord::default() };
    for (second, replicas) in
        [(0.0, 2), (330.0, 4), (345.0, 8), (360.0, 16), (375.0, 32), (390.0, 64), (405.0, 100), (2000.0, 2)]
    {
        record.desired.record(at(second), replicas);
    }
    record
}

fn queue(outcome: &Outcome) -> QueueRecord {
    let ready = outcome.pods_ready(None);
    let pending = outcome.pods_pending(None);
    let starting = outcome.pods_starting(None);
    let mut record = QueueRecord {
        name: "orders".to_owned(),
        price_per_million_requests: Usd::from_f64(0.4),
        ..QueueRecord::default()
    };
    let (mut wait, mut sojourn) = (Durations::default(), Durations::default());
    let mut blame = Blame::default();
    let (mut sent, mut processed) = (0_i64, 0_i64);
    let mut last_processed = None;
    for second in 0..2400_i64 {
        let now = at(second as f64);
        let arriving = 10 + if (300..540).contains(&second) { 833 } else { 0 };
        let consumers = ready.at(now);
        let able = (consumers * 23 / 10).max(0);
        sent += arriving;
        let done = able.min(sent - processed);
        processed += done;
        let in_flight = (consumers * 10).min(sent - processed);
        let visible = sent - processed - in_flight;
        let delay = Duration::from_millis(visible * 1000 / able.max(1) + 20);
        wait.record_n(delay, arriving as u64);
        sojourn.record_n(delay + Duration::from_millis(430), done as u64);
        if done > 0 {
            last_processed = Some(now);
        }
        record.visible.record(now, visible);
        record.in_flight.record(now, in_flight);
        record.oldest_age.record(now, if visible > 0 { delay.as_micros() } else { 0 });
        record.sent.record(now, sent);
        record.processed.record(now, processed);
        let desired = outcome.workloads[0].desired.at(now);
        blame.observe(
            now,
            &Snapshot {
                receivable: visible,
                needed: (visible + in_flight) / 10,
                desired,
                max: 100,
                brake: if desired < 100 { HpaBrake::Policy } else { HpaBrake::None },
                stuck: Stuck { node_boot: pending.at(now), pod_start: starting.at(now), ..Stuck::default() },
                ..Snapshot::default()
            },
        );
    }
    blame.finish(outcome.end);
    record.totals = QueueTotals {
        sent: sent as u64,
        received: processed as u64 + 12,
        processed: processed as u64,
        expired: 12,
        duplicates: 3,
        left: (sent - processed) as u64,
        requests: processed as u64 * 3 / 4,
        last_sent: Some(at(2399.0)),
        first_processed: Some(at(1.2)),
        last_processed,
        ..QueueTotals::default()
    };
    (record.wait, record.sojourn, record.blame) = (wait, sojourn, blame);
    let total = |series: &Series| Total { warm_up: 0, whole: series.integral(outcome.end) };
    (record.visible_total, record.in_flight_total) = (total(&record.visible), total(&record.in_flight));
    record
}
