//! Capacity reservations in a run: what EC2 keeps and bills, and what Karpenter knows of it (karpenter-provider-aws
//! `pkg/controllers/nodeclass/capacityreservation.go`, `pkg/controllers/capacityreservation`).

use std::sync::Arc;

use super::{Ec2, Event};
use crate::cluster::catalogue::{
    CapacityType, Catalogue, Offering, Reservation, ReservationId, ReservationKind, TypeId,
};
use crate::cluster::instance::InstanceState;
use crate::cluster::reservation::CapacityReservation;
use crate::cluster::{Action, Change, Cluster, InstanceId, NodeClaimId, NodeClassId, Rule, Subject, World};
use crate::ec2::catalogue::can_boot;
use crate::ec2::data;
use crate::ec2::overlay::Overlays;
use crate::ec2::reservations::{BLOCK_RECLAIM, POLL, PRICE_DIVISOR, Slots, is_expiring};
use crate::engine::Agenda;
use crate::scenario::Scenario;
use crate::scenario::capacity_reservations::{self, INTERRUPTIBLE_NOTICE, is_selected};
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};
use crate::units::Usd;

/// Labels of what comes from a reservation; the first two are `ReservedCapacityLabels`.
const LABELS: [&str; 3] = [
    "karpenter.k8s.aws/capacity-reservation-id",
    "karpenter.k8s.aws/capacity-reservation-type",
    "karpenter.k8s.aws/capacity-reservation-interruptible",
];

/// The reservations of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Reserved {
    /// As EC2 counts them.
    pub slots: Slots,
    /// Instances left as Karpenter counts them between two looks (`availabilityCache`).
    left: Vec<u32>,
    /// What each node class selected at the last look.
    selected: Vec<Vec<ReservationId>>,
}

impl Reserved {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let reservations = &scenario.capacity_reservations;
        Reserved { slots: Slots::of(reservations), left: vec![0; reservations.len()], selected: Vec::new() }
    }
}

/// All reservations of a scenario.
fn ids(scenario: &Scenario) -> impl Iterator<Item = ReservationId> + use<> {
    (0..scenario.capacity_reservations.len()).map(|id| ReservationId(id as u16))
}

fn kind_of(reservation: &capacity_reservations::CapacityReservation) -> ReservationKind {
    match (reservation.is_block(), reservation.interruptible) {
        (true, _) => ReservationKind::CapacityBlock,
        (false, true) => ReservationKind::Interruptible,
        (false, false) => ReservationKind::Default,
    }
}

/// Labels of an instance that Karpenter launched into a reservation.
pub(super) fn labels(catalogue: &Catalogue, id: ReservationId) -> [(String, String); 3] {
    let reservation = catalogue.reservation(id);
    let values = [reservation.id.as_str(), reservation.kind.type_label(), reservation.kind.interruptible_label()];
    std::array::from_fn(|i| (LABELS[i].to_owned(), values[i].to_owned()))
}

impl Ec2 {
    pub(super) fn start_reservations(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        for (number, reservation) in world.scenario.capacity_reservations.iter().enumerate() {
            world.cluster.reservations.push(CapacityReservation {
                id: reservation.id.clone(),
                instance_type: reservation.instance_type.clone(),
                zone: reservation.zone.clone(),
                count: reservation.instance_count,
                begins: reservation.begins(),
                ends: reservation.ends(),
                prices: Vec::new(),
            });
            agenda.at(reservation.begins(), Event::ReservationBegins(number as u16));
            if reservation.ends() < Time::MAX {
                agenda.at(reservation.ends(), Event::ReservationEnds(number as u16));
            }
            if let Some(notice) = reservation.notice() {
                agenda.at(notice, Event::ReservationNotice(number as u16));
            }
            if reservation.is_block() {
                agenda.at(reservation.ends() - BLOCK_RECLAIM, Event::BlockReclaim(number as u16));
            }
        }
        self.price_reservations(world);
        if world.scenario.reserved_capacity() && !world.scenario.capacity_reservations.is_empty() {
            self.look_for_reservations(world);
            let phase = POLL.as_secs_f64() * self.streams.open("reservation poll phase", 0).unit();
            agenda.at(Time::ZERO + Duration::from_secs_f64(phase), Event::PollReservations);
        }
    }

    /// What an instance-hour of a reservation costs now.
    pub(super) fn reserved_price(&mut self, id: ReservationId, world: &World<'_>) -> Option<Usd> {
        let reservation = &world.scenario.capacity_reservations[usize::from(id.0)];
        if let Some(own) = reservation.per_hour {
            return Some(Usd::from_f64(own.milli as f64 / 1000.0));
        }
        let regional = data::find(&world.scenario.simulation.region, &reservation.instance_type)?;
        self.prices.at(world.now, regional, &reservation.zone, CapacityType::OnDemand).map(Usd::from_f64)
    }

