use dayfly_token::json::{from_object, present};
use dayfly_token::{base64url, is_kid};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Algorithm, KeyError, sha256};

/// A public JSON Web Key (RFC 7517) of type EC, OKP or RSA.
///
/// Reading one through serde refuses private and symmetric members, and coordinates that are not canonical base64url.
/// Whether the point is on its curve is found when a [`crate::VerifyingKey`] is made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Members")]
pub struct Jwk {
    key: Key,
    kid: Option<String>,
    alg: Option<String>,
    use_: Option<String>,
    key_ops: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Ec { crv: String, x: String, y: String },
    Okp { crv: String, x: String },
    Rsa { n: String, e: String },
}

impl Jwk {
    /// The JWK of one of our keys: with `kid` its thumbprint, its `alg`, and `use` `sig`.
    ///
    /// # Errors
    /// [`KeyError::Point`] if `public` is not the 65 bytes of an uncompressed point of P-256, or the 32 of Ed25519.
    pub fn public(algorithm: Algorithm, public: &[u8]) -> Result<Self, KeyError> {
        let key = match (algorithm, public) {
            (Algorithm::Es256, [4, point @ ..]) if point.len() == 64 => {
                let (x, y) = point.split_at(32);
                Key::Ec {
                    crv: "P-256".to_owned(),
                    x: base64url::encode(x),
                    y: base64url::encode(y),
                }
            }
            (Algorithm::EdDsa, x) if x.len() == 32 => Key::Okp {
                crv: "Ed25519".to_owned(),
                x: base64url::encode(x),
            },
            _ => return Err(KeyError::Point),
        };
        let mut jwk = Self {
            key,
            kid: None,
            alg: Some(algorithm.name().to_owned()),
            use_: Some("sig".to_owned()),
            key_ops: None,
        };
        jwk.kid = Some(jwk.thumbprint());
        Ok(jwk)
    }

    /// `kty`.
    #[must_use]
    pub fn kty(&self) -> &'static str {
        match self.key {
            Key::Ec { .. } => "EC",
            Key::Okp { .. } => "OKP",
            Key::Rsa { .. } => "RSA",
        }
    }

    /// `crv`; an RSA key has none.
    #[must_use]
    pub fn crv(&self) -> Option<&str> {
        match &self.key {
            Key::Ec { crv, .. } | Key::Okp { crv, .. } => Some(crv),
            Key::Rsa { .. } => None,
        }
    }

    /// `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// `alg`.
    #[must_use]
    pub fn alg(&self) -> Option<&str> {
        self.alg.as_deref()
    }

    /// `use`.
    #[must_use]
    pub fn use_(&self) -> Option<&str> {
        self.use_.as_deref()
    }

    /// The thumbprint (RFC 7638): SHA-256 over the required members in the order of their names, in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        base64url::encode(self.thumbprint_bytes())
    }

    /// The thumbprint's bytes.
    #[must_use]
    pub fn thumbprint_bytes(&self) -> [u8; 32] {
        // All values are base64url or a curve's name, which need no escapes in JSON.
        let canonical = match &self.key {
            Key::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Key::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Key::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        sha256(canonical.as_bytes())
    }

    /// The same key under another `kid`, say that of an issuer whose names are not thumbprints.
    ///
    /// # Errors
    /// [`KeyError::Member`] if no token header may carry that `kid`.
    pub fn with_kid(mut self, kid: impl Into<String>) -> Result<Self, KeyError> {
        let kid = kid.into();
        check_kid(&kid)?;
        self.kid = Some(kid);
        Ok(self)
    }

    /// The algorithm that the key verifies by, if it is meant for signatures and one of ours.
    ///
    /// # Errors
    /// If its type, `use`, `key_ops` or `alg` speaks against it.
    pub fn algorithm(&self) -> Result<Algorithm, KeyError> {
        let algorithm = match &self.key {
            Key::Ec { crv, .. } if crv == "P-256" => Algorithm::Es256,
            Key::Okp { crv, .. } if crv == "Ed25519" => Algorithm::EdDsa,
            _ => return Err(KeyError::Unsupported),
        };
        let for_verifying =
            |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        if self.use_.as_deref().is_some_and(|purpose| purpose != "sig")
            || !self.key_ops.as_ref().is_none_or(for_verifying)
        {
            return Err(KeyError::NotForSignatures);
        }
        if self
            .alg
            .as_deref()
            .is_some_and(|alg| !algorithm.accepts(alg))
        {
            return Err(KeyError::AlgorithmMismatch);
        }
        Ok(algorithm)
    }

    /// The public key as backends take it.
    ///
    /// RFC 7518 section 6.2.1.2: a coordinate of P-256 MUST be 32 bytes, zeros in front included.
    pub(crate) fn raw_public(&self) -> Result<Vec<u8>, KeyError> {
        match &self.key {
            Key::Ec { x, y, .. } => {
                Ok([&[4], &coordinate("x", x)?[..], &coordinate("y", y)?[..]].concat())
            }
            Key::Okp { x, .. } => Ok(coordinate("x", x)?.to_vec()),
            Key::Rsa { .. } => Err(KeyError::Unsupported),
        }
    }
}

