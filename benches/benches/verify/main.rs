//! One verification of an access token: every check of the verifier, beside the bare signature
//! check of each backend and the full verification of its peers; a token that was seen before; and
//! the price of a million revocations.
//!
//! `cargo bench -p dayfly-benches --bench verify`
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark of constants stops where it fails"
)]

mod cold;
mod peers;
mod revoked;
mod warm;

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use dayfly_benches::Table;
use dayfly_keys::{Algorithm, SigningKey};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{RevocationSource, UnixTime, VerifierBuilder};

const ISSUER: &str = "https://sts.example.org";
const AUDIENCE: &str = "https://payments.internal";

/// Nanoseconds of one bare ES256 verification on the machine that the targets in nanoseconds were set
/// for. Machines differ, and one machine by the hour: a target is the same share of that floor here.
const REFERENCE_BARE_NS: f64 = 41_000.0;

fn main() {
    let now = now();
    let mut table = Table::new("verify");
    cold::run(&mut table, now);
    warm::run(&mut table, now);
    revoked::run(&mut table, now);
    table.finish();
}

/// The real clock, because not every peer takes another.
#[expect(clippy::disallowed_methods, reason = "a benchmark is the rim")]
fn now() -> UnixTime {
    UnixTime::from_secs(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
}

fn authority(algorithm: Algorithm) -> TestAuthority {
    TestAuthority::with_key(ISSUER, key(algorithm)).unwrap()
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::from_seed(algorithm, &[7; 32].into()).unwrap()
}

/// A token as workloads have them, 734 bytes for ES256; `number` makes it one of many.
fn token(authority: &TestAuthority, number: u64, now: UnixTime) -> String {
    let mut id = [0x40; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    authority
        .token(AUDIENCE)
        .subject("spiffe://sts.example.org/payments/deploy")
        .id(&dayfly_token::base64url::encode(id))
        .scope("deploy:write deploy:read")
        .task(&format!("payments/deploy-{number}"))
        .ttl_secs(3600)
        .mint(now)
        .unwrap()
}

/// A verifier of these tokens that has heard the feed just now.
fn builder(authority: &TestAuthority) -> VerifierBuilder {
    authority
        .verifier(AUDIENCE)
        .revocation(RevocationSource::Bundle)
}

/// The floor: one ES256 signature check by the fastest backend, and nothing else.
struct Bare {
    key: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Bare {
    fn new(authority: &TestAuthority, now: UnixTime) -> Self {
        let token = token(authority, 0, now);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let public = key(Algorithm::Es256).raw_public();
        Self {
            key: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public).unwrap(),
            message: message.as_bytes().to_vec(),
            signature: dayfly_token::base64url::decode(signature).unwrap(),
        }
    }

    fn verify(&self) {
        self.key.verify_sig(&self.message, &self.signature).unwrap();
    }
}
