//! Client certificates: tokens that are bound to one, and the certificates that an issuer mints itself.
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
//! `clients` decides whose certificates get through the handshake. For workloads with certificates of the same issuer it is
//! [`optional_clients`](crate::x509::CertificateVerifier::optional_clients) of a
//! [`CertificateVerifier`](crate::x509::CertificateVerifier) ([below](#talk-mtls-with-the-certificates-of-an-issuer)); for
//! certificates of your SPIFFE CA it is rustls's own, with that CA alone:
//!
//! ```
//! use std::sync::Arc;
//! use dayfly_verifier::tls::provider;
//! use rustls::RootCertStore;
//! use rustls::pki_types::{CertificateDer, pem::PemObject};
//! use rustls::server::{WebPkiClientVerifier, danger::ClientCertVerifier};
//!
//! fn clients(ca_pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, Box<dyn std::error::Error>> {
//!     let mut roots = RootCertStore::empty();
//!     for authority in CertificateDer::pem_slice_iter(ca_pem) {
//!         roots.add(authority?)?;
//!     }
//!     let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
//!     Ok(clients.allow_unauthenticated().build()?)
//! }
//! ```
//!
//! With `allow_unauthenticated`, as with *optional* clients, tokens that are bound to nothing or to a key get in without a
//! certificate too. Everything else is as always: the router carries `verifier.layer()`, and there is nothing to switch on.
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
