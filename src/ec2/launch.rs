//! What Karpenter's AWS provider asks EC2 for, given a NodeClaim (karpenter-provider-aws `pkg/providers/instance/instance.go:
//! Create`, `pkg/providers/instance/filter/filter.go`).

use crate::cluster::catalogue::{
    CapacityType, Catalogue, InstanceType, Offering, ReservationId, ReservationKind, TypeId, ZoneId,
};
use crate::units::{Resource, Resources};

/// Most instance types in one request (`instance.go: maxInstanceTypes`).
pub const MAX_INSTANCE_TYPES: usize = 60;

/// What a NodeClaim asks for.
#[derive(Clone, Copy, Debug)]
pub struct LaunchRequest<'a> {
    /// Instance types it may become.
    pub options: &'a [TypeId],
    /// Zones it may be in; empty = any.
    pub zones: &'a [ZoneId],
    /// Capacity types it may have; empty = any.
    pub capacity_types: &'a [CapacityType],
    /// Capacity reservations that it must come from; empty = any offering.
    pub reservations: &'a [ReservationId],
    /// Requests that the node must hold.
    pub requests: Resources,
    /// Whether a requirement has minValues.
    pub has_min_values: bool,
}

/// One pool that EC2 may take the instance from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Override {
    /// Instance type.
    pub instance_type: TypeId,
    /// Zone.
    pub zone: ZoneId,
    /// Price as Karpenter knows it, USD per hour.
    pub price: f64,
    /// Capacity reservation that the instance is launched into.
    pub reservation: Option<ReservationId>,
}

/// A CreateFleet request for one instance. Equal requests are merged into one call.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetRequest {
    /// Capacity type of the whole call.
    pub capacity_type: CapacityType,
    /// Pools, in order of instance type (cheapest first), then zone.
    pub overrides: Vec<Override>,
}

impl LaunchRequest<'_> {
    fn allows(&self, offering: &Offering) -> bool {
        offering.available
            && (self.zones.is_empty() || self.zones.contains(&offering.zone))
            && (self.capacity_types.is_empty() || self.capacity_types.contains(&offering.capacity_type))
            && (self.reservations.is_empty() || offering.reservation.is_some_and(|id| self.reservations.contains(&id)))
    }

    fn allows_type(&self, capacity_type: CapacityType) -> bool {
        self.capacity_types.is_empty() || self.capacity_types.contains(&capacity_type)
    }
}

/// A type that is still in the running, with the offerings that may be used.
struct Candidate {
    id: TypeId,
    offerings: Vec<Offering>,
}

impl Candidate {
    fn cheapest(&self) -> f64 {
        self.offerings.iter().map(|offering| offering.price).fold(f64::INFINITY, f64::min)
    }
}

/// The request to EC2; `None` when nothing suitable is available (`InsufficientCapacity`).
#[must_use]
pub fn plan(catalogue: &Catalogue, request: &LaunchRequest<'_>) -> Option<FleetRequest> {
    let mut candidates = compatible_available(catalogue, request);
    if request.allows_type(CapacityType::Reserved) {
        keep_one_reservation_kind(catalogue, &mut candidates);
        keep_one_capacity_block(catalogue, &mut candidates);
        keep_largest_reservations(catalogue, &mut candidates);
    }
    if !request.has_min_values {
        drop_exotic(catalogue, &mut candidates);
        drop_dear_spot(request, &mut candidates);
    }
    candidates.sort_by(|a, b| a.cheapest().total_cmp(&b.cheapest()).then(a.id.cmp(&b.id)));
    candidates.truncate(MAX_INSTANCE_TYPES);
    if candidates.is_empty() {
        return None;
    }
    let capacity_type = capacity_type(request, &candidates);
    let overrides = candidates
        .iter()
        .flat_map(|candidate| {
            let of_type = candidate.offerings.iter().filter(|offering| offering.capacity_type == capacity_type);
            of_type.map(|offering| Override {
                instance_type: candidate.id,
                zone: offering.zone,
                price: offering.price,
                reservation: offering.reservation,
            })
        })
        .collect();
    Some(FleetRequest { capacity_type, overrides })
}

