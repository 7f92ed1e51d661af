use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 by the wall clock: the one place where the lab reads it.
#[allow(
    clippy::disallowed_methods,
    reason = "the lab is rim code: it plays the outside world"
)]
pub(crate) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
