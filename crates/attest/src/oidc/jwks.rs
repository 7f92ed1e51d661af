//! The keys of an issuer, each parsed by itself and tied to one algorithm.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use dayfly_token::{Excerpt, Header, JsonError, MAX_KID_BYTES, base64url, json};
use josekit::JoseError;
use josekit::jwk::Jwk;
use josekit::jws::alg::eddsa::EddsaJwsVerifier;
use josekit::jws::{ES256, ES384, EdDSA, JwsAlgorithm, JwsContext, JwsVerifier, PS256, RS256};
use serde_json::{Map, Value};

use super::algorithm::JoseAlgorithm;

/// Longest JWK Set, in bytes: that of Azure, the largest known, has 20 kB with its certificates.
pub const MAX_JWKS_BYTES: usize = 256 * 1024;
/// Most keys of a set; each is parsed by OpenSSL. Azure has about ten.
pub const MAX_JWKS_KEYS: usize = 64;
/// Bits of an RSA modulus: fewer are weak, more cost a verifier whole milliseconds.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Longest RSA exponent in bytes: OpenSSL takes no longer ones with large moduli, and 65537 has three.
const MAX_EXPONENT_BYTES: usize = 4;
/// Characters of base64url for 8,192 bits and a leading zero: longer is not even decoded.
const MAX_MODULUS_CHARS: usize = 1368;

/// Why a whole JWK Set was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// Not strict JSON.
    #[error("not a JWK Set")]
    Json {
        /// What is wrong with it.
        source: JsonError,
    },
    /// `keys` is not there, or no list.
    #[error("`keys` is not there or no list")]
    NoKeys,
    /// More bytes than allowed.
    #[error("{length} bytes, more than {MAX_JWKS_BYTES}")]
    TooLong {
        /// The length.
        length: usize,
    },
    /// More keys than allowed.
    #[error("{count} keys, more than {MAX_JWKS_KEYS}")]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// The usable keys of one issuer. Never shared with another: a `kid` means something within its issuer only.
#[derive(Debug, Default)]
pub(crate) struct IssuerKeys {
    keys: HashMap<String, IssuerKey>,
}

impl IssuerKeys {
    /// Reads a JWK Set. A key that cannot be used is left out and does not harm the others; two different keys with
    /// one `kid` are both left out, since nobody can say which one is meant.
    pub(crate) fn parse(bytes: &[u8], allowed: &[JoseAlgorithm]) -> Result<Self, JwksError> {
        if bytes.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLong {
                length: bytes.len(),
            });
        }
        let document = json::object(bytes).map_err(|source| JwksError::Json { source })?;
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        if entries.len() > MAX_JWKS_KEYS {
            return Err(JwksError::TooMany {
                count: entries.len(),
            });
        }
        let mut found: HashMap<String, Option<IssuerKey>> = HashMap::new();
        for entry in entries {
            match IssuerKey::read(entry, allowed) {
                Ok((kid, key)) => add(&mut found, kid, key),
                Err(reason) => tracing::debug!(reason, "key of an issuer left out"),
            }
        }
        let keys = found
            .into_iter()
            .filter_map(|(kid, key)| Some((kid, key?)))
            .collect();
        Ok(Self { keys })
    }

    pub(crate) fn get(&self, kid: &str) -> Option<&IssuerKey> {
        self.keys.get(kid)
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

fn add(found: &mut HashMap<String, Option<IssuerKey>>, kid: String, key: IssuerKey) {
    match found.entry(kid) {
        Entry::Vacant(free) => {
            free.insert(Some(key));
        }
        Entry::Occupied(mut taken) => {
            if !matches!(taken.get(), Some(known) if known.material == key.material) {
                tracing::warn!(kid = ?Excerpt::of(taken.key()), "two keys of an issuer have one kid, both are left out");
                taken.insert(None);
            }
        }
    }
}

/// A key and the one algorithm that it is for (RFC 8725 section 3.1).
#[derive(Debug)]
pub(crate) struct IssuerKey {
    algorithm: JoseAlgorithm,
    /// One for each name that the algorithm has.
    verifiers: Vec<Box<dyn JwsVerifier>>,
    /// The public members alone, to tell a repeated key from another one.
    material: Map<String, Value>,
}

/// Why a token is not what a key signed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// The header names another algorithm.
    Algorithm,
    /// A member of the header that we ignore is malformed.
    Header,
    /// The signature does not match.
    Signature,
}

