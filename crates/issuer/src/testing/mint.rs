//! Minting without the way around it: what the benchmark of protocol D measures.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_keys::Algorithm;
use dayfly_policy::{Method, Principal, Source};
use dayfly_token::{Confirmation, CredentialId, DecisionId, TrustDomain, UnixTime};

use super::SeededRng;
use crate::control::KeyUse;
use crate::issuance::{Issuance, IssuanceKind, IssuanceState};
use crate::keygen::generate;
use crate::mint::{TokenContent, build_token};
use crate::port::Now;
use crate::signer::{HeldKey, Signer};

/// A key of a replica that may sign until `lease_until`, never published. It depends on the seed
/// alone.
#[must_use]
#[expect(clippy::expect_used, reason = "a fake for tests")]
pub fn signer(
    algorithm: Algorithm,
    key_use: KeyUse,
    seed: u64,
    lease_until: UnixTime,
) -> Arc<Signer> {
    let key = generate(algorithm, &mut SeededRng::new(seed)).expect("seeds make keys");
    let held = HeldKey::new(key, key_use).expect("a new key signs");
    Arc::new(Signer::new(Arc::new(held), lease_until))
}

/// Mints the same typical token again and again: bound, with a task and two scopes.
pub struct MintBench {
    signer: Arc<Signer>,
    principal: Principal,
    issuance: RefCell<Issuance>,
    trust_domain: TrustDomain,
    binding: Confirmation,
    now: Now,
}

impl MintBench {
    /// A typical token, signed with a new key of `algorithm`, at `now`.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a fake for benchmarks")]
    pub fn new(algorithm: Algorithm, now: Now) -> Self {
        let signer = signer(algorithm, KeyUse::Token, 1, now.time().saturating_add(3600));
        let trust_domain = "prod.example.org".parse().expect("a trust domain");
        let principal = Principal {
            method: Method::X509Svid,
            source: Source::TrustDomain(trust_domain),
            issuer_url: None,
            subject: "spiffe://prod.example.org/payments/deploy".to_owned(),
            attributes: BTreeMap::new(),
            issued_at: None,
            expires_at: now.time().saturating_add(3600),
            peer: None,
            single_use: None,
            digest: [3; 32],
            informational: serde_json::Map::new(),
            parent: None,
        };
        let issuance = Issuance {
            id: CredentialId::new(0, [5; 15]),
            kind: IssuanceKind::AccessToken,
            state: IssuanceState::Recorded,
            decision: DecisionId::new(0, [6; 15]),
            workload: "payments/deploy".parse().expect("a workload"),
            environment: "prod".parse().expect("a slug"),
            rule: "deploy-svid".parse().expect("a slug"),
            audience: Some("https://orders.internal".parse().expect("an audience")),
            scopes: "orders:read orders:write".parse().expect("scopes"),
            task: Some("payments/deploy-4711".parse().expect("a task")),
            issued_at: now.time(),
            expires_at: now.time().saturating_add(300),
            kid: signer.kid().to_owned(),
            ancestors: Vec::new(),
            source: principal.source.to_string(),
            subject: principal.subject.clone(),
            evidence_sha256: "03".repeat(32),
            policy_version: "v1".to_owned(),
        };
        Self {
            signer,
            principal,
            issuance: RefCell::new(issuance),
            trust_domain: "sts.example.org".parse().expect("a trust domain"),
            binding: Confirmation::CertificateThumbprint([9; 32]),
            now,
        }
    }

    /// What a typical token says besides its issuance, and the key.
    pub(crate) fn parts(&self) -> (TokenContent<'_>, &Signer) {
        let content = TokenContent {
            issuer: "https://sts.example.org",
            trust_domain: &self.trust_domain,
            principal: &self.principal,
            binding: Some(&self.binding),
            authorization_details: &[],
        };
        (content, &self.signer)
    }

    /// The issuance of a typical token.
    #[cfg(test)]
    pub(crate) fn issuance(&self) -> Issuance {
        self.issuance.borrow().clone()
    }

    /// Builds, signs and checks one token, and drops it. The id is new each time.
    ///
    /// # Panics
    /// If it is not minted.
    #[expect(clippy::expect_used, reason = "a fake for benchmarks")]
    pub fn mint(&self, nonce: u64) {
        let mut random = [0; 15];
        for (byte, drawn) in random.iter_mut().zip(nonce.to_le_bytes()) {
            *byte = drawn;
        }
        self.issuance.borrow_mut().id = CredentialId::new(0, random);
        let (content, signer) = self.parts();
        let token = build_token(content, &self.issuance.borrow(), signer, self.now);
        assert!(!token.expect("it is minted").reveal().is_empty());
    }
}
