//! Signature and key selection.

use dayfly_keys::{Algorithm, KeySet, SigningKey, sha256};
use dayfly_token::{assemble, base64url};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{
    Freshness, Presented, RejectionCode as Code, RevocationSource, UnverifiedToken,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

/// n of P-256 (SEC 2 section 2.4.2), big-endian.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// L of Ed25519 (RFC 8032 section 5.1), little-endian.
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn parts(token: &str) -> (String, Vec<u8>) {
    let (input, signature) = token.rsplit_once('.').unwrap();
    (input.to_owned(), base64url::decode(signature).unwrap())
}

fn with_signature(token: &str, signature: &[u8]) -> String {
    format!("{}.{}", parts(token).0, base64url::encode(signature))
}

/// HMAC-SHA-256 (RFC 2104), by hand: the crate under test has none that verifies a token.
pub fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    let key = if key.len() > 64 {
        sha256(key).to_vec()
    } else {
        key.to_vec()
    };
    block[..key.len()].copy_from_slice(&key);
    let padded = |byte: u8| block.map(|key| key ^ byte);
    let inner = sha256(&[&padded(0x36)[..], message].concat());
    sha256(&[&padded(0x5c)[..], &inner].concat())
}

#[test]
fn hmac_with_the_public_key_as_secret() {
    assert_eq!(
        hmac(b"key", b"The quick brown fox jumps over the lazy dog")[..4],
        [0xf7, 0xbc, 0x83, 0xf4]
    );
    for bench in Bench::both() {
        let key = bench.authority.token_key();
        let (spki, raw, jwk) = (key.spki_der(), key.raw_public(), json!(key.jwk()));
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64url::encode(&spki)
        );
        let secrets: [Vec<u8>; 9] = [
            spki.clone(),
            raw.clone(),
            pem.clone().into_bytes(),
            pem.trim().as_bytes().to_vec(),
            jwk.to_string().into_bytes(),
            jwk["x"].as_str().unwrap().as_bytes().to_vec(),
            base64url::decode(jwk["x"].as_str().unwrap()).unwrap(),
            key.kid().as_bytes().to_vec(),
            Vec::new(),
        ];
        for secret in secrets {
            for alg in ["HS256", "HS384", "HS512", key.algorithm().name()] {
                let header = json!({ "alg": alg, "typ": "at+jwt", "kid": key.kid() }).to_string();
                let input = assemble(
                    header.as_bytes(),
                    json!(bench.payload()).to_string().as_bytes(),
                );
                let mac = hmac(&secret, input.as_bytes());
                let code = if alg.starts_with("HS") {
                    Code::AlgMismatch
                } else {
                    Code::BadSignature
                };
                bench.refuses(&format!("{input}.{}", base64url::encode(mac)), code);
            }
        }
    }
}

#[test]
fn psychic_and_misformed_signatures() {
    for bench in Bench::both() {
        let good = bench.good();
        let (_, signature) = parts(&good);
        let one = |end: usize| {
            let mut bytes = [0; 64];
            bytes[end] = 1;
            bytes.to_vec()
        };
        let order = |r: bool, s: bool| -> Vec<u8> {
            let half = |set: bool| if set { P256_ORDER } else { [0; 32] };
            [half(r), half(s)].concat()
        };
        for forged in [
            vec![0; 64],
            order(true, true),
            order(true, false),
            order(false, true),
            one(63),
            one(31),
            vec![0xff; 64],
            vec![0; 1],
            signature[..63].to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
            signature[..32].to_vec(),
            [&signature[..], &signature[..]].concat(),
            signature.iter().rev().copied().collect(),
            bench
                .authority
                .token_key()
                .sign_der(parts(&good).0.as_bytes())
                .unwrap()
                .into_iter()
                .chain([0; 2])
                .collect(),
        ] {
            bench.refuses(&with_signature(&good, &forged), Code::BadSignature);
        }
    }
    let bench = Bench::new(Algorithm::Es256);
    let der = bench
        .authority
        .token_key()
        .sign_der(parts(&bench.good()).0.as_bytes())
        .unwrap();
    bench.refuses(&with_signature(&bench.good(), &der), Code::BadSignature);
}

/// The same JWS with the second valid ECDSA signature: `s` negated.
pub fn twin_of(token: &str) -> String {
    let (_, mut signature) = parts(token);
    let negated = subtract(&P256_ORDER, signature[32..].try_into().unwrap());
    signature[32..].copy_from_slice(&negated);
    with_signature(token, &signature)
}

/// ECDSA has a second valid signature for the same message. It is the same credential: same id, revoked together.
#[test]
fn the_malleable_twin_is_the_same_credential() {
    let bench = Bench::new(Algorithm::Es256);
    let good = bench.good();
    let twin = twin_of(&good);
    assert_ne!(good, twin);
    let id = bench.accepts(&good).credential_id().to_owned();
    if let Ok(twin) = bench.verify(&twin) {
        assert_eq!(twin.credential_id(), id);
    }
    let entry = dayfly_token::feed::Entry {
        prefix: dayfly_verifier::revocation::prefix(dayfly_token::feed::Kind::Credential, &id),
        before: NOW,
        until: NOW.saturating_add(300),
    };
    bench.verifier.revocations().merge(&[entry], NOW);
    bench.refuses(&good, Code::Revoked);
    assert!(bench.verify(&twin).is_err());
}

