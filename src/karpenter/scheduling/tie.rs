//! Choices that upstream leaves to the order of Go's maps: which of several equally loaded domains a pod goes to.
//!
//! That order is random but far from even (`internal/runtime/maps: Iter.Next`): up to 8 members lie in 8 slots in the order in which they came in, and
//! an iteration begins at one of the 8 at random, so it begins with the first member whenever it hits an empty slot. Of three zones that
//! are equal the first is taken in 6 of 8 cases. The names are taken to come in in their own order, as in the requirements of a pool.

use crate::engine::Stream;

/// Where in the pass a choice falls. Choices at different places are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Random number of the pass.
    pub seed: u64,
    /// How many attempts to place a pod came before.
    pub attempt: u64,
    /// The candidate that is tried: [`Place::existing`], [`Place::claim`] or [`Place::template`].
    pub candidate: u64,
}

impl Place {
    /// Number of the existing node at this position of the filling order.
    #[must_use]
    pub const fn existing(position: usize) -> u64 {
        (position as u64) << 2
    }

    /// Number of the claim that was opened as the `ordinal`-th.
    #[must_use]
    pub const fn claim(ordinal: usize) -> u64 {
        ((ordinal as u64) << 2) | 1
    }

    /// Number of the template at this position.
    #[must_use]
    pub const fn template(position: usize) -> u64 {
        ((position as u64) << 2) | 2
    }

    /// When the iteration comes to a domain: of equal domains the one of lowest rank is taken. `purpose` tells choices of one candidate
    /// apart.
    #[must_use]
    pub fn rank(self, purpose: u64, key: &str, domain: &str, slot: Slot) -> u64 {
        if slot.members > SLOTS {
            return self.hash(purpose, key, domain);
        }
        let begin = (self.hash(purpose, key, "") % SLOTS as u64) as usize;
        let index = if slot.of_group {
            (slot.index + slot.members - self.turn(key, slot.members)) % slot.members
        } else {
            slot.index
        };
        ((index + SLOTS - begin) % SLOTS) as u64
    }

    /// With which domain a group's map begins: it is filled by going over a map that was filled by going over a third.
    fn turn(self, key: &str, members: usize) -> usize {
        let pass = Place { attempt: 0, candidate: 0, ..self };
        let begins = [u64::MAX, u64::MAX - 1].map(|purpose| (pass.hash(purpose, key, "") % SLOTS as u64) as usize);
        begins.into_iter().map(|begin| if begin < members { begin } else { 0 }).sum::<usize>() % members
    }

    fn hash(self, purpose: u64, key: &str, domain: &str) -> u64 {
        let names = key.bytes().chain([0]).chain(domain.bytes());
        let name = names
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        [self.seed, self.attempt, self.candidate, purpose, name]
            .into_iter()
            .fold(0, |state, word| mix(state ^ mix(word)))
    }
}

/// Slots that a small map has; the order of larger ones is even.
pub(super) const SLOTS: usize = 8;

/// Where a domain lies in the map that is gone over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its place among the members by name, if these are few.
    pub index: usize,
    /// How many members there are.
    pub members: usize,
    /// Whether the map is that of a group's domains, not that of a requirement's values.
    pub of_group: bool,
}

/// With which of its members an iteration over a map begins, by their order of entry.
pub fn first(members: usize, stream: &mut Stream) -> usize {
    if members > SLOTS {
        return stream.below(members);
    }
    let begin = stream.below(SLOTS);
    if begin < members { begin } else { 0 }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;

    #[test]
    fn a_map_of_four_begins_with_its_first_member_in_five_of_eight_draws() {
        let mut stream = Streams::new(1, 0).open("map", 0);
        let firsts = (0..80_000).filter(|_| first(4, &mut stream) == 0).count();
        assert!((49_000..51_000).contains(&firsts), "{firsts}");
        let mut taken = [0_u32; 9];
        (0..9000).for_each(|_| taken[first(9, &mut stream)] += 1);
        assert!(taken.iter().all(|count| (850..1150).contains(count)), "larger maps are gone over evenly: {taken:?}");
    }

    /// Published outputs of SplitMix64 that begins with 0.
    #[test]
    fn words_are_mixed_as_published() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    /// The map is filled once a pass: attempts and candidates differ only in where they begin to go over it.
    #[test]
    fn the_map_of_a_group_is_the_same_for_all_choices_of_a_pass() {
        let turn = |seed, attempt, candidate| Place { seed, attempt, candidate }.turn("zone", 3);
        for seed in 0..100 {
            assert!(
                (0..20)
                    .all(|other| turn(seed, other, 2) == turn(seed, 0, 0) && turn(seed, 0, other) == turn(seed, 0, 0))
            );
        }
        assert!((0..100).any(|seed| turn(seed, 0, 0) != turn(0, 0, 0)));
    }

    /// How often each of three zones is taken first in 80,000 draws, against the slots that lead to it.
    #[test]
    fn the_first_of_three_equal_zones_is_taken_in_six_of_eight_draws() {
        for (of_group, wanted) in [(false, [6.0 / 8.0, 1.0 / 8.0, 1.0 / 8.0]), (true, [0.496, 0.252, 0.252])] {
            let mut first = [0_u32; 3];
            for draw in 0..80_000 {
                let place = Place { seed: draw, attempt: 1, candidate: 2 };
                let slot = |index| Slot { index, members: 3, of_group };
                let rank = |index: &usize| place.rank(0, "zone", "", slot(*index));
                first[(0..3).min_by_key(rank).expect("three")] += 1;
            }
            for (count, share) in first.into_iter().zip(wanted) {
                assert!((f64::from(count) / 80_000.0 - share).abs() < 0.01, "{first:?}");
            }
        }
    }
}
