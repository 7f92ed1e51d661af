//! Moves an API from static keys to tokens, step by step, each step reversible, and with the numbers that say when the next
//! one is safe.
//!
//! [`ApiKeys`] says which keys there are: ids, owners, scopes and digests, never a key. A [`Migration`] joins them with a
//! [`Gate`](crate::tower::Gate) and a [`Stage`], both of which can be changed while requests are served, and counts who still
//! uses a key. [`Migration::layer`] takes the place of the API's own check; [`Report`] says who is left.
//!
//! ```
//! use axum::{Router, routing::get};
//! use dayfly_verifier::Verifier;
//! use dayfly_verifier::migrate::{ApiKeys, Credential, Migration, Stage};
//! use dayfly_verifier::tower::Gate;
//!
//! async fn orders(caller: Credential) -> String {
//!     match caller {
//!         Credential::Token(verified) => format!("hello {}", verified.subject()),
//!         Credential::Key(key) => format!("hello {}, whose key will end", key.owner()),
//!     }
//! }
//!
//! fn api(verifier: Verifier, keys: &str) -> Result<(Router, Migration), Box<dyn std::error::Error>> {
//!     let migration = Migration::builder(Gate::new(verifier), Stage::Observe)
//!         .keys(ApiKeys::from_toml(keys)?)
//!         .build()?;
//!     let api = Router::new().route("/orders", get(orders)).layer(migration.layer());
//!     Ok((api, migration)) // keep `migration` for `set_stage`, `replace_keys` and `report`
//! }
//! ```
//!
//! # Who decides
//!
//! | | no key, no token | valid key | unknown or ended key | valid token | refused token | valid key and valid token | valid key and refused token |
//! |---|---|---|---|---|---|---|---|
//! | [`Observe`](Stage::Observe) | 401 | **key** | 401 | 401 | 401 | **key** | **key** |
//! | [`AcceptBoth`](Stage::AcceptBoth) | 401 | **key** | 401 | **token** | 401 | **token** | 401 |
//! | [`KeysUntil`](Stage::KeysUntil), before the deadline | 401 | **key** | 401 | **token** | 401 | **token** | 401 |
//! | [`KeysUntil`](Stage::KeysUntil), from the deadline on | 401 | 401 | 401 | **token** | 401 | **token** | 401 |
//! | [`TokensOnly`](Stage::TokensOnly) | 401 | 401 | 401 | **token** | 401 | **token** | 401 |
//!
//! A valid key rescues no refused token: whoever sends both is moving, and learns at once that their tokens do not work, in
//! place of at the deadline; and a workload that was revoked does not get in by the key that it kept. [`Stage::Observe`] finds
//! those who would be hit before anything is refused, and [`Report::next_step`] names them. An unknown key beside a valid token
//! is counted, and changes nothing. No credential, an unknown key, and a known one that is past its end or too late are one
//! answer to the caller; the log tells them apart.
//!
//! # Two ways to observe
//!
//! [`Stage::Observe`] *replaces* the API's own check, and is as strict. [`Migration::danger_watch_layer`] *stands in front of* it,
//! and lets everything pass: its name is longer, because without a check behind it the API is open. It is no stage, so no
//! configuration turns the one into the other.

mod counts;
mod credential;
mod decide;
mod digest;
mod events;
#[cfg(feature = "axum")]
mod extract;
mod handle;
mod keys;
mod layer;
mod moment;
mod places;
mod registry;
mod report;
mod stage;
mod step;
mod tally;
mod watch;

pub use credential::Credential;
pub use dayfly_token::Slug;
pub use digest::{
    KeyHash, MAX_KEY_BYTES, MIN_KEY_BYTES, MIN_PEPPER_BYTES, Pepper, hash, hash_with_pepper,
};
#[cfg(feature = "axum")]
pub use extract::ScopedCredential;
pub use handle::{Migration, MigrationBuilder, MigrationError};
pub use keys::{ApiKeys, KeyEntry, KeysError, LegacyKey, MAX_KEYS, MAX_REGISTRY_BYTES};
pub use layer::{MigrationFuture, MigrationLayer, MigrationService};
pub use places::{KeyPlaces, PlaceError};
pub use report::{KeyReport, Report};
pub use stage::{Stage, StageError};
pub use step::{Blocker, NextStep};
pub use tally::{KeyUses, RequestCounts};
pub use watch::{DangerWatchLayer, WatchFuture, WatchService};
