//! Money: what instances and queue requests cost, and what the money was spent on.

use crate::cluster::catalogue::CapacityType;
use crate::time::{Duration, Time};
use crate::units::{Resource, Resources, Usd};

/// The shortest span that EC2 bills for a start.
pub const MINIMUM_BILLED: Duration = Duration::from_secs(60);

/// Millionths.
const MILLION: i128 = 1_000_000;

/// Nano-dollars per hour x microseconds in one nano-dollar.
const MICROS_PER_HOUR: i128 = 3_600_000_000;

/// What an instance is used for at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// It starts: not ready for pods.
    Boot,
    /// It is a node.
    Node(Shares),
    /// It is a node that is being deleted.
    Draining(Shares),
}

/// Millionths of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Requested by workload pods.
    pub workload_ppm: u32,
    /// Reserved for the system or requested by DaemonSets and system pods.
    pub overhead_ppm: u32,
    /// Whether a workload pod is bound to it.
    pub occupied: bool,
}

impl Shares {
    /// Shares in the resource (CPU or memory) of which workload and system together take most: `capacity` of the instance,
    /// `allocatable` of the node, requests of the `workload` pods and of `system` pods bound to it.
    #[must_use]
    pub fn of(capacity: &Resources, allocatable: &Resources, workload: &Resources, system: &Resources) -> Shares {
        let shares = [Resource::Cpu, Resource::Memory].map(|resource| {
            let whole = i128::from(capacity.get(resource).max(1));
            let ppm = |amount: i64| (i128::from(amount.max(0)) * MILLION / whole).min(MILLION) as u32;
            let overhead = ppm(capacity.get(resource) - allocatable.get(resource) + system.get(resource));
            let useful = ppm(workload.get(resource)).min(MILLION as u32 - overhead);
            (useful, overhead)
        });
        let [cpu, memory] = shares;
        let (workload_ppm, overhead_ppm) = if cpu.0 + cpu.1 >= memory.0 + memory.1 { cpu } else { memory };
        Shares { workload_ppm, overhead_ppm, occupied: *workload != Resources::ZERO }
    }
}

/// What the room that workload pods requested on a node was good for, in any unit of request x time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// All of it.
    pub requested: i128,
    /// Its pods were at work on messages, and that led to their deletion.
    pub useful: i128,
    /// Its pods were at work on messages that had to be processed again, had been processed already, or are lost.
    pub redone: i128,
}

/// The bill of one instance: from when it is running until it shuts down, to the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// How it was bought.
    pub capacity_type: CapacityType,
    started: Time,
    ended: Option<Time>,
    prices: Vec<(Time, Usd)>,
    usage: Vec<(Time, Usage)>,
    weights: Weights,
}

/// Money by what it was spent on. The parts sum to the total exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Everything.
    pub total: Usd,
    /// Workload pods at work on messages that they then deleted; all that workload pods request where nothing is known of their
    /// work.
    pub useful: Usd,
    /// Workload pods at work on messages that had to be processed again, had been processed already, or are lost.
    pub redone: Usd,
    /// Nodes with workload pods: requested by nobody, or by pods that start or wait for messages.
    pub idle: Usd,
    /// Nodes without workload pods: before the first one, and until they are consolidated.
    pub empty: Usd,
    /// Instances which are not ready yet.
    pub boot: Usd,
    /// Nodes which are being deleted, but for what their pods still request; and the rest of a minimum billing span.
    pub draining: Usd,
    /// Reserved for the system, requested by system pods.
    pub overhead: Usd,
}

impl Bill {
    /// Billing starts at `now` (state `running`) at `price` per hour.
    #[must_use]
    pub fn new(now: Time, capacity_type: CapacityType, price: Usd) -> Bill {
        Bill {
            capacity_type,
            started: now,
            ended: None,
            prices: vec![(now, price)],
            usage: vec![(now, Usage::Boot)],
            weights: Weights::default(),
        }
    }

    /// The Spot price is `price` per hour from `now` on.
    pub fn price_changed(&mut self, now: Time, price: Usd) {
        if self.ended.is_none() && self.price() != price {
            self.prices.push((now, price));
        }
    }

    /// It is used for `usage` from `now` on.
    pub fn usage_changed(&mut self, now: Time, usage: Usage) {
        if self.ended.is_none() && self.usage.last().is_none_or(|&(_, last)| last != usage) {
            self.usage.push((now, usage));
        }
    }

    /// What the room that workload pods requested was good for over the life of the node.
    pub fn worked(&mut self, weights: Weights) {
        self.weights = weights;
    }

