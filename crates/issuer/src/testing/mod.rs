//! Fakes of the ports, for tests and benchmarks. Nothing here protects anything.

mod ledger;
mod mint;
mod null;

use dayfly_keys::{Algorithm, SigningKey};
use dayfly_token::UnixTime;
use zeroize::Zeroizing;

use crate::control::{ClusterSecret, KeyRecord, KeyUse, MIN_SECRET_BYTES};
use crate::port::{Clock, Now, Rng};

pub use ledger::{Call, FakeLedger, Fault};
pub use mint::{MintBench, signer};
pub use null::NullLedger;

/// A clock that stands where it was put.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Now);

impl Clock for FixedClock {
    fn now(&self) -> Now {
        self.0
    }
}

/// A random source that does the same thing every time (SplitMix64). Never use it for real keys.
#[derive(Debug, Clone)]
pub struct SeededRng(u64);

impl SeededRng {
    /// A source that depends on `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

impl Rng for SeededRng {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next().to_le_bytes();
            for (byte, drawn) in chunk.iter_mut().zip(drawn) {
                *byte = drawn;
            }
        }
    }
}

/// The instant `secs` after 1970 on both clocks.
#[must_use]
pub const fn at(secs: u64) -> Now {
    Now {
        unix_ms: secs * 1000,
        monotonic_ms: secs * 1000,
    }
}

/// The secret of a deployment of tests.
#[must_use]
#[expect(clippy::expect_used, reason = "a fake for tests")]
pub fn cluster_secret() -> ClusterSecret {
    ClusterSecret::new(Zeroizing::new(vec![7; MIN_SECRET_BYTES])).expect("it is long enough")
}

/// The record of a token key of `replica`, different for each `seed`, served for an hour from 1970.
#[must_use]
#[expect(clippy::expect_used, reason = "a fake for tests")]
pub fn key_record(replica: &str, seed: u8) -> KeyRecord {
    let key = SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new([seed; 32]));
    let key = key.expect("every seed is an Ed25519 key");
    KeyRecord {
        kid: key.kid().to_owned(),
        jwk: key.jwk().clone(),
        key_use: KeyUse::Token,
        issuer: "https://sts.example.org".to_owned(),
        replica: replica.to_owned(),
        sign_from: UnixTime::EPOCH,
        lease_until: UnixTime::from_secs(15),
        signed: false,
        serve_until: UnixTime::from_secs(3600),
    }
}

/// The output of a future that does not wait, or `None` if it does.
pub fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// The output of a future that does not wait.
///
/// # Panics
/// If it does.
#[expect(clippy::expect_used, reason = "a fake for tests")]
pub fn run<F: Future>(future: F) -> F::Output {
    poll_once(future).expect("the future waits")
}
