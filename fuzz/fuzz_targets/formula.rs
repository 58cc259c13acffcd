//! Formulas of `scalingModifiers`, as far as validation lets them through: read, and evaluated with several values.
#![no_main]

use std::collections::BTreeMap;

use forescale::keda::formula::{Formula, NamedValue};
use forescale::scenario::Options;
use forescale::scenario::load::load_texts;

const SCENARIO: &str = r#"
[[queues]]
name = "work"
[[consumers]]
deployment = "worker"
queue = "work"
processing = "1s"
[[deployments]]
metadata = { name = "worker" }
spec = { replicas = 0, selector = { matchLabels = { app = "worker" } }, template = { metadata = { labels = { app = "worker" } }, spec = { containers = [{ name = "c", image = "worker:1", resources = { requests = { cpu = "1", memory = "64Mi" } } }] } } }
[[nodeGroups]]
name = "fixed"
capacity = { cpu = "29", memory = "64Gi", pods = 110 }
[[scaledObjects]]
metadata = { name = "worker" }
[scaledObjects.spec]
scaleTargetRef = { name = "worker" }
triggers = [{ type = "aws-sqs-queue", name = "t", metadata = { queueURL = "https://sqs.us-east-1.amazonaws.com/123456789012/work", awsRegion = "us-east-1", queueLength = "5" } }]
[scaledObjects.spec.advanced.scalingModifiers]
target = "1"
"#;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let scenario = format!("{SCENARIO}formula = {text:?}\n");
    let texts = BTreeMap::from([("scenario.toml".to_owned(), scenario)]);
    let Ok(loaded) = load_texts("scenario.toml", texts, &Options::default()) else { return };
    let spec = &loaded.scenario.scaled_objects[0].spec;
    let Ok(Some(formula)) = Formula::compile(spec) else { return };
    for value_milli in [0, 1500, i64::MAX] {
        let value = NamedValue { trigger: "t".to_owned(), metric: "s0".to_owned(), value_milli };
        // What cannot be evaluated is an error of the HPA, as upstream.
        let _error = formula.evaluate(spec, &Default::default(), &[value]).is_err();
    }
});