    /// Notes the price of every reservation, and of the instances in it, from now on.
    pub(super) fn price_reservations(&mut self, world: &mut World<'_>) {
        for id in ids(world.scenario) {
            let Some(price) = self.reserved_price(id, world) else { continue };
            let prices = &mut world.cluster.reservations[usize::from(id.0)].prices;
            if prices.last().is_none_or(|(_, last)| *last != price) {
                prices.push((world.now, price));
            }
            for instance in self.instances_in(id, world) {
                world.cluster.set_instance_price(world.now, instance, price);
            }
        }
    }

    /// Instances that are in the reservation and not on their way out.
    fn instances_in(&self, id: ReservationId, world: &World<'_>) -> Vec<InstanceId> {
        if !world.scenario.capacity_reservations[usize::from(id.0)].is_active(world.now) {
            return Vec::new();
        }
        let instances = world.cluster.instances.iter().enumerate();
        let inside = instances.filter(|(_, instance)| instance.reservation == Some(id));
        let up = inside.filter(|(_, instance)| instance.state < InstanceState::ShuttingDown);
        up.map(|(number, _)| InstanceId(number as u32)).collect()
    }

    /// vCPUs of a number of instances of a reservation.
    fn reserved_vcpus(id: ReservationId, instances: usize, world: &World<'_>) -> i64 {
        let name = &world.scenario.capacity_reservations[usize::from(id.0)].instance_type;
        data::instance_type(name).map_or(0, |row| row.vcpu * instances as i64)
    }

    /// A reservation counts against the account's quota, used or not.
    pub(super) fn reservation_begins(&mut self, id: ReservationId, world: &World<'_>) {
        let count = world.scenario.capacity_reservations[usize::from(id.0)].instance_count as usize;
        self.quotas.take_vcpus(Self::reserved_vcpus(id, count, world));
    }

    /// Its instances run on as any on demand.
    pub(super) fn reservation_ends(&mut self, id: ReservationId, world: &mut World<'_>) {
        let reservation = &world.scenario.capacity_reservations[usize::from(id.0)];
        let instances = world.cluster.instances.iter().enumerate();
        let inside = instances.filter(|(_, instance)| instance.reservation == Some(id));
        let up: Vec<usize> = inside.filter(|(_, i)| i.state < InstanceState::ShuttingDown).map(|(n, _)| n).collect();
        let unused = (reservation.instance_count as usize).saturating_sub(up.len());
        self.quotas.release_vcpus(CapacityType::OnDemand, Self::reserved_vcpus(id, unused, world));
        let regional = data::find(&world.scenario.simulation.region, &reservation.instance_type);
        let price = regional.and_then(|regional| {
            self.prices.at(world.now, regional, &reservation.zone, CapacityType::OnDemand).map(Usd::from_f64)
        });
        for number in up {
            if let Some(price) = price {
                world.cluster.set_instance_price(world.now, InstanceId(number as u32), price);
            }
        }
    }

    /// EC2 takes back the instances of a capacity block.
    pub(super) fn reclaim_block(&mut self, id: ReservationId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        for instance in self.instances_in(id, world) {
            let detail = "the capacity block ends in half an hour".to_owned();
            Self::log(world, Subject::Instance(instance), Action::TakeBack, Rule::CapacityBlockEnds, detail);
            self.take_back(instance, world, agenda);
        }
    }

    /// The owner of an interruptible reservation wants its instances back: they get notice (EC2 user guide, interruptible Capacity
    /// Reservations).
    pub(super) fn notice_reserved(&mut self, id: ReservationId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        for instance in self.instances_in(id, world) {
            let detail = "the owner of its capacity reservation takes it back in two minutes".to_owned();
            let rule = Rule::ReservationInterruptionWarning;
            Self::log(world, Subject::Instance(instance), Action::Notice, rule, detail);
            world.cluster.announce(Change::ReservationInterruptionWarning(instance));
            agenda.at(world.now + INTERRUPTIBLE_NOTICE, Event::TakeBack(instance));
        }
    }

    /// A NodeClaim that is deleted because the owner of its reservation wants that back leaves none of it to others
    /// (`interruption/utils.go: markUnavailableOfferings`).
    pub(super) fn mark_interrupted_reservation(&mut self, id: NodeClaimId, world: &mut World<'_>) {
        let instance = world.cluster.nodeclaims[id.index()].instance;
        let Some(id) = instance.and_then(|instance| world.cluster.instances[instance.index()].reservation) else {
            return;
        };
        let notice = world.scenario.capacity_reservations[usize::from(id.0)].notice();
        if world.scenario.reserved_capacity() && notice.is_some_and(|notice| notice <= world.now) {
            self.count_reserved(id, true, world);
        }
    }