    /// Billing ends at `now` (state `shutting-down`).
    pub fn end(&mut self, now: Time) {
        self.ended.get_or_insert(now);
    }

    /// When billing started.
    #[must_use]
    pub fn started(&self) -> Time {
        self.started
    }

    /// When billing ended; `None` = still running.
    #[must_use]
    pub fn ended(&self) -> Option<Time> {
        self.ended
    }

    /// The last price per hour.
    #[must_use]
    pub fn price(&self) -> Usd {
        self.prices.last().map_or(Usd::ZERO, |&(_, price)| price)
    }

    /// The span that is billed: whole seconds rounded up, at least [`MINIMUM_BILLED`]. While it runs, what has passed until `end`.
    #[must_use]
    pub fn billed(&self, end: Time) -> Duration {
        let Some(ended) = self.ended else { return end.since(self.started).max_zero() };
        let micros = ended.since(self.started).max_zero().as_micros();
        let second = Duration::from_secs(1).as_micros();
        Duration::from_micros((micros + second - 1) / second * second).max(MINIMUM_BILLED)
    }

    /// What the bill amounts to when the run ends at `end`, to the nearest nano-dollar. The parts are rounded such that they sum to
    /// the total.
    #[must_use]
    pub fn cost(&self, end: Time) -> Split {
        let amounts = self.amounts(end);
        let requested = self.weights.requested.max(0);
        let part = |weight: i128| amounts.workload * weight.clamp(0, requested) / requested.max(1);
        let (useful, redone) = match requested {
            0 => (amounts.workload, 0),
            _ => (part(self.weights.useful), part(self.weights.redone)),
        };
        let waiting = amounts.workload - useful - redone;
        let mut sum = 0_i128;
        let mut rounded = 0_i64;
        let mut next = |amount: i128| {
            sum += amount;
            let before = std::mem::replace(&mut rounded, ((sum + MICROS_PER_HOUR / 2) / MICROS_PER_HOUR) as i64);
            Usd::from_nano(rounded - before)
        };
        let mut split = Split {
            useful: next(useful),
            redone: next(redone),
            idle: next(waiting + amounts.idle),
            empty: next(amounts.empty),
            boot: next(amounts.boot),
            draining: next(amounts.draining),
            overhead: next(amounts.overhead),
            total: Usd::ZERO,
        };
        split.total = Usd::from_nano(rounded);
        split
    }

    fn amounts(&self, end: Time) -> Amounts {
        let until = self.started + self.billed(end);
        let stopped = self.ended.unwrap_or(end);
        let mut cuts: Vec<Time> = self.prices.iter().map(|&(at, _)| at).collect();
        cuts.extend(self.usage.iter().map(|&(at, _)| at));
        cuts.extend([stopped.min(until), until]);
        cuts.retain(|at| *at <= until);
        cuts.sort_unstable();
        cuts.dedup();
        let mut amounts = Amounts::default();
        for pair in cuts.windows(2) {
            let price = i128::from(holding_at(&self.prices, pair[0]).nano());
            let amount = price * i128::from(pair[1].since(pair[0]).as_micros());
            match holding_at(&self.usage, pair[0]) {
                _ if pair[0] >= stopped => amounts.draining += amount,
                Usage::Boot => amounts.boot += amount,
                Usage::Node(shares) => {
                    let rest = amounts.share(amount, shares);
                    *(if shares.occupied { &mut amounts.idle } else { &mut amounts.empty }) += rest;
                }
                Usage::Draining(shares) => amounts.draining += amounts.share(amount, shares),
            }
        }
        amounts
    }

    /// Billed time x price, summed over the spans of equal price only: what [`Bill::cost`] must agree with.
    #[must_use]
    pub fn hours_times_price(&self, end: Time) -> Usd {
        rounded(price_integral(&self.prices, self.started, self.started + self.billed(end)))
    }

    /// What is billed of it up to `until` when the run ends at `end`.
    pub(super) fn amount_until(&self, until: Time, end: Time) -> i128 {
        price_integral(&self.prices, self.started, (self.started + self.billed(end)).min(until))
    }

    /// The changes of its cost rate up to `until`, the other way round.
    pub(super) fn negated_rate_changes(&self, until: Time, changes: &mut Vec<(Time, i64)>) {
        let mut own = Vec::new();
        self.rate_changes(&mut own);
        own.retain(|(at, _)| *at < until);
        let rest: i64 = own.iter().map(|(_, change)| change).sum();
        changes.extend(own.into_iter().map(|(at, change)| (at, -change)));
        changes.push((until, rest));
    }

