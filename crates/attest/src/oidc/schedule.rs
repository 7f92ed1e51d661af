//! When the keys of an issuer are fetched, and how long they are believed. Time is an argument here.

use std::time::Duration;

use tokio::time::Instant;

/// How the keys of issuers are kept fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshTiming {
    /// Least time between two fetches because of an unknown `kid`, and between failed attempts.
    pub cooldown: Duration,
    /// Between attempts while no keys have been fetched at all: nothing of the issuer works until then. In the
    /// background the pause doubles, up to the cooldown.
    pub first_retry: Duration,
    /// Least time for which fetched keys count as fresh, whatever the server says.
    pub min_age: Duration,
    /// Longest such time.
    pub max_age: Duration,
    /// The time if the server says nothing.
    pub default_age: Duration,
    /// How long keys that are no longer fresh are believed while they cannot be fetched.
    pub max_stale: Duration,
    /// Longest time for one fetch; discovery and keys are two.
    pub fetch_timeout: Duration,
}

impl Default for RefreshTiming {
    fn default() -> Self {
        Self {
            cooldown: Duration::from_secs(30),
            first_retry: Duration::from_secs(2),
            min_age: Duration::from_secs(60),
            max_age: Duration::from_secs(24 * 60 * 60),
            default_age: Duration::from_secs(5 * 60),
            max_stale: Duration::from_secs(60 * 60),
            fetch_timeout: Duration::from_secs(5),
        }
    }
}

impl RefreshTiming {
    /// For how long keys are fresh, given what the server said.
    pub(crate) fn fresh_for(&self, max_age: Option<Duration>) -> Duration {
        let max = self.max_age.max(self.min_age);
        max_age.unwrap_or(self.default_age).clamp(self.min_age, max)
    }
}

/// The state of one issuer's keys in time.
#[derive(Debug)]
pub(crate) struct Schedule {
    timing: RefreshTiming,
    loaded: Option<Loaded>,
    attempted: Option<Instant>,
    on_demand: Option<Instant>,
    failures: u32,
}

#[derive(Debug, Clone, Copy)]
struct Loaded {
    at: Instant,
    fresh_for: Duration,
}

impl Schedule {
    pub(crate) const fn new(timing: RefreshTiming) -> Self {
        Self {
            timing,
            loaded: None,
            attempted: None,
            on_demand: None,
            failures: 0,
        }
    }

    /// When the next fetch in the background is due.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        match (self.attempted, self.loaded) {
            (None, None) => now,
            (Some(attempted), None) => attempted + self.first_pause(),
            (Some(attempted), Some(_)) if self.failures > 0 => attempted + self.timing.cooldown,
            (_, Some(loaded)) => loaded.at + loaded.fresh_for,
        }
    }

    /// The pause before the next attempt at the first keys doubles up to the cooldown. A token does not wait for it.
    fn first_pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(u32::BITS - 1);
        let pause = self.timing.first_retry.saturating_mul(1 << doublings);
        pause.min(self.timing.cooldown.max(self.timing.first_retry))
    }

    /// Whether a fetch may begin now because of a token with an unknown `kid`; if so, it counts as begun.
    pub(crate) fn begin_on_demand(&mut self, now: Instant) -> bool {
        let (last, pause) = match self.loaded {
            None => (self.attempted, self.timing.first_retry),
            Some(_) => (self.on_demand, self.timing.cooldown),
        };
        if last.is_some_and(|last| now < last + pause) {
            return false;
        }
        self.attempted = Some(now);
        // The first keys are fetched for whatever `kid`: that one is not yet unknown.
        self.on_demand = self.loaded.map(|_| now);
        true
    }

    pub(crate) fn begin_background(&mut self, now: Instant) {
        self.attempted = Some(now);
    }

    pub(crate) fn succeeded(&mut self, now: Instant, max_age: Option<Duration>) {
        self.failures = 0;
        self.loaded = Some(Loaded {
            at: now,
            fresh_for: self.timing.fresh_for(max_age),
        });
    }

    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Failed attempts since the last good one.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the keys are still believed: fresh, or not yet too stale.
    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        self.loaded
            .is_some_and(|loaded| now <= loaded.at + loaded.fresh_for + self.timing.max_stale)
    }

    /// How long ago the keys were fetched.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.loaded?.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(secs: u32) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + SECOND * secs
    }

    fn loaded(at_secs: u32, max_age: Option<u64>) -> Schedule {
        let mut schedule = Schedule::new(RefreshTiming::default());
        schedule.begin_background(at(at_secs));
        schedule.succeeded(at(at_secs), max_age.map(Duration::from_secs));
        schedule
    }

    #[test]
    fn freshness_is_clamped() {
        for (said, fresh) in [
            (None, 300),
            (Some(0), 60),
            (Some(59), 60),
            (Some(3_600), 3_600),
            (Some(u64::MAX), 86_400),
        ] {
            assert_eq!(loaded(0, said).next(at(0)), at(fresh), "{said:?}");
        }
    }

    #[test]
    fn at_once_and_then_often_until_there_are_keys() {
        let mut schedule = Schedule::new(RefreshTiming::default());
        assert_eq!(schedule.next(at(7)), at(7));
        assert!(schedule.begin_on_demand(at(7)));
        schedule.failed();
        assert_eq!(schedule.next(at(8)), at(9));
        assert!(!schedule.begin_on_demand(at(8)));
        assert!(schedule.begin_on_demand(at(9)));
        assert!(!schedule.is_usable(at(9)));
        for pause in [4, 8, 16, 30, 30] {
            schedule.failed();
            assert_eq!(schedule.next(at(9)), at(9 + pause));
        }
        for _ in 0..100 {
            schedule.failed();
        }
        assert_eq!(schedule.next(at(9)), at(39));
        assert!(schedule.begin_on_demand(at(11)), "a token does not wait");
    }

    #[test]
    fn unknown_kids_wait_for_the_cooldown() {
        let mut schedule = loaded(0, None);
        assert!(
            schedule.begin_on_demand(at(1)),
            "the first one goes at once"
        );
        schedule.succeeded(at(1), None);
        let admitted = (2..=31)
            .filter(|second| schedule.begin_on_demand(at(*second)))
            .count();
        assert_eq!(admitted, 1, "one in thirty seconds");
        assert!(!schedule.begin_on_demand(at(60)) && schedule.begin_on_demand(at(61)));
    }

    #[test]
    fn stale_keys_are_kept_for_an_hour() {
        let mut schedule = loaded(0, Some(600));
        schedule.begin_background(at(600));
        schedule.failed();
        assert_eq!(schedule.next(at(601)), at(630));
        assert!(schedule.is_usable(at(600 + 3_600)));
        assert!(!schedule.is_usable(at(600 + 3_601)));
        schedule.succeeded(at(5_000), Some(SECOND * 600));
        assert!(schedule.is_usable(at(5_000)) && schedule.failures() == 0);
    }

    #[test]
    fn absurd_timings_do_not_panic() {
        let timing = RefreshTiming {
            min_age: SECOND * 100,
            max_age: SECOND,
            ..RefreshTiming::default()
        };
        assert_eq!(timing.fresh_for(None), SECOND * 300 - SECOND * 200);
    }
}
