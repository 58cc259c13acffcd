//! What the selectors of an EC2NodeClass find in the account (karpenter-provider-aws `pkg/providers/amifamily/ami.go`,
//! `pkg/providers/subnet/subnet.go`, `pkg/providers/securitygroup/securitygroup.go`, `pkg/providers/ssm/provider.go`).

use std::collections::BTreeMap;

use crate::api::karpenter::{AmiSelectorTerm, SecurityGroupSelectorTerm, SubnetSelectorTerm};
use crate::cluster::node_class::{Found, FoundAmi, FoundSubnet, Selectors};
use crate::scenario::account::{
    Ami, Architecture, Lasting, SecurityGroup, Subnet, selects_ami, selects_security_group, selects_subnet, split_alias,
};
use crate::time::{Duration, Time};

/// How often a node class is looked at: the shortest of the periods of its parts (`nodeclass/controller.go: Reconcile`,
/// `result.Min`; `nodeclass/subnet.go`). No list is older than that (`--ami-refresh-interval`, `--subnet-refresh-interval`, `DefaultTTL`).
pub const RECONCILE: Duration = Duration::from_mins(1);
/// How long the value of a parameter of EKS's is remembered (`ssm/types.go: GetCacheDuration`).
pub const ALIAS_TTL: Duration = Duration::from_hours(24);
/// How long the value of a parameter of one's own is.
pub const PARAMETER_TTL: Duration = Duration::from_mins(5);

/// What there is in the account.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// `[[amis]]`.
    pub amis: &'a [Ami],
    /// `[[subnets]]`.
    pub subnets: &'a [Subnet],
    /// `[[securityGroups]]`.
    pub security_groups: &'a [SecurityGroup],
}

/// What Karpenter remembers of parameters of SSM (`ssm.DefaultProvider`).
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// Releases by the families of aliases.
    aliases: Remembered,
    /// Ids of AMIs by the names of one's own parameters.
    own: Remembered,
}

/// By name: the value, and until when it is taken for granted.
type Remembered = BTreeMap<String, (String, Time)>;

impl Parameters {
    /// Takes what is remembered as asked for some time ago: aliases are asked for again at `aliases`, other parameters at `own`.
    pub fn ask_again(&mut self, aliases: Time, own: Time) {
        self.aliases.values_mut().for_each(|(_, until)| *until = aliases);
        self.own.values_mut().for_each(|(_, until)| *until = own);
    }

    /// A restart: nothing is remembered.
    pub fn clear(&mut self) {
        (self.aliases, self.own) = (Remembered::new(), Remembered::new());
    }
}

/// The value of a parameter (`ssm.DefaultProvider.Get`): that there is none is not remembered.
fn look_up(
    known: &mut Remembered,
    name: &str,
    holds: Duration,
    now: Time,
    ask: impl FnOnce() -> Option<String>,
) -> Option<String> {
    if let Some((value, until)) = known.get(name)
        && now < *until
    {
        return Some(value.clone());
    }
    let value = ask()?;
    known.insert(name.to_owned(), (value.clone(), now + holds));
    Some(value)
}

/// What the selectors find now.
#[must_use]
pub fn find(selectors: &Selectors, account: Account<'_>, parameters: &mut Parameters, now: Time) -> Found {
    Found {
        amis: amis(&selectors.amis, account.amis, parameters, now),
        subnets: subnets(&selectors.subnets, account.subnets, now),
        security_groups: security_groups(&selectors.security_groups, account.security_groups, now),
    }
}

/// `DefaultProvider.List` of AMIs: for an alias its release, else of every architecture the latest AMI that a term selects.
fn amis(terms: &[AmiSelectorTerm], all: &[Ami], parameters: &mut Parameters, now: Time) -> Option<Vec<FoundAmi>> {
    if all.is_empty() || terms.is_empty() {
        return None;
    }
    if let Some(alias) = terms.iter().find_map(|term| term.alias.as_deref()) {
        return Some(vec![FoundAmi { id: release(alias, all, parameters, now), architecture: None }]);
    }
    if all.iter().all(|ami| ami.id.is_none()) {
        return None;
    }
    let terms: Vec<AmiSelectorTerm> =
        terms.iter().filter_map(|term| by_parameter(term, all, parameters, now)).collect();
    let there = all.iter().filter(|ami| ami.is_there(now) && terms.iter().any(|term| selects_ami(term, ami)));
    let mut found: Vec<(Time, &Ami)> = there.map(|ami| (created(ami, all), ami)).collect();
    // The latest first; of those made at the same time the last by name, as `compareAMI` has it.
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| b.1.name.cmp(&a.1.name)).then_with(|| a.1.id.cmp(&b.1.id)));
    let latest = |architecture| found.iter().find(|(_, ami)| ami.architecture == architecture);
    let mut latest: Vec<&(Time, &Ami)> = Architecture::ALL.iter().filter_map(|own| latest(*own)).collect();
    latest.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let found = latest
        .iter()
        .filter_map(|(_, ami)| Some(FoundAmi { id: ami.id.clone()?, architecture: Some(ami.architecture.label()) }));
    Some(found.collect())
}

