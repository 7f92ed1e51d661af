//! Who still uses a key.

use std::collections::BTreeMap;
use std::fmt;

use dayfly_token::{Slug, UnixTime};
use serde::{Deserialize, Serialize};

use super::Stage;
use super::counts::Counts;
use super::moment::rfc3339;
use super::registry::{Entry, Registry};
use super::tally::{KeyUses, Moment, RequestCounts, Tally};

/// What a [`Migration`](super::Migration) has counted. `Display` gives a table for people, serde everything for programs;
/// instants are seconds since 1970. The counts are those of one process: [`Report::merge`] joins replicas, and
/// [`Migration::resume`](super::Migration::resume) bridges a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// When the report was made.
    pub at: UnixTime,
    /// Since when there are counts. What happened before is not in them.
    pub counting_since: UnixTime,
    /// The stage at the time.
    pub stage: Stage,
    /// The keys of the registry, the last used first, and those never used at the end.
    pub keys: Vec<KeyReport>,
    /// All requests.
    pub requests: RequestCounts,
    /// Valid tokens by the owner of their workload.
    pub tokens_by_owner: BTreeMap<String, u64>,
    /// The last time that the API's own check decided otherwise than the registry would
    /// ([`Migration::danger_watch_layer`](super::Migration::danger_watch_layer)).
    pub last_difference: Option<UnixTime>,
}

/// One key of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyReport {
    /// The key's id.
    pub id: Slug,
    /// Who answers for it.
    pub owner: Slug,
    /// How to reach them.
    pub contact: Option<String>,
    /// The key's own end.
    pub until: Option<UnixTime>,
    /// When it was first presented.
    pub first_seen: Option<UnixTime>,
    /// When it was last presented, whatever came of it.
    pub last_seen: Option<UnixTime>,
    /// When it was last presented without a valid token beside it, so that nothing else could have let the request in.
    pub last_relied_on: Option<UnixTime>,
    /// When a token that is refused last came with it.
    pub last_beside_refused_token: Option<UnixTime>,
    /// How often, and what came of it.
    pub uses: KeyUses,
}

impl Report {
    pub(super) fn of(
        registry: &Registry,
        counts: &Counts,
        stage: Stage,
        counting_since: UnixTime,
        at: UnixTime,
    ) -> Self {
        let mut report = Self {
            at,
            counting_since,
            stage,
            keys: registry
                .entries()
                .iter()
                .map(|entry| KeyReport::of(entry))
                .collect(),
            requests: counts.requests.read(),
            tokens_by_owner: counts.by_owner.read().collect(),
            last_difference: counts.last_difference.read(),
        };
        report.sort();
        report
    }

    /// The keys that were not presented for `quiet_secs`, and can be deleted; none while there are counts for a shorter time
    /// than that.
    pub fn unused_for(&self, quiet_secs: u64) -> impl Iterator<Item = &KeyReport> {
        let long_enough = self.counted_secs() >= quiet_secs;
        self.keys
            .iter()
            .filter(move |key| long_enough && !self.is_recent(key.last_seen, quiet_secs))
    }

    /// Adds the counts of another replica. What is then counted since is the later of both, so that nothing is called unused
    /// on the word of one replica alone; and the stage is the earlier one.
    pub fn merge(&mut self, other: &Self) {
        for theirs in &other.keys {
            match self.keys.iter_mut().find(|key| key.id == theirs.id) {
                Some(ours) => ours.merge(theirs),
                None => self.keys.push(theirs.clone()),
            }
        }
        self.requests.merge(&other.requests);
        for (owner, tokens) in &other.tokens_by_owner {
            let sum = self.tokens_by_owner.entry(owner.clone()).or_default();
            *sum = sum.saturating_add(*tokens);
        }
        self.at = self.at.max(other.at);
        self.counting_since = self.counting_since.max(other.counting_since);
        self.last_difference = self.last_difference.max(other.last_difference);
        if other.stage.rank() < self.stage.rank() {
            self.stage = other.stage;
        }
        self.sort();
    }

    /// For how many seconds there are counts.
    #[must_use]
    pub const fn counted_secs(&self) -> u64 {
        self.at.seconds_since(self.counting_since)
    }

