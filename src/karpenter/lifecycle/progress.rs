//! How far a NodeClaim has come (`nodeclaim/lifecycle/registration.go, initialization.go, liveness.go`).

use super::launch::LAUNCH_TIMEOUT;
use super::taints;
use crate::api::pod::Taint;
use crate::time::{Duration, Time};
use crate::units::{Resource, Resources};

/// Time after which a NodeClaim whose Node did not join is deleted (`liveness.go: registrationTimeout`).
pub const REGISTRATION_TIMEOUT: Duration = Duration::from_mins(15);

/// A Node as initialization sees it.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    /// Ready condition.
    pub ready: bool,
    /// Taints.
    pub taints: &'a [Taint],
    /// Allocatable.
    pub allocatable: &'a Resources,
}

/// Why a NodeClaim is not initialized: upstream's condition reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInitialized {
    /// The Node is not Ready.
    NodeNotReady,
    /// A startup taint is still there.
    StartupTaintsExist,
    /// A taint of starting nodes is still there.
    KnownEphemeralTaintsExist,
    /// A requested resource is not there yet (device plugin).
    ResourceNotRegistered(Resource),
}

impl NotInitialized {
    /// Reason of condition Initialized=Unknown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NotInitialized::NodeNotReady => "NodeNotReady",
            NotInitialized::StartupTaintsExist => "StartupTaintsExist",
            NotInitialized::KnownEphemeralTaintsExist => "KnownEphemeralTaintsExist",
            NotInitialized::ResourceNotRegistered(_) => "ResourceNotRegistered",
        }
    }
}

/// Whether a registered NodeClaim is initialized.
///
/// # Errors
/// The first thing it waits for.
pub fn initialization(
    node: &NodeView<'_>,
    startup_taints: &[Taint],
    requests: &Resources,
) -> Result<(), NotInitialized> {
    if !node.ready {
        return Err(NotInitialized::NodeNotReady);
    }
    if startup_taints.iter().any(|startup| node.taints.iter().any(|taint| taints::matches(startup, taint))) {
        return Err(NotInitialized::StartupTaintsExist);
    }
    if node.taints.iter().any(taints::is_known_ephemeral) {
        return Err(NotInitialized::KnownEphemeralTaintsExist);
    }
    let missing = |resource: &Resource| requests.get(*resource) != 0 && node.allocatable.get(*resource) == 0;
    Resource::ALL
        .into_iter()
        .find(missing)
        .map_or(Ok(()), |resource| Err(NotInitialized::ResourceNotRegistered(resource)))
}

/// Taints of a Node once it is registered: those of the NodeClaim and its startup taints are added, the mark of
/// unregistered nodes goes (`registration.go: syncNode`).
#[must_use]
pub fn registered_taints(node: &[Taint], claim: &[Taint], startup: &[Taint], do_not_sync: bool) -> Vec<Taint> {
    let mut merged = node.to_vec();
    if !do_not_sync {
        taints::merge(&mut merged, claim);
        taints::merge(&mut merged, startup);
    }
    merged.retain(|taint| !taints::matches(taint, &taints::unregistered()));
    merged
}

/// What the liveness check of a NodeClaim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is registered.
    Alive,
    /// Look again at that time.
    CheckAt(Time),
    /// Delete it: the launch took too long.
    LaunchTimeout,
    /// Delete it: its Node did not join.
    RegistrationTimeout,
}

/// Checks a NodeClaim created at `created`. Initialization has no timeout.
#[must_use]
pub fn liveness(created: Time, launched: bool, registered: bool, now: Time) -> Liveness {
    let limit = if launched { REGISTRATION_TIMEOUT } else { LAUNCH_TIMEOUT };
    if registered {
        Liveness::Alive
    } else if now < created + limit {
        Liveness::CheckAt(created + limit)
    } else if launched {
        Liveness::RegistrationTimeout
    } else {
        Liveness::LaunchTimeout
    }
}
