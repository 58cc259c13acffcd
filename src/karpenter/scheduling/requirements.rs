//! Requirements on several labels: what a pod asks for, what a claim may become, what an instance type is.

use std::collections::BTreeMap;
use std::fmt;

use super::labels;
use super::requirement::{Effect, Requirement};
use crate::api::meta::Labels;
use crate::api::pod::NodeRequirement;

/// Requirements by label (`pkg/scheduling/requirements.go: Requirements`). A label that is not listed is not constrained.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirements(BTreeMap<String, Requirement>);

/// Which labels the node side may leave open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undefined {
    /// None: a label that is not there fails `In`, `Exists` and the bounds (existing nodes, node filters).
    Denied,
    /// The well-known ones, which an instance type will define (claims).
    WellKnownAllowed,
}

impl Requirements {
    /// No requirement.
    #[must_use]
    pub fn new() -> Self {
        Requirements::default()
    }

    /// Of labels with known values (`NewLabelRequirements`).
    #[must_use]
    pub fn of_labels(labels: &Labels) -> Self {
        let mut requirements = Requirements::new();
        for (key, value) in labels {
            requirements.add(key, Requirement::is(value));
        }
        requirements
    }

    /// Of an object's list of requirements (`NewNodeSelectorRequirementsWithMinValues`).
    #[must_use]
    pub fn of_list(list: &[NodeRequirement]) -> Self {
        let mut requirements = Requirements::new();
        for item in list {
            requirements.add(&item.key, Requirement::new(item.operator, &item.values, item.min_values));
        }
        requirements
    }

    /// Narrows the label `key` (`Requirements.Add`). Aliased labels count as the label they stand for.
    pub fn add(&mut self, key: &str, requirement: Requirement) {
        let key = labels::normalized(key);
        match self.0.get_mut(key) {
            Some(existing) => *existing = requirement.intersection(existing),
            None => {
                self.0.insert(key.to_owned(), requirement);
            }
        }
    }

    /// Narrows all labels of `other`.
    pub fn add_all(&mut self, other: &Requirements) {
        for (key, requirement) in &other.0 {
            self.add(key, requirement.clone());
        }
    }

    /// The same with `key` replaced.
    pub fn set(&mut self, key: &str, requirement: Requirement) {
        self.0.insert(key.to_owned(), requirement);
    }

    /// Forgets a label; returns what was required of it.
    pub fn remove(&mut self, key: &str) -> Option<Requirement> {
        self.0.remove(key)
    }

    /// What is required of a label, if anything.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Requirement> {
        self.0.get(key)
    }

    /// All labels in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Requirement)> {
        self.0.iter().map(|(key, requirement)| (key.as_str(), requirement))
    }

    /// Whether a label has a `minValues` floor.
    #[must_use]
    pub fn has_min_values(&self) -> bool {
        self.0.values().any(|requirement| requirement.min_values.is_some())
    }

    /// Whether the node side `self` can satisfy the pod side (`Requirements.Compatible`); the first label that can't otherwise.
    ///
    /// # Errors
    /// The label that is undefined or does not intersect.
    pub fn compatible<'a>(&self, pod: &'a Requirements, undefined: Undefined) -> Result<(), &'a str> {
        for (key, requirement) in &pod.0 {
            let open = undefined == Undefined::WellKnownAllowed && labels::is_well_known(key);
            if !open && !self.0.contains_key(key) && !requirement.allows_absence() {
                return Err(key);
            }
        }
        self.intersect(pod)
    }

    /// Whether all common labels intersect (`Requirements.Intersects`).
    ///
    /// # Errors
    /// The first label that does not.
    pub fn intersect<'a>(&self, other: &'a Requirements) -> Result<(), &'a str> {
        for (key, incoming) in &other.0 {
            if let Some(existing) = self.0.get(key)
                && !existing.intersects(incoming)
                && !(incoming.allows_absence() && existing.allows_absence())
            {
                return Err(key);
            }
        }
        Ok(())
    }

    /// Whether the other's labels do not intersect (`scheduling/requirements.go: Intersects`) and never will, however these
    /// requirements narrow: labels that exist here for pods that want them absent (or with none of some values) may come to lack a
    /// value, which upstream takes for absent.
    pub(super) fn conflicts_for_good(&self, other: &Requirements) -> bool {
        other.0.iter().any(|(key, incoming)| {
            self.0.get(key).is_some_and(|existing| {
                !existing.intersects(incoming)
                    && !(incoming.allows_absence()
                        && (existing.allows_absence() || existing.effect() == Effect::Exists))
            })
        })
    }
}

impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, requirement)) in self.0.iter().enumerate() {
            write!(f, "{}{key} {requirement}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pod::NodeOperator;

    fn of(key: &str, operator: NodeOperator, values: &[&str]) -> Requirements {
        let mut requirements = Requirements::new();
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        requirements.add(key, Requirement::new(operator, &values, None));
        requirements
    }

    #[test]
    fn undefined_labels_are_denied_unless_well_known_or_negative() {
        let nothing = Requirements::new();
        for (operator, custom, zone_on_node) in [
            (NodeOperator::In, false, false),
            (NodeOperator::Exists, false, false),
            (NodeOperator::Gt, false, false),
            (NodeOperator::NotIn, true, true),
            (NodeOperator::DoesNotExist, true, true),
        ] {
            let pod = of("team", operator, &["1"]);
            assert_eq!(nothing.compatible(&pod, Undefined::WellKnownAllowed).is_ok(), custom, "{pod}");
            let pod = of(labels::ZONE, operator, &["1"]);
            assert!(nothing.compatible(&pod, Undefined::WellKnownAllowed).is_ok());
            assert_eq!(nothing.compatible(&pod, Undefined::Denied).is_ok(), zone_on_node, "{pod}");
        }
    }

    #[test]
    fn two_negatives_are_compatible_and_aliases_are_normalised() {
        let none = of("team", NodeOperator::DoesNotExist, &[]);
        assert!(none.compatible(&of("team", NodeOperator::NotIn, &["a"]), Undefined::Denied).is_ok());
        assert_eq!(none.compatible(&of("team", NodeOperator::Exists, &[]), Undefined::Denied), Err("team"));
        let alias = of("beta.kubernetes.io/arch", NodeOperator::In, &["arm64"]);
        assert!(alias.get(labels::ARCH).is_some_and(|r| r.has("arm64")));
    }
}
