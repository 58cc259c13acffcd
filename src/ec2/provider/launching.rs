//! Launches: from a NodeClaim to CreateFleet and its answer.

use super::{Call, Ec2, Event, Wish, reserved};
use crate::api::meta::Labels;
use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, ReservationId, TypeId, ZoneId};
use crate::cluster::instance::{Instance, InstanceState};
use crate::cluster::nodeclaim::{LaunchError, NodeClaim};
use crate::cluster::{Action, Cluster, InstanceId, Launched, NodeClaimId, NodeClassId, Rule, Subject, World};
use crate::ec2::batcher::group_equal;
use crate::ec2::classes::{NodeSource, source};
use crate::ec2::data;
use crate::ec2::fleet::{CapacitySource, FleetAnswer, FleetErrorCode, allocate};
use crate::ec2::kwok;
use crate::ec2::launch::{LaunchRequest, Override, plan};
use crate::ec2::limits::Quotas;
use crate::ec2::pools::{PoolKey, Pools};
use crate::ec2::reservations::Slots;
use crate::ec2::selectors::subnet_for_launch;
use crate::engine::Agenda;
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};
use crate::units::{Resource, Resources, Usd};

/// A call that takes longer than this fails (`operator.go`: client timeout).
const CALL_TIMEOUT: Duration = Duration::from_mins(4);

impl Ec2 {
    /// `CloudProvider.Create`.
    pub(super) fn launch(&mut self, id: NodeClaimId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let claim = &world.cluster.nodeclaims[id.index()];
        if !claim.exists() || claim.deleting.is_some() || claim.launched.is_some() {
            return;
        }
        let class = world.cluster.nodepools[claim.pool.index()].node_class;
        match source(world.scenario, class) {
            NodeSource::Kwok { .. } => self.launch_kwok(id, class, world, agenda),
            NodeSource::Aws => self.launch_aws(id, class, world, agenda),
        }
    }

    fn launch_kwok(&mut self, id: NodeClaimId, class: NodeClassId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let catalogue = world.cluster.catalogues[class.index()].clone();
        let claim = &world.cluster.nodeclaims[id.index()];
        let zones = zones_of(claim, &catalogue);
        let capacity_types = capacity_types_of(claim);
        match kwok::choose(&catalogue, &claim.options, &zones, &capacity_types, &mut self.kwok_stream) {
            Some(choice) => {
                self.kwok_choices.insert(id, choice);
                let mut stream = self.streams.open("kwok launched", u64::from(id.0));
                let takes = world.scenario.cloud.kwok_launched.sample(&mut stream);
                agenda.at(world.now + takes, Event::KwokLaunched(id));
            }
            None => agenda.at(world.now, Event::LaunchFails(id, LaunchError::InsufficientCapacity)),
        }
    }

    pub(super) fn kwok_launched(&mut self, id: NodeClaimId, world: &mut World<'_>) {
        let Some((instance_type, offering)) = self.kwok_choices.remove(&id) else { return };
        let claim = &world.cluster.nodeclaims[id.index()];
        if !claim.exists() {
            return;
        }
        let class = world.cluster.nodepools[claim.pool.index()].node_class;
        let catalogue = world.cluster.catalogues[class.index()].clone();
        let requests = claim.requests;
        let offered = catalogue.get(instance_type).allocatable;
        let allocatable =
            Resources(std::array::from_fn(|i| if offered.0[i] != 0 { offered.0[i] } else { requests.0[i] }));
        let instance = add_instance(world, id, class, instance_type, &offering, offering.usd_per_hour());
        world.cluster.set_instance_state(world.now, instance, InstanceState::Running);
        let launched = Launched {
            instance,
            instance_type,
            zone: offering.zone,
            capacity_type: offering.capacity_type,
            subnet: None,
            capacity: requests,
            allocatable,
            labels: labels(&catalogue, catalogue.get(instance_type), offering.zone, offering.capacity_type),
        };
        world.cluster.launch_nodeclaim(world.now, id, launched);
    }

