use dayfly_token::feed::{Entry, Prefix};

use super::filter::Filter;

/// Entries that one slot of the index stands for, on average: about two cache lines are read in a lookup.
const ENTRIES_PER_SLOT: usize = 4;

/// An immutable set of entries, one for each prefix, sorted by prefix.
///
/// Prefixes are digests, hence evenly spread: an index on their leading bits leads to a handful of neighbours.
/// A million entries take 35 MB. Prefixes that someone has chosen so that they share a slot cost a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// Where the entries of each slot begin, and at last the number of entries; empty if there are none.
    starts: Vec<u32>,
    /// How far the leading 64 bits of a prefix are shifted to give its slot.
    shift: u32,
    filter: Filter,
}

impl Table {
    /// The table of `entries`; those of one prefix are combined by maximum.
    pub(super) fn of(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable_by_key(|entry| entry.prefix);
        entries.dedup_by(|later, kept| {
            let same = later.prefix == kept.prefix;
            if same {
                *kept = combined(kept, later);
            }
            same
        });
        Self::indexed(entries)
    }

    fn indexed(entries: Vec<Entry>) -> Self {
        if entries.is_empty() {
            return Self::default();
        }
        let bits = entries
            .len()
            .div_ceil(ENTRIES_PER_SLOT)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let shift = 64 - bits;
        let mut starts = vec![0_u32; (1 << bits) + 1];
        // Counted one slot further up, so that the running sum gives where each slot begins.
        for entry in &entries {
            if let Some(count) = starts.get_mut(slot(&entry.prefix, shift) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self {
            filter: Filter::of(entries.iter().map(|entry| &entry.prefix)),
            entries,
            starts,
            shift,
        }
    }

    /// `false` means no: most prefixes need no look at the table.
    pub(super) fn may_have(&self, prefix: &Prefix) -> bool {
        self.filter.may_have(prefix)
    }

    pub(super) fn find(&self, prefix: &Prefix) -> Option<&Entry> {
        if self.entries.is_empty() {
            return None;
        }
        let slot = slot(prefix, self.shift);
        let (start, end) = (*self.starts.get(slot)?, *self.starts.get(slot + 1)?);
        let neighbours = self.entries.get(start as usize..end as usize)?;
        let found = neighbours
            .binary_search_by(|entry| entry.prefix.cmp(prefix))
            .ok()?;
        neighbours.get(found)
    }

    /// Whether `entry` would add nothing.
    pub(super) fn covers(&self, entry: &Entry) -> bool {
        self.find(&entry.prefix)
            .is_some_and(|known| combined(known, entry) == *known)
    }

    /// Both, combined by maximum.
    pub(super) fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        let mut both = Vec::with_capacity(self.len() + other.len());
        let (mut left, mut right) = (
            self.entries.iter().peekable(),
            other.entries.iter().peekable(),
        );
        loop {
            match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a.prefix == b.prefix => {
                    both.push(combined(a, b));
                    left.next();
                    right.next();
                }
                (Some(a), Some(b)) if a.prefix > b.prefix => both.extend(right.next()),
                (Some(_), _) => both.extend(left.next()),
                (None, Some(_)) => both.extend(right.next()),
                (None, None) => return Self::indexed(both),
            }
        }
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(keep);
        if self.entries.len() < before {
            self.entries.shrink_to_fit();
            *self = Self::indexed(std::mem::take(&mut self.entries));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

fn combined(a: &Entry, b: &Entry) -> Entry {
    Entry {
        prefix: a.prefix,
        before: a.before.max(b.before),
        until: a.until.max(b.until),
    }
}

fn slot(prefix: &Prefix, shift: u32) -> usize {
    let leading = prefix
        .as_bytes()
        .iter()
        .take(8)
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    usize::try_from(leading >> shift).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use dayfly_token::UnixTime;
    use proptest::prelude::*;

    use super::*;

    fn entry(bytes: [u8; 16], before: u64, until: u64) -> Entry {
        Entry {
            prefix: Prefix::from_bytes(bytes),
            before: UnixTime::from_secs(before),
            until: UnixTime::from_secs(until),
        }
    }

    /// Prefixes from a small set, some of them in one slot, so that they collide.
    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let prefix = prop_oneof![
            any::<[u8; 16]>(),
            (0_u8..4).prop_map(|last| {
                let mut bytes = [7; 16];
                bytes[15] = last;
                bytes
            }),
            (0_u8..=255).prop_map(|first| {
                let mut bytes = [0; 16];
                bytes[0] = first;
                bytes
            }),
        ];
        proptest::collection::vec(
            (prefix, 0..9_u64, 0..9_u64).prop_map(|(p, b, u)| entry(p, b, u)),
            0..200,
        )
    }

    fn model(lists: &[&[Entry]]) -> BTreeMap<Prefix, (UnixTime, UnixTime)> {
        let mut model: BTreeMap<_, (UnixTime, UnixTime)> = BTreeMap::new();
        for entry in lists.iter().flat_map(|list| list.iter()) {
            let known = model
                .entry(entry.prefix)
                .or_insert((entry.before, entry.until));
            *known = (known.0.max(entry.before), known.1.max(entry.until));
        }
        model
    }

    fn as_map(table: &Table) -> BTreeMap<Prefix, (UnixTime, UnixTime)> {
        table
            .entries
            .iter()
            .map(|entry| (entry.prefix, (entry.before, entry.until)))
            .collect()
    }

    /// Without it lookups are right, and slow.
    #[test]
    fn a_lookup_meets_few_neighbours() {
        let spread: Vec<_> = (0..4096_u64)
            .map(|number| {
                let digest = dayfly_keys::sha256(&number.to_le_bytes());
                entry(*digest.first_chunk().unwrap(), 1, 1)
            })
            .collect();
        let table = Table::of(spread);
        let sizes = table.starts.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(sizes.max() <= Some(32));
        let absent = (4096..8192_u64).filter(|number| {
            let digest = dayfly_keys::sha256(&number.to_le_bytes());
            table.may_have(&Prefix::from_bytes(*digest.first_chunk().unwrap()))
        });
        assert!(absent.count() < 400);
    }

    proptest! {
        #[test]
        fn a_table_is_a_map_with_maximum(a in entries(), b in entries()) {
            let (left, right) = (Table::of(a.clone()), Table::of(b.clone()));
            let both = left.union(&right);
            prop_assert_eq!(as_map(&both), model(&[&a, &b]));
            prop_assert_eq!(&both, &right.union(&left));
            prop_assert_eq!(&both, &both.union(&left));
            for entry in a.iter().chain(&b) {
                prop_assert!(both.covers(entry));
                prop_assert!(both.may_have(&entry.prefix));
                prop_assert_eq!(both.find(&entry.prefix).map(|found| found.prefix), Some(entry.prefix));
            }
            for entry in &b {
                let known = model(&[&a]).contains_key(&entry.prefix);
                prop_assert_eq!(left.find(&entry.prefix).is_some(), known);
            }
        }

        #[test]
        fn retain_keeps_lookups_right(a in entries(), least in 0..9_u64) {
            let mut table = Table::of(a);
            let all = table.clone();
            table.retain(|entry| entry.until.as_secs() >= least);
            for entry in &all.entries {
                prop_assert_eq!(table.find(&entry.prefix).is_some(), entry.until.as_secs() >= least);
            }
        }
    }
}