#[test]
fn unreduced_ed25519_is_refused() {
    let bench = Bench::new(Algorithm::EdDsa);
    let good = bench.good();
    let (_, mut signature) = parts(&good);
    let mut carry = 0_u16;
    for (byte, order) in signature[32..].iter_mut().zip(ED25519_ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    bench.refuses(&with_signature(&good, &signature), Code::BadSignature);
}

fn subtract(a: &[u8; 32], b: [u8; 32]) -> [u8; 32] {
    let (mut result, mut borrow) = ([0; 32], 0_i16);
    for index in (0..32).rev() {
        let difference = i16::from(a[index]) - i16::from(b[index]) - borrow;
        borrow = i16::from(difference < 0);
        result[index] = difference.rem_euclid(256) as u8;
    }
    result
}

#[test]
fn one_key_one_algorithm() {
    for bench in Bench::both() {
        let own = bench.authority.token_key().algorithm();
        for alg in [
            "ES256", "EdDSA", "Ed25519", "ES384", "ES512", "ES256K", "RS256", "PS256", "Ed448",
            "es256", "eddsa", "EDDSA", "ESP256",
        ] {
            let token = bench.with_header(&[("alg", json!(alg))]);
            if own.accepts(alg) {
                // RFC 9864 gives EdDSA with Ed25519 a second name; it is the same algorithm.
                bench.accepts(&token);
            } else {
                bench.refuses(&token, Code::AlgMismatch);
            }
        }
    }
}

#[test]
fn no_key_but_the_named_one() {
    for bench in Bench::both() {
        assert_eq!(bench.verifier.keys().len(), 1);
        let mut header = bench.header();
        header.remove("kid");
        let payload = json!(bench.payload()).to_string();
        // Truly signed by the only key there is, and still refused: no fallback to a first or only key.
        bench.refuses(
            &bench
                .authority
                .sign(&json!(header).to_string(), &payload)
                .unwrap(),
            Code::UnknownKid,
        );
        let kid = bench.authority.token_key().kid();
        for other in [
            kid[..42].to_owned(),
            format!("{kid}A"),
            kid.to_lowercase(),
            format!(" {kid}"),
            "0".to_owned(),
        ] {
            bench.refuses(
                &bench.with_header(&[("kid", json!(other))]),
                Code::UnknownKid,
            );
        }
    }
}

#[test]
fn a_key_of_another_issuer() {
    let ours = Bench::new(Algorithm::EdDsa);
    let theirs = TestAuthority::from_seed("https://other.example", [3; 32]).unwrap();
    // Their key says that it is us: unknown here.
    let forged = TestAuthority::from_seed(ISSUER, [3; 32])
        .unwrap()
        .token(AUDIENCE)
        .mint(NOW)
        .unwrap();
    ours.refuses(&forged, Code::UnknownKid);
    // Under our key's id: the signature tells.
    let header = ours.authority.header();
    let payload = json!(ours.payload()).to_string();
    ours.refuses(&theirs.sign(&header, &payload).unwrap(), Code::BadSignature);
    // One verifier knows both issuers' keys by mistake: the name still decides.
    let mut keys = ours.authority.keys();
    keys.insert(theirs.token_key().verifying_key().clone());
    ours.verifier.replace_keys(keys);
    ours.refuses(
        &theirs.token(AUDIENCE).mint(NOW).unwrap(),
        Code::WrongIssuer,
    );
}

#[test]
fn a_key_that_went_is_gone_at_once() {
    let bench = Bench::new(Algorithm::Es256);
    let next = SigningKey::from_seed(Algorithm::Es256, &Zeroizing::new([4; 32])).unwrap();
    let next = TestAuthority::with_key(ISSUER, next).unwrap();
    let mut both = bench.authority.keys();
    both.insert(next.token_key().verifying_key().clone());
    bench.verifier.replace_keys(both);
    bench.accepts(&bench.good());
    bench.accepts(&next.token(AUDIENCE).mint(NOW).unwrap());
    bench.verifier.replace_keys(next.keys());
    bench.refuses(&bench.good(), Code::UnknownKid);
    bench.accepts(&next.token(AUDIENCE).mint(NOW).unwrap());
    bench.verifier.replace_keys(KeySet::default());
    let token = next.token(AUDIENCE).mint(NOW).unwrap();
    bench.refuses(&token, Code::KeysUnavailable);
}

#[test]
fn a_verifier_without_keys_refuses_everything() {
    let bench = Bench::new(Algorithm::EdDsa);
    let empty = dayfly_verifier::Verifier::builder(ISSUER)
        .audience(AUDIENCE)
        .revocation(RevocationSource::None)
        .build()
        .unwrap();
    let refused = empty
        .verify(
            UnverifiedToken::new(&bench.good()),
            &Presented::NOTHING,
            NOW,
        )
        .unwrap_err();
    assert_eq!(refused.code(), Code::KeysUnavailable);
    // And a health page says so.
    assert_eq!(empty.freshness(NOW), None);
    empty.replace_keys(bench.authority.keys());
    assert_eq!(empty.freshness(NOW), Some(Freshness::Unknown));
    // What would be refused with keys as well is not blamed on their absence.
    bench.verifier.replace_keys(KeySet::default());
    bench.refuses("no.token", Code::Malformed);
    let typed = bench.with_header(&[("typ", json!("JWT"))]);
    bench.refuses(&typed, Code::WrongType);
    let unsigned = bench.with_header(&[("alg", json!("none"))]);
    bench.refuses(&unsigned, Code::AlgMismatch);
    let unnamed = bench.with_header(&[("kid", json!(""))]);
    bench.refuses(&unnamed, Code::UnknownKid);
}
