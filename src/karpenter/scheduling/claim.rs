//! Claims opened in a pass and what it takes to add a pod (`nodeclaim.go: NodeClaim`).

use std::sync::Arc;

use super::arena::{Arena, Fit, SetId};
use super::constraints::tolerates_all;
use super::host_ports::conflict;
use super::input::HostPort;
use super::min_values;
use super::offers::{Offers, Room};
use super::requirements::Undefined;
use super::reservations::Reservations;
use super::results::ClaimError;
use super::shape::{Needs, ShapeState, VolumeAlternative, Wants};
use super::template::Template;
use super::tie::Place;
use super::topology::{Side, Topology};
use super::topology_group::Domain;
use super::type_set::TypeSet;
use crate::cluster::catalogue::ReservationId;
use crate::units::{Resource, Resources};

/// A claim that is being built.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) template: usize,
    pub(super) host: Domain,
    pub(super) set: SetId,
    pub(super) options: Arc<TypeSet>,
    /// Per resource, at most the least room of any option.
    pub(super) floor: Resources,
    /// Requests of its pods.
    pub(super) requests: Resources,
    pub(super) pods: Vec<usize>,
    pub(super) ports: Vec<HostPort>,
    pub(super) reserved: Vec<ReservationId>,
    pub(super) min_values_relaxed: bool,
}

/// What a claim becomes with the pod.
pub(super) struct Addition {
    pub(super) set: SetId,
    pub(super) options: Arc<TypeSet>,
    pub(super) floor: Resources,
    pub(super) reserved: Vec<ReservationId>,
    pub(super) min_values_relaxed: bool,
}

/// Why a claim cannot take the pod.
pub(super) struct Refused {
    pub(super) reason: ClaimError,
    /// Whether it stays so whatever else is placed in this pass.
    pub(super) permanent: bool,
}

impl Refused {
    const fn for_good(reason: ClaimError) -> Self {
        Refused { reason, permanent: true }
    }

    const fn for_now(reason: ClaimError) -> Self {
        Refused { reason, permanent: false }
    }
}

/// What the check reads and updates besides claim and pod.
pub(super) struct Surroundings<'s> {
    pub(super) arena: &'s mut Arena,
    pub(super) offers: &'s mut Offers,
    pub(super) topology: &'s mut Topology,
    pub(super) reservations: &'s Reservations,
}

/// Pod side of a check.
pub(super) struct Newcomer<'s> {
    pub(super) shape: usize,
    pub(super) state: &'s ShapeState,
    pub(super) wants: &'s Wants,
    /// Whether a `minValues` that cannot be met is lowered.
    pub(super) relax_min_values: bool,
}

impl Claim {
    /// Whether the pod can be added, and what the claim would become (`CanAdd`).
    pub(super) fn can_add(
        &self,
        pod: &Newcomer<'_>,
        template: &Template<'_>,
        place: Place,
        around: &mut Surroundings<'_>,
    ) -> Result<Addition, Refused> {
        if !tolerates_all(&pod.wants.tolerations, &template.taints) {
            return Err(Refused::for_good(ClaimError::Taints));
        }
        match around.arena.fit(self.set, pod.wants.set, Undefined::WellKnownAllowed) {
            Fit::Yes => {}
            Fit::Conflict(key) => return Err(Refused::for_good(ClaimError::Requirements(key.clone()))),
            Fit::NotYet(key) => return Err(Refused::for_now(ClaimError::Requirements(key.clone()))),
        }
        if pod.wants.host.as_ref().is_some_and(|host| !host.has(around.topology.names.get(self.host))) {
            return Err(Refused::for_good(ClaimError::Requirements(super::labels::HOSTNAME.to_owned())));
        }
        let merged = around.arena.sum(self.set, pod.wants.set);
        let alternatives = &pod.state.needs.volume_alternatives[..];
        let (mut tried, mut permanent) = (0, true);
        loop {
            // Without volumes there is one way to try, and nothing to add to it.
            let asked = match alternatives.get(tried) {
                None => Ok(merged),
                Some(volumes) => self.with_volumes(merged, volumes, around),
            };
            tried += 1;
            match asked.and_then(|set| self.try_requirements(pod, set, template, place, around)) {
                Err(refused) if tried < alternatives.len() => permanent &= refused.permanent,
                Err(refused) => return Err(Refused { permanent: permanent && refused.permanent, ..refused }),
                Ok(addition) => return Ok(addition),
            }
        }
    }

    /// What is asked of the node with one choice among the places of the pod's volumes (`tryVolumeAlternative`).
    #[cold]
    fn with_volumes(
        &self,
        merged: SetId,
        volumes: &VolumeAlternative,
        around: &mut Surroundings<'_>,
    ) -> Result<SetId, Refused> {
        let reason = |key: &str| ClaimError::Volumes(key.to_owned());
        match around.arena.fit(merged, volumes.set, Undefined::WellKnownAllowed) {
            Fit::Yes => {}
            Fit::Conflict(key) => return Err(Refused::for_good(reason(key))),
            Fit::NotYet(key) => return Err(Refused::for_now(reason(key))),
        }
        if volumes.host.as_ref().is_some_and(|host| !host.has(around.topology.names.get(self.host))) {
            return Err(Refused::for_good(reason(super::labels::HOSTNAME)));
        }
        Ok(around.arena.sum(merged, volumes.set))
    }

