//! What a replayed wave is compared by.

use std::collections::BTreeMap;

use forescale::karpenter::scheduling::labels;
use forescale::units::Resource;
use serde_json::Value;

use super::case::{Case, NodeRecord, PodRecord, State, texts};
use super::scheduling::resources;

/// What is compared: the NodeClaims and how many pods of each shape are pending.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    claims: Vec<ClaimOutcome>,
    pending: BTreeMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimOutcome {
    pool: String,
    cpu_milli: i64,
    memory_mib: i64,
    pods: i64,
    instance_type: String,
    capacity_type: String,
    zones: Vec<String>,
    options: Vec<String>,
}

impl ClaimOutcome {
    pub fn recorded(claim: &Value) -> Self {
        let requests = resources(&claim["requests"]);
        ClaimOutcome {
            pool: claim["pool"].as_str().expect("a pool").to_owned(),
            cpu_milli: requests.cpu().milli(),
            memory_mib: requests.memory().bytes() >> 20,
            pods: requests.get(Resource::Pods),
            instance_type: claim["type"].as_str().expect("a type").to_owned(),
            capacity_type: claim["capacity_type"].as_str().expect("a type").to_owned(),
            zones: texts(&claim["requirements"][labels::ZONE][1]),
            options: texts(&claim["options"]),
        }
    }

    pub fn of(case: &Case<'_>, node: &NodeRecord) -> Self {
        ClaimOutcome {
            pool: node.pool.clone(),
            cpu_milli: node.requests.cpu().milli(),
            memory_mib: node.requests.memory().bytes() >> 20,
            pods: node.requests.get(Resource::Pods),
            instance_type: case.catalogue.get(node.instance_type).name.clone(),
            capacity_type: node.capacity_type.as_str().to_owned(),
            zones: node.zone_requirement.clone(),
            options: node.options.iter().map(|id| case.catalogue.get(*id).name.clone()).collect(),
        }
    }
}

impl Outcome {
    pub fn recorded(wave: &Value, state: &State) -> Self {
        let claims = wave["nodeclaims"].as_array().expect("claims").iter().map(ClaimOutcome::recorded);
        let mut claims: Vec<ClaimOutcome> = claims.collect();
        claims.sort_unstable();
        Outcome { claims, pending: pending(state, wave, |pod| wave["pods"][&pod.name].is_null()) }
    }

    pub fn of(case: &Case<'_>, state: &State, wave: &Value) -> Self {
        let claims = state.nodes.iter().map(|node| ClaimOutcome::of(case, node));
        let mut claims: Vec<ClaimOutcome> = claims.collect();
        claims.sort_unstable();
        Outcome { claims, pending: pending(state, wave, |pod| pod.node.is_none()) }
    }

    pub fn same(&self, wanted: &Outcome) -> bool {
        self == wanted
    }

    pub fn difference(&self, wanted: &Outcome) -> String {
        let mut text = String::new();
        let show = |claim: &ClaimOutcome| {
            format!(
                "{} {}m {}Mi {} pods, {} {} in {:?}, {} options {:?}",
                claim.pool,
                claim.cpu_milli,
                claim.memory_mib,
                claim.pods,
                claim.instance_type,
                claim.capacity_type,
                claim.zones,
                claim.options.len(),
                claim.options.iter().take(3).collect::<Vec<_>>()
            )
        };
        let mut missing = wanted.claims.clone();
        for claim in &self.claims {
            match missing.iter().position(|other| other == claim) {
                Some(place) => drop(missing.remove(place)),
                None => text.push_str(&format!("    + {}\n", show(claim))),
            }
        }
        missing.iter().for_each(|claim| text.push_str(&format!("    - {}\n", show(claim))));
        if self.pending != wanted.pending {
            text.push_str(&format!("    pending {:?}, recorded {:?}\n", self.pending, wanted.pending));
        }
        text
    }
}

/// Pending pods by shape, among those whose fate was recorded.
pub fn pending(state: &State, wave: &Value, is_pending: impl Fn(&PodRecord) -> bool) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for pod in state.pods.iter().filter(|pod| wave["pods"].get(&pod.name).is_some() && is_pending(pod)) {
        let shape = pod.name.rsplit_once('-').map_or(pod.name.as_str(), |(shape, _)| shape);
        *counts.entry(shape.to_owned()).or_default() += 1;
    }
    counts
}
