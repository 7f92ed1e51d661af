//! What each fuzz target does with the bytes that it is given. `cargo test -p dayfly-verifier` compiles this file too,
//! and replays the corpus through it.

#[path = "../../../crates/token/tests/wire/reference/reader.rs"]
mod reference;

mod feed;
mod token;

use dayfly_keys::{JwkSet, KeySet};
use dayfly_token::json;
use dayfly_verifier::{UnixTime, svid};

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

/// Certificates are bounded in size, and whoever is a leaf is no issuer.
pub fn certificate(bytes: &[u8]) {
    let (leaf, issuer) = (svid::identity_of(bytes), svid::check_issuer(bytes));
    assert!(leaf.is_err() || issuer.is_err());
    if let Ok(id) = leaf {
        assert!(!id.path().is_empty());
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
    }
}
