//! `[[amis]]`, `[[subnets]]` and `[[securityGroups]]`: what there is in the account for the selectors of EC2NodeClasses to find, and when.

use std::collections::BTreeMap;

use super::files::name_matches;
use crate::api::karpenter::{AmiSelectorTerm, SecurityGroupSelectorTerm, SubnetSelectorTerm};
use crate::time::{Duration, Time};
use crate::{choice, object};

/// Version of an alias that follows the releases.
const LATEST: &str = "latest";

object! {
    /// An image, for `amiSelectorTerms`: a release of EKS's own images (`alias`), or one of the account (`id`). Nodes drift when their EC2NodeClass
    /// finds another one for their instance type. Karpenter looks each minute, but remembers for 24 h what an alias with `@latest` stands for.
    pub struct Ami {
        /// A release for all architectures, such as `al2023@v20260801`. What `al2023@latest` stands for before the first release here has no name.
        pub alias: Option<String>,
        /// Id: `ami-` and lower-case letters or digits. An image that changes is written once for each time; the times do not overlap.
        pub id: Option<String>,
        /// Name, for selector terms.
        pub name: Option<String>,
        /// Tags, for selector terms.
        pub tags: BTreeMap<String, String>,
        /// Parameter of SSM that holds its id; of several images the latest.
        pub ssm_parameter: Option<String>,
        /// What it runs on. Without `alias` Karpenter takes, of all images of an architecture that it finds, the latest.
        pub architecture: Architecture = Architecture::X86_64,
        /// When it is published.
        pub from: Duration = Duration::ZERO,
        /// When it is deregistered; absent = after the run.
        pub until: Option<Duration>,
    }
}

choice! {
    /// Processor architecture of an image.
    pub enum Architecture {
        /// Intel and AMD.
        X86_64 = "x86_64",
        /// Graviton.
        Arm64 = "arm64",
    }
}

object! {
    /// A subnet, for `subnetSelectorTerms`. An EC2NodeClass launches only in zones of the subnets it finds, and nodes in one that it no longer finds
    /// drift. Karpenter looks each minute.
    pub struct Subnet {
        /// Id: `subnet-` and lower-case letters or digits. A subnet that changes is written once for each time; the times do not overlap.
        pub id: String,
        /// Zone, one of the simulation's.
        pub zone: String,
        /// Tags, for selector terms.
        pub tags: BTreeMap<String, String>,
        /// When it is there.
        pub from: Duration = Duration::ZERO,
        /// When it is gone; absent = after the run.
        pub until: Option<Duration>,
    }
}

object! {
    /// A security group, for `securityGroupSelectorTerms`. Nodes drift when their EC2NodeClass finds others than they were launched with. Karpenter
    /// looks each minute.
    pub struct SecurityGroup {
        /// Id: `sg-` and lower-case letters or digits. A group that changes is written once for each time; the times do not overlap.
        pub id: String,
        /// Name, for selector terms.
        pub name: Option<String>,
        /// Tags, for selector terms.
        pub tags: BTreeMap<String, String>,
        /// When it is there.
        pub from: Duration = Duration::ZERO,
        /// When it is gone; absent = after the run.
        pub until: Option<Duration>,
    }
}

/// Something of the account that is there for a time.
pub trait Lasting {
    /// Id; `None` for releases of EKS's images.
    fn id(&self) -> Option<&str>;
    /// When it is there, and when it is gone ([`Time::MAX`] = never).
    fn span(&self) -> (Time, Time);
    /// Whether it is there.
    fn is_there(&self, now: Time) -> bool {
        let (begin, end) = self.span();
        begin <= now && now < end
    }
}

fn span(from: Duration, until: Option<Duration>) -> (Time, Time) {
    (Time::ZERO + from, until.map_or(Time::MAX, |until| Time::ZERO + until))
}

impl Lasting for Ami {
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
    fn span(&self) -> (Time, Time) {
        span(self.from, self.until)
    }
}

impl Lasting for Subnet {
    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
    fn span(&self) -> (Time, Time) {
        span(self.from, self.until)
    }
}

impl Lasting for SecurityGroup {
    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
    fn span(&self) -> (Time, Time) {
        span(self.from, self.until)
    }
}

impl Architecture {
    /// Value of the label `kubernetes.io/arch` (`AWSToKubeArchitectures`).
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Architecture::X86_64 => "amd64",
            Architecture::Arm64 => "arm64",
        }
    }
}

/// Family and version of an alias; the version is `None` for `latest`.
#[must_use]
pub fn split_alias(alias: &str) -> Option<(&str, Option<&str>)> {
    let (family, version) = alias.split_once('@')?;
    Some((family, (version != LATEST).then_some(version)))
}

/// Whether a term selects an image of the account (`ami.go: DescribeImageQueries`); those of an alias are selected elsewhere.
#[must_use]
pub fn selects_ami(term: &AmiSelectorTerm, ami: &Ami) -> bool {
    let Some(id) = &ami.id else { return false };
    if let Some(wanted) = &term.id {
        return wanted == id;
    }
    if term.ssm_parameter.is_some() {
        return term.ssm_parameter == ami.ssm_parameter;
    }
    let named = |pattern: &String| ami.name.as_deref().is_some_and(|name| name_matches(pattern, name));
    let asks = term.name.is_some() || !term.tags.is_empty();
    asks && term.name.as_ref().is_none_or(named) && has_tags(&term.tags, &ami.tags)
}

/// Whether a term selects a subnet (`subnet.go: getFilterSets`).
#[must_use]
pub fn selects_subnet(term: &SubnetSelectorTerm, subnet: &Subnet) -> bool {
    match &term.id {
        Some(id) => *id == subnet.id,
        None => !term.tags.is_empty() && has_tags(&term.tags, &subnet.tags),
    }
}

/// Whether a term selects a security group (`securitygroup.go: getFilterSets`).
#[must_use]
pub fn selects_security_group(term: &SecurityGroupSelectorTerm, group: &SecurityGroup) -> bool {
    match (&term.id, &term.name) {
        (Some(id), _) => *id == group.id,
        (None, Some(name)) => group.name.as_ref().is_some_and(|own| name_matches(name, own)),
        (None, None) => !term.tags.is_empty() && has_tags(&term.tags, &group.tags),
    }
}

/// Whether something has all tags that are asked for; the value `*` stands for any.
#[must_use]
pub fn has_tags(wanted: &BTreeMap<String, String>, tags: &BTreeMap<String, String>) -> bool {
    let has = |(key, wanted): (&String, &String)| tags.get(key).is_some_and(|value| name_matches(wanted, value));
    wanted.iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_have_a_family_and_a_version() {
        assert_eq!(split_alias("al2023@latest"), Some(("al2023", None)));
        assert_eq!(split_alias("bottlerocket@v1.20.0"), Some(("bottlerocket", Some("v1.20.0"))));
        assert_eq!(split_alias("al2023"), None);
    }
}
