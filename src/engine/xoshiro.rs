//! The generator xoshiro256++ (Blackman and Vigna, 2019). It is written here because a stream is opened for every message: a state that
//! is made in registers costs a few nanoseconds, the byte-wise seeding of `rand_xoshiro` ten times that. A test holds it against
//! that crate.

use std::convert::Infallible;

use rand::TryRng;

/// The generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xoshiro256PlusPlus([u64; 4]);

impl Xoshiro256PlusPlus {
    /// The state that SplitMix64 makes of `seed`, as `SeedableRng::seed_from_u64` does.
    #[inline]
    #[must_use]
    pub fn seed_from_u64(seed: u64) -> Self {
        let word =
            |number: u64| super::stream::split_mix(seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Xoshiro256PlusPlus([word(0), word(1), word(2), word(3)])
    }

    /// The first number of the generator with this seed.
    #[inline]
    #[must_use]
    pub fn first_of_seed(seed: u64) -> u64 {
        let Xoshiro256PlusPlus([a, _, _, d]) = Self::seed_from_u64(seed);
        a.wrapping_add(d).rotate_left(23).wrapping_add(a)
    }

    /// Uniform 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }
}

impl TryRng for Xoshiro256PlusPlus {
    type Error = Infallible;

    /// The upper half of 64 bits: the lower bits are the weaker ones.
    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next_u64() >> 32) as u32)
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next_u64())
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        fill(into, || self.next_u64());
        Ok(())
    }
}

/// Fills bytes with the numbers of a generator.
pub(super) fn fill(into: &mut [u8], mut number: impl FnMut() -> u64) {
    for chunk in into.chunks_mut(8) {
        chunk.copy_from_slice(&number().to_le_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn it_is_the_generator_of_the_published_crate() {
        for seed in [0, 1, 42, u64::MAX, 0x9e37_79b9_7f4a_7c15] {
            let mut own = Xoshiro256PlusPlus::seed_from_u64(seed);
            assert_eq!(Xoshiro256PlusPlus::first_of_seed(seed), own.clone().next_u64());
            let mut published = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
            for _ in 0..1000 {
                assert_eq!(own.next_u64(), Rng::next_u64(&mut published));
            }
            assert_eq!(Rng::next_u32(&mut own), Rng::next_u32(&mut published));
        }
    }
}