    /// Whether an instance is in a reservation now.
    pub(super) fn is_reserved(id: InstanceId, world: &World<'_>) -> bool {
        let reservation = world.cluster.instances[id.index()].reservation;
        reservation.is_some_and(|id| world.scenario.capacity_reservations[usize::from(id.0)].is_active(world.now))
    }

    /// The three loops of Karpenter, one after the other.
    pub(super) fn poll_reservations(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if let Some(end) = world.scenario.outage_end(FaultKind::KarpenterDown, world.now) {
            agenda.at(end, Event::PollReservations);
            return;
        }
        self.look_for_reservations(world);
        self.leave_ended_reservations(world);
        self.leave_expiring_blocks(world);
        let ends = world.scenario.capacity_reservations.iter().map(|reservation| reservation.ends());
        let next = ends.filter(|end| *end > world.now).min().unwrap_or(Time::MAX);
        agenda.at((world.now + POLL).min(next), Event::PollReservations);
    }

    /// What each node class selects, and how many instances are left (`nodeclass/capacityreservation.go: Reconcile`).
    fn look_for_reservations(&mut self, world: &mut World<'_>) {
        self.reserved.left = ids(world.scenario).map(|id| self.reserved.slots.free(id, world.now)).collect();
        let selects = |class: &crate::cluster::node_class::NodeClass| {
            let Some(version) = &class.version else { return Vec::new() };
            let mut selected: Vec<ReservationId> = ids(world.scenario)
                .filter(|id| {
                    let reservation = &world.scenario.capacity_reservations[usize::from(id.0)];
                    reservation.is_active(world.now) && is_selected(&version.selectors.reservations, reservation)
                })
                .collect();
            selected.sort_by_key(|id| &world.scenario.capacity_reservations[usize::from(id.0)].id);
            selected
        };
        let selected: Vec<_> = world.cluster.node_classes.iter().map(selects).collect();
        for (number, now) in selected.iter().enumerate() {
            if self.reserved.selected.get(number).is_some_and(|before| before != now) {
                world.cluster.announce(Change::NodeClassSpec(NodeClassId(number as u32)));
            }
        }
        self.reserved.selected = selected;
        self.offer_reserved(world);
    }

    /// Writes what Karpenter knows of reservations into the catalogues (`ReservedCapacityResolver.ResolveOfferings`).
    pub(super) fn offer_reserved(&mut self, world: &mut World<'_>) {
        let overlays = Overlays::of(world.scenario);
        let reservations: Vec<Reservation> = world
            .scenario
            .capacity_reservations
            .iter()
            .zip(&self.reserved.left)
            .map(|(spec, left)| Reservation { id: spec.id.clone(), kind: kind_of(spec), left: *left })
            .collect();
        for number in 0..self.reserved.selected.len() {
            let wanted = self.reserved_offerings(number, &overlays, world);
            let catalogue = &world.cluster.catalogues[number];
            if catalogue.reservations == reservations && reserved_in(catalogue).eq(wanted.iter().copied()) {
                continue;
            }
            let catalogue = Arc::make_mut(&mut world.cluster.catalogues[number]);
            catalogue.reservations.clone_from(&reservations);
            for instance_type in &mut catalogue.types {
                instance_type.offerings.retain(|offering| offering.reservation.is_none());
            }
            for (id, offering) in wanted {
                catalogue.types[id.0 as usize].offerings.push(offering);
            }
            world.cluster.announce(Change::Offerings(NodeClassId(number as u32)));
        }
    }

