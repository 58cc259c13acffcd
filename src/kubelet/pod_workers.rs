//! A pod on its node: sandbox, images, start, readiness, restart, termination (`pkg/kubelet/pod_workers.go`, `kuberuntime`).

use std::collections::BTreeMap;

use crate::api::pod::PodSpec;
use crate::cluster::pod::{EndReason, Owner, Phase};
use crate::cluster::{Cluster, NodeId, PodId, ShapeId, World};
use crate::engine::{Agenda, Stream, Streams, Table};
use crate::scenario::Scenario;
use crate::scenario::simulation::Profile;
use crate::time::{Duration, Time};

use super::Event;
use super::images::{NodeImages, PullAnswer, PullConfig, PullRequest};
use super::probes::{ContainerStart, jitter, pod_ready_at};
use super::termination::{pre_stop, stop_plan};
use super::volumes::Volumes;

/// Share of the start of a pod that comes before its images.
const SANDBOX_SHARE: (i64, i64) = (3, 5);
/// First and longest wait before a container is started again, and how long it must run to be forgiven (`CrashLoopBackOff`).
const CRASH_BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
const FORGIVEN_AFTER: Duration = Duration::from_mins(10);
/// From the end of a finite task to the pod's final phase.
const FINISH: Duration = Duration::from_millis(150);

/// A pod that its kubelet knows.
#[derive(Clone, Debug, Default)]
struct Worker {
    /// How many of its images are still to be had.
    images: u32,
    /// From images to start.
    start_delay: Duration,
    /// When its probe workers began.
    workers: Time,
    /// Counts starts: events of an earlier start are void.
    start: u32,
    started: Option<Time>,
    crashes: u32,
    /// Its application ended badly.
    failed: bool,
    /// Its application has ended, or was killed.
    ended: bool,
}

/// The pods of all nodes.
pub struct PodWorkers {
    /// By pod.
    workers: Table<Worker>,
    images: BTreeMap<NodeId, NodeImages>,
    /// Images of the pods of a template, the first one last.
    of_shapes: BTreeMap<ShapeId, Vec<u32>>,
    config: PullConfig,
    has_images: bool,
    starts: Stream,
    rates: Stream,
    applications: Stream,
    probes: Stream,
    cleanups: Stream,
    volumes: Volumes,
}

impl PodWorkers {
    pub fn new(scenario: &Scenario, streams: Streams) -> PodWorkers {
        let flags = &scenario.kubelet;
        PodWorkers {
            workers: Table::default(),
            images: BTreeMap::new(),
            of_shapes: BTreeMap::new(),
            config: PullConfig {
                serialize: flags.serialize_image_pulls,
                registry_per_second: flags.registry_pull_qps,
                registry_burst: flags.registry_burst,
                node_bytes_per_second: flags.pull_throughput.bytes() as f64,
                ..PullConfig::default()
            },
            has_images: scenario.simulation.profile == Profile::Aws,
            starts: streams.open("pod-start", 0),
            rates: streams.open("image-pull", 0),
            applications: streams.open("app-start", 0),
            probes: streams.open("probe-jitter", 0),
            cleanups: streams.open("pod-cleanup", 0),
            volumes: Volumes::new(streams),
        }
    }

    /// kubelet sees a pod of its own.
    pub fn bound(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let delay = world.scenario.latencies.pod_start.sample(&mut self.starts);
        let sandbox = delay * SANDBOX_SHARE.0 / SANDBOX_SHARE.1;
        let spec = world.cluster.shape_of(pod).spec.clone();
        let node = world.cluster.pods[pod.index()].node;
        let age = node.map_or(Duration::MAX, |node| world.now.since(world.cluster.nodes[node.index()].created));
        let images = if self.has_images { self.images_of(pod, &spec, world.cluster) } else { 0 };
        let workers = world.now + jitter(&spec, age, &mut self.probes);
        let worker = Worker { images, start_delay: delay - sandbox, workers, ..Worker::default() };
        self.workers.insert(pod.0, worker);
        let attached = self.volumes.attach(pod, &spec, world);
        agenda.at(world.now + attached + sandbox, Event::Sandbox(pod));
    }

