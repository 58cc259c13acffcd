//! What no single field can say: names that must exist, bounds that depend on each other, rules of the admission webhooks.

use super::Scenario;
use crate::api::decode::Problems;
use crate::api::tree::{Node, Span};
use crate::units::Resources;

/// An instance type of a region, as far as checks need it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownType {
    /// Name.
    pub name: String,
    /// Labels its nodes carry: key and possible values.
    pub labels: Vec<(String, Vec<String>)>,
    /// What pods may request of a node.
    pub allocatable: Resources,
}

/// What the cloud offers in a region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Regions there are.
    pub regions: Vec<String>,
    /// Zones of the region.
    pub zones: Vec<String>,
    /// Instance types of the region; empty if the region is unknown.
    pub types: Vec<KnownType>,
}

/// Gives what a region offers.
pub type KnownByRegion<'a> = &'a (dyn Fn(&str) -> Known + Sync);

/// Checks a scenario against its tree, which knows the places. `wrong` are the places of problems found so far: objects that hold
/// one of them are not checked further.
pub fn check(
    scenario: &Scenario,
    root: &Node,
    wrong: &[Span],
    known: Option<KnownByRegion<'_>>,
    problems: &mut Problems,
) {
    let _ = (scenario, root, wrong, known, problems);
}
