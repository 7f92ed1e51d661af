//! The store under test.

use std::sync::Arc;

use dayfly_issuer::Ledger;
use dayfly_ledger::testing::RedisServer;
use dayfly_ledger::{AuditCaps, EmbeddedLedger, RedisConfig, RedisLedger};
use tempfile::TempDir;

/// Small enough to be reached, and a multiple of what the Redis adapter trims at once.
pub(crate) const CAPS: AuditCaps = AuditCaps {
    permits: 64,
    denials: 32,
};

pub(crate) enum Store {
    Redis(RedisServer),
    Embedded {
        ledger: EmbeddedLedger,
        _directory: TempDir,
    },
}

impl Store {
    pub(crate) fn redis() -> Self {
        Self::Redis(RedisServer::start())
    }

    pub(crate) fn embedded() -> Self {
        let directory = TempDir::new().unwrap();
        Self::Embedded {
            ledger: EmbeddedLedger::open(directory.path()).unwrap(),
            _directory: directory,
        }
    }

    /// One more replica on this store.
    pub(crate) async fn replica(&self) -> Arc<dyn Ledger> {
        let ledger = self.replica_before_load().await;
        ledger.load_control().await.unwrap();
        ledger
    }

    async fn replica_before_load(&self) -> Arc<dyn Ledger> {
        match self {
            Self::Redis(server) => Arc::new(redis_ledger(&server.url()).await),
            Self::Embedded { ledger, .. } => Arc::new(ledger.clone()),
        }
    }

    /// A replica with [`CAPS`] on a fresh store of the same kind.
    pub(crate) async fn small(&self) -> (Arc<dyn Ledger>, Box<dyn Send>) {
        match self {
            Self::Redis(server) => {
                let ledger = redis_ledger(&server.url()).await.with_audit_caps(CAPS);
                ledger.load_control().await.unwrap();
                (Arc::new(ledger), Box::new(()))
            }
            Self::Embedded { .. } => {
                let directory = TempDir::new().unwrap();
                let clock = Arc::new(WallClock);
                let ledger = EmbeddedLedger::open_with(directory.path(), clock, CAPS).unwrap();
                (Arc::new(ledger), Box::new(directory))
            }
        }
    }
}

pub(crate) async fn redis_ledger(url: &str) -> RedisLedger {
    RedisLedger::connect(RedisConfig::new(url)).await.unwrap()
}

struct WallClock;

impl dayfly_issuer::Clock for WallClock {
    fn now(&self) -> dayfly_issuer::Now {
        dayfly_issuer::Now {
            unix_ms: crate::draft::unix_ms(),
            monotonic_ms: crate::draft::unix_ms(),
        }
    }
}