    /// The offerings of a node class from reservations, in the order of types.
    fn reserved_offerings(&mut self, class: usize, overlays: &Overlays, world: &World<'_>) -> Vec<(TypeId, Offering)> {
        let catalogue = &world.cluster.catalogues[class];
        let Some(version) = &world.cluster.node_classes[class].version else { return Vec::new() };
        let mut offerings: Vec<(TypeId, Offering)> = Vec::new();
        for id in self.reserved.selected[class].clone() {
            let spec = &world.scenario.capacity_reservations[usize::from(id.0)];
            let regional = data::find(&world.scenario.simulation.region, &spec.instance_type);
            let places = catalogue.find(&spec.instance_type).zip(catalogue.find_zone(&spec.zone));
            let (Some(regional), Some((type_id, zone))) = (regional, places) else { continue };
            let on_demand = self.prices.at(world.now, regional, &spec.zone, CapacityType::OnDemand).unwrap_or(0.0);
            let labels = &catalogue.get(type_id).labels;
            let available = can_boot(version.family, regional.row.family)
                && !catalogue.without_subnet.contains(&zone)
                && self.reserved.left[usize::from(id.0)] > 0
                && !is_expiring(spec, world.now);
            let offering = Offering {
                zone,
                capacity_type: CapacityType::Reserved,
                price: overlays.price(labels, &spec.zone, CapacityType::Reserved, on_demand / PRICE_DIVISOR),
                available,
                reservation: Some(id),
            };
            offerings.push((type_id, offering));
        }
        offerings.sort_by_key(|(id, _)| *id);
        offerings
    }

    /// An instance was launched into a reservation (`MarkLaunched`), or EC2 says it is full (`MarkUnavailable`).
    pub(super) fn count_reserved(&mut self, id: ReservationId, full: bool, world: &mut World<'_>) {
        let left = &mut self.reserved.left[usize::from(id.0)];
        *left = if full { 0 } else { left.saturating_sub(1) };
        self.offer_reserved(world);
    }

    /// A NodeClaim whose instance is gone leaves its slot (`MarkTerminated`).
    pub(super) fn leave_reservation(&mut self, claim: NodeClaimId, world: &mut World<'_>) {
        let Some(name) = world.cluster.nodeclaims[claim.index()].labels.get(LABELS[0]) else { return };
        let named = |id: &ReservationId| world.scenario.capacity_reservations[usize::from(id.0)].id == *name;
        if let Some(id) = ids(world.scenario).find(named).filter(|_| world.scenario.reserved_capacity()) {
            self.reserved.left[usize::from(id.0)] += 1;
            self.offer_reserved(world);
        }
    }

    /// Nodes whose reservation is over are on demand (`capacitytype/controller.go: syncCapacityType`). Those of an interruptible one end
    /// with it.
    fn leave_ended_reservations(&self, world: &mut World<'_>) {
        let stays = |instance: InstanceId| {
            let reservation = world.cluster.instances[instance.index()].reservation;
            reservation.is_none_or(|id| world.scenario.capacity_reservations[usize::from(id.0)].notice().is_none())
        };
        let over = |id: &NodeClaimId| {
            let claim = &world.cluster.nodeclaims[id.index()];
            claim.deleting.is_none()
                && claim.capacity_type == Some(CapacityType::Reserved)
                && claim.instance.is_some_and(|instance| !Self::is_reserved(instance, world) && stays(instance))
        };
        for id in live_claims(world.cluster, over) {
            world.cluster.move_to_on_demand(id, &LABELS[..2]);
            let detail = "its capacity reservation is over".to_owned();
            Self::log(world, Subject::NodeClaim(id), Action::Relabel, Rule::SyncCapacityType, detail);
        }
    }

    /// NodeClaims of capacity blocks go before EC2 takes their instances (`expiration/controller.go: Reconcile`).
    fn leave_expiring_blocks(&self, world: &mut World<'_>) {
        let expiring = |id: &NodeClaimId| {
            let claim = &world.cluster.nodeclaims[id.index()];
            let reservation = claim.instance.and_then(|instance| world.cluster.instances[instance.index()].reservation);
            claim.deleting.is_none()
                && claim.capacity_type == Some(CapacityType::Reserved)
                && reservation
                    .is_some_and(|id| is_expiring(&world.scenario.capacity_reservations[usize::from(id.0)], world.now))
        };
        for id in live_claims(world.cluster, expiring) {
            let detail = "its capacity block ends within 40 minutes".to_owned();
            Self::log(world, Subject::NodeClaim(id), Action::Delete, Rule::CapacityBlockExpiring, detail);
            world.cluster.delete_nodeclaim(world.now, id, "ReservationExpiring");
        }
    }
}

fn live_claims(cluster: &Cluster, chosen: impl Fn(&NodeClaimId) -> bool) -> Vec<NodeClaimId> {
    cluster.live_nodeclaims.iter().copied().filter(|id| chosen(id)).collect()
}

/// Offerings of a catalogue that come from reservations, in the order of types.
fn reserved_in(catalogue: &Catalogue) -> impl Iterator<Item = (TypeId, Offering)> {
    let types = catalogue.types.iter().enumerate();
    types.flat_map(|(index, instance_type)| {
        let reserved = instance_type.offerings.iter().filter(|offering| offering.reservation.is_some());
        reserved.map(move |offering| (TypeId(index as u32), *offering))
    })
}
