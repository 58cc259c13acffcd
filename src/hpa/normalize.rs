//! From the raw recommendation to the count that is written: stabilization, speed limits, bounds.

use super::history::{History, ScaleEvent, replicas_change_per_period};
use super::settings::Settings;
use super::status::{Condition, Reason};
use crate::api::hpa::{Behavior, ScalingPolicyType, ScalingRules as ApiRules, SelectPolicy};
use crate::time::{Duration, Time};

/// Rules of one direction with the API server's defaults filled in (`HPAScalingRules`).
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingRules {
    /// How far back recommendations count; `None` = the controller's flag.
    pub stabilization_window: Option<Duration>,
    /// Which policy wins.
    pub select: SelectPolicy,
    /// Speed limits.
    pub policies: Vec<Policy>,
    /// Overrides the controller's tolerance in this direction.
    pub tolerance: Option<f64>,
}

/// A speed limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Pods or percent.
    pub kind: ScalingPolicyType,
    /// Pods, or percent of the replicas at the beginning of the period.
    pub value: i32,
    /// Length of the period.
    pub period: Duration,
}

/// `behavior` with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Upwards.
    pub scale_up: ScalingRules,
    /// Downwards.
    pub scale_down: ScalingRules,
}

impl ScalingRules {
    /// 4 pods or 100 % per 15 s, whichever is more, no stabilization
    /// (`pkg/apis/autoscaling/v2/defaults.go: GenerateHPAScaleUpRules`).
    #[must_use]
    pub fn default_scale_up() -> Self {
        let period = Duration::from_secs(15);
        ScalingRules {
            stabilization_window: Some(Duration::ZERO),
            select: SelectPolicy::Max,
            policies: vec![
                Policy { kind: ScalingPolicyType::Pods, value: 4, period },
                Policy { kind: ScalingPolicyType::Percent, value: 100, period },
            ],
            tolerance: None,
        }
    }

    /// 100 % per 15 s, the controller's stabilization window (`GenerateHPAScaleDownRules`).
    #[must_use]
    pub fn default_scale_down() -> Self {
        ScalingRules {
            stabilization_window: None,
            select: SelectPolicy::Max,
            policies: vec![Policy { kind: ScalingPolicyType::Percent, value: 100, period: Duration::from_secs(15) }],
            tolerance: None,
        }
    }

    /// `defaults` with the fields that the manifest gives; a list of policies replaces the default list
    /// (`pkg/apis/autoscaling/v2/defaults.go: copyHPAScalingRules`).
    fn overridden(mut defaults: Self, given: Option<&ApiRules>) -> Self {
        let Some(given) = given else { return defaults };
        if let Some(window) = given.stabilization_window_seconds {
            defaults.stabilization_window = Some(window.duration());
        }
        if let Some(select) = given.select_policy {
            defaults.select = select;
        }
        if let Some(policies) = &given.policies {
            defaults.policies = policies
                .iter()
                .map(|policy| Policy {
                    kind: policy.kind,
                    value: i32::try_from(policy.value).unwrap_or(i32::MAX),
                    period: policy.period_seconds.duration(),
                })
                .collect();
        }
        defaults.tolerance = given.tolerance.map(|tolerance| tolerance.milli as f64 / 1000.0);
        defaults
    }

    /// The longest period of the policies (`horizontal.go: getLongestPolicyPeriod`).
    #[must_use]
    pub fn longest_policy_period(&self) -> Duration {
        self.policies.iter().map(|policy| policy.period).max().unwrap_or(Duration::ZERO)
    }
}

impl Rules {
    /// The rules of a manifest's `behavior`.
    #[must_use]
    pub fn of_behavior(behavior: &Behavior) -> Self {
        Rules {
            scale_up: ScalingRules::overridden(ScalingRules::default_scale_up(), behavior.scale_up.as_ref()),
            scale_down: ScalingRules::overridden(ScalingRules::default_scale_down(), behavior.scale_down.as_ref()),
        }
    }

