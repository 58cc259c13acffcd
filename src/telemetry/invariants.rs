//! Laws of the money: each bill against itself, against what EC2 charges, and against the cost of the run.

use super::ledger::Bill;
use super::outcome::Outcome;
use super::recorder::{Billed, Recorder};
use crate::cluster::Cluster;
use crate::ec2::billing::charge;
use crate::engine::law::{Violations, laws};
use crate::time::{Duration, Time};
use crate::units::Usd;

laws! {
    B1 "what runs is billed, and nothing else";
    B2 "the parts of a bill sum to it";
    B3 "a bill is billed time at its price";
    B4 "a bill is what EC2 charges, to the next second";
    B5 "a run costs what its instances and requests do";
}

/// All violations of the instances that were not terminated before `now`.
pub fn check(recorder: &Recorder, cluster: &Cluster, now: Time, found: &mut Violations) {
    for billed in recorder.bills(cluster, |instance| instance.terminated.is_none_or(|at| at >= now)) {
        check_billed(&billed, now, found);
    }
}

fn check_billed(billed: &Billed<'_>, now: Time, found: &mut Violations) {
    let Billed { name, instance, bill } = billed;
    found.must(B1, bill.is_some() == instance.running.is_some(), || {
        format!("{name} is running since {:?}, billed: {}", instance.running, bill.is_some())
    });
    let Some(bill) = bill else { return };
    check_bill(name, bill, now, found);
    let (total, charged) = (bill.cost(now).total.nano(), charge(instance, now).nano());
    let dearest = instance.prices.iter().map(|(_, price)| *price).max().unwrap_or(Usd::ZERO);
    // Both round to a nano-dollar, one of them each span of a price.
    let rounding = instance.prices.len() as i64 + 1;
    let most = charged + dearest.per_hour_for(Duration::from_secs(1)).nano() + rounding;
    found.must(B4, (charged - rounding..=most).contains(&total), || {
        format!("{name}: {total} nano-dollars are billed, EC2 charges {charged}")
    });
}

fn check_bill(name: &str, bill: &Bill, end: Time, found: &mut Violations) {
    let cost = bill.cost(end);
    let parts = [cost.useful, cost.redone, cost.idle, cost.empty, cost.boot, cost.draining, cost.overhead];
    found.must(B2, cost.sum() == cost.total && parts.iter().all(|part| *part >= Usd::ZERO), || {
        format!("{name}: the parts sum to {}: {cost:?}", cost.sum())
    });
    let priced = bill.hours_times_price(end);
    found.must(B3, priced == cost.total, || format!("{name}: {} is billed, time at its price is {priced}", cost.total));
}

impl Outcome {
    /// All violations of a run that is over.
    pub fn check(&self, found: &mut Violations) {
        let mut sum = self.queues.iter().map(super::QueueRecord::request_cost).sum::<Usd>();
        for (node, bill) in self.bills() {
            check_bill(&node.info.name, bill, self.end, found);
            sum += bill.hours_times_price(self.end);
        }
        sum += self.unused_reservations().unwrap_or(Usd::ZERO);
        let total = self.total_cost();
        found.must(B5, sum == total, || format!("the run costs {total}, its instances and requests {sum}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::{CapacityType, TypeId, ZoneId};
    use crate::cluster::ids::NodeClassId;
    use crate::cluster::instance::{Instance, InstanceState};
    use crate::engine::law::Law;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    /// An instance that ran from second 10 to second 200, and its bill.
    fn billed(tamper: impl FnOnce(&mut Instance, &mut Option<Bill>)) -> Vec<Law> {
        let price = Usd::from_f64(0.36);
        let mut instance = Instance {
            state: InstanceState::Terminated,
            running: Some(at(10.0)),
            shutting_down: Some(at(200.0)),
            terminated: Some(at(240.0)),
            ..Instance::new(Time::ZERO, NodeClassId(0), TypeId(0), (ZoneId(0), CapacityType::Spot), price)
        };
        let mut bill = Some(Bill::new(at(10.0), CapacityType::Spot, price));
        tamper(&mut instance, &mut bill);
        if let Some(bill) = &mut bill {
            bill.end(at(200.0));
        }
        let mut found = Violations::default();
        check_billed(&Billed { name: "i-0".to_owned(), instance: &instance, bill }, at(900.0), &mut found);
        found.laws()
    }

    #[test]
    fn each_tampering_is_named() {
        assert_eq!(billed(|_, _| ()), []);
        let mut seen = vec![B5];
        let mut expect = |laws: &[Law], tamper: &dyn Fn(&mut Instance, &mut Option<Bill>)| {
            assert_eq!(billed(tamper), laws);
            seen.extend(laws);
        };
        expect(&[B1], &|_, bill| *bill = None);
        expect(&[B1, B4], &|instance, _| instance.running = None);
        expect(&[B4], &|instance, _| instance.shutting_down = Some(at(190.0)));
        // A price before the instance ran is none of the bill's: its spans no longer add up.
        let early = |bill: &mut Bill| bill.price_changed(at(5.0), Usd::from_f64(0.72));
        expect(&[B3, B4], &|_, bill| bill.iter_mut().for_each(early));
        let negative = |bill: &mut Bill| bill.price_changed(at(20.0), Usd::from_f64(-0.36));
        expect(&[B2, B4], &|_, bill| bill.iter_mut().for_each(negative));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, LAWS);
    }
}
