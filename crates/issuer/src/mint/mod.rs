//! Minting: build, sign, check. What comes out is sealed, and its one way out is the ledger.

mod certificate;
mod check;
mod sealed;
mod token;

use std::fmt;

use dayfly_policy::Principal;
use dayfly_token::{Confirmation, ScopeSet, SpiffeId, TrustDomain, UnixTime};
use serde_json::{Map, Value};

use crate::issuance::Issuance;
use crate::signer::SignerError;
use crate::x509::CaError;

pub(crate) use certificate::mint_certificate;
pub(crate) use sealed::{Commitment, Sealed};
#[cfg(any(test, feature = "testing"))]
pub(crate) use token::build_token;
pub(crate) use token::mint_token;

/// A credential that may be handed to the caller: it is on record.
#[derive(Debug)]
pub enum Credential {
    /// A certificate.
    Certificate(IssuedCertificate),
    /// An access token.
    Token(IssuedToken),
}

/// The text of an access token. It is wiped when dropped, and never shown by `Debug`.
pub struct AccessToken(String);

/// An access token and what the response says about it.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub access_token: AccessToken,
    /// Seconds to live from the issuing instant.
    pub expires_in: u64,
    /// When it ends.
    pub expires_at: UnixTime,
    /// What it may do.
    pub scopes: ScopeSet,
    /// The authorization details; empty if it has none.
    pub authorization_details: Vec<Map<String, Value>>,
    /// Whom it is bound to; `None` for a bearer token.
    pub binding: Option<Confirmation>,
}

/// A certificate and what the response says about it.
#[derive(Debug)]
pub struct IssuedCertificate {
    /// DER, leaf first, then the intermediate.
    pub chain: Vec<Vec<u8>>,
    /// The identity that it certifies.
    pub spiffe_id: SpiffeId,
    /// The serial number, which is the credential id, in hexadecimal.
    pub serial_hex: String,
    /// From when it is valid.
    pub not_before: UnixTime,
    /// Until when it is valid.
    pub not_after: UnixTime,
    /// When a client should fetch the next one: after two thirds of its life.
    pub renew_after: UnixTime,
}

/// What was minted, before the ledger knows it.
enum Minted {
    Certificate(IssuedCertificate),
    Token {
        access_token: AccessToken,
        authorization_details: Vec<Map<String, Value>>,
        binding: Option<Confirmation>,
    },
}

impl Minted {
    /// The credential of an issuance that is on record.
    fn release(self, issuance: Issuance) -> Credential {
        match self {
            Self::Certificate(certificate) => Credential::Certificate(certificate),
            Self::Token {
                access_token,
                authorization_details,
                binding,
            } => Credential::Token(IssuedToken {
                access_token,
                expires_in: issuance.expires_at.seconds_since(issuance.issued_at),
                expires_at: issuance.expires_at,
                scopes: issuance.scopes,
                authorization_details,
                binding,
            }),
        }
    }
}

/// A credential was not minted, or what was minted is not what was meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MintError {
    #[error("the certificate authority failed")]
    Authority(#[from] CaError),
    #[error("a verifier would not read the minted claims")]
    Claims(#[from] dayfly_token::ClaimsError),
    #[error("a verifier would not read the authorization details")]
    Details(#[source] dayfly_token::ClaimsError),
    #[error("a verifier would not read the minted header")]
    Header(#[from] dayfly_token::HeaderError),
    #[error("what was minted differs from the issuance in `{member}`")]
    Differs { member: &'static str },
    #[error("the claims cannot be encoded")]
    Encode(#[source] serde_json::Error),
    #[error("the minted claims cannot be decoded")]
    Decode(#[source] serde_json::Error),
    #[error("the token is not signed")]
    Signer(#[from] SignerError),
    #[error("the token would have {bytes} bytes, more than verifiers read")]
    TooLong { bytes: usize },
}

/// What a token says besides the issuance.
#[derive(Clone, Copy)]
pub(crate) struct TokenContent<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) trust_domain: &'a TrustDomain,
    pub(crate) principal: &'a Principal,
    pub(crate) binding: Option<&'a Confirmation>,
    pub(crate) authorization_details: &'a [Map<String, Value>],
}

impl AccessToken {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The token, for the response and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Drop for AccessToken {
    /// Overwrites the text. Not by `zeroize`, whose volatile writes go byte by byte, twice over the
    /// whole capacity: they would cost a thirtieth of a signature, for a text that is on the wire.
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // The zeros are looked at, so that they are written.
        std::hint::black_box(&bytes);
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}