/// Types whose allocatable holds the requests and that have an available offering (`CompatibleAvailableFilter`).
fn compatible_available(catalogue: &Catalogue, request: &LaunchRequest<'_>) -> Vec<Candidate> {
    let candidate = |id: &TypeId| {
        let instance_type = catalogue.get(*id);
        if !request.requests.fits(&instance_type.allocatable) {
            return None;
        }
        let usable = instance_type.offerings.iter().filter(|offering| request.allows(offering));
        let offerings: Vec<Offering> = usable.copied().collect();
        (!offerings.is_empty()).then_some(Candidate { id: *id, offerings })
    };
    request.options.iter().filter_map(candidate).collect()
}

/// Keeps the offerings from capacity reservations of one kind, the one with the cheapest offering, if there are any: a request has
/// a single market (`CapacityReservationTypeFilter`).
fn keep_one_reservation_kind(catalogue: &Catalogue, candidates: &mut Vec<Candidate>) {
    let kind = |offering: &Offering| offering.reservation.map(|id| catalogue.reservation(id).kind);
    let all = candidates.iter().flat_map(|candidate| &candidate.offerings);
    let kinds = all.filter_map(|offering| Some((offering.price, kind(offering)?)));
    let Some((_, kept)) = kinds.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) else { return };
    for candidate in candidates.iter_mut() {
        candidate.offerings.retain(|offering| kind(offering) == Some(kept));
    }
    candidates.retain(|candidate| !candidate.offerings.is_empty());
}

/// Of capacity blocks a request names one (`CapacityBlockFilter`).
fn keep_one_capacity_block(catalogue: &Catalogue, candidates: &mut Vec<Candidate>) {
    let first = candidates.first().and_then(|candidate| candidate.offerings.first()?.reservation);
    if first.is_none_or(|id| catalogue.reservation(id).kind != ReservationKind::CapacityBlock) {
        return;
    }
    for candidate in candidates.iter_mut() {
        let cheapest = candidate.cheapest();
        candidate.offerings.retain(|offering| offering.price <= cheapest);
        candidate.offerings.truncate(1);
    }
    candidates.sort_by(|a, b| a.cheapest().total_cmp(&b.cheapest()));
    candidates.truncate(1);
}

/// Of the reservations of a type in a zone a request names the one with most left (`ReservedOfferingFilter`). Types without one go,
/// unless none has one.
fn keep_largest_reservations(catalogue: &Catalogue, candidates: &mut Vec<Candidate>) {
    let left = |offering: &Offering| offering.reservation.map(|id| catalogue.reservation(id).left);
    if !candidates.iter().flat_map(|candidate| &candidate.offerings).any(|offering| offering.reservation.is_some()) {
        return;
    }
    for candidate in candidates.iter_mut() {
        candidate.offerings.retain(|offering| offering.reservation.is_some());
        candidate.offerings.sort_by_key(|offering| (offering.zone, std::cmp::Reverse(left(offering))));
        candidate.offerings.dedup_by_key(|offering| offering.zone);
    }
    candidates.retain(|candidate| !candidate.offerings.is_empty());
}

/// Drops whole machines and types with GPUs or accelerators, unless nothing else is left (`ExoticInstanceTypeFilter`).
fn drop_exotic(catalogue: &Catalogue, candidates: &mut Vec<Candidate>) {
    if candidates.iter().any(|candidate| !is_exotic(catalogue.get(candidate.id))) {
        candidates.retain(|candidate| !is_exotic(catalogue.get(candidate.id)));
    }
}

/// Whether Karpenter launches the type only when nothing else serves.
#[must_use]
pub fn is_exotic(instance_type: &InstanceType) -> bool {
    let size = instance_type.name.split_once('.').map_or("", |(_, size)| size);
    let special = [Resource::Neuron, Resource::AmdGpu, Resource::NvidiaGpu, Resource::Gaudi];
    size.contains("metal") || special.into_iter().any(|resource| instance_type.capacity.get(resource) != 0)
}

