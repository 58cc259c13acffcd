//! A scheduler without any cleverness: one pod after the other, one candidate after the other, sets of texts. It follows the rules of
//! Karpenter's scheduler as they are written and serves as the yardstick of the fast one.

use std::collections::{BTreeMap, BTreeSet};

use forescale::api::meta::Labels;
use forescale::api::pod::{NodeInclusionPolicy, PodSpec, Taint, TaintEffect, Toleration};
use forescale::cluster::catalogue::{CapacityType, ReservationId, TypeId};
use forescale::karpenter::scheduling::go_sort::sort_slice;
use forescale::karpenter::scheduling::requirement::{Effect, Requirement};
use forescale::karpenter::scheduling::requirements::{Requirements, Undefined};
use forescale::karpenter::scheduling::tie::Place;
use forescale::karpenter::scheduling::{
    Input, MinValuesPolicy, host_ports, labels, offering_allowed, order_by_price, pod_requirements, preferences,
    type_requirement,
};
use forescale::units::{Resource, Resources};

use super::plain_pools::{
    DaemonGroup, Existing, Template, existing, limits, ports_conflict, template, type_remains, unmet_min_values,
};
use super::plain_topology::{Constraint, Group, Kind, constraints, required_anti_affinity, tolerates};

/// What is compared with the fast scheduler.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Node and its pods, in filling order.
    pub existing: Vec<(usize, Vec<usize>)>,
    /// Claims in the order that the last sort left.
    pub claims: Vec<PlannedClaim>,
    /// Pods without a place.
    pub pending: Vec<usize>,
}

/// A claim.
#[derive(Debug, PartialEq)]
pub struct PlannedClaim {
    pub pool: usize,
    pub requirements: Requirements,
    pub options: Vec<TypeId>,
    pub requests: Resources,
    pub pods: Vec<usize>,
    pub min_values_relaxed: bool,
}

struct Claim {
    template: usize,
    ordinal: usize,
    host: String,
    requirements: Requirements,
    options: Vec<TypeId>,
    groups: Vec<DaemonGroup>,
    requests: Resources,
    pods: Vec<usize>,
    reserved: Vec<ReservationId>,
    relaxed: bool,
}

struct PodData {
    spec: PodSpec,
    labels: Labels,
    shape: usize,
    requests: Resources,
    requirements: Requirements,
    strict: Requirements,
    /// What its volumes ask of the node: one of these.
    volumes: Vec<Requirements>,
}

struct Plain<'a> {
    input: &'a Input<'a>,
    templates: Vec<Template<'a>>,
    remaining: Vec<BTreeMap<Resource, i64>>,
    existing: Vec<Existing>,
    claims: Vec<Claim>,
    groups: Vec<Group>,
    inverse: Vec<Group>,
    left: BTreeMap<ReservationId, u32>,
    held: BTreeSet<(String, ReservationId)>,
    tolerate_prefer_no_schedule: bool,
    place: Place,
}

/// What adding a pod makes of a claim.
type Added = (Requirements, Vec<TypeId>, Vec<ReservationId>, bool);

/// Why a claim cannot take a pod: for lack of reserved capacity, or else.
#[derive(PartialEq)]
enum Refusal {
    Reserved,
    Other,
}

/// Plans where the pods run.
pub fn solve(input: &Input<'_>, seed: u64) -> Plan {
    if input.pools.is_empty() {
        return Plan { pending: (0..input.pods.len()).collect(), ..Plan::default() };
    }
    let mut plain = Plain::new(input, seed);
    let mut data: Vec<PodData> =
        input.pods.iter().map(|pod| plain.data(pod.shape, input.shapes[pod.shape].spec)).collect();
    for (pod, data) in data.iter().enumerate() {
        plain.update(pod, data);
    }
    let mut queue: Vec<usize> = (0..data.len()).collect();
    queue.sort_by_key(|pod| {
        let requests = data[*pod].requests;
        let record = &input.pods[*pod];
        (std::cmp::Reverse((requests.cpu(), requests.memory())), record.created, record.uid)
    });
    let mut last_length = BTreeMap::new();
    let mut pending = BTreeSet::new();
    while let Some(pod) = queue.first().copied() {
        if last_length.get(&pod) == Some(&queue.len()) {
            break;
        }
        queue.remove(0);
        if plain.try_schedule(pod, &mut data) {
            pending.remove(&pod);
            continue;
        }
        data[pod] = plain.data(input.pods[pod].shape, input.shapes[input.pods[pod].shape].spec);
        plain.update(pod, &data[pod]);
        pending.insert(pod);
        queue.push(pod);
        last_length.insert(pod, queue.len());
    }
    plain.finish(pending)
}

