//! Nodes that come and go in a replay, and kube-scheduler placing the pods that they lose.

use forescale::api::meta::Labels;
use forescale::api::pod::{Taint, TaintEffect};
use forescale::cluster::catalogue::{CapacityType, TypeId, ZoneId};
use forescale::ec2::kwok;
use forescale::karpenter::disruption::model::{NodeView, Owner, PodView, PoolIndex};
use forescale::karpenter::disruption::quiet::{self, PodEvent};
use forescale::karpenter::disruption::replacement::Replacement;
use forescale::karpenter::disruption::simulate::PodIdentity;
use forescale::scheduler::choose::Choice;
use forescale::scheduler::snapshot::{NodeSpec, Placed};
use forescale::time::{Duration, Time};
use forescale::units::{Resource, Resources};

use super::super::disruption_world::TestNode;
use super::{DELETE_AFTER, EVICT_AFTER, Event, LAUNCH_AFTER, NODE_GONE_AFTER, POD_GONE_AFTER, Replay};

impl Replay<'_> {
    pub(super) fn add_node(
        &mut self,
        recorded: &str,
        name: &str,
        (id, zone, capacity_type): (TypeId, ZoneId, CapacityType),
    ) -> usize {
        let index = self.cluster.nodes.len();
        let mut view = NodeView::new(index as u32, name, PoolIndex(0));
        view.instance_type = Some(id);
        view.zone = Some(zone);
        view.capacity_type = Some(capacity_type);
        let allocatable = self.cluster.catalogue.get(id).allocatable;
        let labels = self.cluster.labels_of(&view);
        self.slots.push(self.kube.add_node(node_spec(name, &labels, allocatable, false)));
        self.names.push(recorded.to_owned());
        self.cluster.nodes.push(TestNode { view, labels, allocatable, identities: Vec::new() });
        index
    }

    pub(super) fn place(&mut self, pod: u32, shape: usize, node: usize) {
        let view = PodView { id: pod, ..PodView::default() };
        self.cluster.add_pod(Some(node), view, shape, Time::ZERO);
        let placed = Placed {
            pod,
            shape: self.shapes[shape],
            started: self.now.seconds_begun(Time::ZERO),
            terminating: false,
            preempted: false,
        };
        self.kube.place(self.slots[node], placed);
    }

    pub(super) fn launch(&mut self, replacement: &Replacement) -> u32 {
        let zones: Vec<ZoneId> = (0..self.cluster.catalogue.zones.len() as u16)
            .map(ZoneId)
            .filter(|z| replacement.zones.contains(*z))
            .collect();
        let capacity_types: Vec<CapacityType> = [CapacityType::Spot, CapacityType::OnDemand]
            .into_iter()
            .filter(|capacity_type| replacement.capacity_types.contains(*capacity_type))
            .collect();
        let (id, offering) =
            kwok::choose(&self.cluster.catalogue, &replacement.types, &zones, &capacity_types, &mut self.ties)
                .expect("an offering");
        let recorded = format!("new{}", self.cluster.nodes.len());
        let name = format!("{}-{:05}", self.cluster.pools[replacement.pool.0].name, self.ties.below(100_000));
        let index = self.add_node(&recorded, &name, (id, offering.zone, offering.capacity_type));
        let view = &mut self.cluster.nodes[index].view;
        view.pool = Some(replacement.pool);
        (view.initialized, view.registered) = (false, false);
        self.cluster.nodes[index].labels = self.cluster.labels_of(&self.cluster.nodes[index].view);
        let (labels, allocatable) = (self.cluster.nodes[index].labels.clone(), self.cluster.nodes[index].allocatable);
        self.kube.update_node(self.slots[index], node_spec(&name, &labels, allocatable, true));
        self.unlaunched += 1;
        self.memory.state.mark_unconsolidated(self.now);
        self.after(LAUNCH_AFTER, Event::Launched(index as u32));
        index as u32
    }

    pub(super) fn poll(&mut self, number: usize) {
        let ready =
            self.running[number].replacements.iter().all(|id| self.cluster.nodes[*id as usize].view.initialized);
        if !ready {
            self.after(Duration::from_secs(1), Event::Queue(number));
            return;
        }
        if std::mem::replace(&mut self.running[number].done, true) {
            return;
        }
        for node in self.running[number].nodes.clone() {
            self.after(DELETE_AFTER, Event::Delete(node));
        }
    }

    pub(super) fn evict(&mut self, node: usize) {
        self.after(NODE_GONE_AFTER - EVICT_AFTER, Event::NodeGone(node as u32));
        let pods: Vec<(u32, usize)> = self.cluster.nodes[node]
            .view
            .pods
            .iter()
            .zip(&self.cluster.nodes[node].identities)
            .map(|(pod, identity)| (pod.id, identity.shape))
            .collect();
        for (pod, shape) in pods {
            let view = self.cluster.nodes[node].view.pods.iter_mut().find(|view| view.id == pod).expect("a pod");
            view.terminating = true;
            self.kube.mark_terminating(self.slots[node], pod, false);
            self.after(POD_GONE_AFTER, Event::PodGone(node as u32, pod));
            self.pods += 1;
            self.waiting.push((self.pods, shape));
        }
        self.schedule_waiting();
    }

    pub(super) fn schedule_waiting(&mut self) {
        for (pod, shape) in std::mem::take(&mut self.waiting) {
            match self.chooser.choose(&mut self.kube, pod, self.shapes[shape], None, &mut self.ties) {
                Choice::Node(slot) => {
                    let node = self.slots.iter().position(|known| *known == slot).expect("a node");
                    self.place(pod, shape, node);
                    let view = &mut self.cluster.nodes[node].view;
                    let event = quiet::last_pod_event(
                        PodEvent::Bound,
                        Owner::Workload,
                        view.last_pod_event,
                        self.now,
                        self.second,
                    );
                    view.last_pod_event = event.or(view.last_pod_event);
                    self.memory.state.mark_unconsolidated(self.now);
                }
                _ => self.waiting.push((pod, shape)),
            }
        }
        self.cluster.pending = self
            .waiting
            .iter()
            .map(|(pod, shape)| PodIdentity { shape: *shape, created: Time::ZERO, uid: u64::from(*pod) })
            .collect();
    }

    pub(super) fn pod_gone(&mut self, node: usize, pod: u32) {
        let record = &mut self.cluster.nodes[node];
        if let Some(index) = record.view.pods.iter().position(|view| view.id == pod) {
            record.view.pods.remove(index);
            record.identities.remove(index);
        }
        self.kube.remove(self.slots[node], pod);
        self.memory.state.mark_unconsolidated(self.now);
    }

    pub(super) fn node_gone(&mut self, node: usize) {
        let record = &mut self.cluster.nodes[node];
        (record.view.managed, record.view.registered, record.view.initialized) = (false, false, false);
        record.view.pool = None;
        record.view.pods.clear();
        record.identities.clear();
        self.kube.remove_node(self.slots[node]);
        self.slots[node] = usize::MAX;
        self.memory.state.mark_unconsolidated(self.now);
    }
}

pub fn node_spec(name: &str, labels: &Labels, allocatable: Resources, closed: bool) -> NodeSpec {
    let taint =
        Taint { key: "karpenter.sh/disrupted".to_owned(), value: String::new(), effect: TaintEffect::NoSchedule };
    NodeSpec {
        name: name.to_owned(),
        labels: labels.clone(),
        taints: if closed { vec![taint] } else { Vec::new() },
        volume_limit: None,
        unschedulable: false,
        allocatable: if allocatable.get(Resource::Pods) == 0 {
            allocatable.with(Resource::Pods, 110)
        } else {
            allocatable
        },
        images: Vec::new(),
    }
}