    /// Both windows (`horizontal.go: maybeInitScaleDownStabilizationWindow`).
    fn windows(&self, settings: &Settings) -> (Duration, Duration) {
        let up = self.scale_up.stabilization_window.unwrap_or(Duration::ZERO);
        (up, self.scale_down.stabilization_window.unwrap_or(settings.downscale_stabilization))
    }
}

/// Bounds and counts of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `minReplicas`.
    pub min: i32,
    /// `maxReplicas`.
    pub max: i32,
    /// The target's `spec.replicas`.
    pub current: i32,
}

/// A normalized recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normalized {
    /// What to write.
    pub desired: i32,
    /// The recommendation after stabilization, before limits.
    pub stabilized: i32,
    /// Condition AbleToScale.
    pub able_to_scale: Condition,
    /// Condition ScalingLimited.
    pub scaling_limited: Condition,
}

fn normalized(stabilized: i32, able_to_scale: Reason, limited: (i32, Reason)) -> Normalized {
    Normalized {
        desired: limited.0,
        stabilized,
        able_to_scale: Condition { status: true, reason: able_to_scale },
        scaling_limited: Condition { status: limited.0 != stabilized, reason: limited.1 },
    }
}

/// Without `behavior` (`horizontal.go: normalizeDesiredReplicas`).
pub fn normalize_desired_replicas(
    settings: &Settings,
    history: &mut History,
    bounds: Bounds,
    desired: i32,
    now: Time,
) -> Normalized {
    let stabilized = stabilize_recommendation(history, desired, settings.downscale_stabilization, now);
    let able = if stabilized == desired { Reason::ReadyForNewScale } else { Reason::ScaleDownStabilized };
    normalized(stabilized, able, convert_desired_replicas_with_rules(settings, bounds, stabilized))
}

/// The largest of the recommendation and the stored ones of the last `window`, which may exceed the current count; the raw
/// recommendation is stored (`horizontal.go: stabilizeRecommendation`).
pub fn stabilize_recommendation(history: &mut History, desired: i32, window: Duration, now: Time) -> i32 {
    let recent = history.recommendations().iter().filter(|old| now.since(old.time) <= window);
    let largest = recent.map(|old| old.replicas).fold(desired, i32::max);
    history.store_recommendation(desired, now, window);
    largest
}

/// Bounds and the legacy speed limit up; there is none down (`horizontal.go: convertDesiredReplicasWithRules`).
#[must_use]
pub fn convert_desired_replicas_with_rules(settings: &Settings, bounds: Bounds, desired: i32) -> (i32, Reason) {
    let limit = calculate_scale_up_limit(settings, bounds.current);
    let (highest, reason) =
        if bounds.max > limit { (limit, Reason::ScaleUpLimit) } else { (bounds.max, Reason::TooManyReplicas) };
    if desired < bounds.min {
        (bounds.min, Reason::TooFewReplicas)
    } else if desired > highest {
        (highest, reason)
    } else {
        (desired, Reason::DesiredWithinRange)
    }
}

/// `horizontal.go: calculateScaleUpLimit`.
fn calculate_scale_up_limit(settings: &Settings, current: i32) -> i32 {
    (settings.scale_up_limit_factor * f64::from(current)).max(settings.scale_up_limit_minimum) as i32
}

/// With `behavior` (`horizontal.go: normalizeDesiredReplicasWithBehaviors`).
pub fn normalize_desired_replicas_with_behaviors(
    settings: &Settings,
    rules: &Rules,
    history: &mut History,
    bounds: Bounds,
    desired: i32,
    now: Time,
) -> Normalized {
    let windows = rules.windows(settings);
    let (stabilized, reason) = stabilize_recommendation_with_behaviors(history, bounds.current, desired, windows, now);
    let able = if stabilized == desired { Reason::ReadyForNewScale } else { reason };
    normalized(stabilized, able, convert_desired_replicas_with_behavior_rate(rules, history, bounds, stabilized, now))
}

