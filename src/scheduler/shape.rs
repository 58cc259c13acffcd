//! Pods that are the same to the scheduler share one [`Shape`]: requests, constraints and labels are worked out once.

use crate::api::meta::{LabelSelector, Labels};
use crate::api::pod::{Container, NodeInclusionPolicy, PodAffinityTerm, PodSpec, Toleration, WhenUnsatisfiable};
use crate::units::{Resource, Resources};

use super::volumes::Claims;

/// Index of a [`Shape`] in its scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeIndex(pub u32);

/// What counts for scoring when a container has no CPU request: 100 millicores
/// (`pkg/scheduler/util/pod_resources.go: DefaultMilliCPURequest`).
pub const DEFAULT_CPU_MILLI: i64 = 100;
/// What counts for scoring when a container has no memory request: 200 MB of 2²⁰ bytes (`DefaultMemoryRequest`).
pub const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// What a pod brings to the scheduler, apart from its name.
#[derive(Clone, Debug, PartialEq)]
pub struct PodTraits {
    /// Labels of the pod.
    pub labels: Labels,
    /// Spec of the pod.
    pub spec: PodSpec,
    /// Priority; higher is more important. Default 0.
    pub priority: i32,
    /// Whether it may displace pods of lower priority (`preemptionPolicy` is not `Never`).
    pub preempts: bool,
    /// Selector of the workload (and Services) that the pod belongs to: what default spreading counts. `None` = no default spreading.
    pub workload_selector: Option<LabelSelector>,
    /// What its claims of storage ask.
    pub claims: Claims,
}

/// A port of the node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Port number.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Address; `0.0.0.0` takes the port on all addresses.
    pub address: String,
}

/// One topology spread constraint, with `matchLabelKeys` merged into the selector.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Largest allowed difference between domains.
    pub max_skew: i64,
    /// Node label that makes the domains.
    pub key: String,
    /// Which pods are counted.
    pub selector: LabelSelector,
    /// Fewer domains than this count as an empty one; default 1.
    pub min_domains: usize,
    /// Whether nodes outside the pod's node affinity are left out.
    pub honor_affinity: bool,
    /// Whether nodes with untolerated taints are left out.
    pub honor_taints: bool,
}

/// One pod affinity term, with `matchLabelKeys` merged into the selector.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Which pods; `None` matches none.
    pub selector: Option<LabelSelector>,
    /// Node label that makes the domains.
    pub key: String,
    /// Weight of a preferred term, negative for anti-affinity; 0 for a required one.
    pub weight: i64,
}

/// All that scheduling a pod needs, worked out from its [`PodTraits`].
#[derive(Clone, Debug)]
pub struct Shape {
    /// Where it comes from.
    pub traits: PodTraits,
    /// Requests, with one pod.
    pub requests: Resources,
    /// The resources among them that are not 0.
    pub wanted: Vec<(Resource, i64)>,
    /// CPU that `LeastAllocated` counts, in millicores: containers without request count 100.
    pub scored_cpu: i64,
    /// Memory that `LeastAllocated` counts, in bytes: containers without request count 200 MB.
    pub scored_memory: i64,
    /// Neither CPU nor memory requested: `NodeResourcesBalancedAllocation` skips it.
    pub best_effort: bool,
    /// Ports of the node that it takes.
    pub ports: Vec<HostPort>,
    /// Volumes of its own that are attached to the node.
    pub volumes: u32,
    /// Constraints with `DoNotSchedule`.
    pub hard_spread: Vec<Spread>,
    /// Constraints with `ScheduleAnyway`, own ones or the system's defaults.
    pub soft_spread: Vec<Spread>,
    /// Whether `soft_spread` are the system's defaults, which tolerate nodes without the topology label.
    pub default_spread: bool,
    /// Required pod affinity.
    pub affinity: Vec<Term>,
    /// Required pod anti-affinity.
    pub anti_affinity: Vec<Term>,
    /// Preferred pod affinity and anti-affinity.
    pub preferred: Vec<Term>,
}

impl Shape {
    /// Works out the shape of a pod.
    #[must_use]
    pub fn new(traits: PodTraits) -> Shape {
        let spec = &traits.spec;
        let requests = spec.requests();
        let scored = scored_requests(spec);
        let (hard_spread, soft_spread, default_spread) = spread_constraints(&traits);
        let affinity = spec.affinity.as_ref();
        let towards = affinity.and_then(|a| a.pod_affinity.as_ref());
        let away = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
        let required = |terms: &[PodAffinityTerm]| terms.iter().map(|t| term(t, 0, &traits.labels)).collect();
        let mut preferred = Vec::new();
        for (side, sign) in [(towards, 1), (away, -1)] {
            let terms = side.map_or(&[][..], |s| &s.preferred_during_scheduling_ignored_during_execution);
            preferred
                .extend(terms.iter().map(|t| term(&t.pod_affinity_term, sign * i64::from(t.weight), &traits.labels)));
        }
        let wanted = Resource::ALL.into_iter().map(|resource| (resource, requests.get(resource)));
        Shape {
            requests,
            wanted: wanted.filter(|(_, want)| *want != 0).collect(),
            scored_cpu: scored.get(Resource::Cpu),
            scored_memory: scored.get(Resource::Memory),
            best_effort: requests.get(Resource::Cpu) == 0 && requests.get(Resource::Memory) == 0,
            ports: host_ports(spec),
            volumes: spec.own_volumes(),
            hard_spread,
            soft_spread,
            default_spread,
            affinity: towards
                .map_or_else(Vec::new, |s| required(&s.required_during_scheduling_ignored_during_execution)),
            anti_affinity: away
                .map_or_else(Vec::new, |s| required(&s.required_during_scheduling_ignored_during_execution)),
            preferred,
            traits,
        }
    }

