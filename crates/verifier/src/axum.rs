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
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use tracing::error;

use crate::Verified;
use crate::tower::{Challenge, Terms};

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
    Challenge(Challenge, Arc<Terms>),
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
        let challenge = Challenge::InsufficientScope {
            scope: R::SCOPE.to_owned(),
        };
        Err(Turned(Reason::Challenge(
            challenge,
            parts.extensions.get().cloned().unwrap_or_default(),
        )))
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
            Reason::Challenge(challenge, terms) => challenge.response_by(&terms),
            Reason::Unprotected => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

fn caller_of(parts: &Parts) -> Result<Verified, Turned> {
    parts.extensions.get::<Verified>().cloned().ok_or_else(|| {
        error!(
            path = parts.uri.path(),
            "a handler asks for the caller, and its route has no `Verifier::layer`"
        );
        Turned(Reason::Unprotected)
    })
}
