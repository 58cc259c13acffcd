//! What ends NodeClaims whatever budgets say: age, a lost instance, an interruption, ill health.

use super::{Event, Lifecycle, delete};
use crate::cluster::instance::InstanceState;
use crate::cluster::{InstanceId, NodeClaimId, NodeId, Rule, World};
use crate::engine::Agenda;
use crate::karpenter::lifecycle::expiration::expires_at;
use crate::karpenter::lifecycle::garbage::{self, ClaimView};
use crate::karpenter::lifecycle::interruption::{Message, State, react};
use crate::karpenter::lifecycle::repair::{self, Repair};
use crate::time::Time;

impl Lifecycle {
    pub(super) fn schedule_expiry(&mut self, id: NodeClaimId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let claim = &world.cluster.nodeclaims[id.index()];
        let created = claim.created.floor_second(Time::ZERO + world.scenario.clocks.whole_second);
        if let Some(at) = expires_at(created, claim.expire_after) {
            agenda.at(at, Event::Expire(id));
        }
    }

    pub(super) fn expire(&mut self, id: NodeClaimId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let claim = &world.cluster.nodeclaims[id.index()];
        if !claim.exists() || claim.deleting.is_some() {
            return;
        }
        let at = self.expiration.next(world.now);
        if at > world.now {
            agenda.at(at, Event::Expire(id));
            return;
        }
        self.expiration.deleted(world.now);
        delete(id, "Expired", Rule::Expired, world);
    }

    pub(super) fn collect_claims(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        agenda.at(world.now + garbage::PERIOD, Event::CollectClaims);
        let live: Vec<NodeClaimId> = world.cluster.live_nodeclaims.iter().copied().collect();
        for id in live {
            let claim = &world.cluster.nodeclaims[id.index()];
            let node = claim.node.map(|node| &world.cluster.nodes[node.index()]).filter(|node| node.exists());
            let view = ClaimView {
                registered: claim.registered.is_some(),
                deleting: claim.deleting.is_some(),
                instance_exists: claim.instance.is_some_and(|instance| world.cluster.instance_exists(instance)),
                node_ready: node.map(|node| node.ready),
            };
            if garbage::collects(&view) {
                delete(id, "GarbageCollected", Rule::GarbageCollected, world);
            }
        }
    }

    pub(super) fn collect_instances(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        agenda.at(world.now + garbage::PERIOD, Event::CollectInstances);
        for number in 0..world.cluster.instances.len() {
            let instance = &world.cluster.instances[number];
            let Some(claim) = instance.nodeclaim.filter(|_| instance.state < InstanceState::ShuttingDown) else {
                continue;
            };
            let age = world.now.since(instance.launched);
            if garbage::collects_instance(world.cluster.nodeclaims[claim.index()].exists(), age) {
                world.cluster.announce(crate::cluster::Change::InstanceTerminateRequested(InstanceId(number as u32)));
            }
        }
    }

    /// EC2 says something of its own accord: its message goes through EventBridge and Karpenter's queue, if there is one.
    pub(super) fn receive(&mut self, id: InstanceId, message: Message, world: &World<'_>, agenda: &mut Agenda<Event>) {
        if !world.scenario.karpenter.interruption_queue {
            return;
        }
        let mut stream = self.streams.open("interruption event", u64::from(id.0));
        let takes = world.scenario.latencies.interruption_event.sample(&mut stream);
        agenda.at(world.now + takes, Event::Message(id, message));
    }

    /// A change of an instance's state: a message, and the end of the wait for a cloud that terminates at once.
    pub(super) fn instance_changed(&mut self, id: InstanceId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let instance = &world.cluster.instances[id.index()];
        let Some(claim) = instance.nodeclaim else { return };
        let state = match instance.state {
            InstanceState::Pending | InstanceState::Running => return,
            InstanceState::ShuttingDown => State::ShuttingDown,
            InstanceState::Terminated => State::Terminated,
        };
        self.receive(id, Message::StateChange(state), world, agenda);
        let at_once = instance.state == InstanceState::Terminated && instance.shutting_down == instance.terminated;
        let record = &world.cluster.nodeclaims[claim.index()];
        if at_once && record.exists() && record.instance_terminating {
            match record.node.filter(|node| world.cluster.nodes[node.index()].exists()) {
                Some(node) if record.registered.is_some() => self.wake_node(node, world.now, agenda),
                _ => self.wake_claim(claim, world.now, agenda),
            }
        }
    }

    pub(super) fn message(&mut self, id: InstanceId, message: Message, world: &mut World<'_>) {
        let Some(claim) = world.cluster.instances[id.index()].nodeclaim else { return };
        if let Some(rule) = react(message).delete {
            delete(claim, "Interrupted", rule, world);
        }
    }

    pub(super) fn schedule_repair(&mut self, id: NodeId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let record = self.node(id);
        record.ready_generation += 1;
        let generation = record.ready_generation;
        if world.scenario.karpenter.node_repair {
            agenda.at(world.now + repair::NOT_READY_TOLERATION, Event::Repair(id, generation));
        }
    }

    pub(super) fn repair(&mut self, id: NodeId, generation: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let node = &world.cluster.nodes[id.index()];
        let Some(claim) = node.nodeclaim else { return };
        if !node.exists() || node.ready || self.node(id).ready_generation != generation {
            return;
        }
        let pool = world.cluster.nodes[id.index()].pool;
        let members = world.cluster.live_nodes.iter().map(|other| &world.cluster.nodes[other.index()]);
        let of_pool: Vec<bool> = members.filter(|other| other.pool == pool).map(|other| !other.ready).collect();
        let unhealthy = of_pool.iter().filter(|unhealthy| **unhealthy).count();
        match repair::repair(unhealthy, of_pool.len(), world.now) {
            Repair::BlockedUntil(at) => agenda.at(at, Event::Repair(id, generation)),
            Repair::Delete => {
                world.cluster.set_termination_deadline(claim, Some(world.now));
                delete(claim, "Repair", Rule::Unhealthy, world);
            }
        }
    }
}
