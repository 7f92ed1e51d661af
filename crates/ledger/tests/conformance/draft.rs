//! A commit to send, with everything it borrows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use dayfly_issuer::{
    Commit, ControlWrite, Issuance, IssuanceKind, IssuanceState, RateLimit, ReplayMark,
};
use dayfly_token::{CredentialId, DecisionId, UnixTime};

#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) issuance: Issuance,
    pub(crate) unix_ms: u64,
    pub(crate) attempt: [u8; 16],
    pub(crate) replay: Option<ReplayMark>,
    pub(crate) limits: Vec<RateLimit>,
    pub(crate) audit: String,
}

pub(crate) fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since_1970.as_millis()).unwrap()
}

pub(crate) fn now() -> UnixTime {
    UnixTime::from_secs(unix_ms() / 1000)
}

pub(crate) fn in_secs(secs: i64) -> UnixTime {
    UnixTime::from_secs(now().as_secs().checked_add_signed(secs).unwrap())
}

/// Bytes that no other call returns.
pub(crate) fn fresh<const N: usize>() -> [u8; N] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    let next = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    bytes[N - 8..].copy_from_slice(&next);
    bytes
}

impl Draft {
    pub(crate) fn new() -> Self {
        let id = CredentialId::new(0, fresh());
        let decision = DecisionId::new(0, fresh());
        Self {
            issuance: Issuance {
                id,
                kind: IssuanceKind::AccessToken,
                state: IssuanceState::Recorded,
                decision,
                workload: "payments/deploy".parse().unwrap(),
                environment: "prod".parse().unwrap(),
                rule: "gh-deploy".parse().unwrap(),
                audience: Some("https://payments.internal".parse().unwrap()),
                scopes: "deploy:read deploy:write".parse().unwrap(),
                task: Some("payments/release-7".parse().unwrap()),
                issued_at: now(),
                expires_at: in_secs(300),
                kid: "8vQm3Kq1n0pZb2d7r5t9u6w4x1y8a3c0e2g4i6k8m0o".to_owned(),
                ancestors: vec![],
                source: "oidc:github".to_owned(),
                subject: "repo:acme/payments:environment:prod".to_owned(),
                evidence_sha256: "00".repeat(32),
                policy_version: "3f".repeat(16),
            },
            unix_ms: unix_ms(),
            attempt: fresh(),
            replay: None,
            limits: vec![],
            audit: format!("{{\"decision\":\"{decision}\",\"outcome\":\"permit\"}}"),
        }
    }

    pub(crate) fn of(workload: &str) -> Self {
        let mut draft = Self::new();
        draft.issuance.workload = workload.parse().unwrap();
        draft
    }

    pub(crate) fn once(digest: [u8; 32]) -> Self {
        Self {
            replay: Some(ReplayMark {
                digest,
                until: in_secs(60),
            }),
            ..Self::new()
        }
    }

    pub(crate) fn limited(limits: &[(&str, u64, u32)]) -> Self {
        let limits = limits
            .iter()
            .map(|(key, interval_ms, burst)| RateLimit {
                key: (*key).to_owned(),
                interval_ms: *interval_ms,
                burst: *burst,
            })
            .collect();
        Self {
            limits,
            ..Self::new()
        }
    }

    pub(crate) fn id(&self) -> CredentialId {
        self.issuance.id
    }

    pub(crate) fn commit(&self) -> Commit<'_> {
        self.commit_in(1)
    }

    pub(crate) fn commit_in(&self, generation: u64) -> Commit<'_> {
        Commit {
            generation,
            unix_ms: self.unix_ms,
            attempt: self.attempt,
            replay: self.replay,
            limits: &self.limits,
            issuance: &self.issuance,
            decision: self.issuance.decision,
            audit: &self.audit,
        }
    }
}

pub(crate) fn entry(slot: &str, sealed: &str) -> ControlWrite {
    ControlWrite {
        slot: slot.to_owned(),
        until: in_secs(3600),
        sealed: sealed.as_bytes().to_vec(),
    }
}

pub(crate) fn entries(count: usize) -> Vec<ControlWrite> {
    (0..count)
        .map(|i| entry(&format!("cut:credential:{i}"), &format!("sealed {i}")))
        .collect()
}
