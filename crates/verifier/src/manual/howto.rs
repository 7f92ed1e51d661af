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
//! # Accept tokens of several issuers
//!
//! [`Verifiers`](crate::Verifiers) is a set of verifiers by issuer, for a move from one issuer to another, or for an API
//! that serves two. Each keeps its own keys, audiences, limits and revocations: the `iss` of a token chooses the verifier,
//! which then checks everything, `iss` included. The set changes while requests go on.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use dayfly_verifier::{Verifier, Verifiers};
//!
//! async fn api() -> Result<Router, Box<dyn std::error::Error>> {
//!     let verifiers = Verifiers::new();
//!     for issuer in ["https://sts.example.org", "https://sts.partner.example"] {
//!         let verifier = Verifier::from_issuer(issuer).audience("https://orders.internal").build().await?;
//!         verifiers.insert(verifier)?;
//!     }
//!     let api = Router::new().route("/orders", get(|| async { "orders" })).layer(verifiers.layer());
//!     // Later, from anywhere: the partner leaves, and the next request with one of its tokens is refused.
//!     verifiers.remove("https://sts.partner.example");
//!     Ok(api)
//! }
//! ```
//!
//! Two issuers may give the same id to different things. Wherever you store something about a caller, store
//! [`Verified::issuer`](crate::Verified::issuer) with it, and decide what each issuer may say: a partner's token with the
//! scope `orders:write` is still a partner's.
//!
//! # Change what a verifier accepts while it runs
//!
//! | what | how |
//! |---|---|
//! | issuers | [`Verifiers::insert`](crate::Verifiers::insert), [`remove`](crate::Verifiers::remove); inserting replaces |
//! | audiences | [`Verifier::replace_audiences`](crate::Verifier::replace_audiences) |
//! | keys | [`Verifier::replace_keys`](crate::Verifier::replace_keys); the follower does it by itself |
//! | the longest lifetime | [`Verifier::set_max_lifetime`](crate::Verifier::set_max_lifetime); the follower does it by itself |
//! | revocations | [`Verifier::load_bundle`](crate::Verifier::load_bundle), or [`Verifier::revocations`](crate::Verifier::revocations); the follower does it by itself |
//! | leeway, bindings, staleness | by another verifier: insert it in the place of the former one |
//!
//! Each takes effect with the next token, and no request is dropped.
//!
//! # Restart while the issuer is out of reach
//!
//! [`FromIssuer::state_file`](crate::follow::FromIssuer::state_file) keeps what is known: keys, feed keys, and the signed
//! statements of the feed.
//!
//! ```no_run
//! # async fn start() -> Result<(), dayfly_verifier::follow::ConnectError> {
//! let verifier = dayfly_verifier::Verifier::from_issuer("https://sts.example.org")
//!     .audience("https://orders.internal")
//!     .state_file("/var/lib/orders/sts.example.org.json")
//!     .build()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! Give each issuer, and each process, a file of its own, in a directory that only the process may write. Whoever can
//! write the file decides whom this API trusts: it is refused if it, or its directory, belongs to someone else or can be
//! written by others (Unix; elsewhere see to it yourself). A copy of the file on another machine is an operator's file
//! there.
//!
//! After a restart from the file the age of its statements is the age of the feed: results say
//! [`Stale`](crate::Freshness::Stale), and past the limit tokens are refused with `revocation_stale` until the issuer is
//! back. Keys that the issuer confirmed more than an hour ago are not used. The follower tries again in the background,
//! with waits from half a second to half a minute, and nothing need be restarted when the issuer is there. An older file
//! than what is known adds what it revokes and changes nothing else. A file that is cut, changed, of another issuer or of
//! the future is an error in the log: the start goes on online, or fails and says both reasons
//! ([`ConnectError::Offline`](crate::follow::ConnectError::Offline)).
//!
//! The file is a [`Bundle`](crate::feed::Bundle): [`Verifier::load_bundle`](crate::Verifier::load_bundle) takes it, and a
//! bundle that was exported by hand is a state file.
//!
//! Without a file, or before there is one, [`build`](crate::follow::FromIssuer::build) fails while the issuer is out of
//! reach. [`start_without_issuer`](crate::follow::FromIssuer::start_without_issuer) lets the program start: every token is
//! refused until the issuer is reached. Make [`Verifier::freshness`](crate::Verifier::freshness) the readiness of the
//! instance then.
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
//! | `unknown_kid` | The issuer has no such key, or rotated it a moment ago: the follower fetches at once, then every 10 s at most. Without a follower: load the present key set. If every token gets it, there are no keys at all: the issuer was never reached, or not for an hour. |
//! | `wrong_issuer` | `iss` differs from the builder's issuer in at least one byte, or no verifier of the set is for it; look for a slash at the end. |
//! | `wrong_audience` | The client asked for a token for another API. The log names the audience that the token has. |
//! | `expired`, `not_yet_valid` | The client kept a token too long, or a clock is off by more than the leeway. |
//! | `lifetime_too_long` | The token was issued for longer than `max_lifetime_secs`, or than the issuer publishes. |
//! | `wrong_type` | An ID token, a feed statement, or a JWT from a library that leaves `typ` at `JWT`. Not an access token. |
//! | `alg_mismatch` | Not ES256 or EdDSA, or not the algorithm of the key. |
//! | `unproven_confirmation` | The token is bound, and the connection did not prove it: no mTLS, another certificate, or a proxy in between. |
//! | `unsupported_confirmation` | The token is bound to a key by `jkt`; DPoP is not supported yet. |
//! | `revoked` | As it should be. The log names the kind: credential, task, workload, owner, rule or key. |
//! | `revocation_stale` | This API has not heard of the issuer for too long, or its clock was set back; callers get 503. Look at the connection to the issuer, and at the clock. |
//! | `missing_claim`, `bad_claim` | The issuer does not follow RFC 9068; the log names the claim. |
//! | `bad_signature` | The token was changed on the way, or another key signed it. |
//! | `malformed`, `bad_base64`, `bad_json`, `forbidden_header`, `too_large` | No token that an honest issuer makes. |
