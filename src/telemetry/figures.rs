//! What follows from the records of a run: money, and how many pods and nodes were in which state when.

use crate::cluster::reservation::CapacityReservation;
use crate::time::Time;
use crate::units::Usd;

use super::ledger::{Bill, Split, request_cost};
use super::outcome::{NodeRecord, Outcome, PodRecord, QueueRecord, WorkloadKey};
use super::series::Series;

impl QueueRecord {
    /// Cost of the queue's requests.
    #[must_use]
    pub fn request_cost(&self) -> Usd {
        request_cost(self.totals.requests, self.price_per_million_requests)
    }

    /// The largest number of visible messages and when it was first reached.
    #[must_use]
    pub fn peak(&self, end: Time) -> (i64, Time) {
        let peak = self.visible.max(end);
        (peak, self.visible.first(Time::ZERO, |value| value == peak).unwrap_or(Time::ZERO))
    }

    /// When no message was visible for the first time after the peak; `None` without a peak, or when that did not happen.
    #[must_use]
    pub fn drained(&self, end: Time) -> Option<Time> {
        let (peak, at) = self.peak(end);
        if peak == 0 { None } else { self.visible.first(at, |value| value == 0) }
    }
}

impl Outcome {
    /// Instance cost of all nodes by what it was spent on.
    #[must_use]
    pub fn instance_cost(&self) -> Split {
        self.bills().map(|(_, bill)| bill.cost(self.end)).fold(Split::default(), Split::plus)
    }

    /// Cost of the requests to all queues.
    #[must_use]
    pub fn request_cost(&self) -> Usd {
        self.queues.iter().map(QueueRecord::request_cost).sum()
    }

    /// Cost of what no instance used of capacity reservations; `None` without any.
    #[must_use]
    pub fn unused_reservations(&self) -> Option<Usd> {
        let unused =
            |(number, reservation): (usize, &CapacityReservation)| reservation.unused(self.bills_in(number), self.end);
        (!self.reservations.is_empty()).then(|| self.reservations.iter().enumerate().map(unused).sum())
    }

    /// Bills of the instances that were launched into the capacity reservation of that number.
    fn bills_in(&self, number: usize) -> impl Iterator<Item = &Bill> {
        let inside = self.bills().filter(move |(node, _)| node.reservation.map(usize::from) == Some(number));
        inside.map(|(_, bill)| bill)
    }

    /// Instances, requests and unused capacity reservations together.
    #[must_use]
    pub fn total_cost(&self) -> Usd {
        self.instance_cost().total + self.request_cost() + self.unused_reservations().unwrap_or(Usd::ZERO)
    }

