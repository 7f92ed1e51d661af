use dayfly_token::feed::Prefix;

/// Bits of the filter for each entry: with three of them set, about one absent prefix in a hundred passes.
const BITS_PER_ENTRY: usize = 16;

/// Says of most prefixes that a table does not have them, by one read of one word: 2 MiB for a million entries, which
/// stay in a cache where the table does not.
///
/// A Bloom filter whose bits for one prefix share a word. Prefixes are digests, so their own bits serve as the hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// As many as a power of two; empty for a table that is empty.
    words: Vec<u64>,
}

impl Filter {
    pub(super) fn of<'a>(prefixes: impl ExactSizeIterator<Item = &'a Prefix>) -> Self {
        if prefixes.len() == 0 {
            return Self::default();
        }
        let words = (prefixes.len() * BITS_PER_ENTRY)
            .div_ceil(64)
            .next_power_of_two();
        let mut filter = Self {
            words: vec![0; words],
        };
        for prefix in prefixes {
            let (place, bits) = filter.place(prefix);
            if let Some(word) = filter.words.get_mut(place) {
                *word |= bits;
            }
        }
        filter
    }

    /// `false` means no.
    pub(super) fn may_have(&self, prefix: &Prefix) -> bool {
        let (place, bits) = self.place(prefix);
        self.words
            .get(place)
            .is_some_and(|word| word & bits == bits)
    }

    /// Which word, from other bits than those that give the slot in the table, and which bits of it.
    fn place(&self, prefix: &Prefix) -> (usize, u64) {
        let number = u128::from_le_bytes(*prefix.as_bytes()) >> 64;
        let word =
            usize::try_from(number >> 18).unwrap_or_default() & self.words.len().wrapping_sub(1);
        let bit = |at: u32| 1_u64 << ((number >> at) & 63);
        (word, bit(0) | bit(6) | bit(12))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread, like digests.
    fn prefixes(seed: u64, count: u64) -> Vec<Prefix> {
        (0..count)
            .map(|number| {
                let digest = dayfly_keys::sha256(&(number | seed << 32).to_le_bytes());
                Prefix::from_bytes(*digest.first_chunk().unwrap())
            })
            .collect()
    }

    #[test]
    fn it_has_what_it_was_made_of_and_little_else() {
        for count in [1, 2, 3, 100, 20_000] {
            let known = prefixes(1, count);
            let filter = Filter::of(known.iter());
            assert!(
                known.iter().all(|prefix| filter.may_have(prefix)),
                "{count}"
            );
            let others = prefixes(2, 20_000);
            let wrong = others
                .iter()
                .filter(|prefix| filter.may_have(prefix))
                .count();
            assert!(wrong < 800, "{wrong} of 20,000 pass a filter of {count}");
        }
    }

    #[test]
    fn an_empty_one_has_nothing() {
        let filter = Filter::of([].iter());
        assert!(
            prefixes(1, 100)
                .iter()
                .all(|prefix| !filter.may_have(prefix))
        );
    }
}
