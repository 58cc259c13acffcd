//! Prices in a run: what EC2 charges, and what Karpenter believes.

use std::sync::Arc;

use super::{Ec2, Event};
use crate::cluster::instance::InstanceState;
use crate::cluster::{Change, InstanceId, NodeClassId, World};
use crate::ec2::catalogue::refresh_prices;
use crate::ec2::classes::{NodeSource, source};
use crate::ec2::data;
use crate::ec2::overlay::Overlays;
use crate::engine::Agenda;
use crate::scenario::Scenario;
use crate::time::{Duration, Time};
use crate::units::Usd;

/// Time between two looks of Karpenter at prices (`controllers/providers/pricing`).
const REFRESH: Duration = Duration::from_hours(12);

impl Ec2 {
    pub(super) fn schedule_prices(&mut self, scenario: &Scenario, agenda: &mut Agenda<Event>) {
        agenda.at(Time::ZERO + REFRESH, Event::RefreshPrices);
        if scenario.market.spot_price_sigma > 0.0 && scenario.market.spot_price_step > Duration::ZERO {
            agenda.at(Time::ZERO + scenario.market.spot_price_step, Event::PricesMove);
        }
        for change in &scenario.market.prices {
            agenda.at(Time::ZERO + change.at, Event::PricesMove);
        }
    }

    pub(super) fn refresh_prices(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        agenda.at(world.now + REFRESH, Event::RefreshPrices);
        let overlays = Overlays::of(world.scenario);
        for number in 0..world.cluster.catalogues.len() {
            let class = NodeClassId(number as u32);
            if source(world.scenario, class) != NodeSource::Aws {
                continue;
            }
            let region = &world.scenario.simulation.region;
            let catalogue = Arc::make_mut(&mut world.cluster.catalogues[number]);
            if refresh_prices(catalogue, region, &mut self.prices, &overlays, world.now) {
                world.cluster.announce(Change::Offerings(class));
            }
        }
    }

    /// Notes the price of every instance from now on.
    pub(super) fn move_prices(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let step = world.scenario.market.spot_price_step;
        if step > Duration::ZERO && world.now.as_micros().is_multiple_of(step.as_micros() as u64) {
            agenda.at(world.now + step, Event::PricesMove);
        }
        for number in 0..world.cluster.instances.len() {
            let instance = &world.cluster.instances[number];
            let bought = !Self::is_reserved(InstanceId(number as u32), world);
            if instance.state >= InstanceState::ShuttingDown || !bought {
                continue;
            }
            if source(world.scenario, instance.node_class) != NodeSource::Aws {
                continue;
            }
            let catalogue = &world.cluster.catalogues[instance.node_class.index()];
            let name = catalogue.get(instance.instance_type).name.as_str();
            let Some(regional) = data::find(&world.scenario.simulation.region, name) else { continue };
            let price = self.prices.at(world.now, regional, catalogue.zone(instance.zone), instance.capacity_type);
            if let Some(price) = price {
                let id = InstanceId(number as u32);
                world.cluster.set_instance_price(world.now, id, Usd::from_f64(price));
            }
        }
        self.price_reservations(world);
    }
}
