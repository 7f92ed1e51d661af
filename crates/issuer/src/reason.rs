//! Why nothing was issued.

use dayfly_policy::{DenialReason, Method};
use dayfly_token::feed::Kind;

use crate::control::HoldKind;

/// Evidence that was not accepted, as the rim hands it over. It is recorded like any other denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRefused {
    /// What the caller tried, if it can be told.
    pub method: Option<Method>,
    /// The stable code of the refusal.
    pub code: &'static str,
    /// The facts, for the audit. Never the evidence itself.
    pub detail: String,
    /// Whether the evidence could not be checked, rather than failing its check.
    pub unavailable: bool,
}

/// What the rim tells the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// When it is worth trying again, in seconds; `None` if time does not help.
    pub retry_after_secs: Option<u64>,
}

/// Everything that can keep a credential from being issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The certificate request asks for a key that no certificate is issued for.
    BadCertificateRequest,
    /// This issuer has no certificate authority, or its certificate is running out.
    CertificatesNotConfigured,
    /// This machine's clock and the ledger's, or the parent's issuer's, are too far apart.
    ClockSkew,
    /// The control stream was not heard for D.
    ControlSilent,
    /// A cut-off reaches past the present; what it names tells the kind.
    CutOff(Kind),
    /// Policy says no.
    Denied(DenialReason),
    /// The evidence was refused.
    Evidence {
        /// What the caller tried, if it can be told.
        method: Option<Method>,
        /// The stable code of the refusal.
        code: &'static str,
    },
    /// Evidence that counts once is older than the store's present life: it may have been used.
    EvidencePredatesStore,
    /// The evidence cannot be checked at present.
    EvidenceUnavailable {
        /// What the caller tried, if it can be told.
        method: Option<Method>,
        /// The stable code of the refusal.
        code: &'static str,
    },
    /// The store was replaced, and this replica has not caught up.
    Generation,
    /// A hold is set; what it names tells the kind.
    Held(HoldKind),
    /// A defect of this program.
    Internal,
    /// The ledger did not record the issuance.
    LedgerUnavailable,
    /// No key may sign at present.
    NoSigningKey,
    /// The parent of an exchange is dead; the kind tells by what.
    ParentRevoked(Kind),
    /// The rate of the workload or its owner is used up.
    RateLimited,
    /// The evidence counts once and was used before.
    Replayed,
    /// The task has ended.
    TaskEnded,
    /// The task's deadline has passed, or is too near.
    TaskOverdue,
    /// The parent has as many ancestors as a token can name.
    TooManyAncestors,
}

impl Reason {
    /// The stable name, in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadCertificateRequest => "bad_certificate_request",
            Self::CertificatesNotConfigured => "certificates_not_configured",
            Self::ClockSkew => "clock_skew",
            Self::ControlSilent => "control_silent",
            Self::CutOff(_) => "cut_off",
            Self::Denied(reason) => reason.as_str(),
            Self::Evidence { code, .. } | Self::EvidenceUnavailable { code, .. } => code,
            Self::EvidencePredatesStore => "evidence_predates_store",
            Self::Generation => "generation",
            Self::Held(_) => "held",
            Self::Internal => "internal",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::NoSigningKey => "no_signing_key",
            Self::ParentRevoked(_) => "parent_revoked",
            Self::RateLimited => "rate_limited",
            Self::Replayed => "replayed",
            Self::TaskEnded => "task_ended",
            Self::TaskOverdue => "task_overdue",
            Self::TooManyAncestors => "too_many_ancestors",
        }
    }
}
