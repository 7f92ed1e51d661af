//! What a handler gets of a request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use dayfly_verifier::PeerCertificate;
use dayfly_verifier::tls::PeerAddress;
use http::{HeaderMap, header};

use super::form::{Form, MAX_BODY_BYTES, Parameter};
use super::oauth_error::OauthError;
use super::problem::{Problem, ProblemCode};
use super::request_id::RequestId;
use crate::app::App;

/// The user at the other end of the admin socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketPeer {
    pub(crate) uid: u32,
}

/// A request, taken apart.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) request_id: RequestId,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Option<String>,
    /// The client certificate, verified by the handshake.
    pub(crate) peer: Option<PeerCertificate>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) socket: Option<SocketPeer>,
    /// A body can be sent to another thread, not shared; the lock is never contended.
    body: Mutex<Body>,
}

/// Why a bearer token could not be taken from the headers.
pub(crate) enum BearerError {
    /// Another scheme, or not a token.
    Malformed,
}

impl FromRequest<Arc<App>> for Call {
    type Rejection = Infallible;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Infallible> {
        let (mut parts, body) = request.into_parts();
        Ok(Self {
            app: Arc::clone(app),
            request_id: parts.extensions.remove().unwrap_or_else(RequestId::draw),
            query: parts.uri.query().map(str::to_owned),
            peer: parts.extensions.remove(),
            address: parts
                .extensions
                .get::<PeerAddress>()
                .map(|address| address.0.ip()),
            socket: parts.extensions.get().copied(),
            headers: parts.headers,
            body: Mutex::new(body),
        })
    }
}

impl Call {
    /// The body as a form with the parameters `known`.
    pub(crate) async fn form(&mut self, known: &[&[Parameter]]) -> Result<Form, OauthError> {
        let body = self
            .bytes()
            .await
            .map_err(|()| OauthError::request("the body is longer than 64 KiB or broke off"))?;
        Ok(Form::read(&self.headers, &body, known)?)
    }

    /// The body as strict JSON; an empty body reads as `{}`.
    pub(crate) async fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let body = self.bytes().await.map_err(|()| {
            Problem::new(ProblemCode::TooLarge)
                .detailed("the body is longer than 64 KiB or broke off")
        })?;
        if !body.is_empty() {
            self.expect_json()?;
        }
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        dayfly_token::json::from_slice(text).map_err(|error| Problem::bad(whole_chain(&error)))
    }

    /// The bearer token of the header `Authorization`.
    pub(crate) fn bearer(&self) -> Result<Option<&str>, BearerError> {
        let Some(value) = self.headers.get(header::AUTHORIZATION) else {
            return Ok(None);
        };
        let text = value.to_str().map_err(|_| BearerError::Malformed)?;
        let (scheme, token) = text.split_once(' ').ok_or(BearerError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains(' ') {
            return Err(BearerError::Malformed);
        }
        Ok(Some(token))
    }

    fn expect_json(&self) -> Result<(), Problem> {
        let kind = self
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let plain = kind.map(|kind| kind.split_once(';').map_or(kind, |(kind, _)| kind).trim());
        if plain.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::UnsupportedMediaType)
            .detailed("the content type must be application/json"))
    }

    /// The body, refused as soon as it is longer than any request has reason to be.
    async fn bytes(&mut self) -> Result<Bytes, ()> {
        let body = std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner));
        axum::body::to_bytes(body, MAX_BODY_BYTES)
            .await
            .map_err(|_| ())
    }
}

/// An error with its sources, on one line.
pub(crate) fn whole_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
