use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

use crate::RejectionCode;
use crate::dpop::ALGORITHMS;

/// Seconds after which a caller may try again when this API has lost its keys or its revocation state.
const RETRY_AFTER_SECS: u32 = 5;

/// The header that gives a client the nonce for its next proof (RFC 9449 section 8.1).
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Why a request is turned away, as RFC 6750 and RFC 9449 tell the caller: enough to know what to do next, and nothing
/// of what the verifier knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Challenge {
    /// 401 without an error code: no token at all (RFC 6750 section 3.1).
    TokenMissing,
    /// 400 `invalid_request`: a token in the wrong place, or more than one.
    InvalidRequest,
    /// 401 `invalid_token`: get another one.
    InvalidToken,
    /// 401 `invalid_dpop_proof`: make another proof (RFC 9449 section 7.1).
    InvalidProof,
    /// 401 `use_dpop_nonce`: make another proof with the nonce in the header `DPoP-Nonce` (RFC 9449 section 9).
    UseNonce,
    /// 403 `insufficient_scope`: a token with this scope would do.
    InsufficientScope {
        /// The scopes that are needed, separated by spaces.
        scope: String,
    },
    /// 503: this API has no keys, is cut off from its issuer for longer than it accepts, or remembers as many proofs as it can;
    /// another token would not help.
    Unavailable,
    /// 429: this caller asked too often.
    TooManyRequests {
        /// Seconds until it may ask again, at least 1.
        retry_after_secs: u32,
    },
}

impl Challenge {
    /// What a rejected token is answered with.
    #[must_use]
    pub const fn of(code: RejectionCode) -> Self {
        match code {
            // A 401 would send every client to an issuer that is out of reach.
            RejectionCode::KeysUnavailable
            | RejectionCode::RevocationStale
            | RejectionCode::TooManyProofs => Self::Unavailable,
            RejectionCode::BadProof | RejectionCode::ReplayedProof => Self::InvalidProof,
            RejectionCode::ProofNonceNeeded => Self::UseNonce,
            _ => Self::InvalidToken,
        }
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::TokenMissing | Self::InvalidToken | Self::InvalidProof | Self::UseNonce => {
                StatusCode::UNAUTHORIZED
            }
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::InsufficientScope { .. } => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The whole answer of an API that takes bearer tokens, with an empty body; where `DPoP` is set up,
    /// [`Gate::answer`](super::Gate::answer) says more.
    #[must_use]
    pub fn response<B: Default>(&self, resource_metadata: Option<&str>) -> Response<B> {
        self.response_with(resource_metadata, false)
    }

    pub(crate) fn response_with<B: Default>(
        &self,
        resource_metadata: Option<&str>,
        dpop: bool,
    ) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if let Some(secs) = self.retry_after_secs() {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
            return response;
        }
        for challenge in self.headers(resource_metadata, dpop) {
            if let Ok(value) = HeaderValue::try_from(challenge) {
                headers.append(WWW_AUTHENTICATE, value);
            }
        }
        response
    }

    /// Seconds to wait, where another token would not help.
    pub(crate) const fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::Unavailable => Some(RETRY_AFTER_SECS),
            Self::TooManyRequests { retry_after_secs } => Some(*retry_after_secs),
            _ => None,
        }
    }

    /// RFC 9449 section 7.2: an API that takes both schemes offers both. What is wrong with a proof only the scheme
    /// `DPoP` can say.
    pub(crate) fn headers(&self, resource_metadata: Option<&str>, dpop: bool) -> Vec<String> {
        let about_proof = matches!(self, Self::InvalidProof | Self::UseNonce);
        let mut challenges = Vec::new();
        if !about_proof {
            challenges.push(self.header("Bearer", None, resource_metadata));
        }
        if dpop || about_proof {
            challenges.push(self.header("DPoP", Some(&ALGORITHMS.join(" ")), resource_metadata));
        }
        challenges
    }

    fn header(&self, scheme: &str, algs: Option<&str>, resource_metadata: Option<&str>) -> String {
        let scope = match self {
            Self::InsufficientScope { scope } => Some(scope.as_str()),
            _ => None,
        };
        let parameters = [
            ("error", self.error()),
            ("scope", scope),
            ("algs", algs),
            ("resource_metadata", resource_metadata),
        ];
        let mut header = scheme.to_owned();
        let mut separator = ' ';
        for (name, value) in parameters {
            // What cannot stand in a quoted string unescaped is left out: no scope and no URL has it.
            let Some(value) = value.filter(|value| value.bytes().all(can_be_quoted)) else {
                continue;
            };
            header.push(separator);
            header.push_str(&format!("{name}=\"{value}\""));
            separator = ',';
        }
        header
    }

    pub(crate) const fn error(&self) -> Option<&'static str> {
        match self {
            Self::TokenMissing | Self::Unavailable | Self::TooManyRequests { .. } => None,
            Self::InvalidRequest => Some("invalid_request"),
            Self::InvalidToken => Some("invalid_token"),
            Self::InvalidProof => Some("invalid_dpop_proof"),
            Self::UseNonce => Some("use_dpop_nonce"),
            Self::InsufficientScope { .. } => Some("insufficient_scope"),
        }
    }
}

const fn can_be_quoted(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(challenge: &Challenge, url: Option<&str>) -> Vec<String> {
        let response = challenge.response_with::<()>(url, true);
        let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn both_schemes() {
        let terms = Some("https://api/meta");
        let meta = "resource_metadata=\"https://api/meta\"";
        let algs = "algs=\"ES256 Ed25519 EdDSA\"";
        for (challenge, error) in [
            (Challenge::TokenMissing, ""),
            (Challenge::InvalidToken, "error=\"invalid_token\","),
            (Challenge::InvalidRequest, "error=\"invalid_request\","),
        ] {
            assert_eq!(
                told(&challenge, terms),
                [
                    format!("Bearer {error}{meta}"),
                    format!("DPoP {error}{algs},{meta}")
                ]
            );
        }
        for (challenge, error) in [
            (Challenge::InvalidProof, "invalid_dpop_proof"),
            (Challenge::UseNonce, "use_dpop_nonce"),
        ] {
            assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
            let only = [format!("DPoP error=\"{error}\",{algs},{meta}")];
            assert_eq!(told(&challenge, terms), only);
        }
    }

    #[test]
    fn headers() {
        let scope = Challenge::InsufficientScope {
            scope: "deploy:write".to_owned(),
        };
        let url = Some("https://api.example/.well-known/oauth-protected-resource");
        for (challenge, url, header) in [
            (Challenge::TokenMissing, None, "Bearer"),
            (
                Challenge::TokenMissing,
                url,
                "Bearer resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\"",
            ),
            (
                Challenge::InvalidToken,
                None,
                "Bearer error=\"invalid_token\"",
            ),
            (
                Challenge::InvalidRequest,
                Some("x\" y=\"z"),
                "Bearer error=\"invalid_request\"",
            ),
            (
                scope.clone(),
                None,
                "Bearer error=\"insufficient_scope\",scope=\"deploy:write\"",
            ),
        ] {
            assert_eq!(challenge.headers(url, false), [header]);
            let response = challenge.response::<()>(url);
            assert_eq!(response.headers()[WWW_AUTHENTICATE], header);
        }
        let unavailable = Challenge::Unavailable.response::<()>(None);
        assert_eq!(
            (
                unavailable.status(),
                unavailable.headers().contains_key(WWW_AUTHENTICATE)
            ),
            (StatusCode::SERVICE_UNAVAILABLE, false)
        );
        assert_eq!(scope.status(), StatusCode::FORBIDDEN);
    }
}
