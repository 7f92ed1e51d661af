//! Keys, from outside: one suite over both backends, published vectors, JWKs, certificate requests, properties.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod conformance;
#[cfg(feature = "csr")]
mod csr;
mod jwk;
mod properties;
mod wycheproof;

use dayfly_keys::{Algorithm, SigningKey};
use dayfly_token::base64url;
use zeroize::Zeroizing;

pub(crate) const BOTH: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];

pub(crate) fn signing_key(algorithm: Algorithm, seed: u8) -> SigningKey {
    SigningKey::from_seed(algorithm, &Zeroizing::new([seed; 32])).unwrap()
}

pub(crate) fn b64(text: &str) -> Vec<u8> {
    base64url::decode(text).unwrap()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|d| d as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
