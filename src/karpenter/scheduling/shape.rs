//! Pods of one template as the solver sees them: what they ask for at each step of giving up preferences, and where they can no
//! longer go.

use std::sync::Arc;

use super::arena::{Arena, SetId};
use super::constraints::{self, Constraint, Identity};
use super::host_ports;
use super::input::{HostPort, Options, Shape};
use super::pod_requirements;
use super::preferences;
use super::requirement::Requirement;
use super::requirements::Requirements;
use super::results::{ClaimError, SchedulingError};
use super::topology::{Membership, PodDomains, Topology, World, split_host};
use super::volume_topology;
use crate::api::pod::{PodSpec, Toleration};
use crate::units::Resources;

/// What every pod of a shape needs, whatever is placed before it and whatever preference it has given up.
pub(super) struct Needs {
    pub(super) requests: Resources,
    pub(super) ports: Vec<HostPort>,
    pub(super) volumes: u32,
    /// Where its volumes let it go: one of these; none = anywhere.
    pub(super) volume_alternatives: Vec<VolumeAlternative>,
    /// Its required anti-affinity, as it repels others.
    pub(super) repelling: Vec<Identity>,
}

/// A shape in a pass.
pub(super) struct ShapeState {
    pub(super) needs: Arc<Needs>,
    /// As written, and with one preference less each.
    pub(super) variants: Vec<Variant>,
    /// Whether no preference is left to give up after the last variant.
    exhausted: bool,
    /// The pod with the preferences of the last variant; `None` = as written.
    relaxed: Option<Box<PodSpec>>,
}

/// What a choice among its volumes' places asks of the node.
pub(super) struct VolumeAlternative {
    pub(super) set: SetId,
    pub(super) host: Option<Requirement>,
}

/// A shape at one step of giving up preferences.
pub(super) struct Variant {
    pub(super) wants: Arc<Wants>,
    pub(super) progress: Progress,
}

/// What it asks for.
pub(super) struct Wants {
    /// Requirements on the node, the heaviest preference among them.
    pub(super) set: SetId,
    pub(super) host: Option<Requirement>,
    /// Without preferences: what limits the domains that spread constraints look at.
    strict: Requirements,
    strict_host: Option<Requirement>,
    pub(super) tolerations: Vec<Toleration>,
    pub(super) membership: Membership,
}

/// Where it can no longer go, whatever else is placed.
#[derive(Default)]
pub(super) struct Progress {
    /// Positions of existing nodes that may still take it, in filling order; `None` = not looked yet.
    pub(super) existing: Option<Vec<u32>>,
    /// Claims that may still take it.
    pub(super) claims: Vec<u32>,
    /// How many claims have been considered for `claims`.
    pub(super) seen: usize,
    /// By template: why it never can open a claim.
    pub(super) templates: Vec<Option<ClaimError>>,
    /// The error, once every template is closed for good.
    pub(super) hopeless: Option<Arc<SchedulingError>>,
}

impl Wants {
    pub(super) fn domains(&self) -> PodDomains<'_> {
        PodDomains { set: &self.strict, host: self.strict_host.as_ref() }
    }
}

impl Needs {
    pub(super) fn of(shape: &Shape<'_>, arena: &mut Arena) -> Self {
        let alternatives = volume_topology::alternatives(&shape.volume_topology);
        let alternatives = alternatives.iter().map(|requirements| split_host(requirements, arena));
        Needs {
            requests: shape.spec.requests(),
            ports: host_ports::of(shape.spec),
            volumes: shape.volumes,
            volume_alternatives: alternatives.map(|(set, host)| VolumeAlternative { set, host }).collect(),
            repelling: constraints::repelling(shape.spec, shape.labels),
        }
    }
}

impl ShapeState {
    pub(super) fn new(needs: &Arc<Needs>) -> Self {
        ShapeState { needs: Arc::clone(needs), variants: Vec::new(), exhausted: false, relaxed: None }
    }

    /// Makes sure that the variant exists; `false` when there is no preference left to give up. A variant joins its topology
    /// groups when it first occurs (`Topology.Update`).
    pub(super) fn reach(
        &mut self,
        level: usize,
        shape: &Shape<'_>,
        tolerate_prefer_no_schedule: bool,
        topology: &mut Topology,
        world: &mut World<'_, '_>,
    ) -> bool {
        while self.variants.len() <= level {
            if !self.variants.is_empty() {
                let pod = self.relaxed.get_or_insert_with(|| Box::new(shape.spec.clone()));
                self.exhausted = self.exhausted || !preferences::relax(pod, tolerate_prefer_no_schedule);
                if self.exhausted {
                    return false;
                }
            }
            let pod = self.relaxed.as_deref().unwrap_or(shape.spec);
            let wants = Arc::new(wants(pod, shape, &world.input.options.clone(), topology, world));
            self.variants.push(Variant { wants, progress: Progress::default() });
        }
        true
    }
}

fn wants(
    pod: &PodSpec,
    shape: &Shape<'_>,
    options: &Options,
    topology: &mut Topology,
    world: &mut World<'_, '_>,
) -> Wants {
    let (set, host) = split_host(&pod_requirements::with_preferences(pod, options.preferences), world.arena);
    let mut strict = pod_requirements::strict(pod);
    let strict_host = strict.remove(super::labels::HOSTNAME);
    let repelling: Vec<Identity> = constraints::repelling(pod, shape.labels);
    let own: Vec<Constraint> = constraints::of_pod(pod, shape.labels, options.preferences);
    let membership = Membership {
        repelling: repelling.iter().map(|identity| topology.join_inverse(identity, &pod.tolerations, world)).collect(),
        owned: own.iter().map(|constraint| topology.join(constraint, &pod.tolerations, world)).collect(),
    };
    Wants { set, host, strict, strict_host, tolerations: pod.tolerations.clone(), membership }
}
