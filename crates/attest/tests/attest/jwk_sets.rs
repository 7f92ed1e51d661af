//! JWK Sets of issuers: which keys are used, and for whom.

use dayfly_attest::{JwksSource, OidcIssuers};
use dayfly_token::base64url;
use serde_json::{Value, json};

use crate::signer::{Signer, code, corp, corp_claims, knowing};

#[tokio::test]
async fn keys_that_cannot_be_used_are_left_out() {
    let good = Signer::new("ES256", "good");
    let token = good.token(&corp_claims());
    let base = Signer::new("RS256", "bad").jwk();
    let rsa = |change: fn(&mut Value)| {
        let mut jwk = base.clone();
        change(&mut jwk);
        jwk
    };
    let modulus_of = |bits: usize| {
        let mut modulus = vec![0xff_u8; bits / 8];
        modulus[0] = 0x80;
        base64url::encode(modulus)
    };
    let sized = |bits: usize| json!({"kty": "RSA", "kid": "bad", "alg": "RS256", "e": "AQAB", "n": modulus_of(bits)});
    let ec = |change: fn(&mut Value)| {
        let mut jwk = Signer::new("ES256", "bad").jwk();
        change(&mut jwk);
        jwk
    };
    let bad: Vec<(&str, Value)> = vec![
        ("no object", json!("x")),
        ("null", json!(null)),
        ("empty", json!({})),
        (
            "no kid",
            rsa(|jwk| drop(jwk.as_object_mut().unwrap().remove("kid"))),
        ),
        ("empty kid", rsa(|jwk| jwk["kid"] = json!(""))),
        (
            "kid of 300 bytes",
            rsa(|jwk| jwk["kid"] = json!("k".repeat(300))),
        ),
        ("kid no text", rsa(|jwk| jwk["kid"] = json!(7))),
        ("for encryption", rsa(|jwk| jwk["use"] = json!("enc"))),
        ("use no text", rsa(|jwk| jwk["use"] = json!(["sig"]))),
        ("of SPIFFE", rsa(|jwk| jwk["use"] = json!("x509-svid"))),
        (
            "not for verifying",
            rsa(|jwk| jwk["key_ops"] = json!(["sign"])),
        ),
        (
            "key_ops no list",
            rsa(|jwk| jwk["key_ops"] = json!("verify")),
        ),
        ("algorithm unknown", rsa(|jwk| jwk["alg"] = json!("RS512"))),
        (
            "algorithm of another kind",
            rsa(|jwk| jwk["alg"] = json!("ES256")),
        ),
        ("algorithm no text", rsa(|jwk| jwk["alg"] = json!(1))),
        (
            "HMAC",
            json!({"kty": "oct", "kid": "bad", "k": "c2VjcmV0", "alg": "HS256"}),
        ),
        ("with a private part", rsa(|jwk| jwk["d"] = json!("AQAB"))),
        (
            "no modulus",
            rsa(|jwk| drop(jwk.as_object_mut().unwrap().remove("n"))),
        ),
        (
            "modulus with padding",
            rsa(|jwk| jwk["n"] = json!(format!("{}=", jwk["n"].as_str().unwrap()))),
        ),
        ("modulus empty", rsa(|jwk| jwk["n"] = json!(""))),
        ("exponent 1", rsa(|jwk| jwk["e"] = json!("AQ"))),
        ("exponent 1 with zeros", rsa(|jwk| jwk["e"] = json!("AAAB"))),
        ("exponent even", rsa(|jwk| jwk["e"] = json!("Ag"))),
        ("exponent 0", rsa(|jwk| jwk["e"] = json!("AA"))),
        ("exponent empty", rsa(|jwk| jwk["e"] = json!(""))),
        (
            "exponent huge",
            rsa(|jwk| jwk["e"] = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB")),
        ),
        ("1,024 bits", sized(1024)),
        ("2,040 bits", sized(2040)),
        ("8,200 bits", sized(8200)),
        ("65,536 bits", sized(65_536)),
        ("curve unknown", ec(|jwk| jwk["crv"] = json!("secp256k1"))),
        (
            "curve of another size",
            ec(|jwk| jwk["crv"] = json!("P-384")),
        ),
        (
            "point not on the curve",
            ec(|jwk| jwk["y"] = jwk["x"].clone()),
        ),
        ("coordinate short", ec(|jwk| jwk["x"] = json!("AAAA"))),
        (
            "coordinate missing",
            ec(|jwk| drop(jwk.as_object_mut().unwrap().remove("y"))),
        ),
        (
            "Ed448",
            json!({"kty": "OKP", "crv": "Ed448", "kid": "bad", "x": base64url::encode([1; 57])}),
        ),
        (
            "X25519",
            json!({"kty": "OKP", "crv": "X25519", "kid": "bad", "x": base64url::encode([1; 32])}),
        ),
        (
            "Ed25519 short",
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "bad", "x": base64url::encode([1; 31])}),
        ),
    ];
    for (name, jwk) in bad {
        let attestor = knowing(corp(), &json!({"keys": [jwk, good.jwk()]}));
        assert_eq!(code(&attestor, &token).await, "accepted", "{name}");
        let keys = attestor.oidc_issuers().status()[0].keys;
        assert_eq!(keys, 1, "{name}");
    }
    for bits in [2048, 4096, 8192] {
        let attestor = knowing(corp(), &json!({"keys": [sized(bits), good.jwk()]}));
        assert_eq!(attestor.oidc_issuers().status()[0].keys, 2, "{bits} bits");
    }
}

