//! Where a run writes down what happens.

use crate::time::Time;
use crate::units::{Resources, Usd};

use super::blame::Snapshot;
use super::histogram::Durations;
use super::ledger::{Bill, Usage};
use super::outcome::{
    DecisionRecord, Mark, MarkKind, NodeInfo, NodeKey, NodeRecord, NodeStep, Outcome, PodKey, PodRecord, PodStep, QueueKey,
    QueueRecord, QueueSample, QueueTotals, RunInfo, WorkloadKey, WorkloadRecord,
};
use super::series::Series;

/// Collects an [`Outcome`]. All calls come in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    outcome: Outcome,
}

impl Recorder {
    /// An empty record of that run.
    #[must_use]
    pub fn new(run: RunInfo) -> Recorder {
        Recorder { outcome: Outcome { run, ..Outcome::default() } }
    }

    /// Adds a queue, whose requests cost `price_per_million_requests`.
    pub fn add_queue(&mut self, name: impl Into<String>, price_per_million_requests: Usd) -> QueueKey {
        self.outcome.queues.push(QueueRecord { name: name.into(), price_per_million_requests, ..QueueRecord::default() });
        QueueKey(self.outcome.queues.len() as u32 - 1)
    }

    /// Adds a workload, which may consume a queue.
    pub fn add_workload(&mut self, name: impl Into<String>, queue: Option<QueueKey>) -> WorkloadKey {
        self.outcome.workloads.push(WorkloadRecord { name: name.into(), queue, ..WorkloadRecord::default() });
        WorkloadKey(self.outcome.workloads.len() as u32 - 1)
    }

    /// How the queue looks at `now`.
    pub fn queue_sample(&mut self, now: Time, queue: QueueKey, sample: QueueSample) {
        let record = &mut self.outcome.queues[queue.0 as usize];
        record.visible.record(now, sample.visible);
        record.in_flight.record(now, sample.in_flight);
        record.delayed.record(now, sample.delayed);
        record.oldest_age.record(now, sample.oldest_age.as_micros());
        record.sent.record(now, sample.sent);
        record.processed.record(now, sample.processed);
        record.dead_lettered.record(now, sample.dead_lettered);
    }

    /// What the queue's backlog waits for from `now` on. To be called at the beginning and whenever the control plane acted.
    pub fn blame(&mut self, now: Time, queue: QueueKey, seen: &Snapshot) {
        self.outcome.queues[queue.0 as usize].blame.observe(now, seen);
    }

    /// The final counts of a queue: to be called once, before [`Recorder::finish`].
    pub fn queue_totals(&mut self, queue: QueueKey, totals: QueueTotals, wait: Durations, sojourn: Durations) {
        let record = &mut self.outcome.queues[queue.0 as usize];
        (record.totals, record.wait, record.sojourn) = (totals, wait, sojourn);
    }

    /// The workload wants `replicas` from `now` on.
    pub fn desired_replicas(&mut self, now: Time, workload: WorkloadKey, replicas: i64) {
        self.outcome.workloads[workload.0 as usize].desired.record(now, replicas);
    }

    /// So many consumers of the workload are at work from `now` on.
    pub fn busy_consumers(&mut self, now: Time, workload: WorkloadKey, consumers: i64) {
        self.outcome.workloads[workload.0 as usize].busy.record(now, consumers);
    }

    /// A pod was created; `None` = a system pod.
    pub fn pod_created(&mut self, now: Time, name: impl Into<String>, workload: Option<WorkloadKey>) -> PodKey {
        self.outcome.pods.push(PodRecord {
            name: name.into(),
            workload,
            node: None,
            created: now,
            scheduled: None,
            pulled: None,
            started: None,
            ready: None,
            stopping: None,
            ended: None,
            reason: String::new(),
        });
        PodKey(self.outcome.pods.len() as u32 - 1)
    }

