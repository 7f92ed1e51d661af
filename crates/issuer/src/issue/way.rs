//! The way itself: prepare, record, release.

use std::sync::{Arc, PoisonError};

use dayfly_policy::{CredentialKind, Decision, Permit, Principal, Registry};
use dayfly_token::{CredentialId, DecisionId};

use super::admit::{self, admit};
use super::stop::Stop;
use super::{IssueRequest, Issuer, Outcome, Unsettled, Want};
use crate::audit::{Record, hex};
use crate::home::home_of;
use crate::issuance::{Issuance, IssuanceKind, IssuanceState};
use crate::mint::{Commitment, Sealed, TokenContent, mint_certificate, mint_token};
use crate::port::{LedgerError, Now, RateLimit, ReplayMark, Rng};
use crate::signer::Signer;
use crate::x509::IssuingCa;

/// How long after its end evidence could still pass for fresh somewhere, in seconds: the largest
/// leeway of any verifier. So long it counts as used.
const REPLAY_LEEWAY_SECS: u64 = 60;

/// A minute, for the rates of policy.
const MINUTE_MS: u64 = 60_000;

/// What is drawn for one request.
struct Drawn {
    decision: [u8; 15],
    credential: [u8; 15],
    attempt: [u8; 16],
}

/// The names of what is decided and made.
struct Ids {
    decision: DecisionId,
    credential: CredentialId,
}

/// A minted, sealed credential and what is committed with it.
struct Prepared {
    sealed: Sealed,
    generation: u64,
    replay: Option<ReplayMark>,
    limits: Vec<RateLimit>,
}

impl Issuer {
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
        let policy = self.policy();
        let record = Record {
            now,
            decision,
            context: request.context,
            request: &request.request,
            principal: request.principal.as_ref().ok(),
            evidence: request.principal.as_ref().err(),
            permit: None,
            issuance: None,
            policy_version: policy.version(),
        };
        let (principal, permit) = match decide(&policy, &request, now) {
            Ok(decided) => decided,
            Err(stop) => return self.deny(stop, record).await,
        };
        let record = Record {
            permit: Some(&permit),
            ..record
        };
        let ids = Ids {
            decision,
            credential: CredentialId::new(home, drawn.credential),
        };
        match self.prepare(principal, &permit, request.want, &ids, now) {
            Ok(prepared) => self.commit(prepared, record, drawn.attempt).await,
            Err(stop) => self.deny(stop, record).await,
        }
    }

    /// Everything after the decision that needs no ledger: ask control, mint, seal.
    fn prepare(
        &self,
        principal: &Principal,
        permit: &Permit,
        want: Want<'_>,
        ids: &Ids,
        now: Now,
    ) -> Result<Prepared, Stop> {
        let signing = self.signing(want, now)?;
        let admission = {
            let view = self.control.read().unwrap_or_else(PoisonError::into_inner);
            admit(&view, principal, permit, signing.kid(), now)?
        };
        let issuance = Issuance {
            id: ids.credential,
            kind: match want {
                Want::Certificate { .. } => IssuanceKind::Certificate,
                Want::Token => IssuanceKind::AccessToken,
            },
            state: IssuanceState::Recorded,
            decision: ids.decision,
            workload: permit.workload.clone(),
            environment: permit.environment.clone(),
            rule: permit.rule.clone(),
            audience: permit.audience.clone(),
            scopes: permit.scopes.clone(),
            task: permit.task.clone(),
            issued_at: now.time(),
            expires_at: self.expiry(principal, permit, &admission, &signing, now)?,
            kid: signing.kid().to_owned(),
            ancestors: admit::ancestors(principal)?,
            source: principal.source.to_string(),
            subject: principal.subject.clone(),
            evidence_sha256: hex(&principal.digest),
            policy_version: permit.policy_version.clone(),
        };
        let sealed = self.mint(want, principal, permit, &signing, issuance, now)?;
        let replay = principal.single_use.map(|digest| ReplayMark {
            digest,
            until: principal.expires_at.saturating_add(REPLAY_LEEWAY_SECS),
        });
        let limits = permit.limits.iter().map(rate_limit).collect();
        Ok(Prepared {
            sealed,
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
            generation,
            replay,
            limits,
        } = prepared;
        let credential = sealed.issuance().id;
        let permitted = Record {
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
                    let mut view = self.control.write().unwrap_or_else(PoisonError::into_inner);
                    view.forget_store(generation);
                }
                self.deny_after(Stop::ledger(&error), record, &error, credential)
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

    /// Tells the ledger that an issuance was not released, and writes the denial.
    ///
    /// # Errors
    /// What is still left to do, if the ledger does not answer yet: try again later. A record
    /// without a credential harms nobody, and it expires.
    pub async fn settle(&self, mut unsettled: Unsettled) -> Result<(), Unsettled> {
        if let Some(id) = unsettled.credential {
            if let Err(error) = self.ledger.void(id).await {
                tracing::debug!(%error, credential = %id, "an issuance that was not released is not void");
                return Err(unsettled);
            }
            unsettled.credential = None;
        }
        let decision = unsettled.decision;
        if let Err(error) = self.ledger.note_denial(decision, &unsettled.audit).await {
            tracing::debug!(%error, %decision, "a denial is not in the ledger");
            return Err(unsettled);
        }
        Ok(())
    }
}

/// What signs: the key of tokens, or the authority of certificates.
pub(super) enum Signing {
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

/// Decides; a principal comes with its permit.
fn decide<'a>(
    policy: &Registry,
    request: &'a IssueRequest<'_>,
    now: Now,
) -> Result<(&'a Principal, Permit), Stop> {
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
    match policy.decide(principal, &request.request, now.time()) {
        Decision::Permit(permit) => Ok((principal, permit)),
        Decision::Deny(denial) => Err(Stop::denial(denial)),
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
        // Rounded up: whole milliseconds must not make a rate of more than was written.
        interval_ms: MINUTE_MS.div_ceil(u64::from(limit.per_minute.max(1))),
        burst: limit.burst,
    }
}

#[cfg(test)]
mod tests {
    use super::rate_limit;

    #[test]
    fn no_rate_is_more_than_was_written() {
        for per_minute in [0, 1, 7, 600, 3000, 40_000, 59_999, 60_000, 90_000, u32::MAX] {
            let limit = dayfly_policy::RateLimit {
                key: "owner:payments".to_owned(),
                per_minute,
                burst: 1,
            };
            let interval_ms = rate_limit(&limit).interval_ms;
            assert!(interval_ms > 0 && 60_000 / interval_ms <= u64::from(per_minute.max(1)));
        }
    }
}
