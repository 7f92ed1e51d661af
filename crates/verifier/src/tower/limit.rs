use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;
use tracing::error;

use super::challenge::Challenge;
use super::dialect::Behind;
use super::refusal::{RefusalCode, RefusedWithin};
use crate::Verified;

/// Most callers with a bucket of their own, unless told otherwise: at most 8 MiB, and more workloads than one API has.
const DEFAULT_CAPACITY: usize = 65_536;

/// Shortest time between two searches for buckets that can go: a search holds the lock for less than a millisecond.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

/// A limit on the calls of each workload: a layer to put *behind* [`Verifier::layer`](crate::Verifier::layer), so that
/// nobody spends another one's calls. Calls over the limit are answered with 429 and `Retry-After`.
///
/// Each subject of each issuer has a bucket of `burst` calls that fills up at the given rate (GCRA); behind
/// `Migration::layer` (feature `migrate`) each static key has one too. The buckets are in
/// this process alone: behind a load balancer with three replicas a workload gets three times as much.
///
/// There is room for a fixed number of callers. A bucket that has filled up again says nothing, and makes room for
/// another. If none has, callers without a bucket share one, until there is room: a flood of new callers slows other
/// new callers down, and never empties or resets the bucket of a caller who has one.
///
/// ```
/// # use axum::{Router, routing};
/// # use dayfly_verifier::Verifier;
/// use dayfly_verifier::tower::RateLimit;
///
/// # fn api(verifier: &Verifier) -> Router {
/// // The layer that is added last is the outermost: it verifies first.
/// Router::new()
///     .route("/orders", routing::get(|| async { "orders" }))
///     .layer(RateLimit::per_minute(600).burst(50))
///     .layer(verifier.layer())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RateLimit {
    rule: Rule,
    clock: Arc<dyn Fn() -> Duration + Send + Sync>,
    buckets: Arc<Mutex<Buckets>>,
}

/// Times are nanoseconds of the clock.
#[derive(Clone, Copy)]
struct Rule {
    interval: u64,
    burst: u32,
    capacity: usize,
}

#[derive(Default)]
struct Buckets {
    /// When each bucket will be full again, by issuer and subject.
    full_at: HashMap<[u8; 32], u64>,
    /// The bucket of those for whom there was no room.
    shared_full_at: u64,
    swept_at: Option<u64>,
}

impl RateLimit {
    /// So many calls in a second for each workload, at least 1, with as large a burst.
    pub fn per_second(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(1))
    }

    /// So many calls in a minute for each workload, at least 1, with as large a burst.
    pub fn per_minute(calls: u32) -> Self {
        Self::new(calls, Duration::from_secs(60))
    }

    fn new(calls: u32, period: Duration) -> Self {
        let calls = calls.max(1);
        Self {
            rule: Rule {
                interval: nanos(period / calls).max(1),
                burst: calls,
                capacity: DEFAULT_CAPACITY,
            },
            clock: Arc::new(crate::rim::uptime),
            buckets: Arc::default(),
        }
    }

    /// The most calls at once, at least 1.
    pub fn burst(mut self, calls: u32) -> Self {
        self.rule.burst = calls.max(1);
        self
    }

    /// The most callers with a bucket of their own; 65,536 if not called.
    pub const fn capacity(mut self, callers: usize) -> Self {
        self.rule.capacity = callers;
        self
    }

    /// Another clock, for tests: the time since any fixed moment, which never goes back.
    pub fn clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Takes one call out of the caller's bucket.
    ///
    /// # Errors
    /// How long to wait, if the bucket is empty.
    pub fn take(&self, caller: &Verified) -> Result<(), Duration> {
        self.take_from(&name_of(caller))
    }

    fn take_from(&self, name: &str) -> Result<(), Duration> {
        let key = dayfly_keys::sha256(name.as_bytes());
        let now = nanos((self.clock)());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(key, now, &self.rule)
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), Turned> {
        let caller = request.extensions().get().map(name_of);
        #[cfg(feature = "migrate")]
        let caller = caller.or_else(|| name_of_key(request.extensions().get()?));
        let Some(caller) = caller else {
            error!("a route has a `RateLimit`, and no `Verifier::layer` outside of it");
            return Err(Turned::Unprotected);
        };
        self.take_from(&caller).map_err(|wait| Turned::TooOften {
            retry_after_secs: whole_secs(wait),
        })
    }
}

/// Neither part has a NUL, so that no two callers have the same name.
fn name_of(caller: &Verified) -> String {
    format!("{}\0{}", caller.issuer(), caller.subject())
}

/// No issuer is empty, so that no key has the name of a workload.
#[cfg(feature = "migrate")]
fn name_of_key(credential: &crate::migrate::Credential) -> Option<String> {
    let key = credential.key()?;
    Some(format!("\0{}", key.id().as_str()))
}

impl Buckets {
    fn take(&mut self, key: [u8; 32], now: u64, rule: &Rule) -> Result<(), Duration> {
        if !self.full_at.contains_key(&key) && self.full_at.len() >= rule.capacity {
            self.sweep(now);
            if self.full_at.len() >= rule.capacity {
                return rule.take(&mut self.shared_full_at, now);
            }
        }
        rule.take(self.full_at.entry(key).or_insert(0), now)
    }

    /// A full bucket and none at all are the same.
    fn sweep(&mut self, now: u64) {
        let due = self
            .swept_at
            .is_none_or(|swept_at| now.saturating_sub(swept_at) >= nanos(SWEEP_PERIOD));
        if due {
            self.swept_at = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
        }
    }
}

