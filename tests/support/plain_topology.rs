//! Topology constraints of the plain scheduler: groups of counts by the texts of their domains.

use std::collections::{BTreeMap, BTreeSet};

use forescale::api::meta::{LabelExpression, LabelSelector, Labels, SelectorOperator};
use forescale::api::pod::{NodeInclusionPolicy, PodAffinityTerm, PodSpec, Taint, Toleration, WhenUnsatisfiable};
use forescale::karpenter::scheduling::requirement::{Effect, Requirement};
use forescale::karpenter::scheduling::requirements::{Requirements, Undefined};
use forescale::karpenter::scheduling::tie::{Place, Slot};
use forescale::karpenter::scheduling::{PreferencePolicy, labels};

/// Kind of a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Spread,
    Affinity,
    AntiAffinity,
}

/// Which nodes count.
#[derive(Clone, Debug)]
pub struct Filter {
    pub alternatives: Vec<Requirements>,
    pub affinity: NodeInclusionPolicy,
    pub taints: NodeInclusionPolicy,
    pub tolerations: Vec<Toleration>,
}

/// The real hash takes of each alternative the names of its labels alone, and combines list members by exclusive or.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        let odd = |texts: Vec<String>| {
            let mut odd = BTreeSet::new();
            for text in texts {
                if !odd.remove(&text) {
                    odd.insert(text);
                }
            }
            odd
        };
        let labels = |filter: &Filter| {
            let one = |alternative: &Requirements| alternative.iter().map(|(key, _)| format!("{key}|")).collect();
            odd(filter.alternatives.iter().map(one).collect())
        };
        let tolerations =
            |filter: &Filter| odd(filter.tolerations.iter().map(|toleration| format!("{toleration:?}")).collect());
        (self.affinity, self.taints) == (other.affinity, other.taints)
            && labels(self) == labels(other)
            && tolerations(self) == tolerations(other)
    }
}

/// What tells groups apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    pub kind: Kind,
    pub key: String,
    pub max_skew: i64,
    pub filter: Option<Filter>,
    pub selector: Option<LabelSelector>,
}

/// Pods by domain.
pub struct Group {
    pub constraint: Constraint,
    pub min_domains: Option<u32>,
    pub counts: BTreeMap<String, i64>,
    pub owners: BTreeSet<usize>,
}

