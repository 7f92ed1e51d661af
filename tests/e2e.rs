//! End-to-end tests: real `dayfly serve` processes, real TLS, real stores, by subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "tests fail loudly, read the clock and say what they skip"
)]

mod cli;
mod cluster;
mod contract;
mod exchange;
mod harness;
mod hostile;
mod revocation;
