//! Extractors for axum, behind [`Migration::layer`](super::Migration::layer).

use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::Credential;
use crate::axum::{RequiredScope, Turned};

impl<S: Send + Sync> FromRequestParts<S> for Credential {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Turned> {
        let credential = parts.extensions.get::<Self>().cloned();
        credential.ok_or_else(|| Turned::unprotected("Migration::layer"))
    }
}

/// The credential of a request, which has the scope `S`: in its token, or among what its key stands for. Without it the answer
/// is 403.
pub struct ScopedCredential<S> {
    credential: Credential,
    scope: PhantomData<S>,
}

impl<R: RequiredScope, S: Send + Sync> FromRequestParts<S> for ScopedCredential<R> {
    type Rejection = Turned;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Turned> {
        let credential = Credential::from_request_parts(parts, state).await?;
        if credential.has_scope(R::SCOPE) {
            return Ok(Self {
                credential,
                scope: PhantomData,
            });
        }
        Err(Turned::scope_missing(parts, R::SCOPE.to_owned()))
    }
}

impl<S> ScopedCredential<S> {
    /// The credential, for keeping.
    #[must_use]
    pub fn into_inner(self) -> Credential {
        self.credential
    }
}

impl<S> Deref for ScopedCredential<S> {
    type Target = Credential;

    fn deref(&self) -> &Credential {
        &self.credential
    }
}