    /// Messages processed, over all queues.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.queues.iter().map(|queue| queue.totals.processed).sum()
    }

    /// When the last message was processed or dead-lettered, over all queues.
    #[must_use]
    pub fn emptied(&self) -> Option<Time> {
        let last = |queue: &QueueRecord| {
            let lettered = queue.dead_lettered.steps().last().map(|&(at, _)| at);
            queue.totals.last_processed.max(lettered)
        };
        self.queues.iter().filter_map(last).max()
    }

    /// Nodes whose instance ran, with their bill.
    pub fn bills(&self) -> impl Iterator<Item = (&NodeRecord, &Bill)> {
        self.nodes.iter().filter_map(|node| node.bill.as_ref().map(|bill| (node, bill)))
    }

    /// Cost of all running instances, and of what they do not use of capacity reservations, in nano-dollars per hour.
    #[must_use]
    pub fn cost_rate(&self) -> Series {
        let mut changes = Vec::new();
        for (_, bill) in self.bills() {
            bill.rate_changes(&mut changes);
        }
        for (number, reservation) in self.reservations.iter().enumerate() {
            reservation.rate_changes(self.bills_in(number), self.end, &mut changes);
        }
        Series::from_changes(changes)
    }

    /// Pods of one workload; of all that consume a queue (`None`), or of all workloads when none does. System pods never.
    pub fn pods_of(&self, workload: Option<WorkloadKey>) -> impl Iterator<Item = &PodRecord> {
        let any_consumer = self.workloads.iter().any(|record| record.queue.is_some());
        self.pods.iter().filter(move |pod| match (workload, pod.workload) {
            (_, None) => false,
            (Some(wanted), Some(workload)) => wanted == workload,
            (None, Some(workload)) => !any_consumer || self.workloads[workload.0 as usize].queue.is_some(),
        })
    }

    /// Replicas wanted of one workload, or of all of [`Outcome::pods_of`].
    #[must_use]
    pub fn pods_desired(&self, workload: Option<WorkloadKey>) -> Series {
        let any_consumer = self.workloads.iter().any(|record| record.queue.is_some());
        match workload {
            Some(workload) => self.workloads[workload.0 as usize].desired.clone(),
            None => {
                let counted = self.workloads.iter().filter(|record| !any_consumer || record.queue.is_some());
                Series::sum(counted.map(|record| &record.desired))
            }
        }
    }

    /// Pods of the workload at each time in the span between two instants of their way.
    fn pods_between(
        &self,
        workload: Option<WorkloadKey>,
        from: impl Fn(&PodRecord) -> Option<Time>,
        until: impl Fn(&PodRecord) -> Option<Time>,
    ) -> Series {
        let mut changes = Vec::new();
        for pod in self.pods_of(workload) {
            if let Some(start) = from(pod) {
                changes.push((start, 1));
                changes.extend(until(pod).map(|end| (end.max(start), -1)));
            }
        }
        Series::from_changes(changes)
    }

    /// Pods which exist, of those that [`Outcome::pods_of`] gives.
    #[must_use]
    pub fn pods_existing(&self, workload: Option<WorkloadKey>) -> Series {
        self.pods_between(workload, |pod| Some(pod.created), |pod| pod.ended)
    }

    /// Pods which wait for a node.
    #[must_use]
    pub fn pods_pending(&self, workload: Option<WorkloadKey>) -> Series {
        self.pods_between(workload, |pod| Some(pod.created), |pod| first(&[pod.scheduled, pod.ended]))
    }

    /// Pods which are on a node and not ready yet.
    #[must_use]
    pub fn pods_starting(&self, workload: Option<WorkloadKey>) -> Series {
        self.pods_between(workload, |pod| pod.scheduled, |pod| first(&[pod.ready, pod.stopping, pod.ended]))
    }

    /// Ready pods.
    #[must_use]
    pub fn pods_ready(&self, workload: Option<WorkloadKey>) -> Series {
        let until = |pod: &PodRecord| first(&[pod.stopping, pod.ended]);
        let mut changes = Vec::new();
        for pod in self.pods_of(workload) {
            let Some(mut start) = pod.ready else { continue };
            for (from, again) in &pod.unready {
                changes.extend([(start, 1), (*from, -1)]);
                start = *again;
            }
            if start < Time::MAX {
                changes.push((start, 1));
                changes.extend(until(pod).map(|end| (end.max(start), -1)));
            }
        }
        Series::from_changes(changes)
    }

    /// Pods which stop.
    #[must_use]
    pub fn pods_terminating(&self, workload: Option<WorkloadKey>) -> Series {
        self.pods_between(workload, |pod| pod.stopping, |pod| pod.ended)
    }

    /// Nodes for which `wanted` holds at each time in the span of `state`.
    #[must_use]
    pub fn nodes_in(&self, state: NodeState, wanted: impl Fn(&NodeRecord) -> bool) -> Series {
        let mut changes = Vec::new();
        for node in self.nodes.iter().filter(|node| wanted(node)) {
            let (from, until) = node.span(state);
            if let Some(start) = from {
                changes.push((start, 1));
                changes.extend(until.map(|end| (end.max(start), -1)));
            }
        }
        Series::from_changes(changes)
    }
}

/// States of a node that people look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Its instance is billed, the node is not ready for pods.
    Booting,
    /// Ready for pods.
    Ready,
    /// It takes no more pods.
    Draining,
    /// Its instance is billed: any of the others.
    Running,
}

impl NodeRecord {
    /// When the node entered and left a state.
    #[must_use]
    pub fn span(&self, state: NodeState) -> (Option<Time>, Option<Time>) {
        let gone = first(&[self.terminated, self.removed]);
        match state {
            NodeState::Booting => (self.launched, first(&[self.ready, self.draining, gone])),
            NodeState::Ready => (self.ready, first(&[self.draining, gone])),
            NodeState::Draining => (self.launched.and(self.draining), gone),
            NodeState::Running => (self.launched, gone),
        }
    }
}

/// The first of some instants that may not have come.
fn first(instants: &[Option<Time>]) -> Option<Time> {
    instants.iter().flatten().min().copied()
}