/// Each way to choose one of the places of every volume; without volumes the one that asks for nothing. Ways in which two volumes
/// exclude each other are dropped, if any is left then.
fn volume_alternatives(topology: &[Vec<Requirements>]) -> Vec<Requirements> {
    let mut ways = vec![Requirements::new()];
    for places in topology.iter().filter(|places| !places.is_empty()) {
        let (mut all, mut possible) = (Vec::new(), Vec::new());
        for way in &ways {
            for place in places {
                let mut both = way.clone();
                both.add_all(place);
                if way.intersect(place).is_ok() {
                    possible.push(both.clone());
                }
                all.push(both);
            }
        }
        ways = if possible.is_empty() { all } else { possible };
    }
    ways
}

/// What the catalogue with the least says is left of each reservation.
fn reservations_left(input: &Input<'_>) -> BTreeMap<ReservationId, u32> {
    let of = |catalogue: usize| {
        let reservations = input.catalogues[catalogue].reservations.iter().enumerate();
        reservations.map(|(index, reservation)| (ReservationId(index as u16), reservation.left))
    };
    let mut known: Vec<_> = input.pools.iter().filter_map(|pool| pool.catalogue).flat_map(of).collect();
    known.sort_unstable_by(|a, b| b.cmp(a));
    known.into_iter().collect()
}

impl<'a> Plain<'a> {
    fn new(input: &'a Input<'a>, seed: u64) -> Self {
        let mut daemons: Vec<PodSpec> = input.daemon_sets.iter().map(|spec| (*spec).clone()).collect();
        let mut order: Vec<usize> = (0..input.pools.len()).collect();
        order.sort_by(|a, b| {
            let weight = |pool: usize| input.pools[pool].spec.weight.unwrap_or(0);
            weight(*b).cmp(&weight(*a)).then(input.pools[*b].name.cmp(input.pools[*a].name))
        });
        let templates: Vec<Template<'a>> =
            order.iter().filter_map(|pool| template(input, *pool, &mut daemons)).collect();
        let mut remaining: Vec<BTreeMap<Resource, i64>> = input.pools.iter().map(|pool| limits(pool.spec)).collect();
        let mut nodes: Vec<usize> = (0..input.nodes.len()).filter(|node| input.nodes[*node].target).collect();
        for node in nodes.iter().map(|node| &input.nodes[*node]) {
            let pool =
                input.pools.iter().position(|pool| node.labels.get(labels::NODE_POOL).is_some_and(|n| n == pool.name));
            let Some(pool) = pool else { continue };
            for (resource, left) in &mut remaining[pool] {
                *left -= if *resource == Resource::Nodes { 1 } else { node.capacity.get(*resource) };
            }
        }
        nodes.sort_by_key(|node| (!input.nodes[*node].initialized, input.nodes[*node].name.to_owned()));
        let existing = nodes.iter().map(|node| existing(input, *node, &daemons)).collect();
        let mut plain = Plain {
            input,
            templates,
            remaining,
            existing,
            claims: Vec::new(),
            groups: Vec::new(),
            inverse: Vec::new(),
            left: reservations_left(input),
            held: BTreeSet::new(),
            tolerate_prefer_no_schedule: input
                .pools
                .iter()
                .flat_map(|pool| &pool.spec.template.spec.taints)
                .any(|taint| taint.effect == TaintEffect::PreferNoSchedule),
            place: Place { seed, attempt: 0, candidate: 0 },
        };
        for bound in input.bound.iter().filter(|bound| bound.present > 0) {
            let shape = &input.shapes[bound.shape];
            for constraint in required_anti_affinity(shape.spec, shape.labels) {
                let group = plain.inverse_group(&constraint, &shape.spec.tolerations);
                let node = &input.nodes[bound.node];
                let domain = if constraint.key == labels::HOSTNAME {
                    Some(node.hostname.to_owned())
                } else {
                    node.labels.get(&constraint.key).cloned()
                };
                if let Some(domain) = domain {
                    *plain.inverse[group].counts.entry(domain).or_default() += 1;
                }
            }
        }
        plain
    }

