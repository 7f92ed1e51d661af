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
//!
//! There is no optional caller: the layer lets nobody in without a token, so that an absent caller could only mean an
//! absent layer. Put what anyone may see on a router of its own.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use tracing::error;

use crate::Verified;
use crate::tower::{Behind, Challenge, RefusedWithin};

/// The verified caller of a request.
#[derive(Clone, Debug)]
pub struct Caller(pub Verified);

/// A scope as a type, for [`Scoped`].
pub trait RequiredScope {
    /// The scope, exactly as tokens carry it.
    const SCOPE: &'static str;
}

/// What [`Scoped`] can ask for: a [`RequiredScope`], all of two to four (`(A, B)`), or one of several
/// ([`AnyOf<(A, B)>`](AnyOf)).
pub trait ScopeRule {
    /// The scopes that are missing, separated by spaces, for the challenge (RFC 6750 section 3); `None` if the caller
    /// may pass.
    fn missing(caller: &Verified) -> Option<String>;
}

/// For [`Scoped`]: one of the rules of a tuple is enough. The challenge of others names the first.
pub struct AnyOf<T>(PhantomData<T>);

/// The verified caller of a request, whose token has the scopes `S`; without them the answer is 403.
///
/// ```
/// use dayfly_verifier::axum::{AnyOf, RequiredScope, Scoped};
///
/// struct Read;
/// impl RequiredScope for Read {
///     const SCOPE: &'static str = "orders:read";
/// }
/// struct Write;
/// impl RequiredScope for Write {
///     const SCOPE: &'static str = "orders:write";
/// }
///
/// async fn list(caller: Scoped<AnyOf<(Read, Write)>>) {}
/// async fn replace(caller: Scoped<(Read, Write)>) {}
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(list).put(replace));
/// ```
pub struct Scoped<S> {
    caller: Verified,
    scope: PhantomData<S>,
}

impl<T: RequiredScope> ScopeRule for T {
    fn missing(caller: &Verified) -> Option<String> {
        (!caller.has_scope(T::SCOPE)).then(|| T::SCOPE.to_owned())
    }
}

/// All of a tuple, and one of it.
macro_rules! rules_of_tuples {
    ($($rule:ident)+) => {
        impl<$($rule: ScopeRule),+> ScopeRule for ($($rule,)+) {
            fn missing(caller: &Verified) -> Option<String> {
                let missing: Vec<_> = [$($rule::missing(caller)),+].into_iter().flatten().collect();
                (!missing.is_empty()).then(|| missing.join(" "))
            }
        }

        impl<$($rule: ScopeRule),+> ScopeRule for AnyOf<($($rule,)+)> {
            fn missing(caller: &Verified) -> Option<String> {
                let missing: Option<Vec<_>> = [$($rule::missing(caller)),+].into_iter().collect();
                missing?.into_iter().next()
            }
        }
    };
}

rules_of_tuples!(A B);
rules_of_tuples!(A B C);
rules_of_tuples!(A B C D);

/// Why an extractor turned a request away.
#[derive(Debug)]
pub struct Turned(Reason);

#[derive(Debug)]
enum Reason {
    /// A scope is missing.
    Scope {
        scope: String,
        behind: Option<Arc<Behind>>,
    },
    /// A token is needed, and something else let the request in.
    #[cfg(feature = "migrate")]
    Token { behind: Option<Arc<Behind>> },
    /// The route has no layer: a mistake in the program, never an open door.
    Unprotected,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Turned> {
        caller_of(parts).map(Self)
    }
}

impl<R: ScopeRule, S: Send + Sync> FromRequestParts<S> for Scoped<R> {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Turned> {
        let caller = caller_of(parts)?;
        match R::missing(&caller) {
            None => Ok(Self {
                caller,
                scope: PhantomData,
            }),
            Some(scope) => Err(Turned::scope_missing(parts, scope)),
        }
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
            Reason::Scope { scope, behind } => {
                let why = RefusedWithin::insufficient_scope(&scope);
                let challenge = Challenge::InsufficientScope { scope };
                Behind::refuse(behind.as_ref(), &challenge, why)
            }
            #[cfg(feature = "migrate")]
            Reason::Token { behind } => {
                let why = RefusedWithin::token_missing();
                Behind::refuse(behind.as_ref(), &Challenge::TokenMissing, why)
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
        let behind = parts.extensions.get().cloned();
        return Err(Turned(Reason::Token { behind }));
    }
    Err(Turned::unprotected("Verifier::layer"))
}

impl Turned {
    pub(crate) fn scope_missing(parts: &Parts, scope: String) -> Self {
        Self(Reason::Scope {
            scope,
            behind: parts.extensions.get().cloned(),
        })
    }

    pub(crate) fn unprotected(layer: &str) -> Self {
        error!(
            layer,
            "a handler asks for the caller, and its route does not have the layer: add the layer after the route"
        );
        Self(Reason::Unprotected)
    }
}
