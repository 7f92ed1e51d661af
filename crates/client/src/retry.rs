use std::time::Duration;

use crate::{ClientError, clock};

/// How often and how patiently a call is repeated after a temporary failure.
///
/// Each attempt presents evidence anew, so that a source that can get fresh evidence does (a token of GitHub counts
/// once, and the attempt that failed may have used it up).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all; 1 never repeats.
    pub attempts: u32,
    /// The wait after the first failure when the issuer names none; it doubles each time.
    pub first_wait: Duration,
    /// The longest wait. Where the issuer asks for more, the call fails at once and says so: coming back sooner than
    /// asked would only add to the load.
    pub longest_wait: Duration,
}

impl RetryPolicy {
    /// Four attempts within seconds: a replica's failover or a cut-off takes 2 to 7 s.
    pub const DEFAULT: Self = Self {
        attempts: 4,
        first_wait: Duration::from_millis(200),
        longest_wait: Duration::from_secs(10),
    };

    /// One attempt.
    pub const NONE: Self = Self {
        attempts: 1,
        ..Self::DEFAULT
    };

    /// The same with `attempts` attempts in all.
    #[must_use]
    pub const fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// The same with this longest wait.
    #[must_use]
    pub const fn longest_wait(self, longest_wait: Duration) -> Self {
        Self {
            longest_wait,
            ..self
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The attempts of one call.
pub(crate) struct Attempts {
    policy: RetryPolicy,
    failures: u32,
}

impl Attempts {
    pub(crate) const fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            failures: 0,
        }
    }

    /// Waits if the call may be repeated; gives the error back if not.
    pub(crate) async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        let Some(wait) = self.wait_after(&error, clock::random()) else {
            return Err(error);
        };
        tracing::debug!(wait_ms = wait.as_millis(), failures = self.failures, %error, "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn wait_after(&mut self, error: &ClientError, random: u32) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.policy.attempts || !error.is_temporary() {
            return None;
        }
        let asked = error.refusal().and_then(|refusal| refusal.retry_after);
        match asked {
            // Up to a quarter later than asked, so that not all callers come back at once.
            Some(asked) if asked <= self.policy.longest_wait => {
                Some(asked.saturating_add(part_of(asked / 4, random)))
            }
            Some(_) => None,
            None => {
                let doublings = (self.failures - 1).min(16);
                let full = self
                    .policy
                    .first_wait
                    .saturating_mul(1 << doublings)
                    .min(self.policy.longest_wait);
                Some((full / 2).saturating_add(part_of(full / 2, random)))
            }
        }
    }
}

/// A part of `whole`, as large as `random` is within its range.
pub(crate) fn part_of(whole: Duration, random: u32) -> Duration {
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Refusal;

    pub(crate) fn refused(status: u16, retry_after_secs: Option<u64>) -> ClientError {
        ClientError::Refused {
            endpoint: String::new(),
            refusal: Box::new(Refusal {
                status,
                code: String::new(),
                description: None,
                decision_id: None,
                request_id: None,
                retry_after: retry_after_secs.map(Duration::from_secs),
            }),
        }
    }

    #[test]
    fn the_issuers_wait_is_honoured_up_to_the_longest() {
        let mut attempts = Attempts::new(RetryPolicy::DEFAULT);
        assert_eq!(
            attempts.wait_after(&refused(503, Some(2)), 0),
            Some(Duration::from_secs(2))
        );
        assert_eq!(
            attempts.wait_after(&refused(429, Some(2)), u32::MAX),
            Some(Duration::from_millis(2500))
        );
        assert_eq!(attempts.wait_after(&refused(503, Some(11)), 0), None);
    }

    #[test]
    fn waits_double_and_attempts_end() {
        let mut attempts = Attempts::new(RetryPolicy::DEFAULT);
        let waits: Vec<_> = (0..4)
            .map(|_| attempts.wait_after(&refused(503, None), u32::MAX))
            .collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(waits, [ms(200), ms(400), ms(800), None]);
        let mut attempts = Attempts::new(RetryPolicy::DEFAULT);
        assert_eq!(attempts.wait_after(&refused(503, None), 0), ms(100));
    }

    #[test]
    fn endless_patience_is_no_overflow() {
        for first_wait in [Duration::ZERO, Duration::MAX] {
            let policy = RetryPolicy {
                first_wait,
                ..RetryPolicy::DEFAULT.longest_wait(Duration::MAX)
            };
            for asked in [None, Some(u64::MAX)] {
                let wait = Attempts::new(policy).wait_after(&refused(503, asked), u32::MAX);
                assert!(wait.is_some(), "{first_wait:?} {asked:?}");
            }
        }
    }

    #[test]
    fn what_is_final_is_not_repeated() {
        let mut attempts = Attempts::new(RetryPolicy::DEFAULT);
        assert_eq!(attempts.wait_after(&refused(400, Some(1)), 0), None);
        let mut attempts = Attempts::new(RetryPolicy::NONE);
        assert_eq!(attempts.wait_after(&refused(503, None), 0), None);
    }
}
