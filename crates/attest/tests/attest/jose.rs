//! Hostile tokens: everything that JOSE libraries were ever fooled with.

use dayfly_policy::{Method, Source};
use dayfly_token::base64url;
use josekit::jws::HS256;
use serde_json::{Value, json};

use crate::NOW;
use crate::signer::{CORP, Knowing, Signer, attest, code, corp, corp_claims, knowing};

pub(crate) fn knowing_keys(signers: &[&Signer]) -> Knowing {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    knowing(corp(), &json!({"keys": keys}))
}

#[tokio::test]
async fn positive_control_for_every_algorithm() {
    for alg in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let signer = Signer::new(alg, "k1");
        let token = signer.token(&corp_claims());
        for attestor in [
            knowing_keys(&[&signer]),
            knowing(
                {
                    let mut config = corp();
                    config.algorithms = vec![alg.to_owned()];
                    config
                },
                &json!({"keys": [signer.bare_jwk()]}),
            ),
        ] {
            let principal = attest(&attestor, &token, NOW).await.unwrap();
            assert_eq!(principal.method, Method::Oidc, "{alg}");
            assert_eq!(principal.source, Source::Issuer("corp".parse().unwrap()));
            assert_eq!(principal.subject, "job 7");
            assert_eq!(principal.issuer_url.as_deref(), Some(CORP));
            assert_eq!(principal.single_use, None);
            let input = token.rsplit_once('.').unwrap().0;
            assert_eq!(principal.digest, dayfly_keys::sha256(input.as_bytes()));
        }
    }
}

