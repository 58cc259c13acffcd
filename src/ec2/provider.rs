//! The cloud side of Karpenter in a run: launches, terminations, refused offerings, prices, reclaims.

mod launching;
mod node_classes;
mod prices;
mod reclaims;
mod reserved;

use std::collections::BTreeMap;

use super::batcher::{BatchOptions, Batcher};
use super::catalogue::UnknownRegion;
use super::classes::{NodeSource, source};
use super::data;
use super::launch::FleetRequest;
use super::limits::{Quotas, TokenBucket};
use super::pools::{PoolKey, Pools};
use super::prices::Prices;
use super::selectors::Parameters;
use super::unavailable::{OfferingKey, SWEEP, UnavailableOfferings};
use crate::cluster::catalogue::{CapacityType, Offering, ReservationId, TypeId};
use crate::cluster::instance::InstanceState;
use crate::cluster::{
    Action, Change, Controller, Decision, InstanceId, NodeClaimId, NodeClassId, Rule, Subject, World,
};
use crate::engine::{Agenda, Stream, Streams};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

/// What the cloud does at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The window of CreateFleet requests closes.
    CloseFleetWindow(u32),
    /// CreateFleet call of that number answers.
    FleetAnswers(u32),
    /// KWOK: the NodeClaim's launch is written.
    KwokLaunched(NodeClaimId),
    /// A launch is refused.
    LaunchFails(NodeClaimId, crate::cluster::nodeclaim::LaunchError),
    /// An instance runs.
    InstanceRuns(InstanceId),
    /// The window of TerminateInstances requests closes.
    CloseTerminateWindow(u32),
    /// An instance is terminated.
    InstanceTerminated(InstanceId),
    /// Karpenter forgets expired refusals.
    Sweep,
    /// Karpenter starts again, and remembers no refusal.
    KarpenterStarts,
    /// Karpenter refreshes its prices.
    RefreshPrices,
    /// Prices move.
    PricesMove,
    /// EC2 reclaims the pool of that number.
    PoolReclaim(u32),
    /// EC2 recommends to rebalance an instance.
    Recommend(InstanceId),
    /// EC2 gives an instance notice.
    Notice(InstanceId),
    /// EC2 takes an instance back.
    TakeBack(InstanceId),
    /// An instance is gone without notice.
    Lose(InstanceId),
    /// Karpenter looks what the selectors of node classes find.
    ReconcileNodeClasses,
    /// Karpenter looks at capacity reservations.
    PollReservations,
    /// The capacity reservation of that number becomes active.
    ReservationBegins(u16),
    /// The capacity reservation of that number ends.
    ReservationEnds(u16),
    /// EC2 takes back the instances of the capacity block of that number.
    BlockReclaim(u16),
    /// The instances of the interruptible capacity reservation of that number get notice.
    ReservationNotice(u16),
    /// The scenario's fault of that number begins.
    Fault(u32),
}

/// A NodeClaim that waits for CreateFleet.
struct Wish {
    claim: NodeClaimId,
    class: NodeClassId,
    request: FleetRequest,
}

/// A CreateFleet call under way.
struct Call {
    claims: Vec<NodeClaimId>,
    class: NodeClassId,
    request: FleetRequest,
}

/// A Spot pool with instances of ours.
struct WatchedPool {
    key: PoolKey,
    instances: Vec<InstanceId>,
    scheduled: bool,
}

/// EC2 and Karpenter's providers.
pub struct Ec2 {
    streams: Streams,
    fleet_stream: Stream,
    kwok_stream: Stream,
    fleet_window: Batcher<Wish>,
    calls: Vec<Option<Call>>,
    terminate_window: Batcher<InstanceId>,
    launch_rate: TokenBucket,
    quotas: Quotas,
    pools: Pools,
    prices: Prices,
    parameters: Parameters,
    reserved: reserved::Reserved,
    unavailable: UnavailableOfferings,
    sweep_phase: Duration,
    sweeping: bool,
    kwok_choices: BTreeMap<NodeClaimId, (TypeId, Offering)>,
    watched: Vec<WatchedPool>,
    watched_index: BTreeMap<PoolKey, u32>,
}