    /// Changes of the cost rate in nano-dollars per hour.
    pub(super) fn rate_changes(&self, changes: &mut Vec<(Time, i64)>) {
        let mut before = 0;
        for &(at, price) in &self.prices {
            changes.push((at, price.nano() - before));
            before = price.nano();
        }
        if let Some(ended) = self.ended {
            changes.push((ended, -before));
        }
    }
}

/// Parts of a bill in nano-dollars per hour x microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Amounts {
    workload: i128,
    overhead: i128,
    boot: i128,
    idle: i128,
    empty: i128,
    draining: i128,
}

impl Amounts {
    /// Takes the shares of pods and system; gives the rest.
    fn share(&mut self, amount: i128, shares: Shares) -> i128 {
        let workload = amount * i128::from(shares.workload_ppm) / MILLION;
        let overhead = amount * i128::from(shares.overhead_ppm) / MILLION;
        self.workload += workload;
        self.overhead += overhead;
        amount - workload - overhead
    }
}

/// Price x time between two instants, in nano-dollars per hour x microseconds.
pub(super) fn price_integral(prices: &[(Time, Usd)], from: Time, until: Time) -> i128 {
    let span = |(index, &(at, price)): (usize, &(Time, Usd))| {
        let next = prices.get(index + 1).map_or(until, |&(next, _)| next.min(until));
        i128::from(price.nano()) * i128::from(next.since(at.max(from)).max_zero().as_micros())
    };
    prices.iter().enumerate().map(span).sum()
}

/// Such an amount in money, to the nearest nano-dollar.
pub(super) fn rounded(amount: i128) -> Usd {
    Usd::from_nano(((amount + MICROS_PER_HOUR / 2) / MICROS_PER_HOUR) as i64)
}

/// The value of the last step at or before `time`; the first one before that.
fn holding_at<T: Copy>(steps: &[(Time, T)], time: Time) -> T {
    let after = steps.partition_point(|&(at, _)| at <= time);
    steps[after.max(1) - 1].1
}

impl Split {
    /// The parts of both together.
    #[must_use]
    pub fn plus(self, other: Split) -> Split {
        Split {
            total: self.total + other.total,
            useful: self.useful + other.useful,
            redone: self.redone + other.redone,
            idle: self.idle + other.idle,
            empty: self.empty + other.empty,
            boot: self.boot + other.boot,
            draining: self.draining + other.draining,
            overhead: self.overhead + other.overhead,
        }
    }

    /// All parts together: the total.
    #[must_use]
    pub fn sum(self) -> Usd {
        [self.useful, self.redone, self.idle, self.empty, self.boot, self.draining, self.overhead].into_iter().sum()
    }
}

/// What `requests` queue requests cost at `price_per_million`, to the nearest nano-dollar. Tiers and the monthly free million
/// are not applied: a run is a slice of a month.
#[must_use]
pub fn request_cost(requests: u64, price_per_million: Usd) -> Usd {
    let amount = i128::from(requests) * i128::from(price_per_million.nano());
    Usd::from_nano(((amount + MILLION / 2) / MILLION) as i64)
}

