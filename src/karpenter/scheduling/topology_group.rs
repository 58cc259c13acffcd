//! The counts of one group of topology constraints and the rule for the next domain (`topologygroup.go: TopologyGroup`).

use std::collections::BTreeMap;

use super::arena::SetId;
use super::constraints::{Kind, NodeFilter};
use super::requirement::{Effect, Requirement};
use super::tie::{Place, SLOTS, Slot};
use super::topology::Names;

/// Number of a domain's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Domain(pub(super) u32);

/// A node filter with its alternatives as sets and what each says of the host name.
pub(super) struct GroupFilter {
    pub(super) filter: NodeFilter,
    pub(super) alternatives: Vec<(SetId, Option<Requirement>)>,
}

/// Pods per domain.
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) key: String,
    /// Whether the key is the host name: each node is a domain of its own, and a new one can always be opened.
    pub(super) on_host: bool,
    pub(super) max_skew: u32,
    pub(super) min_domains: Option<u32>,
    pub(super) filter: Option<GroupFilter>,
    /// By shape: whether the selector selects its pods.
    pub(super) selects: Vec<bool>,
    pub(super) counts: BTreeMap<Domain, u32>,
    /// Pods counted in all.
    pub(super) recorded: u64,
}

impl Group {
    pub(super) fn record(&mut self, domain: Domain, pods: u32) {
        *self.counts.entry(domain).or_insert(0) += pods;
        self.recorded += u64::from(pods);
    }

    /// Whether a pod may go to this host. A host that is not known yet holds nothing.
    pub(super) fn host_allowed(&self, selected: bool, host: Domain, pod: Option<&Requirement>, names: &Names) -> bool {
        let count = self.counts.get(&host).copied().unwrap_or(0);
        match self.kind {
            Kind::Spread => count + u32::from(selected) <= self.max_skew,
            Kind::AntiAffinity => count == 0,
            Kind::Affinity => {
                pod.is_none_or(|pod| pod.has(names.get(host)))
                    && (count > 0 || (selected && !self.any_pod_within(pod, names)))
            }
        }
    }

    /// Domains to which the node is narrowed; none = the pod can't go there.
    pub(super) fn next(
        &self,
        selected: bool,
        pod: Option<&Requirement>,
        node: Option<&Requirement>,
        names: &Names,
        place: Place,
    ) -> Vec<Domain> {
        match self.kind {
            Kind::Spread => self.next_spread(selected, pod, node, names, place),
            Kind::Affinity => self.next_affinity(selected, pod, node, names, place),
            Kind::AntiAffinity => {
                let free = self.candidates(node, names).filter(|(_, count)| *count == 0).map(|(domain, _)| domain);
                free.filter(|domain| allows(pod, names.get(*domain))).collect()
            }
        }
    }

    /// Known domains that the node side allows, with their counts.
    fn candidates<'c>(
        &'c self,
        node: Option<&'c Requirement>,
        names: &'c Names,
    ) -> Box<dyn Iterator<Item = (Domain, u32)> + 'c> {
        match node {
            Some(node) if node.effect() == Effect::In => {
                let known = node.values().filter_map(|value| names.find(value));
                Box::new(known.filter_map(|domain| Some((domain, *self.counts.get(&domain)?))))
            }
            node => {
                let all = self.counts.iter().map(|(domain, count)| (*domain, *count));
                Box::new(all.filter(move |(domain, _)| allows(node, names.get(*domain))))
            }
        }
    }

    /// The least loaded domain that keeps the skew (`nextDomainTopologySpread`); ties at random.
    fn next_spread(
        &self,
        selected: bool,
        pod: Option<&Requirement>,
        node: Option<&Requirement>,
        names: &Names,
        place: Place,
    ) -> Vec<Domain> {
        let least = self.least(pod, names);
        let valid = self
            .candidates(node, names)
            .map(|(domain, count)| (count + u32::from(selected), domain))
            .filter(|(count, _)| i64::from(*count) - least <= i64::from(self.max_skew));
        let node = node.filter(|node| node.effect() == Effect::In);
        let rank = |domain| self.rank(0, domain, node, names, place);
        let best = valid.reduce(|best, other| {
            let earlier = other.0 < best.0 || (other.0 == best.0 && rank(other.1) < rank(best.1));
            if earlier { other } else { best }
        });
        best.map(|(_, domain)| domain).into_iter().collect()
    }

    /// When upstream comes to the domain, going over the values of a requirement or, without one, over the group's domains.
    fn rank(&self, purpose: u64, domain: Domain, values: Option<&Requirement>, names: &Names, place: Place) -> u64 {
        let name = names.get(domain);
        let members = values.map_or(self.counts.len(), |values| values.values().len());
        let index = match values {
            _ if members > SLOTS => 0,
            Some(values) => values.values().filter(|other| *other < name).count(),
            None => self.counts.keys().filter(|other| names.get(**other) < name).count(),
        };
        let slot = Slot { index, members, of_group: values.is_none() };
        place.rank(purpose, &self.key, name, slot)
    }

    /// Least count over the domains that the pod allows (`domainMinCount`).
    fn least(&self, pod: Option<&Requirement>, names: &Names) -> i64 {
        let supported = || self.counts.iter().filter(|(domain, _)| allows(pod, names.get(**domain)));
        if self.min_domains.is_some_and(|wanted| supported().count() < wanted as usize) {
            return 0;
        }
        supported().map(|(_, count)| i64::from(*count)).min().unwrap_or(i64::from(i32::MAX))
    }

    /// Domains that hold matching pods; to begin with, a domain of the node and a domain of the pod at random
    /// (`nextDomainAffinity`).
    fn next_affinity(
        &self,
        selected: bool,
        pod: Option<&Requirement>,
        node: Option<&Requirement>,
        names: &Names,
        place: Place,
    ) -> Vec<Domain> {
        let held = self.candidates(node, names).filter(|(domain, count)| *count > 0 && allows(pod, names.get(*domain)));
        let mut options: Vec<Domain> = held.map(|(domain, _)| domain).collect();
        if !options.is_empty() || !selected || self.any_pod_within(pod, names) {
            return options;
        }
        let of_pod = || self.counts.keys().filter(|domain| allows(pod, names.get(**domain)));
        let rank = |purpose: u64, domain: &Domain| self.rank(purpose, *domain, None, names, place);
        let shared = of_pod().filter(|domain| allows(node, names.get(**domain)));
        options.extend(shared.min_by_key(|domain| rank(1, domain)));
        options.extend(of_pod().min_by_key(|domain| rank(2, domain)));
        options.dedup();
        options
    }

    /// Whether a domain that the pod allows holds a matching pod (`anyCompatiblePodDomain`).
    fn any_pod_within(&self, pod: Option<&Requirement>, names: &Names) -> bool {
        self.recorded > 0 && self.counts.iter().any(|(domain, count)| *count > 0 && allows(pod, names.get(*domain)))
    }
}

