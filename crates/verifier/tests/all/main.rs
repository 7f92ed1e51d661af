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

mod attacks;
mod bundles;
mod cache;
mod certificates;
mod chains;
mod claims;
mod clocks;
mod compile_fail;
mod confirmations;
mod decisions;
mod details;
mod dpop;
mod events;
mod examples;
mod feed;
mod fixture;
mod fuzz;
mod issuers;
mod layer;
mod leaves;
mod limit;
mod lines;
mod manual;
mod metadata;
mod metrics;
mod migrate;
mod mint;
mod parsing;
mod pki;
mod recheck;
mod revocation;
mod rim;
mod scopes;
mod signatures;
mod staleness;
mod strangers;
mod svid;
mod times;
mod tls;
mod tonic;
mod trust;
