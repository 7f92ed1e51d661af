//! The layer for tonic's server, and the caller of a gRPC request.
//!
//! [`VerifierLayer::grpc`](crate::tower::VerifierLayer::grpc) makes the layer speak gRPC. The token is in the metadata
//! `authorization`, and a refusal is a status:
//!
//! | what is wrong | status | with |
//! |---|---|---|
//! | no token, or not an acceptable one | `UNAUTHENTICATED` | the challenge, in the metadata `www-authenticate` |
//! | a proof is missing, refused, or lacks a nonce | `UNAUTHENTICATED` | the challenge, and the nonce in `dpop-nonce` |
//! | a scope is missing | `PERMISSION_DENIED` | the challenge, in the metadata `www-authenticate` |
//! | the workload called too often ([`RateLimit`](crate::tower::RateLimit)) | `RESOURCE_EXHAUSTED` | when to try again |
//! | this API is cut off from its issuer | `UNAVAILABLE` | when to try again |
//!
//! With a [base URL](crate::tower::VerifierLayer::base_url) a token may come under the scheme `DPoP`, with the proof in the
//! metadata `dpop`: for the method `POST` and the URI of the call, `https://orders.internal/orders.v1.Orders/Place`. There
//! is then one challenge for each scheme.
//!
//! When to try again stands in the details as `google.rpc.RetryInfo`, and in `grpc-retry-pushback-ms` for clients that
//! retry by themselves.
//!
//! ```
//! use dayfly_verifier::Verifier;
//! use tonic::{Request, Response, Status};
//!
//! async fn place_order(request: Request<String>) -> Result<Response<String>, Status> {
//!     let caller = dayfly_verifier::tonic::caller_with_scope(&request, "orders:write")?;
//!     Ok(Response::new(format!("placed for {}", caller.subject())))
//! }
//!
//! fn server(verifier: &Verifier) {
//!     let mut server = tonic::transport::Server::builder().layer(verifier.layer().grpc());
//!     // server.add_service(OrdersServer::new(Orders)).serve(address)
//! }
//! ```
//!
//! The example `tonic` of this crate is a whole server and its client.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Request, Status};
use tracing::error;

use crate::Verified;
use crate::tower::{Behind, Challenge, RefusedWithin};

/// Where a server tells clients that retry by themselves when to do so (gRFC A6), in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Longest name of a method that is logged: `package.Service/Method` of any API is shorter.
const MAX_METHOD_BYTES: usize = 255;

/// The verified caller of a request.
///
/// # Errors
/// `INTERNAL` if the server has no [layer](crate::tower::VerifierLayer::grpc): a mistake in the program, never an open
/// door.
pub fn caller<T>(request: &Request<T>) -> Result<&Verified, Status> {
    request.extensions().get().ok_or_else(|| {
        error!("a method asks for the caller, and its server does not have the layer: `Server::builder().layer(verifier.layer().grpc())`");
        Status::internal("not available")
    })
}

/// The verified caller of a request, whose token has `scope`; exact, without wildcards.
///
/// # Errors
/// `PERMISSION_DENIED` with the challenge if the token lacks the scope, and as for [`caller`].
pub fn caller_with_scope<'a, T>(
    request: &'a Request<T>,
    scope: &str,
) -> Result<&'a Verified, Status> {
    let caller = caller(request)?;
    if caller.has_scope(scope) {
        return Ok(caller);
    }
    let challenge = Challenge::InsufficientScope {
        scope: scope.to_owned(),
    };
    let behind: Option<&Arc<Behind>> = request.extensions().get();
    let mut status = match behind {
        Some(behind) => behind.status(&challenge),
        None => status_of(&challenge, None, false),
    };
    status.set_source(Arc::new(ScopeMissing(RefusedWithin::insufficient_scope(
        scope,
    ))));
    Err(status)
}

/// Stays in this process: how [`caller_with_scope`] tells the layer.
#[derive(Debug)]
struct ScopeMissing(RefusedWithin);

impl fmt::Display for ScopeMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scope is missing")
    }
}

impl Error for ScopeMissing {}

