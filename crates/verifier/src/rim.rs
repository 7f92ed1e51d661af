//! The one place of this crate that reads the clock; the verify path takes `now` as an argument.

#[cfg(feature = "tower")]
use std::sync::LazyLock;
use std::time::SystemTime;
#[cfg(feature = "tower")]
use std::time::{Duration, Instant};

use dayfly_token::UnixTime;

/// The present. A clock before 1970 is 1970: everything is then not yet valid.
#[expect(
    clippy::disallowed_methods,
    reason = "the layer, the server and the follower live at the rim"
)]
pub(crate) fn now() -> UnixTime {
    SystemTime::now().into()
}

/// The time since the first call, by a clock that is never set back.
#[cfg(feature = "tower")]
#[expect(clippy::disallowed_methods, reason = "the rate limit lives at the rim")]
pub(crate) fn uptime() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}
