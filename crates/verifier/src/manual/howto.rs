//! The usual tasks.
//!
//! # Ask for a scope
//!
//! For a whole router by [`VerifierLayer::require_scope`](crate::tower::VerifierLayer::require_scope), for one
//! handler by the extractor [`Scoped`](crate::axum::Scoped), inside a handler by
//! [`Verified::has_scope`](crate::Verified::has_scope). Scopes are compared as whole words: there are no wildcards
//! and no hierarchy.
//!
//! ```
//! use axum::{Router, routing::post};
//! use dayfly_verifier::Verifier;
//! use dayfly_verifier::axum::{RequiredScope, Scoped};
//!
//! struct DeployWrite;
//! impl RequiredScope for DeployWrite {
//!     const SCOPE: &'static str = "deploy:write";
//! }
//!
//! async fn deploy(caller: Scoped<DeployWrite>) -> String {
//!     format!("deployed for {:?} by {}", caller.task(), caller.subject())
//! }
//!
//! fn api(verifier: &Verifier) -> Router {
//!     let layer = verifier.layer().resource_metadata("https://deploy.internal/.well-known/oauth-protected-resource");
//!     Router::new().route("/deployments", post(deploy)).layer(layer)
//! }
//! ```
//!
//! # Decide by more than scopes
//!
//! Use [`subject`](crate::Verified::subject) or [`workload`](crate::Verified::workload),
//! [`actor`](crate::Verified::actor) (the outermost one: RFC 8693 section 4.1 allows no other to decide anything),
//! [`authorization_details`](crate::Verified::authorization_details), [`task`](crate::Verified::task) and
//! [`environment`](crate::Verified::environment). Write [`credential_id`](crate::Verified::credential_id) into your
//! log: with it the issuer can tell who got the credential, on which evidence, and why.
//!
//! # Accept tokens that are bound to a client certificate
//!
//! The API must end TLS itself, because only its own TLS layer knows which certificate was proved (RFC 8705 section 3).
//! `axum::serve` has no TLS; [`tls::Server`](crate::tls::Server) has, and puts the
//! [`PeerCertificate`](crate::PeerCertificate) where the layer looks for it.
//!
//! ```no_run
//! use std::sync::Arc;
//! use axum::Router;
//! use dayfly_verifier::tls::{Server, ServerIdentity, server_config};
//! use rustls::server::danger::ClientCertVerifier;
//! use tokio::net::TcpListener;
//!
//! async fn serve(api: Router, clients: Arc<dyn ClientCertVerifier>) -> Result<(), Box<dyn std::error::Error>> {
//!     let identity = ServerIdentity::from_pem(&std::fs::read("tls.crt")?, &std::fs::read("tls.key")?)?;
//!     let config = Arc::new(server_config(identity, Some(clients))?);
//!     let listener = TcpListener::bind("0.0.0.0:8443").await?;
//!     let stop = async { drop(tokio::signal::ctrl_c().await) };
//!     Server::new(listener, move || Arc::clone(&config)).serve(api, stop).await;
//!     Ok(())
//! }
//! ```
//!
//! For `x5t#S256` it does not matter who issued the certificate, only that it is the one that the token names. For
//! `spiffe_id` it does: the client verifier must check a chain against the bundle of the leaf's own trust domain, and
//! never against roots of several domains in one pool. If yours accepts more, call
//! [`Server::without_spiffe_ids`](crate::tls::Server::without_spiffe_ids).
//!
//! Behind a proxy that ends TLS there is no certificate to prove, and bound tokens are refused. Headers in which
//! proxies pass certificates on are not read: a stranger can send them too.
//!
//! # Accept tokens that are bound to a key (`DPoP`)
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
//! The base URL is what clients write in front of the path, so it has the prefix that a proxy cuts off. `Host`,
//! `Forwarded` and `X-Forwarded-*` are not read: a stranger can send them too. Routers of axum may be nested, any other
//! layer that rewrites paths belongs behind the verifier's. A proof counts once, so a request passes one verifying layer,
//! not two: ask for further scopes with [`Scoped`](crate::axum::Scoped). Without a layer, put a
//! [`Presentation`](crate::dpop::Presentation) into [`Presented`](crate::Presented).
//!
//! **Nonces.** A proof holds for a minute around the client's `iat`. Where the clocks of clients are wrong, or nobody may
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
//! **Replicas.** Used proofs are remembered in the process, because `verify` does no I/O: with several replicas, a proof
//! that someone records can be used once more at each of the others, for the one request that it names, within its
//! minute. Where that matters, require nonces and give each replica a key of its own: a proof is then good at one replica
//! only. Clients should stay with one, or they are asked for another proof at each change.
//!
//! **Room.** [`Policy::capacity`](crate::dpop::Policy::capacity) proofs are remembered, a million unless you say
//! otherwise. When they are all still within their time, new ones are answered with 503 and logged as
//! `too_many_proofs`; none is forgotten early. Only accepted requests take room.
//!
//! What RFC 9449 leaves open is decided in [`defaults`](super::defaults).
//!
//! # Choose about revocations
//!
//! [`from_issuer`](crate::Verifier::from_issuer) follows the feed. The plain
//! [`builder`](crate::Verifier::builder) wants to be told: [`Follow`](crate::RevocationSource::Follow) where something
//! feeds it, [`Bundle`](crate::RevocationSource::Bundle) where a file does
//! ([`Verifier::load_bundle`](crate::Verifier::load_bundle)), [`None`](crate::RevocationSource::None) where a token's
//! short life is enough. [`Verified::freshness`](crate::Verified::freshness) says on each request how old the
//! knowledge was; an operation of high risk can ask for [`Fresh`](crate::Freshness::Fresh), or the whole API for less
//! by [`max_staleness_secs`](crate::VerifierBuilder::max_staleness_secs).
//!
//! # Test your API
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
//!
//! The layer takes a [`clock`](crate::tower::VerifierLayer::clock), so that a test can stand at any moment.
//!
//! # Find out why a token is refused
//!
//! The caller learns `invalid_token` and nothing else. The log line has the code and the facts
//! (`RUST_LOG=dayfly_verifier=debug`), and [`Rejection`](crate::Rejection) gives both to programs.
//!
//! | code | what it means, and who can mend it |
//! |---|---|
//! | `unknown_kid` | The issuer has no such key, or rotated it a moment ago: the follower fetches at once, then every 10 s at most. Without a follower: load the present key set. |
//! | `wrong_issuer` | `iss` differs from the builder's issuer in at least one byte; look for a slash at the end. |
//! | `wrong_audience` | The client asked for a token for another API. The log names the audience that the token has. |
//! | `expired`, `not_yet_valid` | The client kept a token too long, or a clock is off by more than the leeway. |
//! | `lifetime_too_long` | The token was issued for longer than `max_lifetime_secs`, or than the issuer publishes. |
//! | `wrong_type` | An ID token, a feed statement, or a JWT from a library that leaves `typ` at `JWT`. Not an access token. |
//! | `alg_mismatch` | Not ES256 or EdDSA, or not the algorithm of the key. |
//! | `unproven_confirmation` | The token is bound, and the caller did not prove it: no mTLS, another certificate, or a proxy in between; a token with `jkt` under `Bearer`, or a proof by another key. |
//! | `unbound_token` | A token that is bound to no key came under the scheme `DPoP`; it belongs under `Bearer`. |
//! | `bad_proof` | The DPoP proof is malformed, or for another request: the log says what. Most often `htu` is not the base URL and path, or the client's clock is off by more than a minute. |
//! | `replayed_proof` | The proof was used before: a client that repeats a request must make a new one. |
//! | `proof_nonce_needed` | No nonce, or one that is too old; a client repeats the request with the one of `DPoP-Nonce`. |
//! | `too_many_proofs` | More proofs in a minute than `Policy::capacity`; callers get 503. Raise it, or find the caller that floods. |
//! | `revoked` | As it should be. The log names the kind: credential, task, workload, owner, rule or key. |
//! | `revocation_stale` | This API has not heard of the issuer for too long, or its clock was set back; callers get 503. Look at the connection to the issuer, and at the clock. |
//! | `missing_claim`, `bad_claim` | The issuer does not follow RFC 9068; the log names the claim. |
//! | `bad_signature` | The token was changed on the way, or another key signed it. |
//! | `malformed`, `bad_base64`, `bad_json`, `forbidden_header`, `too_large` | No token that an honest issuer makes. |
