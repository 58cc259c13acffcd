//! One whole pass over one HPA (`horizontal.go: reconcileAutoscaler`).

use super::history::History;
use super::metrics::{Metric, Reading, compute_replicas_for_metrics};
use super::normalize::{Bounds, Rules, normalize_desired_replicas, normalize_desired_replicas_with_behaviors};
use super::replica_calculator::Counts;
use super::settings::{Settings, Tolerances};
use super::status::{Condition, Reason, Status};
use crate::api::hpa::HpaSpec;
use crate::time::Time;

/// The spec of an HPA with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// `minReplicas`.
    pub min: i32,
    /// `maxReplicas`.
    pub max: i32,
    /// Metrics in the order of the spec.
    pub metrics: Vec<Metric>,
    /// `behavior`; `None` = the legacy path.
    pub rules: Option<Rules>,
}

impl Autoscaler {
    /// The autoscaler of a manifest.
    #[must_use]
    pub fn of_spec(spec: &HpaSpec) -> Self {
        let metrics = match spec.metrics.as_slice() {
            [] => vec![Metric::default_cpu()],
            metrics => metrics.iter().map(Metric::of_spec).collect(),
        };
        Autoscaler {
            min: i32::try_from(spec.min_replicas).unwrap_or(i32::MAX),
            max: i32::try_from(spec.max_replicas).unwrap_or(i32::MAX),
            metrics,
            rules: spec.behavior.as_ref().map(Rules::of_behavior),
        }
    }

    /// Tolerances in force (`horizontal.go: tolerancesForHpa`).
    #[must_use]
    pub fn tolerances(&self, settings: &Settings) -> Tolerances {
        let rules = self.rules.as_ref().filter(|_| settings.capabilities.configurable_tolerance);
        Tolerances {
            scale_up: rules.and_then(|rules| rules.scale_up.tolerance).unwrap_or(settings.tolerance),
            scale_down: rules.and_then(|rules| rules.scale_down.tolerance).unwrap_or(settings.tolerance),
            two_sided: settings.capabilities.two_sided_tolerance,
        }
    }

    fn has_object_or_external_metric(&self) -> bool {
        self.metrics.iter().any(Metric::is_object_or_external)
    }
}

/// State of the target's pod selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// It selects this target's pods only.
    #[default]
    Valid,
    /// It is empty or does not parse.
    Invalid,
    /// Its pods belong to another HPA's target too.
    Ambiguous,
}

/// What a pass reads. `readings` are only used by a pass that evaluates metrics ([`evaluates_metrics`]).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Counts of the target.
    pub counts: Counts,
    /// Its selector.
    pub selector: Selector,
    /// One reading per metric of the spec.
    pub readings: Vec<Reading>,
}

/// Why the count is to change, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The target has zero replicas and is left alone.
    Disabled,
    /// The count is above `maxReplicas`.
    AboveMax,
    /// The count is below `minReplicas`.
    BelowMin,
    /// No valid decision: some or all metrics failed.
    NoDecision,
    /// Metrics, stabilization and limits.
    Metrics,
}

/// What a pass decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Replicas wanted.
    pub desired: i32,
    /// Replicas read.
    pub current: i32,
    /// The rule that applied.
    pub rule: Rule,
    /// What the metrics proposed.
    pub proposed: Option<i32>,
    /// The proposal after stabilization.
    pub stabilized: Option<i32>,
    /// Index of the metric that proposed it.
    pub metric: Option<usize>,
    /// The first failure of a metric; a pass may scale on the others all the same.
    pub failure: Option<(Reason, String)>,
}

impl Decision {
    /// Whether the scale has to be written.
    #[must_use]
    pub const fn rescale(&self) -> bool {
        self.desired != self.current
    }

    /// Whether stabilization or limits keep the count below what the metrics propose.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.proposed.is_some_and(|proposed| proposed > self.desired)
    }

    /// Upstream's reason of the event `SuccessfulRescale`.
    #[must_use]
    pub const fn rescale_reason(&self) -> &'static str {
        match self.rule {
            Rule::AboveMax => "Current number of replicas above Spec.MaxReplicas",
            Rule::BelowMin => "Current number of replicas below Spec.MinReplicas",
            Rule::Disabled => "the replica count of the target is zero",
            Rule::NoDecision => "the metrics could not be read",
            Rule::Metrics => match self.proposed {
                Some(proposed) if proposed > self.current => "metric above target",
                Some(proposed) if proposed < self.current => "All metrics below target",
                _ => "within tolerance",
            },
        }
    }
}

/// Whether a pass that reads `spec_replicas` would read metrics at all.
#[must_use]
pub fn evaluates_metrics(autoscaler: &Autoscaler, status: &Status, settings: &Settings, spec_replicas: i32) -> bool {
    if spec_replicas == 0 {
        return can_scale_from_zero(autoscaler, status, settings);
    }
    (autoscaler.min..=autoscaler.max).contains(&spec_replicas)
}

/// Whether an HPA whose target is at zero is evaluated; else it is disabled.
fn can_scale_from_zero(autoscaler: &Autoscaler, status: &Status, settings: &Settings) -> bool {
    let capabilities = settings.capabilities;
    if !capabilities.scale_to_zero {
        return false;
    }
    if !capabilities.scaled_to_zero_condition {
        return autoscaler.min == 0;
    }
    let scaled_to_zero = status.conditions.scaled_to_zero.is_some_and(|condition| condition.status);
    scaled_to_zero && (autoscaler.min != 0 || autoscaler.has_object_or_external_metric())
}