impl Rule {
    /// GCRA: a bucket of `burst` calls is one instant, at which it is full again.
    fn take(&self, full_at: &mut u64, now: u64) -> Result<(), Duration> {
        let after = (*full_at).max(now).saturating_add(self.interval);
        let allowed = now.saturating_add(self.interval.saturating_mul(self.burst.into()));
        if after > allowed {
            return Err(Duration::from_nanos(after - allowed));
        }
        *full_at = after;
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Rounded up, so that whoever waits so long is let in.
fn whole_secs(wait: Duration) -> u32 {
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(secs).unwrap_or(u32::MAX).max(1)
}

enum Turned {
    TooOften {
        retry_after_secs: u32,
    },
    /// A mistake in the program, never an open door.
    Unprotected,
}

impl Turned {
    fn answer<R: Default>(self, behind: Option<&Arc<Behind>>) -> Response<R> {
        match self {
            Self::TooOften { retry_after_secs } => {
                let why = RefusedWithin {
                    code: RefusalCode::RateLimited,
                    reason: format!("free again in {retry_after_secs} s"),
                };
                Behind::refuse(
                    behind,
                    &Challenge::TooManyRequests { retry_after_secs },
                    why,
                )
            }
            Self::Unprotected => {
                let mut response = Response::new(R::default());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

impl<S> Layer<S> for RateLimit {
    type Service = RateLimited<S>;

    fn layer(&self, inner: S) -> RateLimited<S> {
        RateLimited {
            inner,
            limit: self.clone(),
        }
    }
}

/// What [`RateLimit`] makes of a service.
#[derive(Clone)]
pub struct RateLimited<S> {
    inner: S,
    limit: RateLimit,
}

impl<S, B, R> Service<Request<B>> for RateLimited<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RateLimitFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.limit.check(&request) {
            Ok(()) => RateLimitFuture(Step::Within(Box::pin(self.inner.call(request)))),
            Err(turned) => {
                let answer = turned.answer(request.extensions().get());
                RateLimitFuture(Step::Over(Some(answer)))
            }
        }
    }
}

/// The answer: the inner service's, or 429 at once.
#[must_use]
pub struct RateLimitFuture<F, R>(Step<F, R>);

enum Step<F, R> {
    Within(Pin<Box<F>>),
    Over(Option<Response<R>>),
}

// Nothing in it is pinned in place: the inner future is boxed.
impl<F, R> Unpin for RateLimitFuture<F, R> {}

impl<F, R, E> Future for RateLimitFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Step::Within(future) => future.as_mut().poll(context),
            // As in `VerifyFuture`: a future that is polled after its end may say anything.
            Step::Over(response) => Poll::Ready(Ok(response.take().unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rule(capacity: usize) -> Rule {
        Rule {
            interval: SECOND,
            burst: 3,
            capacity,
        }
    }

    fn key(of: u8) -> [u8; 32] {
        [of; 32]
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (rule, mut buckets) = (rule(10), Buckets::default());
        let start = 50 * SECOND;
        for _ in 0..3 {
            buckets.take(key(1), start, &rule).unwrap();
        }
        assert_eq!(
            buckets.take(key(1), start, &rule),
            Err(Duration::from_secs(1))
        );
        // What was refused costs nothing.
        let almost = start + SECOND - 1;
        assert_eq!(
            buckets.take(key(1), almost, &rule),
            Err(Duration::from_nanos(1))
        );
        buckets.take(key(1), start + SECOND, &rule).unwrap();
        assert!(buckets.take(key(1), start + SECOND, &rule).is_err());
        buckets.take(key(2), start, &rule).unwrap();
        // A long rest fills the bucket, and no more than that.
        for _ in 0..3 {
            buckets.take(key(1), start + 1000 * SECOND, &rule).unwrap();
        }
        assert!(buckets.take(key(1), start + 1000 * SECOND, &rule).is_err());
    }

    #[test]
    fn a_flood_of_callers_resets_nobody() {
        let (rule, mut buckets) = (rule(2), Buckets::default());
        for _ in 0..3 {
            buckets.take(key(1), 0, &rule).unwrap();
        }
        buckets.take(key(2), 0, &rule).unwrap();
        let accepted = (3..=255)
            .filter(|of| buckets.take(key(*of), 0, &rule).is_ok())
            .count();
        assert_eq!(accepted, 3, "newcomers share one bucket");
        assert_eq!(buckets.full_at.len(), 2);
        assert!(buckets.take(key(1), 0, &rule).is_err(), "still empty");
        buckets.take(key(2), 0, &rule).unwrap();
    }

    #[test]
    fn a_bucket_that_is_full_again_makes_room() {
        let (rule, mut buckets) = (rule(1), Buckets::default());
        buckets.take(key(1), 0, &rule).unwrap();
        for _ in 0..3 {
            buckets.take(key(2), 0, &rule).unwrap();
        }
        assert!(buckets.take(key(2), 0, &rule).is_err());
        buckets.take(key(2), SECOND, &rule).unwrap();
        assert!(buckets.full_at.contains_key(&key(2)) && !buckets.full_at.contains_key(&key(1)));
    }

    #[test]
    fn waits_are_rounded_up() {
        for (wait, secs) in [(0, 1), (1, 1), (SECOND, 1), (SECOND + 1, 2)] {
            assert_eq!(whole_secs(Duration::from_nanos(wait)), secs);
        }
    }
}
