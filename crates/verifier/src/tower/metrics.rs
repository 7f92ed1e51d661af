use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::refusal::RefusalCode;
use crate::Freshness;

/// What a gate did, counted: so many calls let in, by how fresh the knowledge of revocations was, and so many refused,
/// by code.
///
/// The number of counters is fixed, and no label comes from a caller, so that no stranger can make it grow. Clones
/// share the counters; so do the clones of a [`Gate`](super::Gate), and all gates that are
/// [given](super::Gate::count_in) the same value.
///
/// `Display` is the text format of Prometheus.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    accepted: [AtomicU64; AGES.len()],
    refused: [AtomicU64; RefusalCode::COUNT],
}

/// The values of the label `freshness`.
const AGES: [&str; 3] = ["fresh", "stale", "unknown"];

/// The counters of one moment, each read by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsSnapshot {
    /// Calls let in while the revocation state was fresh.
    pub accepted_fresh: u64,
    /// Calls let in with an older revocation state.
    pub accepted_stale: u64,
    /// Calls let in by a verifier that follows no revocations.
    pub accepted_unknown: u64,
    /// Calls refused: every code once, also those that never occurred, in the order of [`RefusalCode::all`].
    pub refused: Vec<(RefusalCode, u64)>,
}

impl MetricsSnapshot {
    /// All calls let in.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.accepted_fresh
            .wrapping_add(self.accepted_stale)
            .wrapping_add(self.accepted_unknown)
    }

    /// The calls refused with `code`.
    #[must_use]
    pub fn refused(&self, code: RefusalCode) -> u64 {
        let mut counted = self.refused.iter();
        counted
            .find(|(counted, _)| *counted == code)
            .map_or(0, |(_, count)| *count)
    }
}

impl Metrics {
    /// Counters at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counters as they are now.
    #[must_use]
    pub fn snapshot(&self) -> MetricsSnapshot {
        let [accepted_fresh, accepted_stale, accepted_unknown] =
            self.0.accepted.each_ref().map(read);
        MetricsSnapshot {
            accepted_fresh,
            accepted_stale,
            accepted_unknown,
            refused: RefusalCode::all()
                .zip(self.0.refused.iter().map(read))
                .collect(),
        }
    }

    pub(super) fn accepted(&self, freshness: Freshness) {
        let [fresh, stale, unknown] = &self.0.accepted;
        count(match freshness {
            Freshness::Fresh => fresh,
            Freshness::Stale { .. } => stale,
            Freshness::Unknown => unknown,
        });
    }

    pub(super) fn refused(&self, code: RefusalCode) {
        let mut counters = RefusalCode::all().zip(&self.0.refused);
        if let Some((_, counter)) = counters.find(|(counted, _)| *counted == code) {
            count(counter);
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            accepted: [const { AtomicU64::new(0) }; AGES.len()],
            refused: [const { AtomicU64::new(0) }; RefusalCode::COUNT],
        }
    }
}

/// Counters order nothing but themselves.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The text format of Prometheus, version 0.0.4. Every series is there from the start.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "# HELP dayfly_access_accepted_total Calls let in, by how fresh the knowledge of revocations was.\n\
             # TYPE dayfly_access_accepted_total counter\n",
        )?;
        for (age, counter) in AGES.iter().zip(&self.0.accepted) {
            let count = read(counter);
            writeln!(
                f,
                "dayfly_access_accepted_total{{freshness=\"{age}\"}} {count}"
            )?;
        }
        f.write_str(
            "# HELP dayfly_access_refused_total Calls refused, by reason code.\n\
             # TYPE dayfly_access_refused_total counter\n",
        )?;
        for (code, counter) in RefusalCode::all().zip(&self.0.refused) {
            let (code, count) = (code.as_str(), read(counter));
            writeln!(f, "dayfly_access_refused_total{{code=\"{code}\"}} {count}")?;
        }
        Ok(())
    }
}
