use std::borrow::Cow;
use std::error::Error as _;

use super::challenge::Challenge;
use crate::{Rejection, RejectionCode, Verified};

/// The stable name of a refusal: of the token, or of the request that it came with. In events, metrics and the table
/// of the [manual](crate::manual::howto::refusals).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// The token was rejected.
    Token(RejectionCode),
    /// The token is good, and lacks a scope.
    InsufficientScope,
    /// A token in the wrong place, or more than one.
    InvalidRequest,
    /// The token is good, and its workload asked too often.
    RateLimited,
    /// No token at all.
    TokenMissing,
}

/// Those that are not about the token itself, in the order of their names.
const OF_REQUESTS: [RefusalCode; 4] = [
    RefusalCode::InsufficientScope,
    RefusalCode::InvalidRequest,
    RefusalCode::RateLimited,
    RefusalCode::TokenMissing,
];

impl RefusalCode {
    /// How many there are.
    pub(super) const COUNT: usize = RejectionCode::ALL.len() + OF_REQUESTS.len();

    /// All of them, each once, always in the same order: those of tokens, then those of requests.
    pub fn all() -> impl Iterator<Item = Self> {
        RejectionCode::ALL
            .into_iter()
            .map(Self::Token)
            .chain(OF_REQUESTS)
    }

    /// The name in logs and metrics, in `snake_case`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token(code) => code.as_str(),
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidRequest => "invalid_request",
            Self::RateLimited => "rate_limited",
            Self::TokenMissing => "token_missing",
        }
    }
}

/// A request that the gate did not let in: what the caller is told, and what the operator.
pub(crate) struct Refusal {
    pub(crate) challenge: Challenge,
    pub(super) code: RefusalCode,
    why: Why,
    /// Who asked, if the token was good.
    pub(super) caller: Option<Verified>,
}

enum Why {
    Rejected(Rejection),
    Malformed(&'static str),
    NoToken,
    NoScope,
}

impl Refusal {
    pub(super) fn of_token(rejection: Rejection) -> Self {
        let code = rejection.code();
        Self {
            challenge: Challenge::of(code),
            code: RefusalCode::Token(code),
            why: Why::Rejected(rejection),
            caller: None,
        }
    }

    pub(super) const fn token_missing() -> Self {
        Self {
            challenge: Challenge::TokenMissing,
            code: RefusalCode::TokenMissing,
            why: Why::NoToken,
            caller: None,
        }
    }

    /// Under the scheme `DPoP`, at a gate without a base URL: as if there were no token.
    pub(super) fn dpop_not_set_up() -> Self {
        Self {
            why: Why::Malformed(
                "a DPoP token, and this gate has no `base_url` to compare its proof with",
            ),
            ..Self::token_missing()
        }
    }

    /// Under the scheme `DPoP`, without the one proof that it needs.
    pub(super) const fn no_proof(what: &'static str) -> Self {
        Self {
            challenge: Challenge::InvalidProof,
            code: RefusalCode::Token(RejectionCode::BadProof),
            why: Why::Malformed(what),
            caller: None,
        }
    }

    pub(super) const fn malformed(what: &'static str) -> Self {
        Self {
            challenge: Challenge::InvalidRequest,
            code: RefusalCode::InvalidRequest,
            why: Why::Malformed(what),
            caller: None,
        }
    }

    pub(super) const fn insufficient_scope(scope: String, caller: Verified) -> Self {
        Self {
            challenge: Challenge::InsufficientScope { scope },
            code: RefusalCode::InsufficientScope,
            why: Why::NoScope,
            caller: Some(caller),
        }
    }

    /// What the token alone would be answered with, for those who accept something else too: one under a scheme that is not
    /// set up is a token that does not work, and not none.
    #[cfg(feature = "migrate")]
    pub(crate) fn of_the_token(&self) -> Challenge {
        match (&self.why, &self.challenge) {
            (Why::Malformed(_), Challenge::TokenMissing) => Challenge::InvalidToken,
            (_, challenge) => challenge.clone(),
        }
    }

    /// The facts for the log. What the token said is escaped and cut by [`Rejection`].
    pub(super) fn reason(&self) -> Option<Cow<'_, str>> {
        match (&self.why, &self.challenge) {
            (Why::Rejected(rejection), _) => Some(rejection.to_string().into()),
            (Why::Malformed(what), _) => Some((*what).into()),
            (_, Challenge::InsufficientScope { scope }) => Some(needs(scope).into()),
            (Why::NoToken | Why::NoScope, _) => None,
        }
    }

    /// What is known of a refused token whose signature held.
    pub(super) const fn rejection(&self) -> Option<&Rejection> {
        match &self.why {
            Why::Rejected(rejection) => Some(rejection),
            Why::Malformed(_) | Why::NoToken | Why::NoScope => None,
        }
    }

    /// What is behind the reason.
    pub(super) fn cause(&self) -> Option<String> {
        match &self.why {
            Why::Rejected(rejection) => causes_of(rejection),
            Why::Malformed(_) | Why::NoToken | Why::NoScope => None,
        }
    }
}

/// The sources of an error, outermost first.
fn causes_of(rejection: &Rejection) -> Option<String> {
    let mut causes = Vec::new();
    let mut next = rejection.source();
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    (!causes.is_empty()).then(|| causes.join(": "))
}

/// How something behind the gate, an extractor or the rate limit, tells it that a call which the gate let in was
/// refused after all: an extension of the response.
#[derive(Clone, Debug)]
pub(crate) struct RefusedWithin {
    pub(crate) code: RefusalCode,
    pub(crate) reason: String,
}

#[cfg(any(feature = "axum", feature = "tonic"))]
impl RefusedWithin {
    pub(crate) fn insufficient_scope(scope: &str) -> Self {
        Self {
            code: RefusalCode::InsufficientScope,
            reason: needs(scope),
        }
    }

    #[cfg(all(feature = "axum", feature = "migrate"))]
    pub(crate) fn token_missing() -> Self {
        Self {
            code: RefusalCode::TokenMissing,
            reason: "the handler wants a token".to_owned(),
        }
    }
}

fn needs(scope: &str) -> String {
    format!("needs `{scope}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own() {
        let mut names: Vec<_> = RefusalCode::all().map(RefusalCode::as_str).collect();
        assert_eq!(names.len(), RefusalCode::COUNT);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RefusalCode::COUNT);
    }
}
