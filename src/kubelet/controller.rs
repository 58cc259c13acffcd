//! kubelets and the controllers around nodes at work.

use crate::cluster::pod::Owner;
use crate::cluster::{Action, Change, DaemonSetId, NodeClaimId, NodeId, PodId, Rule, Subject, World};
use crate::engine::{Agenda, Streams};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

use super::crash_faults::CrashFaults;
use super::daemon_sets::DaemonSets;
use super::kubelet_faults::KubeletFaults;
use super::node_health::{NodeHealth, decide};
use super::node_start::NodeStart;
use super::pod_workers::PodWorkers;

/// What happens on nodes at a time of its own. Events that an earlier change made void are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pod's sandbox and network are there; its images are next.
    Sandbox(PodId),
    /// A pod asks for the next image that it needs.
    NextImage(PodId),
    /// A pull on a node may have ended.
    PullEnds(NodeId),
    /// A pod's containers start.
    Start(PodId, u32),
    /// A pod's application can work.
    Working(PodId, u32),
    /// A pod's containers are ready.
    Ready(PodId, u32),
    /// A pod's containers get SIGTERM.
    Term(PodId),
    /// A pod's grace period is over.
    Kill(PodId),
    /// The containers of a pod with a finite task have ended.
    Finish(PodId),
    /// All of a pod is gone: its object is removed.
    Remove(PodId),
    /// An instance's kubelet creates its Node object.
    Register(NodeClaimId),
    /// The cloud controller has looked at a Node.
    CloudInitialized(NodeId),
    /// A Node's network is there: it is Ready.
    NodeReady(NodeId),
    /// The monitor finds a Node silent.
    Unknown(NodeId),
    /// The cloud controller looks at a Node that is not Ready.
    CloudCheck(NodeId),
    /// A silent Node gets its `NoExecute` taint.
    NoExecute(NodeId),
    /// A pod has tolerated a `NoExecute` taint for as long as it does.
    TaintEviction(PodId),
    /// Pod garbage collection removes what is left on a Node that is gone.
    Collect(NodeId),
    /// The DaemonSet controller creates the pod of a Node.
    CreateDaemon(DaemonSetId, NodeId),
    /// The pod of a DaemonSet is bound to its Node.
    BindDaemon(PodId, NodeId),
    /// A fault of the scenario, by its number, crashes containers.
    CrashFault(u32),
    /// A fault of the scenario, by its number, stops kubelets.
    KubeletFault(u32),
    /// A Node's kubelet starts again.
    KubeletStarts(NodeId),
    /// The monitor finds a silent Node reporting again.
    Reachable(NodeId),
    /// The volumes of a pod that is gone are detached from a Node.
    VolumesDetached(NodeId, PodId),
    /// A kubelet sees late that a pod is to go.
    SeesDeletion(PodId),
}

/// All kubelets, the node lifecycle controllers, pod garbage collection and the DaemonSet controller.
pub struct Kubelets {
    pods: PodWorkers,
    starts: NodeStart,
    health: NodeHealth,
    daemons: DaemonSets,
    crashes: CrashFaults,
    stops: KubeletFaults,
}

impl Kubelets {
    /// Kubelets before the first instant.
    #[must_use]
    pub fn new(scenario: &Scenario, streams: Streams) -> Kubelets {
        Kubelets {
            pods: PodWorkers::new(scenario, streams),
            starts: NodeStart::new(scenario, streams),
            health: NodeHealth::new(scenario, streams),
            daemons: DaemonSets::default(),
            crashes: CrashFaults::new(scenario, streams),
            stops: KubeletFaults::new(scenario, streams),
        }
    }

    /// Asks for the crashes and stops of the scenario.
    pub fn start(&mut self, world: &World<'_>, agenda: &mut Agenda<Event>) {
        for number in self.crashes.numbers() {
            agenda.at(world.scenario.faults[number as usize].begin(), Event::CrashFault(number));
        }
        for number in self.stops.numbers() {
            agenda.at(world.scenario.faults[number as usize].begin(), Event::KubeletFault(number));
        }
    }

