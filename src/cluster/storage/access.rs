//! What the volumes of a pod ask of its node.

use std::fmt;

use crate::api::pod::NodeSelectorTerm;

use super::objects::{Class, Volume};

/// How a pod gets at one of its volumes.
#[derive(Clone, Debug, PartialEq)]
pub enum Access<'s> {
    /// Not at all.
    Fault(ClaimFault),
    /// Its claim is bound.
    Bound(&'s Volume),
    /// Its claim waits for a node: one that reaches any of these volumes, or where the class may make one.
    Unbound {
        /// Class of the claim.
        class: &'s Class,
        /// Volumes that are there and suit the claim.
        volumes: Vec<&'s Volume>,
    },
}

/// Why a claim cannot be used; claims, volumes and classes by their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimFault {
    /// There is no such claim.
    ClaimNotFound(String),
    /// The claim names a volume that is not there.
    VolumeNotFound(String, String),
    /// The claim is not bound and has no class.
    NoClass(String),
    /// The claim is not bound and its class is not there.
    ClassNotFound(String, String),
    /// The claim should have been bound at once, and no volume suits it.
    NotBound(String),
}

/// Which nodes come into question.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// All.
    Everywhere,
    /// Those of which one of these terms holds.
    Terms(Vec<NodeSelectorTerm>),
}

impl Access<'_> {
    /// Nodes that kube-scheduler may choose (`binder.go: FindPodVolumes`).
    #[must_use]
    pub fn reach(&self) -> Reach {
        match self {
            Access::Fault(_) => Reach::Terms(Vec::new()),
            Access::Bound(volume) => everywhere_or(&volume.terms),
            Access::Unbound { class, volumes } => {
                let made = class.makes.then(|| everywhere_or(&class.allowed));
                let there = volumes.iter().map(|volume| everywhere_or(&volume.terms));
                there.chain(made).fold(Reach::Terms(Vec::new()), either)
            }
        }
    }
}

fn everywhere_or(terms: &[NodeSelectorTerm]) -> Reach {
    if terms.is_empty() { Reach::Everywhere } else { Reach::Terms(terms.to_vec()) }
}

fn either(a: Reach, b: Reach) -> Reach {
    match (a, b) {
        (Reach::Terms(mut a), Reach::Terms(b)) => {
            a.extend(b);
            Reach::Terms(a)
        }
        _ => Reach::Everywhere,
    }
}

impl ClaimFault {
    /// What kube-scheduler says of it (`volume_binding.go: PreFilter`, `Filter`).
    #[must_use]
    pub fn for_scheduler(&self) -> String {
        match self {
            ClaimFault::ClaimNotFound(claim) => format!("persistentvolumeclaim \"{claim}\" not found"),
            ClaimFault::VolumeNotFound(..) => {
                "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)".to_owned()
            }
            ClaimFault::NoClass(_) | ClaimFault::ClassNotFound(..) | ClaimFault::NotBound(_) => {
                "pod has unbound immediate PersistentVolumeClaims".to_owned()
            }
        }
    }
}

/// What Karpenter says of it (`volumetopology.go: ValidatePersistentVolumeClaims`).
impl fmt::Display for ClaimFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimFault::ClaimNotFound(claim) => write!(f, "persistentvolumeclaim \"{claim}\" not found"),
            ClaimFault::VolumeNotFound(claim, volume) => {
                write!(f, "failed to validate pvc {claim}, persistentvolume \"{volume}\" not found")
            }
            ClaimFault::NoClass(claim) => write!(f, "unbound pvc {claim} must define a storage class"),
            ClaimFault::ClassNotFound(claim, class) => {
                write!(f, "failed to validate pvc {claim}, failed to get storage class \"{class}\"")
            }
            ClaimFault::NotBound(claim) => {
                write!(f, "failed to validate pvc {claim}, pvc with immediate volume binding mode must be bound")
            }
        }
    }
}
