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
//! [`Scoped<(A, B)>`](crate::axum::Scoped) asks for both scopes, `Scoped<AnyOf<(A, B)>>` for one of them. Details of one
//! type become values of yours by [`authorization_details_of`](crate::Verified::authorization_details_of).
//!
//! # Know who did what
//!
//! Each call is one `tracing` event, let in or refused: who (credential id, task, workload, owner), what (method and
//! route), and how it ended (status, or the code of the refusal). Its [fields](mod@crate::tower#events) are stable. Keep
//! them, and the issuer's record of the credential id answers why this caller had this right. For counters,
//! [`Metrics`](crate::tower::Metrics) prints the text that Prometheus reads; serve it on a route outside of the layer, or
//! better on a port of its own.
//!
//! ```
//! use axum::{Router, routing};
//! use dayfly_verifier::Verifier;
//! use tracing_subscriber::EnvFilter;
//!
//! fn api(verifier: &Verifier, routes: Router) -> Router {
//!     // A busy API keeps the refusals alone.
//!     let filter = EnvFilter::new("info,dayfly::access::accepted=off");
//!     tracing_subscriber::fmt().json().with_env_filter(filter).init();
//!     let layer = verifier.layer();
//!     let metrics = layer.metrics();
//!     routes.layer(layer).route("/metrics", routing::get(|| async move { metrics.to_string() }))
//! }
//! ```
//!
//! # Let clients find the issuer
//!
//! [`ResourceMetadata`](crate::tower::ResourceMetadata) is the document of RFC 9728 by which a client that was turned
//! away learns where to get a token. [`protected_resource`](crate::tower::VerifierLayer::protected_resource) makes every
//! challenge name it; its [`router`](crate::tower::ResourceMetadata::router) is merged after the layer is added, so that
//! it can be read without a token.
//!
//! # Limit how often a workload calls
//!
//! [`RateLimit`](crate::tower::RateLimit), added before the verifier's layer so that it stands behind it. It counts in this
//! process alone; several replicas allow several times as much.
//!
//! # Protect a gRPC service
//!
//! `Server::builder().layer(verifier.layer().grpc())`, and in each method
//! [`tonic::caller`](crate::tonic::caller) or [`tonic::caller_with_scope`](crate::tonic::caller_with_scope). Health checks
//! and reflection on the same server need a token too; put them on a server of their own where they should not.
//!
//! # Check a request without tower, or without HTTP
//!
//! [`Gate::check`](crate::tower::Gate::check) decides about the head of any `http::Request`, and
//! [`Gate::answer`](crate::tower::Gate::answer) says what to answer.
//!
//! ```
//! use dayfly_verifier::tower::Gate;
//! use http::{Request, Response};
//!
//! fn handle(gate: &Gate, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
//!     let (head, body) = request.into_parts();
//!     match gate.check(&head) {
//!         Ok(caller) => Response::new([caller.subject().as_bytes(), b": ", &body[..]].concat()),
//!         Err(challenge) => gate.answer(&challenge),
//!     }
//! }
//! ```
//!
//! A worker that takes messages from a queue has no request: it calls [`Verifier::verify`](crate::Verifier::verify) with
//! the token from the message's headers, at the moment when it does the work. The reason goes to its own log.
//!
//! ```
//! use dayfly_verifier::{Presented, RejectionCode, UnixTime, UnverifiedToken, Verifier};
//!
//! struct Message {
//!     token: String,
//!     text: String,
//! }
//!
//! fn send(verifier: &Verifier, message: &Message, now: UnixTime) -> Result<String, RejectionCode> {
//!     let caller = verifier
//!         .verify(UnverifiedToken::new(&message.token), &Presented::NOTHING, now)
//!         .map_err(|rejection| rejection.code())?;
//!     Ok(format!("{} for {}", message.text, caller.subject()))
//! }
//! # let authority = dayfly_verifier::testing::TestAuthority::from_seed("https://sts.test", [1; 32]).unwrap();
//! # let verifier = authority.verifier("urn:mailer").revocation(dayfly_verifier::RevocationSource::None).build().unwrap();
//! # let now = UnixTime::from_secs(1_800_000_000);
//! # let mut message = Message { token: authority.token("urn:mailer").mint(now).unwrap(), text: "a receipt".to_owned() };
//! # assert_eq!(send(&verifier, &message, now).unwrap(), "a receipt for spiffe://test.example/tests/caller");
//! # message.token.push('A');
//! # assert!(send(&verifier, &message, now).is_err());
//! ```
//!
//! The examples `worker` and `offline_bundle` of this crate are whole programs.
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
//! # Talk mTLS with the certificates of an issuer
//!
//! A dayfly issuer mints X.509 certificates too. Both ends of a connection give theirs, and a
//! [`CertificateVerifier`](crate::x509::CertificateVerifier) for the other's. It wants the issuer's trust bundle, which
//! the issuer serves as a SPIFFE bundle document at `/spiffe/bundle.json`. Fetch that over TLS, at start and then as
//! often as [`refresh_hint_secs`](crate::x509::TrustBundle::refresh_hint_secs) says, and hand it over:
//! [`replace_bundle`](crate::x509::CertificateVerifier::replace_bundle) refuses a document that is older than the one
//! in force, and leaves connections open. [`sharing`](crate::x509::CertificateVerifier::sharing) lets it follow the
//! revocations that the verifier of your tokens follows.
//!
//! ```no_run
//! use std::sync::Arc;
//! use axum::{Extension, Router, http::StatusCode, routing::get};
//! use dayfly_verifier::tls::{ExpectedServers, Server, ServerIdentity, client_config, server_config};
//! use dayfly_verifier::x509::{CertificateVerifier, TrustBundle};
//! use dayfly_verifier::{PeerCertificate, UnixTime, Verifier};
//! # fn my_clock() -> UnixTime { UnixTime::EPOCH }
//!
//! fn identity() -> Result<ServerIdentity, Box<dyn std::error::Error>> {
//!     Ok(ServerIdentity::from_pem(&std::fs::read("tls.crt")?, &std::fs::read("tls.key")?)?)
//! }
//!
//! async fn serve(tokens: &Verifier, document: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//!     let bundle = TrustBundle::from_json(&"sts.example.org".parse()?, document)?;
//!     let certificates = CertificateVerifier::sharing(tokens, bundle)?;
//!
//!     // The server: who calls, looked at again for each request.
//!     let config = Arc::new(server_config(identity()?, Some(certificates.required_clients()))?);
//!     let callers = certificates.clone();
//!     let hello = move |Extension(peer): Extension<PeerCertificate>| async move {
//!         match callers.recheck(&peer, my_clock()) {
//!             Ok(caller) => Ok(format!("hello {}, busy with {:?}", caller.workload(), caller.task())),
//!             Err(_) => Err(StatusCode::UNAUTHORIZED),
//!         }
//!     };
//!     let listener = tokio::net::TcpListener::bind("0.0.0.0:8443").await?;
//!     let server = Server::new(listener, move || Arc::clone(&config));
//!     tokio::spawn(server.serve(Router::new().route("/", get(hello)), std::future::pending()));
//!
//!     // A client: the server that it means, by its SPIFFE ID.
//!     let ledger = ExpectedServers::id("spiffe://sts.example.org/accounting/ledger".parse()?);
//!     let config = client_config(Some(identity()?), certificates.servers(ledger))?;
//!     # drop(config);
//!     Ok(())
//! }
//! ```
//!
//! *Who may call* stays your decision: the verifier says who somebody is, and every certificate of the issuer passes.
//! A client names its servers ([`ExpectedServers`](crate::tls::ExpectedServers)), because a certificate that is good and
//! belongs to somebody else is what a man in the middle has. The name that was dialled is not looked at.
//!
//! *A connection outlives a decision.* TLS looks at a certificate once.
//! [`recheck`](crate::x509::CertificateVerifier::recheck) costs a hash and a few lookups, for what was proven is
//! remembered until the bundle changes; [`tls::Server`](crate::tls::Server) ends a connection with its peer's
//! certificate in any case.
//!
//! *What a plain SPIFFE peer does not see.* Envoy, go-spiffe, spiffe-rustls and every other verifier of X.509-SVIDs accept
//! these certificates too, and know nothing of the private extension, the feed and the cut-offs: to them a revoked
//! certificate, and one of a tainted signing key, is good until `notAfter`. There is no CRL and no OCSP that they could ask
//! (the certificates say so themselves, by RFC 9608). If such peers are among your servers, let the certificates live
//! for minutes; that is all that bounds the damage there.
//!
//! *The other way round*: a certificate without the private extension is refused here, even where an authority of the
//! bundle signed it (`missing_extension`). Without its issuing instant no cut-off could be applied to it. The issuer's
//! trust domain should have no other CA anyway.
//!
//! For tests make such certificates with rcgen: the extension's content is
//! [`CertificateClaims::to_der`](crate::CertificateClaims::to_der) under the number
//! [`EXTENSION_OID`](crate::x509::EXTENSION_OID), the serial number a [`CredentialId`](crate::CredentialId).
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
//! In the API's metadata, [`ResourceMetadata::dpop`](crate::tower::ResourceMetadata::dpop) says so, with the algorithms.
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
//! # Move an API off static keys
//!
//! The README tells it step by step, the module `migrate` has the table of who decides, and the example `migration`
//! plays it. What is asked beside that:
//!
//! - *Where are keys looked for?* In `x-api-key`, unless `KeyPlaces` says otherwise: another header, a scheme of
//!   `Authorization` (`Bearer` too: a value with exactly two dots is a token, every other one a key), or, for those who have
//!   such callers, the query. A key in any other place is no key, and two keys in one request are refused.
//! - *Our keys are hashed with bcrypt or Argon2.* Those cannot be looked up, and are made for what people choose. Let the
//!   API's own check write down the SHA-256 of each key that it accepts while the layer watches, and build the registry from
//!   that. Keys under 16 bytes are not looked at: replace them first.
//! - *What is a pepper for?* A registry of `sha256` digests of random keys gives nothing away. If keys are short or their
//!   making is in doubt, or the API has HMAC digests already, use `hmac-sha256` and keep the `Pepper` elsewhere.
//! - *How long is long enough?* `next_step` and `unused_for` take a time in seconds and say no while there are counts for
//!   less than that. Save the report now and then, and hand it to `Migration::resume` after a restart.
//! - *What does the caller learn?* That a token is needed. No credential, an unknown key, one that has ended and one that
//!   comes too late are one answer.
//! - *What does the log say?* What a token decided, or the want of one, the gate records as ever. What a key decided is an
//!   event of the same form under the same targets, with `stage`, and for known keys `api_key_id`, `owner` and `contact`. Its
//!   `code` is `key` if it was let in, and else `key_unknown`, `key_ended`, `key_refused_by_stage`, `key_scope_missing`,
//!   `key_malformed`, or `key_missing` for a token that came alone before its time. Keys are not in the gate's metrics.
//! - *Two identities in one request?* The token decides. If the key belongs to another owner, the log warns and the report
//!   counts it: somebody uses a key that is not theirs, or the registry names the wrong owner.
//! - *Can a stage open the API?* None lets in a request without a valid key or a valid token. Only
//!   `Migration::danger_watch_layer` lets everything pass, and it is no stage.
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
//! # Find out why a call is refused
//!
//! The caller learns `invalid_token` and nothing else. The event of the [layer](mod@crate::tower#events) has the code and
//! the facts (`RUST_LOG=dayfly::access::refused=info`), [`Metrics`](crate::tower::Metrics) count each code, and
//! [`Rejection`](crate::Rejection) gives both to programs.
//!
//! | code | what it means | what to do |
//! |---|---|---|
//! | `token_missing` | No `Authorization` header, or one with another scheme than `Bearer` and, where a base URL is set, `DPoP`. | Nothing, if it is a client that asks first. Otherwise the client sends no token, or a proxy in between takes it away. |
//! | `invalid_request` | A token in the query, two tokens, or `Bearer` with nothing behind it. | Mend the client: one header `Authorization: Bearer …`. |
//! | `insufficient_scope` | The token is good and lacks a scope; the reason names it. The caller gets 403. | The client asks the issuer for that scope; if it is denied, the owner of the audience grants it to the workload. |
//! | `rate_limited` | The workload called more often than the [`RateLimit`](crate::tower::RateLimit) allows. The caller gets 429. | The client waits for `Retry-After`; look for a loop, or allow more. |
//! | `unknown_kid` | The issuer has no such key, or rotated it a moment ago: the follower fetches at once, then every 10 s at most. | Without a follower: load the present key set or bundle. With one, and for longer than a minute: the token is of another issuer. |
//! | `keys_unavailable` | There is no key at all: the issuer was never reached, or not for an hour, or no bundle was loaded. Callers get 503, and the event is a warning. | Look at the connection to the issuer: the log says what fails. Without a follower: load a key set or a bundle. |
//! | `wrong_issuer` | `iss` differs from the builder's issuer in at least one byte, or no verifier of the set is for it; the reason shows it. | Look for a slash at the end, and for an issuer that was renamed. |
//! | `wrong_audience` | The client asked for a token for another API; the reason names the audience that the token has. | The client asks for this API's audience, or the builder gets a second `audience`. |
//! | `expired`, `not_yet_valid` | The client kept a token too long, or a clock is off by more than the leeway. | Compare the moments in the reason with a clock that is right; the client fetches a new token before the old one ends. |
//! | `lifetime_too_long` | The token was issued for longer than `max_lifetime_secs`, or than the issuer publishes. | Issue shorter tokens. Only for an issuer that cannot: raise `max_lifetime_secs`. |
//! | `wrong_type` | An ID token, a feed statement, or a JWT from a library that leaves `typ` at `JWT`. Not an access token. | The client sends the access token; an issuer of another make is set to RFC 9068. |
//! | `alg_mismatch` | Not ES256 or EdDSA, or not the algorithm of the key. | Set the issuer to one of the two. If it is a dayfly issuer, someone tampers. |
//! | `unproven_confirmation` | The token is bound, and the caller did not prove it: no mTLS, another certificate, a proxy in between; a token with `jkt` under `Bearer`, or a proof by another key. | Look at what ends TLS, and at the client's scheme and key. |
//! | `unbound_token` | A token that is bound to no key came under the scheme `DPoP`. | The client sends it under `Bearer`, or asks for a bound one. |
//! | `bad_proof` | The DPoP proof is malformed, absent, or for another request; the cause says what. | Compare `htu` with the base URL and path. If the client's clock is off by more than a minute: mend it, or require nonces. |
//! | `replayed_proof` | The DPoP proof was used before. | A client that repeats a request makes a new proof; look for two verifying layers in a row. If neither, someone replays. |
//! | `proof_nonce_needed` | The DPoP proof has no nonce of this API, or one that is too old. | Nothing: the client repeats the request with the one of `DPoP-Nonce`. |
//! | `too_many_proofs` | More DPoP proofs are within their time than are remembered. Callers get 503, and the event is a warning. | Raise `Policy::capacity`, or find the caller that floods. |
//! | `revoked` | The token, or its task, workload, owner, rule or key, was revoked; the reason names the kind, the event the credential and its workload. | As it should be. The issuer's audit says who revoked it, and why. |
//! | `revocation_stale` | This API has not heard of the issuer for too long, or its clock was set back. Callers get 503, and the event is a warning. | Look at the connection to the issuer, at the bundle's age, and at the clock. |
//! | `missing_claim`, `bad_claim` | The issuer does not follow RFC 9068; the reason or the cause names the claim. | Mend the issuer's configuration. |
//! | `bad_signature` | The token was changed on the way, or another key signed it. | Look for what cuts or rewrites headers. If nothing does, someone forges. |
//! | `malformed`, `bad_base64`, `bad_json`, `forbidden_header`, `too_large` | No token that an honest issuer makes. | Look at what the client sends: an opaque token, quotes around it, a file with a line break. Otherwise a stranger tries his luck. |
//!
//! # Find out why a certificate is refused
//!
//! The peer learns as much as a TLS alert says. The log has one line for each refused handshake
//! (`RUST_LOG=dayfly_verifier=debug`), and a louder one for clients, once a second at most;
//! [`CertificateRejection`](crate::x509::CertificateRejection) gives code and facts to programs.
//!
//! | code | what it means, and who can mend it |
//! |---|---|
//! | `untrusted_domain` | A certificate of another trust domain than the bundle's, or the bundle is empty. |
//! | `untrusted_chain` | No path to the bundle: another CA, an intermediate that was not sent along, or a bundle from before the root changed. |
//! | `bad_leaf` | Not a leaf of a dayfly issuer: a rule of X.509-SVIDs, the serial number, the extended key usage, or a path that is not `owner/workload`. The log names which. |
//! | `missing_extension`, `bad_extension` | Another CA of the trust domain made it, or somebody who imitates an issuer. |
//! | `expired`, `not_yet_valid` | The peer did not renew in time, or a clock is wrong. There is no leeway: `notBefore` lies 30 s before the issuing instant. |
//! | `lifetime_too_long` | Issued for longer than `max_lifetime_secs`, or than the issuer publishes. |
//! | `unexpected_server` | A good certificate of a server that this client did not name. |
//! | `revoked`, `revocation_stale` | As for tokens. Where the state is too old, handshakes fail on this end's account. |
//! | `chain_too_long`, `too_large` | No chain that an honest peer sends. |