    fn data(&self, shape: usize, spec: &PodSpec) -> PodData {
        PodData {
            spec: spec.clone(),
            labels: self.input.shapes[shape].labels.clone(),
            shape,
            requests: spec.requests(),
            requirements: pod_requirements::with_preferences(spec, self.input.options.preferences),
            strict: pod_requirements::strict(spec),
            volumes: volume_alternatives(&self.input.shapes[shape].volume_topology),
        }
    }

    fn try_schedule(&mut self, pod: usize, data: &mut [PodData]) -> bool {
        loop {
            match self.add(pod, &data[pod]) {
                Ok(()) => return true,
                Err(Refusal::Reserved) => return false,
                Err(Refusal::Other) => {}
            }
            let mut spec = data[pod].spec.clone();
            if !preferences::relax(&mut spec, self.tolerate_prefer_no_schedule) {
                return false;
            }
            data[pod] = self.data(data[pod].shape, &spec);
            self.update(pod, &data[pod]);
        }
    }

    fn add(&mut self, pod: usize, data: &PodData) -> Result<(), Refusal> {
        self.place.attempt += 1;
        for position in 0..self.existing.len() {
            if let Some(requirements) = self.fits_existing(position, pod, data) {
                let node = &mut self.existing[position];
                node.pods.push(pod);
                node.room -= data.requests;
                node.ports.extend(host_ports(&data.spec));
                node.volumes = node.volumes.map(|left| left - self.input.shapes[data.shape].volumes);
                node.requirements = requirements.clone();
                let taints = node.taints.clone();
                self.record(pod, data, &taints, &requirements);
                return Ok(());
            }
        }
        sort_slice(&mut self.claims, |a, b| a.pods.len() < b.pods.len());
        for index in 0..self.claims.len() {
            let place = Place { candidate: Place::claim(self.claims[index].ordinal), ..self.place };
            if let Ok(added) = self.can_add(&self.claims[index], pod, data, false, place) {
                self.put(index, pod, data, added);
                return Ok(());
            }
        }
        for template in 0..self.templates.len() {
            match self.open(template, pod, data) {
                Ok(()) => return Ok(()),
                Err(Refusal::Reserved) => return Err(Refusal::Reserved),
                Err(Refusal::Other) => {}
            }
        }
        Err(Refusal::Other)
    }

    fn fits_existing(&self, position: usize, pod: usize, data: &PodData) -> Option<Requirements> {
        let node = &self.existing[position];
        let closed = node.gate && self.input.pods[pod].gated;
        let volumes = self.input.shapes[data.shape].volumes;
        if closed
            || !tolerates(&data.spec.tolerations, &node.taints)
            || node.volumes.is_some_and(|left| volumes > left)
            || ports_conflict(&host_ports(&data.spec), &node.ports)
            || !data.requests.fits(&node.room)
            || node.requirements.compatible(&data.requirements, Undefined::Denied).is_err()
        {
            return None;
        }
        let mut base = node.requirements.clone();
        base.add_all(&data.requirements);
        let place = Place { candidate: Place::existing(position), ..self.place };
        for volumes in &data.volumes {
            let mut merged = base.clone();
            if merged.compatible(volumes, Undefined::Denied).is_err() {
                continue;
            }
            merged.add_all(volumes);
            let Some(narrowed) = self.narrow(pod, data, &merged, place) else { continue };
            if merged.compatible(&narrowed, Undefined::Denied).is_err() {
                continue;
            }
            merged.add_all(&narrowed);
            return Some(merged);
        }
        None
    }

