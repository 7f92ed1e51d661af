//! Why a request ends without a credential: what the caller is told, and what the audit says.

use dayfly_policy::{Denial, DenialReason};
use dayfly_token::UnixTime;
use dayfly_token::feed::Kind;

use super::Outcome;
use crate::audit::Record;
use crate::control::Refusal;
use crate::mint::MintError;
use crate::port::{LedgerError, Now};
use crate::reason::{EvidenceRefused, Reason, Refused};
use crate::x509::CaError;

/// When to come back after something that heals by itself within a round trip, in seconds.
const SOON_SECS: u64 = 1;

/// When to come back after something that heals within a control period, in seconds.
const LATER_SECS: u64 = 5;

pub(super) struct Stop {
    reason: Reason,
    retry_after_secs: Option<u64>,
    detail: String,
    denial: Option<Box<Denial>>,
}

impl Stop {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            retry_after_secs: None,
            detail: detail.into(),
            denial: None,
        }
    }

    const fn retry(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    pub(super) fn evidence(refused: &EvidenceRefused) -> Self {
        let EvidenceRefused { method, code, .. } = *refused;
        if refused.unavailable {
            let reason = Reason::EvidenceUnavailable { method, code };
            Self::new(reason, &refused.detail).retry(SOON_SECS)
        } else {
            Self::new(Reason::Evidence { method, code }, &refused.detail)
        }
    }

    pub(super) fn denial(denial: Denial) -> Self {
        let mut stop = Self::new(Reason::Denied(denial.reason), denial.detail.clone());
        stop.denial = Some(Box::new(denial));
        stop
    }

    pub(super) fn defect(detail: &'static str) -> Self {
        tracing::error!(detail, "a request ends by a defect");
        Self::new(Reason::Internal, detail)
    }

    pub(super) fn no_signing_key() -> Self {
        Self::new(Reason::NoSigningKey, "no token key may sign at present").retry(LATER_SECS)
    }

    pub(super) fn no_authority() -> Self {
        let detail = "there is no certificate authority that outlives the certificate";
        Self::new(Reason::CertificatesNotConfigured, detail)
    }

    pub(super) fn no_store() -> Self {
        let detail = "the ledger was not read yet, or was replaced";
        Self::new(Reason::Generation, detail).retry(SOON_SECS)
    }

    pub(super) fn evidence_predates_store() -> Self {
        let detail = "the evidence counts once and is older than the last change of the store";
        Self::new(Reason::EvidencePredatesStore, detail)
    }

    pub(super) fn parent_revoked(kind: Kind) -> Self {
        Self::new(
            Reason::ParentRevoked(kind),
            format!("the parent is revoked by its {kind}"),
        )
    }

    pub(super) fn parent_from_the_future(wait_secs: u64) -> Self {
        let detail = format!("the parent's issuing instant lies {wait_secs} s ahead");
        Self::new(Reason::ClockSkew, detail).retry(wait_secs)
    }

    pub(super) fn too_many_ancestors(ancestors: usize) -> Self {
        let detail = format!("the credential would have {ancestors} ancestors");
        Self::new(Reason::TooManyAncestors, detail)
    }

    pub(super) fn binding_unavailable() -> Self {
        let detail = "the binding needs a client certificate that is not there";
        Self::new(Reason::Denied(DenialReason::BindingUnavailable), detail)
    }

    pub(super) fn lifetime_too_short(secs: u64, least: u64) -> Self {
        let detail = format!("{secs} s to live are less than {least} s");
        Self::new(Reason::Denied(DenialReason::LifetimeTooShort), detail)
    }

    pub(super) fn deadline_too_near(deadline: UnixTime) -> Self {
        Self::new(
            Reason::TaskOverdue,
            format!("the task's deadline is {deadline}"),
        )
    }

    pub(super) fn control(refusal: &Refusal, now: Now) -> Self {
        match refusal {
            Refusal::ClockStep { as_of, now } => {
                let detail = format!("the clock says {now}, and control was heard at {as_of}");
                Self::new(Reason::ClockSkew, detail).retry(LATER_SECS)
            }
            Refusal::CutOff { kind, before } => {
                let detail = format!("the {kind} is cut off up to {before}");
                let wait_secs = before.seconds_since(now.time()).saturating_add(1);
                Self::new(Reason::CutOff(*kind), detail).retry(wait_secs)
            }
            Refusal::Held(hold) => {
                let kind = hold.kind.as_str();
                let detail = format!(
                    "a hold on the {kind} `{}` by {} since {}: {}",
                    hold.value, hold.by, hold.since, hold.reason
                );
                Self::new(Reason::Held(hold.kind), detail)
            }
            Refusal::Silent => {
                Self::new(Reason::ControlSilent, "the control stream is silent").retry(SOON_SECS)
            }
            Refusal::TaskEnded { state } => {
                Self::new(Reason::TaskEnded, format!("the task is {}", state.as_str()))
            }
            Refusal::TaskOverdue { deadline } => Self::deadline_too_near(*deadline),
        }
    }

    pub(super) fn mint(error: MintError) -> Self {
        match error {
            MintError::Authority(CaError::KeyOfAuthority) => Self::new(
                Reason::BadCertificateRequest,
                CaError::KeyOfAuthority.to_string(),
            ),
            MintError::Signer(crate::signer::SignerError::LeaseOver { .. }) => {
                Self::no_signing_key()
            }
            // Only details, with many scopes beside them, can be too deep or too long.
            MintError::Details(_) | MintError::TooLong { .. } => Self::new(
                Reason::Denied(DenialReason::AuthorizationDetails),
                chain(&error),
            ),
            error => {
                let detail = chain(&error);
                tracing::error!(error = detail, "a credential was not minted");
                Self::new(Reason::Internal, detail)
            }
        }
    }

    pub(super) fn ledger(error: &LedgerError) -> Self {
        let detail = error.to_string();
        match error {
            LedgerError::ClockSkew { .. } => Self::new(Reason::ClockSkew, detail).retry(LATER_SECS),
            LedgerError::Generation { .. } | LedgerError::StoreChanged { .. } => {
                Self::new(Reason::Generation, detail).retry(SOON_SECS)
            }
            LedgerError::RateLimited { retry_after_ms, .. } => {
                Self::new(Reason::RateLimited, detail).retry(retry_after_ms.div_ceil(1000).max(1))
            }
            LedgerError::Replayed => Self::new(Reason::Replayed, detail),
            LedgerError::Corrupt { .. }
            | LedgerError::Gap
            | LedgerError::TimedOut { .. }
            | LedgerError::Unavailable { .. } => {
                Self::new(Reason::LedgerUnavailable, detail).retry(SOON_SECS)
            }
        }
    }

    /// The outcome, with its audit line.
    pub(super) fn outcome(&self, record: &Record<'_>) -> Outcome {
        let Self {
            reason,
            retry_after_secs,
            ref detail,
            ref denial,
        } = *self;
        Outcome {
            decision: record.decision,
            audit: record.deny(reason, detail, denial.as_deref()),
            result: Err(Refused {
                reason,
                retry_after_secs,
            }),
            unsettled: None,
        }
    }
}

/// An error and its sources, each of which states its own fact.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
