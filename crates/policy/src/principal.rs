//! Who the evidence proves, as `attest` hands it over.

use std::collections::BTreeMap;
use std::fmt;

use dayfly_token::{
    Actor, AudienceId, Confirmation, ScopeSet, Slug, SpiffeId, TaskId, TrustDomain, UnixTime,
    WorkloadId,
};
use serde_json::{Map, Value};

/// How a caller proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A client certificate that is an X.509-SVID.
    X509Svid,
    /// A signed token of an OIDC issuer.
    Oidc,
    /// An access token that this issuer minted.
    OwnToken,
}

impl Method {
    /// The stable name: `x509_svid`, `oidc`, `own_token`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X509Svid => "x509_svid",
            Self::Oidc => "oidc",
            Self::OwnToken => "own_token",
        }
    }
}

/// Who vouches for the evidence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A SPIFFE trust domain.
    TrustDomain(TrustDomain),
    /// A configured OIDC issuer, by its name in the configuration.
    Issuer(Slug),
    /// This issuer itself.
    Own,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrustDomain(name) => write!(f, "spiffe:{name}"),
            Self::Issuer(name) => write!(f, "oidc:{name}"),
            Self::Own => f.write_str("own"),
        }
    }
}

/// The value of one claim, with its JSON type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Flag(bool),
    /// An array of strings.
    List(Vec<String>),
}

/// The client certificate of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// SHA-256 of the certificate in DER.
    pub thumbprint: [u8; 32],
    /// The SPIFFE ID that it carries, if it is an SVID.
    pub spiffe_id: Option<SpiffeId>,
}

/// The access token that an exchange starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    /// Its `jti`.
    pub id: String,
    /// Its workload.
    pub workload: WorkloadId,
    /// Its only audience.
    pub audience: AudienceId,
    /// Its scopes.
    pub scopes: ScopeSet,
    /// When it ends.
    pub expires_at: UnixTime,
    /// When it was minted.
    pub issued_at: UnixTime,
    /// The rule by which its workload was found (`dfy.rule`).
    pub rule: Slug,
    /// The environment that it was minted in (`dfy.env`); `None` if it does not say.
    pub environment: Option<Slug>,
    /// Its task (`txn`).
    pub task: Option<TaskId>,
    /// Whom it is bound to.
    pub confirmation: Option<Confirmation>,
    /// Whether the caller of the exchange proved that binding.
    pub binding_proven: bool,
    /// The ids of its own ancestors.
    pub ancestors: Vec<String>,
    /// Who acts for its subject.
    pub actor: Option<Actor>,
    /// Its authorization details.
    pub authorization_details: Vec<Map<String, Value>>,
}

/// Who the evidence proves. Built by `attest` only, from verified evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// How it was proved.
    pub method: Method,
    /// Who vouches for it.
    pub source: Source,
    /// The `iss` of an OIDC token.
    pub issuer_url: Option<String>,
    /// The SPIFFE ID, or the `sub`.
    pub subject: String,
    /// The claims. Nested ones have their names joined by dots, as in `kubernetes.io.namespace`.
    pub attributes: BTreeMap<String, Attribute>,
    /// When the evidence was made, if it says so.
    pub issued_at: Option<UnixTime>,
    /// When the evidence ends.
    pub expires_at: UnixTime,
    /// The client certificate of the connection.
    pub peer: Option<Peer>,
    /// The digest under which this evidence counts once; `None` if it may come again.
    pub single_use: Option<[u8; 32]>,
    /// The digest of the evidence, for the audit.
    pub digest: [u8; 32],
    /// What goes into `dfy.src.claims`: a whitelist, at most 1 KiB.
    pub informational: Map<String, Value>,
    /// The parent, for an own token.
    pub parent: Option<Box<Parent>>,
}

impl Principal {
    /// The claim `name`. `sub` is the subject even where it is not among the attributes.
    pub(crate) fn claim(&self, name: &str) -> Option<Claim<'_>> {
        if name == "sub" {
            return Some(Claim::Text(&self.subject));
        }
        Some(match self.attributes.get(name)? {
            Attribute::Text(text) => Claim::Text(text),
            Attribute::Integer(number) => Claim::Integer(*number),
            Attribute::Flag(flag) => Claim::Flag(*flag),
            Attribute::List(list) => Claim::List(list),
        })
    }
}

/// A borrowed [`Attribute`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim<'a> {
    Text(&'a str),
    Integer(i64),
    Flag(bool),
    List(&'a [String]),
}