impl IssuerKey {
    pub(crate) const fn algorithm(&self) -> JoseAlgorithm {
        self.algorithm
    }

    /// The payload of `token`, if this key signed it. `header` is the token's own, strictly parsed; the verifier was
    /// chosen when the key was read, so that the token cannot choose its algorithm.
    pub(crate) fn open(&self, token: &str, header: &Header) -> Result<Vec<u8>, OpenError> {
        let verifier = self
            .verifiers
            .iter()
            .find(|verifier| verifier.algorithm().name() == header.alg)
            .ok_or(OpenError::Algorithm)?;
        JwsContext::new()
            .deserialize_compact_with_selector(token, |_| Ok(Some(verifier.as_ref())))
            .map(|(payload, _)| payload)
            .map_err(|error| match error {
                JoseError::InvalidSignature(_) => OpenError::Signature,
                _ => OpenError::Header,
            })
    }

    fn read(entry: &Value, allowed: &[JoseAlgorithm]) -> Result<(String, Self), &'static str> {
        let jwk = entry.as_object().ok_or("no object")?;
        // A set with private or secret keys is an accident; such a key proves nothing any more.
        let secret = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        if secret.iter().any(|member| jwk.contains_key(*member)) {
            return Err("it is private or secret");
        }
        if !matches!(jwk.get("use"), None | Some(Value::String(_)))
            || text(jwk, "use").is_some_and(|purpose| purpose != "sig")
        {
            return Err("it is not for signatures");
        }
        let operations = jwk.get("key_ops").map(|operations| operations.as_array());
        if operations
            .is_some_and(|list| !list.is_some_and(|list| list.iter().any(|op| op == "verify")))
        {
            return Err("it is not for verifying");
        }
        let kid = text(jwk, "kid").ok_or("it has no kid")?;
        if kid.is_empty() || kid.len() > MAX_KID_BYTES {
            return Err("its kid is empty or too long");
        }
        let algorithm = algorithm_of(jwk, allowed)?;
        let material = material_of(jwk, algorithm)?;
        let verifiers = verifiers_of(&material, kid, algorithm)?;
        Ok((
            kid.to_owned(),
            Self {
                algorithm,
                verifiers,
                material,
            },
        ))
    }
}

/// The algorithm that the key itself names, or else the one of its kind that the configuration allows.
fn algorithm_of(
    jwk: &Map<String, Value>,
    allowed: &[JoseAlgorithm],
) -> Result<JoseAlgorithm, &'static str> {
    let fitting: &[JoseAlgorithm] = match (text(jwk, "kty"), text(jwk, "crv")) {
        (Some("RSA"), None) => &[JoseAlgorithm::Rs256, JoseAlgorithm::Ps256],
        (Some("EC"), Some("P-256")) => &[JoseAlgorithm::Es256],
        (Some("EC"), Some("P-384")) => &[JoseAlgorithm::Es384],
        (Some("OKP"), Some("Ed25519")) => &[JoseAlgorithm::EdDsa],
        _ => return Err("its kind is not accepted"),
    };
    let mut candidates = fitting
        .iter()
        .filter(|algorithm| allowed.contains(algorithm));
    let chosen = match jwk.get("alg") {
        None => candidates.next(),
        Some(Value::String(name)) => {
            let named = JoseAlgorithm::from_name(name);
            candidates.find(|algorithm| Some(**algorithm) == named)
        }
        Some(_) => None,
    };
    chosen.copied().ok_or("its algorithm is not allowed")
}

