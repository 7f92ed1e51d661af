//! The clocks and the randomness of this machine: the one place where they are read.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dayfly_issuer::{Clock, Now, Rng};

/// The clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Clocks whose monotonic part starts now.
    #[expect(clippy::disallowed_methods, reason = "the rim reads the clock")]
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the rim reads the clock")]
    fn now(&self) -> Now {
        let millis =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Now {
            unix_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, millis),
            monotonic_ms: millis(self.start.elapsed()),
        }
    }
}

/// The random numbers of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRng;

impl Rng for SystemRng {
    /// Without randomness no key and no identifier is safe, and there is nothing to fall back to:
    /// the process ends.
    #[expect(clippy::disallowed_methods, reason = "the rim draws randomness")]
    fn fill(&mut self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            tracing::error!("the operating system gives no random numbers");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_and_the_numbers_differ() {
        let clock = SystemClock::new();
        let (a, b) = (clock.now(), clock.now());
        assert!(a.unix_ms > 1_700_000_000_000 && b.monotonic_ms >= a.monotonic_ms);
        let (mut one, mut two) = ([0; 32], [0; 32]);
        SystemRng.fill(&mut one);
        SystemRng.fill(&mut two);
        assert_ne!(one, two);
    }
}
