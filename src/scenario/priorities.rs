//! Priorities of Cluster Autoscaler's expander `priority`: what its ConfigMap holds (cluster-autoscaler `expander/priority/priority.go`).

use regex::Regex;

use super::yaml;
use crate::api::decode::{Decode, Problems};
use crate::api::tree::Node;

/// Name of the ConfigMap (`PriorityConfigMapName`).
pub const CONFIG_MAP: &str = "cluster-autoscaler-priority-expander";
/// Its key (`ConfigMapKey`).
pub const CONFIG_MAP_KEY: &str = "priorities";

/// Patterns of names of groups, by priority.
#[derive(Clone, Debug)]
pub struct Priorities {
    text: String,
    rules: Vec<(i64, Vec<Regex>)>,
}

impl PartialEq for Priorities {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Priorities {
    /// Reads priorities, each with a list of patterns (`parsePrioritiesYAMLString`).
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut problems = Problems::default();
        let documents = yaml::parse(text, 0, &mut problems);
        if let Some(problem) = problems.list.first() {
            return Err(problem.message.clone());
        }
        let entries = documents.first().and_then(Node::entries).filter(|entries| !entries.is_empty());
        let entries = entries.ok_or("no map of priorities to lists of patterns")?;
        let mut rules: Vec<(i64, Vec<Regex>)> = Vec::new();
        for (key, value) in entries {
            let priority =
                key.name.parse::<i64>().map_err(|_| format!("priority `{}` is no whole number", key.name))?;
            let list = value.items().ok_or_else(|| format!("priority {priority} has no list of patterns"))?;
            let pattern = |item: &Node| {
                let text = item.as_str().ok_or_else(|| format!("a pattern of priority {priority} is no text"))?;
                Regex::new(text).map_err(|error| {
                    let reason = error.to_string();
                    format!(
                        "pattern `{text}`: {}",
                        reason.lines().last().unwrap_or_default().trim_start_matches("error: ")
                    )
                })
            };
            rules.push((priority, list.iter().map(pattern).collect::<Result<_, String>>()?));
        }
        Ok(Priorities { text: text.to_owned(), rules })
    }

    /// The priority of a group: the highest of those with a pattern that matches its name; `None` = it is not used where others
    /// have one. Below -1 none counts (`BestOptions`).
    #[must_use]
    pub fn of(&self, group: &str) -> Option<i64> {
        let matching = self.rules.iter().filter(|(_, patterns)| patterns.iter().any(|pattern| pattern.is_match(group)));
        matching.map(|(priority, _)| *priority).filter(|priority| *priority >= -1).max()
    }

    /// Patterns that match none of the groups.
    pub fn idle<'a>(&'a self, groups: &'a [&str]) -> impl Iterator<Item = &'a str> {
        let patterns = self.rules.iter().flat_map(|(_, patterns)| patterns);
        patterns.filter(|pattern| !groups.iter().any(|group| pattern.is_match(group))).map(Regex::as_str)
    }
}

impl Decode for Priorities {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = String::decode(node, problems)?;
        let parsed = Priorities::parse(&text);
        parsed.map_err(|error| problems.error(node.span, "these priorities cannot be read", error)).ok()
    }
    fn describe() -> String {
        "priorities with lists of patterns, as YAML in a text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration of upstream's tests.
    const CONFIG: &str = "5:\n  - \".*t2\\\\.micro.*\"\n10: \n  - \".*t2\\\\.large.*\"\n  - \".*t3\\\\.large.*\"\n50: \n  - \".*m4\\\\.4xlarge.*\"\n";

    #[test]
    fn a_group_has_the_highest_priority_whose_pattern_is_found_in_its_name() {
        let config = Priorities::parse(CONFIG).expect("priorities");
        let of = |name: &str| config.of(&format!("my-asg.{name}"));
        assert_eq!(
            ["t2.micro", "t2.large", "t3.large", "m4.4xlarge", "t2xlarge"].map(of),
            [Some(5), Some(10), Some(10), Some(50), None]
        );
        let wildcard = Priorities::parse("5:\n  - \".*\"\n10:\n  - \".t2\\\\.large.*\"\n").expect("priorities");
        assert_eq!(["my-asg.t2.large", "my-asg.t2.micro"].map(|name| wildcard.of(name)), [Some(10), Some(5)]);
        let negative = Priorities::parse("-1: [spot]\n-2: [odd]\n0: [t3]\n").expect("priorities");
        assert_eq!(["spot-a", "odd", "a-t3-b"].map(|name| negative.of(name)), [Some(-1), None, Some(0)]);
        assert_eq!(config.idle(&["my-asg.t3.large"]).count(), 3);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| Priorities::parse(text).expect_err("no priorities");
        assert_eq!(error(""), "no map of priorities to lists of patterns");
        assert_eq!(error("high: [a]"), "priority `high` is no whole number");
        assert_eq!(error("10: a"), "priority 10 has no list of patterns");
        assert!(error("10: [\"a(\"]").starts_with("pattern `a(`: unclosed group"), "{}", error("10: [\"a(\"]"));
        assert!(!error("10: [").is_empty());
    }
}
