//! Node classes: what they say, and what their selectors find.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::karpenter::{
    AmiFamily, AmiSelectorTerm, CapacityReservationSelectorTerm, Ec2NodeClassSpec, SecurityGroupSelectorTerm,
    SubnetSelectorTerm,
};

/// A node class in the cluster.
#[derive(Clone, Debug, Default)]
pub struct NodeClass {
    /// Name.
    pub name: String,
    /// How it stands; `None` = nodes of this class do not drift by their class (KWOK, or no class).
    pub version: Option<Arc<NodeClassVersion>>,
}

/// How an EC2NodeClass stands: what it says, and what its selectors find.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeClassVersion {
    /// Fields of the spec as written, each a list of its elements.
    pub fields: BTreeMap<String, Vec<String>>,
    /// AMI family, written or found.
    pub family: AmiFamily,
    /// New AMIs that its `amiSelectorTerms` have found since the beginning, beside those of the scenario.
    pub new_amis: u32,
    /// Its selectors.
    pub selectors: Arc<Selectors>,
    /// What they found at the last look.
    pub found: Found,
}

/// The selectors of an EC2NodeClass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selectors {
    /// `amiSelectorTerms`.
    pub amis: Vec<AmiSelectorTerm>,
    /// `subnetSelectorTerms`.
    pub subnets: Vec<SubnetSelectorTerm>,
    /// `securityGroupSelectorTerms`.
    pub security_groups: Vec<SecurityGroupSelectorTerm>,
    /// `capacityReservationSelectorTerms`.
    pub reservations: Vec<CapacityReservationSelectorTerm>,
}

/// What the selectors of an EC2NodeClass find (its `status`); `None` = the scenario does not say what there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// AMIs, the latest first: an instance type takes the first that it can run.
    pub amis: Option<Vec<FoundAmi>>,
    /// Subnets, by id.
    pub subnets: Option<Vec<FoundSubnet>>,
    /// Ids of security groups, in order.
    pub security_groups: Option<Vec<String>>,
}

/// An AMI that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundAmi {
    /// Id, or the alias of a release.
    pub id: String,
    /// What it runs on, as the label `kubernetes.io/arch` has it; `None` = everything (a release has an image for each).
    pub architecture: Option<&'static str>,
}

/// A subnet that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundSubnet {
    /// Id.
    pub id: String,
    /// Zone.
    pub zone: String,
}

/// What a NodeClaim was launched with.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchedWith {
    /// Its EC2NodeClass as it stood.
    pub class: Arc<NodeClassVersion>,
    /// Id of its subnet; `None` = it is not known.
    pub subnet: Option<String>,
}

impl Selectors {
    /// Those of a spec.
    #[must_use]
    pub fn of(spec: &Ec2NodeClassSpec) -> Self {
        Selectors {
            amis: spec.ami_selector_terms.clone(),
            subnets: spec.subnet_selector_terms.clone(),
            security_groups: spec.security_group_selector_terms.clone(),
            reservations: spec.capacity_reservation_selector_terms.clone(),
        }
    }
}

impl Found {
    /// The AMI of an instance type of that architecture (`ami.go: MapToInstanceTypes`).
    #[must_use]
    pub fn ami_of(&self, architecture: &str) -> Option<&str> {
        let runs = |ami: &&FoundAmi| ami.architecture.is_none_or(|own| own == architecture);
        self.amis.as_ref()?.iter().find(runs).map(|ami| ami.id.as_str())
    }

    /// Whether there is something of each kind (conditions AMIsReady, SubnetsReady, SecurityGroupsReady).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.amis.as_ref().is_none_or(|amis| !amis.is_empty())
            && self.subnets.as_ref().is_none_or(|subnets| !subnets.is_empty())
            && self.security_groups.as_ref().is_none_or(|groups| !groups.is_empty())
    }

    /// Whether one of the subnets is in the zone.
    #[must_use]
    pub fn reaches(&self, zone: &str) -> bool {
        self.subnets.as_ref().is_none_or(|subnets| subnets.iter().any(|subnet| subnet.zone == zone))
    }
}

impl NodeClass {
    /// Whether it is Ready, as far as its selectors decide that: nothing is launched of a class that is not.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.version.as_ref().is_none_or(|version| version.found.is_complete())
    }
}