    fn open(&mut self, index: usize, pod: usize, data: &PodData) -> Result<(), Refusal> {
        let template = &self.templates[index];
        let remaining = &self.remaining[template.pool];
        if remaining.get(&Resource::Nodes) == Some(&0) {
            return Err(Refusal::Other);
        }
        let within = |id: &TypeId| {
            let capacity = &template.catalogue.get(*id).capacity;
            remaining.iter().all(|(resource, left)| capacity.get(*resource) <= *left)
        };
        let options: Vec<TypeId> = template.options.iter().copied().filter(within).collect();
        if options.is_empty() {
            return Err(Refusal::Other);
        }
        let ordinal = self.claims.len();
        let host = format!("hostname-placeholder-{:04}", ordinal + 1);
        let mut requirements = template.requirements.clone();
        requirements.add(labels::HOSTNAME, Requirement::is(&host));
        let claim = Claim {
            template: index,
            ordinal,
            host,
            requirements,
            options,
            groups: template.daemons.clone(),
            requests: Resources::ZERO,
            pods: Vec::new(),
            reserved: Vec::new(),
            relaxed: false,
        };
        let relax = self.input.options.min_values == MinValuesPolicy::BestEffort;
        let place = Place { candidate: Place::template(index), ..self.place };
        let added = self.can_add(&claim, pod, data, relax, place)?;
        let pool = template.pool;
        self.claims.push(claim);
        self.put(ordinal, pod, data, added);
        let claim = &self.claims[ordinal];
        let catalogue = self.templates[index].catalogue;
        for (resource, left) in &mut self.remaining[pool] {
            *left -= claim.options.iter().map(|id| catalogue.get(*id).capacity.get(*resource)).max().unwrap_or(0);
        }
        Ok(())
    }

    fn put(&mut self, index: usize, pod: usize, data: &PodData, (requirements, options, reserved, relaxed): Added) {
        let claim = &mut self.claims[index];
        claim.pods.push(pod);
        claim.options = options;
        claim.requests += data.requests;
        claim.requirements = requirements.clone();
        claim.relaxed |= relaxed;
        for group in &mut claim.groups {
            group.ports.extend(host_ports(&data.spec));
        }
        for reservation in &reserved {
            if self.held.insert((claim.host.clone(), *reservation)) {
                *self.left.get_mut(reservation).expect("a reservation") -= 1;
            }
        }
        for reservation in &claim.reserved {
            if !reserved.contains(reservation) && self.held.remove(&(claim.host.clone(), *reservation)) {
                *self.left.get_mut(reservation).expect("a reservation") += 1;
            }
        }
        claim.reserved = reserved;
        let taints = self.templates[claim.template].taints.clone();
        self.record(pod, data, &taints, &requirements);
    }

    fn can_add(&self, claim: &Claim, pod: usize, data: &PodData, relax: bool, place: Place) -> Result<Added, Refusal> {
        let template = &self.templates[claim.template];
        if !tolerates(&data.spec.tolerations, &template.taints)
            || claim.requirements.compatible(&data.requirements, Undefined::WellKnownAllowed).is_err()
        {
            return Err(Refusal::Other);
        }
        let mut base = claim.requirements.clone();
        base.add_all(&data.requirements);
        let mut last = Refusal::Other;
        for volumes in &data.volumes {
            match self.with_volumes(claim, pod, data, &base, volumes, relax, place) {
                Ok(added) => return Ok(added),
                Err(refusal) => last = refusal,
            }
        }
        Err(last)
    }

    fn with_volumes(
        &self,
        claim: &Claim,
        pod: usize,
        data: &PodData,
        base: &Requirements,
        volumes: &Requirements,
        relax: bool,
        place: Place,
    ) -> Result<Added, Refusal> {
        let template = &self.templates[claim.template];
        let mut requirements = base.clone();
        if requirements.compatible(volumes, Undefined::WellKnownAllowed).is_err() {
            return Err(Refusal::Other);
        }
        requirements.add_all(volumes);
        let narrowed = self.narrow(pod, data, &requirements, place).ok_or(Refusal::Other)?;
        if requirements.compatible(&narrowed, Undefined::WellKnownAllowed).is_err() {
            return Err(Refusal::Other);
        }
        requirements.add_all(&narrowed);
        let total = claim.requests + data.requests;
        let mut options = Vec::new();
        for group in &claim.groups {
            if ports_conflict(&host_ports(&data.spec), &group.ports) {
                continue;
            }
            for id in group.types.iter().filter(|id| claim.options.contains(id)) {
                if type_remains(template.catalogue, *id, &requirements, total + group.overhead) {
                    options.push(*id);
                }
            }
        }
        options.sort_unstable();
        if options.is_empty() {
            return Err(Refusal::Other);
        }
        let unmet = unmet_min_values(template.catalogue, &requirements, &options);
        if !unmet.is_empty() && !relax {
            return Err(Refusal::Other);
        }
        for (key, count) in &unmet {
            let lowered = requirements.get(key).expect("a requirement").clone().with_min_values(Some(*count));
            requirements.set(key, lowered);
        }
        let reserved = self.to_reserve(claim, &requirements, &options)?;
        Ok((requirements, options, reserved, !unmet.is_empty()))
    }

