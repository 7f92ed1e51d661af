//! The decision: what a request carries and the stage in, who gets in out. No clock, no counting, no HTTP.

use std::sync::Arc;

use dayfly_token::UnixTime;

use super::registry::Entry;
use super::{Credential, LegacyKey, Stage};
use crate::Verified;
use crate::tower::Challenge;

/// What was found in the places of keys.
pub(super) enum Key {
    Absent,
    Several,
    Unknown,
    Known(Arc<Entry>),
}

/// What the gate says of the token; [`Challenge::TokenMissing`] if there is none.
pub(super) type Token = Result<Verified, Challenge>;

pub(super) struct Decision {
    pub(super) answer: Result<Credential, Challenge>,
    pub(super) code: Code,
}

/// Why, for logs and counts. The caller does not learn it: to them, no credential, an unknown key, one that has ended and one
/// that comes too late are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Key,
    KeyEnded,
    KeyMalformed,
    /// Only keys are accepted, and there is a token alone.
    KeyMissing,
    KeyScope,
    KeyStage,
    KeyUnknown,
    NoCredential,
    Token,
    TokenRefused,
}

impl Code {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::KeyEnded => "key_ended",
            Self::KeyMalformed => "key_malformed",
            Self::KeyMissing => "key_missing",
            Self::KeyScope => "key_scope_missing",
            Self::KeyStage => "key_refused_by_stage",
            Self::KeyUnknown => "key_unknown",
            Self::NoCredential => "no_credential",
            Self::Token => "token",
            Self::TokenRefused => "token_refused",
        }
    }
}

/// Who gets in.
///
/// From [`Stage::AcceptBoth`] on a token decides wherever one is presented, and a valid key beside a refused token rescues
/// nothing: a revoked workload that kept its old key would otherwise not notice, and a client whose tokens never work
/// would be found out by the deadline alone.
pub(super) fn decide(
    stage: &Stage,
    key: &Key,
    token: &Token,
    needed: &[String],
    now: UnixTime,
) -> Decision {
    match (stage, token) {
        (Stage::Observe, token)
            if matches!(key, Key::Absent) && !matches!(token, Err(Challenge::TokenMissing)) =>
        {
            refused(Code::KeyMissing)
        }
        (Stage::Observe, _) => by_key(stage, key, needed, now),
        (_, Ok(verified)) => Decision {
            answer: Ok(Credential::Token(verified.clone())),
            code: Code::Token,
        },
        (Stage::TokensOnly, Err(Challenge::TokenMissing)) => refused(match key {
            Key::Known(_) => Code::KeyStage,
            Key::Unknown => Code::KeyUnknown,
            Key::Several => Code::KeyMalformed,
            Key::Absent => Code::NoCredential,
        }),
        (_, Err(Challenge::TokenMissing)) => by_key(stage, key, needed, now),
        (_, Err(challenge)) => Decision {
            answer: Err(challenge.clone()),
            code: Code::TokenRefused,
        },
    }
}

fn by_key(stage: &Stage, key: &Key, needed: &[String], now: UnixTime) -> Decision {
    let key = match key {
        Key::Absent => return refused(Code::NoCredential),
        Key::Unknown => return refused(Code::KeyUnknown),
        Key::Several => {
            return Decision {
                answer: Err(Challenge::InvalidRequest),
                code: Code::KeyMalformed,
            };
        }
        Key::Known(entry) => &entry.key,
    };
    if has_ended(stage, key, now) {
        return refused(Code::KeyEnded);
    }
    if !needed.iter().all(|scope| key.has_scope(scope)) {
        let scope = needed.join(" ");
        return Decision {
            answer: Err(Challenge::InsufficientScope { scope }),
            code: Code::KeyScope,
        };
    }
    Decision {
        answer: Ok(Credential::Key(key.clone())),
        code: Code::Key,
    }
}

/// The end is the first second of refusal, as `exp` is for tokens (RFC 7519 section 4.1.4); there is no leeway, because the
/// clock is this API's own.
fn has_ended(stage: &Stage, key: &LegacyKey, now: UnixTime) -> bool {
    stage.end_of(key.until()).is_some_and(|end| now >= end)
}

const fn refused(code: Code) -> Decision {
    Decision {
        answer: Err(Challenge::TokenMissing),
        code,
    }
}
