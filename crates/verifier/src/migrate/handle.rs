//! The handle by which a migration is set up, steered and read.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderValue;
use http::request::Parts;

use super::counts::Counts;
use super::decide::Key;
use super::places::Carried;
use super::registry::Registry;
use super::report::Report;
use super::tally::Moment;
use super::{ApiKeys, KeyPlaces, KeysError, Stage, StageError, events};
use crate::tower::Gate;

/// One API's migration. Cloning is cheap, and clones share keys, stage and counts.
#[derive(Clone)]
pub struct Migration {
    shared: Arc<Shared>,
}

struct Shared {
    gate: Gate,
    places: KeyPlaces,
    guide: Option<HeaderValue>,
    stage: ArcSwap<Stage>,
    registry: ArcSwap<Registry>,
    /// Held while the registry is replaced, so that two at once lose no counts.
    replacing: Mutex<()>,
    counts: Counts,
    counting_since: Moment,
}

/// Why a migration was not set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The address of the guide cannot stand in a header.
    #[error("the guide is not a URL that can stand in a header")]
    Guide,
    /// The keys are refused.
    #[error("the keys are refused")]
    Keys(#[from] KeysError),
    /// Keys would be looked for nowhere.
    #[error("no place to find keys in")]
    NoPlace,
    /// The stage cannot be.
    #[error("the stage is refused")]
    Stage(#[from] StageError),
}

/// Collects what a [`Migration`] needs to know.
#[must_use]
pub struct MigrationBuilder {
    gate: Gate,
    stage: Stage,
    keys: ApiKeys,
    places: KeyPlaces,
    guide: Option<String>,
}

impl MigrationBuilder {
    /// The keys that the API has given out; none if not called.
    pub fn keys(self, keys: ApiKeys) -> Self {
        Self { keys, ..self }
    }

    /// Where requests carry keys; in the header `x-api-key` if not called.
    pub fn places(self, places: KeyPlaces) -> Self {
        Self { places, ..self }
    }

    /// The URL of a page that tells users how to move. It goes with every [`Sunset`](Stage::KeysUntil), as a `Link` of the
    /// type `deprecation` (RFC 9745 section 3).
    pub fn guide(self, url: impl Into<String>) -> Self {
        Self {
            guide: Some(url.into()),
            ..self
        }
    }

    /// The migration; it counts from now on.
    ///
    /// # Errors
    /// If the keys, the stage, the places or the guide cannot be.
    pub fn build(self) -> Result<Migration, MigrationError> {
        self.stage.check()?;
        if self.places.is_nowhere() {
            return Err(MigrationError::NoPlace);
        }
        let registry = Registry::default().after(self.keys)?;
        let counting_since = Moment::default();
        counting_since.earliest(self.gate.now());
        let shared = Shared {
            guide: self.guide.as_deref().map(link).transpose()?,
            gate: self.gate,
            places: self.places,
            stage: ArcSwap::from_pointee(self.stage),
            registry: ArcSwap::from_pointee(registry),
            replacing: Mutex::new(()),
            counts: Counts::default(),
            counting_since,
        };
        Ok(Migration {
            shared: Arc::new(shared),
        })
    }
}

impl Migration {
    /// Starts a migration with the gate for tokens, whose clock and scopes hold for keys too, and a stage. There is no silent
    /// default for the stage: a restart must not go back to another one.
    pub fn builder(gate: Gate, stage: Stage) -> MigrationBuilder {
        MigrationBuilder {
            gate,
            stage,
            keys: ApiKeys::default(),
            places: KeyPlaces::default(),
            guide: None,
        }
    }

    /// The present stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        **self.shared.stage.load()
    }

    /// Goes to another stage, forwards or back. Requests that are being answered keep the stage that they came in.
    ///
    /// # Errors
    /// If the stage cannot be; the present one then stays.
    pub fn set_stage(&self, stage: Stage) -> Result<(), StageError> {
        stage.check()?;
        let former = self.shared.stage.swap(Arc::new(stage));
        if *former != stage {
            events::stage_changed(&former, &stage);
        }
        Ok(())
    }

    /// Puts these keys in the place of the former ones. A key keeps its counts by its id.
    ///
    /// # Errors
    /// If the keys are refused; the former ones then stay.
    pub fn replace_keys(&self, keys: ApiKeys) -> Result<(), KeysError> {
        let shared = &*self.shared;
        let _one_at_a_time = shared
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = keys.len();
        let next = shared.registry.load().after(keys)?;
        shared.registry.store(Arc::new(next));
        events::keys_replaced(count);
        Ok(())
    }

    /// What was counted until now.
    #[must_use]
    pub fn report(&self) -> Report {
        let shared = &*self.shared;
        let now = shared.gate.now();
        Report::of(
            &shared.registry.load(),
            &shared.counts,
            self.stage(),
            shared.counting_since.read().unwrap_or(now),
            now,
        )
    }

    /// Adds what a former run of this replica had counted, so that a restart does not begin at zero: once, right after the
    /// start, with the last report that was saved. Keys that are no longer in the registry are passed over.
    pub fn resume(&self, saved: &Report) {
        let shared = &*self.shared;
        let registry = shared.registry.load();
        for key in &saved.keys {
            if let Some(tally) = registry.by_id(&key.id) {
                key.add_to(tally);
            }
        }
        saved.add_to(&shared.counts);
        shared.counting_since.earliest(saved.counting_since);
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    pub(super) fn places(&self) -> &KeyPlaces {
        &self.shared.places
    }

    pub(super) fn guide(&self) -> Option<&HeaderValue> {
        self.shared.guide.as_ref()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// The key of a request, and whether it came in the query.
    pub(super) fn key_of(&self, parts: &Parts) -> (Key, bool) {
        match self.places().find(parts) {
            Carried::Nothing => (Key::Absent, false),
            Carried::Several => (Key::Several, false),
            Carried::Key { text, in_query } => {
                let found = self.shared.registry.load().find(&text);
                (found.map_or(Key::Unknown, Key::Known), in_query)
            }
        }
    }
}

impl std::fmt::Debug for Migration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Migration")
            .field("stage", &self.stage())
            .field("keys", &self.shared.registry.load().entries().len())
            .finish_non_exhaustive()
    }
}

fn link(url: &str) -> Result<HeaderValue, MigrationError> {
    let parsed = url::Url::parse(url).map_err(|_| MigrationError::Guide)?;
    HeaderValue::try_from(format!("<{parsed}>; rel=\"deprecation\""))
        .map_err(|_| MigrationError::Guide)
}
