//! What a poll writes to the target (`pkg/scaling/executor/scale_scaledobjects.go: RequestScale`).

use super::annotations::Annotations;
use crate::api::keda::ScaledObjectSpec;
use crate::cluster::Rule;
use crate::time::{Duration, Time};

/// What the executor is given.
#[derive(Clone, Copy, Debug)]
pub struct ScaleRequest<'a> {
    /// Spec.
    pub spec: &'a ScaledObjectSpec,
    /// Annotations.
    pub annotations: Annotations,
    /// Whether any trigger is active.
    pub active: bool,
    /// Whether any trigger failed.
    pub error: bool,
    /// The target's `spec.replicas`.
    pub replicas: u32,
    /// `status.lastActiveTime`, a whole second.
    pub last_active: Option<Time>,
    /// `creationTimestamp`, a whole second.
    pub created: Time,
    /// Whether `initialCooldownPeriod` counts.
    pub initial_cooldown: bool,
    /// Whether only the last replica (or the minimum, where an idle count is set) is taken away.
    pub zero_from_one_only: bool,
    /// Now.
    pub now: Time,
}

/// Rows of the executor's decision, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// Paused by annotation: nothing.
    Paused,
    /// Active, and at zero (or, with `idleReplicaCount`, below the minimum): up to the minimum, at least 1.
    ScaleFromZeroOrIdle,
    /// The same, prevented by `paused-scale-out`.
    ScaleOutPaused,
    /// Active, but some triggers failed: nothing, and the cooldown keeps running.
    PartialError,
    /// Active: nothing; the cooldown starts anew.
    Active,
    /// Inactive by error with a fallback other than 0: hold.
    HoldForFallback,
    /// Inactive by error without fallback: hold.
    TriggerError,
    /// Inactive and cooled down: to zero or idle.
    ScaleToZeroOrIdle,
    /// The same, still cooling down.
    Cooldown,
    /// The same, prevented by `paused-scale-in`.
    ScaleInPaused,
    /// The same, left to the HPA until one replica is there.
    NotTheLast,
    /// Inactive below the minimum: to the minimum.
    ScaleToMinimum,
    /// Inactive: nothing.
    Inactive,
}

impl Row {
    /// Upstream's word for it: condition reason, log line or annotation.
    #[must_use]
    pub const fn rule(self) -> Rule {
        match self {
            Row::Paused => Rule::ScaledObjectPaused,
            Row::ScaleFromZeroOrIdle => Rule::ScaleTargetActivated,
            Row::ScaleOutPaused => Rule::PausedScaleOut,
            Row::PartialError => Rule::PartialTriggerError,
            Row::Active => Rule::ScalerActive,
            Row::HoldForFallback => Rule::Fallback,
            Row::TriggerError => Rule::TriggerError,
            Row::ScaleToZeroOrIdle => Rule::ScaleTargetDeactivated,
            Row::Cooldown => Rule::ScalerCooldown,
            Row::ScaleInPaused => Rule::PausedScaleIn,
            Row::NotTheLast => Rule::ZeroFromOneOnly,
            Row::ScaleToMinimum => Rule::MinReplicaCount,
            Row::Inactive => Rule::ScalerNotActive,
        }
    }
}

/// Reason of the ScaledObject's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// True.
    True,
    /// Unknown, PartialTriggerError.
    PartialTriggerError,
    /// False, TriggerError.
    TriggerError,
}

/// What the executor decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleResult {
    /// The row that applied.
    pub row: Row,
    /// Count to write, if any.
    pub scale_to: Option<u32>,
    /// Whether `lastActiveTime` becomes now; with `scale_to` only if the write succeeds.
    pub refresh_last_active: bool,
    /// Ready condition.
    pub ready: Ready,
    /// Active condition: True.
    pub active: bool,
}

/// First matching row wins.
#[must_use]
pub fn request_scale(request: &ScaleRequest<'_>) -> ScaleResult {
    let on = request.active || request.annotations.force_activation;
    let row = decide(request, on);
    let minimum = request.spec.min_replica_count.unwrap_or(0);
    ScaleResult {
        row,
        scale_to: match row {
            Row::ScaleFromZeroOrIdle => Some(minimum.max(1)),
            Row::ScaleToZeroOrIdle => Some(request.spec.idle_replica_count.unwrap_or(minimum)),
            Row::ScaleToMinimum => Some(minimum),
            _ => None,
        },
        refresh_last_active: matches!(row, Row::ScaleFromZeroOrIdle | Row::Active),
        ready: match row {
            Row::PartialError => Ready::PartialTriggerError,
            Row::TriggerError => Ready::TriggerError,
            _ => Ready::True,
        },
        active: on && row != Row::Paused,
    }
}

fn decide(request: &ScaleRequest<'_>, on: bool) -> Row {
    let spec = request.spec;
    let replicas = request.replicas;
    let minimum = spec.min_replica_count.unwrap_or(0);
    if request.annotations.paused {
        return Row::Paused;
    }
    if on {
        return if replicas == 0 || (spec.idle_replica_count.is_some() && replicas < minimum) {
            if request.annotations.paused_scale_out { Row::ScaleOutPaused } else { Row::ScaleFromZeroOrIdle }
        } else if request.error {
            Row::PartialError
        } else {
            Row::Active
        };
    }
    if request.error {
        match &spec.fallback {
            Some(fallback) if fallback.replicas != 0 => return Row::HoldForFallback,
            None => return Row::TriggerError,
            Some(_) => {}
        }
    }
    if spec.idle_replica_count.is_some_and(|idle| replicas > idle) || (replicas > 0 && minimum == 0) {
        return if request.annotations.paused_scale_in {
            Row::ScaleInPaused
        } else if !is_cooled_down(request) {
            Row::Cooldown
        } else if request.zero_from_one_only && replicas > minimum.max(1) {
            Row::NotTheLast
        } else {
            Row::ScaleToZeroOrIdle
        };
    }
    if spec.idle_replica_count.is_none() && replicas < minimum { Row::ScaleToMinimum } else { Row::Inactive }
}

/// The cooldown counts from the last active poll; before there was one, `initialCooldownPeriod` counts from the creation. Both
/// strictly (`scaleToZeroOrIdle`).
fn is_cooled_down(request: &ScaleRequest<'_>) -> bool {
    match request.last_active {
        Some(at) => at + request.spec.cooldown_period.duration() < request.now,
        None => {
            let initial = request.spec.initial_cooldown_period.duration();
            let initial = if request.initial_cooldown { initial } else { Duration::ZERO };
            request.created + initial < request.now
        }
    }
}
