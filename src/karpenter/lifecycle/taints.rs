//! Taints that Karpenter sets, waits for or looks past (`pkg/apis/v1/taints.go`, `pkg/scheduling/taints.go`).

use std::sync::LazyLock;

use crate::api::pod::{Taint, TaintEffect};

/// Key of the taint of a node that is being disrupted or drained.
pub const DISRUPTED: &str = "karpenter.sh/disrupted";
/// Key of the taint of a node that Karpenter has not registered yet.
pub const UNREGISTERED: &str = "karpenter.sh/unregistered";
/// Label of a registered Node.
pub const REGISTERED_LABEL: &str = "karpenter.sh/registered";
/// Label of an initialized Node.
pub const INITIALIZED_LABEL: &str = "karpenter.sh/initialized";
/// Label that tells Karpenter to leave a Node's taints alone.
pub const DO_NOT_SYNC_TAINTS_LABEL: &str = "karpenter.sh/do-not-sync-taints";

/// `karpenter.sh/disrupted:NoSchedule`.
#[must_use]
pub fn disrupted() -> &'static Taint {
    static TAINT: LazyLock<Taint> = LazyLock::new(|| taint(DISRUPTED, TaintEffect::NoSchedule));
    &TAINT
}

/// `karpenter.sh/unregistered:NoExecute`.
#[must_use]
pub fn unregistered() -> Taint {
    taint(UNREGISTERED, TaintEffect::NoExecute)
}

fn taint(key: &str, effect: TaintEffect) -> Taint {
    Taint { key: key.to_owned(), value: String::new(), effect }
}

/// Same key and effect (`Taint.MatchTaint`).
#[must_use]
pub fn matches(a: &Taint, b: &Taint) -> bool {
    a.key == b.key && a.effect == b.effect
}

/// Adds those of `more` that match none (`Taints.Merge`).
pub fn merge(taints: &mut Vec<Taint>, more: &[Taint]) {
    for taint in more {
        if !taints.iter().any(|present| matches(present, taint)) {
            taints.push(taint.clone());
        }
    }
}

/// Taints that a starting node loses by itself (`IsKnownEphemeralTaint`).
#[must_use]
pub fn is_known_ephemeral(taint: &Taint) -> bool {
    let effect = taint.effect;
    match taint.key.as_str() {
        "node.kubernetes.io/not-ready" => matches!(effect, TaintEffect::NoSchedule | TaintEffect::NoExecute),
        "node.kubernetes.io/unreachable" => effect == TaintEffect::NoSchedule,
        "node.cloudprovider.kubernetes.io/uninitialized" => effect == TaintEffect::NoSchedule && taint.value == "true",
        UNREGISTERED => effect == TaintEffect::NoExecute,
        key => key.starts_with("readiness.k8s.io/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_taints_with_their_effects_are_those_of_a_start() {
        let ephemeral = |key: &str, value: &str, effect: TaintEffect| {
            is_known_ephemeral(&Taint { key: key.to_owned(), value: value.to_owned(), effect })
        };
        let (schedule, execute) = (TaintEffect::NoSchedule, TaintEffect::NoExecute);
        assert!(ephemeral("node.kubernetes.io/not-ready", "", schedule));
        assert!(ephemeral("node.kubernetes.io/not-ready", "", execute));
        assert!(!ephemeral("node.kubernetes.io/not-ready", "", TaintEffect::PreferNoSchedule));
        assert!(ephemeral("node.kubernetes.io/unreachable", "", schedule));
        assert!(!ephemeral("node.kubernetes.io/unreachable", "", execute));
        assert!(ephemeral("node.cloudprovider.kubernetes.io/uninitialized", "true", schedule));
        assert!(!ephemeral("node.cloudprovider.kubernetes.io/uninitialized", "", schedule));
        assert!(!ephemeral("node.cloudprovider.kubernetes.io/uninitialized", "true", execute));
        assert!(ephemeral(UNREGISTERED, "", execute) && !ephemeral(UNREGISTERED, "", schedule));
        assert!(ephemeral("readiness.k8s.io/network", "", schedule));
        assert!(!ephemeral("team", "", schedule));
    }
}