/// Holds the current count between the smallest recommendation of the up window and the largest of the down window
/// (`horizontal.go: stabilizeRecommendationWithBehaviors`). `windows` = (up, down).
pub fn stabilize_recommendation_with_behaviors(
    history: &mut History,
    current: i32,
    desired: i32,
    windows: (Duration, Duration),
    now: Time,
) -> (i32, Reason) {
    let (mut up, mut down) = (desired, desired);
    for old in history.recommendations() {
        let age = now.since(old.time);
        if age < windows.0 {
            up = up.min(old.replicas);
        }
        if age < windows.1 {
            down = down.max(old.replicas);
        }
    }
    let stabilized = current.max(up).min(down);
    history.store_recommendation(desired, now, windows.0.max(windows.1));
    let reason = if desired >= current { Reason::ScaleUpStabilized } else { Reason::ScaleDownStabilized };
    (stabilized, reason)
}

/// Speed limits and bounds of a stabilized recommendation (`horizontal.go: convertDesiredReplicasWithBehaviorRate`).
#[must_use]
pub fn convert_desired_replicas_with_behavior_rate(
    rules: &Rules,
    history: &History,
    bounds: Bounds,
    desired: i32,
    now: Time,
) -> (i32, Reason) {
    let events = (history.scale_up_events.as_slice(), history.scale_down_events.as_slice());
    if desired > bounds.current {
        let limit = calculate_scale_up_limit_with_scaling_rules(bounds.current, events, &rules.scale_up, now);
        let limit = limit.max(bounds.current);
        let (highest, reason) =
            if bounds.max > limit { (limit, Reason::ScaleUpLimit) } else { (bounds.max, Reason::TooManyReplicas) };
        if desired > highest {
            return (highest, reason);
        }
    } else if desired < bounds.current {
        let limit = calculate_scale_down_limit_with_behaviors(bounds.current, events, &rules.scale_down, now);
        let limit = limit.min(bounds.current);
        let (lowest, reason) =
            if bounds.min < limit { (limit, Reason::ScaleDownLimit) } else { (bounds.min, Reason::TooFewReplicas) };
        if desired < lowest {
            return (lowest, reason);
        }
    }
    (desired, Reason::DesiredWithinRange)
}

/// Replicas at the beginning of a period that ends now: the current ones without what was done within it.
fn period_start_replicas(current: i32, events: (&[ScaleEvent], &[ScaleEvent]), period: Duration, now: Time) -> i32 {
    let added = replicas_change_per_period(period, events.0, now);
    let deleted = replicas_change_per_period(period, events.1, now);
    current.saturating_sub(added).saturating_add(deleted)
}

/// The highest count allowed now (`horizontal.go: calculateScaleUpLimitWithScalingRules`). `events` = (up, down).
#[must_use]
pub fn calculate_scale_up_limit_with_scaling_rules(
    current: i32,
    events: (&[ScaleEvent], &[ScaleEvent]),
    rules: &ScalingRules,
    now: Time,
) -> i32 {
    let proposals = rules.policies.iter().map(|policy| {
        let base = period_start_replicas(current, events, policy.period, now);
        match policy.kind {
            ScalingPolicyType::Pods => base.saturating_add(policy.value),
            ScalingPolicyType::Percent => (f64::from(base) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
        }
    });
    match rules.select {
        SelectPolicy::Disabled => current,
        SelectPolicy::Min => proposals.min().unwrap_or(i32::MAX),
        SelectPolicy::Max => proposals.max().unwrap_or(i32::MIN),
    }
}

/// The lowest count allowed now (`horizontal.go: calculateScaleDownLimitWithBehaviors`). `events` = (up, down).
#[must_use]
pub fn calculate_scale_down_limit_with_behaviors(
    current: i32,
    events: (&[ScaleEvent], &[ScaleEvent]),
    rules: &ScalingRules,
    now: Time,
) -> i32 {
    let proposals = rules.policies.iter().map(|policy| {
        let base = period_start_replicas(current, events, policy.period, now);
        match policy.kind {
            ScalingPolicyType::Pods => base.saturating_sub(policy.value),
            ScalingPolicyType::Percent => (f64::from(base) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
        }
    });
    match rules.select {
        SelectPolicy::Disabled => current,
        SelectPolicy::Min => proposals.max().unwrap_or(i32::MIN),
        SelectPolicy::Max => proposals.min().unwrap_or(i32::MAX),
    }
}
