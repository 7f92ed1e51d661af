//! Following an issuer: its metadata, its keys and its revocations, kept up to date by one background task.

mod backoff;
mod connect;
mod feed;
mod keeper;
mod keys;
mod metadata;
mod plan;
mod sse;
mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::task::JoinHandle;

pub use connect::{ConnectError, FromIssuer};
pub use state::StateError;

/// The times of the follower. They are constants of the feed's protocol, and tests scale them down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Without a statement that says something new for so long, the stream is dead: three heartbeats of 5 s.
    pub(crate) silence: Duration,
    /// Shortest time between two fetches of the same thing that a token or a statement asked for: a flood of
    /// made-up key ids costs the issuer one fetch in this time.
    pub(crate) cooldown: Duration,
    /// First wait before a reconnect.
    pub(crate) first_wait: Duration,
    /// Longest wait before a reconnect.
    pub(crate) longest_wait: Duration,
    /// How long a document without `max-age` is used.
    pub(crate) default_max_age: Duration,
    /// The shortest and the longest `max-age` that is believed.
    pub(crate) max_age_range: (Duration, Duration),
    /// How long keys are used that could not be fetched again.
    pub(crate) keys_outlive: Duration,
    /// Time between two purges of expired revocations.
    pub(crate) purge: Duration,
    /// Shortest time between two writes of the state file: it may have 60 MB, and after a crash the state is older by
    /// so much.
    pub(crate) keep: Duration,
    /// Shortest time between two snapshots that are fetched to make the state file shorter.
    pub(crate) compact: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(15),
            cooldown: Duration::from_secs(10),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            default_max_age: Duration::from_secs(300),
            max_age_range: (Duration::from_secs(5), Duration::from_secs(3600)),
            keys_outlive: Duration::from_secs(3600),
            purge: Duration::from_secs(600),
            keep: Duration::from_secs(30),
            compact: Duration::from_secs(60),
        }
    }
}

/// The background task; it ends with the last clone of the verifier.
pub(crate) struct Guard(JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