    /// Whether its placement can depend on other pods through affinity, or others' on it.
    #[must_use]
    pub fn has_pod_affinity(&self) -> bool {
        !(self.affinity.is_empty() && self.anti_affinity.is_empty() && self.preferred.is_empty())
    }

    /// Whether some nodes suit it better by their labels.
    #[must_use]
    pub fn prefers_nodes(&self) -> bool {
        let affinity = self.traits.spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        affinity.is_some_and(|own| !own.preferred_during_scheduling_ignored_during_execution.is_empty())
    }

    /// Whether any toleration covers the taint.
    #[must_use]
    pub fn tolerates(&self, taint: &crate::api::pod::Taint) -> bool {
        self.traits.spec.tolerations.iter().any(|toleration: &Toleration| toleration.tolerates(taint))
    }
}

impl Term {
    /// Whether the term is about pods with these labels.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

fn scored_requests(spec: &PodSpec) -> Resources {
    let with_defaults = |container: &Container| {
        let mut container = container.clone();
        let requests = container.requests();
        if requests.get(Resource::Cpu) == 0 {
            container.resources.requests.0[Resource::Cpu as usize] = DEFAULT_CPU_MILLI;
        }
        if requests.get(Resource::Memory) == 0 {
            container.resources.requests.0[Resource::Memory as usize] = DEFAULT_MEMORY_BYTES;
        }
        container
    };
    let mut filled = spec.clone();
    filled.containers = spec.containers.iter().map(with_defaults).collect();
    filled.init_containers = spec.init_containers.iter().map(with_defaults).collect();
    filled.requests()
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let mut ports = Vec::new();
    for container in &spec.containers {
        for port in &container.ports {
            let number = if spec.host_network { port.host_port.or(port.container_port) } else { port.host_port };
            if let Some(number) = number.filter(|n| *n != 0) {
                ports.push(HostPort {
                    port: number,
                    protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                    address: port.host_ip.clone().filter(|a| !a.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned()),
                });
            }
        }
    }
    ports
}

/// Adds `key = value of the pod` for each of `matchLabelKeys` that the pod has.
fn merged(selector: Option<&LabelSelector>, keys: &[String], labels: &Labels) -> Option<LabelSelector> {
    let mut selector = selector?.clone();
    for key in keys {
        if let Some(value) = labels.get(key) {
            selector.match_labels.insert(key.clone(), value.clone());
        }
    }
    Some(selector)
}

fn term(term: &PodAffinityTerm, weight: i64, labels: &Labels) -> Term {
    Term {
        selector: merged(term.label_selector.as_ref(), &term.match_label_keys, labels),
        key: term.topology_key.clone(),
        weight,
    }
}

/// `podtopologyspread/plugin.go: systemDefaultConstraints`: hostname with skew 3, zone with skew 5, both `ScheduleAnyway`.
const SYSTEM_DEFAULT_SPREAD: [(&str, i64); 2] = [("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5)];

fn spread_constraints(traits: &PodTraits) -> (Vec<Spread>, Vec<Spread>, bool) {
    let own = &traits.spec.topology_spread_constraints;
    if own.is_empty() {
        let Some(selector) = &traits.workload_selector else {
            return (Vec::new(), Vec::new(), false);
        };
        let defaults = SYSTEM_DEFAULT_SPREAD.map(|(key, max_skew)| Spread {
            max_skew,
            key: key.to_owned(),
            selector: selector.clone(),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        });
        return (Vec::new(), defaults.into(), true);
    }
    let constraints = |when: WhenUnsatisfiable| -> Vec<Spread> {
        own.iter()
            .filter(|c| c.when_unsatisfiable == when)
            .map(|c| Spread {
                max_skew: i64::from(c.max_skew),
                key: c.topology_key.clone(),
                selector: merged(c.label_selector.as_ref(), &c.match_label_keys, &traits.labels)
                    .unwrap_or_else(nothing),
                min_domains: c.min_domains.unwrap_or(1) as usize,
                honor_affinity: c.node_affinity_policy == NodeInclusionPolicy::Honor,
                honor_taints: c.node_taints_policy == NodeInclusionPolicy::Honor,
            })
            .collect()
    };
    (constraints(WhenUnsatisfiable::DoNotSchedule), constraints(WhenUnsatisfiable::ScheduleAnyway), false)
}

/// A selector that matches no pod: what an absent one means.
fn nothing() -> LabelSelector {
    let never = |operator| crate::api::meta::LabelExpression { key: "none".to_owned(), operator, values: Vec::new() };
    LabelSelector {
        match_labels: Labels::new(),
        match_expressions: vec![
            never(crate::api::meta::SelectorOperator::Exists),
            never(crate::api::meta::SelectorOperator::DoesNotExist),
        ],
    }
}
