//! Object metadata and label selectors.

use std::collections::BTreeMap;

use crate::{choice, object};

/// Labels or annotations, in the order of their keys.
pub type Labels = BTreeMap<String, String>;

object! {
    /// `metadata` of an object.
    pub struct ObjectMeta {
        /// Name, unique per kind and namespace.
        pub name: Option<String>,
        /// Namespace; it has no effect on scaling.
        pub namespace: Option<String>,
        /// Labels.
        pub labels: Labels,
        /// Annotations.
        pub annotations: Labels,
    }
    ignore ["generateName", "creationTimestamp", "finalizers", "ownerReferences", "uid", "resourceVersion", "generation", "managedFields", "selfLink"]
}

object! {
    /// `metav1.LabelSelector`: all parts must hold.
    pub struct LabelSelector {
        /// Labels that must be equal.
        pub match_labels: Labels,
        /// Expressions that must hold.
        pub match_expressions: Vec<LabelExpression>,
    }
}

object! {
    /// One expression of a label selector.
    pub struct LabelExpression {
        /// Label.
        pub key: String,
        /// Operator.
        pub operator: SelectorOperator,
        /// Values, for `In` and `NotIn`.
        pub values: Vec<String>,
    }
}

choice! {
    /// Operator of a label selector.
    pub enum SelectorOperator {
        /// The label has one of the values.
        In = "In",
        /// The label is absent or has none of the values.
        NotIn = "NotIn",
        /// The label is present.
        Exists = "Exists",
        /// The label is absent.
        DoesNotExist = "DoesNotExist",
    }
}

impl LabelSelector {
    /// Whether the labels satisfy the selector. An empty selector matches everything.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.matches(labels))
    }
}

impl LabelExpression {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            SelectorOperator::In => listed,
            SelectorOperator::NotIn => !listed,
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}
