//! Choices that upstream leaves to the order of Go's maps: which of several equally loaded domains a pod goes to.

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

    /// Random rank of a domain among those of its label, uniform over 64 bits: of equal domains the one of lowest rank is taken.
    /// `purpose` tells choices of one candidate apart.
    #[must_use]
    pub fn rank(self, purpose: u64, key: &str, domain: &str) -> u64 {
        let names = key.bytes().chain([0]).chain(domain.bytes());
        let name = names
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        [self.seed, self.attempt, self.candidate, purpose, name]
            .into_iter()
            .fold(0, |state, word| mix(state ^ mix(word)))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
