//! Formulas of `scalingModifiers`, as far as validation lets them through: read, and evaluated with several values.
#![no_main]

use std::collections::BTreeMap;

use forescale::keda::formula::{Formula, NamedValue};
use forescale::scenario::Options;
use forescale::scenario::load::load_texts;

const SCENARIO: &str = include_str!("../../tests/data/limits/formula.toml");

libfuzzer_sys::fuzz_target!(|text: &str| {
    let scenario = format!("{SCENARIO}formula = {text:?}\n");
    let texts = BTreeMap::from([("scenario.toml".to_owned(), scenario)]);
    let Ok(loaded) = load_texts("scenario.toml", texts, &Options::default()) else { return };
    let spec = &loaded.scenario.scaled_objects[0].spec;
    let Ok(Some(formula)) = Formula::compile(spec) else { return };
    for value_milli in [0, 1500, i64::MAX] {
        let value = NamedValue { trigger: "t", metric: "s0", value_milli };
        // What cannot be evaluated is an error of the HPA, as upstream.
        let _error = formula.evaluate(spec, &Default::default(), &[value]).is_err();
    }
});
