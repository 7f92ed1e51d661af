//! Extractors for axum, behind [`Verifier::layer`](crate::Verifier::layer).
//!
//! ```
//! use axum::{Router, routing};
//! use dayfly_verifier::Verifier;
//! use dayfly_verifier::axum::{Caller, RequiredScope, Scoped};
//!
//! struct DeployWrite;
//! impl RequiredScope for DeployWrite {
//!     const SCOPE: &'static str = "deploy:write";
//! }
//!
//! async fn whoami(Caller(caller): Caller) -> String {
//!     caller.subject().to_owned()
//! }
//!
//! async fn deploy(caller: Scoped<DeployWrite>) -> String {
//!     format!("{} deploys for {:?}", caller.subject(), caller.task())
//! }
//!
//! fn api(verifier: &Verifier) -> Router {
//!     Router::new()
//!         .route("/whoami", routing::get(whoami))
//!         .route("/deployments", routing::post(deploy))
//!         .layer(verifier.layer())
//! }
//! ```

use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use tracing::error;

use crate::Verified;
use crate::tower::{Challenge, ResourceMetadata};

/// The verified caller of a request.
#[derive(Clone, Debug)]
pub struct Caller(pub Verified);

/// A scope as a type, for [`Scoped`].
pub trait RequiredScope {
    /// The scope, exactly as tokens carry it.
    const SCOPE: &'static str;
}

/// The verified caller of a request, whose token has the scope `S`; without it the answer is 403.
pub struct Scoped<S> {
    caller: Verified,
    scope: PhantomData<S>,
}

/// Why an extractor turned a request away.
#[derive(Debug)]
pub struct Turned(Reason);

#[derive(Debug)]
enum Reason {
    Challenge(Challenge, Option<ResourceMetadata>),
    /// The route has no layer: a mistake in the program, never an open door.
    Unprotected,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Turned> {
        caller_of(parts).map(Self)
    }
}

impl<R: RequiredScope, S: Send + Sync> FromRequestParts<S> for Scoped<R> {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Turned> {
        let caller = caller_of(parts)?;
        if caller.has_scope(R::SCOPE) {
            return Ok(Self {
                caller,
                scope: PhantomData,
            });
        }
        Err(Turned::scope_missing(parts, R::SCOPE))
    }
}

impl Turned {
    pub(crate) fn scope_missing(parts: &Parts, scope: &str) -> Self {
        let challenge = Challenge::InsufficientScope {
            scope: scope.to_owned(),
        };
        Self(Reason::Challenge(
            challenge,
            parts.extensions.get().cloned(),
        ))
    }

    pub(crate) fn unprotected(parts: &Parts, layer: &str) -> Self {
        error!(
            path = parts.uri.path(),
            layer, "a handler asks for the caller, and its route does not have the layer"
        );
        Self(Reason::Unprotected)
    }
}

impl<S> Scoped<S> {
    /// The caller, for keeping.
    #[must_use]
    pub fn into_inner(self) -> Verified {
        self.caller
    }
}

impl<S> Deref for Scoped<S> {
    type Target = Verified;

    fn deref(&self) -> &Verified {
        &self.caller
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self.0 {
            Reason::Challenge(challenge, metadata) => {
                challenge.response(metadata.as_ref().map(|metadata| &*metadata.0))
            }
            Reason::Unprotected => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

fn caller_of(parts: &Parts) -> Result<Verified, Turned> {
    if let Some(caller) = parts.extensions.get::<Verified>() {
        return Ok(caller.clone());
    }
    // Behind `Migration::layer`, a key opens no handler that wants a token.
    #[cfg(feature = "migrate")]
    if parts
        .extensions
        .get::<crate::migrate::Credential>()
        .is_some()
    {
        let metadata = parts.extensions.get().cloned();
        return Err(Turned(Reason::Challenge(Challenge::TokenMissing, metadata)));
    }
    Err(Turned::unprotected(parts, "Verifier::layer"))
}
