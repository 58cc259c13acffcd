//! AMIs, subnets and security groups of the account, and the terms by which EC2NodeClasses select them.

use super::context::{At, Context};
use super::queues::after_the_end;
use super::selectors::{check_id, each_term, is_term, selects_nothing};
use super::settings::known_zone;
use crate::api::decode::{Problems, closest};
use crate::api::karpenter::{AmiSelectorTerm, Ec2NodeClassSpec};
use crate::scenario::account::{Ami, Lasting, selects_ami, selects_security_group, selects_subnet, split_alias};
use crate::time::Time;

/// Families of aliases (`ec2nodeclass.go: AMISelectorTerm.Alias`).
const FAMILIES: [&str; 6] = ["al2", "al2023", "bottlerocket", "windows2019", "windows2022", "windows2025"];

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (ami, at) in cx.elements("amis", &cx.scenario.amis) {
        check_ami(ami, at, problems);
    }
    for (subnet, at) in cx.elements("subnets", &cx.scenario.subnets) {
        check_id("subnet-", &subnet.id, "a subnet", at, problems);
        known_zone(&subnet.zone, at.span(&["zone"]), cx, problems);
    }
    for (group, at) in cx.elements("securityGroups", &cx.scenario.security_groups) {
        check_id("sg-", &group.id, "a security group", at, problems);
    }
    spans(cx, "amis", &cx.scenario.amis, problems);
    spans(cx, "subnets", &cx.scenario.subnets, problems);
    spans(cx, "securityGroups", &cx.scenario.security_groups, problems);
    for (class, at) in cx.elements("ec2NodeClasses", &cx.scenario.node_classes) {
        check_class(&class.spec, at, cx, problems);
    }
}

fn check_ami(ami: &Ami, at: At<'_>, problems: &mut Problems) {
    match (&ami.id, &ami.alias) {
        (Some(id), None) => check_id("ami-", id, "an AMI", at, problems),
        (None, Some(alias)) => {
            check_alias(alias, at, problems);
            if split_alias(alias).is_some_and(|(_, version)| version.is_none()) {
                problems.error(at.span(&["alias"]), "a release has a version", "`latest` stands for the last release");
            }
            let others = ["name", "tags", "ssmParameter", "architecture", "until"];
            if let Some(field) = others.iter().find(|field| at.has(&[field])) {
                problems.error(
                    at.key(&[field]),
                    format!("a release has no `{field}`"),
                    "only an AMI with `id` has one",
                );
            }
        }
        _ => problems.error(at.span(&[]), "an AMI is either one of the account or a release", "needs `id` or `alias`"),
    }
}

/// Family and version.
fn check_alias(alias: &str, at: At<'_>, problems: &mut Problems) {
    let span = at.span(&["alias"]);
    let Some((family, _)) = split_alias(alias) else {
        return problems.error(span, format!("`{alias}` is no alias"), "`family@version`, such as `al2023@latest`");
    };
    if !FAMILIES.contains(&family) {
        let help = closest(family, FAMILIES.into_iter())
            .map_or_else(|| format!("one of {}", FAMILIES.join(", ")), |near| format!("did you mean `{near}`?"));
        problems.error_with_help(span, format!("unknown family `{family}`"), "no such family", help);
    }
}

/// What is there ends after it begins, and is not two things at one time.
fn spans<T: Lasting>(cx: &Context<'_>, section: &str, all: &[T], problems: &mut Problems) {
    let all = cx.elements(section, all);
    for (number, (own, at)) in all.iter().enumerate() {
        let (begin, end) = own.span();
        after_the_end(begin.since(Time::ZERO), at.span(&["from"]), cx, problems);
        if end <= begin {
            problems.error(at.span(&["until"]), "it ends before it begins", "must be after `from`");
        }
        let same = |(other, _): &&(&T, At<'_>)| {
            let (from, until) = other.span();
            own.id().is_some() && own.id() == other.id() && from < end && begin < until
        };
        if let Some((_, first)) = all[..number].iter().find(same) {
            let id = own.id().unwrap_or_default();
            problems.error(at.span(&["id"]), format!("`{id}` is there twice at one time"), "the second one");
            problems.relate(first.span(&["id"]), "the first one");
        }
    }
}

fn check_class(spec: &Ec2NodeClassSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let scenario = cx.scenario;
    let amis = &spec.ami_selector_terms;
    each_term(amis, "amiSelectorTerms", at, problems, |term, at, problems| {
        if !check_ami_term(term, amis.len(), at, problems) || term.alias.is_some() {
            return;
        }
        if scenario.amis.iter().any(|ami| ami.id.is_some()) && !scenario.amis.iter().any(|ami| selects_ami(term, ami)) {
            selects_nothing("AMI", "`[[amis]]` holds what there is", at, problems);
        }
    });
    each_term(&spec.subnet_selector_terms, "subnetSelectorTerms", at, problems, |term, at, problems| {
        if let Some(id) = &term.id {
            check_id("subnet-", id, "a subnet", at, problems);
        }
        let asks = [("id", term.id.is_some()), ("tags", !term.tags.is_empty())];
        let subnets = &scenario.subnets;
        if is_term(&asks, &["id"], false, at, problems)
            && !subnets.is_empty()
            && !subnets.iter().any(|subnet| selects_subnet(term, subnet))
        {
            selects_nothing("subnet", "`[[subnets]]` holds what the account has", at, problems);
        }
    });
    each_term(&spec.security_group_selector_terms, "securityGroupSelectorTerms", at, problems, |term, at, problems| {
        if let Some(id) = &term.id {
            check_id("sg-", id, "a security group", at, problems);
        }
        let asks = [("id", term.id.is_some()), ("name", term.name.is_some()), ("tags", !term.tags.is_empty())];
        let groups = &scenario.security_groups;
        if is_term(&asks, &["id", "name"], false, at, problems)
            && !groups.is_empty()
            && !groups.iter().any(|group| selects_security_group(term, group))
        {
            selects_nothing("security group", "`[[securityGroups]]` holds what the account has", at, problems);
        }
    });
}

/// Whether a term for AMIs is one (`ec2nodeclass.go: AMISelectorTerms`).
fn check_ami_term(term: &AmiSelectorTerm, terms: usize, at: At<'_>, problems: &mut Problems) -> bool {
    if let Some(id) = &term.id {
        check_id("ami-", id, "an AMI", at, problems);
    }
    if let Some(alias) = &term.alias {
        check_alias(alias, at, problems);
        if alias.starts_with("windows") && split_alias(alias).is_some_and(|(_, version)| version.is_some()) {
            problems.error(at.span(&["alias"]), "Windows has no versions to select", "only `@latest`");
        }
        if terms > 1 {
            problems.error(at.span(&["alias"]), "an alias is the only term", "leave the other terms out");
            return false;
        }
    }
    let asks = [
        ("alias", term.alias.is_some()),
        ("id", term.id.is_some()),
        ("name", term.name.is_some()),
        ("tags", !term.tags.is_empty()),
        ("ssmParameter", term.ssm_parameter.is_some()),
    ];
    is_term(&asks, &["alias", "id"], at.has(&["owner"]), at, problems)
}