    fn to_reserve(
        &self,
        claim: &Claim,
        requirements: &Requirements,
        options: &[TypeId],
    ) -> Result<Vec<ReservationId>, Refusal> {
        if !self.input.options.reserved_capacity {
            return Ok(Vec::new());
        }
        let catalogue = self.templates[claim.template].catalogue;
        let (mut compatible, mut reserved) = (false, Vec::new());
        for id in options {
            for offering in catalogue.get(*id).offerings.iter().filter(|o| o.available) {
                if offering.capacity_type == CapacityType::Reserved
                    && offering_allowed(catalogue, offering, requirements)
                {
                    compatible = true;
                    let reservation = offering.reservation.expect("a reservation");
                    if self.held.contains(&(claim.host.clone(), reservation))
                        || self.left.get(&reservation).is_some_and(|left| *left > 0)
                    {
                        reserved.push(reservation);
                    }
                }
            }
        }
        if self.input.options.reserved_strict && reserved.is_empty() && (compatible || !claim.reserved.is_empty()) {
            return Err(Refusal::Reserved);
        }
        Ok(reserved)
    }

    fn narrow(&self, pod: usize, data: &PodData, node: &Requirements, place: Place) -> Option<Requirements> {
        let mut narrowed = node.clone();
        let own = self.groups.iter().filter(|group| group.owners.contains(&pod));
        let others = self.inverse.iter().filter(|group| group.selects(&data.labels));
        for group in own.chain(others) {
            let key = &group.constraint.key;
            let anything = Requirement::exists();
            let domains = group.next(
                &data.labels,
                data.strict.get(key).unwrap_or(&anything),
                node.get(key).unwrap_or(&anything),
                place,
            );
            if domains.is_empty() {
                return None;
            }
            narrowed.add(key, Requirement::one_of(domains));
        }
        Some(narrowed)
    }

    fn record(&mut self, pod: usize, data: &PodData, taints: &[Taint], node: &Requirements) {
        for group in &mut self.groups {
            if !group.selects(&data.labels) || !group.admits(taints, node) {
                continue;
            }
            let Some(domains) = node.get(&group.constraint.key) else { continue };
            if group.constraint.kind == Kind::AntiAffinity || domains.single().is_some() {
                for domain in domains.values() {
                    *group.counts.entry(domain.to_owned()).or_default() += 1;
                }
            }
        }
        for group in self.inverse.iter_mut().filter(|group| group.owners.contains(&pod)) {
            for domain in node.get(&group.constraint.key).iter().flat_map(|domains| domains.values()) {
                *group.counts.entry(domain.to_owned()).or_default() += 1;
            }
        }
    }

    fn update(&mut self, pod: usize, data: &PodData) {
        for group in &mut self.groups {
            group.owners.remove(&pod);
        }
        for constraint in required_anti_affinity(&data.spec, &data.labels) {
            let group = self.inverse_group(&constraint, &data.spec.tolerations);
            self.inverse[group].owners.insert(pod);
        }
        for (constraint, min_domains) in constraints(&data.spec, &data.labels, self.input.options.preferences) {
            let known = self.groups.iter().position(|group| group.constraint == constraint);
            let group = known.unwrap_or_else(|| {
                let mut group = self.new_group(&constraint, min_domains, &data.spec.tolerations);
                self.count(&mut group);
                self.groups.push(group);
                self.groups.len() - 1
            });
            self.groups[group].owners.insert(pod);
        }
    }

    fn inverse_group(&mut self, constraint: &Constraint, tolerations: &[Toleration]) -> usize {
        let known = self.inverse.iter().position(|group| group.constraint == *constraint);
        known.unwrap_or_else(|| {
            let group = self.new_group(constraint, None, tolerations);
            self.inverse.push(group);
            self.inverse.len() - 1
        })
    }