    /// How many images a pod needs.
    fn images_of(&mut self, pod: PodId, spec: &PodSpec, cluster: &mut Cluster) -> u32 {
        let shape = cluster.pods[pod.index()].shape;
        self.of_shapes.entry(shape).or_insert_with(|| images_from_the_last(spec, cluster)).len() as u32
    }

    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match event {
            Event::Sandbox(pod) if self.starts(pod, world.cluster) => {
                world.cluster.note_sandbox(pod);
                self.next_image(pod, world, agenda);
            }
            Event::NextImage(pod) if self.starts(pod, world.cluster) => self.next_image(pod, world, agenda),
            Event::PullEnds(node) => self.pull_ends(node, world, agenda),
            Event::Start(pod, start) if self.is_current(pod, start, world.cluster) => self.start(pod, world, agenda),
            Event::Working(pod, start) if self.is_current(pod, start, world.cluster) => {
                world.cluster.note_working(pod);
            }
            Event::Ready(pod, start) if self.is_current(pod, start, world.cluster) => {
                world.cluster.set_pod_ready(world.now, pod, true);
            }
            Event::Term(pod) => self.term(pod, world, agenda),
            Event::Kill(pod) => self.kill(pod, world, agenda),
            Event::Finish(pod) if world.cluster.pods[pod.index()].exists() => {
                let failed = self.workers.get(pod.0).is_some_and(|worker| worker.failed);
                let (phase, end) =
                    if failed { (Phase::Failed, EndReason::Failed) } else { (Phase::Succeeded, EndReason::Completed) };
                world.cluster.finish_pod(world.now, pod, phase, end);
            }
            Event::Remove(pod) => world.cluster.remove_pod(world.now, pod),
            _ => {}
        }
    }

    /// Whether the pod is still to be started.
    fn starts(&self, pod: PodId, cluster: &Cluster) -> bool {
        self.workers.contains(pod.0) && cluster.pods[pod.index()].active()
    }

    pub fn is_current(&self, pod: PodId, start: u32, cluster: &Cluster) -> bool {
        let record = &cluster.pods[pod.index()];
        // A terminating pod can still become ready, but is not started.
        let goes_on =
            record.exists() && !record.terminal() && (!record.terminating() || record.phase == Phase::Running);
        goes_on && self.workers.get(pod.0).is_some_and(|worker| worker.start == start && !worker.ended)
    }

    fn next_image(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(node) = world.cluster.pods[pod.index()].node else { return };
        let Some(worker) = self.workers.get_mut(pod.0) else { return };
        let shape = world.cluster.pods[pod.index()].shape;
        let Some(image) = worker.images.checked_sub(1).map(|next| self.of_shapes[&shape][next as usize]) else {
            world.cluster.note_images(world.now, pod);
            agenda.at(world.now + worker.start_delay, Event::Start(pod, worker.start));
            return;
        };
        let images = self.images.entry(node).or_insert_with(|| NodeImages::new(self.config));
        let latencies = &world.scenario.latencies;
        let bytes = world.scenario.image_size(&world.cluster.images[image as usize]).bytes() as f64;
        let per_100mb = latencies.image_pull_per_100mb.sample(&mut self.rates).as_secs_f64().max(1e-6);
        let request = PullRequest { pod: pod.0, image, bytes, base: latencies.image_pull_base, rate: 1e8 / per_100mb };
        match images.request(world.now, request) {
            PullAnswer::Present => {
                worker.images -= 1;
                agenda.at(world.now + latencies.image_present, Event::NextImage(pod));
            }
            PullAnswer::Pulling => plan_pull_end(images, node, agenda),
            PullAnswer::RetryAt(at) => agenda.at(at, Event::NextImage(pod)),
        }
    }

    fn pull_ends(&mut self, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(images) = self.images.get_mut(&node) else { return };
        let pods = images.finished(world.now);
        if pods.is_empty() {
            // Whoever began to download since, or got past its fixed part, took bandwidth: the end is later than it was planned.
            plan_pull_end(images, node, agenda);
            return;
        }
        for image in images.present() {
            world.cluster.note_image(node, *image);
        }
        plan_pull_end(images, node, agenda);
        for pod in pods {
            if let Some(worker) = self.workers.get_mut(pod) {
                worker.images -= 1;
                agenda.at(world.now, Event::NextImage(PodId(pod)));
            }
        }
    }

    fn start(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let now = world.now;
        let app = world.scenario.latencies.app_start.sample(&mut self.applications);
        let spec = world.cluster.shape_of(pod).spec.clone();
        let Some(worker) = self.workers.get_mut(pod.0) else { return };
        worker.started = Some(now);
        world.cluster.start_pod(now, pod);
        let up = now + app;
        let ready = pod_ready_at(&spec, ContainerStart { workers: worker.workers, started: now, up });
        agenda.at(ready, Event::Ready(pod, worker.start));
        agenda.at(up, Event::Working(pod, worker.start));
    }

    /// The pod got its deletionTimestamp, or a shorter grace; it counts from `since`.
    pub fn deleting(&mut self, pod: PodId, since: Time, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.pods[pod.index()];
        if !record.exists() || record.node.is_none() {
            return;
        }
        if record.deletion_grace <= Duration::ZERO {
            agenda.at(world.now, Event::Remove(pod));
            return;
        }
        let Some(worker) = self.workers.get(pod.0) else { return };
        if worker.started.is_none() || worker.ended {
            let cleanup = self.cleanup(world);
            agenda.at(world.now + cleanup, Event::Remove(pod));
            return;
        }
        let plan = stop_plan(record.deletion_grace, pre_stop(&world.cluster.shape_of(pod).spec));
        agenda.at((since + plan.term).max(world.now), Event::Term(pod));
        agenda.at((since + plan.kill).max(world.now), Event::Kill(pod));
    }

    fn term(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if !world.cluster.pods[pod.index()].exists() || self.workers.get(pod.0).is_none_or(|worker| worker.ended) {
            return;
        }
        world.cluster.announce(crate::cluster::Change::PodTerm(pod));
        if !has_consumer(world, pod) {
            // An application of which nothing is known ends on SIGTERM.
            self.end(pod, world, agenda);
        }
    }

    fn kill(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.pods[pod.index()];
        if !record.exists() || self.workers.get(pod.0).is_none_or(|worker| worker.ended) {
            return;
        }
        world.cluster.announce(crate::cluster::Change::PodKilled(pod));
        self.end(pod, world, agenda);
    }

    /// The containers of a terminating pod have ended.
    fn end(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let cleanup = self.cleanup(world);
        if let Some(worker) = self.workers.get_mut(pod.0) {
            worker.ended = true;
            agenda.at(world.now + cleanup, Event::Remove(pod));
        }
    }

    /// The application has ended of its own accord or on SIGTERM; `ok` = with exit code 0.
    pub fn stopped(&mut self, pod: PodId, ok: bool, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.pods[pod.index()];
        let terminating = record.terminating();
        let is_job = matches!(record.owner, Owner::Job(_));
        let never_restarts = world.cluster.shape_of(pod).spec.restart_policy.as_deref() == Some("Never");
        let Some(worker) = self.workers.get_mut(pod.0).filter(|worker| !worker.ended) else { return };
        if terminating {
            self.end(pod, world, agenda);
        } else if is_job && (ok || never_restarts) {
            worker.ended = true;
            worker.failed = !ok;
            agenda.at(world.now + FINISH, Event::Finish(pod));
        } else {
            self.restart(pod, world, agenda);
        }
    }

    /// Pods whose containers run.
    pub fn running(&self, world: &World<'_>) -> Vec<PodId> {
        let is_up = |pod: PodId, worker: &Worker| {
            worker.started.is_some() && !worker.ended && world.cluster.pods[pod.index()].exists()
        };
        let known = self.workers.iter().map(|(pod, worker)| (PodId(pod), worker));
        known.filter(|(pod, worker)| is_up(*pod, worker)).map(|(pod, _)| pod).collect()
    }

    /// The containers of a pod crash.
    pub fn crash(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        world.cluster.announce(crate::cluster::Change::PodCrashed(pod));
        self.stopped(pod, false, world, agenda);
    }

    /// Restart in place with `CrashLoopBackOff`.
    fn restart(&mut self, pod: PodId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(worker) = self.workers.get_mut(pod.0) else { return };
        if worker.started.is_some_and(|at| world.now.since(at) >= FORGIVEN_AFTER) {
            worker.crashes = 0;
        }
        // The first restart is immediate; the backoff applies to those that follow.
        let wait = match worker.crashes {
            0 => Duration::ZERO,
            crashes => (CRASH_BACKOFF.0 * (1 << (crashes - 1).min(10))).min(CRASH_BACKOFF.1),
        };
        worker.crashes += 1;
        worker.start += 1;
        worker.started = None;
        let again = Event::Start(pod, worker.start);
        world.cluster.set_pod_ready(world.now, pod, false);
        world.cluster.restart_pod(pod);
        agenda.at(world.now + wait.max(Duration::from_secs(1)), again);
    }

    pub fn gone(&mut self, pod: PodId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        self.workers.remove(pod.0);
        self.volumes.detach(pod, world, agenda);
    }

    /// The machine under a node is gone with all that ran on it.
    pub fn machine_lost(&mut self, node: NodeId, world: &mut World<'_>) {
        self.images.remove(&node);
        for pod in world.cluster.nodes[node.index()].pods.clone() {
            if self.workers.remove(pod.0).is_some_and(|worker| worker.started.is_some() && !worker.ended) {
                world.cluster.announce(crate::cluster::Change::PodKilled(pod));
            }
        }
    }

    pub fn node_gone(&mut self, node: NodeId) {
        self.images.remove(&node);
    }

    fn cleanup(&mut self, world: &World<'_>) -> Duration {
        world.scenario.latencies.pod_cleanup.sample(&mut self.cleanups)
    }
}

