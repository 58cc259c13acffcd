//! KEDA's formula language (expr-lang), as far as texts of a scenario are written in it.

use std::num::NonZeroUsize;

use pest::error::{ErrorVariant, InputLocation};

use super::keda::Trigger;

/// Rules of its grammar that the parser may try for one formula. Where a bracket can begin several things, each level of nesting
/// multiplies what it tries; formulas that people write take some thousands.
const MOST_PARSER_CALLS: NonZeroUsize = NonZeroUsize::new(1_000_000).expect("above 0");

/// Reads a formula.
///
/// # Errors
/// In one line, when it is no formula or nests too many brackets.
pub fn parse(text: &str) -> Result<expr::Program, String> {
    // Holds for the process, in which nothing else is read by this parser.
    pest::set_call_limit(Some(MOST_PARSER_CALLS));
    expr::compile(text).map_err(|error| match error {
        expr::Error::PestError(error) => not_understood(text, &error),
        error => error.to_string(),
    })
}

/// From where on the parser makes nothing of a text.
fn not_understood<R: pest::RuleType>(text: &str, error: &pest::error::Error<R>) -> String {
    if matches!(error.variant, ErrorVariant::CustomError { .. }) {
        return "the formula nests too many brackets to be read".to_owned();
    }
    let (InputLocation::Pos(at) | InputLocation::Span((at, _))) = error.location;
    match text.get(at..).unwrap_or_default().trim() {
        "" => "the formula breaks off".to_owned(),
        rest => format!("the formula is not understood from `{rest}` on"),
    }
}

/// Reads the formula of `scalingModifiers`, whose result is made a float, and runs it once with −1 for every trigger
/// (`scaledobject_webhook.go: ValidateAndCompileScalingModifiers`).
///
/// # Errors
/// In one line, when it is no formula, or has no value.
pub fn scaling_modifiers(text: &str, triggers: &[Trigger]) -> Result<expr::Program, String> {
    // An error is told in the words of the formula, not of what is made of it.
    parse(text)?;
    let program = parse(&cast_to_float_if_necessary(text))?;
    let mut values = expr::Context::default();
    for trigger in triggers.iter().filter(|trigger| !matches!(trigger.kind.as_str(), "cpu" | "memory")) {
        if let Some(name) = &trigger.name {
            values.insert(name.clone(), -1.0);
        }
    }
    expr::run(&program, &values).map_err(|error| error.to_string())?;
    Ok(program)
}

/// The formula with its result made a float, or left nil (`castToFloatIfNecessary`).
fn cast_to_float_if_necessary(formula: &str) -> String {
    const COMPOSITE: &str = "let _kedaCompositeResult = ";
    if formula.contains("??") {
        if formula.starts_with(COMPOSITE) {
            return formula.to_owned();
        }
        return format!("{COMPOSITE}({formula}); _kedaCompositeResult == nil ? nil : float(_kedaCompositeResult)");
    }
    if formula.starts_with("float(") { formula.to_owned() } else { format!("float({formula})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_formula_is_told_by_its_own_words() {
        let wrong = |text: &str| parse(text).map(|_| ()).expect_err(text);
        assert_eq!(wrong("t +"), "the formula breaks off");
        assert_eq!(wrong("max([t, 1]"), "the formula breaks off");
        assert_eq!(wrong("t 2 * 3"), "the formula is not understood from `2 * 3` on");
        assert_eq!(wrong(&"t[".repeat(25)), "the formula nests too many brackets to be read");
        let wrong = scaling_modifiers("t ) 2", &[]).map(|_| ()).expect_err("it is no formula");
        assert_eq!(wrong, "the formula is not understood from `) 2` on");
    }
}
