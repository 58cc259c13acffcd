//! Capacity reservations, and the terms by which EC2NodeClasses select them.

use super::context::{At, Context};
use super::queues::number_within;
use super::settings::{known_type, known_zone};
use crate::api::decode::Problems;
use crate::api::karpenter::CapacityReservationSelectorTerm;
use crate::scenario::capacity_reservations::is_selected;
use crate::scenario::lint::Rule;

/// Most instances of a reservation.
const MAX_INSTANCES: u32 = 10_000;
/// Most terms of a node class (`ec2nodeclass.go: CapacityReservationSelectorTerms`).
const MAX_TERMS: usize = 30;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (reservation, at) in cx.elements("capacityReservations", &cx.scenario.capacity_reservations) {
        check_id(&reservation.id, at, problems);
        known_type(&reservation.instance_type, at.span(&["instanceType"]), cx, problems);
        known_zone(&reservation.zone, at.span(&["zone"]), cx, problems);
        let count = f64::from(reservation.instance_count);
        number_within(at, "instanceCount", count, 1.0, f64::from(MAX_INSTANCES), problems);
        let per_hour = reservation.per_hour.map_or(0.0, |price| price.milli as f64 / 1000.0);
        number_within(at, "perHour", per_hour, 0.0, 1e6, problems);
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
        let at = at.into(&["spec"]);
        if terms.len() > MAX_TERMS {
            let message = format!("{} terms are more than {MAX_TERMS}", terms.len());
            problems.error(at.key(&["capacityReservationSelectorTerms"]), message, "too many");
        }
        for (index, term) in terms.iter().enumerate() {
            check_term(term, at.into(&["capacityReservationSelectorTerms", &index.to_string()]), cx, problems);
        }
    }
}

fn check_id(id: &str, at: At<'_>, problems: &mut Problems) {
    let allowed = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase());
    if !id.strip_prefix("cr-").is_some_and(allowed) {
        let message = format!("`{id}` is no id of a capacity reservation");
        problems.error(at.span(&["id"]), message, "`cr-` and lower-case letters or digits");
    }
}

/// The rules of the API (`ec2nodeclass.go: CapacityReservationSelectorTerm`).
fn check_term(term: &CapacityReservationSelectorTerm, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let asks = !term.tags.is_empty() || term.instance_match_criteria.is_some();
    match &term.id {
        Some(id) => check_id(id, at, problems),
        None if !asks => {
            let label = "needs `id`, `tags` or `instanceMatchCriteria`";
            return problems.error(at.span(&[]), "this term selects nothing", label);
        }
        None => {}
    }
    if term.id.is_some() && (asks || term.owner_id.is_some()) {
        return problems.error(at.span(&["id"]), "`id` cannot be given with other fields", "leave the others out");
    }
    let selects = |reservation| is_selected(std::slice::from_ref(term), reservation);
    if !cx.scenario.capacity_reservations.iter().any(selects) {
        let help = "`[[capacityReservations]]` holds what the account has reserved".to_owned();
        let message = "no capacity reservation of the scenario matches this term";
        Rule::SelectsNothing.report(problems, at.span(&[]), message, "selects nothing", Some(help));
    }
}
