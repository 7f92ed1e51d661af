//! The layer that decides.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use dayfly_token::UnixTime;
use http::header::{LINK, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::decide::{Code, Decision, Key, decide};
use super::{Credential, LegacyKey, Migration, Stage, events, moment};
use crate::Verified;
use crate::tower::{Challenge, Entry, VerifyFuture};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// What a 401 asks for while only keys are accepted; RFC 9110 section 15.5.2 wants a challenge, and no scheme is
/// registered for static keys.
const KEY_CHALLENGE: HeaderValue = HeaderValue::from_static("ApiKey");

/// A [`Migration`] before a service: what it lets in carries a [`Credential`] among its extensions, and a [`Verified`] as
/// well if it was let in by a token. Keys are taken out of the request.
#[derive(Clone)]
#[must_use]
pub struct MigrationLayer {
    migration: Migration,
}

impl Migration {
    /// The layer that decides, in the place of the API's own check of keys.
    pub fn layer(&self) -> MigrationLayer {
        MigrationLayer {
            migration: self.clone(),
        }
    }

    /// Decides, counts and records; what is let in is ready for the inner service.
    fn admit(&self, parts: &mut Parts) -> Result<(Option<Entry>, Notice), Refusal> {
        let gate = self.gate();
        let (now, stage, call) = (gate.now(), self.stage(), gate.call(parts));
        let (key, in_query) = self.key_of(parts);
        self.places().strip(parts);
        let looked = gate.look(parts);
        let token = match &looked {
            Ok(verified) => Ok(verified.clone()),
            Err(refusal) => Err(refusal.of_the_token()),
        };
        let decision = decide(&stage, &key, &token, gate.scopes(), now);
        self.counts().carried(&key, in_query, &token, now);
        self.counts().decided(&stage, &key, &token, &decision);
        if let (Key::Known(entry), Err(challenge)) = (&key, &token)
            && *challenge != Challenge::TokenMissing
        {
            events::refused_beside(&stage, &entry.key, challenge);
        }
        let mut entry = None;
        match (decision.code, looked) {
            (Code::Token, Ok(verified)) => entry = Some(gate.entry(call, verified)),
            (Code::TokenRefused | Code::NoCredential, Err(refusal)) => {
                gate.turned_away(&call, &refusal);
            }
            _ => events::access(&stage, &call, &key, &decision),
        }
        let notice = self.let_in(parts, decision, stage)?;
        Ok((entry, notice))
    }

    fn let_in(
        &self,
        parts: &mut Parts,
        decision: Decision,
        stage: Stage,
    ) -> Result<Notice, Refusal> {
        // What stood there before was put there by somebody else.
        parts.extensions.remove::<Verified>();
        parts.extensions.remove::<Credential>();
        let credential = decision
            .answer
            .map_err(|challenge| Refusal { challenge, stage })?;
        self.gate().prepare(parts);
        let notice = match &credential {
            Credential::Token(verified) => {
                parts.extensions.insert(verified.clone());
                Notice::default()
            }
            Credential::Key(key) => Notice::of(stage, key, self.guide()),
        };
        parts.extensions.insert(credential);
        Ok(notice)
    }

    fn refuse<R: Default>(&self, refusal: &Refusal) -> Response<R> {
        let mut answer = self.gate().answer(&refusal.challenge);
        if refusal.stage == Stage::Observe && refusal.challenge == Challenge::TokenMissing {
            answer.headers_mut().insert(WWW_AUTHENTICATE, KEY_CHALLENGE);
        }
        answer
    }
}

struct Refusal {
    challenge: Challenge,
    stage: Stage,
}

/// What the answer to a request with a key says about its end.
#[derive(Default)]
struct Notice {
    deprecation: Option<HeaderValue>,
    sunset: Option<HeaderValue>,
    link: Option<HeaderValue>,
}

impl Notice {
    fn of(stage: Stage, key: &LegacyKey, guide: Option<&HeaderValue>) -> Self {
        let announced = match stage {
            // As it always was: nothing in the answer changes.
            Stage::Observe => return Self::default(),
            Stage::KeysUntil { deprecated_at, .. } => Some(deprecated_at),
            Stage::AcceptBoth | Stage::TokensOnly => None,
        };
        let end = stage.end_of(key.until());
        Self {
            deprecation: announced
                .zip(end)
                .and_then(|(at, end)| deprecation(at.min(end))),
            sunset: end.and_then(|end| moment::http_date(end).try_into().ok()),
            link: guide.filter(|_| end.is_some()).cloned(),
        }
    }

    /// What the service says of itself stays.
    fn write(self, headers: &mut HeaderMap) {
        for (name, value) in [(DEPRECATION, self.deprecation), (SUNSET, self.sunset)] {
            if let Some(value) = value {
                headers.entry(name).or_insert(value);
            }
        }
        if let Some(link) = self.link {
            headers.append(LINK, link);
        }
    }
}

/// RFC 9745 section 2: a date of RFC 9651 section 3.3.7, which is `@` and seconds.
fn deprecation(at: UnixTime) -> Option<HeaderValue> {
    format!("@{at}").try_into().ok()
}

impl<S> Layer<S> for MigrationLayer {
    type Service = MigrationService<S>;

    fn layer(&self, inner: S) -> MigrationService<S> {
        MigrationService {
            inner,
            migration: self.migration.clone(),
        }
    }
}

/// What [`MigrationLayer`] makes of a service.
#[derive(Clone)]
pub struct MigrationService<S> {
    inner: S,
    migration: Migration,
}

impl<S, B, R> Service<Request<B>> for MigrationService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = MigrationFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let (answer, notice) = match self.migration.admit(&mut parts) {
            Ok((entry, notice)) => {
                let future = self.inner.call(Request::from_parts(parts, body));
                let gate = self.migration.gate().clone();
                (VerifyFuture::admitted(future, gate, entry), notice)
            }
            Err(refusal) => {
                let answer = self.migration.refuse(&refusal);
                (VerifyFuture::turned_away(answer), Notice::default())
            }
        };
        MigrationFuture { answer, notice }
    }
}

/// The answer, with what it says about the end of keys.
pub struct MigrationFuture<F, R> {
    answer: VerifyFuture<F, R>,
    notice: Notice,
}

impl<F, R, E> Future for MigrationFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(context)
            .map_ok(|mut response| {
                std::mem::take(&mut self.notice).write(response.headers_mut());
                response
            })
    }
}
