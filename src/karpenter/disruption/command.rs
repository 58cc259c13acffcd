//! What a pass decides: nodes to remove and what replaces them (`pkg/controllers/disruption/types.go: Command`).

use std::fmt;

use crate::api::karpenter::DisruptionReason;
use crate::cluster::catalogue::Catalogue;
use crate::time::Duration;

use super::candidate::Candidate;
use super::model::{Method, NodeIndex};
use super::replacement::Replacement;

/// A decision to remove nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The method that found it.
    pub method: Method,
    /// Nodes to remove, in the method's order.
    pub candidates: Vec<Candidate>,
    /// NodeClaims to create first; empty = delete.
    pub replacements: Vec<Replacement>,
    /// Existing nodes that the simulation gave pods to, by the caller's ids.
    pub destinations: Vec<u32>,
}

/// What one scheduling simulation found (`helpers.go: SimulateScheduling`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simulation {
    /// A node to be removed is deleting by now.
    pub candidate_deleting: bool,
    /// Why some pod other than a pending one found no place; `None` = all did.
    pub error: Option<String>,
    /// NodeClaims that would be created, for pending pods too.
    pub claims: Vec<Replacement>,
    /// Existing nodes that received real pods.
    pub destinations: Vec<NodeIndex>,
    /// How long the controller computed.
    pub cost: Duration,
}

/// Runs scheduling simulations over one cluster state.
pub trait Simulator {
    /// Places the pods of `removed`, of deleting nodes and the pending ones, without the removed nodes. With the
    /// destination gate, nodes inside their consolidateAfter window take no moving pods.
    fn simulate(&mut self, removed: &[NodeIndex], destination_gate: bool) -> Simulation;
}

/// Why no move was found for a node (texts after upstream's `Unconsolidatable` events).
#[derive(Clone, Debug, PartialEq)]
pub enum Unconsolidatable {
    /// A candidate began to be deleted meanwhile.
    Deleting,
    /// Some pod has no place.
    Unschedulable(String),
    /// More than one new node would be needed.
    SeveralNodes(usize),
    /// The price filter broke `minValues` of a label.
    MinValues(String),
    /// Nothing cheaper fits.
    NoCheaperNode,
    /// Spot nodes are not replaced by spot nodes.
    SpotToSpotDisabled,
    /// Too few cheaper spot types.
    SpotToSpotFlexibility(usize),
    /// Balanced: the saving is not worth the disruption.
    Score(f64),
}

impl fmt::Display for Unconsolidatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unconsolidatable::Deleting => write!(f, "Node is being deleted"),
            Unconsolidatable::Unschedulable(error) => write!(f, "{error}"),
            Unconsolidatable::SeveralNodes(count) => write!(f, "Can't remove without creating {count} candidates"),
            Unconsolidatable::MinValues(key) => write!(f, "Filtering by price: minValues of {key} not met"),
            Unconsolidatable::NoCheaperNode => write!(f, "Can't replace with a cheaper node"),
            Unconsolidatable::SpotToSpotDisabled => {
                write!(f, "SpotToSpotConsolidation is disabled, can't replace a spot node with a spot node")
            }
            Unconsolidatable::SpotToSpotFlexibility(count) => write!(
                f,
                "SpotToSpotConsolidation requires 15 cheaper instance type options than the current candidate to consolidate, got {count}"
            ),
            Unconsolidatable::Score(score) => write!(f, "Balanced score {score:.2} is below 0.50"),
        }
    }
}

impl Command {
    /// `delete` or `replace`.
    #[must_use]
    pub fn decision(&self) -> &'static str {
        if self.replacements.is_empty() { "delete" } else { "replace" }
    }

    /// The caller's ids of the nodes it removes, in its order.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        self.candidates.iter().map(|candidate| candidate.id).collect()
    }

    /// The reason of its method.
    #[must_use]
    pub fn reason(&self) -> DisruptionReason {
        self.method.reason()
    }

    /// Sum of the prices of the nodes it removes, USD per hour.
    #[must_use]
    pub fn source_cost(&self) -> f64 {
        self.candidates.iter().map(|candidate| candidate.price).fold(0.0, |sum, price| sum + price)
    }

    /// Estimated saving, USD per hour: what it removes minus the cheapest price of each replacement's cheapest type
    /// (`EstimatedSavings`). Which offerings count depends on the version.
    #[must_use]
    pub fn estimated_savings(&self, catalogue: &Catalogue, only_allowed_offerings: bool) -> f64 {
        let mut replacement_cost = 0.0;
        for replacement in &self.replacements {
            let Some(cheapest_type) = replacement.types.first() else { continue };
            let offerings = catalogue.get(*cheapest_type).offerings.iter();
            let usable = offerings.filter(|o| o.available && (!only_allowed_offerings || replacement.allows(o)));
            let price = usable.map(|offering| offering.price).fold(f64::INFINITY, f64::min);
            if price.is_finite() {
                replacement_cost += price;
            }
        }
        self.source_cost() - replacement_cost
    }
}
