//! A small random number generator whose sequence never changes.

/// The random number generator SplitMix64 (Steele, Lea and Flood 2014). Random plans and trainings draw from it, so that they
/// depend on their seed alone and not on the version of a library.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The generator of a seed.
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The generator of part `index` of a seed. A training takes one part per iteration, so that iteration 40 draws the same
    /// numbers whether or not the training was interrupted before.
    pub fn of_part(seed: u64, index: u64) -> Self {
        let mut start = Self(seed);
        Self(start.bits() ^ Self(index ^ 0xd1b5_4a32_d192_ed03).bits())
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A random number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A random number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the published generator for seed 1234567.
    #[test]
    fn bits_are_those_of_the_published_generator() {
        let mut draws = SplitMix64::seeded(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([draws.bits(), draws.bits(), draws.bits()], expected);
    }

    #[test]
    fn parts_differ_and_draws_stay_in_range() {
        let first = |seed, index| SplitMix64::of_part(seed, index).bits();
        let all: std::collections::HashSet<u64> =
            (0..20).flat_map(|seed| (0..20).map(move |index| first(seed, index))).collect();
        assert_eq!(all.len(), 400);
        let mut draws = SplitMix64::of_part(3, 4);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[draws.below(5)] += 1;
            assert!((0.0..1.0).contains(&draws.unit()));
        }
        assert!(seen.iter().all(|count| *count > 150), "{seen:?}");
        assert_eq!(draws.below(0), 0);
    }
}
