//! Capacity reservations in small runs: when Karpenter uses them, what it does when they are full, over or no longer selected, and
//! what they cost.

use std::path::Path;

use forescale::cluster::catalogue::CapacityType;
use forescale::report::summary::{Cost, summarize};
use forescale::report::{chart, screen};
use forescale::scenario::{Options, load};
use forescale::simulation;
use forescale::telemetry::Outcome;
use forescale::units::Usd;

#[path = "support/small_cluster.rs"]
#[expect(dead_code, reason = "one helper is not needed here")]
mod small_cluster;
use small_cluster::{class, deployment, nodes_of, pool, run_for, run_with, running_at};

const SELECTED: &str = "capacityReservationSelectorTerms = [{ tags = { team = \"web\" } }]";
const QUIET: &str = "[nodePools.spec.disruption]\nconsolidateAfter = \"Never\"\n";
const ALL_NODES: &str = "[nodePools.spec.disruption]\nconsolidateAfter = \"0s\"\nbudgets = [{ nodes = \"100%\" }]\n";

/// Reserved instances of m5.large, $0.096 an hour.
fn reservation(count: u32, more: &str) -> String {
    format!(
        "[[capacityReservations]]\nid = \"cr-1\"\ninstanceType = \"m5.large\"\nzone = \"us-east-1a\"\n\
         instanceCount = {count}\ntags = {{ team = \"web\" }}\n{more}\n"
    )
}

/// Pods that each fill an m5.large, in a pool that takes reserved and on-demand capacity.
fn web(replicas: u32, disruption: &str, terms: &str) -> String {
    let pool = pool("workers", &["m5.large"], &["reserved", "on-demand"], disruption);
    format!("{pool}{}{}", class(terms), deployment("web", replicas, "1500m"))
}

fn bought(outcome: &Outcome, capacity_type: CapacityType) -> usize {
    nodes_of(outcome, "workers").iter().filter(|node| node.info.capacity_type == Some(capacity_type)).count()
}

/// Nodes launched into the reservation.
fn launched_into(outcome: &Outcome) -> usize {
    nodes_of(outcome, "workers").iter().filter(|node| node.reservation == Some(0)).count()
}

fn cost(outcome: &Outcome) -> Cost {
    summarize(outcome, &forescale::api::decode::defaults()).cost
}

fn named(outcome: &Outcome, rule: &str) -> usize {
    outcome.decisions.iter().filter(|decision| decision.rule.name() == rule).count()
}

#[test]
fn reserved_instances_go_first_and_on_demand_ones_follow_when_they_are_used_up() {
    let outcome = run_for("30m", &format!("{}{}", web(4, QUIET, SELECTED), reservation(2, "")));
    assert_eq!((bought(&outcome, CapacityType::Reserved), bought(&outcome, CapacityType::OnDemand)), (2, 2));
    let zones: Vec<&str> = nodes_of(&outcome, "workers")
        .iter()
        .filter(|node| node.info.capacity_type == Some(CapacityType::Reserved))
        .map(|node| node.info.zone.as_str())
        .collect();
    assert_eq!(zones, ["us-east-1a", "us-east-1a"]);
    let nodes = nodes_of(&outcome, "workers");
    let claimed = |capacity_type| {
        let of = nodes.iter().filter(|node| node.info.capacity_type == Some(capacity_type));
        of.map(|node| node.claimed.as_secs_f64()).fold(0.0, f64::max)
    };
    let later = claimed(CapacityType::OnDemand) - claimed(CapacityType::Reserved);
    assert!((5.0..20.0).contains(&later), "while reserved capacity is there, pods wait for a later pass: {later} s");
    assert_eq!(named(&outcome, "FailedScheduling"), 0, "nothing is said of them meanwhile");
}

