//! Which of several groups grows (`expander/waste/waste.go`, `expander/mostpods/mostpods.go`, `expander/random/random.go`,
//! `expander/priority/priority.go`).

use super::estimator::Estimate;
use crate::engine::Stream;
use crate::scenario::node_groups::Expander;
use crate::units::{Resource, Resources};

/// A group that could take pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Its place in the list of groups.
    pub group: usize,
    /// What it would add.
    pub estimate: Estimate,
    /// Capacity of one of its nodes.
    pub capacity: Resources,
    /// The group's priority, if it has one.
    pub priority: Option<i64>,
}

impl Choice {
    /// Shares of CPU and memory of the added nodes that the pods leave, added up (`leastwaste: BestOptions`).
    #[must_use]
    pub fn waste(&self) -> f64 {
        let share = |resource: Resource| {
            let added = self.capacity.get(resource) as f64 * f64::from(self.estimate.nodes);
            if added == 0.0 { 0.0 } else { (added - self.estimate.requests.get(resource) as f64) / added }
        };
        share(Resource::Cpu) + share(Resource::Memory)
    }
}

/// The best choice; a draw among equals (`random.BestOption` is the fallback of every expander).
pub fn best(choices: &[Choice], expander: Expander, draw: &mut Stream) -> Option<Choice> {
    let score = |choice: &Choice| match expander {
        Expander::LeastWaste => -choice.waste(),
        Expander::MostPods => choice.estimate.pods as f64,
        Expander::Random => 0.0,
        Expander::Priority => choice.priority.map_or(f64::NEG_INFINITY, |priority| priority as f64),
    };
    let top = choices.iter().map(score).max_by(f64::total_cmp)?;
    let equals: Vec<&Choice> = choices.iter().filter(|choice| score(choice) >= top).collect();
    match equals.as_slice() {
        [one] => Some(**one),
        several => Some(*several[draw.below(several.len())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;
    use crate::units::{Cpu, Memory};

    fn choice(group: usize, nodes: u32, pods: usize, size: (i64, i64), used: (i64, i64)) -> Choice {
        let resources = |(milli, mib)| Resources::new(Cpu::from_milli(milli), Memory::from_mib(mib));
        Choice {
            group,
            estimate: Estimate { nodes, pods, requests: resources(used) },
            capacity: resources(size),
            priority: None,
        }
    }

    fn pick(choices: &[Choice], expander: Expander, seed: u64) -> Option<usize> {
        best(choices, expander, &mut Streams::new(seed, 0).open("expander", 0)).map(|choice| choice.group)
    }

    #[test]
    fn least_waste_adds_the_idle_shares_of_cpu_and_memory() {
        // 4 of 8 cores and 8 of 64 GiB used: 0.5 + 0.875; 4 of 4 and 8 of 16: 0 + 0.5.
        let (large, small) =
            (choice(0, 1, 8, (8000, 65_536), (4000, 8192)), choice(1, 1, 8, (4000, 16_384), (4000, 8192)));
        assert!((large.waste() - 1.375).abs() < 1e-12 && (small.waste() - 0.5).abs() < 1e-12);
        assert_eq!(pick(&[large, small], Expander::LeastWaste, 1), Some(1));
    }

    #[test]
    fn most_pods_takes_the_group_that_places_most() {
        let (few, many) = (choice(0, 1, 3, (4000, 1), (1, 1)), choice(1, 9, 30, (4000, 1), (1, 1)));
        assert_eq!(pick(&[few, many], Expander::MostPods, 1), Some(1));
    }

    #[test]
    fn the_highest_priority_wins_and_groups_without_one_only_among_themselves() {
        let of = |group, priority| Choice { priority, ..choice(group, 1, 3, (4000, 1), (1, 1)) };
        let choices = [of(0, Some(10)), of(1, None), of(2, Some(20)), of(3, Some(0))];
        let without = |left: &[usize]| {
            let rest: Vec<Choice> = choices.iter().filter(|choice| left.contains(&choice.group)).copied().collect();
            (0..20).map(|seed| pick(&rest, Expander::Priority, seed)).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(without(&[0, 1, 2, 3]), [Some(2)].into());
        assert_eq!(without(&[0, 1, 3]), [Some(0)].into());
        assert_eq!(without(&[1, 3]), [Some(3)].into(), "even zero is a priority");
        assert_eq!(without(&[1]), [Some(1)].into());
    }

    #[test]
    fn equals_are_drawn_from() {
        let equal = [choice(0, 1, 3, (4000, 1), (1, 1)), choice(1, 1, 3, (4000, 1), (1, 1))];
        for expander in [Expander::LeastWaste, Expander::MostPods, Expander::Random, Expander::Priority] {
            let drawn: std::collections::BTreeSet<_> = (0..40).map(|seed| pick(&equal, expander, seed)).collect();
            assert_eq!(drawn.len(), 2, "{expander:?}");
        }
        assert_eq!(pick(&[], Expander::Random, 1), None);
    }
}
