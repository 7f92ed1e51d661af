//! Counting: exact under threads, without a lock on the way of a request, and bounded by the registry.

use std::sync::atomic::{AtomicU64, Ordering};

use dayfly_token::UnixTime;
use serde::{Deserialize, Serialize};

/// A set of counters, and what is read from it.
macro_rules! counters {
    ($(#[$about:meta])* $snapshot:ident, $atomic:ident { $($(#[$doc:meta])* $name:ident),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Default)]
        pub(super) struct $atomic {
            $(pub(super) $name: AtomicU64,)*
        }

        impl $atomic {
            pub(super) fn read(&self) -> $snapshot {
                $snapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }

            pub(super) fn add(&self, counted: &$snapshot) {
                $(count(&self.$name, counted.$name);)*
            }
        }

        impl $snapshot {
            pub(super) fn merge(&mut self, other: &Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }
        }
    };
}

counters! {
    /// How often one key came, and what became of it.
    KeyUses, KeyCounters {
        /// How often it was presented, whatever came of it.
        presented,
        /// It decided, and the request was let in.
        admitted,
        /// It would have decided, and was refused: past its own end or the deadline.
        refused_as_ended,
        /// It would have decided, and was refused: the stage accepts no keys.
        refused_by_stage,
        /// It would have decided, and does not stand for a scope that every request needs.
        refused_for_scope,
        /// A valid token came with it: its user has moved, and the key can be taken out there.
        beside_token,
        /// A token came with it that is refused: its user is moving, and does something wrong.
        beside_refused_token,
        /// A valid token of another owner came with it.
        beside_token_of_another_owner,
        /// It came in the query.
        in_query,
    }
}

counters! {
    /// What became of all requests.
    RequestCounts, RequestCounters {
        /// Let in by a token.
        admitted_by_token,
        /// Let in by a key.
        admitted_by_key,
        /// Refused for their token.
        refused_by_token,
        /// Refused with a known key, past its end, in a stage without keys, or without a scope.
        refused_by_key,
        /// Refused with a key that is not in the registry.
        refused_as_unknown,
        /// Refused with more than one key.
        refused_as_malformed,
        /// Refused without key and without an acceptable token.
        refused_without_credential,
        /// Refused in [`Stage::Observe`](super::Stage::Observe) although they had a valid token.
        token_before_its_time,
        /// Carried a key that is not in the registry, whatever decided.
        unknown_keys,
        /// Seen by the watching layer, which decides nothing.
        watched,
        /// The watching layer would have refused what the API's own check served: a key is missing in the registry.
        served_by_api_alone,
        /// The watching layer would have let in what the API's own check refused: the registry has a key too many.
        refused_by_api_alone,
    }
}

/// One key's counts and moments, which outlive a change of the registry.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) uses: KeyCounters,
    pub(super) first_seen: Moment,
    pub(super) last_seen: Moment,
    /// The last time that nothing but the key could have let the request in.
    pub(super) last_relied_on: Moment,
    pub(super) last_beside_refused_token: Moment,
}

/// An instant that moves in one direction only; absent at first.
#[derive(Default)]
pub(super) struct Moment(AtomicU64);

impl Moment {
    /// 0 says "never", and a clock that says 1970 is counted as a second later.
    fn encode(now: UnixTime) -> u64 {
        now.as_secs().max(1)
    }

    pub(super) fn latest(&self, now: UnixTime) {
        self.0.fetch_max(Self::encode(now), Ordering::Relaxed);
    }

    pub(super) fn earliest(&self, now: UnixTime) {
        let now = Self::encode(now);
        // An `Err` says that an earlier instant stands there already.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |present| {
                (present == 0 || now < present).then_some(now)
            });
    }

    pub(super) fn read(&self) -> Option<UnixTime> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            secs => Some(UnixTime::from_secs(secs)),
        }
    }
}

pub(super) fn one(counter: &AtomicU64) {
    count(counter, 1);
}

pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_move_in_one_direction() {
        let (first, last) = (Moment::default(), Moment::default());
        assert_eq!((first.read(), last.read()), (None, None));
        for secs in [5, 3, 9, 4] {
            first.earliest(UnixTime::from_secs(secs));
            last.latest(UnixTime::from_secs(secs));
        }
        assert_eq!(first.read(), Some(UnixTime::from_secs(3)));
        assert_eq!(last.read(), Some(UnixTime::from_secs(9)));
        last.latest(UnixTime::EPOCH);
        let never = Moment::default();
        never.earliest(UnixTime::EPOCH);
        assert_eq!(never.read(), Some(UnixTime::from_secs(1)));
    }
}
