//! The private extension: what a token says in claims.

use dayfly_token::{CertificateClaims, DayflyClaims};

use crate::issuance::Issuance;

/// What the leaf of an issuance says about itself.
pub(super) fn claims_of(issuance: &Issuance) -> CertificateClaims {
    CertificateClaims {
        iat: issuance.issued_at,
        txn: issuance.task.as_ref().map(ToString::to_string),
        dfy: DayflyClaims {
            rule: issuance.rule.to_string(),
            env: issuance.environment.to_string(),
            anc: issuance.ancestors.clone(),
            src: None,
        },
    }
}
