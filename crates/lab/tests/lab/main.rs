//! The lab's services, looked at from outside with other people's libraries.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod api;
mod oidc;
mod spiffe;
mod tls;

use dayfly_lab::{Svid, TlsAuthority};

/// An HTTP client that trusts the authority alone and shows `svid`.
fn http(tls: &TlsAuthority, svid: Option<&Svid>) -> reqwest::Client {
    let config = (*tls.client_config(svid).unwrap()).clone();
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

fn now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests of services that read the clock"
    )]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