impl Group {
    pub fn selects(&self, labels: &Labels) -> bool {
        self.constraint.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    pub fn admits(&self, taints: &[Taint], node: &Requirements) -> bool {
        let Some(filter) = &self.constraint.filter else { return true };
        let by_affinity = filter.affinity == NodeInclusionPolicy::Ignore
            || filter.alternatives.iter().any(|one| node.compatible(one, Undefined::Denied).is_ok());
        let by_taints = filter.taints == NodeInclusionPolicy::Ignore || tolerates(&filter.tolerations, taints);
        by_affinity && by_taints
    }

    pub fn next(&self, pod_labels: &Labels, pod: &Requirement, node: &Requirement, place: Place) -> Vec<String> {
        let own = i64::from(self.selects(pod_labels));
        let on_host = self.constraint.key == labels::HOSTNAME;
        if let (true, Some(host)) = (on_host, node.single()) {
            let count = self.counts.get(host).copied().unwrap_or(0);
            let allowed = match self.constraint.kind {
                Kind::Spread => count + own <= self.constraint.max_skew,
                Kind::AntiAffinity => count == 0,
                Kind::Affinity => pod.has(host) && (count > 0 || (own == 1 && !self.any_within(pod))),
            };
            return if allowed { vec![host.to_owned()] } else { Vec::new() };
        }
        let slot = |domain: &str, values: Option<&Requirement>| {
            let members: Vec<&str> = match values {
                Some(values) => values.values().collect(),
                None => self.counts.keys().map(String::as_str).collect(),
            };
            let index = members.iter().position(|member| *member == domain).expect("a member");
            Slot { index, members: members.len(), of_group: values.is_none() }
        };
        let rank = |purpose: u64, domain: &str, values: Option<&Requirement>| {
            place.rank(purpose, &self.constraint.key, domain, slot(domain, values))
        };
        let within = |requirement: &Requirement| -> Vec<(&String, i64)> {
            self.counts.iter().filter(|(domain, _)| requirement.has(domain)).map(|(d, count)| (d, *count)).collect()
        };
        match self.constraint.kind {
            Kind::Spread => {
                let supported = within(pod);
                let mut least = supported.iter().map(|(_, count)| *count).min().unwrap_or(i64::from(i32::MAX));
                if self.min_domains.is_some_and(|wanted| supported.len() < wanted as usize) {
                    least = 0;
                }
                let valid =
                    within(node).into_iter().filter(|(_, count)| count + own - least <= self.constraint.max_skew);
                let values = Some(node).filter(|node| node.effect() == Effect::In);
                let best = valid.min_by_key(|(domain, count)| (*count, rank(0, domain, values)));
                best.map(|(domain, _)| domain.clone()).into_iter().collect()
            }
            Kind::AntiAffinity => {
                let free = within(node).into_iter().filter(|(domain, count)| *count == 0 && pod.has(domain));
                free.map(|(domain, _)| domain.clone()).collect()
            }
            Kind::Affinity => {
                let held = within(node).into_iter().filter(|(domain, count)| *count > 0 && pod.has(domain));
                let held: Vec<String> = held.map(|(domain, _)| domain.clone()).collect();
                if !held.is_empty() || own == 0 || self.any_within(pod) {
                    return held;
                }
                let of_pod = within(pod);
                let shared = of_pod
                    .iter()
                    .filter(|(domain, _)| node.has(domain))
                    .min_by_key(|(domain, _)| rank(1, domain, None));
                let first = of_pod.iter().min_by_key(|(domain, _)| rank(2, domain, None));
                let both: BTreeSet<String> =
                    shared.into_iter().chain(first).map(|(domain, _)| (*domain).clone()).collect();
                both.into_iter().collect()
            }
        }
    }

    fn any_within(&self, pod: &Requirement) -> bool {
        self.counts.iter().any(|(domain, count)| *count > 0 && pod.has(domain))
    }
}

/// Whether all taints are tolerated.
pub fn tolerates(tolerations: &[Toleration], taints: &[Taint]) -> bool {
    taints.iter().all(|taint| tolerations.iter().any(|toleration| toleration.tolerates(taint)))
}

/// The constraints of a pod, with their `minDomains`.
pub fn constraints(spec: &PodSpec, pod_labels: &Labels, policy: PreferencePolicy) -> Vec<(Constraint, Option<u32>)> {
    let respected = policy == PreferencePolicy::Respect;
    let mut all = Vec::new();
    for spread in &spec.topology_spread_constraints {
        if !respected && spread.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway {
            continue;
        }
        let constraint = Constraint {
            kind: Kind::Spread,
            key: spread.topology_key.clone(),
            max_skew: i64::from(spread.max_skew),
            filter: Some(Filter {
                alternatives: alternatives(spec),
                affinity: spread.node_affinity_policy,
                taints: spread.node_taints_policy,
                tolerations: spec.tolerations.clone(),
            }),
            selector: selector(spread.label_selector.as_ref(), &spread.match_label_keys, pod_labels),
        };
        all.push((constraint, spread.min_domains));
    }
    let Some(affinity) = &spec.affinity else { return all };
    for (kind, part) in [(Kind::Affinity, &affinity.pod_affinity), (Kind::AntiAffinity, &affinity.pod_anti_affinity)] {
        let Some(part) = part else { continue };
        for term in &part.required_during_scheduling_ignored_during_execution {
            all.push((of_term(kind, term, pod_labels), None));
        }
        for term in part.preferred_during_scheduling_ignored_during_execution.iter().filter(|_| respected) {
            all.push((of_term(kind, &term.pod_affinity_term, pod_labels), None));
        }
    }
    all
}

/// Its required anti-affinity.
pub fn required_anti_affinity(spec: &PodSpec, pod_labels: &Labels) -> Vec<Constraint> {
    let part = spec.affinity.as_ref().and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    let required = part.iter().flat_map(|part| &part.required_during_scheduling_ignored_during_execution);
    required.map(|term| of_term(Kind::AntiAffinity, term, pod_labels)).collect()
}

fn of_term(kind: Kind, term: &PodAffinityTerm, pod_labels: &Labels) -> Constraint {
    Constraint {
        kind,
        key: term.topology_key.clone(),
        max_skew: i64::MAX,
        filter: None,
        selector: selector(term.label_selector.as_ref(), &term.match_label_keys, pod_labels),
    }
}

fn alternatives(spec: &PodSpec) -> Vec<Requirements> {
    let selector = Requirements::of_labels(&spec.node_selector);
    let node = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    match node.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref()) {
        None => vec![selector],
        Some(required) => required
            .node_selector_terms
            .iter()
            .map(|term| {
                let mut all = selector.clone();
                all.add_all(&Requirements::of_list(&term.match_expressions));
                all
            })
            .collect(),
    }
}

fn selector(selector: Option<&LabelSelector>, keys: &[String], pod_labels: &Labels) -> Option<LabelSelector> {
    let mut selector = selector?.clone();
    for key in keys {
        if let Some(value) = pod_labels.get(key) {
            let values = vec![value.clone()];
            selector.match_expressions.push(LabelExpression {
                key: key.clone(),
                operator: SelectorOperator::In,
                values,
            });
        }
    }
    selector.match_expressions.sort_by_key(|e| (e.key.clone(), e.operator as u8, e.values.clone()));
    Some(selector)
}
