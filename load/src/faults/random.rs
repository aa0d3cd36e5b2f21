//! Numbers that a seed repeats: the schedule of faults and the choices of clients come from here and nowhere else.

/// Generator of numbers (`SplitMix64`, Steele et al. 2014). One per purpose, so that what one client does
/// changes nothing for another.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The generator of one purpose within a run; `purpose` is any number that no other has.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut mixed = Self(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed.next();
        mixed
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to but not including `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number of both ends or between.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// An index into something with `length` entries.
    pub(super) fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(length)).unwrap_or(0)
    }

    /// True in `percent` of 100 cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several, each as likely as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.below(total);
        for (weight, choice) in choices {
            if drawn < *weight {
                return *choice;
            }
            drawn -= weight;
        }
        choices[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_purpose_repeat_their_numbers_and_share_none() {
        let numbers = |seed, purpose| {
            let mut random = Random::new(seed, purpose);
            std::array::from_fn::<u64, 8, _>(|_| random.below(1000))
        };
        assert_eq!(numbers(7, 1), numbers(7, 1));
        assert_ne!(numbers(7, 1), numbers(7, 2));
        assert_ne!(numbers(7, 1), numbers(8, 1));
    }

    #[test]
    fn a_weight_of_nothing_is_never_drawn() {
        let mut random = Random::new(1, 1);
        for _ in 0..100 {
            assert_eq!(random.weighted(&[(0, 'a'), (3, 'b'), (0, 'c')]), 'b');
        }
    }
}
