//! `scalingModifiers`: one metric made of all triggers by a formula (`pkg/scaling/modifiers/formula.go`).

use super::fallback::{Health, scaling_modifiers};
use crate::api::formula;
use crate::api::keda::{FallbackBehavior, ScaledObjectSpec};

/// Name of the metric that replaces all others (`CompositeMetricName`).
pub const COMPOSITE_METRIC_NAME: &str = "composite-metric";

/// A formula ready to run.
#[derive(Clone, Debug)]
pub struct Formula {
    program: expr::Program,
}

/// A trigger's value on its way into the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NamedValue<'a> {
    /// The trigger's name.
    pub trigger: &'a str,
    /// Its metric's name.
    pub metric: &'a str,
    /// Value in thousandths.
    pub value_milli: i64,
}

impl Formula {
    /// Compiles the formula and runs it once with −1 for every trigger, as upstream's validation does
    /// (`scaledobject_webhook.go: ValidateAndCompileScalingModifiers`).
    ///
    /// # Errors
    /// When the formula, or the target that it needs, is missing or wrong.
    pub fn compile(spec: &ScaledObjectSpec) -> Result<Option<Self>, String> {
        let Some(modifiers) = scaling_modifiers(spec) else { return Ok(None) };
        let formula = modifiers.formula.as_deref().filter(|formula| !formula.is_empty());
        let formula = formula.ok_or("error ScalingModifiers.Formula is mandatory")?;
        let target = modifiers.target.as_deref().filter(|target| !target.is_empty());
        let target = target.ok_or("formula is given but target is empty")?;
        if target.parse::<f64>().ok().is_none_or(|target| target <= 0.0 || !target.is_finite()) {
            return Err("error converting target for scalingModifiers (string->float) to valid target".to_owned());
        }
        Ok(Some(Formula { program: formula::scaling_modifiers(formula, &spec.triggers)? }))
    }

    /// The composite value in thousandths, cut towards zero and not bounded below (`calculateScalingModifiersFormula`).
    ///
    /// # Errors
    /// When the formula cannot be evaluated with these values.
    pub fn evaluate(&self, spec: &ScaledObjectSpec, health: &Health, values: &[NamedValue<'_>]) -> Result<i64, String> {
        let mut context = expr::Context::default();
        for value in values {
            context.insert(value.trigger.to_owned(), trigger_value(spec, health, value));
        }
        let result = expr::run(&self.program, &context).map_err(|error| error.to_string())?;
        let composite = match result {
            expr::Value::Nil => fallback_target(spec)?,
            expr::Value::Float(value) => value,
            other => return Err(format!("formula returned non-float result ({other})")),
        };
        Ok((composite * 1000.0) as i64)
    }
}

/// The value, or nil once the trigger has failed too often under `behavior: scalingModifiers` (`scalingModifierTriggerValue`).
#[must_use]
pub fn trigger_value(spec: &ScaledObjectSpec, health: &Health, value: &NamedValue<'_>) -> expr::Value {
    let fallback = spec.fallback.as_ref().filter(|fallback| fallback.behavior == FallbackBehavior::ScalingModifiers);
    let failed = fallback.is_some_and(|fallback| {
        health.get(value.metric).is_some_and(|failures| *failures > fallback.failure_threshold)
    });
    if failed { expr::Value::Nil } else { expr::Value::Float(value.value_milli as f64 / 1000.0) }
}

/// What a formula that evaluates to nil stands for (`scalingModifiersFallbackTarget`).
fn fallback_target(spec: &ScaledObjectSpec) -> Result<f64, String> {
    let missing = "scalingModifiers formula evaluated to nil but no fallback is configured";
    let fallback = spec.fallback.as_ref().ok_or(missing)?;
    let target = scaling_modifiers(spec).and_then(|modifiers| modifiers.target.as_deref()).unwrap_or_default();
    let target: f64 = target.parse().map_err(|_| format!("target {target:?} is not a valid float"))?;
    Ok(f64::from(fallback.replicas) * target)
}
