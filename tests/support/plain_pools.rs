//! Pools and nodes of the plain scheduler.

use std::collections::{BTreeMap, BTreeSet};

use forescale::api::pod::{PodSpec, Taint};
use forescale::cluster::catalogue::{Catalogue, TypeId};
use forescale::karpenter::scheduling::requirement::Requirement;
use forescale::karpenter::scheduling::requirements::{Requirements, Undefined};
use forescale::karpenter::scheduling::{
    HostPort, Input, MinValuesPolicy, host_ports, labels, offering_allowed, pod_requirements, preferences,
    type_requirement,
};
use forescale::units::{Resource, Resources};

use super::plain_topology::tolerates;

/// A pool.
pub struct Template<'a> {
    pub pool: usize,
    pub catalogue: &'a Catalogue,
    pub taints: Vec<Taint>,
    pub requirements: Requirements,
    pub options: Vec<TypeId>,
    pub daemons: Vec<DaemonGroup>,
}

/// Types on which the same DaemonSets run.
#[derive(Clone)]
pub struct DaemonGroup {
    pub daemons: Vec<usize>,
    pub types: Vec<TypeId>,
    pub overhead: Resources,
    pub ports: Vec<HostPort>,
}

/// A node that may take pods.
pub struct Existing {
    pub node: usize,
    pub taints: Vec<Taint>,
    pub requirements: Requirements,
    pub room: Resources,
    pub ports: Vec<HostPort>,
    pub volumes: Option<u32>,
    pub gate: bool,
    pub pods: Vec<usize>,
}

/// A pool's template, if any instance type is left.
pub fn template<'a>(input: &'a Input<'a>, pool: usize, daemons: &mut [PodSpec]) -> Option<Template<'a>> {
    let index = pool;
    let pool = &input.pools[pool];
    let catalogue = &input.catalogues[pool.catalogue?];
    let template = &pool.spec.template;
    let mut requirements = Requirements::of_list(&template.spec.requirements);
    requirements.add_all(&Requirements::of_labels(&template.metadata.labels));
    requirements.add(labels::NODE_POOL, Requirement::is(pool.name));
    if let Some(class) = &template.spec.node_class_ref {
        let group = class.group.as_deref().unwrap_or("karpenter.k8s.aws");
        let kind = class.kind.as_deref().unwrap_or("EC2NodeClass").to_lowercase();
        requirements.add(&format!("{group}/{kind}"), Requirement::is(&class.name));
    }
    requirements.add(labels::REGISTERED, Requirement::is("true"));
    requirements.add(labels::INITIALIZED, Requirement::is("true"));
    let all = (0..catalogue.types.len() as u32).map(TypeId);
    let options: Vec<TypeId> = all.filter(|id| type_remains(catalogue, *id, &requirements, Resources::ZERO)).collect();
    let strict = input.options.min_values == MinValuesPolicy::Strict;
    if options.is_empty() || (strict && !unmet_min_values(catalogue, &requirements, &options).is_empty()) {
        return None;
    }
    let mut groups: Vec<DaemonGroup> = Vec::new();
    for id in &options {
        let running: Vec<usize> = (0..daemons.len())
            .filter(|d| daemon_runs(&mut daemons[*d], &template.spec.taints, &requirements, catalogue, *id))
            .collect();
        match groups.iter_mut().find(|group| group.daemons == running) {
            Some(group) => group.types.push(*id),
            None => groups.push(DaemonGroup {
                overhead: running.iter().map(|d| daemons[*d].requests()).sum(),
                ports: running.iter().flat_map(|d| host_ports(&daemons[*d])).collect(),
                types: vec![*id],
                daemons: running,
            }),
        }
    }
    Some(Template {
        pool: index,
        catalogue,
        taints: template.spec.taints.clone(),
        requirements,
        options,
        daemons: groups,
    })
}

fn daemon_runs(pod: &mut PodSpec, taints: &[Taint], pool: &Requirements, catalogue: &Catalogue, id: TypeId) -> bool {
    preferences::tolerate_prefer_no_schedule(pod);
    if !tolerates(&pod.tolerations, taints) {
        return false;
    }
    loop {
        let own = pod_requirements::strict(pod);
        if pool.compatible(&own, Undefined::WellKnownAllowed).is_ok() && type_meets(catalogue, id, &own) {
            return true;
        }
        if !preferences::drop_required_node_term(pod) {
            return false;
        }
    }
}

/// A node as a target.
pub fn existing(input: &Input<'_>, node: usize, daemons: &[PodSpec]) -> Existing {
    let index = node;
    let node = &input.nodes[node];
    let taints: Vec<Taint> = node.taints.iter().map(|taint| (*taint).clone()).collect();
    let mut requirements = Requirements::of_labels(node.labels);
    requirements.add(labels::HOSTNAME, Requirement::is(node.hostname));
    let runs = |pod: &&PodSpec| {
        tolerates(&pod.tolerations, &taints)
            && requirements.compatible(&pod_requirements::strict(pod), Undefined::Denied).is_ok()
    };
    let wanted: Resources = daemons.iter().filter(runs).map(PodSpec::requests).sum();
    Existing {
        node: index,
        room: node.available - (wanted - node.daemon_requests).max(Resources::ZERO),
        ports: node.host_ports.clone(),
        volumes: node.free_volumes,
        gate: node.under_consolidate_after,
        pods: Vec::new(),
        taints,
        requirements,
    }
}

/// Limits of a pool, in the units of the resources.
pub fn limits(spec: &forescale::api::karpenter::NodePoolSpec) -> BTreeMap<Resource, i64> {
    let limits = spec.limits.iter().flatten();
    limits
        .filter_map(|(name, amount)| {
            let resource = Resource::parse(name)?;
            Some((resource, if resource == Resource::Cpu { amount.milli } else { amount.milli / 1000 }))
        })
        .collect()
}

fn type_meets(catalogue: &Catalogue, id: TypeId, requirements: &Requirements) -> bool {
    requirements.iter().all(|(key, wanted)| {
        type_requirement(catalogue, catalogue.get(id), key)
            .is_none_or(|has| has.intersects(wanted) || (wanted.allows_absence() && has.allows_absence()))
    })
}

/// Whether a type stays an option.
pub fn type_remains(catalogue: &Catalogue, id: TypeId, requirements: &Requirements, requests: Resources) -> bool {
    let instance_type = catalogue.get(id);
    type_meets(catalogue, id, requirements)
        && requests.fits(&instance_type.allocatable)
        && instance_type.offerings.iter().any(|o| o.available && offering_allowed(catalogue, o, requirements))
}

/// Floors that the options do not reach, with what they have.
pub fn unmet_min_values(catalogue: &Catalogue, requirements: &Requirements, options: &[TypeId]) -> Vec<(String, u32)> {
    let mut unmet = Vec::new();
    for (key, requirement) in requirements.iter() {
        let Some(wanted) = requirement.min_values else { continue };
        let mut values = BTreeSet::new();
        for id in options {
            let has = type_requirement(catalogue, catalogue.get(*id), key);
            values.extend(has.iter().flat_map(|r| r.values()).map(str::to_owned));
        }
        if (values.len() as u32) < wanted && !options.is_empty() {
            unmet.push((key.to_owned(), values.len() as u32));
        }
    }
    unmet
}

/// Whether a port is taken.
pub fn ports_conflict(wanted: &[HostPort], used: &[HostPort]) -> bool {
    let all = |ip: &str| ip == "0.0.0.0" || ip == "::";
    wanted.iter().any(|a| {
        used.iter().any(|b| a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || all(&a.ip) || all(&b.ip)))
    })
}
