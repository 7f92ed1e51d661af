//! The client against a small issuer of its own, over real TLS, byte by byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod admin;
mod certificates;
mod evidence;
mod failures;
mod keeping;
mod secrets;
mod stage;
mod tokens;
