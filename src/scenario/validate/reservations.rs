//! Capacity reservations, and the terms by which EC2NodeClasses select them.

use super::context::{At, Context};
use super::queues::number_within;
use super::selectors::{check_id, each_term, is_term, selects_nothing};
use super::settings::{known_type, known_zone};
use crate::api::decode::Problems;
use crate::api::karpenter::CapacityReservationSelectorTerm;
use crate::scenario::capacity_reservations::is_selected;

/// Most instances of a reservation.
const MAX_INSTANCES: u32 = 10_000;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (reservation, at) in cx.elements("capacityReservations", &cx.scenario.capacity_reservations) {
        check_id("cr-", &reservation.id, "a capacity reservation", at, problems);
        known_type(&reservation.instance_type, at.span(&["instanceType"]), cx, problems);
        known_zone(&reservation.zone, at.span(&["zone"]), cx, problems);
        let count = f64::from(reservation.instance_count);
        number_within(at, "instanceCount", count, 1.0, f64::from(MAX_INSTANCES), problems);
        let per_hour = reservation.per_hour.map_or(0.0, |price| price.milli as f64 / 1000.0);
        number_within(at, "perHour", per_hour, 0.0, 1e6, problems);
        if reservation.interruptible && reservation.is_block() {
            let message = "a capacity block is not interruptible";
            problems.error(at.span(&["interruptible"]), message, "leave it out, or use type `default`");
        }
        match reservation.until {
            Some(until) if until <= reservation.from => {
                problems.error(at.span(&["until"]), "it ends before it begins", "must be after `from`");
            }
            None if reservation.is_block() => {
                problems.error(at.span(&[]), "a capacity block has an end", "needs `until`");
            }
            _ => {}
        }
    }
    for (class, at) in cx.elements("ec2NodeClasses", &cx.scenario.node_classes) {
        let terms = &class.spec.capacity_reservation_selector_terms;
        each_term(terms, "capacityReservationSelectorTerms", at, problems, |term, at, problems| {
            check_term(term, at, cx, problems);
        });
    }
}

/// The rules of the API (`ec2nodeclass.go: CapacityReservationSelectorTerm`).
fn check_term(term: &CapacityReservationSelectorTerm, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    if let Some(id) = &term.id {
        check_id("cr-", id, "a capacity reservation", at, problems);
    }
    let asks = [
        ("id", term.id.is_some()),
        ("tags", !term.tags.is_empty()),
        ("instanceMatchCriteria", term.instance_match_criteria.is_some()),
    ];
    if !is_term(&asks, &["id"], term.owner_id.is_some(), at, problems) {
        return;
    }
    let selects = |reservation| is_selected(std::slice::from_ref(term), reservation);
    if !cx.scenario.capacity_reservations.iter().any(selects) {
        selects_nothing(
            "capacity reservation",
            "`[[capacityReservations]]` holds what the account has reserved",
            at,
            problems,
        );
    }
}
