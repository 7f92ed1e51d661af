//! Attestation from the outside: real certificates, real tokens, real issuers on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod ca;
mod idp;
mod signer;

mod bundles;
mod github;
mod handshake;
mod hostile;
mod issuer_keys;
mod issuer_refresh;
mod jose;
mod jwk_sets;
mod own_token;
mod signed_json;
mod svid_chains;
mod svid_rules;
mod vectors;

use std::sync::Arc;

use dayfly_attest::{Attestor, OidcIssuers, TrustBundles};
use dayfly_token::UnixTime;
use dayfly_verifier::RevocationSource;
use dayfly_verifier::testing::TestAuthority;

/// The present of these tests: 2027-01-15.
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// This issuer.
const ISSUER: &str = "https://sts.example";

fn authority() -> TestAuthority {
    TestAuthority::from_seed(ISSUER, [7; 32]).unwrap()
}

fn attestor(bundles: TrustBundles, issuers: OidcIssuers) -> Attestor {
    let own = authority()
        .verifier("unused")
        .danger_any_audience()
        .revocation(RevocationSource::None)
        .build()
        .unwrap();
    Attestor::new(Arc::new(bundles), issuers, own, ISSUER.to_owned())
}

fn no_bundles() -> TrustBundles {
    TrustBundles::load(Vec::new()).unwrap()
}

/// An error and all its sources, as a log or a panic would show them.
fn shown(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| format!("{error} {error:?}\n")).collect()
}
