//! What Karpenter makes of the claims of pods (`pkg/controllers/provisioning/scheduling/volumetopology.go`).

use super::scheduling::labels;
use super::scheduling::requirements::Requirements;
use crate::api::pod::{NodeRequirement, NodeSelectorTerm};
use crate::cluster::storage::{Access, ClaimFault};

/// For each volume with a claim where it can be reached: requirements of which one must hold, none = everywhere (`getRequirements`).
#[must_use]
pub fn requirements(accesses: &[Access<'_>]) -> Vec<Vec<Requirements>> {
    let of_volume = |access: &Access<'_>| match access {
        Access::Fault(_) => Vec::new(),
        Access::Bound(volume) => volume.terms.iter().filter_map(|term| of_term(term, volume.of_one_node)).collect(),
        Access::Unbound { class, .. } => class.allowed.iter().filter_map(|term| of_term(term, false)).collect(),
    };
    accesses.iter().map(of_volume).filter(|volume: &Vec<Requirements>| !volume.is_empty()).collect()
}

/// A volume of one node does not hold a pod that moves to that node: it will get another one. Terms without expressions say nothing.
fn of_term(term: &NodeSelectorTerm, of_one_node: bool) -> Option<Requirements> {
    let counts = |expression: &&NodeRequirement| !(of_one_node && expression.key == labels::HOSTNAME);
    let expressions: Vec<NodeRequirement> = term.match_expressions.iter().filter(counts).cloned().collect();
    (!term.match_expressions.is_empty()).then(|| Requirements::of_list(&expressions))
}

/// Whether all claims can be used (`ValidatePersistentVolumeClaims`).
///
/// # Errors
/// Why the first that cannot be used cannot.
pub fn validate(accesses: &[Access<'_>]) -> Result<(), ClaimFault> {
    let fault = accesses.iter().find_map(|access| match access {
        Access::Fault(fault) => Some(fault.clone()),
        _ => None,
    });
    fault.map_or(Ok(()), Err)
}
