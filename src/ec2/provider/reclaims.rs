//! Spot instances that EC2 takes back: by the pools' own processes, and by the scenario's faults.

use super::{Ec2, Event, WatchedPool};
use crate::cluster::catalogue::CapacityType;
use crate::cluster::instance::InstanceState;
use crate::cluster::{Action, Change, InstanceId, NodeClaimId, NodeId, Rule, Subject, World};
use crate::ec2::data::{self, TypeRow};
use crate::ec2::pools::PoolKey;
use crate::engine::Agenda;
use crate::scenario::faults::{Fault, FaultKind};
use crate::time::Duration;

/// Label of the nodes of a node group.
const NODE_GROUP_LABEL: &str = "eks.amazonaws.com/nodegroup";

impl Ec2 {
    /// Makes a Spot instance a possible victim.
    pub(super) fn watch(
        &mut self,
        key: PoolKey,
        row: &'static TypeRow,
        claim: NodeClaimId,
        instance: InstanceId,
        world: &World<'_>,
        agenda: &mut Agenda<Event>,
    ) {
        let mut own = self.streams.open("own reclaim", u64::from(claim.0));
        if let Some(age) = self.pools.own_reclaim(&key, row, &mut own) {
            self.announce_reclaim(instance, Duration::ZERO, age, world, agenda);
        }
        let next = self.watched.len() as u32;
        let number = *self.watched_index.entry(key.clone()).or_insert(next);
        if number == next {
            self.watched.push(WatchedPool { key, instances: Vec::new(), scheduled: false });
        }
        self.watched[number as usize].instances.push(instance);
        self.schedule_reclaim(number, world, agenda);
    }

    fn schedule_reclaim(&mut self, number: u32, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let pool = &mut self.watched[number as usize];
        let Some(row) = data::instance_type(pool.key.instance_type) else { return };
        if pool.scheduled || pool.instances.is_empty() {
            return;
        }
        if let Some(reclaim) = self.pools.next_reclaim(world.now, &pool.key, row) {
            pool.scheduled = true;
            agenda.at(reclaim.at, Event::PoolReclaim(number));
        }
    }

    /// A reclaim of a pool: each of its instances is taken with the reclaim's probability.
    pub(super) fn reclaim_pool(&mut self, number: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let pool = &mut self.watched[number as usize];
        pool.scheduled = false;
        let (key, instances) = (pool.key.clone(), pool.instances.clone());
        let Some(row) = data::instance_type(key.instance_type) else { return };
        let before = world.now - Duration::from_micros(1);
        let share = self.pools.next_reclaim(before, &key, row).map_or(0.0, |reclaim| reclaim.share);
        let spread = world.scenario.market.reclaim_spread;
        for instance in instances {
            let mut stream = self.streams.open("reclaim victim", u64::from(instance.0));
            let (taken, place) = (stream.chance(share), stream.unit());
            if taken {
                let delay = Duration::from_secs_f64(spread.as_secs_f64() * place);
                self.announce_reclaim(instance, delay, delay, world, agenda);
            }
        }
        self.schedule_reclaim(number, world, agenda);
    }

    /// Schedules recommendation and notice of an instance that EC2 wants back: both together after `delay`, or the
    /// recommendation after `delay` and the notice later.
    fn announce_reclaim(
        &mut self,
        instance: InstanceId,
        delay: Duration,
        notice_after: Duration,
        world: &World<'_>,
        agenda: &mut Agenda<Event>,
    ) {
        let market = &world.scenario.market;
        let mut stream = self.streams.open("rebalance", u64::from(instance.0));
        let together = stream.chance(market.rebalance_together);
        let lead = if together { Duration::ZERO } else { market.rebalance_lead.sample(&mut stream) };
        let recommended = delay.max(notice_after - lead);
        let notice = if delay == notice_after { delay + lead } else { notice_after };
        agenda.at(world.now + recommended, Event::Recommend(instance));
        agenda.at(world.now + notice, Event::Notice(instance));
    }

    pub(super) fn give_notice(&mut self, id: InstanceId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if !self.is_up(id, world) {
            return;
        }
        let market = &world.scenario.market;
        let lost = self.streams.open("notice lost", u64::from(id.0)).chance(market.notice_lost_probability);
        agenda.at(world.now + market.notice, Event::TakeBack(id));
        if !lost {
            let detail = format!("the instance ends in {}", market.notice);
            Self::log(world, Subject::Instance(id), Action::Notice, Rule::SpotInterruptionWarning, detail);
            world.cluster.announce(Change::SpotInterruptionWarning(id));
        }
    }

    pub(super) fn take_back(&mut self, id: InstanceId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if self.is_up(id, world) {
            world.cluster.mark_interrupted(id);
            self.shut_down(id, world, agenda);
        }
    }

    /// A fault of the scenario that takes instances: Spot ones with notice, or any without.
    pub(super) fn fault(&mut self, number: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let fault = &world.scenario.faults[number as usize];
        let loss = fault.kind == FaultKind::NodeLoss;
        if !loss && fault.kind != FaultKind::SpotInterruption {
            return;
        }
        let over = fault.duration.unwrap_or(Duration::ZERO).as_secs_f64();
        let mut stream = self.streams.open("fault victims", u64::from(number));
        let mut victims = concerned(fault, loss, world);
        stream.shuffle(&mut victims);
        victims.truncate((victims.len() as f64 * fault.share).round() as usize);
        for victim in victims {
            let delay = Duration::from_secs_f64(over * stream.unit());
            let event = if loss { Event::Lose(victim) } else { Event::Notice(victim) };
            agenda.at(world.now + delay, event);
        }
    }

    /// An instance is gone at once, without notice.
    pub(super) fn lose(&mut self, id: InstanceId, world: &mut World<'_>) {
        if self.is_up(id, world) {
            let detail = "the instance is gone without notice".to_owned();
            Self::log(world, Subject::Instance(id), Action::Lose, Rule::NodeLoss, detail);
            world.cluster.mark_interrupted(id);
            world.cluster.set_instance_state(world.now, id, InstanceState::Terminated);
        }
    }
}

/// Instances that a fault concerns: all of its pool or node group and zone; with notice only Spot ones.
fn concerned(fault: &Fault, loss: bool, world: &World<'_>) -> Vec<InstanceId> {
    let cluster = &world.cluster;
    let is_concerned = |id: &InstanceId| {
        let instance = &cluster.instances[id.index()];
        let zone = cluster.catalogues[instance.node_class.index()].zone(instance.zone);
        let pool = instance.nodeclaim.map(|claim| cluster.nodeclaims[claim.index()].pool);
        let group = |wanted: &str| {
            let of_instance = |node: &&NodeId| cluster.nodes[node.index()].instance == Some(*id);
            let node = cluster.live_nodes.iter().find(of_instance).map(|node| &cluster.nodes[node.index()]);
            node.and_then(|node| node.labels.get(NODE_GROUP_LABEL)).is_some_and(|name| name == wanted)
        };
        let named = |wanted: &str| match pool {
            Some(pool) => cluster.nodepools[pool.index()].name == wanted,
            None => group(wanted),
        };
        instance.state < InstanceState::ShuttingDown
            && (loss || instance.capacity_type == CapacityType::Spot)
            && fault.zone.as_deref().is_none_or(|wanted| wanted == zone)
            && fault.nodes.as_deref().is_none_or(named)
    };
    (0..cluster.instances.len() as u32).map(InstanceId).filter(is_concerned).collect()
}
