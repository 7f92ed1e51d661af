//! The policy crate from outside: what loads, what is refused at load, and what is decided.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod deciding;
mod fixtures;
mod guardrails;
mod lints;
mod loading;
mod matching;
mod narrowing;
mod properties;
mod references;
mod samples;
