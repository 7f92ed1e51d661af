#![doc = include_str!("../README.md")]

#[cfg(not(any(feature = "aws-lc", feature = "portable")))]
compile_error!(
    "dayfly-keys needs a backend: feature `aws-lc` (fast, in C) or `portable` (Rust alone)"
);

mod algorithm;
#[cfg(any(feature = "aws-lc", feature = "portable"))]
pub mod backend;
#[cfg(all(feature = "csr", any(feature = "aws-lc", feature = "portable")))]
pub mod csr;
mod der;
mod edwards;
mod error;
mod hash;
mod jwk;
#[cfg(any(feature = "aws-lc", feature = "portable"))]
mod jwk_set;
#[cfg(any(feature = "aws-lc", feature = "portable"))]
mod key_set;
#[cfg(any(feature = "aws-lc", feature = "portable"))]
mod signing;
#[cfg(any(feature = "aws-lc", feature = "portable"))]
mod verifying;

pub use algorithm::Algorithm;
pub use error::{KeyError, SignatureError};
pub use hash::sha256;
pub use jwk::Jwk;
#[cfg(any(feature = "aws-lc", feature = "portable"))]
pub use jwk_set::{JwkSet, JwkSetError, MAX_JWK_SET_BYTES, MAX_JWK_SET_KEYS};
#[cfg(any(feature = "aws-lc", feature = "portable"))]
pub use key_set::KeySet;
#[cfg(any(feature = "aws-lc", feature = "portable"))]
pub use signing::SigningKey;
#[cfg(any(feature = "aws-lc", feature = "portable"))]
pub use verifying::VerifyingKey;
