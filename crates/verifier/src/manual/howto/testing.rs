//! Testing an API: tokens, clocks and proofs at will.
//!
//! # Test your API
//!
//! Feature `testing`, as a development dependency:
//!
//! ```toml
//! [dev-dependencies]
//! dayfly-verifier = { version = "0.1", features = ["testing"] }
//! ```
//!
//! [`TestAuthority`](crate::testing::TestAuthority) is an issuer in memory. Give your router its verifier in the place of the
//! one of `from_issuer`, and everything else is real. So let the function that makes the router take the verifier:
//!
//! ```
//! use axum::body::Body;
//! use axum::http::{Request, StatusCode};
//! use axum::{Router, routing::get};
//! use dayfly_verifier::axum::Caller;
//! use dayfly_verifier::testing::TestAuthority;
//! use dayfly_verifier::{RevocationSource, UnixTime, Verifier};
//! use tower::ServiceExt; // for `oneshot`
//!
//! // The API.
//! fn api(verifier: &Verifier) -> Router {
//!     let hello = |Caller(caller): Caller| async move { format!("hello {}", caller.subject()) };
//!     Router::new().route("/orders", get(hello)).layer(verifier.layer())
//! }
//!
//! // Its test.
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let authority = TestAuthority::from_seed("https://sts.test", [1; 32])?;
//! let verifier = authority.verifier("https://orders.internal").revocation(RevocationSource::None).build()?;
//! let now: UnixTime = std::time::SystemTime::now().into();
//! let good = authority.token("https://orders.internal").subject("spiffe://sts.test/shop/till").mint(now)?;
//! let late = authority.token("https://orders.internal").mint(now.saturating_sub(3600))?;
//! for (token, status) in [(good, StatusCode::OK), (late, StatusCode::UNAUTHORIZED)] {
//!     let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
//!     let response = api(&verifier).oneshot(request.body(Body::empty())?).await?;
//!     assert_eq!(response.status(), status);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The layer takes a [`clock`](crate::tower::VerifierLayer::clock), so that a test can stand at any moment.
//! [`DpopKey`](crate::testing::DpopKey) is a client that proves possession of a key.
//!
//! # Test what must be refused
//!
//! ```
//! use dayfly_verifier::testing::TestAuthority;
//! use dayfly_verifier::{RejectionCode, Presented, RevocationSource, UnixTime, UnverifiedToken};
//! use serde_json::json;
//!
//! let authority = TestAuthority::from_seed("https://sts.test", [1; 32])?;
//! let verifier = authority.verifier("https://orders.internal").revocation(RevocationSource::None).build()?;
//! let now = UnixTime::from_secs(1_800_000_000);
//!
//! let refused = authority.token("https://billing.internal").mint(now)?;
//! let rejection = verifier.verify(UnverifiedToken::new(&refused), &Presented::NOTHING, now).unwrap_err();
//! assert_eq!(rejection.code(), RejectionCode::WrongAudience);
//!
//! // Any claim can be set, and `sign` signs any header and payload at all.
//! let odd = authority.token("https://orders.internal").claim("scope", json!(["not", "a", "string"])).mint(now)?;
//! assert!(verifier.verify(UnverifiedToken::new(&odd), &Presented::NOTHING, now).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