impl Ec2 {
    /// The cloud of a scenario.
    ///
    /// # Errors
    /// When an EC2 region has no prices; a KWOK cluster needs none.
    pub fn new(scenario: &Scenario, streams: Streams) -> Result<Self, UnknownRegion> {
        let region = scenario.simulation.region.as_str();
        if data::types_of(region).is_empty() && scenario.cloud.catalogue.is_none() {
            return Err(UnknownRegion { region: region.to_owned(), known: data::regions().join(", ") });
        }
        let phase = streams.open("refusal sweep phase", 0).unit() * SWEEP.as_secs_f64();
        Ok(Ec2 {
            streams,
            fleet_stream: streams.open("fleet choice", 0),
            kwok_stream: streams.open("kwok choice", 0),
            fleet_window: Batcher::new(BatchOptions::CREATE_FLEET),
            calls: Vec::new(),
            terminate_window: Batcher::new(BatchOptions::BY_INSTANCE),
            launch_rate: TokenBucket::full(scenario.market.launch_burst, scenario.market.launches_per_second),
            quotas: Quotas::of(&scenario.market),
            pools: Pools::new(&scenario.market, region, streams),
            prices: Prices::new(&scenario.market, streams),
            parameters: Parameters::default(),
            reserved: reserved::Reserved::of(scenario),
            unavailable: UnavailableOfferings::default(),
            sweep_phase: Duration::from_secs_f64(phase),
            sweeping: false,
            kwok_choices: BTreeMap::new(),
            watched: Vec::new(),
            watched_index: BTreeMap::new(),
        })
    }

    /// Schedules what happens of its own accord. Once, before the first event.
    pub fn start(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        self.schedule_prices(world.scenario, agenda);
        self.start_node_classes(world, agenda);
        self.start_reservations(world, agenda);
        for (number, fault) in world.scenario.faults.iter().enumerate() {
            agenda.at(Time::ZERO + fault.at, Event::Fault(number as u32));
        }
        for (_, until) in world.scenario.outages(FaultKind::KarpenterDown) {
            agenda.at(until, Event::KarpenterStarts);
        }
    }

    /// A timed event.
    pub fn handle(&mut self, event: Event, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match event {
            Event::CloseFleetWindow(generation) => self.close_fleet_window(generation, world, agenda),
            Event::FleetAnswers(call) => self.fleet_answers(call, world, agenda),
            Event::KwokLaunched(claim) => self.kwok_launched(claim, world),
            Event::LaunchFails(claim, error) => {
                if world.cluster.nodeclaims[claim.index()].exists() {
                    world.cluster.fail_launch(claim, error);
                }
            }
            Event::InstanceRuns(id) => world.cluster.set_instance_state(world.now, id, InstanceState::Running),
            Event::CloseTerminateWindow(generation) => {
                for id in self.terminate_window.close(generation) {
                    self.shut_down(id, world, agenda);
                }
            }
            Event::InstanceTerminated(id) => {
                world.cluster.set_instance_state(world.now, id, InstanceState::Terminated);
            }
            Event::Sweep => self.sweep(world, agenda),
            Event::KarpenterStarts => {
                for key in self.unavailable.clear() {
                    set_available(&key, true, world);
                }
                self.restart_node_classes(world);
            }
            Event::RefreshPrices => self.refresh_prices(world, agenda),
            Event::PricesMove => self.move_prices(world, agenda),
            Event::PoolReclaim(pool) => self.reclaim_pool(pool, world, agenda),
            Event::Recommend(id) => {
                if self.is_up(id, world) {
                    world.cluster.announce(Change::RebalanceRecommendation(id));
                }
            }
            Event::Notice(id) => self.give_notice(id, world, agenda),
            Event::TakeBack(id) => self.take_back(id, world, agenda),
            Event::Lose(id) => self.lose(id, world),
            Event::ReconcileNodeClasses => self.reconcile_node_classes(world, agenda),
            Event::PollReservations => self.poll_reservations(world, agenda),
            Event::ReservationBegins(number) => self.reservation_begins(ReservationId(number), world),
            Event::ReservationEnds(number) => self.reservation_ends(ReservationId(number), world),
            Event::BlockReclaim(number) => self.reclaim_block(ReservationId(number), world, agenda),
            Event::ReservationNotice(number) => self.notice_reserved(ReservationId(number), world, agenda),
            Event::Fault(number) => self.fault(number, world, agenda),
        }
    }

    /// A change that the cloud is asked for or takes part in.
    pub fn observe(&mut self, change: &Change, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        match *change {
            Change::NodeClaimCreated(claim) | Change::NodeClaimLaunchRequested(claim) => {
                self.launch(claim, world, agenda);
            }
            Change::InstanceTerminateRequested(id) => self.terminate(id, world, agenda),
            Change::InstanceState(id) => self.release(id, world),
            // How long an instance takes to run and how long its Node takes to register are drawn apart.
            Change::NodeCreated(node) => {
                if let Some(id) = world.cluster.nodes[node.index()].instance {
                    world.cluster.set_instance_state(world.now, id, InstanceState::Running);
                }
            }
            Change::NodeClaimGone(claim) => self.leave_reservation(claim, world),
            Change::NodeClassSpec(class) => self.look_at_node_class(class, world),
            Change::NodeClaimDeleting(claim) => self.mark_interrupted_offering(claim, world, agenda),
            _ => {}
        }
    }

