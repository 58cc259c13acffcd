//! One requirement on a label: a set of values or its complement, with integer bounds.

use std::collections::BTreeSet;
use std::fmt;

use crate::api::pod::NodeOperator;

/// What a label must be (`pkg/scheduling/requirement.go: Requirement`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// Whether `values` are the forbidden ones (`NotIn`, `Exists` and the bounds) and not the allowed ones.
    complement: bool,
    values: BTreeSet<String>,
    at_least: Option<i64>,
    at_most: Option<i64>,
    /// How many distinct values the instance types of a claim must keep; `None` = no floor.
    pub min_values: Option<u32>,
}

/// What a requirement amounts to, bounds aside (`Requirement.Operator`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// One of the values.
    In,
    /// None of the values.
    NotIn,
    /// Any value, within the bounds.
    Exists,
    /// No value.
    DoesNotExist,
}

impl Requirement {
    /// From an operator and its values (`NewRequirementWithFlexibility`). `Gt` and `Lt` become inclusive bounds.
    #[must_use]
    pub fn new(operator: NodeOperator, values: &[String], min_values: Option<u32>) -> Self {
        let mut requirement =
            Requirement { complement: true, values: BTreeSet::new(), at_least: None, at_most: None, min_values };
        let number = || values.first().and_then(|value| value.parse::<i64>().ok()).unwrap_or(0);
        match operator {
            NodeOperator::In => {
                requirement.complement = false;
                requirement.values = values.iter().cloned().collect();
            }
            NodeOperator::DoesNotExist => requirement.complement = false,
            NodeOperator::NotIn => requirement.values = values.iter().cloned().collect(),
            NodeOperator::Exists => {}
            NodeOperator::Gt => match number().checked_add(1) {
                Some(bound) => requirement.at_least = Some(bound),
                None => requirement.complement = false,
            },
            NodeOperator::Lt => requirement.at_most = Some(number().saturating_sub(1)),
            NodeOperator::Gte => requirement.at_least = Some(number()),
            NodeOperator::Lte => requirement.at_most = Some(number()),
        }
        requirement
    }

    /// Exactly this value.
    #[must_use]
    pub fn is(value: &str) -> Self {
        Requirement::one_of([value.to_owned()])
    }

    /// One of these values; none of them = no value.
    #[must_use]
    pub fn one_of(values: impl IntoIterator<Item = String>) -> Self {
        Requirement {
            complement: false,
            values: values.into_iter().collect(),
            at_least: None,
            at_most: None,
            min_values: None,
        }
    }

    /// Any value.
    #[must_use]
    pub fn exists() -> Self {
        Requirement::new(NodeOperator::Exists, &[], None)
    }

    /// The same with another `minValues`.
    #[must_use]
    pub fn with_min_values(mut self, min_values: Option<u32>) -> Self {
        self.min_values = min_values;
        self
    }

    /// What holds when both hold (`Requirement.Intersection`).
    #[must_use]
    pub fn intersection(&self, other: &Requirement) -> Requirement {
        let min_values = self.min_values.max(other.min_values);
        let (at_least, at_most) = self.common_bounds(other);
        if crossed(at_least, at_most) {
            return Requirement::one_of([]).with_min_values(min_values);
        }
        let complement = self.complement && other.complement;
        let values = match (self.complement, other.complement) {
            (true, true) => self.values.union(&other.values).cloned().collect(),
            (true, false) => other.values.difference(&self.values).cloned().collect(),
            (false, true) => self.values.difference(&other.values).cloned().collect(),
            (false, false) => self.values.intersection(&other.values).cloned().collect::<BTreeSet<String>>(),
        };
        let values = values.into_iter().filter(|value| within(value, at_least, at_most)).collect();
        let (at_least, at_most) = if complement { (at_least, at_most) } else { (None, None) };
        Requirement { complement, values, at_least, at_most, min_values }
    }

    /// Whether some value satisfies both (`Requirement.HasIntersection`).
    #[must_use]
    pub fn intersects(&self, other: &Requirement) -> bool {
        let (at_least, at_most) = self.common_bounds(other);
        if crossed(at_least, at_most) {
            return false;
        }
        let inside = |value: &String| within(value, at_least, at_most);
        match (self.complement, other.complement) {
            (true, true) => true,
            (true, false) => other.values.iter().any(|value| !self.values.contains(value) && inside(value)),
            (false, true) => self.values.iter().any(|value| !other.values.contains(value) && inside(value)),
            (false, false) => self.values.iter().any(|value| other.values.contains(value) && inside(value)),
        }
    }

    /// Whether the value is allowed (`Requirement.Has`).
    #[must_use]
    pub fn has(&self, value: &str) -> bool {
        self.values.contains(value) != self.complement && within(value, self.at_least, self.at_most)
    }

    /// What it amounts to (`Requirement.Operator`).
    #[must_use]
    pub fn effect(&self) -> Effect {
        match (self.complement, self.values.is_empty()) {
            (true, true) => Effect::Exists,
            (true, false) => Effect::NotIn,
            (false, true) => Effect::DoesNotExist,
            (false, false) => Effect::In,
        }
    }

    /// Whether it can hold for a label that is absent.
    #[must_use]
    pub fn allows_absence(&self) -> bool {
        matches!(self.effect(), Effect::NotIn | Effect::DoesNotExist)
    }

