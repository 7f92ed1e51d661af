//! The way of a request: evidence → decision → control → mint → record → release.

mod admit;
mod expiry;
mod stop;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use dayfly_keys::Algorithm;
use dayfly_keys::csr::CertificateRequest;
use dayfly_policy::{CredentialKind, Decision, Permit, Principal, Registry, Request};
use dayfly_token::{CredentialId, DecisionId, TrustDomain};

use crate::audit::{Context, Record, hex};
use crate::control::{ControlView, KeyUse};
use crate::home::home_of;
use crate::issuance::{Issuance, IssuanceKind, IssuanceState};
use crate::mint::{Commitment, Credential, Sealed, TokenContent, mint_certificate, mint_token};
use crate::port::{Ledger, LedgerError, Now, RateLimit, ReplayMark, Rng};
use crate::reason::{EvidenceRefused, Refused};
use crate::signer::Signer;
use crate::x509::IssuingCa;
use admit::admit;
use stop::Stop;

/// How long after its end evidence could still pass for fresh somewhere, in seconds: the largest
/// leeway of any verifier. So long it counts as used.
const REPLAY_LEEWAY_SECS: u64 = 60;

/// A minute, for the rates of policy.
const MINUTE_MS: u64 = 60_000;

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

/// What is drawn for one request.
struct Drawn {
    decision: [u8; 15],
    credential: [u8; 15],
    attempt: [u8; 16],
}

/// A minted, sealed credential and what is committed with it.
struct Prepared {
    sealed: Sealed,
    permit: Permit,
    generation: u64,
    replay: Option<ReplayMark>,
    limits: Vec<RateLimit>,
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

    /// The one way of a request, for every grant type and for certificates. `now` is the present
    /// right before the call.
    ///
    /// When it returns a credential, the ledger has its record. When it does not, nobody has the
    /// credential. Dropping the future half way releases nothing.
    pub async fn issue(&self, request: IssueRequest<'_>, now: Now, rng: &mut dyn Rng) -> Outcome {
        let drawn = Drawn::from(rng);
        let home = match &request.principal {
            Ok(principal) => home_of(principal, self.config.partitions),
            // Nobody is known, so the denials of strangers spread evenly.
            Err(_) => drawn
                .decision
                .first()
                .map_or(0, |byte| byte % self.config.partitions.max(1)),
        };
        let decision = DecisionId::new(home, drawn.decision);
        let record = Record {
            now,
            decision,
            context: request.context,
            request: &request.request,
            principal: request.principal.as_ref().ok(),
            evidence: request.principal.as_ref().err(),
            permit: None,
            issuance: None,
        };
        match self.prepare(&request, decision, home, &drawn, now) {
            Ok(prepared) => self.commit(prepared, record, drawn.attempt).await,
            Err(stop) => self.deny(stop, record).await,
        }
    }

    /// Everything that needs no ledger: decide, ask control, mint, seal.
    fn prepare(
        &self,
        request: &IssueRequest<'_>,
        decision: DecisionId,
        home: u8,
        drawn: &Drawn,
        now: Now,
    ) -> Result<Prepared, Stop> {
        let principal = request.principal.as_ref().map_err(Stop::evidence)?;
        let kind = match request.want {
            Want::Certificate { .. } => CredentialKind::Certificate,
            Want::Token => CredentialKind::AccessToken,
        };
        if kind != request.request.kind {
            return Err(Stop::defect(
                "the request asks for another kind than is to be minted",
            ));
        }
        let permit = match self
            .policy
            .load()
            .decide(principal, &request.request, now.time())
        {
            Decision::Permit(permit) => permit,
            Decision::Deny(denial) => return Err(Stop::denial(denial)),
        };
        let signing = self.signing(request.want, now)?;
        let admission = {
            let view = self.control.read().unwrap_or_else(PoisonError::into_inner);
            admit(&view, principal, &permit, signing.kid(), now)?
        };
        let issuance = Issuance {
            id: CredentialId::new(home, drawn.credential),
            kind: match kind {
                CredentialKind::AccessToken => IssuanceKind::AccessToken,
                CredentialKind::Certificate => IssuanceKind::Certificate,
            },
            state: IssuanceState::Recorded,
            decision,
            workload: permit.workload.clone(),
            environment: permit.environment.clone(),
            rule: permit.rule.clone(),
            audience: permit.audience.clone(),
            scopes: permit.scopes.clone(),
            task: permit.task.clone(),
            issued_at: now.time(),
            expires_at: self.expiry(principal, &permit, &admission, &signing, now)?,
            kid: signing.kid().to_owned(),
            ancestors: admit::ancestors(principal)?,
            source: principal.source.to_string(),
            subject: principal.subject.clone(),
            evidence_sha256: hex(&principal.digest),
            policy_version: permit.policy_version.clone(),
        };
        let sealed = self.mint(request.want, principal, &permit, &signing, issuance, now)?;
        let replay = principal.single_use.map(|digest| ReplayMark {
            digest,
            until: principal.expires_at.saturating_add(REPLAY_LEEWAY_SECS),
        });
        let limits = permit.limits.iter().map(rate_limit).collect();
        Ok(Prepared {
            sealed,
            permit,
            generation: admission.generation,
            replay,
            limits,
        })
    }

    fn signing(&self, want: Want<'_>, now: Now) -> Result<Signing, Stop> {
        match want {
            Want::Token => {
                let signer = self
                    .signer
                    .load_full()
                    .filter(|signer| signer.may_sign(now));
                signer.map(Signing::Token).ok_or_else(Stop::no_signing_key)
            }
            Want::Certificate { .. } => {
                let authority = self.authority.load_full();
                authority
                    .map(Signing::Certificate)
                    .ok_or_else(Stop::no_authority)
            }
        }
    }