    fn new_group(&self, constraint: &Constraint, min_domains: Option<u32>, tolerations: &[Toleration]) -> Group {
        let ignored = constraint.filter.as_ref().is_some_and(|filter| filter.taints == NodeInclusionPolicy::Ignore);
        let mut counts = BTreeMap::new();
        for pool in &self.input.pools {
            let Some(catalogue) = pool.catalogue.map(|index| &self.input.catalogues[index]) else { continue };
            let template = &pool.spec.template;
            if catalogue.types.is_empty() || !(ignored || tolerates(tolerations, &template.spec.taints)) {
                continue;
            }
            let mut own = Requirements::of_list(&template.spec.requirements);
            own.add_all(&Requirements::of_labels(&template.metadata.labels));
            for instance_type in &catalogue.types {
                let mut all = own.clone();
                if let Some(answer) = type_requirement(catalogue, instance_type, &constraint.key) {
                    all.add(&constraint.key, answer);
                }
                let domains =
                    all.get(&constraint.key).iter().flat_map(|r| r.values()).map(str::to_owned).collect::<Vec<_>>();
                counts.extend(domains.into_iter().map(|domain| (domain, 0)));
            }
            if let Some(values) = own.get(&constraint.key).filter(|r| r.effect() == Effect::In) {
                counts.extend(values.values().map(|domain| (domain.to_owned(), 0)));
            }
        }
        Group { constraint: constraint.clone(), min_domains, counts, owners: BTreeSet::new() }
    }

    fn count(&self, group: &mut Group) {
        let key = group.constraint.key.clone();
        let requirements = |node: usize| {
            let node = &self.input.nodes[node];
            let mut requirements = Requirements::of_labels(node.labels);
            requirements.add(labels::HOSTNAME, Requirement::is(node.hostname));
            (requirements, node.taints.iter().map(|taint| (*taint).clone()).collect::<Vec<_>>())
        };
        for (index, node) in self.input.nodes.iter().enumerate() {
            let (own, taints) = requirements(index);
            if node.has_node
                && node.target
                && group.admits(&taints, &own)
                && let Some(domain) = node.labels.get(&key)
            {
                group.counts.entry(domain.clone()).or_insert(0);
            }
        }
        for bound in &self.input.bound {
            let node = &self.input.nodes[bound.node];
            let counted = group.constraint.selector.is_none() || group.selects(self.input.shapes[bound.shape].labels);
            let domain =
                if key == labels::HOSTNAME { Some(node.hostname) } else { node.labels.get(&key).map(String::as_str) };
            let (own, taints) = requirements(bound.node);
            if let Some(domain) = domain
                && counted
                && bound.running > 0
                && group.admits(&taints, &own)
            {
                *group.counts.entry(domain.to_owned()).or_default() += i64::from(bound.running);
            }
        }
    }

    fn finish(mut self, pending: BTreeSet<usize>) -> Plan {
        let mut plan = Plan { pending: pending.into_iter().collect(), ..Plan::default() };
        let filled = self.existing.iter().filter(|node| !node.pods.is_empty());
        plan.existing = filled.map(|node| (node.node, node.pods.clone())).collect();
        for claim in std::mem::take(&mut self.claims) {
            let template = &self.templates[claim.template];
            let mut requirements = claim.requirements;
            for key in [labels::HOSTNAME, labels::REGISTERED, labels::INITIALIZED] {
                requirements.remove(key);
            }
            let present = claim.groups.iter().filter(|group| group.types.iter().any(|id| claim.options.contains(id)));
            let least = present
                .map(|group| group.overhead)
                .reduce(|a, b| Resources(std::array::from_fn(|i| a.0[i].min(b.0[i]))))
                .unwrap_or(Resources::ZERO);
            let mut options = claim.options;
            if !claim.reserved.is_empty() {
                requirements.set(labels::CAPACITY_TYPE, Requirement::is("reserved"));
                let names = claim.reserved.iter().map(|id| template.catalogue.reservation(*id).id.clone());
                requirements.add(labels::RESERVATION_ID, Requirement::one_of(names));
            }
            order_by_price(template.catalogue, &mut options, &requirements);
            options.truncate(self.input.options.max_instance_types);
            if self.input.options.min_values == MinValuesPolicy::Strict
                && !unmet_min_values(template.catalogue, &requirements, &options).is_empty()
            {
                plan.pending.extend(claim.pods);
                continue;
            }
            plan.claims.push(PlannedClaim {
                pool: template.pool,
                requirements,
                options,
                requests: claim.requests + least,
                pods: claim.pods,
                min_values_relaxed: claim.relaxed,
            });
        }
        plan.pending.sort_unstable();
        plan
    }
}
