use std::time::{SystemTime, UNIX_EPOCH};

use dayfly_token::UnixTime;

/// Milliseconds since 1970 by the wall clock: the one place where this crate reads it.
#[expect(
    clippy::disallowed_methods,
    reason = "the client is rim code: it runs inside the workload"
)]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The same in whole seconds, as credentials carry it.
pub(crate) fn now() -> UnixTime {
    UnixTime::from_secs(unix_ms() / 1000)
}

/// A random number for jitter. Should the system have none, every client waits the same: harmless.
#[expect(
    clippy::disallowed_methods,
    reason = "the client is rim code: it runs inside the workload"
)]
pub(crate) fn random() -> u32 {
    let mut bytes = [0; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return 0;
    }
    u32::from_le_bytes(bytes)
}