/// The public members, of the right sizes, and nothing else that a parser could stumble over.
fn material_of(
    jwk: &Map<String, Value>,
    algorithm: JoseAlgorithm,
) -> Result<Map<String, Value>, &'static str> {
    let members: &[&str] = match algorithm {
        JoseAlgorithm::Rs256 | JoseAlgorithm::Ps256 => {
            check_rsa(
                text(jwk, "n").ok_or("it has no modulus")?,
                text(jwk, "e").ok_or("it has no exponent")?,
            )?;
            &["kty", "n", "e"]
        }
        JoseAlgorithm::Es256 => {
            check_coordinates(jwk, &["x", "y"], 32)?;
            &["kty", "crv", "x", "y"]
        }
        JoseAlgorithm::Es384 => {
            check_coordinates(jwk, &["x", "y"], 48)?;
            &["kty", "crv", "x", "y"]
        }
        JoseAlgorithm::EdDsa => {
            check_coordinates(jwk, &["x"], 32)?;
            &["kty", "crv", "x"]
        }
    };
    Ok(members
        .iter()
        .filter_map(|member| Some(((*member).to_owned(), jwk.get(*member)?.clone())))
        .collect())
}

fn check_rsa(modulus: &str, exponent: &str) -> Result<(), &'static str> {
    if modulus.len() > MAX_MODULUS_CHARS || exponent.len() > MAX_MODULUS_CHARS {
        return Err("its modulus is too long");
    }
    let decode = |number| base64url::decode(number).map_err(|_| "a number in it is not base64url");
    let modulus = decode(modulus)?;
    let significant = modulus.iter().skip_while(|byte| **byte == 0).count();
    let top = modulus
        .iter()
        .find(|byte| **byte != 0)
        .copied()
        .unwrap_or_default();
    let bits = (significant * 8).saturating_sub(top.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("its modulus does not have 2,048 to 8,192 bits");
    }
    // 1 signs nothing, and even ones do not exist.
    let exponent = decode(exponent)?;
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if exponent.len() > MAX_EXPONENT_BYTES
        || !is_odd
        || matches!(exponent.as_slice(), [.., 1] if exponent.iter().rev().skip(1).all(|byte| *byte == 0))
    {
        return Err("its exponent is not odd and from 3 to 2^32");
    }
    Ok(())
}

fn check_coordinates(
    jwk: &Map<String, Value>,
    members: &[&str],
    bytes: usize,
) -> Result<(), &'static str> {
    for member in members {
        let decoded = text(jwk, member).map(base64url::decode);
        if !matches!(decoded, Some(Ok(coordinate)) if coordinate.len() == bytes) {
            return Err("a coordinate in it does not have the length of the curve");
        }
    }
    Ok(())
}

fn verifiers_of(
    material: &Map<String, Value>,
    kid: &str,
    algorithm: JoseAlgorithm,
) -> Result<Vec<Box<dyn JwsVerifier>>, &'static str> {
    let mut members = material.clone();
    members.insert("kid".to_owned(), Value::String(kid.to_owned()));
    let refused = |_: JoseError| "it is no key of its kind";
    let jwk = Jwk::from_map(members).map_err(refused)?;
    Ok(match algorithm {
        JoseAlgorithm::Rs256 => vec![Box::new(RS256.verifier_from_jwk(&jwk).map_err(refused)?)],
        JoseAlgorithm::Ps256 => vec![Box::new(PS256.verifier_from_jwk(&jwk).map_err(refused)?)],
        JoseAlgorithm::Es256 => vec![Box::new(ES256.verifier_from_jwk(&jwk).map_err(refused)?)],
        JoseAlgorithm::Es384 => vec![Box::new(ES384.verifier_from_jwk(&jwk).map_err(refused)?)],
        JoseAlgorithm::EdDsa => {
            let verifier = EdDSA.verifier_from_jwk(&jwk).map_err(refused)?;
            vec![Box::new(verifier.clone()), Box::new(Ed25519(verifier))]
        }
    })
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    jwk.get(member).and_then(Value::as_str)
}

/// The same key under the name of RFC 9864: josekit compares names, and knows the older one only.
#[derive(Debug, Clone)]
struct Ed25519(EddsaJwsVerifier);

#[derive(Debug, Clone)]
struct Ed25519Name;

impl JwsAlgorithm for Ed25519Name {
    fn name(&self) -> &str {
        "Ed25519"
    }

    fn box_clone(&self) -> Box<dyn JwsAlgorithm> {
        Box::new(self.clone())
    }
}

impl JwsVerifier for Ed25519 {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        &Ed25519Name
    }

    fn key_id(&self) -> Option<&str> {
        self.0.key_id()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        self.0.verify(message, signature)
    }

    fn box_clone(&self) -> Box<dyn JwsVerifier> {
        Box::new(self.clone())
    }
}
