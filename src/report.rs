//! What people look at: the end screen, charts, CSV and JSON.

pub mod chart;
pub mod comparisons;
pub mod diff;
pub mod effects;
pub mod files;
pub mod numbers;
pub mod objectives;
pub mod patch;
pub mod points;
pub mod replications;
#[cfg(test)]
mod sample;
pub mod screen;
pub mod summary;
pub mod tables;
pub mod timeline;
pub mod tuning;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const DOCS: &str = concat!(include_str!("../docs/output.md"), include_str!("../docs/blame.md"));

    /// Keys of all objects whose keys are names of fields.
    fn keys(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    found.push(key.clone());
                    if !["ended", "removed"].contains(&key.as_str()) {
                        keys(value, found);
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_key_and_column_is_documented() -> Result<(), serde_json::Error> {
        let objectives =
            crate::scenario::objectives::Objectives { max_pods: Some(10), ..crate::api::decode::defaults() };
        let outcome = sample::outcome();
        let summary = summary::summarize(&outcome, &objectives);
        let mut names = Vec::new();
        keys(&serde_json::to_value(&summary)?, &mut names);
        let mut timeline = Vec::new();
        assert!(timeline::write(&outcome, &mut timeline).is_ok());
        let header = String::from_utf8_lossy(&timeline).lines().next().unwrap_or_default().to_owned();
        names.extend(header.split(',').map(str::to_owned));
        let columns = tables::DECISION_COLUMNS.iter().chain(&tables::NODE_COLUMNS).chain(&tables::POD_COLUMNS);
        let columns = columns.chain(&tables::BLAME_COLUMNS);
        names.extend(columns.map(|column| (*column).to_owned()));
        names.extend(crate::study::measures::MEASURES.iter().map(|measure| measure.name.to_owned()));
        names.extend(crate::telemetry::Factor::ALL.map(|factor| factor.key().to_owned()));
        assert!(names.len() > 150, "only {} names", names.len());
        for name in names {
            assert!(DOCS.contains(&format!("`{name}`")), "docs/output.md and docs/blame.md do not mention `{name}`");
        }
        Ok(())
    }
}
