//! metrics-server (`kubernetes-sigs/metrics-server`, `pkg/storage/pod.go: podStorage`): reads CPU counters and memory of each node's
//! pods once a resolution and serves, for each pod with two readings, the CPU between them and the memory of the later one. Every
//! node has a phase of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::controller::Event;
use super::metrics::Metric;
use super::pod_metrics::PodMetric;
use super::reconcile::Autoscaler;
use crate::cluster::{Change, NodeId, PodId, World};
use crate::engine::{Agenda, Streams};
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};
use crate::units::{Memory, Resource};

/// At this age, and below the resolution, a pod's start stands in for a first reading (`freshContainerMinMetricsResolution`).
const FRESH_AGE: Duration = Duration::from_secs(10);

/// A reading of a pod's counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub at: Time,
    /// Core-seconds since the pod's start.
    pub core_seconds: f64,
    /// Working set, if it is known.
    pub memory: Option<Memory>,
}

/// The last two readings of a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Points {
    before: Option<Point>,
    last: Point,
}

impl Points {
    /// The readings after a further one (`podStorage: Store`).
    #[must_use]
    pub fn next(known: Option<Points>, started: Time, resolution: Duration, reading: Point) -> Points {
        let age = reading.at.since(started);
        let fresh = FRESH_AGE <= age && age < resolution;
        let before = match known {
            // A counter that went back belongs to a container that was started again.
            Some(points) => Some(points.last).filter(|last| last.core_seconds <= reading.core_seconds),
            None => fresh.then_some(Point { at: started, core_seconds: 0.0, memory: None }),
        };
        Points { before, last: reading }
    }

    /// The mean between the two readings, in thousandths of a core; `None` before there are two.
    #[must_use]
    pub fn cpu(&self) -> Option<PodMetric> {
        let before = self.before?;
        let window = self.last.at.since(before.at);
        let cores = (self.last.core_seconds - before.core_seconds) / window.as_secs_f64();
        Some(PodMetric { value_milli: (cores * 1000.0).round() as i64, timestamp: self.last.at, window })
    }

    /// The memory of the last reading, in thousandths of a byte; `None` before there are two readings.
    #[must_use]
    pub fn memory(&self) -> Option<PodMetric> {
        let window = self.last.at.since(self.before?.at);
        let value_milli = self.last.memory?.bytes().saturating_mul(1000);
        Some(PodMetric { value_milli, timestamp: self.last.at, window })
    }
}

/// The readings of all pods. It works only where an HPA asks for CPU or memory.
pub struct MetricsServer {
    resolution: Duration,
    streams: Streams,
    active: bool,
    nodes: BTreeSet<NodeId>,
    pods: BTreeMap<PodId, Points>,
}

impl MetricsServer {
    /// With `--metric-resolution`.
    #[must_use]
    pub fn new(resolution: Duration, streams: Streams) -> Self {
        MetricsServer { resolution, streams, active: false, nodes: BTreeSet::new(), pods: BTreeMap::new() }
    }

    /// Begins to read all nodes.
    pub fn begin(&mut self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        self.active = true;
        for node in &world.cluster.live_nodes {
            self.add(*node, world.now, agenda);
        }
    }

    /// Follows nodes and pods, and begins with the first HPA that asks for CPU or memory.
    pub fn observe(&mut self, change: &Change, world: &World<'_>, agenda: &mut Agenda<Event>) {
        match *change {
            Change::HpaCreated(hpa) if !self.active => {
                let autoscaler = Autoscaler::of_spec(&world.cluster.hpas[hpa.index()].spec);
                if autoscaler.metrics.iter().any(|metric| matches!(metric, Metric::Resource { .. })) {
                    self.begin(world, agenda);
                }
            }
            Change::NodeCreated(node) if self.active => self.add(node, world.now, agenda),
            Change::PodGone(pod) => {
                self.pods.remove(&pod);
            }
            _ => {}
        }
    }

    fn add(&mut self, node: NodeId, now: Time, agenda: &mut Agenda<Event>) {
        if self.nodes.insert(node) {
            let share = self.streams.open("hpa-scrape", u64::from(node.0)).unit();
            agenda.at(now + Duration::from_secs_f64(self.resolution.as_secs_f64() * share), Event::Scrape(node));
        }
    }

    /// Reads the pods of a node, and again after a resolution.
    pub fn scrape(&mut self, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodes[node.index()];
        if !record.exists() {
            self.nodes.remove(&node);
            return;
        }
        let down = world.scenario.outage_end(FaultKind::MetricsServerDown, world.now).is_some();
        for pod in &record.pods {
            if down {
                // It keeps readings in memory only.
                self.pods.remove(pod);
                continue;
            }
            let Some(started) = world.cluster.pods[pod.index()].path.started else { continue };
            let request = world.cluster.shape_of(*pod).requests.cpu();
            let Some(core_seconds) = world.queues.cpu_time(*pod, request, world.now) else { continue };
            let reading = Point { at: world.now, core_seconds, memory: world.queues.memory(*pod) };
            let known = self.pods.get(pod).copied();
            self.pods.insert(*pod, Points::next(known, started, self.resolution, reading));
        }
        agenda.at(world.now + self.resolution, Event::Scrape(node));
    }

    /// What the resource metrics API says of a pod's `cpu` or `memory`.
    #[must_use]
    pub fn sample(&self, pod: PodId, resource: Resource) -> Option<PodMetric> {
        let points = self.pods.get(&pod)?;
        if resource == Resource::Memory { points.memory() } else { points.cpu() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    /// Readings of a pod that starts at 0, as (second, core-seconds); the samples after each.
    fn samples(readings: &[(f64, f64)]) -> Vec<Option<(i64, f64)>> {
        let mut known = None;
        let mut seen = Vec::new();
        for &(second, core_seconds) in readings {
            let reading = Point { at: at(second), core_seconds, memory: None };
            let points = Points::next(known, at(0.0), Duration::from_secs(15), reading);
            seen.push(points.cpu().map(|sample| (sample.value_milli, sample.window.as_secs_f64())));
            known = Some(points);
        }
        seen
    }

    #[test]
    fn a_sample_is_the_mean_between_the_last_two_readings() {
        assert_eq!(samples(&[(4.0, 1.0), (19.0, 8.5), (34.0, 8.5)]), [None, Some((500, 15.0)), Some((0, 15.0))]);
    }

    #[test]
    fn the_start_stands_in_for_the_first_reading_from_ten_seconds_on() {
        assert_eq!(samples(&[(9.9, 9.9)]), [None]);
        assert_eq!(samples(&[(10.0, 5.0)]), [Some((500, 10.0))]);
        assert_eq!(samples(&[(15.0, 5.0)]), [None]);
    }

    #[test]
    fn a_counter_that_went_back_gives_no_sample() {
        assert_eq!(samples(&[(10.0, 5.0), (25.0, 0.5), (40.0, 8.0)])[1..], [None, Some((500, 15.0))]);
    }

    #[test]
    fn memory_is_that_of_the_last_reading_once_there_are_two() {
        let reading =
            |second: f64, mib: i64| Point { at: at(second), core_seconds: 0.0, memory: Some(Memory::from_mib(mib)) };
        let next = |known, reading| Points::next(known, at(0.0), Duration::from_secs(15), reading);
        let first = next(None, reading(4.0, 100));
        let second = next(Some(first), reading(19.0, 300));
        assert_eq!(first.memory(), None);
        assert_eq!(second.memory().map(|sample| sample.value_milli), Some(300 * 1_048_576 * 1000));
    }
}
