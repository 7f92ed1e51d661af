//! A real Redis and a bad line, for tests.
//!
//! Everything here fails its test by a panic with one clear line.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test harness fails its test"
)]

mod proxy;
mod redis_server;

pub use proxy::Proxy;
pub use redis_server::{RedisServer, TlsFiles};
