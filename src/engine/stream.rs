//! Named random streams: one per purpose and entity, so that changing one setting leaves the randomness of all else alone.

use std::convert::Infallible;

use rand::{Rng, TryRng};

use super::xoshiro::Xoshiro256PlusPlus;

/// One random stream (xoshiro256++). Its numbers are frozen by tests: a change is value-breaking.
#[derive(Clone, Debug)]
pub struct Stream(Xoshiro256PlusPlus);

/// Opens the streams of one run. A stream depends on seed, replication, label and entity number alone.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    seed: u64,
    replication: u64,
}

impl Streams {
    /// The streams of replication `replication` (from 0) of a scenario with `seed`.
    #[must_use]
    pub const fn new(seed: u64, replication: u64) -> Self {
        Streams { seed, replication }
    }

    /// The stream for one purpose (`label`, stable over versions) and one entity of it (0 when there is just one).
    #[must_use]
    pub fn open(&self, label: &str, entity: u64) -> Stream {
        Stream(Xoshiro256PlusPlus::seed_from_u64(self.seed_of(label, entity)))
    }

    /// A family of streams for one purpose, whose members are those of one named entity (the messages of a queue, say).
    #[must_use]
    pub fn family(&self, label: &str, name: &str) -> Family {
        Family(self.seed_of(label, fnv1a([name])))
    }

    fn seed_of(&self, label: &str, entity: u64) -> u64 {
        let words = [self.seed, self.replication, fnv1a([label]), entity];
        words.into_iter().fold(0x9e37_79b9_7f4a_7c15, |state: u64, word| split_mix(state ^ split_mix(word)))
    }

    /// A stream for one entity known by its name.
    #[must_use]
    pub fn open_named(&self, label: &str, name: &str) -> Stream {
        self.open(label, fnv1a([name]))
    }
}

/// Many short streams, one per member of a large population (each message of a queue, say), opened cheaply.
#[derive(Clone, Copy, Debug)]
pub struct Family(u64);

impl Family {
    /// The stream of member `number`.
    #[inline]
    #[must_use]
    pub fn member(&self, number: u64) -> Stream {
        Stream(Xoshiro256PlusPlus::seed_from_u64(self.seed_of(number)))
    }

    /// The same numbers as those of [`Family::member`], for callers that mostly draw only the first.
    #[inline]
    pub(super) fn opening(&self, number: u64) -> Opening {
        Opening { seed: self.seed_of(number), after_first: None }
    }

    #[inline]
    fn seed_of(&self, number: u64) -> u64 {
        self.0 ^ split_mix(number)
    }
}

/// A generator whose first number is made without the rest of its state.
#[derive(Debug)]
pub(super) struct Opening {
    seed: u64,
    /// The generator once the first number has been drawn, if a second one was asked for.
    after_first: Option<Option<Xoshiro256PlusPlus>>,
}

impl Opening {
    #[inline]
    fn next_number(&mut self) -> u64 {
        if self.after_first.is_some() {
            return self.next_after_first();
        }
        self.after_first = Some(None);
        Xoshiro256PlusPlus::first_of_seed(self.seed)
    }

    #[cold]
    fn next_after_first(&mut self) -> u64 {
        let seed = self.seed;
        let opened = || {
            let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
            generator.next_u64();
            generator
        };
        self.after_first.get_or_insert(None).get_or_insert_with(opened).next_u64()
    }
}

impl TryRng for Opening {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next_number() >> 32) as u32)
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next_number())
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        super::xoshiro::fill(into, || self.next_number());
        Ok(())
    }
}

impl Stream {
    /// Uniform 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1) with 53 bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        unit(&mut self.0)
    }

    /// Uniform in 0..`n` without bias beyond 2⁻⁶⁴·n. `n` must be positive.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        below(&mut self.0, n)
    }

    /// Exponential with mean 1. Round what is made of it to an integer tick at once.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        rand_distr::Distribution::sample(&rand_distr::Exp1, &mut self.0)
    }

    /// True with probability `p`.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.unit() < p
    }

    /// Puts a slice into random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// The generator, for `rand_distr`.
    #[inline]
    pub(crate) fn generator(&mut self) -> &mut Xoshiro256PlusPlus {
        &mut self.0
    }
}

/// See [`Stream::unit`].
#[inline]
pub(super) fn unit(generator: &mut impl Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// See [`Stream::below`].
#[inline]
pub(super) fn below(generator: &mut impl Rng, n: usize) -> usize {
    ((u128::from(generator.next_u64()) * n as u128) >> 64) as usize
}

/// The FNV-1a hash of texts one after the other, the same on every machine.
#[must_use]
pub fn fnv1a<const N: usize>(texts: [&str; N]) -> u64 {
    let bytes = texts.into_iter().flat_map(str::bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
#[inline]
pub(super) fn split_mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_independent_of_each_other_and_repeatable() {
        let streams = Streams::new(42, 0);
        let first: Vec<u64> = (0..4).map(|_| streams.open("arrivals", 0).bits()).collect();
        assert!(first.windows(2).all(|pair| pair[0] == pair[1]));
        assert_ne!(streams.open("arrivals", 0).bits(), streams.open("arrivals", 1).bits());
        assert_ne!(streams.open("arrivals", 0).bits(), streams.open("service", 0).bits());
        assert_ne!(streams.open("arrivals", 0).bits(), Streams::new(42, 1).open("arrivals", 0).bits());
    }

    /// A change of these numbers changes the outcome of every run.
    #[test]
    fn numbers_are_frozen() {
        let streams = Streams::new(42, 0);
        let first = |label: &str, entity| streams.open(label, entity).bits();
        let found = [
            first("arrivals", 0),
            first("arrivals", 1),
            first("service", 0),
            Streams::new(42, 1).open("arrivals", 0).bits(),
        ];
        assert_eq!(found, [4364446003864779060, 12536619583528132071, 17657060535249599452, 16408958433664167236]);
        assert_eq!(streams.open_named("arrivals", "orders").bits(), 5683418890569517402);
    }

    #[test]
    fn an_opening_has_the_numbers_of_its_member() {
        let family = Streams::new(1, 0).family("test", "queue");
        for number in [0, 1, 77, u64::MAX] {
            let (mut member, mut opening) = (family.member(number), family.opening(number));
            (0..10).for_each(|_| assert_eq!(opening.next_u64(), member.bits()));
            assert_eq!(unit(&mut opening), member.unit());
        }
    }

    #[test]
    fn below_covers_its_range() {
        let mut stream = Streams::new(1, 0).open("test", 0);
        let mut seen = [false; 7];
        (0..1000).for_each(|_| seen[stream.below(7)] = true);
        assert!(seen.into_iter().all(|s| s));
    }
}
