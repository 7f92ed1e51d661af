use dayfly_keys::{
    Algorithm, Jwk, JwkSet, JwkSetError, KeyError, KeySet, MAX_JWK_SET_BYTES, MAX_JWK_SET_KEYS,
    SignatureError, SigningKey, VerifyingKey,
};
use dayfly_token::{Compact, base64url};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{BOTH, b64, signing_key};

/// As JSON, with `changes` over it; `null` takes a member out.
fn jwk(algorithm: Algorithm, seed: u8, changes: Value) -> Value {
    let mut jwk = serde_json::to_value(signing_key(algorithm, seed).jwk()).unwrap();
    let members = jwk.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    jwk
}

fn key_error(jwk: Value) -> Option<KeyError> {
    let jwk: Jwk = serde_json::from_value(jwk).unwrap();
    VerifyingKey::from_jwk(&jwk).err()
}

fn set(keys: &[Value]) -> Result<KeySet, JwkSetError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

#[test]
fn thumbprints() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/jwk-thumbprint.json"
    );
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(vectors.len() >= 3);
    for vector in &vectors {
        let expected = vector["sha256_thumbprint"].as_str().unwrap();
        let parse = |text: &str| serde_json::from_str::<Jwk>(text).unwrap();
        let key = parse(&vector["jwk"].to_string());
        assert_eq!(key.thumbprint(), expected);
        assert_eq!(key.thumbprint_bytes().to_vec(), b64(expected));
        let mut members: Vec<String> = vector["jwk"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        members.reverse();
        let text = format!(
            r#"{{"use":"sig","kid":"other","x5c":["x"],{},"unknown":{{}}}}"#,
            members.join(",")
        );
        assert_eq!(parse(&text).thumbprint(), expected);
    }
}

#[test]
fn our_keys() {
    for algorithm in BOTH {
        let key = signing_key(algorithm, 7);
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.kid(), key.jwk().thumbprint());
        assert_eq!(key.kid(), key.verifying_key().kid());
        assert_eq!(
            (key.jwk().alg(), key.jwk().use_()),
            (Some(algorithm.name()), Some("sig"))
        );
        let text = serde_json::to_string(key.jwk()).unwrap();
        assert_eq!(serde_json::from_str::<Jwk>(&text).unwrap(), *key.jwk());
        assert!(!text.contains("\"d\""));
        assert_eq!(key.jwk().algorithm(), Ok(algorithm));
        assert_eq!(
            Jwk::public(algorithm, &key.raw_public()).unwrap(),
            *key.jwk()
        );
        assert_eq!(
            Jwk::public(algorithm, &key.raw_public()[1..]),
            Err(KeyError::Point)
        );
        assert!(key.spki_der().ends_with(&key.raw_public()));
        let debug = format!("{:?}", key.verifying_key());
        assert!(
            debug.contains(key.kid()) && !debug.contains("verifier"),
            "{debug}"
        );
    }
    assert_eq!(signing_key(Algorithm::EdDsa, 7).jwk().kty(), "OKP");
    assert_eq!(signing_key(Algorithm::Es256, 7).jwk().crv(), Some("P-256"));
}

#[test]
fn keys_cross_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<SigningKey>();
    check::<VerifyingKey>();
    check::<KeySet>();
}

