//! The private extension: what a token says in claims.

use dayfly_token::{UnixTime, json};
use serde::{Deserialize, Serialize};

use super::{CaError, certificate};
use crate::issuance::Issuance;

/// The OID of the private extension; where it comes from stands in the module's documentation.
pub const EXTENSION_OID: [u64; 14] = [
    1, 2, 840, 113_556, 1, 8000, 2554, 31_292, 8018, 2973, 20_102, 42_452, 6_535_196, 10_428_647,
];

/// DER tag of a `UTF8String`.
const UTF8_STRING: u8 = 0x0c;

/// What a leaf of this issuer says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateClaims {
    /// The issuing instant.
    pub iat: UnixTime,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<String>,
    /// The rest, as in a token.
    pub dfy: CertificateDfy,
}

/// `dfy` of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateDfy {
    /// The rule that mapped the evidence.
    pub rule: String,
    /// The environment of the workload.
    pub env: String,
    /// The credentials that it was derived from, nearest first.
    pub anc: Vec<String>,
}

impl CertificateClaims {
    /// The claims of an issuance.
    pub(super) fn of(issuance: &Issuance) -> Self {
        Self {
            iat: issuance.issued_at,
            txn: issuance.task.as_ref().map(ToString::to_string),
            dfy: CertificateDfy {
                rule: issuance.rule.to_string(),
                env: issuance.environment.to_string(),
                anc: issuance.ancestors.clone(),
            },
        }
    }

    /// Reads the extension of a leaf. The leaf's own signature is not checked here.
    ///
    /// # Errors
    /// If the leaf cannot be read, or has no such extension, or a malformed one.
    pub fn of_leaf(der: &[u8]) -> Result<Self, CaError> {
        let leaf = certificate::parse(der)?;
        let oid = oid();
        let extension = leaf
            .extensions()
            .iter()
            .find(|extension| extension.oid.as_bytes() == oid);
        let content = extension
            .ok_or(CaError::Differs {
                member: "private extension",
            })?
            .value;
        let malformed = |detail: String| CaError::Malformed { detail };
        let text = utf8_content(content)
            .ok_or_else(|| malformed("the private extension is no UTF8String".to_owned()))?;
        json::from_slice(text).map_err(|error| malformed(error.to_string()))
    }

    /// The content of the extension.
    pub(super) fn to_der(&self) -> Vec<u8> {
        // Numbers and strings always serialise; an empty extension would fail the check of the leaf.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut der = vec![UTF8_STRING];
        match json.len() {
            length @ 0..=0x7f => der.extend(length.to_be_bytes().last()),
            length => {
                let bytes = length.to_be_bytes();
                let significant = bytes.iter().skip_while(|byte| **byte == 0);
                let count = significant.clone().count();
                der.extend((0x80 | count).to_be_bytes().last());
                der.extend(significant);
            }
        }
        der.extend(json);
        der
    }
}

/// The encoded OID.
pub(super) fn oid() -> Vec<u8> {
    let [first, second, rest @ ..] = EXTENSION_OID;
    let mut bytes = Vec::with_capacity(40);
    for arc in std::iter::once(first * 40 + second).chain(rest) {
        let septets = (64 - arc.leading_zeros()).div_ceil(7).max(1);
        for septet in (0..septets).rev() {
            let more = if septet > 0 { 0x80 } else { 0 };
            bytes.extend((((arc >> (7 * septet)) & 0x7f) | more).to_be_bytes().last());
        }
    }
    bytes
}

fn utf8_content(der: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, content) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x82 => {
            let (bytes, content) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (
                bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
                content,
            )
        }
        _ => return None,
    };
    (tag == UTF8_STRING && content.len() == length).then_some(content)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_oid_is_the_uuid() {
        let uuid = "7a3c1f52-0b9d-4e86-a5d4-63b81c9f20e7";
        let parts = [0..4, 4..8, 9..13, 14..18, 19..23, 24..30, 30..36];
        let arcs = parts.map(|part| u64::from_str_radix(&uuid[part], 16).unwrap());
        assert_eq!(EXTENSION_OID[7..], arcs);
        assert!(
            EXTENSION_OID.iter().all(|arc| *arc < 1 << 28),
            "RFC 5280 appendix B"
        );
    }

    #[test]
    fn texts_of_any_length_come_back() {
        for length in [0, 1, 60, 100, 127, 128, 200, 255, 256, 300, 1000] {
            let claims = CertificateClaims {
                iat: UnixTime::from_secs(1),
                txn: None,
                dfy: CertificateDfy {
                    rule: "r".repeat(length),
                    env: String::new(),
                    anc: vec![],
                },
            };
            let der = claims.to_der();
            let content = utf8_content(&der).unwrap();
            assert_eq!(
                serde_json::from_slice::<CertificateClaims>(content).unwrap(),
                claims
            );
            assert_eq!(utf8_content(&der[..der.len() - 1]), None);
        }
    }
}