#[test]
fn a_reservation_costs_its_price_whether_it_is_used_or_not() {
    let unused = run_for("30m", &format!("{}{}", web(0, QUIET, SELECTED), reservation(2, "")));
    assert_eq!(cost(&unused).unused_reservations_usd, Some(0.096));
    assert_eq!(cost(&unused).total_usd, 0.096);
    let used = cost(&run_for("30m", &format!("{}{}", web(2, QUIET, SELECTED), reservation(2, ""))));
    assert!((used.total_usd - 0.096).abs() < 1e-8, "{used:?}");
    assert!(used.instances_usd > 0.08, "the instances take their part: {used:?}");
    let fewer = reservation(2, "from = \"10m\"\nuntil = \"20m\"\nperHour = \"6\"");
    let fewer = cost(&run_for("30m", &format!("{}{fewer}", web(0, QUIET, SELECTED))));
    assert_eq!(fewer.unused_reservations_usd, Some(2.0));
    let none = run_for("30m", &web(0, QUIET, ""));
    assert_eq!(cost(&none).unused_reservations_usd, None);
}

#[test]
fn only_reservations_that_the_class_selects_are_used_and_only_with_the_gate() {
    let into = |terms: &str, settings: &[(&str, &str)]| {
        let text = format!("{}{}", web(2, QUIET, terms), reservation(2, ""));
        let outcome = run_with("10m", &text, settings);
        (bought(&outcome, CapacityType::Reserved), launched_into(&outcome))
    };
    assert_eq!(into("capacityReservationSelectorTerms = [{ id = \"cr-1\" }]", &[]), (2, 2));
    assert_eq!(into("capacityReservationSelectorTerms = [{ id = \"cr-2\" }]", &[]), (0, 0));
    assert_eq!(into("", &[]), (0, 0), "its launch templates keep out of open reservations");
    assert_eq!(into(SELECTED, &[("karpenter.reservedCapacity", "false")]).0, 0);
    assert_eq!(into(SELECTED, &[("versions.karpenter", "\"1.5\"")]).0, 0, "off by default before 1.6");
    assert_eq!(into(SELECTED, &[("versions.karpenter", "\"1.6\"")]), (2, 2));
}

#[test]
fn without_the_gate_instances_on_demand_fall_into_open_reservations() {
    let one_zone = ("simulation.zones", "[\"us-east-1a\"]");
    let total = |criteria: &str| {
        let text = format!("{}{}", web(2, QUIET, ""), reservation(2, criteria));
        let outcome = run_with("30m", &text, &[("karpenter.reservedCapacity", "false"), one_zone]);
        assert_eq!(bought(&outcome, CapacityType::OnDemand), 2);
        (launched_into(&outcome), cost(&outcome).total_usd)
    };
    let (open, targeted) = (total("instanceMatchCriteria = \"open\""), total("instanceMatchCriteria = \"targeted\""));
    assert_eq!((open.0, targeted.0), (2, 0));
    assert!((open.1 - 0.096).abs() < 1e-8 && targeted.1 > 0.18, "paid once, and twice: {open:?} {targeted:?}");
}

#[test]
fn a_slot_comes_back_when_its_node_is_gone() {
    let changes = "[[changes]]\nat = \"5m\"\nscale = { web = 0 }\n[[changes]]\nat = \"15m\"\nscale = { web = 1 }\n";
    let outcome = run_for("25m", &format!("{}{}{changes}", web(1, ALL_NODES, SELECTED), reservation(1, "")));
    assert_eq!((bought(&outcome, CapacityType::Reserved), bought(&outcome, CapacityType::OnDemand)), (2, 0));
}

#[test]
fn nodes_move_into_a_reservation_that_begins() {
    let outcome = run_for("30m", &format!("{}{}", web(1, ALL_NODES, SELECTED), reservation(1, "from = \"10m\"")));
    assert_eq!((bought(&outcome, CapacityType::Reserved), bought(&outcome, CapacityType::OnDemand)), (1, 1));
    let nodes = nodes_of(&outcome, "workers");
    assert_eq!((running_at(&nodes, 590.0), running_at(&nodes, 1790.0)), (1, 1));
    let moved = nodes.iter().find(|node| node.reservation == Some(0)).expect("a reserved node");
    // Offerings wake no loop that found nothing to do: it looks again after five minutes.
    assert!((600.0..1000.0).contains(&moved.claimed.as_secs_f64()), "{:?}", moved.claimed);
}