#[test]
fn signatures_in_both_forms() {
    for algorithm in BOTH {
        let key = signing_key(algorithm, 7);
        let token = key.sign_compact(br#"{"alg":"x"}"#, b"payload").unwrap();
        let compact = Compact::split(&token).unwrap();
        assert_eq!(compact.payload_bytes().unwrap(), b"payload");
        let signature = compact.signature_bytes().unwrap();
        assert_eq!(
            key.verifying_key()
                .verify(compact.signing_input(), &signature),
            Ok(())
        );
        for length in [0, 1, 63] {
            let short = key
                .verifying_key()
                .verify(compact.signing_input(), &signature[..length]);
            assert_eq!(short, Err(SignatureError::Length { length }));
        }
        for length in [65, 70, 72, 128] {
            let mut long = signature.clone();
            long.resize(length, 0);
            let long = key.verifying_key().verify(compact.signing_input(), &long);
            assert_eq!(long, Err(SignatureError::Length { length }));
        }
        let der = key.sign_der(b"m").unwrap();
        assert_eq!(der.len() == 64, algorithm == Algorithm::EdDsa);
        assert_eq!(
            key.verifying_key().verify(b"m", &der).is_ok(),
            algorithm == Algorithm::EdDsa
        );
    }
}

#[test]
fn private_members_are_refused() {
    for algorithm in BOTH {
        for name in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
            for value in [r#""AAAA""#, "null", "[]", "{}"] {
                let text = jwk(algorithm, 7, json!({})).to_string().replacen(
                    '{',
                    &format!(r#"{{"{name}":{value},"#),
                    1,
                );
                let error = serde_json::from_str::<Jwk>(&text).unwrap_err().to_string();
                assert!(error.contains("private member"), "{error}");
                assert!(!error.contains("AAAA"));
            }
        }
    }
    let oct = json!({"kty": "oct", "k": "AAAA", "alg": "HS256"});
    assert!(serde_json::from_value::<Jwk>(oct).is_err());
}

#[test]
fn malformed_keys_are_refused() {
    let refused = |algorithm, changes: Value| {
        serde_json::from_value::<Jwk>(jwk(algorithm, 7, changes.clone())).is_err()
    };
    for changes in [
        json!({"kty": "AKP"}),
        json!({"kty": "ec"}),
        json!({"crv": null}),
        json!({"crv": "P-256\""}),
        json!({"x": null}),
        json!({"x": ""}),
        json!({"x": 7}),
        json!({"x": "AA=="}),
        json!({"x": "A+/A"}),
        json!({"x": "AB"}),
        json!({"kid": ""}),
        json!({"kid": "a\nb"}),
        json!({"kid": "k".repeat(257)}),
        json!({"kid": 7}),
        json!({"use": 7}),
        json!({"key_ops": "verify"}),
    ] {
        for algorithm in BOTH {
            assert!(refused(algorithm, changes.clone()), "{changes}");
        }
    }
    assert!(refused(Algorithm::Es256, json!({"y": null})));
    // By the order of fields this would be a key.
    let key = jwk(Algorithm::EdDsa, 7, json!({}));
    let listed = json!(["OKP", "Ed25519", key["x"]]);
    assert!(serde_json::from_value::<Jwk>(listed.clone()).is_err());
    assert!(set(&[listed]).unwrap().is_empty());
    for name in ["crv", "x", "kid", "alg", "use", "key_ops"] {
        let text = jwk(Algorithm::EdDsa, 7, json!({ name: null })).to_string();
        let text = text.replacen('{', &format!(r#"{{"{name}":null,"#), 1);
        assert!(serde_json::from_str::<Jwk>(&text).is_err(), "{text}");
    }
}

#[test]
fn keys_for_other_purposes_do_not_verify() {
    for algorithm in BOTH {
        let foreign = if algorithm == Algorithm::Es256 {
            "EdDSA"
        } else {
            "ES256"
        };
        for (changes, expected) in [
            (json!({"use": "enc"}), Some(KeyError::NotForSignatures)),
            (
                json!({"use": "x509-svid"}),
                Some(KeyError::NotForSignatures),
            ),
            (json!({"use": "jwt-svid"}), Some(KeyError::NotForSignatures)),
            (json!({"use": ""}), Some(KeyError::NotForSignatures)),
            (json!({"key_ops": []}), Some(KeyError::NotForSignatures)),
            (
                json!({"key_ops": ["sign"]}),
                Some(KeyError::NotForSignatures),
            ),
            (json!({"key_ops": ["deriveKey", "verify"]}), None),
            (json!({"use": null, "alg": null}), None),
            (json!({"alg": foreign}), Some(KeyError::AlgorithmMismatch)),
            (json!({"alg": "none"}), Some(KeyError::AlgorithmMismatch)),
            (json!({"alg": "HS256"}), Some(KeyError::AlgorithmMismatch)),
            (json!({"alg": "ES384"}), Some(KeyError::AlgorithmMismatch)),
            (json!({"crv": "P-384"}), Some(KeyError::Unsupported)),
            (json!({"crv": "Ed448"}), Some(KeyError::Unsupported)),
            (json!({"crv": "X25519"}), Some(KeyError::Unsupported)),
            (
                json!({"x": base64url::encode([1; 31])}),
                Some(KeyError::Member { name: "x" }),
            ),
            (
                json!({"x": base64url::encode([1; 33])}),
                Some(KeyError::Member { name: "x" }),
            ),
        ] {
            assert_eq!(
                key_error(jwk(algorithm, 7, changes.clone())),
                expected,
                "{algorithm} {changes}"
            );
        }
    }
    assert_eq!(
        key_error(jwk(Algorithm::EdDsa, 7, json!({"alg": "Ed25519"}))),
        None
    );
    let off_curve = json!({"y": base64url::encode([1; 32])});
    assert_eq!(
        key_error(jwk(Algorithm::Es256, 7, off_curve)),
        Some(KeyError::Point)
    );
    assert_eq!(
        key_error(jwk(
            Algorithm::EdDsa,
            7,
            json!({"x": base64url::encode([0; 32])})
        )),
        Some(KeyError::Point)
    );
    let rsa = json!({"kty": "RSA", "n": base64url::encode([0xff; 256]), "e": "AQAB"});
    assert_eq!(key_error(rsa), Some(KeyError::Unsupported));
}

/// RFC 7518 section 6.2.1.2: the zeros in front belong to a coordinate. Seeds are tried until one has such a point.
#[test]
fn coordinates_keep_their_zeros() {
    let key = (1_u32..)
        .map(|n| {
            let mut seed = Zeroizing::new([0; 32]);
            seed[28..].copy_from_slice(&n.to_be_bytes());
            SigningKey::from_seed(Algorithm::Es256, &seed).unwrap()
        })
        .find(|key| key.raw_public()[1] == 0)
        .unwrap();
    let jwk = serde_json::to_value(key.jwk()).unwrap();
    assert_eq!(jwk["x"].as_str().unwrap().len(), 43);
    assert_eq!(key_error(jwk.clone()), None);
    let mut short = jwk;
    short["x"] = base64url::encode(&key.raw_public()[2..33]).into();
    assert_eq!(key_error(short), Some(KeyError::Member { name: "x" }));
}

#[test]
fn sets_keep_what_can_verify() {
    let es256 = jwk(Algorithm::Es256, 7, json!({}));
    let eddsa = jwk(Algorithm::EdDsa, 7, json!({"kid": "named"}));
    let nameless = jwk(Algorithm::EdDsa, 8, json!({"kid": null}));
    let good = set(&[
        json!({"kty": "oct", "k": "AAAA", "kid": "named"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "named"}),
        es256,
        json!({"kty": "RSA", "n": base64url::encode([0xff; 256]), "e": "AQAB", "kid": "named"}),
        json!({"kty": "RSA", "n": base64url::encode(vec![0xff; 8192]), "e": "AQAB"}),
        jwk(Algorithm::EdDsa, 9, json!({"d": "AAAA", "kid": "named"})),
        jwk(Algorithm::EdDsa, 9, json!({"use": "enc", "kid": "named"})),
        jwk(
            Algorithm::EdDsa,
            9,
            json!({"x": base64url::encode([0; 32]), "kid": "named"}),
        ),
        jwk(Algorithm::Es256, 9, json!({"alg": "EdDSA", "kid": "named"})),
        json!(null),
        json!("key"),
        json!([]),
        json!({}),
        eddsa,
        nameless,
    ])
    .unwrap();
    assert_eq!(good.len(), 3);
    let named = good.get("named").unwrap();
    assert_eq!(
        named.jwk().thumbprint(),
        signing_key(Algorithm::EdDsa, 7).kid()
    );
    assert!(good.get(signing_key(Algorithm::Es256, 7).kid()).is_some());
    assert!(
        good.get(signing_key(Algorithm::EdDsa, 8).kid()).is_some(),
        "by its thumbprint"
    );
    assert!(good.get("").is_none() && good.get("NAMED").is_none());
}

#[test]
fn ambiguous_sets_are_refused() {
    let one = jwk(Algorithm::Es256, 7, json!({"kid": "k"}));
    let two = jwk(Algorithm::EdDsa, 8, json!({"kid": "k"}));
    for twins in [[one.clone(), two], [one.clone(), one.clone()]] {
        assert!(matches!(set(&twins), Err(JwkSetError::DuplicateKid { .. })));
    }
    let three = jwk(
        Algorithm::EdDsa,
        8,
        json!({"kid": signing_key(Algorithm::EdDsa, 9).kid()}),
    );
    let nine = jwk(Algorithm::EdDsa, 9, json!({"kid": null}));
    assert!(
        matches!(set(&[three, nine]), Err(JwkSetError::DuplicateKid { .. })),
        "a thumbprint is a name too"
    );
    let twice = JwkSet {
        keys: vec![signing_key(Algorithm::Es256, 7).jwk().clone(); 2],
    };
    assert!(matches!(
        KeySet::from_jwks(&twice),
        Err(JwkSetError::DuplicateKid { .. })
    ));
}

#[test]
fn sets_are_strict_json_and_bounded() {
    for bad in [
        "",
        "[]",
        "null",
        "{}",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kid":"a","kid":"b"}]}"#,
        r#"{"keys":[]} x"#,
        "\u{feff}{\"keys\":[]}",
    ] {
        assert!(
            matches!(KeySet::parse(bad.as_bytes()), Err(JwkSetError::Json { .. })),
            "{bad}"
        );
    }
    assert!(
        KeySet::parse(br#"{"keys":[],"spiffe_sequence":1}"#)
            .unwrap()
            .is_empty()
    );
    let many = vec![json!({}); MAX_JWK_SET_KEYS + 1];
    assert!(set(&many[1..]).unwrap().is_empty());
    assert_eq!(
        set(&many).unwrap_err(),
        JwkSetError::TooManyKeys {
            found: MAX_JWK_SET_KEYS + 1
        }
    );
    let padded = format!("{{\"keys\":[]{}}}", " ".repeat(MAX_JWK_SET_BYTES));
    assert!(matches!(
        KeySet::parse(padded.as_bytes()),
        Err(JwkSetError::TooLong { .. })
    ));
    // An RSA key of 65,536 bits is an entry like any other that is not ours.
    let huge = json!({"kty": "RSA", "n": base64url::encode(vec![0xff; 8192]), "e": "AQAB"});
    assert!(set(&[huge]).unwrap().is_empty());
}

#[test]
fn a_public_key_has_one_length() {
    for (algorithm, first, length) in [(Algorithm::Es256, 4, 65), (Algorithm::EdDsa, 1, 32)] {
        for other in [0, 1, 31, 32, 33, 34, 64, 65, 66] {
            let public = vec![first; other];
            assert_eq!(
                Jwk::public(algorithm, &public).is_ok(),
                other == length,
                "{algorithm}: {other}"
            );
        }
    }
    assert_eq!(
        [Algorithm::Es256, Algorithm::EdDsa].map(|algorithm| algorithm.to_string()),
        ["ES256", "EdDSA"]
    );
}

#[test]
fn the_longest_set() {
    let longest = |bytes: usize| format!("{{\"keys\":[]{}}}", " ".repeat(bytes - 11));
    assert_eq!(longest(MAX_JWK_SET_BYTES).len(), MAX_JWK_SET_BYTES);
    assert!(JwkSet::parse(longest(MAX_JWK_SET_BYTES).as_bytes()).is_ok());
    let length = MAX_JWK_SET_BYTES + 1;
    assert_eq!(
        JwkSet::parse(longest(length).as_bytes()),
        Err(JwkSetError::TooLong { length })
    );
    assert_eq!(MAX_JWK_SET_BYTES, 262_144);
}

#[test]
fn sets_of_keys() {
    let mut keys = KeySet::default();
    assert!(keys.is_empty());
    for seed in 1..4 {
        keys.insert(signing_key(Algorithm::Es256, seed).verifying_key().clone());
    }
    keys.insert(signing_key(Algorithm::Es256, 1).verifying_key().clone());
    assert!(!keys.is_empty());
    assert_eq!(
        (keys.len(), keys.kids().count(), keys.iter().count()),
        (3, 3, 3)
    );
    let published = serde_json::to_vec(&keys.to_jwks()).unwrap();
    let read = KeySet::parse(&published).unwrap();
    assert!(read.kids().eq(keys.kids()));
    assert_eq!(
        serde_json::from_slice::<JwkSet>(&published).unwrap(),
        keys.to_jwks()
    );
    let kid = signing_key(Algorithm::Es256, 2).kid().to_owned();
    assert!(keys.remove(&kid).is_some() && keys.remove(&kid).is_none() && keys.get(&kid).is_none());
    assert!(read.get(&kid).is_some(), "sets do not share their lists");
    assert!(format!("{keys:?}").starts_with('{'));
}
