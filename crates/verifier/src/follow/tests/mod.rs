//! The follower against an issuer over real TLS.

mod attacks;
mod connecting;
mod feed;
mod keys;
#[path = "../../../tests/all/pki.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the tests from outside, which use all of it"
)]
mod pki;
mod state;
mod state_file;
mod sts;