    fn launch_aws(&mut self, id: NodeClaimId, class: NodeClassId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if !world.cluster.node_classes[class.index()].is_ready() {
            let detail = format!("EC2NodeClass {} is not Ready", world.cluster.node_classes[class.index()].name);
            Self::log(world, Subject::NodeClaim(id), Action::Refuse, Rule::NodeClassNotReady, detail);
            agenda.at(world.now, Event::LaunchFails(id, LaunchError::InsufficientCapacity));
            return;
        }
        let claim = &world.cluster.nodeclaims[id.index()];
        let request = LaunchRequest {
            options: &claim.options,
            zones: &claim.zones,
            capacity_types: &claim.capacity_types,
            reservations: &claim.reservations,
            requests: claim.requests,
            has_min_values: claim.has_min_values,
        };
        match plan(&world.cluster.catalogues[class.index()], &request) {
            Some(mut request) => {
                request.overrides.retain(|pool| has_ami(pool, class, world.cluster));
                if request.overrides.is_empty() {
                    let detail = "no AMI of its EC2NodeClass runs on the instance types of the NodeClaim".to_owned();
                    Self::log(world, Subject::NodeClaim(id), Action::Refuse, Rule::AmisReady, detail);
                    agenda.at(world.now, Event::LaunchFails(id, LaunchError::Retryable));
                    return;
                }
                let wake = self.fleet_window.add(world.now, Wish { claim: id, class, request });
                agenda.at(wake.at, Event::CloseFleetWindow(wake.generation));
            }
            None => {
                let detail = "no instance type of the NodeClaim has an available offering".to_owned();
                Self::log(world, Subject::NodeClaim(id), Action::Refuse, Rule::InsufficientCapacity, detail);
                agenda.at(world.now, Event::LaunchFails(id, LaunchError::InsufficientCapacity));
            }
        }
    }

    pub(super) fn close_fleet_window(&mut self, generation: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let wishes = self.fleet_window.close(generation);
        let keyed = wishes.into_iter().map(|wish| ((wish.class, wish.request), wish.claim)).collect();
        for ((class, request), claims) in group_equal(keyed) {
            let number = self.calls.len() as u32;
            let mut stream = self.streams.open("create fleet", u64::from(claims[0].0));
            let takes = world.scenario.latencies.create_fleet.sample(&mut stream);
            let begins = self.launch_rate.take(world.now, claims.len());
            if begins.since(world.now) + takes > CALL_TIMEOUT {
                for claim in claims {
                    agenda.at(world.now + CALL_TIMEOUT, Event::LaunchFails(claim, LaunchError::Retryable));
                }
                continue;
            }
            self.calls.push(Some(Call { claims, class, request }));
            agenda.at(begins + takes, Event::FleetAnswers(number));
        }
    }

    pub(super) fn fleet_answers(&mut self, number: u32, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let Some(call) = self.calls[number as usize].take() else { return };
        let catalogue = world.cluster.catalogues[call.class.index()].clone();
        let mut capacity = Capacity {
            now: world.now,
            catalogue: &catalogue,
            capacity_type: call.request.capacity_type,
            pools: &mut self.pools,
            quotas: &mut self.quotas,
            slots: &mut self.reserved.slots,
            scenario: world.scenario,
        };
        let answer = allocate(&call.request, call.claims.len(), &mut capacity, &mut self.fleet_stream);
        let subnets = subnets_of_call(call.class, &catalogue, world.cluster);
        for (claim, pool) in call.claims.iter().zip(&answer.launched) {
            let subnet = subnets.get(usize::from(pool.zone.0)).and_then(Option::as_deref);
            self.launched(*claim, &call, pool, subnet, world, agenda);
        }
        for error in &answer.errors {
            let name = catalogue.get(error.pool.instance_type).name.clone();
            let zone = catalogue.zone(error.pool.zone).to_owned();
            let detail = format!("{name} in {zone}, {}", call.request.capacity_type.as_str());
            Self::log(world, Subject::NodeClaim(call.claims[0]), Action::Refuse, error.code.rule(), detail);
            match error.pool.reservation {
                Some(id) => self.count_reserved(id, true, world),
                None => self.mark_unavailable((call.request.capacity_type, name, zone), world, agenda),
            }
        }
        self.refuse_rest(&call, &answer, world);
    }

    fn refuse_rest(&self, call: &Call, answer: &FleetAnswer, world: &mut World<'_>) {
        for claim in &call.claims[answer.launched.len()..] {
            if world.cluster.nodeclaims[claim.index()].exists() {
                world.cluster.fail_launch(*claim, LaunchError::InsufficientCapacity);
            }
        }
    }