    /// The allowed values of an `In`, the forbidden ones of a `NotIn`, nothing otherwise (`Requirement.Values`).
    pub fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.values.iter().map(String::as_str)
    }

    /// The only allowed value, if there is just one.
    #[must_use]
    pub fn single(&self) -> Option<&str> {
        if self.complement || self.values.len() != 1 { None } else { self.values.first().map(String::as_str) }
    }

    /// Smallest and largest integer allowed by the bounds of a complement; `None` = unbounded.
    #[must_use]
    pub const fn bounds(&self) -> (Option<i64>, Option<i64>) {
        (self.at_least, self.at_most)
    }

    fn common_bounds(&self, other: &Requirement) -> (Option<i64>, Option<i64>) {
        let at_most = match (self.at_most, other.at_most) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        (self.at_least.max(other.at_least), at_most)
    }
}

fn crossed(at_least: Option<i64>, at_most: Option<i64>) -> bool {
    matches!((at_least, at_most), (Some(low), Some(high)) if low > high)
}

/// With bounds, only integers pass (`withinBounds`).
fn within(value: &str, at_least: Option<i64>, at_most: Option<i64>) -> bool {
    if at_least.is_none() && at_most.is_none() {
        return true;
    }
    value
        .parse::<i64>()
        .is_ok_and(|number| at_least.is_none_or(|low| number >= low) && at_most.is_none_or(|high| number <= high))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.values.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(" ");
        let rest = self.values.len().saturating_sub(5);
        let more = if rest > 0 { format!(" and {rest} others") } else { String::new() };
        match self.effect() {
            Effect::In => write!(f, "In [{shown}{more}]")?,
            Effect::NotIn => write!(f, "NotIn [{shown}{more}]")?,
            Effect::Exists => f.write_str("Exists")?,
            Effect::DoesNotExist => f.write_str("DoesNotExist")?,
        }
        if let Some(bound) = self.at_least {
            write!(f, " >={bound}")?;
        }
        if let Some(bound) = self.at_most {
            write!(f, " <={bound}")?;
        }
        self.min_values.map_or(Ok(()), |floor| write!(f, " minValues {floor}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Requirement> {
        let set = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let mut all = vec![
            Requirement::new(NodeOperator::Exists, &[], None),
            Requirement::new(NodeOperator::DoesNotExist, &[], None),
        ];
        for values in [set(&["1"]), set(&["a", "2"]), set(&["1", "2", "3"]), set(&["9", "b"])] {
            all.push(Requirement::new(NodeOperator::In, &values, None));
            all.push(Requirement::new(NodeOperator::NotIn, &values, None));
        }
        for bound in ["1", "2", "8"] {
            for operator in [NodeOperator::Gt, NodeOperator::Lt, NodeOperator::Gte, NodeOperator::Lte] {
                all.push(Requirement::new(operator, &set(&[bound]), None));
            }
        }
        all
    }

    #[test]
    fn intersection_allows_exactly_what_both_allow() {
        let universe = ["a", "b", "c", "0", "1", "2", "3", "8", "9", "10"];
        for left in all() {
            for right in all() {
                let both = left.intersection(&right);
                for value in universe {
                    assert_eq!(both.has(value), left.has(value) && right.has(value), "{left} ∩ {right} on {value}");
                }
                if both.values().len() > 0 && both.effect() == Effect::In {
                    assert!(left.intersects(&right), "{left} and {right}");
                }
                assert_eq!(left.intersects(&right), right.intersects(&left));
            }
        }
    }

    #[test]
    fn bounds_that_cross_leave_nothing_and_min_values_take_the_larger() {
        let above = Requirement::new(NodeOperator::Gt, &["4".to_owned()], Some(2));
        let below = Requirement::new(NodeOperator::Lt, &["5".to_owned()], Some(3));
        assert_eq!(above.intersection(&below).effect(), Effect::DoesNotExist);
        assert_eq!(above.intersection(&below).min_values, Some(3));
        let over = Requirement::new(NodeOperator::Gt, &[i64::MAX.to_string()], None);
        assert_eq!(over.effect(), Effect::DoesNotExist);
    }

    #[test]
    fn only_a_requirement_of_one_value_has_a_single_one() {
        let of = |operator, values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            Requirement::new(operator, &values, None).single().map(str::to_owned)
        };
        assert_eq!(of(NodeOperator::In, &["a"]), Some("a".to_owned()));
        assert_eq!(of(NodeOperator::In, &["a", "b"]), None);
        assert_eq!(of(NodeOperator::NotIn, &["a"]), None);
        assert_eq!((of(NodeOperator::Exists, &[]), of(NodeOperator::DoesNotExist, &[])), (None, None));
    }

    #[test]
    fn a_requirement_is_shown_with_its_first_five_values() {
        let shown = |operator, values: &[&str], min_values| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            Requirement::new(operator, &values, min_values).to_string()
        };
        assert_eq!(shown(NodeOperator::In, &["c", "a", "b"], None), "In [a b c]");
        let seven = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(shown(NodeOperator::NotIn, &seven, None), "NotIn [a b c d e and 2 others]");
        assert_eq!(shown(NodeOperator::NotIn, &seven[..5], None), "NotIn [a b c d e]");
        assert_eq!(shown(NodeOperator::Gt, &["3"], Some(2)), "Exists >=4 minValues 2");
        assert_eq!(shown(NodeOperator::DoesNotExist, &[], None), "DoesNotExist");
    }
}
