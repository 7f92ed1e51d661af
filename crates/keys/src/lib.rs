#![doc = include_str!("../README.md")]

#[cfg(not(any(feature = "aws-lc", feature = "rustcrypto")))]
compile_error!(
    "dayfly-keys needs a backend: feature `aws-lc` (fast, in C) or `rustcrypto` (Rust alone)"
);

mod algorithm;
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
pub mod backend;
#[cfg(all(feature = "csr", any(feature = "aws-lc", feature = "rustcrypto")))]
pub mod csr;
mod der;
mod edwards;
mod error;
mod hash;
mod jwk;
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
mod jwk_set;
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
mod key_set;
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
mod signing;
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
mod verifying;

pub use algorithm::Algorithm;
pub use error::{KeyError, SignatureError};
pub use hash::{sha256, sha256_of};
pub use jwk::Jwk;
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
pub use jwk_set::{JwkSet, JwkSetError, MAX_JWK_SET_BYTES, MAX_JWK_SET_KEYS};
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
pub use key_set::KeySet;
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
pub use signing::SigningKey;
#[cfg(any(feature = "aws-lc", feature = "rustcrypto"))]
pub use verifying::VerifyingKey;
