use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Waits that double from the first to the longest, each shortened by up to half at random, so that a fleet that
/// lost its issuer at one moment does not come back at one moment.
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest);
        shortened(wait, 50)
    }

    pub(super) const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// `wait`, less up to `percent` of it at random.
pub(super) fn shortened(wait: Duration, percent: u32) -> Duration {
    // The standard library's seed of its hash maps: no secret hangs on it, and it needs no other source.
    let random = u32::try_from(RandomState::new().hash_one(0_u8) % 1000).unwrap_or_default();
    wait - wait.saturating_mul(percent * random) / 100_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_in_range() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for most in [1, 2, 4, 8, 16, 30, 30] {
            let (wait, most) = (backoff.wait(), Duration::from_secs(most));
            assert!(wait <= most && wait >= most / 2, "{wait:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_secs(1));
    }
}