    pub(super) fn is_recent(&self, instant: Option<UnixTime>, quiet_secs: u64) -> bool {
        instant.is_some_and(|instant| self.at.seconds_since(instant) < quiet_secs)
    }

    pub(super) fn add_to(&self, counts: &Counts) {
        counts.requests.add(&self.requests);
        for (owner, tokens) in &self.tokens_by_owner {
            counts.by_owner.add(owner, *tokens);
        }
        resume_moment(&counts.last_difference, self.last_difference);
    }

    fn sort(&mut self) {
        self.keys
            .sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.id.cmp(&b.id)));
    }
}

impl KeyReport {
    fn of(entry: &Entry) -> Self {
        let (key, tally) = (&entry.key, &*entry.tally);
        Self {
            id: key.id().clone(),
            owner: key.owner().clone(),
            contact: key.contact().map(ToOwned::to_owned),
            until: key.until(),
            first_seen: tally.first_seen.read(),
            last_seen: tally.last_seen.read(),
            last_relied_on: tally.last_relied_on.read(),
            last_beside_refused_token: tally.last_beside_refused_token.read(),
            uses: tally.uses.read(),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.first_seen = match (self.first_seen, other.first_seen) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.last_seen = self.last_seen.max(other.last_seen);
        self.last_relied_on = self.last_relied_on.max(other.last_relied_on);
        self.last_beside_refused_token = self
            .last_beside_refused_token
            .max(other.last_beside_refused_token);
        self.uses.merge(&other.uses);
    }

    pub(super) fn add_to(&self, tally: &Tally) {
        tally.uses.add(&self.uses);
        if let Some(first) = self.first_seen {
            tally.first_seen.earliest(first);
        }
        resume_moment(&tally.last_seen, self.last_seen);
        resume_moment(&tally.last_relied_on, self.last_relied_on);
        resume_moment(
            &tally.last_beside_refused_token,
            self.last_beside_refused_token,
        );
    }

    const fn refused(&self) -> u64 {
        let uses = &self.uses;
        uses.refused_as_ended + uses.refused_by_stage + uses.refused_for_scope
    }
}

/// One line for each key, and three for the rest.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "stage {}, counted from {} to {}",
            self.stage,
            rfc3339(self.counting_since),
            rfc3339(self.at)
        )?;
        let head = [
            "KEY",
            "OWNER",
            "LAST USE",
            "LAST USE ALONE",
            "USES",
            "ADMITTED",
            "REFUSED",
            "BESIDE A TOKEN",
        ];
        let mut rows = vec![head.map(ToOwned::to_owned)];
        rows.extend(self.keys.iter().map(row));
        write_table(f, &rows)?;
        let owners: Vec<_> = self
            .tokens_by_owner
            .iter()
            .map(|(owner, tokens)| format!("{owner} {tokens}"))
            .collect();
        writeln!(f, "valid tokens by owner: {}", or_none(&owners.join(", ")))?;
        let requests = &self.requests;
        writeln!(
            f,
            "requests: {} admitted by token, {} by key; refused: {} by token, {} by key, {} with an unknown key, {} without any",
            requests.admitted_by_token,
            requests.admitted_by_key,
            requests.refused_by_token,
            requests.refused_by_key,
            requests.refused_as_unknown + requests.refused_as_malformed,
            requests.refused_without_credential,
        )?;
        if requests.watched == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "watched: {} requests, {} served and {} refused by the API's own check alone",
            requests.watched, requests.served_by_api_alone, requests.refused_by_api_alone
        )
    }
}

fn row(key: &KeyReport) -> [String; 8] {
    let instant = |instant: Option<UnixTime>| instant.map_or_else(|| "never".to_owned(), rfc3339);
    [
        key.id.to_string(),
        key.owner.to_string(),
        instant(key.last_seen),
        instant(key.last_relied_on),
        key.uses.presented.to_string(),
        key.uses.admitted.to_string(),
        key.refused().to_string(),
        key.uses.beside_token.to_string(),
    ]
}

fn write_table(f: &mut fmt::Formatter<'_>, rows: &[[String; 8]]) -> fmt::Result {
    let mut widths = [0; 8];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

const fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Moves a moment on to one of a former run.
fn resume_moment(moment: &Moment, saved: Option<UnixTime>) {
    if let Some(saved) = saved {
        moment.latest(saved);
    }
}
