//! The proof by itself: RFC 9449 section 4.3, numbers 2 to 7.

use dayfly_keys::{Algorithm, Jwk};
use dayfly_token::{Confirmation, assemble, base64url};
use dayfly_verifier::dpop::{MAX_JTI_BYTES, MAX_PROOF_BYTES, Policy, Presentation};
use dayfly_verifier::{Presented, RejectionCode as Code, UnverifiedToken};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Scene, URI, key};
use crate::fixture::{AUDIENCE, NOW};
use crate::signatures::hmac;

/// Section 4.3 numbers 2 and 3.
#[test]
fn form_and_required_claims() {
    for scene in Scene::both() {
        for name in ["jti", "htm", "htu", "ath"] {
            scene.refuses(scene.proof().without(name), &name);
            for odd in [json!(null), json!(7), json!([]), json!({}), json!("")] {
                scene.refuses(scene.proof().claim(name, odd.clone()), &(name, odd));
            }
        }
        for odd in [
            json!(null),
            json!(NOW.as_secs().to_string()),
            json!(1.8e9),
            json!(-1),
            json!(true),
            json!([NOW]),
        ] {
            scene.refuses(scene.proof().claim("iat", odd.clone()), &odd);
        }
        let mut without_iat = scene.proof().payload(NOW);
        without_iat.remove("iat");
        let whole = json!(scene.proof().payload(NOW)).to_string();
        let doubled = whole.replacen('{', "{\"htm\":\"GET\",", 1);
        let deep = whole.replacen(
            '{',
            &format!("{{\"a\":{}0{},", "[".repeat(99), "]".repeat(99)),
            1,
        );
        let bomb = "[".repeat(4000);
        for payload in [
            json!(without_iat).to_string(),
            doubled,
            deep,
            bomb,
            "[]".into(),
            "".into(),
        ] {
            let proof = scene.proof().sign_payload(&payload).unwrap();
            assert_eq!(
                scene.presents(&scene.token, &proof, NOW),
                Err(Code::BadProof),
                "{payload}"
            );
        }
        let good = scene.proof().sign(NOW).unwrap();
        for odd in [
            String::new(),
            "x".into(),
            "a.b.c".into(),
            format!("{good}="),
            format!(" {good}"),
            format!("{good},{good}"),
            format!("{good}.{good}"),
            good.rsplit_once('.').unwrap().0.into(),
            format!("{}.", good.rsplit_once('.').unwrap().0),
        ] {
            assert_eq!(
                scene.presents(&scene.token, &odd, NOW),
                Err(Code::BadProof),
                "{odd}"
            );
        }
        assert_eq!(scene.presents(&scene.token, &good, NOW), Ok(()));
    }
}

#[test]
fn sizes() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let jti = |length: usize| scene.proof().claim("jti", json!("x".repeat(length)));
    assert_eq!(scene.told(jti(MAX_JTI_BYTES)), Ok(()));
    assert_eq!(scene.told(jti(MAX_JTI_BYTES + 1)), Err(Code::BadProof));
    // Padded by a claim that nobody reads, up to the limit and over it.
    let padded = |length: usize| {
        scene
            .proof()
            .claim("pad", json!("x".repeat(length)))
            .sign(NOW)
            .unwrap()
    };
    let room = (MAX_PROOF_BYTES - padded(0).len()) / 4 * 3;
    let longest = padded(room - 2);
    assert!(longest.len() <= MAX_PROOF_BYTES && longest.len() > MAX_PROOF_BYTES - 8);
    assert_eq!(scene.presents(&scene.token, &longest, NOW), Ok(()));
    for length in [room + 8, 1 << 20] {
        assert_eq!(
            scene.presents(&scene.token, &padded(length), NOW),
            Err(Code::BadProof)
        );
    }
}

/// Section 4.3 number 4.
#[test]
fn the_type() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    for typ in [
        "",
        "JWT",
        "at+jwt",
        "DPoP+jwt",
        "application/dpop+jwt",
        "dpop+jwt ",
        "dpop",
    ] {
        scene.refuses(scene.proof().header("typ", json!(typ)), &typ);
    }
    scene.refuses(scene.proof().without_header("typ"), &"no typ");
}