const fn condition(status: bool, reason: Reason) -> Option<Condition> {
    Some(Condition { status, reason })
}

/// Decides, and brings history and status up to the moment before the scale is written. If [`Decision::rescale`] says so the
/// caller writes the scale and then calls [`record_scale`] or [`record_failed_scale`].
pub fn reconcile(
    autoscaler: &Autoscaler,
    settings: &Settings,
    history: &mut History,
    status: &mut Status,
    observed: &Observed,
    now: Time,
) -> Decision {
    let current = observed.counts.spec;
    status.conditions.able_to_scale = condition(true, Reason::SucceededGetScale);
    history.record_initial_recommendation(current, now);
    let mut decision = Decision {
        desired: current,
        current,
        rule: Rule::Metrics,
        proposed: None,
        stabilized: None,
        metric: None,
        failure: None,
    };
    if evaluates_metrics(autoscaler, status, settings, current) {
        evaluate(autoscaler, settings, history, status, observed, now, &mut decision);
    } else {
        status.current_metrics.clear();
        if current == 0 {
            decision.rule = Rule::Disabled;
            status.conditions.scaling_active = condition(false, Reason::ScalingDisabled);
        } else if current > autoscaler.max {
            decision.rule = Rule::AboveMax;
            decision.desired = autoscaler.max;
        } else {
            decision.rule = Rule::BelowMin;
            decision.desired = autoscaler.min;
        }
    }
    status.current_replicas = current;
    if decision.rule != Rule::NoDecision && !decision.rescale() {
        status.desired_replicas = decision.desired;
    }
    decision
}

/// The part of a pass that reads metrics.
fn evaluate(
    autoscaler: &Autoscaler,
    settings: &Settings,
    history: &mut History,
    status: &mut Status,
    observed: &Observed,
    now: Time,
    decision: &mut Decision,
) {
    let selector_failure = match observed.selector {
        Selector::Valid => None,
        Selector::Invalid => Some((Reason::InvalidSelector, "the selector is empty or does not parse")),
        Selector::Ambiguous => Some((Reason::AmbiguousSelector, "pods are selected by another HPA's target too")),
    };
    if let Some((reason, text)) = selector_failure {
        decision.rule = Rule::NoDecision;
        decision.failure = Some((reason, text.to_owned()));
        status.conditions.scaling_active = condition(false, reason);
        status.current_metrics.clear();
        return;
    }
    let counts = observed.counts;
    let tolerances = autoscaler.tolerances(settings);
    let computed =
        compute_replicas_for_metrics(&autoscaler.metrics, &observed.readings, counts, tolerances, settings, now);
    decision.metric = computed.metric;
    decision.failure = computed.failure;
    status.current_metrics = computed.values;
    let Some(proposed) = computed.replicas else {
        decision.rule = Rule::NoDecision;
        if let Some((reason, _)) = decision.failure {
            status.conditions.scaling_active = condition(false, reason);
        }
        return;
    };
    status.conditions.scaling_active = condition(true, Reason::ValidMetricFound);
    let proposed = proposed.max(0);
    let bounds = Bounds { min: autoscaler.min, max: autoscaler.max, current: counts.spec };
    let normalized = match &autoscaler.rules {
        None => normalize_desired_replicas(settings, history, bounds, proposed, now),
        Some(rules) => normalize_desired_replicas_with_behaviors(settings, rules, history, bounds, proposed, now),
    };
    decision.desired = normalized.desired;
    decision.proposed = Some(proposed);
    decision.stabilized = Some(normalized.stabilized);
    status.conditions.able_to_scale = Some(normalized.able_to_scale);
    status.conditions.scaling_limited = Some(normalized.scaling_limited);
}

/// After the scale was written: remembers the event if there is a `behavior`, and completes the status. `now` is the time after
/// the write.
pub fn record_scale(
    autoscaler: &Autoscaler,
    settings: &Settings,
    history: &mut History,
    status: &mut Status,
    decision: &Decision,
    now: Time,
) {
    if let Some(rules) = &autoscaler.rules {
        let directions = (&rules.scale_up, &rules.scale_down);
        history.store_scale_event(directions, decision.current, decision.desired, now);
    }
    status.conditions.able_to_scale = condition(true, Reason::SucceededRescale);
    if settings.capabilities.scale_to_zero && settings.capabilities.scaled_to_zero_condition {
        let to_zero = decision.current > 0
            && decision.desired == 0
            && autoscaler.min == 0
            && autoscaler.has_object_or_external_metric();
        let reason = if to_zero { Reason::ScaledToZero } else { Reason::NotScaledToZero };
        status.conditions.scaled_to_zero = condition(to_zero, reason);
    }
    status.desired_replicas = decision.desired;
    status.last_scale_time = Some(now);
}

/// After the scale could not be written: the status keeps its previous desired count, nothing is remembered but the raw
/// recommendation.
pub fn record_failed_scale(status: &mut Status) {
    status.conditions.able_to_scale = condition(false, Reason::FailedUpdateScale);
}

/// When the target's scale cannot be read: the pass ends there, nothing else is touched.
pub fn record_failed_get_scale(status: &mut Status) {
    status.conditions.able_to_scale = condition(false, Reason::FailedGetScale);
}