/// Where both spot and on-demand are allowed and available, drops spot offerings that cost more than the cheapest on-demand
/// one (`SpotOfferingFilter`).
fn drop_dear_spot(request: &LaunchRequest<'_>, candidates: &mut Vec<Candidate>) {
    if !request.allows_type(CapacityType::Spot) || !request.allows_type(CapacityType::OnDemand) {
        return;
    }
    let offerings = candidates.iter().flat_map(|candidate| &candidate.offerings);
    let on_demand = offerings.filter(|offering| offering.capacity_type == CapacityType::OnDemand);
    let Some(cheapest) = on_demand.map(|offering| offering.price).min_by(f64::total_cmp) else { return };
    for candidate in candidates.iter_mut() {
        candidate
            .offerings
            .retain(|offering| offering.capacity_type != CapacityType::Spot || offering.price <= cheapest);
    }
    candidates.retain(|candidate| !candidate.offerings.is_empty());
}

/// Reserved, else Spot when it is allowed and anything is left of it, else on-demand; prices are not compared (`getCapacityType`).
fn capacity_type(request: &LaunchRequest<'_>, candidates: &[Candidate]) -> CapacityType {
    let has = |capacity_type| {
        candidates.iter().flat_map(|candidate| &candidate.offerings).any(|o| o.capacity_type == capacity_type)
    };
    let preferred = [CapacityType::Reserved, CapacityType::Spot].into_iter();
    preferred.filter(|kind| request.allows_type(*kind)).find(|kind| has(*kind)).unwrap_or(CapacityType::OnDemand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::Reservation;
    use crate::units::{Cpu, Memory};

    const OD: CapacityType = CapacityType::OnDemand;
    const SPOT: CapacityType = CapacityType::Spot;

    fn instance_type(name: &str, cpu: i64, offerings: &[(u16, CapacityType, f64)]) -> InstanceType {
        let size = Resources::new(Cpu::from_milli(cpu * 1000), Memory::from_mib(cpu * 4096));
        InstanceType {
            name: name.to_owned(),
            labels: std::sync::Arc::default(),
            capacity: size,
            allocatable: size,
            offerings: offerings
                .iter()
                .map(|(zone, capacity_type, price)| Offering {
                    zone: ZoneId(*zone),
                    capacity_type: *capacity_type,
                    price: *price,
                    available: true,
                    reservation: None,
                })
                .collect(),
        }
    }

    fn catalogue(types: Vec<InstanceType>) -> (Catalogue, Vec<TypeId>) {
        let ids = (0..types.len() as u32).map(TypeId).collect();
        (Catalogue { zones: ["a", "b", "c"].map(str::to_owned).to_vec(), types, ..Catalogue::default() }, ids)
    }

    fn request(options: &[TypeId]) -> LaunchRequest<'_> {
        LaunchRequest {
            options,
            zones: &[],
            capacity_types: &[],
            reservations: &[],
            requests: Resources::ZERO,
            has_min_values: false,
        }
    }

    fn pools(plan: &FleetRequest) -> Vec<(u32, u16)> {
        plan.overrides.iter().map(|o| (o.instance_type.0, o.zone.0)).collect()
    }

    #[test]
    fn spot_dearer_than_the_cheapest_on_demand_is_dropped() {
        let (catalogue, ids) = catalogue(vec![
            instance_type("x.a", 2, &[(0, OD, 0.10), (0, SPOT, 0.04), (1, SPOT, 0.12)]),
            instance_type("x.b", 2, &[(0, OD, 0.09), (0, SPOT, 0.10), (1, SPOT, 0.09)]),
        ]);
        let fleet = plan(&catalogue, &request(&ids)).expect("a plan");
        assert_eq!((fleet.capacity_type, pools(&fleet)), (SPOT, vec![(0, 0), (1, 1)]));
        let with_min_values = LaunchRequest { has_min_values: true, ..request(&ids) };
        assert_eq!(pools(&plan(&catalogue, &with_min_values).expect("a plan")), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    }

    #[test]
    fn a_mixed_request_keeps_the_cheap_offering_of_a_type() {
        let (catalogue, ids) = catalogue(vec![
            instance_type("x.od", 2, &[(0, OD, 5.0), (1, OD, 10.0)]),
            instance_type("x.spota", 2, &[(0, SPOT, 1.0), (1, SPOT, 2.0)]),
            instance_type("x.spotb", 2, &[(0, SPOT, 1.0), (1, SPOT, 10.0)]),
        ]);
        let fleet = plan(&catalogue, &request(&ids)).expect("a plan");
        assert_eq!(pools(&fleet), [(1, 0), (1, 1), (2, 0)]);
    }

    #[test]
    fn only_the_sixty_cheapest_types_go_to_ec2() {
        let types = (0..200).map(|i| instance_type(&format!("x.t{i:03}"), 2, &[(0, OD, f64::from(200 - i))])).collect();
        let (catalogue, ids) = catalogue(types);
        let fleet = plan(&catalogue, &request(&ids)).expect("a plan");
        assert_eq!(fleet.overrides.len(), 60);
        assert!(fleet.overrides.iter().all(|o| o.price <= 60.0));
    }

    #[test]
    fn whole_machines_and_gpus_are_a_last_resort() {
        let mut gpu = instance_type("g.large", 2, &[(0, OD, 0.1)]);
        gpu.capacity = gpu.capacity.with(Resource::NvidiaGpu, 1);
        let (catalogue, ids) = catalogue(vec![
            gpu,
            instance_type("x.metal-24xl", 2, &[(0, OD, 0.1)]),
            instance_type("x.large", 2, &[(0, OD, 9.0)]),
        ]);
        assert_eq!(pools(&plan(&catalogue, &request(&ids)).expect("a plan")), [(2, 0)]);
        assert_eq!(pools(&plan(&catalogue, &request(&ids[..2])).expect("a plan")), [(0, 0), (1, 0)]);
    }

    /// Types whose only zone has reservations: number, and price of their offerings.
    fn reserved(catalogue: &mut Catalogue, offerings: &[(usize, u16, u16, f64)]) {
        for (instance_type, zone, reservation, price) in offerings {
            let reservation = Some(ReservationId(*reservation));
            let (zone, capacity_type) = (ZoneId(*zone), CapacityType::Reserved);
            let offering = Offering { zone, capacity_type, price: *price, available: true, reservation };
            catalogue.types[*instance_type].offerings.push(offering);
        }
    }

    const ODCR: ReservationKind = ReservationKind::Default;
    const BLOCK: ReservationKind = ReservationKind::CapacityBlock;
    const INTERRUPTIBLE: ReservationKind = ReservationKind::Interruptible;

    fn reservations(kinds: &[(ReservationKind, u32)]) -> Vec<Reservation> {
        let numbered = kinds.iter().enumerate();
        numbered.map(|(i, (kind, left))| Reservation { id: format!("cr-{i}"), kind: *kind, left: *left }).collect()
    }

    fn launched_into(plan: &FleetRequest) -> Vec<(u32, u16, u16)> {
        let into = |o: &Override| (o.instance_type.0, o.zone.0, o.reservation.expect("a reservation").0);
        plan.overrides.iter().map(into).collect()
    }

    #[test]
    fn reservations_come_first_the_largest_of_a_zone_and_of_one_kind() {
        let types = vec![
            instance_type("x.a", 2, &[(0, OD, 0.1), (0, SPOT, 0.03)]),
            instance_type("x.b", 2, &[(0, OD, 0.2)]),
            instance_type("x.c", 2, &[(0, OD, 0.01)]),
        ];
        let (mut catalogue, ids) = catalogue(types);
        catalogue.reservations = reservations(&[(ODCR, 2), (ODCR, 7), (ODCR, 1), (BLOCK, 9)]);
        reserved(&mut catalogue, &[(0, 0, 0, 1e-8), (0, 0, 1, 1e-8), (0, 1, 2, 1e-8), (1, 0, 3, 1e-8)]);
        let fleet = plan(&catalogue, &request(&ids)).expect("a plan");
        assert_eq!(fleet.capacity_type, CapacityType::Reserved);
        assert_eq!(launched_into(&fleet), [(0, 0, 1), (0, 1, 2)], "blocks only where nothing else is as cheap");
        let held = LaunchRequest { reservations: &[ReservationId(0)], ..request(&ids) };
        assert_eq!(launched_into(&plan(&catalogue, &held).expect("a plan")), [(0, 0, 0)]);
        let unreserved = LaunchRequest { capacity_types: &[SPOT, OD], ..request(&ids) };
        let fleet = plan(&catalogue, &unreserved).expect("a plan");
        assert_eq!((fleet.capacity_type, pools(&fleet)), (OD, vec![(2, 0), (0, 0), (1, 0)]));
    }

    #[test]
    fn one_capacity_block_goes_into_a_request() {
        let types = vec![instance_type("x.a", 2, &[(0, OD, 0.1)]), instance_type("x.b", 2, &[(0, OD, 0.2)])];
        let (mut catalogue, ids) = catalogue(types);
        catalogue.reservations = reservations(&[(BLOCK, 2), (BLOCK, 7), (BLOCK, 1), (ODCR, 1)]);
        reserved(&mut catalogue, &[(0, 0, 0, 3e-8), (1, 0, 1, 2e-8), (1, 1, 2, 1e-8), (0, 1, 3, 2e-8)]);
        assert_eq!(launched_into(&plan(&catalogue, &request(&ids)).expect("a plan")), [(1, 1, 2)]);
    }

    /// At one price a plain reservation comes before a capacity block, and that before an interruptible one; a lower price decides.
    #[test]
    fn kinds_of_reservations_have_an_order() {
        let into = |kinds: &[ReservationKind], prices: &[f64]| {
            let types = kinds.iter().enumerate().map(|(i, _)| instance_type(&format!("x.{i}"), 2, &[(0, OD, 0.1)]));
            let (mut catalogue, ids) = catalogue(types.collect());
            catalogue.reservations = reservations(&kinds.iter().map(|kind| (*kind, 1)).collect::<Vec<_>>());
            for (number, price) in prices.iter().enumerate() {
                reserved(&mut catalogue, &[(number, 0, number as u16, *price)]);
            }
            let fleet = plan(&catalogue, &request(&ids)).expect("a plan");
            fleet.overrides.iter().map(|o| kinds[o.instance_type.0 as usize]).collect::<Vec<_>>()
        };
        let all = [INTERRUPTIBLE, BLOCK, ODCR, INTERRUPTIBLE];
        assert_eq!(into(&all, &[1e-8; 4]), [ODCR]);
        assert_eq!(into(&all[..2], &[1e-8; 2]), [BLOCK]);
        assert_eq!(into(&all, &[1e-8, 2e-8, 2e-8, 3e-8]), [INTERRUPTIBLE, INTERRUPTIBLE]);
    }

    #[test]
    fn without_fit_or_availability_there_is_no_plan() {
        let (mut catalogue, ids) = catalogue(vec![instance_type("x.large", 2, &[(0, OD, 1.0), (1, SPOT, 0.5)])]);
        let large = LaunchRequest { requests: Resources::new(Cpu::from_milli(2001), Memory::ZERO), ..request(&ids) };
        assert_eq!(plan(&catalogue, &large), None);
        let elsewhere = LaunchRequest { zones: &[ZoneId(2)], ..request(&ids) };
        assert_eq!(plan(&catalogue, &elsewhere), None);
        catalogue.types[0].offerings[1].available = false;
        let fleet = plan(&catalogue, &request(&ids)).expect("a plan");
        assert_eq!(fleet.capacity_type, OD, "on-demand is used once spot is out");
    }
}