#[test]
fn nodes_of_a_reservation_that_ends_run_on_demand_and_drift_where_only_reserved_is_allowed() {
    let text = |capacity_types: &[&str]| {
        let pool = pool("workers", &["m5.large"], capacity_types, QUIET);
        let reservation = reservation(1, "until = \"10m\"\nperHour = \"12\"");
        format!("{pool}{}{}{reservation}", class(SELECTED), deployment("web", 1, "1500m"))
    };
    let outcome = run_for("30m", &text(&["reserved", "on-demand"]));
    assert_eq!((named(&outcome, "syncCapacityType"), named(&outcome, "RequirementsDrifted")), (1, 0));
    assert_eq!(nodes_of(&outcome, "workers").len(), 1);
    let node = nodes_of(&outcome, "workers")[0];
    assert_eq!(node.info.capacity_type, Some(CapacityType::OnDemand));
    let bill = node.bill.as_ref().expect("a bill");
    let minutes = |from: f64, until: f64| (until - from) / 60.0;
    let expected = minutes(bill.started().as_secs_f64(), 600.0) * 0.2 + minutes(600.0, 1800.0) * 0.0016;
    assert!((bill.cost(outcome.end).total.as_f64() - expected).abs() < 1e-6, "{:?}", bill.cost(outcome.end));
    let outcome = run_for("30m", &text(&["reserved"]));
    assert_eq!((named(&outcome, "syncCapacityType"), named(&outcome, "RequirementsDrifted")), (1, 1));
}

#[test]
fn a_capacity_block_is_left_forty_minutes_before_its_end_and_reclaimed_ten_minutes_later() {
    let block = reservation(2, "reservationType = \"capacity-block\"\nuntil = \"60m\"");
    let outcome = run_for("50m", &format!("{}{block}", web(1, QUIET, SELECTED)));
    let nodes = nodes_of(&outcome, "workers");
    let (first, second) = (nodes[0], nodes[1]);
    assert_eq!(
        (first.reason.as_str(), second.info.capacity_type),
        ("ReservationExpiring", Some(CapacityType::OnDemand))
    );
    let draining = first.draining.expect("drained").as_secs_f64();
    assert!((1200.0..=1260.0).contains(&draining), "{draining}");
    // One that cannot be drained is taken by EC2.
    let held = "[[podDisruptionBudgets]]\nmetadata = { name = \"web\" }\n\
                spec = { maxUnavailable = 0, selector = { matchLabels = { app = \"web\" } } }\n";
    let outcome = run_for("50m", &format!("{}{block}{held}", web(1, QUIET, SELECTED)));
    let terminated = nodes_of(&outcome, "workers")[0].terminated.expect("taken back").as_secs_f64();
    assert_eq!(terminated, 1800.0);
    assert_eq!(named(&outcome, "CapacityBlockEnds"), 1);
}

/// Its owner wants it back after twenty minutes: notice two minutes before, upon which Karpenter moves to what else there is. Without its
/// queue Karpenter hears nothing, and EC2 takes the instances at the end.
#[test]
fn an_interruptible_reservation_is_left_when_its_owner_takes_it_back() {
    let text = |replicas: u32| {
        format!("{}{}", web(replicas, QUIET, SELECTED), reservation(2, "interruptible = true\nuntil = \"20m\""))
    };
    let outcome = run_for("40m", &text(2));
    let nodes = nodes_of(&outcome, "workers");
    assert_eq!((bought(&outcome, CapacityType::Reserved), bought(&outcome, CapacityType::OnDemand)), (2, 2));
    assert_eq!((named(&outcome, "ReservationInterruptionWarning"), launched_into(&outcome)), (2, 2));
    for node in nodes.iter().filter(|node| node.info.capacity_type == Some(CapacityType::Reserved)) {
        assert_eq!(node.reason, "Interrupted");
        let (draining, gone) = (node.draining.expect("drained"), node.terminated.expect("gone"));
        assert!((1080.0..1090.0).contains(&draining.as_secs_f64()), "{draining:?}");
        assert!(gone.as_secs_f64() <= 1200.0, "{gone:?}");
    }
    let outcome = run_with("40m", &text(1), &[("karpenter.interruptionQueue", "false")]);
    let first = nodes_of(&outcome, "workers")[0];
    assert_eq!(first.terminated.expect("taken").as_secs_f64(), 1200.0);
    assert_eq!((named(&outcome, "syncCapacityType"), bought(&outcome, CapacityType::OnDemand)), (0, 1));
}

