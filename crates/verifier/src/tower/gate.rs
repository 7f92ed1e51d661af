use std::sync::Arc;

use dayfly_token::UnixTime;
use http::request::Parts;
use http::{HeaderValue, Request, Response};

use super::access::{self, Call, Entry};
use super::challenge::{Challenge, DPOP_NONCE};
use super::credentials::{Credentials, hide};
use super::dialect::{Behind, Dialect};
use super::metadata::ResourceMetadata;
use super::metrics::Metrics;
use super::refusal::Refusal;
use crate::dpop::{BaseUrl, Presentation};
use crate::{Presented, UnverifiedToken, Verified, Verifiers};

/// Decides about requests: the token in the `Authorization` header, with the [`PeerCertificate`](crate::PeerCertificate)
/// among the request's extensions, or the proof in the `DPoP` header, for bound tokens.
///
/// [`VerifierLayer`](super::VerifierLayer) is a gate before a service; call [`Gate::check`] where there is no tower.
#[derive(Clone)]
#[must_use]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    verifiers: Verifiers,
    behind: Arc<Behind>,
    base_url: Option<BaseUrl>,
    scopes: Vec<String>,
    clock: fn() -> UnixTime,
    metrics: Metrics,
}

impl Gate {
    /// A gate that lets in what `verifiers` accept: one verifier, or a set for several issuers.
    pub fn new(verifiers: impl Into<Verifiers>) -> Self {
        Self {
            shared: Arc::new(Shared {
                verifiers: verifiers.into(),
                behind: Arc::default(),
                base_url: None,
                scopes: Vec::new(),
                clock: crate::rim::now,
                metrics: Metrics::new(),
            }),
        }
    }

    /// The URL of this API's metadata (RFC 9728), which every challenge then names. For metadata that this program
    /// serves itself, see [`Gate::protected_resource`].
    pub fn resource_metadata(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.with(|shared| Arc::make_mut(&mut shared.behind).metadata_url = Some(url))
    }

    /// The API's metadata, whose URL every challenge then names. Serve it outside of the gate.
    pub fn protected_resource(self, metadata: &ResourceMetadata) -> Self {
        self.resource_metadata(metadata.url())
    }

    /// Answers in gRPC: a refusal is a gRPC status, with the challenge in its metadata, as
    /// [`tonic`](mod@crate::tonic) describes it.
    #[cfg(feature = "tonic")]
    pub fn grpc(self) -> Self {
        self.with(|shared| Arc::make_mut(&mut shared.behind).dialect = Dialect::Grpc)
    }

    /// Counts in `metrics`, which other gates may share; without it each gate counts for itself and its clones.
    pub fn count_in(self, metrics: &Metrics) -> Self {
        self.with(|shared| shared.metrics = metrics.clone())
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics.clone()
    }

    /// Where clients reach this API, and with it the acceptance of tokens under the scheme `DPoP`: the URI that a proof
    /// must name is this and the path of the request. Without it such tokens are refused.
    ///
    /// The path is the one that came in: axum's nested routers are seen through (feature `axum`), any other layer that
    /// rewrites the path belongs behind the gate.
    pub fn base_url(self, url: BaseUrl) -> Self {
        self.with(|shared| {
            shared.base_url = Some(url);
            Arc::make_mut(&mut shared.behind).dpop = true;
        })
    }

    /// A scope that every request behind this gate needs; may be called more than once.
    pub fn require_scope(self, scope: impl Into<String>) -> Self {
        let scope = scope.into();
        self.with(|shared| shared.scopes.push(scope))
    }

    /// Another clock, for tests.
    pub fn clock(self, clock: fn() -> UnixTime) -> Self {
        self.with(|shared| shared.clock = clock)
    }