/// Section 4.3 numbers 5 to 7.
#[test]
fn algorithm_and_key() {
    for scene in Scene::both() {
        for alg in [
            "none", "None", "", "HS256", "RS256", "PS256", "ES384", "es256", "eddsa", "Ed448",
        ] {
            scene.refuses(scene.proof().header("alg", json!(alg)), &alg);
        }
        scene.refuses(scene.proof().without_header("alg"), &"no alg");
        scene.refuses(scene.proof().without_header("jwk"), &"no jwk");
        let jwk = json!(scene.key.signing_key().jwk());
        let with = |name: &str, value: Value| {
            let mut jwk = jwk.clone();
            jwk[name] = value;
            scene.proof().header("jwk", jwk)
        };
        // Private and symmetric members, in a key that is the right one without them.
        for name in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
            for value in [json!("AAAA"), json!(""), json!(null)] {
                scene.refuses(with(name, value), &name);
            }
        }
        for (name, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("alg", json!("RS256")),
            ("kty", json!("oct")),
            ("kty", json!("RSA")),
            ("crv", json!("P-384")),
            ("crv", json!("X25519")),
            ("x", json!(format!("{}=", jwk["x"].as_str().unwrap()))),
        ] {
            scene.refuses(with(name, value.clone()), &(name, value));
        }
        for odd in [json!(null), json!("x"), json!([]), json!([jwk]), json!({})] {
            scene.refuses(scene.proof().header("jwk", odd.clone()), &odd);
        }
        // A key that is no point of its curve, to which the token is even bound.
        let mut no_point = jwk.clone();
        no_point["x"] = json!("AAAA");
        let bound_to: Jwk = serde_json::from_value(no_point.clone()).unwrap();
        let bound_to = Confirmation::KeyThumbprint(bound_to.thumbprint_bytes());
        let token = scene.bench.authority.token(AUDIENCE).bound_to(&bound_to);
        let token = token.mint(NOW).unwrap();
        let proof = scene
            .key
            .proof("GET", URI, &token)
            .header("jwk", no_point)
            .sign(NOW)
            .unwrap();
        assert_eq!(scene.presents(&token, &proof, NOW), Err(Code::BadProof));
        for (name, value) in [
            ("crit", json!([])),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("jku", json!("https://127.0.0.1:1/")),
            ("x5u", json!("https://127.0.0.1:1/")),
            ("x5c", json!(["MAAA"])),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
        ] {
            scene.refuses(scene.proof().header(name, value.clone()), &(name, value));
        }
    }
}

#[test]
fn hmac_with_the_public_key_and_other_signatures() {
    for scene in Scene::both() {
        let good = scene.proof().sign(NOW).unwrap();
        let (input, signature) = good.rsplit_once('.').unwrap();
        let header =
            json!({ "alg": "HS256", "typ": "dpop+jwt", "jwk": scene.key.signing_key().jwk() });
        let forged = assemble(
            header.to_string().as_bytes(),
            json!(scene.proof().payload(NOW)).to_string().as_bytes(),
        );
        let public = scene.key.signing_key().raw_public();
        let mac = hmac(&public, forged.as_bytes());
        let mut proofs = vec![format!("{forged}.{}", base64url::encode(mac))];
        let bytes = base64url::decode(signature).unwrap();
        for other in [
            &bytes[..63],
            &[&bytes[..], &[0]].concat(),
            &[0; 64],
            &[0xff; 64],
        ] {
            proofs.push(format!("{input}.{}", base64url::encode(other)));
        }
        // The signature of another key over the very same bytes.
        let by_other = key(scene.key.signing_key().algorithm(), 4)
            .signing_key()
            .sign(input.as_bytes());
        proofs.push(format!("{input}.{}", base64url::encode(by_other.unwrap())));
        for proof in proofs {
            assert_eq!(
                scene.presents(&scene.token, &proof, NOW),
                Err(Code::BadProof)
            );
        }
        assert_eq!(scene.presents(&scene.token, &good, NOW), Ok(()));
    }
}

#[test]
fn nothing_of_a_proof_is_shown() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let proof = scene.proof().claim("htm", json!("POST")).sign(NOW).unwrap();
    let presented = Presented::proof(Presentation {
        proof: &proof,
        method: "GET",
        uri: URI,
    });
    let rejection = scene
        .verifier
        .verify(UnverifiedToken::new(&scene.token), &presented, NOW)
        .unwrap_err();
    let source = std::error::Error::source(&rejection).unwrap();
    assert_eq!(source.to_string(), "made for the method `POST`");
    for shown in [
        format!("{rejection} {rejection:?} {source:?}"),
        format!("{presented:?}"),
    ] {
        for part in proof.split('.').chain(scene.token.split('.')) {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No bit of a proof can be changed, but for the twin of an ECDSA signature.
    #[test]
    fn a_flipped_bit_is_refused(place in any::<proptest::sample::Index>(), bit in 0..8_u8, es256 in any::<bool>()) {
        let algorithm = if es256 { Algorithm::Es256 } else { Algorithm::EdDsa };
        let scene = Scene::new(algorithm, Policy::new());
        let good = scene.proof().sign(NOW).unwrap();
        let mut bytes = good.clone().into_bytes();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let flipped = String::from_utf8_lossy(&bytes).into_owned();
        let refused = scene.presents(&scene.token, &flipped, NOW);
        prop_assert!(
            matches!(refused, Err(Code::BadProof | Code::UnprovenConfirmation)),
            "{:?} {}", refused, flipped
        );
        prop_assert_eq!(scene.presents(&scene.token, &good, NOW), Ok(()));
    }

    #[test]
    fn no_proof_panics(text in "\\PC{0,200}", parts in proptest::collection::vec(any::<u8>(), 0..200)) {
        let scene = Scene::new(Algorithm::EdDsa, Policy::new());
        prop_assert!(scene.presents(&scene.token, &text, NOW).is_err());
        let encoded = base64url::encode(&parts);
        let thrice = [encoded.as_str(); 3].join(".");
        prop_assert!(scene.presents(&scene.token, &thrice, NOW).is_err());
        let payload = String::from_utf8_lossy(&parts);
        let signed = scene.proof().sign_payload(&payload).unwrap();
        prop_assert!(scene.presents(&scene.token, &signed, NOW).is_err());
    }
}