    /// Takes note of a change.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match *change {
            Change::PodBound(pod) => self.pods.bound(pod, world, agenda),
            Change::PodDeleting(pod) => match self.silent_until(pod, world) {
                Some(end) => agenda.at(end, Event::SeesDeletion(pod)),
                None => {
                    let since = world.cluster.pods[pod.index()].path.deleting.unwrap_or(world.now);
                    self.pods.deleting(pod, since, world, agenda);
                }
            },
            Change::ConsumerStopped(pod) => self.pods.stopped(pod, true, world, agenda),
            Change::ConsumerExited(pod, ok) => self.pods.stopped(pod, ok, world, agenda),
            Change::ConsumerCrashed(pod) => self.pods.stopped(pod, false, world, agenda),
            Change::PodGone(pod) => {
                self.pods.gone(pod, world, agenda);
                self.crashes.gone(pod);
                if matches!(world.cluster.pods[pod.index()].owner, Owner::DaemonSet(_)) {
                    self.daemons.pod_gone(pod, world, agenda);
                }
            }
            Change::NodeClaimLaunched(claim) => self.starts.launched(claim, world, agenda),
            Change::InstanceState(instance) => {
                if let Some(node) = self.health.instance_changed(instance, world, agenda) {
                    self.pods.machine_lost(node, world);
                }
            }
            Change::NodeCreated(node) => {
                self.starts.created(node, world, agenda);
                self.daemons.look_at(node, world, agenda);
            }
            Change::NodeTaints(node) => {
                self.health.taints_changed(node, world, agenda);
                self.daemons.look_at(node, world, agenda);
            }
            Change::NodeUpdated(node) => self.daemons.look_at(node, world, agenda),
            Change::NodeGone(node) => {
                self.pods.node_gone(node);
                self.health.node_gone(node, world, agenda);
            }
            Change::DaemonSetCreated(_) => {
                for node in world.cluster.live_nodes.iter().copied().collect::<Vec<_>>() {
                    self.daemons.look_at(node, world, agenda);
                }
            }
            _ => {}
        }
    }

    /// Handles an event of its own.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if let Some(end) = self.waits_until(event, world) {
            agenda.at(end, event);
            return;
        }
        match event {
            Event::Register(claim) => self.starts.register(claim, world),
            Event::CloudInitialized(node) => NodeStart::cloud_initialized(node, world),
            Event::NodeReady(node) => {
                if !self.health.is_dead(node) {
                    NodeStart::ready(node, world);
                }
            }
            Event::Unknown(node) => {
                if self.health.is_dead(node) || self.stops.down_until(node).is_some() {
                    self.health.unknown(node, world, agenda);
                }
            }
            Event::Reachable(node) => NodeHealth::reachable(node, world),
            Event::KubeletFault(number) => self.stop(number, world, agenda),
            Event::KubeletStarts(node) => {
                if self.stops.ends(node, world.now) {
                    let running = self.pods.running(world);
                    self.health.reports(node, &running, world, agenda);
                }
            }
            Event::VolumesDetached(node, pod) => drop(world.cluster.attached.remove(&(node, pod))),
            Event::SeesDeletion(pod) => self.pods.deleting(pod, world.now, world, agenda),
            Event::CloudCheck(node) => self.health.cloud_check(node, world, agenda),
            Event::NoExecute(node) => NodeHealth::no_execute(node, world),
            Event::TaintEviction(pod) => NodeHealth::taint_eviction(pod, world),
            Event::Collect(node) => NodeHealth::collect(node, world),
            Event::CreateDaemon(set, node) => self.daemons.create(set, node, world, agenda),
            Event::BindDaemon(pod, node) => DaemonSets::bind(pod, node, world, agenda),
            Event::CrashFault(number) => {
                let running = self.pods.running(world);
                for pod in self.crashes.begin(number, &running, world) {
                    self.pods.crash(pod, world, agenda);
                }
            }
            Event::Working(pod, start)
                if self.pods.is_current(pod, start, world.cluster) && self.crashes.hits(pod, world) =>
            {
                self.pods.crash(pod, world, agenda);
            }
            of_pod => self.pods.handle(of_pod, world, agenda),
        }
    }

    /// Until when whoever would act is down, or the API server that it writes to.
    fn waits_until(&self, event: Event, world: &World<'_>) -> Option<Time> {
        let outage = |kind| world.scenario.outage_end(kind, world.now);
        match event {
            Event::Unknown(_) => {
                let end = outage(FaultKind::ControllerManagerDown)?;
                Some(self.health.monitored_again(end, world))
            }
            Event::CloudCheck(_)
            | Event::NoExecute(_)
            | Event::TaintEviction(_)
            | Event::Collect(_)
            | Event::CreateDaemon(..)
            | Event::VolumesDetached(..)
            | Event::Reachable(_) => outage(FaultKind::ControllerManagerDown),
            Event::Register(_) | Event::CloudInitialized(_) | Event::BindDaemon(..) => outage(FaultKind::ApiServerDown),
            Event::NodeReady(node) => self.stops.down_until(node).max(outage(FaultKind::ApiServerDown)),
            Event::Ready(pod, _) | Event::Finish(pod) | Event::Remove(pod) => {
                self.silent_until(pod, world).max(outage(FaultKind::ApiServerDown))
            }
            Event::Sandbox(pod) | Event::NextImage(pod) | Event::Start(pod, _) | Event::Term(pod) => {
                self.silent_until(pod, world)
            }
            // The container runtime goes on without its kubelet.
            Event::PullEnds(_)
            | Event::Working(..)
            | Event::Kill(_)
            | Event::CrashFault(_)
            | Event::KubeletFault(_)
            | Event::KubeletStarts(_)
            | Event::SeesDeletion(_) => None,
        }
    }

    /// Until when the kubelet of a pod is down; a pod that is deleted by force does not need it.
    fn silent_until(&self, pod: PodId, world: &World<'_>) -> Option<Time> {
        let record = &world.cluster.pods[pod.index()];
        let forced = record.terminating() && record.deletion_grace <= Duration::ZERO;
        record.node.filter(|_| !forced).and_then(|node| self.stops.down_until(node))
    }

    fn stop(&mut self, number: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let live = world.cluster.live_nodes.iter().copied().filter(|node| !self.health.is_dead(*node)).collect();
        for node in self.stops.begin(number, live, world) {
            let until = self.stops.down_until(node).unwrap_or(world.now);
            self.health.falls_silent(node, world, agenda);
            agenda.at(until, Event::KubeletStarts(node));
            let detail = format!("its kubelet is down until {until}");
            decide(world, Subject::Node(node), Action::Stop, Rule::KubeletDown, detail);
        }
    }
}
