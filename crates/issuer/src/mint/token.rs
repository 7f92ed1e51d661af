//! Access tokens (RFC 9068).

use dayfly_token::{Confirmation, ScopeSet, TaskId, TrustDomain, UnixTime, WorkloadId, base64url};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::check;
use super::{AccessToken, MintError, Minted, Sealed, TokenContent};
use crate::issuance::Issuance;
use crate::port::Now;
use crate::signer::Signer;

/// How far `nbf` lies before `iat`, in seconds, for APIs whose clock is a little behind.
const NOT_BEFORE_SECS: u64 = 5;

/// Room for the claims of nearly every token, so that encoding allocates once.
const PAYLOAD_BYTES: usize = 1536;

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: UnixTime,
    nbf: UnixTime,
    exp: UnixTime,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Cnf<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    authorization_details: &'a [Map<String, Value>],
    dfy: Dfy<'a>,
}

/// The one confirmation member (RFC 7800 section 3.1).
#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cnf<'a> {
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jkt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Dfy<'a> {
    rule: &'a str,
    env: &'a str,
    anc: &'a [String],
    src: Src<'a>,
}

#[derive(Serialize)]
struct Src<'a> {
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a Map<String, Value>>,
}

/// What is meant: the issuance, what the token says besides it, and the texts of both, made once
/// for encoding and for checking.
pub(super) struct Meant<'a> {
    pub(super) content: TokenContent<'a>,
    pub(super) issuance: &'a Issuance,
    pub(super) sub: String,
    pub(super) jti: String,
    pub(super) scope: Option<String>,
    pub(super) txn: Option<String>,
    /// The value of the one confirmation member.
    cnf: Option<String>,
}

/// Builds, signs, checks and seals the token of an issuance.
pub(crate) fn mint_token(
    content: TokenContent<'_>,
    issuance: Issuance,
    signer: &Signer,
    now: Now,
) -> Result<Sealed, MintError> {
    let minted = Minted::Token {
        access_token: build_token(content, &issuance, signer, now)?,
        authorization_details: content.authorization_details.to_vec(),
        binding: content.binding.cloned(),
    };
    Ok(Sealed::new(minted, issuance))
}

/// Builds, signs and checks the token of an issuance. Whoever calls it seals it.
pub(crate) fn build_token(
    content: TokenContent<'_>,
    issuance: &Issuance,
    signer: &Signer,
    now: Now,
) -> Result<AccessToken, MintError> {
    let meant = Meant::of(content, issuance);
    let signed = signer.sign(&encode(&meant)?, now)?;
    check(&signed, signer, &meant)?;
    Ok(AccessToken::new(signed.text))
}

impl<'a> Meant<'a> {
    pub(super) fn of(content: TokenContent<'a>, issuance: &'a Issuance) -> Self {
        Self {
            content,
            issuance,
            sub: sub_of(content.trust_domain, &issuance.workload),
            jti: base64url::encode(issuance.id.as_bytes()),
            scope: (!issuance.scopes.is_empty()).then(|| scope_text(&issuance.scopes)),
            txn: issuance.task.as_ref().map(txn_of),
            cnf: content.binding.map(|binding| match binding {
                Confirmation::CertificateThumbprint(digest)
                | Confirmation::KeyThumbprint(digest) => base64url::encode(digest),
                Confirmation::SpiffeId(id) => id.as_str().to_owned(),
            }),
        }
    }

    /// The confirmation as it is to be read back.
    pub(super) fn confirmation(&self) -> Option<Cnf<'_>> {
        let text = self.cnf.as_deref();
        let mut confirmation = Cnf::default();
        match self.content.binding? {
            Confirmation::CertificateThumbprint(_) => confirmation.certificate = text,
            Confirmation::KeyThumbprint(_) => confirmation.jkt = text,
            Confirmation::SpiffeId(_) => confirmation.spiffe_id = text,
        }
        Some(confirmation)
    }

    pub(super) fn not_before(&self) -> UnixTime {
        self.issuance.issued_at.saturating_sub(NOT_BEFORE_SECS)
    }
}

// These three texts are what `Display` of their types writes, without its machinery, which would
// cost a fiftieth of a signature. The check in depth compares with the types themselves.

fn sub_of(trust_domain: &TrustDomain, workload: &WorkloadId) -> String {
    let (owner, name) = (workload.owner.as_str(), workload.name.as_str());
    ["spiffe://", trust_domain.as_str(), "/", owner, "/", name].concat()
}

fn txn_of(task: &TaskId) -> String {
    [task.owner.as_str(), "/", task.name.as_str()].concat()
}

fn scope_text(scopes: &ScopeSet) -> String {
    let mut text = String::with_capacity(64);
    for scope in scopes.iter() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(scope.as_str());
    }
    text
}

pub(super) fn encode(meant: &Meant<'_>) -> Result<Vec<u8>, MintError> {
    let Meant {
        content, issuance, ..
    } = meant;
    let audience = issuance
        .audience
        .as_ref()
        .ok_or(MintError::Differs { member: "aud" })?;
    let payload = Payload {
        iss: content.issuer,
        sub: &meant.sub,
        aud: audience.as_str(),
        client_id: &meant.sub,
        iat: issuance.issued_at,
        nbf: meant.not_before(),
        exp: issuance.expires_at,
        jti: &meant.jti,
        scope: meant.scope.as_deref(),
        txn: meant.txn.as_deref(),
        cnf: meant.confirmation(),
        authorization_details: content.authorization_details,
        dfy: Dfy {
            rule: issuance.rule.as_str(),
            env: issuance.environment.as_str(),
            anc: &issuance.ancestors,
            src: source_claims(content.principal),
        },
    };
    let mut bytes = Vec::with_capacity(PAYLOAD_BYTES);
    serde_json::to_writer(&mut bytes, &payload).map_err(MintError::Encode)?;
    Ok(bytes)
}

/// What the token tells about its evidence. The claims are informational, so they are left out
/// where the whole would pass the limit that verifiers enforce.
fn source_claims(principal: &dayfly_policy::Principal) -> Src<'_> {
    let claims = Some(&principal.informational).filter(|claims| !claims.is_empty());
    let mut source = Src {
        method: principal.method.as_str(),
        iss: principal.issuer_url.as_deref(),
        claims,
    };
    if source.claims.is_some() && encoded_bytes(&source) > dayfly_token::MAX_SOURCE_BYTES {
        source.claims = None;
    }
    source
}

fn encoded_bytes(source: &Src<'_>) -> usize {
    serde_json::to_vec(source).map_or(usize::MAX, |bytes| bytes.len())
}