    /// A pod took a step. The first time of a step counts.
    pub fn pod_step(&mut self, now: Time, pod: PodKey, step: PodStep) {
        let record = &mut self.outcome.pods[pod.0 as usize];
        if let PodStep::Scheduled(node) = step {
            record.node.get_or_insert(node);
        }
        let instant = match step {
            PodStep::Scheduled(_) => &mut record.scheduled,
            PodStep::Pulled => &mut record.pulled,
            PodStep::Started => &mut record.started,
            PodStep::Ready => &mut record.ready,
            PodStep::Stopping => &mut record.stopping,
            PodStep::Ended => &mut record.ended,
        };
        instant.get_or_insert(now);
    }

    /// Why a pod stops. The first reason counts.
    pub fn pod_reason(&mut self, pod: PodKey, reason: impl Into<String>) {
        let record = &mut self.outcome.pods[pod.0 as usize];
        if record.reason.is_empty() {
            record.reason = reason.into();
        }
    }

    /// A node was asked for (its NodeClaim created, its group scaled up), or is there from the beginning.
    pub fn node_claimed(&mut self, now: Time, info: NodeInfo) -> NodeKey {
        self.outcome.nodes.push(NodeRecord {
            info,
            claimed: now,
            launched: None,
            registered: None,
            ready: None,
            interrupted: None,
            draining: None,
            terminated: None,
            removed: None,
            reason: String::new(),
            bill: None,
            requested_cpu: Series::default(),
            requested_memory: Series::default(),
        });
        NodeKey(self.outcome.nodes.len() as u32 - 1)
    }

    /// What the node became, if the launch decided (type, zone, price): to be called before [`NodeStep::Launched`].
    pub fn node_info(&mut self, node: NodeKey, info: NodeInfo) {
        self.outcome.nodes[node.0 as usize].info = info;
    }

    /// A node took a step. The first time of a step counts.
    pub fn node_step(&mut self, now: Time, node: NodeKey, step: NodeStep) {
        let record = &mut self.outcome.nodes[node.0 as usize];
        match step {
            NodeStep::Launched if record.launched.is_none() => {
                record.bill = Some(Bill::new(now, record.info.capacity_type, record.info.price));
            }
            NodeStep::Ready if record.ready.is_none() => {
                record.ready = Some(now);
                self.node_usage(now, node, &Resources::ZERO, &Resources::ZERO);
            }
            NodeStep::Terminated | NodeStep::Removed => {
                if let Some(bill) = &mut record.bill {
                    bill.end(now);
                }
            }
            _ => {}
        }
        let record = &mut self.outcome.nodes[node.0 as usize];
        let instant = match step {
            NodeStep::Launched => &mut record.launched,
            NodeStep::Registered => &mut record.registered,
            NodeStep::Ready => &mut record.ready,
            NodeStep::Interrupted => &mut record.interrupted,
            NodeStep::Draining => &mut record.draining,
            NodeStep::Terminated => &mut record.terminated,
            NodeStep::Removed => &mut record.removed,
        };
        instant.get_or_insert(now);
    }

    /// Why a node goes. The first reason counts.
    pub fn node_reason(&mut self, node: NodeKey, reason: impl Into<String>) {
        let record = &mut self.outcome.nodes[node.0 as usize];
        if record.reason.is_empty() {
            record.reason = reason.into();
        }
    }

    /// The pods bound to a node request this much from `now` on: `workload` pods and `system` pods (DaemonSets included).
    pub fn node_usage(&mut self, now: Time, node: NodeKey, workload: &Resources, system: &Resources) {
        let record = &mut self.outcome.nodes[node.0 as usize];
        let all = *workload + *system;
        record.requested_cpu.record(now, all.cpu().milli());
        record.requested_memory.record(now, all.memory().bytes());
        if let (Some(bill), true) = (&mut record.bill, record.ready.is_some()) {
            let usage = Usage::node(&record.info.capacity, &record.info.allocatable, workload, system);
            bill.usage_changed(now, usage);
        }
    }

