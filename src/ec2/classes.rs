//! Which provider makes the nodes of a node class.

use crate::cluster::ids::NodeClassId;
use crate::scenario::Scenario;
use crate::scenario::cloud::Provider;
use crate::time::Duration;

/// Where nodes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeSource {
    /// EC2.
    Aws,
    /// Karpenter's KWOK provider.
    Kwok {
        /// From launch to the Node object.
        registration_delay: Duration,
    },
}

/// The source of a class's nodes. Class 0 stands for pools that name no class; the scenario's KWOKNodeClasses follow, then its
/// EC2NodeClasses, each in the order of the scenario.
#[must_use]
pub fn source(scenario: &Scenario, class: NodeClassId) -> NodeSource {
    let kwok = &scenario.kwok_node_classes;
    match class.index().checked_sub(1) {
        Some(number) if number < kwok.len() => {
            NodeSource::Kwok { registration_delay: kwok[number].spec.node_registration_delay.0 }
        }
        Some(_) => NodeSource::Aws,
        None if scenario.provider() == Provider::Kwok => NodeSource::Kwok { registration_delay: Duration::ZERO },
        None => NodeSource::Aws,
    }
}