/// What an alias stands for: itself, or of one with `@latest` the latest release; before the first that is listed, one without a name.
fn release(alias: &str, all: &[Ami], parameters: &mut Parameters, now: Time) -> String {
    let Some((family, None)) = split_alias(alias) else { return alias.to_owned() };
    let ask = || {
        let releases =
            all.iter().filter(|ami| ami.is_there(now)).filter_map(|ami| Some((ami.from, ami.alias.as_ref()?)));
        let own = releases.filter(|(_, release)| split_alias(release).is_some_and(|(own, _)| own == family));
        Some(own.max().map_or_else(|| alias.to_owned(), |(_, release)| release.clone()))
    };
    look_up(&mut parameters.aliases, family, ALIAS_TTL, now, ask).unwrap_or_else(|| alias.to_owned())
}

/// The term, with the id that its parameter of SSM holds; `None` = there is no such parameter.
fn by_parameter(
    term: &AmiSelectorTerm,
    all: &[Ami],
    parameters: &mut Parameters,
    now: Time,
) -> Option<AmiSelectorTerm> {
    let Some(name) = &term.ssm_parameter else { return Some(term.clone()) };
    let ask = || {
        let held = all.iter().filter(|ami| ami.is_there(now) && ami.ssm_parameter.as_ref() == Some(name));
        held.max_by_key(|ami| ami.from).and_then(|ami| ami.id.clone())
    };
    let id = look_up(&mut parameters.own, name, PARAMETER_TTL, now, ask)?;
    Some(AmiSelectorTerm { id: Some(id), ssm_parameter: None, ..term.clone() })
}

/// When an AMI was made, however often it changed since.
fn created(ami: &Ami, all: &[Ami]) -> Time {
    let same = all.iter().filter(|other| other.id == ami.id);
    same.map(|other| other.span().0).min().unwrap_or(ami.span().0)
}

/// `DefaultProvider.List` of subnets.
fn subnets(terms: &[SubnetSelectorTerm], all: &[Subnet], now: Time) -> Option<Vec<FoundSubnet>> {
    if all.is_empty() || terms.is_empty() {
        return None;
    }
    let found = all.iter().filter(|own| own.is_there(now) && terms.iter().any(|term| selects_subnet(term, own)));
    let mut found: Vec<FoundSubnet> =
        found.map(|subnet| FoundSubnet { id: subnet.id.clone(), zone: subnet.zone.clone() }).collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Some(found)
}

/// `DefaultProvider.List` of security groups.
fn security_groups(terms: &[SecurityGroupSelectorTerm], all: &[SecurityGroup], now: Time) -> Option<Vec<String>> {
    if all.is_empty() || terms.is_empty() {
        return None;
    }
    let found =
        all.iter().filter(|own| own.is_there(now) && terms.iter().any(|term| selects_security_group(term, own)));
    let mut found: Vec<String> = found.map(|group| group.id.clone()).collect();
    found.sort_unstable();
    Some(found)
}

/// The subnet of a zone that a launch goes to: the one with most free addresses, of equal ones the first by id
/// (`ZonalSubnetsForLaunch`). All subnets are taken to be of one size: `used` gives the addresses in use.
#[must_use]
pub fn subnet_for_launch<'a>(found: &'a Found, zone: &str, used: impl Fn(&str) -> i64) -> Option<&'a str> {
    let in_zone = found.subnets.as_ref()?.iter().filter(|subnet| subnet.zone == zone);
    in_zone.map(|subnet| subnet.id.as_str()).min_by_key(|id| used(id))
}
