//! TLS for APIs that take client certificates: configurations without resumption, the rustls side of a
//! [`CertificateVerifier`](crate::x509::CertificateVerifier), and a server whose connections tell the layer who the peer
//! is.
//!
//! `axum::serve` has no TLS, and behind a listener that does the handshake itself one stalled client would hold
//! up all others; [`Server`] does each handshake in a task of its own.

mod activity;
mod config;
mod dispensable;
mod peers;
mod server;

pub use config::{ConfigError, ServerIdentity, client_config, provider, server_config};
pub use peers::{ExpectedServers, ServerVerifier};
pub use server::{Limits, PeerAddress, Server};