fn coordinate(name: &'static str, text: &str) -> Result<[u8; 32], KeyError> {
    base64url::decode_array(text).map_err(|_| KeyError::Member { name })
}

fn check_kid(kid: &str) -> Result<(), KeyError> {
    if is_kid(kid) {
        Ok(())
    } else {
        Err(KeyError::Member { name: "kid" })
    }
}

/// A JWK as it stands in JSON. Unknown members are ignored; the private ones (RFC 7518 section 6) are looked for.
#[derive(Serialize, Deserialize)]
struct Members {
    kty: String,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    crv: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    x: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    y: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    n: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    e: Option<String>,
    #[serde(
        default,
        rename = "use",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    use_: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    key_ops: Option<Vec<String>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    alg: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    kid: Option<String>,
    #[serde(default, skip_serializing, deserialize_with = "present")]
    d: Option<IgnoredAny>,
    #[serde(default, skip_serializing, deserialize_with = "present")]
    k: Option<IgnoredAny>,
    #[serde(default, skip_serializing, deserialize_with = "present")]
    p: Option<IgnoredAny>,
    #[serde(default, skip_serializing, deserialize_with = "present")]
    q: Option<IgnoredAny>,
    #[serde(default, skip_serializing, deserialize_with = "present")]
    dp: Option<IgnoredAny>,
    #[serde(default, skip_serializing, deserialize_with = "present")]
    dq: Option<IgnoredAny>,
    #[serde(default, skip_serializing, deserialize_with = "present")]
    qi: Option<IgnoredAny>,
    #[serde(default, skip_serializing, deserialize_with = "present")]
    oth: Option<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members: Members = from_object(deserializer)?;
        members.try_into().map_err(D::Error::custom)
    }
}

impl TryFrom<Members> for Jwk {
    type Error = KeyError;

    fn try_from(members: Members) -> Result<Self, KeyError> {
        let private = [
            ("d", members.d),
            ("k", members.k),
            ("p", members.p),
            ("q", members.q),
            ("dp", members.dp),
            ("dq", members.dq),
            ("qi", members.qi),
            ("oth", members.oth),
        ];
        if let Some((name, _)) = private.into_iter().find(|(_, member)| member.is_some()) {
            return Err(KeyError::PrivateMember { name });
        }
        let key = match members.kty.as_str() {
            "EC" => Key::Ec {
                crv: curve(members.crv)?,
                x: encoded("x", members.x)?,
                y: encoded("y", members.y)?,
            },
            "OKP" => Key::Okp {
                crv: curve(members.crv)?,
                x: encoded("x", members.x)?,
            },
            "RSA" => Key::Rsa {
                n: encoded("n", members.n)?,
                e: encoded("e", members.e)?,
            },
            _ => return Err(KeyError::Unsupported),
        };
        members.kid.as_deref().map_or(Ok(()), check_kid)?;
        Ok(Self {
            key,
            kid: members.kid,
            alg: members.alg,
            use_: members.use_,
            key_ops: members.key_ops,
        })
    }
}

/// The registered curves are of these characters, and then the thumbprint needs no escapes.
fn curve(crv: Option<String>) -> Result<String, KeyError> {
    crv.filter(|crv| {
        crv.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
    .ok_or(KeyError::Member { name: "crv" })
}

/// A number or coordinate: with a second spelling one key would have two thumbprints.
fn encoded(name: &'static str, text: Option<String>) -> Result<String, KeyError> {
    text.filter(|text| base64url::decode(text).is_ok_and(|bytes| !bytes.is_empty()))
        .ok_or(KeyError::Member { name })
}

impl From<Jwk> for Members {
    fn from(jwk: Jwk) -> Self {
        let kty = jwk.kty().to_owned();
        let (crv, x, y, n, e) = match jwk.key {
            Key::Ec { crv, x, y } => (Some(crv), Some(x), Some(y), None, None),
            Key::Okp { crv, x } => (Some(crv), Some(x), None, None, None),
            Key::Rsa { n, e } => (None, None, None, Some(n), Some(e)),
        };
        Self {
            kty,
            crv,
            x,
            y,
            n,
            e,
            use_: jwk.use_,
            key_ops: jwk.key_ops,
            alg: jwk.alg,
            kid: jwk.kid,
            d: None,
            k: None,
            p: None,
            q: None,
            dp: None,
            dq: None,
            qi: None,
            oth: None,
        }
    }
}
