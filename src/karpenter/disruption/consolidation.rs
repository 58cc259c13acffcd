//! The move for a set of nodes (`pkg/controllers/disruption/consolidation.go: computeConsolidation`).

use crate::cluster::catalogue::CapacityType;
use crate::time::Duration;

use super::candidate::Candidate;
use super::command::{Command, Simulation, Simulator, Unconsolidatable};
use super::model::{Method, NodeIndex, Observed};
use super::replacement::{CapacitySet, MIN_TYPES_FOR_SPOT_TO_SPOT, Replacement};

/// The move that removes all these nodes, and how long finding it took: a deletion if their pods fit on what is there, a
/// replacement by one cheaper node, or the reason why there is none. Prices are not looked at for a deletion.
pub fn compute(
    observed: &Observed<'_>,
    simulator: &mut impl Simulator,
    method: Method,
    candidates: &[Candidate],
) -> (Result<Command, Unconsolidatable>, Duration) {
    let removed: Vec<NodeIndex> = candidates.iter().map(|candidate| candidate.node).collect();
    let simulation = simulator.simulate(&removed, observed.rules.destination_gate);
    let cost = simulation.cost;
    (decide(observed, simulation, method, candidates), cost)
}

fn decide(
    observed: &Observed<'_>,
    mut simulation: Simulation,
    method: Method,
    candidates: &[Candidate],
) -> Result<Command, Unconsolidatable> {
    if simulation.candidate_deleting {
        return Err(Unconsolidatable::Deleting);
    }
    if let Some(error) = simulation.error {
        return Err(Unconsolidatable::Unschedulable(error));
    }
    let replacements = match simulation.claims.len() {
        0 => Vec::new(),
        1 => {
            let claim = simulation.claims.remove(0);
            vec![replacement(observed, claim, candidates)?]
        }
        several => return Err(Unconsolidatable::SeveralNodes(several)),
    };
    let destinations = simulation.destinations.iter().map(|node| observed.node(*node).id).collect();
    Ok(Command { method, candidates: candidates.to_vec(), replacements, destinations })
}

/// Narrows the claim to types that are cheaper than the nodes together.
fn replacement(
    observed: &Observed<'_>,
    mut claim: Replacement,
    candidates: &[Candidate],
) -> Result<Replacement, Unconsolidatable> {
    let price = candidates.iter().map(|candidate| candidate.price).fold(0.0, |sum, price| sum + price);
    let all_spot = candidates.iter().all(|candidate| candidate.capacity_type == Some(CapacityType::Spot));
    if all_spot && claim.capacity_types.spot {
        return spot_to_spot(observed, claim, price, candidates.len() == 1);
    }
    claim.keep_cheaper_than(price, observed.catalogue).map_err(Unconsolidatable::MinValues)?;
    if claim.types.is_empty() {
        return Err(Unconsolidatable::NoCheaperNode);
    }
    // Upstream does this first; in this order only what is left is sorted.
    claim.order_by_price(observed.catalogue);
    if claim.capacity_types.spot && claim.capacity_types.on_demand {
        claim.capacity_types = CapacitySet::only(CapacityType::Spot);
    }
    Ok(claim)
}

/// Spot nodes by a spot node (`computeSpotToSpotConsolidation`): needs the gate; a single node also needs 15 cheaper types,
/// and launches with no more than these, which ends the walk down the price ladder.
fn spot_to_spot(
    observed: &Observed<'_>,
    mut claim: Replacement,
    price: f64,
    single: bool,
) -> Result<Replacement, Unconsolidatable> {
    if !observed.rules.spot_to_spot {
        return Err(Unconsolidatable::SpotToSpotDisabled);
    }
    claim.order_by_price(observed.catalogue);
    claim.capacity_types = CapacitySet::only(CapacityType::Spot);
    claim.keep_cheaper_than(price, observed.catalogue).map_err(Unconsolidatable::MinValues)?;
    if claim.types.is_empty() {
        return Err(Unconsolidatable::NoCheaperNode);
    }
    if single {
        if claim.types.len() < MIN_TYPES_FOR_SPOT_TO_SPOT {
            return Err(Unconsolidatable::SpotToSpotFlexibility(claim.types.len()));
        }
        let needed = claim.types_for_min_values(observed.catalogue).map_err(Unconsolidatable::MinValues)?;
        claim.types.truncate(needed.max(MIN_TYPES_FOR_SPOT_TO_SPOT));
    }
    Ok(claim)
}
