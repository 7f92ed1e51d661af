//! Whether the next step is safe.

use std::fmt;

use dayfly_token::{Slug, UnixTime};
use serde::Serialize;

use super::moment::rfc3339;
use super::{KeyReport, Report, Stage};

/// The next step of a migration, and what speaks against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NextStep {
    /// What the step leads to: the name of a [`Stage`], `own check removed` before the first one, `layer removed` after
    /// the last.
    pub to: &'static str,
    /// What speaks against it; nothing if it is empty.
    pub blockers: Vec<Blocker>,
}

/// Something that speaks against the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "blocker", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Blocker {
    /// There are counts for a shorter time than the one that is to be looked at.
    CountedTooShortly {
        /// For how many seconds there are.
        counted_secs: u64,
        /// For how many there should be.
        wanted_secs: u64,
    },
    /// The API's own check decided otherwise than the registry would.
    Difference {
        /// The last time.
        at: UnixTime,
    },
    /// A token that is refused came with a key; with both accepted, the request would be refused.
    KeyBesideRefusedToken {
        /// The key's id.
        id: Slug,
        /// Who answers for it.
        owner: Slug,
        /// The last time.
        at: UnixTime,
    },
    /// A key came without a valid token; without keys, the request is refused.
    KeyReliedOn {
        /// The key's id.
        id: Slug,
        /// Who answers for it.
        owner: Slug,
        /// The last time.
        at: UnixTime,
    },
    /// No request was let in by a token yet: nobody knows that tokens work here.
    NoTokenYet,
    /// The watching layer saw nothing.
    NothingWatched,
}

impl NextStep {
    /// Whether nothing speaks against the step.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        self.blockers.is_empty()
    }
}

impl Report {
    /// Whether the step to the next stage is safe, by what was seen in the last `quiet_secs`. Take at least the period of the
    /// rarest caller: for a job that runs once a month, that is more than a month.
    #[must_use]
    pub fn next_step(&self, quiet_secs: u64) -> NextStep {
        let relied_on = || self.find(quiet_secs, relied_on);
        let (to, mut blockers) = match self.stage {
            Stage::Observe => ("accept_both", self.find(quiet_secs, beside_refused)),
            // A deadline refuses nothing yet; that it can be met is all there is to know.
            Stage::AcceptBoth if self.requests.admitted_by_token == 0 => {
                ("keys_until", vec![Blocker::NoTokenYet])
            }
            Stage::AcceptBoth => ("keys_until", Vec::new()),
            Stage::KeysUntil { .. } => ("tokens_only", relied_on()),
            Stage::TokensOnly => ("layer removed", relied_on()),
        };
        blockers.extend(self.too_shortly(quiet_secs));
        NextStep { to, blockers }
    }

    /// Whether the API's own check can be taken out and [`Migration::layer`](super::Migration::layer) put in its place, by what
    /// the watching layer saw in the last `quiet_secs`.
    #[must_use]
    pub fn own_check_is_replaceable(&self, quiet_secs: u64) -> NextStep {
        let mut blockers = Vec::new();
        if self.requests.watched == 0 {
            blockers.push(Blocker::NothingWatched);
        }
        if let Some(at) = self.last_difference
            && self.is_recent(Some(at), quiet_secs)
        {
            blockers.push(Blocker::Difference { at });
        }
        blockers.extend(self.too_shortly(quiet_secs));
        NextStep {
            to: "own check removed",
            blockers,
        }
    }

    fn find(
        &self,
        quiet_secs: u64,
        what: fn(&KeyReport) -> Option<(UnixTime, Blocker)>,
    ) -> Vec<Blocker> {
        let found = self.keys.iter().filter_map(what);
        found
            .filter(|(at, _)| self.is_recent(Some(*at), quiet_secs))
            .map(|(_, blocker)| blocker)
            .collect()
    }

    fn too_shortly(&self, wanted_secs: u64) -> Option<Blocker> {
        let counted_secs = self.counted_secs();
        (counted_secs < wanted_secs).then_some(Blocker::CountedTooShortly {
            counted_secs,
            wanted_secs,
        })
    }
}

fn relied_on(key: &KeyReport) -> Option<(UnixTime, Blocker)> {
    let at = key.last_relied_on?;
    let (id, owner) = (key.id.clone(), key.owner.clone());
    Some((at, Blocker::KeyReliedOn { id, owner, at }))
}

fn beside_refused(key: &KeyReport) -> Option<(UnixTime, Blocker)> {
    let at = key.last_beside_refused_token?;
    let (id, owner) = (key.id.clone(), key.owner.clone());
    Some((at, Blocker::KeyBesideRefusedToken { id, owner, at }))
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_safe() {
            return write!(f, "next: {}, safe", self.to);
        }
        write!(f, "next: {}, not yet:", self.to)?;
        for blocker in &self.blockers {
            write!(f, "\n- {blocker}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountedTooShortly {
                counted_secs,
                wanted_secs,
            } => write!(
                f,
                "counted for {counted_secs} s, {wanted_secs} s are wanted"
            ),
            Self::Difference { at } => write!(
                f,
                "the API's own check decided otherwise than the registry would, at {}",
                rfc3339(*at)
            ),
            Self::KeyBesideRefusedToken { id, owner, at } => write!(
                f,
                "key `{id}` of `{owner}` came with a token that is refused, at {}",
                rfc3339(*at)
            ),
            Self::KeyReliedOn { id, owner, at } => write!(
                f,
                "key `{id}` of `{owner}` came without a valid token, at {}",
                rfc3339(*at)
            ),
            Self::NoTokenYet => f.write_str("no request was let in by a token yet"),
            Self::NothingWatched => f.write_str("the watching layer saw no request"),
        }
    }
}
