//! Random decisions that depend on nothing but (seed, entity, counter). So taking an entry out of a plan does not
//! change the decisions about other entries.

/// The stream of random numbers of one entity. SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014.
#[derive(Clone, Debug)]
pub struct Dice {
    key: u64,
    counter: u64,
}

impl Dice {
    /// Begins the stream of an entity, which is given by its kind and its number.
    #[must_use]
    pub fn new(seed: u64, kind: &str, which: u64) -> Self {
        let kind = kind.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| mix(hash ^ u64::from(byte)));
        Self { key: mix(mix(seed) ^ kind).wrapping_add(mix(which)), counter: 0 }
    }

    /// Returns the next number.
    pub fn draw(&mut self) -> u64 {
        self.counter += 1;
        mix(self.key.wrapping_add(self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Returns a number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is below 2^-40 for the small bounds used here.
        if bound == 0 { 0 } else { self.draw() % bound }
    }

    /// Returns a number in `low..=high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Returns true in `chance` of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// Returns one of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).unwrap_or(0))
    }
}

/// The finaliser of SplitMix64.
#[must_use]
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_never_changes() {
        let mut dice = Dice::new(1, "link", 7);
        let first: Vec<_> = (0..3).map(|_| dice.below(1000)).collect();
        let mut again = Dice::new(1, "link", 7);
        assert_eq!(first, (0..3).map(|_| again.below(1000)).collect::<Vec<_>>());
        assert_ne!(Dice::new(1, "link", 8).draw(), Dice::new(1, "disk", 7).draw());
    }
}