/// What a challenge is in gRPC.
pub(crate) fn status_of(challenge: &Challenge, metadata_url: Option<&str>, dpop: bool) -> Status {
    let (code, message) = (code_of(challenge), message_of(challenge));
    let Some(secs) = challenge.retry_after_secs() else {
        let mut headers = http::HeaderMap::new();
        for challenge in challenge.headers(metadata_url, dpop) {
            if let Ok(value) = HeaderValue::try_from(challenge) {
                headers.append(WWW_AUTHENTICATE, value);
            }
        }
        return Status::with_metadata(code, message, MetadataMap::from_headers(headers));
    };
    let mut metadata = MetadataMap::new();
    let millis = u64::from(secs) * 1000;
    metadata.insert(PUSHBACK, AsciiMetadataValue::from(millis));
    let details = retry_info(code, message, secs).into();
    Status::with_details_and_metadata(code, message, details, metadata)
}

pub(crate) fn code_of(challenge: &Challenge) -> Code {
    match challenge.status() {
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::Unauthenticated,
    }
}

fn message_of(challenge: &Challenge) -> &'static str {
    match (challenge.error(), code_of(challenge)) {
        (Some(error), _) => error,
        (None, Code::Unavailable) => "temporarily unavailable",
        (None, Code::ResourceExhausted) => "too many requests",
        (None, _) => "no token",
    }
}

/// `google.rpc.Status { code = 1, message = 2, details = 3 }` with one `google.rpc.RetryInfo { retry_delay = 1 }` in
/// protobuf, by hand: two messages do not need a compiler.
fn retry_info(code: Code, message: &str, secs: u32) -> Vec<u8> {
    const TYPE: &str = "type.googleapis.com/google.rpc.RetryInfo";
    let duration = varint_field(1, secs);
    let retry_info = bytes_field(1, &duration);
    let any = [bytes_field(1, TYPE.as_bytes()), bytes_field(2, &retry_info)].concat();
    [
        varint_field(1, i32::from(code).unsigned_abs()),
        bytes_field(2, message.as_bytes()),
        bytes_field(3, &any),
    ]
    .concat()
}

fn varint_field(number: u8, value: u32) -> Vec<u8> {
    let mut field = vec![number << 3];
    push_varint(&mut field, value);
    field
}

fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![(number << 3) | 2];
    push_varint(&mut field, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    field.extend_from_slice(bytes);
    field
}

/// Seven bits at a time, the lowest first; the eighth says that more follow.
fn push_varint(field: &mut Vec<u8>, mut value: u32) {
    while value > 0x7f {
        field.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    field.push(value as u8);
}

/// The method that a path names, if it has the form of one: a stranger may send any path.
pub(crate) fn method_of(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is_name = |name: &str, extra: &[u8]| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
    };
    (path.len() <= MAX_METHOD_BYTES && is_name(service, b"_.") && is_name(method, b"_"))
        .then_some(path)
}

/// The status of a response that has one in its head, because the call failed.
pub(crate) fn status_in<R>(response: &Response<R>) -> Option<i32> {
    let status = response.headers().get(Status::GRPC_STATUS)?;
    status.to_str().ok()?.parse().ok()
}

/// What [`caller_with_scope`] said, if it was the end of the call.
pub(crate) fn refused_within<R>(response: &Response<R>) -> Option<RefusedWithin> {
    let status: &Status = response.extensions().get()?;
    let why: &ScopeMissing = status.source()?.downcast_ref()?;
    Some(why.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_methods() {
        for path in ["/orders.v1.Orders/Place", "/A/b_2"] {
            assert_eq!(method_of(path), Some(path));
        }
        let long = format!("/a/{}", "b".repeat(253));
        for path in [
            "",
            "/",
            "/a",
            "/a/",
            "//b",
            "a/b",
            "/a/b/c",
            "/a/b-c",
            "/a\u{e9}/b",
            &long,
        ] {
            assert_eq!(method_of(path), None, "{path}");
        }
    }

    #[test]
    fn retry_info_is_protobuf() {
        let mut expected = vec![0x08, 14, 0x12, 2];
        expected.extend_from_slice(b"no");
        expected.extend_from_slice(&[0x1a, 49, 0x0a, 40]);
        expected.extend_from_slice(b"type.googleapis.com/google.rpc.RetryInfo");
        expected.extend_from_slice(&[0x12, 5, 0x0a, 3, 0x08, 0xac, 0x02]);
        assert_eq!(retry_info(Code::Unavailable, "no", 300), expected);
    }
}