    fn launched(
        &mut self,
        id: NodeClaimId,
        call: &Call,
        pool: &Override,
        subnet: Option<&str>,
        world: &mut World<'_>,
        agenda: &mut Agenda<Event>,
    ) {
        let (class, capacity_type) = (call.class, call.request.capacity_type);
        let catalogue = world.cluster.catalogues[class.index()].clone();
        let instance_type = catalogue.get(pool.instance_type);
        let zone = catalogue.zone(pool.zone);
        let regional = data::find(&world.scenario.simulation.region, &instance_type.name);
        let real = regional.and_then(|regional| self.prices.at(world.now, regional, zone, capacity_type));
        let reservation = pool.reservation;
        let offering = Offering { zone: pool.zone, capacity_type, price: pool.price, available: true, reservation };
        let reserved = reservation.and_then(|id| self.reserved_price(id, world));
        let price = reserved.unwrap_or_else(|| Usd::from_f64(real.unwrap_or(pool.price)));
        let instance = add_instance(world, id, class, pool.instance_type, &offering, price);
        let mut stream = self.streams.open("instance running", u64::from(id.0));
        let takes = world.scenario.latencies.instance_running.sample(&mut stream);
        agenda.at(world.now + takes, Event::InstanceRuns(instance));
        if let Some(regional) = regional.filter(|_| capacity_type == CapacityType::Spot) {
            let key = PoolKey { capacity_type, instance_type: regional.row.name, zone: zone.to_owned() };
            self.watch(key, regional.row, id, instance, world, agenda);
        }
        let mut node_labels = labels(&catalogue, instance_type, pool.zone, capacity_type);
        if let Some(id) = reservation.filter(|_| capacity_type == CapacityType::Reserved) {
            node_labels.extend(reserved::labels(&catalogue, id));
            self.count_reserved(id, false, world);
        }
        let detail = format!(
            "{} {} in {zone} at {price} an hour, one of {} pools (instance type and zone) asked for",
            instance_type.name,
            capacity_type.as_str(),
            call.request.overrides.len()
        );
        Self::log(world, Subject::NodeClaim(id), Action::Launch, Rule::CreateFleet, detail);
        let launched = Launched {
            instance,
            instance_type: pool.instance_type,
            zone: pool.zone,
            capacity_type,
            subnet: subnet.map(str::to_owned),
            capacity: instance_type.capacity,
            allocatable: instance_type.allocatable,
            labels: node_labels,
        };
        if world.cluster.nodeclaims[id.index()].exists() {
            world.cluster.launch_nodeclaim(world.now, id, launched);
        }
    }
}

fn add_instance(
    world: &mut World<'_>,
    claim: NodeClaimId,
    class: NodeClassId,
    instance_type: TypeId,
    offering: &Offering,
    price: Usd,
) -> InstanceId {
    world.cluster.add_instance(Instance {
        nodeclaim: Some(claim),
        reservation: offering.reservation,
        ..Instance::new(world.now, class, instance_type, (offering.zone, offering.capacity_type), price)
    })
}

/// Whether the node class has found an AMI for the instance type of a pool.
fn has_ami(pool: &Override, class: NodeClassId, cluster: &Cluster) -> bool {
    let found = cluster.node_classes[class.index()].version.as_ref().map(|version| &version.found);
    let Some(found) = found.filter(|found| found.amis.is_some()) else { return true };
    let labels = &cluster.catalogues[class.index()].get(pool.instance_type).labels;
    let architecture =
        labels.iter().find(|(key, _)| key == "kubernetes.io/arch").and_then(|(_, values)| values.first());
    architecture.is_none_or(|own| found.ami_of(own).is_some())
}

/// By zone: the subnet that all instances of a call go to.
fn subnets_of_call(class: NodeClassId, catalogue: &Catalogue, cluster: &Cluster) -> Vec<Option<String>> {
    let Some(version) = &cluster.node_classes[class.index()].version else { return Vec::new() };
    let in_subnet = |id: &str| {
        let claims = cluster.live_nodeclaims.iter().map(|claim| &cluster.nodeclaims[claim.index()]);
        let inside = claims.filter(|claim| {
            claim.launched_with.as_ref().is_some_and(|launched| launched.subnet.as_deref() == Some(id))
        });
        inside.map(|claim| addresses(&claim.capacity)).sum()
    };
    let zones = catalogue.zones.iter();
    zones.map(|zone| subnet_for_launch(&version.found, zone, in_subnet).map(str::to_owned)).collect()
}

fn zones_of(claim: &NodeClaim, catalogue: &Catalogue) -> Vec<ZoneId> {
    if claim.zones.is_empty() { (0..catalogue.zones.len() as u16).map(ZoneId).collect() } else { claim.zones.clone() }
}

