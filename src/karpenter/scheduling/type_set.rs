//! Sets of instance types as bits.

use crate::cluster::catalogue::TypeId;

/// A set of instance types of one catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct TypeSet(Vec<u64>);

impl TypeSet {
    /// All of `count` types.
    pub(super) fn all(count: usize) -> Self {
        let mut words = vec![u64::MAX; count.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && !count.is_multiple_of(64)
        {
            *last = (1 << (count % 64)) - 1;
        }
        TypeSet(words)
    }

    /// Those of `count` types for which `keep` holds.
    pub(super) fn select(count: usize, keep: impl Fn(usize) -> bool) -> Self {
        let mut words = vec![0; count.div_ceil(64)];
        for index in (0..count).filter(|index| keep(*index)) {
            words[index / 64] |= 1 << (index % 64);
        }
        TypeSet(words)
    }

    pub(super) fn insert(&mut self, id: usize) {
        self.0[id / 64] |= 1 << (id % 64);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn contains(&self, id: usize) -> bool {
        self.0[id / 64] & (1 << (id % 64)) != 0
    }

    pub(super) fn and(&self, other: &TypeSet) -> TypeSet {
        TypeSet(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    pub(super) fn meets(&self, other: &TypeSet) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    pub(super) fn is_subset(&self, other: &TypeSet) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    pub(super) fn add(&mut self, other: &TypeSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// Keeps those for which `keep` holds.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        for (block, word) in self.0.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                if !keep(block * 64 + bit) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// The members in the catalogue's order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(block, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    block * 64 + bit
                })
            })
        })
    }

    /// The members as ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = TypeId> + '_ {
        self.iter().map(|index| TypeId(index as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_has_no_member_that_the_other_lacks() {
        let of = |members: &[usize]| TypeSet::select(130, |index| members.contains(&index));
        for (a, b, wanted) in [
            (&[0, 129][..], &[0, 1, 129][..], true),
            (&[0, 129], &[0, 129], true),
            (&[], &[], true),
            (&[0, 64], &[0, 129], false),
            (&[129], &[0, 64], false),
        ] {
            assert_eq!(of(a).is_subset(&of(b)), wanted, "{a:?} {b:?}");
        }
        let (even, odd) = (TypeSet::select(128, |i| i % 2 == 0), TypeSet::select(128, |i| i % 2 == 1));
        assert!(!even.is_subset(&odd));
    }

    #[test]
    fn all_types_are_those_of_the_catalogue() {
        for count in [0, 3, 64, 65, 128] {
            assert_eq!(TypeSet::all(count), TypeSet::select(count, |_| true), "{count}");
            assert_eq!(TypeSet::all(count).iter().count(), count);
        }
    }
}
