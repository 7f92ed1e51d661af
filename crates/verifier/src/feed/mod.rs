//! The revocation feed as its reader sees it: whom to believe, and what a statement changes.
//!
//! Trust is only ever added by the issuer's `/v1/trust`, over TLS, or from an operator's file. A statement can
//! take away (revoke, cut off, taint) and announce, and nothing else: whoever steals a feed key or controls a
//! cache between here and the issuer can deny or freeze, never admit.

mod bundle;
#[cfg(feature = "http")]
mod record;
mod state;

use dayfly_keys::{KeySet, SignatureError};
use dayfly_token::feed::{Statement, TYP};
use dayfly_token::{Compact, CompactError, Excerpt, Header, HeaderError, JsonError, UnixTime};

pub use bundle::{Bundle, BundleError, MAX_BUNDLE_BYTES};
#[cfg(feature = "http")]
pub(crate) use record::Record;
pub use state::{Cursor, FeedState, Outcome};

/// Longest statement in bytes: a snapshot of half a million entries at 50 bytes each, in base64url.
pub const MAX_STATEMENT_BYTES: usize = 32 * 1024 * 1024;

/// Most entries that a feed may bring into the revocation state: 130 MB. Beyond it a statement is refused, the
/// state ages, and verification stops at the staleness limit: the feed can deny, never exhaust.
pub const MAX_ENTRIES: usize = 4 * 1024 * 1024;

/// How far a statement's `as_of` may lie in the future, in seconds, for clocks that differ. Without a limit a
/// stolen feed key could declare the state fresh for ever.
const MAX_AHEAD_SECS: u64 = crate::MAX_LEEWAY_SECS;

/// Why a statement was not believed. The revocation state is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The header's algorithm is not the key's.
    #[error("algorithm `{alg}` is not that of the feed key")]
    Algorithm {
        /// What the header says.
        alg: Excerpt,
    },
    /// Not a compact JWS.
    #[error("the statement is not a compact JWS of an acceptable form")]
    Compact {
        /// What is wrong with it.
        source: CompactError,
    },
    /// Not to be believed any more.
    #[error("the statement expired at {expired_at}, now is {now}")]
    Expired {
        /// The present, by this machine's clock.
        now: UnixTime,
        /// The statement's `exp`.
        expired_at: UnixTime,
    },
    /// More entries than [`MAX_ENTRIES`].
    #[error("{entries} revocations are more than {MAX_ENTRIES}")]
    Full {
        /// How many there would be.
        entries: usize,
    },
    /// A statement about the future.
    #[error("the statement is of {as_of}, now is {now}")]
    Future {
        /// The present, by this machine's clock.
        now: UnixTime,
        /// The statement's `as_of`.
        as_of: UnixTime,
    },
    /// The header is refused.
    #[error("the statement's header is refused")]
    Header {
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A statement of another issuer.
    #[error("the statement is of the issuer `{found}`")]
    Issuer {
        /// Which.
        found: Excerpt,
    },
    /// The payload is not a statement.
    #[error("the payload is not a statement")]
    Json {
        /// What is wrong with it.
        source: JsonError,
    },
    /// A piece of the stream where a snapshot was needed.
    #[error("the statement is no snapshot")]
    NotASnapshot,
    /// The signature does not hold.
    #[error("the statement's signature does not hold")]
    Signature {
        /// Why.
        source: SignatureError,
    },
    /// Another kind of JWT.
    #[error("type `{found}` is not `{TYP}`")]
    Type {
        /// Which.
        found: Excerpt,
    },
    /// No trusted feed key has this id. The statement is neither believed nor proof of anything.
    #[error("no trusted feed key has the id `{kid}`")]
    UnknownKey {
        /// The id, escaped and cut; empty if the header names none.
        kid: Excerpt,
    },
}

/// Verifies a statement: form, type, signature by a key of `keys` (those of `/v1/trust`), issuer, times.
///
/// # Errors
/// The first check that failed.
pub fn open_statement(
    text: &str,
    keys: &KeySet,
    issuer: &str,
    now: UnixTime,
) -> Result<Statement, FeedError> {
    let statement = open_signed(text, keys, issuer)?;
    check_not_future(&statement, now)?;
    if now >= statement.exp.saturating_add(MAX_AHEAD_SECS) {
        return Err(FeedError::Expired {
            now,
            expired_at: statement.exp,
        });
    }
    Ok(statement)
}

/// What the issuer truly said at some time: all of [`open_statement`] but the times.
fn open_signed(text: &str, keys: &KeySet, issuer: &str) -> Result<Statement, FeedError> {
    let compact_refused = |source| FeedError::Compact { source };
    let compact = Compact::split_within(text, MAX_STATEMENT_BYTES).map_err(compact_refused)?;
    let header_json = compact.header_bytes().map_err(compact_refused)?;
    let header = Header::parse(&header_json).map_err(|source| FeedError::Header { source })?;
    if !header.is_type(TYP) {
        return Err(FeedError::Type {
            found: Excerpt::of(header.typ.as_deref().unwrap_or_default()),
        });
    }
    let kid = header.kid.unwrap_or_default();
    let key = keys.get(&kid).ok_or_else(|| FeedError::UnknownKey {
        kid: Excerpt::of(&kid),
    })?;
    if !key.algorithm().accepts(&header.alg) {
        return Err(FeedError::Algorithm {
            alg: Excerpt::of(&header.alg),
        });
    }
    let signature = compact.signature_bytes().map_err(compact_refused)?;
    key.verify(compact.signing_input(), &signature)
        .map_err(|source| FeedError::Signature { source })?;
    let payload = compact.payload_bytes().map_err(compact_refused)?;
    let statement = Statement::parse(&payload).map_err(|source| FeedError::Json { source })?;
    if statement.iss != issuer {
        return Err(FeedError::Issuer {
            found: Excerpt::of(&statement.iss),
        });
    }
    Ok(statement)
}

fn check_not_future(statement: &Statement, now: UnixTime) -> Result<(), FeedError> {
    if statement.as_of > now.saturating_add(MAX_AHEAD_SECS) {
        return Err(FeedError::Future {
            now,
            as_of: statement.as_of,
        });
    }
    Ok(())
}
