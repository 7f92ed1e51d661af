use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

/// Bytes of [`Behaviour::HugeBody`]: far past every cap, and still finite, should a reader have none.
const HUGE_BODY_BYTES: usize = 256 * 1024 * 1024;
/// One piece of it.
const HUGE_CHUNK: &[u8] = &[b' '; 64 * 1024];
/// Time between two bytes of [`Behaviour::SlowDrip`].
const DRIP: Duration = Duration::from_millis(200);

/// The two documents of an OIDC issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `/.well-known/jwks`.
    Jwks,
}

/// How the issuer answers for a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// The document, with its caching headers.
    #[default]
    Honest,
    /// 302 to a place that would serve the document; [`Counts::followed`] says who went there.
    Redirect,
    /// The document, a byte every 200 ms.
    SlowDrip,
    /// White space without end (256 MiB), then nothing that parses.
    HugeBody,
    /// A discovery document whose `issuer` has a slash too many; the JWKS stays honest.
    WrongIssuer,
    /// 500.
    ServerError,
    /// 200 with JSON that breaks off.
    Garbage,
    /// The document with its first member twice.
    DuplicateMembers,
    /// No answer at all.
    Hang,
}

/// How often each endpoint was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for the discovery document.
    pub discovery: u64,
    /// Requests for the JWKS, 304 included.
    pub jwks: u64,
    /// Requests that were answered 304.
    pub not_modified: u64,
    /// Requests that followed a [`Behaviour::Redirect`].
    pub followed: u64,
    /// Requests for an ID token ([`super::GithubRuntime`]).
    pub id_tokens: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) discovery: AtomicU64,
    pub(super) jwks: AtomicU64,
    pub(super) not_modified: AtomicU64,
    pub(super) followed: AtomicU64,
    pub(super) id_tokens: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> Counts {
        Counts {
            discovery: self.discovery.load(Ordering::Relaxed),
            jwks: self.jwks.load(Ordering::Relaxed),
            not_modified: self.not_modified.load(Ordering::Relaxed),
            followed: self.followed.load(Ordering::Relaxed),
            id_tokens: self.id_tokens.load(Ordering::Relaxed),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The honest document as it goes out.
pub(super) struct Document {
    pub(super) json: String,
    pub(super) etag: String,
    pub(super) max_age_secs: u64,
    pub(super) elsewhere: String,
}

impl Document {
    /// The answer of an issuer that behaves like this.
    pub(super) async fn answer(
        self,
        behaviour: Behaviour,
        request: &HeaderMap,
        counters: &Counters,
    ) -> Response {
        match behaviour {
            Behaviour::Honest | Behaviour::WrongIssuer => self.honest(request, counters),
            Behaviour::Redirect => {
                (StatusCode::FOUND, [(header::LOCATION, self.elsewhere)]).into_response()
            }
            Behaviour::SlowDrip => json_body(drip(self.json.into_bytes())),
            Behaviour::HugeBody => json_body(huge()),
            Behaviour::ServerError => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Behaviour::Garbage => {
                let half = self
                    .json
                    .get(..self.json.len() / 2)
                    .unwrap_or("{")
                    .to_owned();
                json_body(Body::from(half))
            }
            Behaviour::DuplicateMembers => json_body(Body::from(with_duplicate_member(&self.json))),
            Behaviour::Hang => std::future::pending().await,
        }
    }

    fn honest(self, request: &HeaderMap, counters: &Counters) -> Response {
        let caching = [
            (
                header::CACHE_CONTROL,
                format!("public, max-age={}", self.max_age_secs),
            ),
            (header::ETAG, self.etag.clone()),
        ];
        let known = request
            .get(header::IF_NONE_MATCH)
            .is_some_and(|etag| etag.as_bytes() == self.etag.as_bytes());
        if known {
            count(&counters.not_modified);
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        (caching, json_body(Body::from(self.json))).into_response()
    }
}

fn json_body(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn drip(bytes: Vec<u8>) -> Body {
    Body::from_stream(stream::unfold(bytes.into_iter(), |mut rest| async move {
        let byte = rest.next()?;
        tokio::time::sleep(DRIP).await;
        Some((Ok::<_, Infallible>(Bytes::from(vec![byte])), rest))
    }))
}

fn huge() -> Body {
    Body::from_stream(stream::unfold(0, |sent| async move {
        (sent < HUGE_BODY_BYTES).then(|| {
            (
                Ok::<_, Infallible>(Bytes::from_static(HUGE_CHUNK)),
                sent + HUGE_CHUNK.len(),
            )
        })
    }))
}

/// Repeats the whole content of a JSON object inside it.
fn with_duplicate_member(json: &str) -> String {
    let inner = json.trim().trim_start_matches('{').trim_end_matches('}');
    format!("{{{inner},{inner}}}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_duplicate_member_is_still_json_for_a_lax_reader() {
        let twice = with_duplicate_member(r#"{"keys":[]}"#);
        assert_eq!(twice, r#"{"keys":[],"keys":[]}"#);
        assert!(dayfly_token::json::check_object(twice.as_bytes()).is_err());
    }
}
