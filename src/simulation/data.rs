//! Between the two planes: pods become consumers, and processes that end are told to the cluster.

use crate::cluster::pod::Owner;
use crate::cluster::{Change, Cluster, PodId, QueueAttributes, QueueId, QueueSource};
use crate::consumer::{DataPlane, Notice, NoticeKind, PodRef};
use crate::engine::{Stream, Streams, Table};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::sqs;
use crate::time::Time;
use crate::units::{Cpu, Memory};

/// The data plane of a run and what its pods are.
pub struct Data<'a> {
    /// Queues, sources and consumers.
    pub plane: DataPlane,
    scenario: &'a Scenario,
    /// Kind of consumer of each Deployment's pods.
    deployments: Vec<Option<usize>>,
    /// Kind of consumer of each ScaledJob's pods.
    scaled_jobs: Vec<Option<usize>>,
    /// Consumers of the pods that are bound.
    processes: Table<Process>,
    /// Which of the control plane's calls to queues fail.
    calls: Stream,
}

/// The consumer of a pod.
struct Process {
    kind: u32,
    /// Its start; `None` = not yet.
    since: Option<Time>,
    /// Most messages in hand at a reading of its memory since it started.
    most_held: i64,
}

impl<'a> Data<'a> {
    /// The data plane of a scenario.
    #[must_use]
    pub fn new(scenario: &'a Scenario, cluster: &Cluster, streams: &Streams) -> Self {
        let kind_of = |is_job: bool, name: &str| {
            scenario.consumers.iter().position(|consumer| {
                let owner = if is_job { &consumer.job } else { &consumer.deployment };
                owner.as_deref() == Some(name)
            })
        };
        let mut plane = DataPlane::new(&scenario.queues, &scenario.consumers, streams);
        plane.set_faults(&scenario.faults);
        Data {
            plane,
            scenario,
            deployments: cluster.deployments.iter().map(|deployment| kind_of(false, &deployment.name)).collect(),
            scaled_jobs: cluster.scaled_jobs.iter().map(|scaled_job| kind_of(true, &scaled_job.name)).collect(),
            processes: Table::default(),
            calls: streams.open("failing-calls", 0),
        }
    }

    /// The kind of consumer that the pods of an owner are.
    #[must_use]
    pub fn kind(&self, cluster: &Cluster, owner: Owner) -> Option<usize> {
        match owner {
            Owner::Deployment(id) => self.deployments.get(id.index()).copied().flatten(),
            Owner::Job(id) => {
                let scaled_job = cluster.jobs[id.index()].owner?;
                self.scaled_jobs.get(scaled_job.index()).copied().flatten()
            }
            Owner::DaemonSet(_) | Owner::None => None,
        }
    }

    /// The queue that a kind of consumer reads.
    #[must_use]
    pub fn queue_of(&self, kind: usize) -> Option<QueueId> {
        self.plane.find_queue(&self.scenario.consumers[kind].queue).map(|queue| QueueId(u32::from(queue.0)))
    }

    /// The queue that the Jobs of a ScaledJob read.
    #[must_use]
    pub fn scaled_job_queue(&self, index: usize) -> Option<QueueId> {
        self.queue_of(self.scaled_jobs.get(index).copied().flatten()?)
    }

    /// Starts, stops and kills processes as their pods do.
    pub fn observe(&mut self, now: Time, change: &Change, cluster: &mut Cluster) {
        match *change {
            Change::PodBound(pod) => {
                if let Some(kind) = self.kind(cluster, cluster.pods[pod.index()].owner) {
                    self.processes.insert(pod.0, Process { kind: kind as u32, since: None, most_held: 0 });
                }
            }
            Change::PodWorking(pod) => {
                let kind = self.kind(cluster, cluster.pods[pod.index()].owner);
                if let Some(process) = self.processes.get_mut(pod.0) {
                    process.since = Some(now);
                }
                if let Some(kind) = kind.filter(|_| !self.plane.is_running(PodRef(pod.0))) {
                    self.plane.add_consumer(now, PodRef(pod.0), kind);
                }
            }
            Change::PodTerm(pod) => {
                let running = self.plane.is_running(PodRef(pod.0));
                self.plane.begin_stop(now, PodRef(pod.0));
                if !running && self.kind(cluster, cluster.pods[pod.index()].owner).is_some() {
                    cluster.announce(Change::ConsumerStopped(pod));
                }
            }
            Change::PodCrashed(pod) => {
                self.plane.kill(now, PodRef(pod.0));
                if let Some(process) = self.processes.get_mut(pod.0) {
                    process.most_held = 0;
                }
            }
            Change::PodKilled(pod) | Change::PodGone(pod) => {
                self.plane.kill(now, PodRef(pod.0));
                self.processes.remove(pod.0);
            }
            _ => {}
        }
    }

    /// Whether a call of this kind to a queue fails now.
    fn fails(&mut self, kind: FaultKind, queue: QueueId, now: Time) -> bool {
        let name = self.scenario.queues.get(queue.index()).map_or("", |spec| spec.name.as_str());
        let calls = &mut self.calls;
        self.scenario.faults.iter().any(|fault| {
            fault.kind == kind
                && fault.begin() <= now
                && now < fault.end()
                && fault.queue.as_deref().is_none_or(|q| q == name)
                && (fault.share >= 1.0 || calls.chance(fault.share))
        })
    }
}

/// What a notice of the data plane means to the cluster.
pub fn tell(notice: Notice, cluster: &mut Cluster) {
    let pod = PodId(notice.pod.0);
    cluster.announce(match notice.kind {
        NoticeKind::Stopped => Change::ConsumerStopped(pod),
        NoticeKind::Exited { ok } => Change::ConsumerExited(pod, ok),
        NoticeKind::Crashed => Change::ConsumerCrashed(pod),
    });
}

impl QueueSource for Data<'_> {
    fn attributes(&mut self, queue: QueueId, now: Time) -> Option<QueueAttributes> {
        if self.fails(FaultKind::QueueAttributesFail, queue, now) {
            return None;
        }
        let found = self.plane.attributes(now, sqs::QueueId(queue.0 as u16)).ok()?;
        Some(QueueAttributes { visible: found.visible, not_visible: found.not_visible, delayed: found.delayed })
    }

    fn cpu_time(&mut self, pod: PodId, request: Cpu, now: Time) -> Option<f64> {
        let process = self.processes.get(pod.0)?;
        let spec = &self.scenario.consumers[process.kind as usize];
        let settings = self.plane.consumer_settings(process.kind as usize);
        let slots = f64::from(settings.slots * settings.threads);
        let busy = self.plane.busy(now, PodRef(pod.0)).as_secs_f64();
        let alive = process.since.map_or(0.0, |since| now.since(since).as_secs_f64());
        let of_slot = spec.cpu_busy.map_or(request.as_f64() / slots, Cpu::as_f64);
        Some(of_slot * busy + spec.cpu_idle.as_f64() * (alive - busy / slots))
    }

    fn memory(&mut self, pod: PodId) -> Option<Memory> {
        let process = self.processes.get_mut(pod.0)?;
        let spec = &self.scenario.consumers[process.kind as usize];
        let held = i64::from(self.plane.held(PodRef(pod.0)));
        process.most_held = process.most_held.max(held);
        let held = if spec.memory_kept { process.most_held } else { held };
        Some(Memory::from_bytes(spec.memory_idle?.bytes() + held * spec.memory_per_message.bytes()))
    }
}