#[tokio::test]
async fn a_kid_names_one_key() {
    let (first, second) = (Signer::new("ES256", "same"), Signer::new("ES256", "same"));
    let third = Signer::new("ES256", "other");
    let ambiguous = knowing(
        corp(),
        &json!({"keys": [first.jwk(), third.jwk(), second.jwk(), first.jwk()]}),
    );
    for signer in [&first, &second] {
        assert_eq!(
            code(&ambiguous, &signer.token(&corp_claims())).await,
            "unknown_kid"
        );
    }
    assert_eq!(
        code(&ambiguous, &third.token(&corp_claims())).await,
        "accepted"
    );
    let mut encryption = second.jwk();
    encryption["use"] = json!("enc");
    for jwks in [
        json!({"keys": [first.jwk(), first.jwk()]}),
        json!({"keys": [first.jwk(), first.bare_jwk()]}),
        json!({"keys": [encryption, first.jwk()]}),
    ] {
        let attestor = knowing(corp(), &jwks);
        assert_eq!(
            code(&attestor, &first.token(&corp_claims())).await,
            "accepted"
        );
    }
}

#[tokio::test]
async fn keys_stay_with_their_issuer() {
    let (ours, theirs) = (Signer::new("ES256", "k1"), Signer::new("ES256", "k1"));
    let mut partner = corp();
    partner.name = "partner".parse().unwrap();
    partner.issuer = "https://partner.example".to_owned();
    let attestor = {
        let files: Vec<tempfile::NamedTempFile> = [&ours, &theirs]
            .iter()
            .map(|signer| {
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), json!({"keys": [signer.jwk()]}).to_string()).unwrap();
                file
            })
            .collect();
        let mut first = corp();
        first.jwks = JwksSource::File(files[0].path().to_owned());
        partner.jwks = JwksSource::File(files[1].path().to_owned());
        let issuers = OidcIssuers::new(vec![first, partner]).unwrap();
        crate::attestor(crate::no_bundles(), issuers)
    };
    let mut claims = corp_claims();
    assert_eq!(code(&attestor, &ours.token(&claims)).await, "accepted");
    assert_eq!(
        code(&attestor, &theirs.token(&claims)).await,
        "bad_signature"
    );
    claims["iss"] = json!("https://partner.example");
    assert_eq!(code(&attestor, &theirs.token(&claims)).await, "accepted");
    assert_eq!(code(&attestor, &ours.token(&claims)).await, "bad_signature");
}
