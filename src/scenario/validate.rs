//! What no single field can say: names that must exist, bounds that depend on each other, rules of the admission webhooks.

mod account;
mod context;
mod fargate;
mod fit;
mod formulas;
mod hpa;
mod keda;
mod limits;
mod names;
mod node_pools;
mod pods;
mod queues;
mod ranges;
mod reservations;
mod selectors;
mod settings;
mod storage;
mod triggers;
mod unwise;
mod workloads;

use std::collections::BTreeSet;
use std::sync::Arc;

use context::Context;
pub use limits::MAX_AT_ONCE;

use super::Scenario;
use crate::api::decode::Problems;
use crate::api::tree::{Node, Span};
use crate::units::Resources;

/// An instance type of a region, as far as checks need it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownType {
    /// Name.
    pub name: String,
    /// Labels its nodes carry: key and possible values.
    pub labels: Arc<Vec<(String, Vec<String>)>>,
    /// What pods may request of a node.
    pub allocatable: Resources,
}

/// What the cloud offers in a region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Regions there are.
    pub regions: Vec<String>,
    /// Zones of the region.
    pub zones: Vec<String>,
    /// Instance types of the region; empty if the region is unknown.
    pub types: Vec<KnownType>,
}

/// Gives what a region offers.
pub type KnownByRegion<'a> = &'a (dyn Fn(&str) -> Known + Sync);

/// Checks a scenario against its tree, which knows the places. `wrong` are the places of problems found so far: objects that hold
/// one of them are not checked further. `unreadable` are the places of names of files without text.
pub fn check(
    scenario: &Scenario,
    root: &Node,
    wrong: &[Span],
    unreadable: &[Span],
    known: Option<KnownByRegion<'_>>,
    problems: &mut Problems,
) {
    let wrong: BTreeSet<Span> = wrong.iter().copied().collect();
    let offered = known.map(|known| known(&scenario.simulation.region));
    let cx = Context { scenario, root, known: offered.as_ref(), wrong: &wrong, unreadable };
    empty(&cx, problems);
    limits::check(&cx, problems);
    names::check(&cx, problems);
    storage::check(&cx, problems);
    workloads::check(&cx, problems);
    keda::check(&cx, problems);
    hpa::check(&cx, problems);
    node_pools::check(&cx, problems);
    fit::check(&cx, problems);
    fargate::check(&cx, problems);
    queues::check(&cx, problems);
    settings::check(&cx, problems);
    ranges::check(&cx, problems);
    account::check(&cx, problems);
    reservations::check(&cx, problems);
    unwise::check(&cx, problems);
}

/// A scenario in which nothing can happen.
fn empty(cx: &Context<'_>, problems: &mut Problems) {
    let scenario = cx.scenario;
    if cx.wrong.is_empty()
        && scenario.queues.is_empty()
        && scenario.deployments.is_empty()
        && scenario.scaled_jobs.is_empty()
    {
        let help = "name manifests in `[simulation] manifests`, or write `[[queues]]`, `[[consumers]]` and `[[deployments]]` here";
        problems.error_with_help(cx.root.span, "an empty scenario", "no queue, no Deployment, no ScaledJob", help);
    }
}
