//! Tools of a forger: JWS made by hand.

use aws_lc_rs::hmac;
use dayfly_token::base64url;
use serde_json::{Value, json};

/// Puts a JWS together from texts.
pub fn compact(header: &str, payload: &str, signature: impl AsRef<[u8]>) -> String {
    let signature = base64url::encode(signature);
    format!(
        "{}.{}.{signature}",
        base64url::encode(header),
        base64url::encode(payload)
    )
}

/// HS256 with a secret that anybody can know.
pub fn mac(secret: &[u8], header: &str, payload: &str) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header),
        base64url::encode(payload)
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!(
        "{input}.{}",
        base64url::encode(hmac::sign(&key, input.as_bytes()))
    )
}

/// Every way in which somebody might turn a P-256 public key into the bytes of a secret.
pub fn secrets_of(jwk: &Value) -> Vec<Vec<u8>> {
    // SubjectPublicKeyInfo of a point of P-256, up to the point itself.
    const PREFIX: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let coordinate = |name: &str| base64url::decode(jwk[name].as_str().unwrap()).unwrap();
    let flat = [coordinate("x"), coordinate("y")].concat();
    let point = [&[4], &*flat].concat();
    let spki = [PREFIX, &*point].concat();
    let body = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&spki)
    };
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
        lines.join("\n")
    );
    vec![
        Vec::new(),
        flat,
        point,
        spki,
        pem.clone().into_bytes(),
        format!("{pem}\n").into_bytes(),
        jwk.to_string().into_bytes(),
        json!({ "keys": [jwk] }).to_string().into_bytes(),
        jwk["x"].as_str().unwrap().as_bytes().to_vec(),
        jwk["kid"].as_str().unwrap().as_bytes().to_vec(),
    ]
}

/// The order of P-256, big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The other valid signature (r, n - s) of an ES256 token: the same claims in another text.
pub fn twin(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = base64url::decode(signature).unwrap();
    let mut other = signature.clone();
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i32::from(ORDER[index]) - i32::from(signature[32 + index]) - borrow;
        borrow = i32::from(difference < 0);
        other[32 + index] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{input}.{}", base64url::encode(other))
}

/// Signatures that are none, for a 64-byte ECDSA signature.
pub fn impossible(signature: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (r, s) = signature.split_at(32);
    let zero = [0; 32];
    let integer = |bytes: &[u8]| {
        let bytes: Vec<u8> = bytes
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect();
        let padded = if bytes[0] & 0x80 == 0 {
            bytes
        } else {
            [&[0], &*bytes].concat()
        };
        [&[2, u8::try_from(padded.len()).unwrap()], &*padded].concat()
    };
    let body = [integer(r), integer(s)].concat();
    let der = [&[0x30, u8::try_from(body.len()).unwrap()], &*body].concat();
    vec![
        ("nothing", Vec::new()),
        ("r = s = 0", [zero, zero].concat()),
        ("r = s = n", [ORDER, ORDER].concat()),
        ("r = 1, s = 0", [&zero[..31], &[1], &zero[..]].concat()),
        ("r and 0", [r, &zero].concat()),
        ("s and r", [s, r].concat()),
        ("DER", der),
        ("too short", signature[..63].to_vec()),
        ("too long", [signature, &[0]].concat()),
        ("twice", [signature, signature].concat()),
    ]
}
