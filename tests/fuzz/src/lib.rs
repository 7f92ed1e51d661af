//! What each fuzz target does with the bytes that it is given. `cargo test -p dayfly-verifier` compiles this file too,
//! and replays the corpus through it.

#[path = "../../../crates/token/tests/wire/reference/reader.rs"]
mod reference;

mod dpop;
mod feed;
mod token;

use dayfly_keys::{JwkSet, KeySet};
use dayfly_token::{CertificateClaims, json};
use dayfly_verifier::x509::{self, MAX_AUTHORITIES, TrustBundle};
use dayfly_verifier::{UnixTime, svid};

pub use dpop::dpop;
pub use feed::feed;
pub use token::token;

const ISSUER: &str = "https://sts.example.org";
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// Both readers of strict JSON say the same.
pub fn json(bytes: &[u8]) {
    let ours = json::object(bytes);
    assert_eq!(ours.ok(), reference::object(bytes));
}

/// A key set that is read says the same when it is written and read again, and no key in it has two names.
pub fn jwks(bytes: &[u8]) {
    let Ok(set) = JwkSet::parse(bytes) else {
        return;
    };
    assert!(
        reference::object(bytes).is_some(),
        "only strict JSON is read"
    );
    let keys = KeySet::from_jwks(&set).expect("what was kept of a set can verify");
    assert_eq!(keys.len(), set.keys.len());
    let written = serde_json::to_vec(&keys.to_jwks()).expect("a set is written");
    let again = KeySet::parse(&written).expect("what was written is read");
    assert!(keys.kids().eq(again.kids()));
}

/// As a certificate, as the content of the private extension, and as a bundle of authorities. Certificates are bounded in
/// size, and whoever is a leaf is no issuer.
pub fn certificate(bytes: &[u8]) {
    let (leaf, issuer) = (svid::identity_of(bytes), svid::check_issuer(bytes));
    assert!(leaf.is_err() || issuer.is_err());
    if let Ok(id) = leaf {
        assert!(!id.path().is_empty());
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
    }
    if let Ok(claims) = x509::claims_of(bytes) {
        assert_eq!(CertificateClaims::from_der(&claims.to_der()), Ok(claims));
    }
    extension(bytes);
    bundle(bytes);
}

/// What is read is strict JSON by the second reader, under a header of two to four bytes, and is read back from what is
/// written of it.
fn extension(bytes: &[u8]) {
    let Ok(claims) = CertificateClaims::from_der(bytes) else {
        return;
    };
    let strict = |header| {
        let content = bytes.get(header..);
        content.is_some_and(|json| reference::object(json).is_some())
    };
    assert!((2..=4).any(strict));
    assert_eq!(CertificateClaims::from_der(&claims.to_der()), Ok(claims));
}

/// Nothing but issuers of X.509-SVIDs becomes an authority, in whatever form it comes.
fn bundle(bytes: &[u8]) {
    let domain = "td".parse().expect("a trust domain");
    let document = TrustBundle::from_json(&domain, bytes);
    assert!(document.is_err() || reference::object(bytes).is_some());
    for bundle in [document, TrustBundle::parse(&domain, bytes)] {
        let Ok(bundle) = bundle else { continue };
        assert!(bundle.len() <= MAX_AUTHORITIES);
        for der in bundle.authorities() {
            assert_eq!(svid::check_issuer(der), Ok(()));
            assert!(svid::identity_of(der).is_err(), "a leaf is no authority");
        }
        let authorities = bundle.authorities().map(<[u8]>::to_vec);
        let again = TrustBundle::from_der(&domain, authorities);
        assert!(bundle.is_empty() || again.is_ok_and(|again| again.len() == bundle.len()));
    }
}