    /// What the claim would become with these requirements, as far as topology, instance types and reservations allow.
    #[inline]
    fn try_requirements(
        &self,
        pod: &Newcomer<'_>,
        merged: SetId,
        template: &Template<'_>,
        place: Place,
        around: &mut Surroundings<'_>,
    ) -> Result<Addition, Refused> {
        let narrowed = self.narrow(pod, merged, template, place, around)?;
        let (options, floor, set, relaxed) = self.filter(pod, narrowed, merged == narrowed, template, around)?;
        let kept =
            around.reservations.to_reserve(self.host, &self.reserved, set, &options, around.offers, around.arena);
        match kept {
            Some(reserved) => Ok(Addition { set, options, floor, reserved, min_values_relaxed: relaxed }),
            None => Err(Refused::for_now(ClaimError::ReservedOffering)),
        }
    }

    /// Narrows to the domains that topology allows.
    fn narrow(
        &self,
        pod: &Newcomer<'_>,
        merged: SetId,
        template: &Template<'_>,
        place: Place,
        around: &mut Surroundings<'_>,
    ) -> Result<SetId, Refused> {
        let membership = &pod.wants.membership;
        if !around.topology.applies(pod.shape, membership) {
            return Ok(merged);
        }
        let side = Side { set: merged, host: self.host, taints: &template.taints };
        let narrowed = around.topology.narrow(pod.shape, membership, &pod.wants.domains(), side, place, around.arena);
        let narrowed = narrowed
            .map_err(|refusal| Refused { reason: ClaimError::Topology(refusal.key), permanent: refusal.permanent })?;
        match around.arena.fit(merged, narrowed, Undefined::WellKnownAllowed) {
            Fit::Yes => Ok(narrowed),
            Fit::Conflict(key) | Fit::NotYet(key) => Err(Refused::for_now(ClaimError::Topology(key.clone()))),
        }
    }

    /// Instance types that remain (`filterInstanceTypesByRequirements`), with their floor, the requirements (with `minValues`
    /// lowered if allowed) and whether any was lowered.
    fn filter(
        &self,
        pod: &Newcomer<'_>,
        set: SetId,
        permanent: bool,
        template: &Template<'_>,
        around: &mut Surroundings<'_>,
    ) -> Result<(Arc<TypeSet>, Resources, SetId, bool), Refused> {
        let needs = &pod.state.needs;
        let (options, least) = self.remaining_types(needs, set, template, around);
        if options.is_empty() {
            let reason = self.criteria_met(needs, set, template, around);
            return Err(Refused { reason, permanent });
        }
        let unmet = min_values::unmet(around.arena.get(set), around.offers, &options);
        if unmet.is_empty() {
            return Ok((options, least, set, false));
        }
        if !pod.relax_min_values {
            return Err(Refused { reason: ClaimError::MinValues, permanent });
        }
        let mut lowered = around.arena.get(set).as_ref().clone();
        for (key, present) in unmet {
            if let Some(requirement) = lowered.get(&key).cloned() {
                lowered.set(&key, requirement.with_min_values(Some(present)));
            }
        }
        Ok((options, least, around.arena.intern(lowered), true))
    }

    fn remaining_types(
        &self,
        pod: &Needs,
        set: SetId,
        template: &Template<'_>,
        around: &mut Surroundings<'_>,
    ) -> (Arc<TypeSet>, Resources) {
        let viable = around.offers.viable(around.arena, set);
        let total = self.requests + pod.requests;
        let mut options = Arc::clone(&self.options);
        if !options.is_subset(&viable) {
            options = Arc::new(options.and(&viable));
        }
        if !pod.ports.is_empty() {
            let blocked = self.blocked_by_ports(&pod.ports, template);
            Arc::make_mut(&mut options).retain(|id| !blocked.contains(id));
        }
        if total.fits(&self.floor) {
            return (options, self.floor);
        }
        // The same pods are put together again and again, in one pass and in the next.
        let asked = Room { template: self.template, options, requests: total };
        if let Some(known) = around.offers.room_known(&asked) {
            return known;
        }
        let mut least = Resources([i64::MAX; Resource::COUNT]);
        let mut fitting = asked.options.as_ref().clone();
        fitting.retain(|id| {
            let room = &template.room[id];
            let fits = total.fits(room);
            if fits {
                least = least.min(*room);
            }
            fits
        });
        let fitting = (Arc::new(fitting), least);
        around.offers.remember_room(asked, fitting.clone());
        fitting
    }

    /// Types whose DaemonSets or whose claim's pods hold a host port that the pod wants.
    fn blocked_by_ports(&self, wanted: &[HostPort], template: &Template<'_>) -> TypeSet {
        let mut blocked = TypeSet::select(template.room.len(), |_| false);
        for group in template.daemons.iter() {
            if conflict(wanted, &group.ports) || conflict(wanted, &self.ports) {
                blocked.add(&group.types);
            }
        }
        blocked
    }

    /// Which criteria some type met (`InstanceTypeFilterError`).
    fn criteria_met(
        &self,
        pod: &Needs,
        set: SetId,
        template: &Template<'_>,
        around: &mut Surroundings<'_>,
    ) -> ClaimError {
        let total = self.requests + pod.requests;
        ClaimError::InstanceTypes {
            requirements_met: self.options.meets(&around.offers.meeting(around.arena, set)),
            fits: self.options.iter().any(|id| total.fits(&template.room[id])),
            has_offering: self.options.meets(&around.offers.offered(around.arena, set)),
        }
    }
}

impl Claim {
    /// Adds the pod (`Add`).
    pub(super) fn put(&mut self, pod: usize, shape: &Needs, addition: Addition) {
        self.pods.push(pod);
        self.requests += shape.requests;
        self.ports.extend(shape.ports.iter().cloned());
        self.set = addition.set;
        self.options = addition.options;
        self.floor = addition.floor;
        self.reserved = addition.reserved;
        self.min_values_relaxed |= addition.min_values_relaxed;
    }
}