fn plan_pull_end(images: &NodeImages, node: NodeId, agenda: &mut Agenda<Event>) {
    if let Some(end) = images.next_end() {
        agenda.at(end, Event::PullEnds(node));
    }
}

/// Numbers of the images of a pod, that of the container which starts first last.
fn images_from_the_last(spec: &PodSpec, cluster: &mut Cluster) -> Vec<u32> {
    let containers = spec.init_containers.iter().chain(&spec.containers);
    let images = containers.filter_map(|container| container.image.as_deref());
    let mut numbers: Vec<u32> = images.map(|image| cluster.image_number(image)).collect();
    numbers.reverse();
    numbers
}

/// Whether the data plane knows what the pod does, and so when it stops.
fn has_consumer(world: &World<'_>, pod: PodId) -> bool {
    let named = |name: Option<&String>, owner: &str| name.is_some_and(|name| name == owner);
    match world.cluster.pods[pod.index()].owner {
        Owner::Deployment(id) => {
            let name = &world.cluster.deployments[id.index()].name;
            world.scenario.consumers.iter().any(|consumer| named(consumer.deployment.as_ref(), name))
        }
        Owner::Job(id) => world.cluster.jobs[id.index()].owner.is_some_and(|scaled| {
            let name = &world.cluster.scaled_jobs[scaled.index()].name;
            world.scenario.consumers.iter().any(|consumer| named(consumer.job.as_ref(), name))
        }),
        Owner::DaemonSet(_) | Owner::None => false,
    }
}