fn allows(requirement: Option<&Requirement>, value: &str) -> bool {
    requirement.is_none_or(|requirement| requirement.has(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of equal zones the choice is that of Go's maps (`tie.rs`), by the names and not by the order in which the zones became known.
    #[test]
    fn of_equal_zones_the_first_by_name_is_taken_most_often() {
        let mut names = Names::default();
        let counts: BTreeMap<Domain, u32> = ["c", "b", "a"].map(|name| (names.intern(name), 1)).into();
        let group = Group {
            kind: Kind::Spread,
            key: "zone".to_owned(),
            on_host: false,
            max_skew: 1,
            min_domains: None,
            filter: None,
            selects: Vec::new(),
            counts,
            recorded: 3,
        };
        let node = Requirement::one_of(["a", "b", "c"].map(str::to_owned));
        let share = |node: Option<&Requirement>, name: &str| {
            let chosen = |seed| {
                let place = Place { seed, attempt: 1, candidate: 2 };
                group.next_spread(true, None, node, &names, place) == [names.find(name).expect("a zone")]
            };
            (0..20_000).filter(|seed| chosen(*seed)).count() as f64 / 20_000.0
        };
        for (node, wanted) in [(Some(&node), [0.75, 0.125, 0.125]), (None, [0.496, 0.252, 0.252])] {
            for (name, wanted) in ["a", "b", "c"].into_iter().zip(wanted) {
                assert!((share(node, name) - wanted).abs() < 0.02, "{name}: {}", share(node, name));
            }
        }
    }

    /// How often the first of the least loaded zones is taken, of 5,000 passes.
    fn share_of_the_first(zones: &[(&str, u32)]) -> f64 {
        let mut names = Names::default();
        let group = Group {
            kind: Kind::Spread,
            key: "zone".to_owned(),
            on_host: false,
            max_skew: 1,
            min_domains: None,
            filter: None,
            selects: Vec::new(),
            counts: zones.iter().map(|(name, count)| (names.intern(name), *count)).collect(),
            recorded: 0,
        };
        let first = names.find(zones[0].0).expect("a zone");
        let place = |seed| Place { seed, attempt: 1, candidate: 2 };
        let taken = (0..5000).filter(|seed| group.next_spread(true, None, None, &names, place(*seed)) == [first]);
        taken.count() as f64 / 5000.0
    }

    /// Eight members fill the eight slots: an iteration comes to the second first only if it begins there.
    #[test]
    fn of_two_equal_zones_beside_six_fuller_ones_the_first_is_taken_in_seven_of_eight_draws() {
        let zones = [("a", 1), ("b", 1), ("c", 2), ("d", 2), ("e", 2), ("f", 2), ("g", 2), ("h", 2)];
        let share = share_of_the_first(&zones);
        assert!((share - 0.875).abs() < 0.02, "{share}");
    }

    /// Larger maps are gone over evenly.
    #[test]
    fn of_nine_equal_zones_each_is_taken_as_often() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        for first in 0..names.len() {
            let mut zones = names.map(|name| (name, 1));
            zones.swap(0, first);
            let share = share_of_the_first(&zones);
            assert!((share - 1.0 / 9.0).abs() < 0.02, "{}: {share}", names[first]);
        }
    }
}
