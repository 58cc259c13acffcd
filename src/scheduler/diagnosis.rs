//! Why a pod could not be scheduled: which plugins rejected how many nodes.

use std::fmt;

use crate::cluster::storage::ClaimFault;

use super::filter::{Plugin, Plugins};

/// What one failed attempt found. Its text is the message of the pod's `PodScheduled=False` condition; a new text is a pod event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// Nodes looked at.
    pub nodes: usize,
    /// Reasons with the number of nodes, in order of the text.
    pub reasons: Vec<(Reason, u32)>,
    /// Who rejected the pod: only events that one of them registered for wake it.
    pub plugins: Plugins,
    /// Whether removing pods from some node could help.
    pub resolvable: bool,
}

/// Why a node is not for a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Too little of a resource, by its manifest name.
    Insufficient(&'static str),
    /// More pods than the node takes.
    TooManyPods,
    /// Another plugin's rejection.
    Rejected(Plugin),
    /// A taint, by its key.
    Taint(String),
    /// A claim of storage that cannot be used.
    Claim(ClaimFault),
}

impl Diagnosis {
    /// No node comes into question for a claim that cannot be used.
    #[must_use]
    pub fn of_claims(nodes: usize, fault: &ClaimFault) -> Diagnosis {
        let reasons = vec![(Reason::Claim(fault.clone()), nodes as u32)];
        Diagnosis { nodes, reasons, plugins: Plugins::NONE.with(Plugin::VolumeBinding), resolvable: false }
    }

    /// Counts nodes.
    pub fn add(&mut self, reason: Reason, nodes: u32) {
        match self.reasons.binary_search_by(|(known, _)| known.cmp(&reason)) {
            Ok(index) => self.reasons[index].1 += nodes,
            Err(index) => self.reasons.insert(index, (reason, nodes)),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Insufficient(resource) => write!(f, "insufficient {resource}"),
            Reason::TooManyPods => write!(f, "too many pods"),
            Reason::Rejected(plugin) => write!(f, "{}", plugin.name()),
            Reason::Taint(key) => write!(f, "untolerated taint {key}"),
            Reason::Claim(fault) => write!(f, "{}", fault.for_scheduler()),
        }
    }
}

/// As in `0/3 nodes: 2 insufficient cpu, 1 untolerated taint node.kubernetes.io/not-ready`.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return write!(f, "no nodes");
        }
        write!(f, "0/{} nodes: ", self.nodes)?;
        for (index, (reason, count)) in self.reasons.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{count} {reason}")?;
        }
        Ok(())
    }
}