/// Pods that ask for capacity that stays get none of it.
#[test]
fn a_pool_may_keep_out_of_interruptible_reservations() {
    let requirement = "requirements = [\n{ key = \"karpenter.k8s.aws/capacity-reservation-interruptible\", operator = \"NotIn\", values = [\"true\"] },";
    let into = |more: &str| {
        let text = web(1, QUIET, SELECTED).replacen("requirements = [", requirement, 1);
        launched_into(&run_for("10m", &format!("{text}{}", reservation(1, more))))
    };
    assert_eq!((into(""), into("interruptible = true")), (1, 0));
}

#[test]
fn nodes_drift_when_their_reservation_is_no_longer_selected() {
    let change = "[[changes]]\nat = \"5m\"\n\
                  patch = { \"EC2NodeClass/default.capacityReservationSelectorTerms\" = [{ id = \"cr-2\" }] }\n";
    let outcome = run_for("20m", &format!("{}{}{change}", web(1, QUIET, SELECTED), reservation(1, "")));
    assert_eq!(named(&outcome, "CapacityReservationDrift"), 1);
    assert_eq!((bought(&outcome, CapacityType::Reserved), bought(&outcome, CapacityType::OnDemand)), (1, 1));
}

#[test]
fn a_reservation_counts_against_the_quota_used_or_not() {
    // 4 vCPUs: two m5.large, which the reservation holds.
    let quota = [("market.onDemandVcpus", "4")];
    let outcome = run_with("10m", &format!("{}{}", web(3, QUIET, SELECTED), reservation(2, "")), &quota);
    assert_eq!((bought(&outcome, CapacityType::Reserved), bought(&outcome, CapacityType::OnDemand)), (2, 0));
    assert!(named(&outcome, "VcpuLimitExceeded") > 0);
}

#[test]
fn money_adds_up_to_the_reservation_and_all_else() {
    let outcome = run_for("30m", &format!("{}{}", web(4, ALL_NODES, SELECTED), reservation(3, "until = \"17m\"")));
    let unused = outcome.unused_reservations().expect("a reservation");
    assert_eq!(outcome.total_cost(), outcome.instance_cost().total + outcome.request_cost() + unused);
    assert!(unused > Usd::ZERO);
    let integral = outcome.cost_rate().integral(outcome.end) / 3_600_000_000;
    assert!((integral as i64 - (outcome.total_cost() - outcome.request_cost()).nano()).abs() < 100);
}

#[test]
fn screen_and_chart_name_what_is_reserved() {
    let outcome = run_for("30m", &format!("{}{}", web(1, QUIET, SELECTED), reservation(2, "")));
    let summary = summarize(&outcome, &forescale::api::decode::defaults());
    let screen = screen::render(&summary, false);
    assert!(screen.contains("reserved node-hours 0.5") && !screen.contains("other node-hours"), "{screen}");
    let chart = chart::svg(&outcome, &summary).expect("a chart");
    assert!(chart.contains("unused reservations") && chart.contains("Cost of instances and reservations"));
    let rate = outcome.cost_rate();
    assert_eq!(rate.at(outcome.end), 2 * 96_000_000, "they cost as much at the end as ever");
}

#[test]
fn the_shipped_scenario_says_what_comes_out() {
    let with = |settings: &[(&str, &str)]| {
        let settings = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
        let options = Options { settings, ..Options::default() };
        let loaded =
            load(Path::new("scenarios/reserved-capacity.toml"), &options).unwrap_or_else(|bad| panic!("{bad}"));
        cost(&simulation::run(&loaded.scenario, simulation::Options::replication(0)).expect("a run"))
    };
    let rounded = |cost: Cost| {
        let cents = |usd: f64| (usd * 100.0).round() / 100.0;
        (cents(cost.instances_usd), cents(cost.unused_reservations_usd.unwrap_or(0.0)), cents(cost.total_usd))
    };
    assert_eq!(rounded(with(&[])), (0.68, 0.63, 1.38));
    assert_eq!(rounded(with(&[("karpenter.reservedCapacity", "false")])), (0.24, 1.21, 1.52));
}