    /// The node's price per hour from `now` on.
    pub fn node_price(&mut self, now: Time, node: NodeKey, price: Usd) {
        if let Some(bill) = &mut self.outcome.nodes[node.0 as usize].bill {
            bill.price_changed(now, price);
        }
    }

    /// A controller decided something, or was prevented.
    pub fn decision(&mut self, decision: DecisionRecord) {
        self.outcome.decisions.push(decision);
    }

    /// Something that charts should mark.
    pub fn mark(&mut self, now: Time, kind: MarkKind, text: impl Into<String>) {
        self.outcome.marks.push(Mark { at: now, kind, text: text.into() });
    }

    /// The run is over at `end`.
    #[must_use]
    pub fn finish(mut self, end: Time) -> Outcome {
        self.outcome.end = end;
        for queue in &mut self.outcome.queues {
            queue.blame.finish(end);
        }
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::CapacityType;
    use crate::telemetry::outcome::NodeState;
    use crate::units::{Cpu, Memory};

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn node() -> NodeInfo {
        NodeInfo {
            name: "node-1".into(),
            pool: "default".into(),
            instance_type: "m5.large".into(),
            zone: "us-east-1a".into(),
            capacity_type: CapacityType::Spot,
            capacity: Resources::new(Cpu::from_milli(2000), Memory::from_mib(8192)),
            allocatable: Resources::new(Cpu::from_milli(2000), Memory::from_mib(8192)),
            price: Usd::from_f64(0.036),
        }
    }

    #[test]
    fn pods_and_nodes_are_counted_by_state() {
        let mut recorder = Recorder::new(RunInfo::default());
        let workload = recorder.add_workload("orders", None);
        let node = recorder.node_claimed(at(3), node());
        recorder.node_step(at(10), node, NodeStep::Launched);
        recorder.node_step(at(40), node, NodeStep::Ready);
        let pod = recorder.pod_created(at(2), "orders-1", Some(workload));
        recorder.pod_created(at(2), "orders-2", Some(workload));
        recorder.pod_created(at(0), "coredns", None);
        recorder.pod_step(at(41), pod, PodStep::Scheduled(node));
        let request = Resources::new(Cpu::from_milli(1000), Memory::from_mib(512));
        recorder.node_usage(at(41), node, &request, &Resources::ZERO);
        recorder.pod_step(at(50), pod, PodStep::Ready);
        recorder.pod_step(at(80), pod, PodStep::Stopping);
        recorder.pod_step(at(85), pod, PodStep::Ended);
        recorder.node_usage(at(85), node, &Resources::ZERO, &Resources::ZERO);
        recorder.node_step(at(100), node, NodeStep::Draining);
        recorder.node_step(at(110), node, NodeStep::Terminated);
        let outcome = recorder.finish(at(200));

        assert_eq!(outcome.pods_existing(None).steps(), [(at(2), 2), (at(85), 1)]);
        assert_eq!(outcome.pods_pending(Some(workload)).steps(), [(at(2), 2), (at(41), 1)]);
        assert_eq!(outcome.pods_starting(None).steps(), [(at(41), 1), (at(50), 0)]);
        assert_eq!(outcome.pods_ready(None).steps(), [(at(50), 1), (at(80), 0)]);
        assert_eq!(outcome.pods_terminating(None).steps(), [(at(80), 1), (at(85), 0)]);
        let spans = |state| outcome.nodes_in(state, |_| true).steps().to_vec();
        assert_eq!(spans(NodeState::Booting), [(at(10), 1), (at(40), 0)]);
        assert_eq!(spans(NodeState::Ready), [(at(40), 1), (at(100), 0)]);
        assert_eq!(spans(NodeState::Draining), [(at(100), 1), (at(110), 0)]);
        // $0.036/h is $0.00001 a second: 30 s boot, 44 s half used, 100 s in all.
        let cost = outcome.instance_cost();
        assert_eq!((cost.total, cost.boot, cost.useful), (Usd::from_f64(0.001), Usd::from_f64(0.0003), Usd::from_f64(0.00022)));
    }
}