    /// TerminateInstances. KWOK answers at once that the instance is gone.
    fn terminate(&mut self, id: InstanceId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let instance = &world.cluster.instances[id.index()];
        if instance.state >= InstanceState::ShuttingDown {
            return;
        }
        if matches!(source(world.scenario, instance.node_class), NodeSource::Kwok { .. }) {
            world.cluster.set_instance_state(world.now, id, InstanceState::Terminated);
            return;
        }
        let wake = self.terminate_window.add(world.now, id);
        agenda.at(wake.at, Event::CloseTerminateWindow(wake.generation));
    }

    fn shut_down(&mut self, id: InstanceId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if world.cluster.instances[id.index()].state >= InstanceState::ShuttingDown {
            return;
        }
        world.cluster.set_instance_state(world.now, id, InstanceState::ShuttingDown);
        let mut stream = self.streams.open("instance terminated", u64::from(id.0));
        let takes = world.scenario.latencies.instance_terminated.sample(&mut stream);
        agenda.at(world.now + takes, Event::InstanceTerminated(id));
    }

    /// Gives back what an instance held of quotas and subnets, and forgets it as a victim of reclaims.
    fn release(&mut self, id: InstanceId, world: &World<'_>) {
        let instance = &world.cluster.instances[id.index()];
        if instance.nodeclaim.is_none() {
            return;
        }
        let catalogue = &world.cluster.catalogues[instance.node_class.index()];
        let capacity = catalogue.get(instance.instance_type).capacity;
        match instance.state {
            InstanceState::Pending | InstanceState::Running => {}
            InstanceState::ShuttingDown => {
                if !Self::is_reserved(id, world) {
                    self.quotas.release_vcpus(instance.capacity_type, capacity.cpu().milli() / 1000);
                }
                for pool in &mut self.watched {
                    pool.instances.retain(|other| *other != id);
                }
            }
            InstanceState::Terminated => {
                if let Some(reservation) = instance.reservation {
                    self.reserved.slots.give_back(reservation);
                }
                self.quotas.release_addresses(catalogue.zone(instance.zone), launching::addresses(&capacity));
            }
        }
    }

    fn is_up(&self, id: InstanceId, world: &World<'_>) -> bool {
        world.cluster.instances[id.index()].state < InstanceState::ShuttingDown
    }

    /// Leaves an offering alone for a while, in every node class.
    fn mark_unavailable(&mut self, key: OfferingKey, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if self.unavailable.mark(world.now, key.clone()) {
            set_available(&key, false, world);
        }
        if !self.sweeping {
            self.sweeping = true;
            agenda.at(self.next_sweep(world.now), Event::Sweep);
        }
    }

    fn sweep(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        for key in self.unavailable.sweep(world.now) {
            set_available(&key, true, world);
        }
        self.sweeping = !self.unavailable.is_empty();
        if self.sweeping {
            agenda.at(self.next_sweep(world.now), Event::Sweep);
        }
    }

    fn next_sweep(&self, now: Time) -> Time {
        let period = SWEEP.as_micros();
        let past = (now.as_micros() as i64 - self.sweep_phase.as_micros()).rem_euclid(period);
        now + Duration::from_micros(period - past)
    }

    /// A NodeClaim that is deleted because its Spot instance got notice takes its offering out for a while
    /// (`interruption/utils.go: markUnavailableOfferings`).
    fn mark_interrupted_offering(&mut self, id: NodeClaimId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let claim = &world.cluster.nodeclaims[id.index()];
        if claim.end != Some("Interrupted") {
            return;
        }
        if claim.capacity_type != Some(CapacityType::Spot) {
            return self.mark_interrupted_reservation(id, world);
        }
        let (Some(instance_type), Some(zone)) = (claim.instance_type, claim.zone) else { return };
        let catalogue = world.cluster.catalogue_of(claim.pool);
        let key = (CapacityType::Spot, catalogue.get(instance_type).name.clone(), catalogue.zone(zone).to_owned());
        self.mark_unavailable(key, world, agenda);
    }

    /// Adds to the decision log.
    fn log(world: &mut World<'_>, subject: Subject, action: Action, rule: Rule, detail: String) {
        let (at, controller) = (world.now, Controller::Ec2);
        world.cluster.decide(Decision::plain(at, controller, subject, action, rule, detail));
    }
}

/// Sets an offering's availability in the catalogue of every node class that has it; without a subnet there it stays out.
fn set_available(key: &OfferingKey, available: bool, world: &mut World<'_>) {
    let (capacity_type, name, zone) = key;
    for number in 0..world.cluster.catalogues.len() {
        let catalogue = &world.cluster.catalogues[number];
        let (Some(id), Some(zone)) = (catalogue.find(name), catalogue.find_zone(zone)) else { continue };
        let available = available && !catalogue.without_subnet.contains(&zone);
        world.cluster.set_offering_available(NodeClassId(number as u32), id, zone, *capacity_type, available);
    }
}
