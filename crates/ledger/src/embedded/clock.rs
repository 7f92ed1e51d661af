//! The clocks of the embedded store.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dayfly_issuer::{Clock, Now};

/// The clocks of this machine.
pub(super) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a store has a clock of its own to compare a replica's with"
    )]
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a store has a clock of its own to compare a replica's with"
    )]
    fn now(&self) -> Now {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let millis =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Now {
            unix_ms: millis(since_1970),
            monotonic_ms: millis(self.start.elapsed()),
        }
    }
}

/// The clock by which things are forgotten: never ahead of the time that has passed since the
/// start, so that a wall clock which jumps ahead does not throw away marks that are still needed.
pub(super) struct SlowClock {
    clock: Arc<dyn Clock>,
    start: Now,
}

impl SlowClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            start: clock.now(),
            clock,
        }
    }

    /// Milliseconds since 1970, at most.
    pub(super) fn unix_ms(&self) -> u64 {
        let now = self.clock.now();
        let passed = now.monotonic_ms.saturating_sub(self.start.monotonic_ms);
        now.unix_ms.min(self.start.unix_ms.saturating_add(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Hands(Mutex<Now>);

    impl Clock for Hands {
        fn now(&self) -> Now {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_wall_clock_that_jumps_ahead_does_not_make_things_old() {
        let at = |unix_ms, monotonic_ms| Now {
            unix_ms,
            monotonic_ms,
        };
        let hands = Arc::new(Hands(Mutex::new(at(1_000, 50))));
        let slow = SlowClock::new(hands.clone());
        assert_eq!(slow.unix_ms(), 1_000);
        *hands.0.lock().unwrap() = at(9_000_000, 60);
        assert_eq!(slow.unix_ms(), 1_010);
        *hands.0.lock().unwrap() = at(900, 70);
        assert_eq!(slow.unix_ms(), 900);
    }

    #[test]
    fn the_system_has_a_present() {
        let now = SystemClock::new().now();
        assert!(now.unix_ms > 1_700_000_000_000);
    }
}