    fn mint(
        &self,
        want: Want<'_>,
        principal: &Principal,
        permit: &Permit,
        signing: &Signing,
        issuance: Issuance,
        now: Now,
    ) -> Result<Sealed, Stop> {
        let minted = match (want, signing) {
            (Want::Token, Signing::Token(signer)) => {
                let binding = admit::binding(principal, permit)?;
                let content = TokenContent {
                    issuer: &self.config.issuer,
                    trust_domain: &self.config.trust_domain,
                    principal,
                    binding: binding.as_ref(),
                    authorization_details: &permit.authorization_details,
                };
                mint_token(content, issuance, signer, now)
            }
            (Want::Certificate { request }, Signing::Certificate(authority)) => {
                mint_certificate(authority, request, &permit.dns_names, issuance)
            }
            _ => return Err(Stop::defect("the key is not for what is to be minted")),
        };
        minted.map_err(Stop::mint)
    }

    /// Records, and releases only then.
    async fn commit(&self, prepared: Prepared, record: Record<'_>, attempt: [u8; 16]) -> Outcome {
        let Prepared {
            sealed,
            permit,
            generation,
            replay,
            limits,
        } = prepared;
        let credential = sealed.issuance().id;
        let permitted = Record {
            permit: Some(&permit),
            issuance: Some(sealed.issuance()),
            ..record
        };
        let audit = permitted.permit();
        let commitment = Commitment {
            generation,
            unix_ms: record.now.unix_ms,
            attempt,
            replay,
            limits: &limits,
            audit: &audit,
        };
        match sealed.record(&*self.ledger, commitment).await {
            Ok(credential) => Outcome {
                decision: record.decision,
                audit,
                result: Ok(credential),
                unsettled: None,
            },
            Err(error) => {
                if is_another_life(&error) {
                    self.view_mut(|view| view.forget_store(generation));
                }
                let denied = Record {
                    permit: Some(&permit),
                    ..record
                };
                self.deny_after(Stop::ledger(&error), denied, &error, credential)
                    .await
            }
        }
    }

    /// A denial whose line the ledger keeps, if it answers.
    async fn deny(&self, stop: Stop, record: Record<'_>) -> Outcome {
        let outcome = stop.outcome(&record);
        if let Err(error) = self
            .ledger
            .note_denial(outcome.decision, &outcome.audit)
            .await
        {
            tracing::warn!(%error, decision = %outcome.decision, "a denial is not in the ledger");
        }
        outcome
    }

    /// A denial after the ledger refused or did not answer. Who waits for a ledger that does not
    /// answer is told at once, and the rest is left for [`Issuer::settle`].
    async fn deny_after(
        &self,
        stop: Stop,
        record: Record<'_>,
        error: &LedgerError,
        credential: CredentialId,
    ) -> Outcome {
        match error {
            LedgerError::ClockSkew { .. }
            | LedgerError::RateLimited { .. }
            | LedgerError::Replayed => self.deny(stop, record).await,
            _ => {
                // Refused for its generation it was not written; otherwise it may have been.
                let credential = (!is_another_life(error)).then_some(credential);
                let outcome = stop.outcome(&record);
                let unsettled = Unsettled {
                    credential,
                    decision: outcome.decision,
                    audit: outcome.audit.clone(),
                };
                Outcome {
                    unsettled: Some(unsettled),
                    ..outcome
                }
            }
        }
    }

    /// Tells the ledger, when it answers again, that an issuance was not released. Best effort: a
    /// record without a credential harms nobody, and it expires.
    pub async fn settle(&self, unsettled: Unsettled) {
        let Unsettled {
            credential,
            decision,
            audit,
        } = unsettled;
        if let Some(id) = credential {
            if let Err(error) = self.ledger.void(id).await {
                tracing::warn!(%error, credential = %id, "an issuance that was not released is not void");
            }
        }
        if let Err(error) = self.ledger.note_denial(decision, &audit).await {
            tracing::warn!(%error, %decision, "a denial is not in the ledger");
        }
    }

    fn view_mut(&self, change: impl FnOnce(&mut ControlView)) {
        change(&mut self.control.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What signs: the key of tokens, or the authority of certificates.
enum Signing {
    Certificate(Arc<IssuingCa>),
    Token(Arc<Signer>),
}

impl Signing {
    fn kid(&self) -> &str {
        match self {
            Self::Certificate(authority) => authority.id(),
            Self::Token(signer) => signer.kid(),
        }
    }
}

impl Drawn {
    fn from(rng: &mut dyn Rng) -> Self {
        let mut drawn = Self {
            decision: [0; 15],
            credential: [0; 15],
            attempt: [0; 16],
        };
        rng.fill(&mut drawn.decision);
        rng.fill(&mut drawn.credential);
        rng.fill(&mut drawn.attempt);
        drawn
    }
}

/// The store is not the one that this replica knew; nothing was written.
const fn is_another_life(error: &LedgerError) -> bool {
    matches!(
        error,
        LedgerError::Generation { .. } | LedgerError::StoreChanged { .. }
    )
}

fn rate_limit(limit: &dayfly_policy::RateLimit) -> RateLimit {
    RateLimit {
        key: limit.key.clone(),
        interval_ms: MINUTE_MS / u64::from(limit.per_minute.max(1)),
        burst: limit.burst,
    }
}
