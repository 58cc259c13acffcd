//! Capacity reservations on the bill: what nobody used of them.

use super::ledger::{Bill, price_integral, rounded};
use crate::cluster::reservation::CapacityReservation;
use crate::time::Time;
use crate::units::Usd;

/// Instances in a reservation are billed as instances; the rest of it is billed too.
impl CapacityReservation {
    fn until(&self, end: Time) -> Time {
        self.ends.min(end).max(self.begins)
    }

    /// What of it no instance used, when the run ends at `end`. `bills` are those of the instances that were launched into it.
    #[must_use]
    pub fn unused<'a>(&self, bills: impl Iterator<Item = &'a Bill>, end: Time) -> Usd {
        let until = self.until(end);
        let all = i128::from(self.count) * price_integral(&self.prices, self.begins, until);
        rounded(all - bills.map(|bill| bill.amount_until(until, end)).sum::<i128>())
    }

    /// Changes of the rate at which it costs beyond its instances, in nano-dollars per hour.
    pub(super) fn rate_changes<'a>(
        &self,
        bills: impl Iterator<Item = &'a Bill>,
        end: Time,
        changes: &mut Vec<(Time, i64)>,
    ) {
        // The end of the run ends no reservation.
        let until = if self.ends > end { Time::MAX } else { self.until(end) };
        let mut before = 0;
        for &(at, price) in self.prices.iter().filter(|(at, _)| *at < until) {
            let all = i64::from(self.count) * price.nano();
            changes.push((at.max(self.begins), all - before));
            before = all;
        }
        changes.push((until, -before));
        for bill in bills {
            bill.negated_rate_changes(until, changes);
        }
        changes.retain(|(at, _)| *at < Time::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::CapacityType;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    #[test]
    fn what_no_instance_uses_of_a_reservation_is_billed_until_its_end() {
        let reservation = CapacityReservation {
            count: 2,
            begins: at(100.0),
            ends: at(1100.0),
            prices: vec![(at(0.0), Usd::from_f64(3.6))],
            ..CapacityReservation::default()
        };
        let mut bill = Bill::new(at(300.0), CapacityType::Reserved, Usd::from_f64(3.6));
        bill.end(at(500.0));
        let late = Bill::new(at(1000.0), CapacityType::Reserved, Usd::from_f64(3.6));
        let bills = [bill, late];
        let unused = |end: f64| reservation.unused(bills.iter(), at(end)).as_f64();
        // 2 x 1000 s, less 200 s and the 100 s before its end, at $0.001 a second.
        assert!((unused(5000.0) - 1.7).abs() < 1e-9, "{}", unused(5000.0));
        assert!((unused(400.0) - 0.5).abs() < 1e-9, "{}", unused(400.0));
        assert_eq!(reservation.unused([].into_iter(), at(50.0)), Usd::ZERO);
        let mut changes = Vec::new();
        reservation.rate_changes(bills.iter(), at(5000.0), &mut changes);
        let area: i128 = changes
            .iter()
            .map(|(from, nano)| i128::from(*nano) * i128::from(at(5000.0).since(*from).as_micros()))
            .sum();
        assert_eq!(rounded(area).as_f64(), unused(5000.0));
    }
}
