//! Tokens that are bound to a key: `DPoP` (RFC 9449).
//!
//! # Accept them
//!
//! Where a proxy ends TLS, or clients have no certificate, a token can be bound to a key that the client signs each
//! request with (RFC 9449). Say where clients reach the API, and such tokens are accepted with their proof:
//!
//! ```
//! use axum::{Router, routing::get};
//! use dayfly_verifier::Verifier;
//! use dayfly_verifier::axum::Caller;
//!
//! async fn orders(Caller(caller): Caller) -> String {
//!     format!("hello {}", caller.subject())
//! }
//!
//! fn api(verifier: &Verifier) -> Result<Router, Box<dyn std::error::Error>> {
//!     let layer = verifier.layer().base_url("https://orders.internal".parse()?);
//!     Ok(Router::new().route("/orders", get(orders)).layer(layer))
//! }
//! ```
//!
//! In the API's metadata, [`ResourceMetadata::dpop`](crate::tower::ResourceMetadata::dpop) says so, with the algorithms.
//!
//! The base URL is what clients write in front of the path, so it has the prefix that a proxy cuts off. `Host`,
//! `Forwarded` and `X-Forwarded-*` are not read: a stranger can send them too. Routers of axum may be nested, any other
//! layer that rewrites paths belongs behind the verifier's. A proof counts once, so a request passes one verifying layer,
//! not two: ask for further scopes with [`Scoped`](crate::axum::Scoped). Without a layer, put a
//! [`Presentation`](crate::dpop::Presentation) into [`Presented`](crate::Presented).
//!
//! # Nonces
//!
//! A proof holds for a minute around the client's `iat`. Where the clocks of clients are wrong, or nobody may
//! make proofs ahead of time, require a nonce; the layer gives it out with its challenge `use_dpop_nonce` and then with
//! each answer:
//!
//! ```
//! use dayfly_verifier::dpop::{Nonces, Policy};
//! use dayfly_verifier::{RevocationSource, Verifier};
//!
//! # fn random() -> [u8; 32] { [7; 32] }
//! let nonces = Nonces::new(random()); // 32 bytes from your generator
//! let verifier = Verifier::builder("https://sts.example.org")
//!     .audience("https://orders.internal")
//!     .revocation(RevocationSource::None)
//!     .dpop(Policy::new().require_nonce(nonces.clone()))
//!     .build()?;
//! nonces.rotate(random()); // now and then; the key before still counts
//! # Ok::<(), dayfly_verifier::BuildError>(())
//! ```
//!
//! # Several replicas
//!
//! Used proofs are remembered in the process, because `verify` does no I/O: with several replicas, a proof
//! that someone records can be used once more at each of the others, for the one request that it names, within its
//! minute. Where that matters, require nonces and give each replica a key of its own: a proof is then good at one replica
//! only. Clients should stay with one, or they are asked for another proof at each change.
//!
//! # Room
//!
//! [`Policy::capacity`](crate::dpop::Policy::capacity) proofs are remembered, a million unless you say
//! otherwise. When they are all still within their time, new ones are answered with 503 and logged as
//! `too_many_proofs`; none is forgotten early. Only accepted requests take room.
//!
//! What RFC 9449 leaves open is decided in [`defaults`](crate::manual::defaults).