/// What a million of `messages` costs when all of them cost `total`; `None` without messages.
#[must_use]
pub fn per_million(total: Usd, messages: u64) -> Option<Usd> {
    let messages = i128::from(messages);
    (messages > 0).then(|| Usd::from_nano(((i128::from(total.nano()) * MILLION + messages / 2) / messages) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::series::Series;
    use crate::units::{Cpu, Memory};

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    fn bill(price: f64) -> Bill {
        Bill::new(at(100.0), CapacityType::Spot, Usd::from_f64(price))
    }

    #[test]
    fn seconds_are_rounded_up_and_a_minute_is_the_least() {
        let mut short = bill(0.36);
        short.end(at(120.0));
        assert_eq!(short.billed(at(9999.0)), Duration::from_secs(60));
        // 60 s of $0.36/h = $0.006: 20 s boot, 40 s paid after its end.
        let cost = short.cost(at(9999.0));
        assert_eq!(
            (cost.total, cost.boot, cost.draining),
            (Usd::from_f64(0.006), Usd::from_f64(0.002), Usd::from_f64(0.004))
        );

        let mut longer = bill(0.36);
        longer.end(at(200.2));
        assert_eq!(longer.billed(at(9999.0)), Duration::from_secs(101));
        assert_eq!(longer.cost(at(9999.0)).total, Usd::from_f64(0.0101));
    }

    #[test]
    fn money_is_split_by_what_the_instance_was_used_for() {
        let mut node = bill(0.72);
        let shares = |workload_ppm, occupied| Shares { workload_ppm, overhead_ppm: 100_000, occupied };
        node.usage_changed(at(150.0), Usage::Node(shares(0, false)));
        node.usage_changed(at(200.0), Usage::Node(shares(500_000, true)));
        node.price_changed(at(300.0), Usd::from_f64(1.44));
        node.usage_changed(at(350.0), Usage::Draining(shares(500_000, true)));
        node.end(at(400.0));
        // 50 s boot, 50 s empty, 150 s and then, draining, 50 s at half load, 100 s of these at the double price: in units of
        // $0.0002 (1 s of $0.72/h).
        let unit = |seconds: f64| Usd::from_f64(seconds * 0.0002);
        let cost = node.cost(at(1000.0));
        assert_eq!(cost.total, unit(400.0));
        assert_eq!(cost.boot, unit(50.0));
        assert_eq!(cost.useful, unit(50.0 + 100.0));
        assert_eq!(cost.overhead, unit(5.0 + 10.0 + 20.0));
        assert_eq!(cost.empty, unit(45.0));
        assert_eq!(cost.idle, unit(40.0 + 40.0));
        assert_eq!(cost.draining, unit(40.0));
        assert_eq!(cost.sum(), cost.total);
        // Its pods worked for three fifths of their time, a third of that in vain.
        node.worked(Weights { requested: 15, useful: 6, redone: 3 });
        let worked = node.cost(at(1000.0));
        assert_eq!((worked.useful, worked.redone, worked.idle), (unit(60.0), unit(30.0), unit(80.0 + 60.0)));
        assert_eq!((worked.total, worked.sum()), (cost.total, cost.total));
        assert_eq!(node.hours_times_price(at(1000.0)), cost.total);
        let mut changes = Vec::new();
        node.rate_changes(&mut changes);
        assert_eq!(Series::from_changes(changes).integral(at(1000.0)) / MICROS_PER_HOUR, i128::from(cost.total.nano()));
    }

    #[test]
    fn an_instance_which_still_runs_is_billed_until_the_end() {
        assert_eq!(bill(3.6).cost(at(400.0)).total, Usd::from_f64(0.3));
        assert_eq!(bill(3.6).billed(at(110.5)), Duration::from_secs_f64(10.5));
        assert_eq!(bill(3.6).billed(at(50.0)), Duration::ZERO);
    }

    #[test]
    fn odd_amounts_sum_to_the_total() {
        let mut node = bill(0.123_456_789);
        let shares = |workload_ppm| Shares { workload_ppm, overhead_ppm: 33_333, occupied: workload_ppm > 0 };
        for (second, ppm) in [(101.234_567, 0), (107.7, 333_333), (133.1, 777_777), (171.9, 1)] {
            node.usage_changed(at(second), Usage::Node(shares(ppm)));
        }
        node.usage_changed(at(190.123_457), Usage::Draining(shares(666_667)));
        node.worked(Weights { requested: 7, useful: 3, redone: 1 });
        for end in 101..230 {
            let cost = node.cost(at(f64::from(end) + 0.333_333));
            assert_eq!(cost.sum(), cost.total);
            assert_eq!(cost.total, node.hours_times_price(at(f64::from(end) + 0.333_333)));
        }
    }

    #[test]
    fn usage_is_the_share_of_the_scarcer_resource() {
        let gib = |n: i64| Memory::from_mib(1024 * n);
        let capacity = Resources::new(Cpu::from_milli(4000), gib(16));
        let allocatable = Resources::new(Cpu::from_milli(3900), gib(14));
        let system = Resources::new(Cpu::from_milli(100), gib(0));
        let cpu_bound = Resources::new(Cpu::from_milli(3000), gib(2));
        assert_eq!(
            Shares::of(&capacity, &allocatable, &cpu_bound, &system),
            Shares { workload_ppm: 750_000, overhead_ppm: 50_000, occupied: true }
        );
        let memory_bound = Resources::new(Cpu::from_milli(1000), gib(12));
        assert_eq!(
            Shares::of(&capacity, &allocatable, &memory_bound, &system),
            Shares { workload_ppm: 750_000, overhead_ppm: 125_000, occupied: true }
        );
    }

    #[test]
    fn requests_and_messages_by_the_million() {
        assert_eq!(request_cost(2_500_000, Usd::from_f64(0.4)), Usd::from_f64(1.0));
        assert_eq!(request_cost(1, Usd::from_f64(0.4)), Usd::from_nano(400));
        assert_eq!(per_million(Usd::from_f64(0.05), 200_000), Some(Usd::from_f64(0.25)));
        assert_eq!(per_million(Usd::from_f64(0.05), 0), None);
    }
}