#[tokio::test]
async fn ed25519_has_two_names() {
    let signer = Signer::new("EdDSA", "k1");
    let mut renamed = signer.jwk();
    renamed["alg"] = json!("Ed25519");
    for jwk in [signer.jwk(), signer.bare_jwk(), renamed] {
        let attestor = knowing(corp(), &json!({"keys": [jwk]}));
        for (name, expected) in [
            ("EdDSA", "accepted"),
            ("Ed25519", "accepted"),
            ("eddsa", "alg_mismatch"),
            ("Ed448", "alg_mismatch"),
        ] {
            let header = json!({"alg": name, "kid": "k1"}).to_string();
            let token = signer.sign(&header, &corp_claims().to_string());
            assert_eq!(code(&attestor, &token).await, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn no_signature_is_no_token() {
    let signer = Signer::new("ES256", "k1");
    let attestor = knowing_keys(&[&signer]);
    for alg in ["none", "None", "NONE", "nOnE", "", "null"] {
        let header = json!({"alg": alg, "kid": "k1"}).to_string();
        let input = dayfly_token::assemble(header.as_bytes(), corp_claims().to_string().as_bytes());
        assert_eq!(code(&attestor, &format!("{input}.")).await, "malformed");
        assert_eq!(
            code(&attestor, &format!("{input}.AAAA")).await,
            "alg_mismatch",
            "{alg}"
        );
        let signed = signer.sign(&header, &corp_claims().to_string());
        assert_eq!(code(&attestor, &signed).await, "alg_mismatch", "{alg}");
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let signer = Signer::new("RS256", "k1");
    let attestor = knowing_keys(&[&signer]);
    let jwk = signer.jwk();
    let modulus = base64url::decode(jwk["n"].as_str().unwrap()).unwrap();
    let secrets = [
        jwk.to_string().into_bytes(),
        signer.bare_jwk().to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        modulus,
    ];
    for secret in secrets {
        let hmac = HS256.signer_from_bytes(secret).unwrap();
        for alg in ["HS256", "RS256"] {
            let header = json!({"alg": alg, "kid": "k1"}).to_string();
            let input =
                dayfly_token::assemble(header.as_bytes(), corp_claims().to_string().as_bytes());
            let mac = josekit::jws::JwsSigner::sign(&hmac, input.as_bytes()).unwrap();
            let token = format!("{input}.{}", base64url::encode(mac));
            let expected = if alg == "HS256" {
                "alg_mismatch"
            } else {
                "bad_signature"
            };
            assert_eq!(code(&attestor, &token).await, expected);
        }
    }
}

#[tokio::test]
async fn one_key_one_algorithm() {
    let (rsa, pss) = (Signer::new("RS256", "k1"), Signer::new("PS256", "k1"));
    let (p256, p384) = (Signer::new("ES256", "k2"), Signer::new("ES384", "k3"));
    let attestor = knowing_keys(&[&rsa, &p256, &p384]);
    // The same RSA key, honestly signed with PSS, and with each name of the other.
    assert_eq!(
        code(&attestor, &pss.token(&corp_claims())).await,
        "alg_mismatch"
    );
    for (signer, alg, kid, expected) in [
        (&pss, "RS256", "k1", "bad_signature"),
        (&rsa, "PS256", "k1", "alg_mismatch"),
        (&rsa, "RS384", "k1", "alg_mismatch"),
        (&p256, "ES384", "k2", "alg_mismatch"),
        (&p384, "ES384", "k2", "alg_mismatch"),
        (&p384, "ES256", "k2", "bad_signature"),
        (&p256, "ES256", "k1", "alg_mismatch"),
        (&p256, "es256", "k2", "alg_mismatch"),
        (&p256, "ES256 ", "k2", "alg_mismatch"),
        (&p256, "ES256K", "k2", "alg_mismatch"),
    ] {
        let header = json!({"alg": alg, "kid": kid}).to_string();
        let token = signer.sign(&header, &corp_claims().to_string());
        assert_eq!(code(&attestor, &token).await, expected, "{alg} {kid}");
    }
    // Without `alg` in the key, the configuration decides, not the token.
    let mut config = corp();
    config.algorithms = vec!["PS256".to_owned()];
    let only_pss = knowing(config, &json!({"keys": [rsa.bare_jwk()]}));
    assert_eq!(
        code(&only_pss, &pss.token(&corp_claims())).await,
        "accepted"
    );
    assert_eq!(
        code(&only_pss, &rsa.token(&corp_claims())).await,
        "alg_mismatch"
    );
    let both = knowing(corp(), &json!({"keys": [rsa.bare_jwk()]}));
    assert_eq!(
        code(&both, &pss.token(&corp_claims())).await,
        "alg_mismatch"
    );
}

#[tokio::test]
async fn algorithms_that_are_not_configured_have_no_keys() {
    let signer = Signer::new("ES256", "k1");
    let mut config = corp();
    config.algorithms = vec!["RS256".to_owned()];
    let attestor = knowing(config, &json!({"keys": [signer.jwk()]}));
    assert_eq!(
        code(&attestor, &signer.token(&corp_claims())).await,
        "unknown_kid"
    );
}

#[tokio::test]
async fn headers_bring_no_keys() {
    let signer = Signer::new("ES256", "k1");
    let attacker = Signer::new("ES256", "k1");
    let attestor = knowing_keys(&[&signer]);
    for (member, value) in [
        ("jwk", attacker.jwk()),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("p2c", json!(2_147_483_647)),
    ] {
        for key in [&attacker, &signer] {
            let mut header = key.header();
            header[member] = value.clone();
            let token = key.sign(&header.to_string(), &corp_claims().to_string());
            assert_eq!(
                code(&attestor, &token).await,
                "forbidden_header",
                "{member}"
            );
        }
    }
    assert_eq!(
        code(&attestor, &attacker.token(&corp_claims())).await,
        "bad_signature"
    );
}

#[tokio::test]
async fn key_ids_are_compared_and_nothing_else() {
    let signer = Signer::new("ES256", "k1");
    let attestor = knowing_keys(&[&signer]);
    let with = |kid: Value| {
        let header = json!({"alg": "ES256", "kid": kid}).to_string();
        signer.sign(&header, &corp_claims().to_string())
    };
    for kid in [
        "k2",
        "K1",
        "k1 ",
        "../k1",
        "/dev/null",
        "k1' OR '1'='1",
        "%6b1",
        "kɪ",
    ] {
        assert_eq!(
            code(&attestor, &with(json!(kid))).await,
            "unknown_kid",
            "{kid}"
        );
    }
    for kid in ["", "k1\0", "k1\n", "\u{1b}[31m"] {
        assert_eq!(
            code(&attestor, &with(json!(kid))).await,
            "bad_header",
            "{kid}"
        );
    }
    for kid in [json!(1), json!(null), json!(["k1"]), json!({})] {
        assert_eq!(code(&attestor, &with(kid)).await, "bad_json");
    }
    let header = json!({"alg": "ES256"}).to_string();
    let token = signer.sign(&header, &corp_claims().to_string());
    assert_eq!(
        code(&attestor, &token).await,
        "missing_kid",
        "never the first key"
    );
}

#[tokio::test]
async fn other_kinds_of_tokens_are_refused() {
    let signer = Signer::new("ES256", "k1");
    let attestor = knowing_keys(&[&signer]);
    for (typ, expected) in [
        (json!("JWT"), "accepted"),
        (json!("jwt"), "accepted"),
        (json!("application/jwt"), "accepted"),
        (json!("at+jwt"), "wrong_type"),
        (json!("dpop+jwt"), "wrong_type"),
        (json!("logout+jwt"), "wrong_type"),
        (json!("secevent+jwt"), "wrong_type"),
        (json!("dayfly-feed+jwt"), "wrong_type"),
        (json!("wit+jwt"), "wrong_type"),
        (json!(""), "wrong_type"),
        (json!(null), "bad_json"),
        (json!(1), "bad_json"),
    ] {
        let header = json!({"alg": "ES256", "kid": "k1", "typ": typ}).to_string();
        let token = signer.sign(&header, &corp_claims().to_string());
        assert_eq!(code(&attestor, &token).await, expected, "{typ}");
    }
    let untyped = json!({"alg": "ES256", "kid": "k1"}).to_string();
    let token = signer.sign(&untyped, &corp_claims().to_string());
    assert_eq!(code(&attestor, &token).await, "accepted");
}

#[tokio::test]
async fn one_spelling_of_a_token() {
    let signer = Signer::new("ES256", "k1");
    let attestor = knowing_keys(&[&signer]);
    let token = signer.token(&corp_claims());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = input.split_once('.').unwrap();
    // 64 bytes leave four unused bits in the last character.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let twin = alphabet
        .chars()
        .nth(alphabet.find(last).unwrap() + 1)
        .unwrap();
    let noncanonical = format!("{input}.{}{twin}", &signature[..signature.len() - 1]);
    assert_eq!(code(&attestor, &noncanonical).await, "bad_base64");
    let json_form =
        json!({"protected": header, "payload": payload, "signature": signature}).to_string();
    for malformed in [
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}.x"),
        format!("{token}.x.y"),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{}\u{200b}.{signature}", payload),
        json_form,
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
    ] {
        assert_eq!(
            code(&attestor, &malformed).await,
            "malformed",
            "{malformed}"
        );
    }
    assert_eq!(code(&attestor, &".".repeat(10_000_000)).await, "too_large");
    let mut long = corp_claims();
    long["padding"] = json!("x".repeat(16 * 1024));
    assert_eq!(code(&attestor, &signer.token(&long)).await, "too_large");
}

#[tokio::test]
async fn signatures_of_the_wrong_kind() {
    for alg in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let signer = Signer::new(alg, "k1");
        let attestor = knowing_keys(&[&signer]);
        let input = dayfly_token::assemble(
            signer.header().to_string().as_bytes(),
            corp_claims().to_string().as_bytes(),
        );
        let good = signer.signature(&input);
        let mut flipped = good.clone();
        flipped[10] ^= 1;
        let order = ["ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"]
            .map(hex)
            .concat();
        for (name, signature) in [
            ("flipped", flipped),
            ("short", good[..good.len() - 1].to_vec()),
            ("long", [good.clone(), vec![0]].concat()),
            ("zeros", vec![0; good.len()]),
            ("ones", vec![0xff; good.len()]),
            ("r = s = n", [order.clone(), order.clone()].concat()),
            ("one byte", vec![1]),
            ("DER", [vec![0x30, 0x44, 2, 32], good.clone()].concat()),
        ] {
            let token = format!("{input}.{}", base64url::encode(signature));
            assert_eq!(
                code(&attestor, &token).await,
                "bad_signature",
                "{alg} {name}"
            );
        }
        let other = Signer::new(if alg == "RS256" { "PS256" } else { alg }, "k1");
        let moved = format!("{input}.{}", base64url::encode(other.signature(&input)));
        if !["RS256", "PS256"].contains(&alg) {
            assert_eq!(code(&attestor, &moved).await, "bad_signature", "{alg}");
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// n − s for the order n of P-256: the other half of a malleable signature.
fn negated(s: &[u8]) -> Vec<u8> {
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut borrow = 0_i16;
    let mut difference = vec![0; 32];
    for position in (0..32).rev() {
        let value = i16::from(order[position]) - i16::from(s[position]) - borrow;
        borrow = i16::from(value < 0);
        difference[position] = u8::try_from(value + 256 * borrow).unwrap();
    }
    difference
}

#[tokio::test]
async fn twin_signatures_are_one_piece_of_evidence() {
    let signer = Signer::new("ES256", "k1");
    let mut config = corp();
    config.single_use = true;
    let attestor = knowing(config, &json!({"keys": [signer.jwk()]}));
    let token = signer.token(&corp_claims());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = base64url::decode(signature).unwrap();
    let twin = [signature[..32].to_vec(), negated(&signature[32..])].concat();
    let twin = format!("{input}.{}", base64url::encode(twin));
    assert_ne!(token, twin);
    let first = attest(&attestor, &token, NOW).await.unwrap();
    let second = attest(&attestor, &twin, NOW).await.unwrap();
    assert_eq!(first.digest, second.digest);
    assert_eq!(first.single_use, second.single_use);
    let expected = [
        &(CORP.len() as u64).to_be_bytes()[..],
        CORP.as_bytes(),
        &[0, 0, 0, 0, 0, 0, 0, 3],
        b"one",
    ];
    assert_eq!(
        first.single_use,
        Some(dayfly_keys::sha256(&expected.concat()))
    );
}
