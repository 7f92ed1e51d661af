//! The way of a request: evidence → decision → control → mint → record → release.

mod admit;
mod expiry;
mod stop;
mod way;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use dayfly_keys::Algorithm;
use dayfly_keys::csr::CertificateRequest;
use dayfly_policy::{Principal, Registry, Request};
use dayfly_token::{CredentialId, DecisionId, TrustDomain};

use crate::audit::Context;
use crate::control::{ControlView, KeyUse};
use crate::mint::Credential;
use crate::port::Ledger;
use crate::reason::{EvidenceRefused, Refused};
use crate::signer::Signer;
use crate::x509::IssuingCa;

/// What is fixed for one issuer.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// The issuer's URL, the `iss` of every token.
    pub issuer: String,
    /// The trust domain of its workloads.
    pub trust_domain: TrustDomain,
    /// This replica.
    pub replica: String,
    /// The algorithm of token keys.
    pub algorithm: Algorithm,
    /// P: over how many partitions of the ledger issuances spread, at most 64.
    pub partitions: u8,
    /// L: the longest lifetime over all grants, in seconds; nothing lives longer.
    pub max_lifetime_secs: u64,
    /// Where the SPIFFE bundle is served.
    pub bundle_endpoint: String,
}

/// Issues credentials.
pub struct Issuer {
    config: IssuerConfig,
    ledger: Arc<dyn Ledger>,
    control: Arc<RwLock<ControlView>>,
    policy: ArcSwap<Registry>,
    signer: ArcSwapOption<Signer>,
    authority: ArcSwapOption<IssuingCa>,
    max_lifetime_secs: AtomicU64,
}

/// A request after its evidence was looked at.
pub struct IssueRequest<'a> {
    /// Who the evidence proves, or why it does not.
    pub principal: Result<Principal, EvidenceRefused>,
    /// What is asked for.
    pub request: Request,
    /// Token or certificate; it agrees with `request.kind`.
    pub want: Want<'a>,
    /// What the request says about itself.
    pub context: Context<'a>,
}

/// What is to be minted.
#[derive(Debug, Clone, Copy)]
pub enum Want<'a> {
    /// A certificate for the key of a request.
    Certificate {
        /// The request, whose proof of possession was checked.
        request: &'a CertificateRequest,
    },
    /// An access token.
    Token,
}

/// What came of a request.
#[derive(Debug)]
pub struct Outcome {
    /// Names the decision.
    pub decision: DecisionId,
    /// The audit line, one JSON object.
    pub audit: String,
    /// The credential, on record, or why there is none.
    pub result: Result<Credential, Refused>,
    /// What is left to do in the background because the ledger did not answer.
    pub unsettled: Option<Unsettled>,
}

/// An issuance of which nobody knows whether it is on record. It was not released.
#[derive(Debug)]
pub struct Unsettled {
    credential: Option<CredentialId>,
    decision: DecisionId,
    audit: String,
}

impl Issuer {
    /// An issuer without keys: [`Issuer::use_signer`] gives it one.
    #[must_use]
    pub fn new(
        config: IssuerConfig,
        ledger: Arc<dyn Ledger>,
        control: Arc<RwLock<ControlView>>,
        policy: Arc<Registry>,
    ) -> Self {
        Self {
            max_lifetime_secs: AtomicU64::new(config.max_lifetime_secs),
            config,
            ledger,
            control,
            policy: ArcSwap::new(policy),
            signer: ArcSwapOption::empty(),
            authority: ArcSwapOption::empty(),
        }
    }

    /// Decides by another policy from now on. Its longest lifetime becomes L; whoever publishes L
    /// does so first.
    pub fn replace_policy(&self, policy: Arc<Registry>) {
        self.max_lifetime_secs
            .store(policy.max_lifetime_secs(), Ordering::Relaxed);
        self.policy.store(policy);
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> Arc<Registry> {
        self.policy.load_full()
    }

    /// What is fixed.
    #[must_use]
    pub const fn config(&self) -> &IssuerConfig {
        &self.config
    }

    /// L, in seconds.
    #[must_use]
    pub fn max_lifetime_secs(&self) -> u64 {
        self.max_lifetime_secs.load(Ordering::Relaxed)
    }

    /// The control state.
    #[must_use]
    pub fn control(&self) -> &RwLock<ControlView> {
        &self.control
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Takes the token key with its present lease, or takes it away. A key for something else is
    /// none.
    pub fn use_signer(&self, signer: Option<Arc<Signer>>) {
        self.signer
            .store(signer.filter(|signer| signer.key_use() == KeyUse::Token));
    }

    /// Takes the certificate authority, or takes it away. One of another trust domain is none: an
    /// issuer certifies its own identities only.
    pub fn use_authority(&self, authority: Option<Arc<IssuingCa>>) {
        let own = |ca: &Arc<IssuingCa>| *ca.trust_domain() == self.config.trust_domain;
        self.authority.store(authority.filter(own));
    }
}
