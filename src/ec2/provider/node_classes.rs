//! Node classes in a run: Karpenter looks each minute what their selectors find (karpenter-provider-aws
//! `pkg/controllers/nodeclass/controller.go`).

use std::sync::Arc;

use super::{Ec2, Event};
use crate::cluster::catalogue::ZoneId;
use crate::cluster::node_class::{Found, NodeClassVersion};
use crate::cluster::{Action, Cluster, NodeClassId, Rule, Subject, World};
use crate::ec2::selectors::{ALIAS_TTL, Account, PARAMETER_TTL, RECONCILE, find};
use crate::engine::Agenda;
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::{Duration, Time};

/// What there is in the account; `None` = the scenario does not say.
fn account(scenario: &Scenario) -> Option<Account<'_>> {
    let account =
        Account { amis: &scenario.amis, subnets: &scenario.subnets, security_groups: &scenario.security_groups };
    let is_known = !account.amis.is_empty() || !account.subnets.is_empty() || !account.security_groups.is_empty();
    is_known.then_some(account)
}

fn ids(cluster: &Cluster) -> impl Iterator<Item = NodeClassId> + use<> {
    (0..cluster.node_classes.len() as u32).map(NodeClassId)
}

impl Ec2 {
    /// What the selectors find is known from the beginning; when Karpenter looks again is not.
    pub(super) fn start_node_classes(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if account(world.scenario).is_none() {
            return;
        }
        for class in ids(world.cluster) {
            let Some(found) = self.find(class, world) else { continue };
            let record = &mut world.cluster.node_classes[class.index()];
            record.version = record.version.as_ref().map(|version| Arc::new(with(version, found)));
            self.leave_zones(class, world);
        }
        let mut phases = self.streams.open("parameter phases", 0);
        let mut within = |span: Duration| Duration::from_secs_f64(span.as_secs_f64() * phases.unit());
        let (aliases, own) = (within(ALIAS_TTL), within(PARAMETER_TTL));
        let aliases = world.scenario.clocks.ami_alias_lookup.unwrap_or(aliases);
        self.parameters.ask_again(Time::ZERO + aliases, Time::ZERO + own);
        // The same controller looks at capacity reservations.
        let phase = RECONCILE.as_secs_f64() * self.streams.open("reservation poll phase", 0).unit();
        agenda.at(Time::ZERO + Duration::from_secs_f64(phase), Event::ReconcileNodeClasses);
    }

    /// A look at all node classes.
    pub(super) fn reconcile_node_classes(&mut self, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        for class in ids(world.cluster) {
            self.look_at_node_class(class, world);
        }
        agenda.at(world.now + RECONCILE, Event::ReconcileNodeClasses);
    }

    /// Karpenter starts again, and remembers no parameter.
    pub(super) fn restart_node_classes(&mut self, world: &mut World<'_>) {
        self.parameters.clear();
        for class in ids(world.cluster) {
            self.look_at_node_class(class, world);
        }
    }

    /// A look at a node class.
    pub(super) fn look_at_node_class(&mut self, class: NodeClassId, world: &mut World<'_>) {
        if world.scenario.outage_end(FaultKind::KarpenterDown, world.now).is_some() {
            return;
        }
        let Some(version) = world.cluster.node_classes[class.index()].version.clone() else { return };
        let Some(found) = self.find(class, world).filter(|found| *found != version.found) else { return };
        let name = world.cluster.node_classes[class.index()].name.clone();
        for (rule, before, after) in differences(&version.found, &found) {
            let detail = format!("EC2NodeClass {name} finds {}, not {}", listed(&after), listed(&before));
            Self::log(world, Subject::Cluster, Action::Find, rule, detail);
        }
        world.cluster.set_node_class(class, with(&version, found));
        self.leave_zones(class, world);
    }

    /// What a node class finds now; `None` = the scenario does not say what there is.
    fn find(&mut self, class: NodeClassId, world: &World<'_>) -> Option<Found> {
        let version = world.cluster.node_classes[class.index()].version.as_ref()?;
        Some(find(&version.selectors, account(world.scenario)?, &mut self.parameters, world.now))
    }

    /// Offerings are available where the node class has a subnet and nothing was refused lately (`base_resolver.go`).
    fn leave_zones(&mut self, class: NodeClassId, world: &mut World<'_>) {
        let Some(version) = world.cluster.node_classes[class.index()].version.clone() else { return };
        let catalogue = world.cluster.catalogues[class.index()].clone();
        let zones = (0..catalogue.zones.len() as u16).map(ZoneId);
        let without: Vec<ZoneId> = zones.filter(|zone| !version.found.reaches(catalogue.zone(*zone))).collect();
        if catalogue.without_subnet == without {
            return;
        }
        let is_free = |name: &str, zone: &str, capacity_type| {
            !self.unavailable.contains(&(capacity_type, name.to_owned(), zone.to_owned()))
        };
        world.cluster.set_zones_without_subnet(class, without, is_free);
        if !world.scenario.capacity_reservations.is_empty() {
            self.offer_reserved(world);
        }
    }
}

fn with(version: &NodeClassVersion, found: Found) -> NodeClassVersion {
    NodeClassVersion { found, ..version.clone() }
}

/// The kinds of which something else is found, with what was found and what is.
fn differences(before: &Found, after: &Found) -> Vec<(Rule, Vec<String>, Vec<String>)> {
    let amis = |found: &Found| -> Vec<String> { found.amis.iter().flatten().map(|ami| ami.id.clone()).collect() };
    let subnets =
        |found: &Found| -> Vec<String> { found.subnets.iter().flatten().map(|subnet| subnet.id.clone()).collect() };
    let groups = |found: &Found| found.security_groups.clone().unwrap_or_default();
    let all = [
        (Rule::AmisReady, amis(before), amis(after)),
        (Rule::SubnetsReady, subnets(before), subnets(after)),
        (Rule::SecurityGroupsReady, groups(before), groups(after)),
    ];
    all.into_iter().filter(|(_, before, after)| before != after).collect()
}

fn listed(ids: &[String]) -> String {
    if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") }
}