    fn with(self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Arc::unwrap_or_clone(self.shared);
        change(&mut shared);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Decides about one request by its head, and records the decision. What then becomes of the request, only the
    /// layer knows: the event of a call that is let in here has no status. A `DPoP` proof counts as used when it was
    /// accepted: check each request once.
    ///
    /// # Errors
    /// What to answer, with [`Gate::answer`], if the request has no acceptable token.
    pub fn check(&self, parts: &Parts) -> Result<Verified, Challenge> {
        self.enter(parts).map(|(verified, _entry)| verified)
    }

    /// The whole answer to a request that [`Gate::check`] turned away, with an empty body.
    #[must_use]
    pub fn answer<B: Default>(&self, challenge: &Challenge) -> Response<B> {
        let mut response = self.shared.behind.answer(challenge);
        if matches!(challenge, Challenge::UseNonce) {
            self.add_nonce(&mut response);
        }
        response
    }

    /// Like [`Gate::check`], after which the request carries the [`Verified`] among its extensions, and no log prints
    /// its token.
    pub(super) fn admit<B>(&self, request: Request<B>) -> Result<(Request<B>, Entry), Challenge> {
        let (mut parts, body) = request.into_parts();
        let (verified, entry) = self.enter(&parts)?;
        self.prepare(&mut parts);
        parts.extensions.insert(verified);
        Ok((Request::from_parts(parts, body), entry))
    }

    /// What every request gets that is let in.
    pub(crate) fn prepare(&self, parts: &mut Parts) {
        hide(parts);
        parts.extensions.insert(Arc::clone(&self.shared.behind));
    }

    /// The end of a call that was let in.
    pub(super) fn leave<R>(&self, entry: Entry, response: &mut Response<R>) {
        // RFC 9449 section 8.2: so that no request is spent on asking for the next one.
        if entry.has_proof() {
            self.add_nonce(response);
        }
        entry.answered(response, self.dialect());
    }

    fn add_nonce<R>(&self, response: &mut Response<R>) {
        let nonce = self.shared.verifiers.dpop_nonce((self.shared.clock)());
        if let Some(Ok(nonce)) = nonce.map(HeaderValue::try_from) {
            response.headers_mut().insert(DPOP_NONCE, nonce);
        }
    }

    fn enter(&self, parts: &Parts) -> Result<(Verified, Entry), Challenge> {
        let (metrics, call) = (&self.shared.metrics, Call::of(parts, self.dialect()));
        match self.decide(parts) {
            Ok(verified) => {
                let entry = Entry::new(metrics.clone(), call, verified.clone());
                Ok((verified, entry))
            }
            Err(refusal) => {
                access::turned_away(metrics, &call, &refusal, self.dialect());
                Err(refusal.challenge)
            }
        }
    }

    fn dialect(&self) -> Dialect {
        self.shared.behind.dialect
    }

    fn decide(&self, parts: &Parts) -> Result<Verified, Refusal> {
        let presented = Presented {
            peer: parts.extensions.get(),
            proof: None,
        };
        let verified = match Credentials::of(&parts.headers, parts.uri.query()) {
            Credentials::Bearer(token) => self.verify(token, &presented)?,
            Credentials::Dpop { .. } | Credentials::NoProof(_)
                if self.shared.base_url.is_none() =>
            {
                return Err(Refusal::dpop_not_set_up());
            }
            Credentials::Dpop { token, proof } => {
                let uri = self.uri_of(parts)?;
                let proof = Some(Presentation {
                    proof,
                    method: parts.method.as_str(),
                    uri: &uri,
                });
                self.verify(token, &Presented { proof, ..presented })?
            }
            Credentials::NoProof(what) => return Err(Refusal::no_proof(what)),
            Credentials::None => return Err(Refusal::token_missing()),
            Credentials::Malformed(what) => return Err(Refusal::malformed(what)),
        };
        self.check_scopes(verified)
    }

    /// What a proof must name: configured, but for the path.
    fn uri_of(&self, parts: &Parts) -> Result<String, Refusal> {
        let base_url = self.shared.base_url.as_ref();
        base_url
            .and_then(|url| url.uri_of(path_of(parts)))
            .ok_or(Refusal::no_proof("a DPoP token on a request for no path"))
    }

    fn verify(&self, token: &str, presented: &Presented<'_>) -> Result<Verified, Refusal> {
        let shared = &*self.shared;
        shared
            .verifiers
            .verify(UnverifiedToken::new(token), presented, (shared.clock)())
            .map_err(Refusal::of_token)
    }

    fn check_scopes(&self, verified: Verified) -> Result<Verified, Refusal> {
        let needed = &self.shared.scopes;
        if needed.iter().all(|scope| verified.has_scope(scope)) {
            return Ok(verified);
        }
        Err(Refusal::insufficient_scope(needed.join(" "), verified))
    }
}

/// The path as it came in. A nested router of axum cuts its prefix off the URI, and keeps the original beside it.
fn path_of(parts: &Parts) -> &str {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return original.path();
    }
    parts.uri.path()
}

/// For those who decide by more than the token, and know only then what is to be recorded.
#[cfg(feature = "migrate")]
impl Gate {
    /// Decides like [`Gate::check`], and records nothing.
    pub(crate) fn look(&self, parts: &Parts) -> Result<Verified, Refusal> {
        self.decide(parts)
    }

    /// What is said of the request itself.
    pub(crate) fn call(&self, parts: &Parts) -> Call {
        Call::of(parts, self.dialect())
    }

    /// The record of a call that is let in by its token.
    pub(crate) fn entry(&self, call: Call, verified: Verified) -> Entry {
        Entry::new(self.shared.metrics.clone(), call, verified)
    }

    /// Records a call that is refused for its token, or for want of one.
    pub(crate) fn turned_away(&self, call: &Call, refusal: &Refusal) {
        access::turned_away(&self.shared.metrics, call, refusal, self.dialect());
    }

    /// The scopes that every request behind this gate needs.
    pub(crate) fn scopes(&self) -> &[String] {
        &self.shared.scopes
    }

    /// The present, by the gate's clock.
    pub(crate) fn now(&self) -> UnixTime {
        (self.shared.clock)()
    }
}
