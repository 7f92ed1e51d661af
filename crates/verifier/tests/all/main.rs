//! What this crate promises, from outside. One binary, one module for each subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod cache;
mod claims;
mod clocks;
mod compile_fail;
mod confirmations;
mod dpop;
mod feed;
mod fixture;
mod fuzz;
mod layer;
mod parsing;
mod pki;
mod revocation;
mod signatures;
mod strangers;
mod svid;
mod times;
mod tls;
mod trust;