fn capacity_types_of(claim: &NodeClaim) -> Vec<CapacityType> {
    if claim.capacity_types.is_empty() {
        vec![CapacityType::Spot, CapacityType::OnDemand]
    } else {
        claim.capacity_types.clone()
    }
}

/// Labels that follow from what was launched: those of the type that have one value, zone and capacity type.
fn labels(catalogue: &Catalogue, instance_type: &InstanceType, zone: ZoneId, capacity_type: CapacityType) -> Labels {
    let single = instance_type.labels.iter().filter_map(|(key, values)| match values.as_slice() {
        [value] => Some((key.clone(), value.clone())),
        _ => None,
    });
    let mut labels: Labels = single.collect();
    labels.insert("node.kubernetes.io/instance-type".to_owned(), instance_type.name.clone());
    labels.insert("topology.kubernetes.io/zone".to_owned(), catalogue.zone(zone).to_owned());
    labels.insert("karpenter.sh/capacity-type".to_owned(), capacity_type.as_str().to_owned());
    labels
}

/// Addresses that a node takes of its subnet: one for each pod it can hold, and its own.
pub(super) fn addresses(capacity: &Resources) -> i64 {
    capacity.get(Resource::Pods) + 1
}

/// EC2's capacity as one CreateFleet call meets it.
struct Capacity<'a> {
    now: Time,
    catalogue: &'a Catalogue,
    capacity_type: CapacityType,
    pools: &'a mut Pools,
    quotas: &'a mut Quotas,
    slots: &'a mut Slots,
    scenario: &'a Scenario,
}

impl Capacity<'_> {
    fn key(&self, pool: &Override) -> Option<(PoolKey, &'static data::TypeRow)> {
        let row = data::instance_type(&self.catalogue.get(pool.instance_type).name)?;
        let zone = self.catalogue.zone(pool.zone).to_owned();
        Some((PoolKey { capacity_type: self.capacity_type, instance_type: row.name, zone }, row))
    }

    /// The open reservation that an on-demand instance falls into: with the gate on, Karpenter's launch templates keep out of them.
    fn open_reservation(&self, pool: &Override) -> Option<ReservationId> {
        if self.capacity_type != CapacityType::OnDemand || self.scenario.reserved_capacity() {
            return None;
        }
        let name = &self.catalogue.get(pool.instance_type).name;
        self.slots.open_to(name, self.catalogue.zone(pool.zone), self.now)
    }

    /// Whether a fault of the scenario leaves the zone without capacity.
    fn is_out_of_order(&self, zone: &str) -> bool {
        self.scenario.faults.iter().any(|fault| {
            let begin = Time::ZERO + fault.at;
            let end = fault.duration.map_or(Time::MAX, |duration| begin + duration);
            fault.kind == FaultKind::InsufficientCapacity
                && begin <= self.now
                && self.now < end
                && fault.zone.as_deref().is_none_or(|faulty| faulty == zone)
        })
    }
}

impl CapacitySource for Capacity<'_> {
    fn take(&mut self, pool: &Override) -> Result<Option<ReservationId>, FleetErrorCode> {
        let zone = self.catalogue.zone(pool.zone);
        let capacity = self.catalogue.get(pool.instance_type).capacity;
        let vcpus = capacity.cpu().milli() / 1000;
        if let Some(id) = pool.reservation.or_else(|| self.open_reservation(pool)) {
            if self.slots.free(id, self.now) == 0 {
                return Err(FleetErrorCode::ReservationCapacityExceeded);
            }
            self.quotas.reserve(CapacityType::Reserved, zone, vcpus, addresses(&capacity))?;
            self.slots.take(id, self.now);
            return Ok(Some(id));
        }
        let has_capacity = !self.is_out_of_order(zone)
            && self.key(pool).is_none_or(|(key, row)| self.pools.has_capacity(self.now, &key, row));
        if !has_capacity {
            return Err(FleetErrorCode::InsufficientInstanceCapacity);
        }
        self.quotas.reserve(self.capacity_type, zone, vcpus, addresses(&capacity))?;
        Ok(None)
    }

    fn depth(&mut self, pool: &Override) -> f64 {
        if self.is_out_of_order(self.catalogue.zone(pool.zone)) {
            return 0.0;
        }
        self.key(pool).map_or(1.0, |(key, row)| self.pools.depth(self.now, &key, row))
    }
}
