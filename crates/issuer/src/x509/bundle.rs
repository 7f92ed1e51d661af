//! The SPIFFE bundle of the trust domain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_token::base64url;
use serde_json::{Map, Value, json};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::CaError;
use super::certificate::parse;

/// Ed25519 (RFC 8410), as its OID's content.
const ED25519: [u8; 3] = [0x2b, 101, 112];
/// The named curves (RFC 5480 section 2.1.1.1), as the content of their OIDs.
const P256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: [u8; 5] = [0x2b, 0x81, 4, 0, 34];

/// The SPIFFE bundle document of the roots: a JWK set with one `x509-svid` entry for each.
///
/// `sequence` grows with every change of the set; `refresh_hint_secs` says how often to look. The
/// key of access tokens is never in it: an SVID verifier would take it for the key of JWT-SVIDs.
///
/// # Errors
/// If a root is not a certificate in DER with a key that a JWK can say.
pub fn bundle_document(
    roots: &[&[u8]],
    sequence: u64,
    refresh_hint_secs: u64,
) -> Result<String, CaError> {
    let keys = roots
        .iter()
        .map(|root| entry(root))
        .collect::<Result<Vec<_>, _>>()?;
    let document = json!({
        "keys": keys,
        "spiffe_sequence": sequence,
        "spiffe_refresh_hint": refresh_hint_secs,
    });
    Ok(document.to_string())
}

/// One root (SPIFFE X509-SVID section 6.1): no `kid`, exactly one certificate.
fn entry(root: &[u8]) -> Result<Map<String, Value>, CaError> {
    let certificate = parse(root)?;
    let mut entry = public_members(certificate.public_key())?;
    entry.insert("use".to_owned(), json!("x509-svid"));
    entry.insert("x5c".to_owned(), json!([STANDARD.encode(root)]));
    Ok(entry)
}

fn public_members(key: &SubjectPublicKeyInfo<'_>) -> Result<Map<String, Value>, CaError> {
    let unsupported = || CaError::Root {
        fault: "its key is not P-256, P-384, Ed25519 or RSA",
    };
    let bits = key.subject_public_key.data.as_ref();
    let members = match key.parsed().map_err(|_| unsupported())? {
        PublicKey::RSA(key) => json!({
            "kty": "RSA",
            "n": base64url::encode(without_sign(key.modulus)),
            "e": base64url::encode(without_sign(key.exponent)),
        }),
        PublicKey::EC(point) => {
            let curve = key
                .algorithm
                .parameters
                .as_ref()
                .and_then(|any| any.as_oid().ok());
            let curve = match curve.as_ref().map(|oid| oid.as_bytes()) {
                Some(oid) if oid == P256 => "P-256",
                Some(oid) if oid == P384 => "P-384",
                _ => return Err(unsupported()),
            };
            let (4, coordinates) = point
                .data()
                .split_first()
                .map_or((0, &[][..]), |(f, c)| (*f, c))
            else {
                return Err(unsupported());
            };
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": base64url::encode(x), "y": base64url::encode(y) })
        }
        _ if key.algorithm.algorithm.as_bytes() == ED25519 => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(bits) })
        }
        _ => return Err(unsupported()),
    };
    match members {
        Value::Object(members) => Ok(members),
        _ => Err(unsupported()),
    }
}

/// An unsigned number without the zero byte that DER puts before a set top bit.
fn without_sign(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}
