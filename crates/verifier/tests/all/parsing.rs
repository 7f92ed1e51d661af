//! Token parsing: what is no token of ours is refused before, or in spite of, a good signature.

use dayfly_keys::Algorithm;
use dayfly_token::{Claims, assemble, base64url};
use dayfly_verifier::RejectionCode as Code;
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

#[test]
fn algorithm_none_in_every_spelling() {
    for bench in Bench::both() {
        let payload = json!(bench.payload()).to_string();
        for alg in [
            "none",
            "None",
            "NONE",
            "nOnE",
            "",
            "none ",
            "null",
            "undefined",
        ] {
            let header =
                json!({ "alg": alg, "typ": "at+jwt", "kid": bench.authority.token_key().kid() })
                    .to_string();
            // Unsecured, with the empty signature that RFC 7515 gives it, and with any other.
            bench.refuses(
                &format!("{}.", assemble(header.as_bytes(), payload.as_bytes())),
                Code::Malformed,
            );
            bench.refuses(
                &Bench::assembled(&header, &payload, &[0; 64]),
                Code::AlgMismatch,
            );
            bench.refuses(
                &bench.with_header(&[("alg", json!(alg))]),
                Code::AlgMismatch,
            );
        }
    }
}

#[test]
fn forbidden_header_members_even_when_signed() {
    for bench in Bench::both() {
        for (name, value) in [
            ("crit", json!([])),
            ("crit", json!(["exp"])),
            ("crit", json!(["b64"])),
            ("crit", json!(["unknown"])),
            ("crit", json!(null)),
            ("crit", json!("exp")),
            ("crit", json!({})),
            ("crit", json!(["http://example.com/UNDEFINED"])),
            ("b64", json!(false)),
            ("b64", json!(true)),
            ("jwk", json!(bench.authority.token_key().jwk())),
            ("jku", json!("https://127.0.0.1:1/jwks")),
            ("x5u", json!("https://127.0.0.1:1/cert")),
            ("x5c", json!(["AA=="])),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("epk", json!({})),
            ("p2c", json!(2_147_483_647)),
        ] {
            bench.refuses(&bench.with_header(&[(name, value)]), Code::ForbiddenHeader);
        }
        // A thumbprint of a certificate only points at a key; unknown members are ignored (RFC 7515 section 4).
        bench.accepts(&bench.with_header(&[
            ("x5t", json!("AAAA")),
            ("cty", json!("JWT")),
            ("x-other", json!(1)),
        ]));
    }
}

#[test]
fn other_serialisations() {
    let bench = Bench::new(Algorithm::EdDsa);
    let good = bench.good();
    let parts: Vec<&str> = good.split('.').collect();
    let flattened =
        json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string();
    let general = json!({ "payload": parts[1], "signatures": [{ "protected": parts[0], "signature": parts[2] }] }).to_string();
    for token in [
        flattened.clone(),
        general,
        // A polyglot: JSON with the compact form inside.
        format!("{{\"a\":\"{good}\"}}"),
        format!("{good}.{{}}"),
        // JWE has five parts.
        format!("{}.e30.e30.e30.e30", parts[0]),
        format!("{good}.e30"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!(".{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "Bearer ".to_owned() + &good,
    ] {
        bench.refuses(&token, Code::Malformed);
    }
}

#[test]
fn size_comes_before_everything() {
    let bench = Bench::new(Algorithm::EdDsa);
    for token in [
        ".".repeat(10_000_000),
        "a".repeat(16 * 1024 + 1),
        format!("{}{}", bench.good(), "A".repeat(16 * 1024)),
    ] {
        bench.refuses(&token, Code::TooLarge);
    }
    let levels = "[".repeat(200_000);
    bench.refuses(&bench.signed(&format!("{{\"a\":{levels}")), Code::TooLarge);
}

#[test]
fn members_twice() {
    for bench in Bench::both() {
        let payload = json!(bench.payload()).to_string();
        let plus = |member: &str| bench.signed(&payload.replacen('{', &format!("{{{member},"), 1));
        bench.accepts(&plus(r#""extra":1"#));
        for member in [
            r#""sub":"spiffe://test.example/tests/other""#,
            r#""aud":"https://other""#,
            r#""exp":9999999999"#,
            r#""\u0073ub":"spiffe://test.example/tests/other""#,
            r#""a\u0075d":[]"#,
            r#""extra":{"a":1,"a":2}"#,
            r#""cnf":{"jkt":"AA","\u006akt":"BB"}"#,
            r#""extra":[{"b":{"c":1,"c":1}}]"#,
        ] {
            bench.refuses(&plus(member), Code::BadJson);
        }
        let header = bench.authority.header();
        for member in [
            r#""alg":"none""#,
            r#""\u0061lg":"ES256""#,
            r#""kid":"other""#,
            r#""typ":"JWT""#,
        ] {
            let doubled = header.replacen('{', &format!("{{{member},"), 1);
            bench.refuses(
                &bench.authority.sign(&doubled, &payload).unwrap(),
                Code::BadJson,
            );
        }
    }
}

#[test]
fn one_spelling_of_base64() {
    for bench in Bench::both() {
        let good = bench.good();
        for token in [
            format!("{good}="),
            format!("{good}=="),
            format!("{good}\n"),
            format!(" {good}"),
            format!("{good}\r\n"),
            good.replacen('.', "\n.", 1),
            good.replacen('.', "=.", 1),
            format!("{good}\0"),
        ] {
            bench.refuses(&token, Code::Malformed);
        }
        // The standard alphabet for the same bytes, truly signed.
        let header = base64url::encode(bench.authority.header());
        let payload = json!({ "odd": "\u{fff}\u{3ff}???>>>" }).to_string();
        let standard = base64url::encode(payload)
            .replace('-', "+")
            .replace('_', "/");
        assert!(standard.contains(['+', '/']));
        bench.refuses(
            &bench.signed_input(&format!("{header}.{standard}")),
            Code::Malformed,
        );
        // The last character's unused bits set, in each part.
        let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
        parts[2] = trailing_bits(&parts[2]).expect("64 bytes leave four bits");
        bench.refuses(&parts.join("."), Code::BadBase64);
        let mut payload = json!(bench.payload()).to_string();
        while payload.len() % 3 == 0 {
            payload.push(' ');
        }
        bench.accepts(&bench.signed(&payload));
        let odd = trailing_bits(&base64url::encode(payload)).unwrap();
        bench.refuses(
            &bench.signed_input(&format!("{header}.{odd}")),
            Code::BadBase64,
        );
    }
}

/// The same bytes in another spelling, for a decoder that ignores the unused bits.
fn trailing_bits(text: &str) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = ALPHABET
        .iter()
        .position(|byte| Some(byte) == text.as_bytes().last())?;
    let unused = match text.len() % 4 {
        2 => 0b1111,
        3 => 0b11,
        _ => return None,
    };
    assert_eq!(last & unused, 0, "canonical before");
    let odd = char::from(ALPHABET[last | 1]);
    Some(format!("{}{odd}", &text[..text.len() - 1]))
}

#[test]
fn encodings_and_shapes_of_json() {
    let bench = Bench::new(Algorithm::EdDsa);
    let payload = json!(bench.payload()).to_string();
    let header = base64url::encode(bench.authority.header());
    let signed =
        |bytes: &[u8]| bench.signed_input(&format!("{header}.{}", base64url::encode(bytes)));
    bench.accepts(&signed(payload.as_bytes()));
    let utf16 = |big_endian: bool| -> Vec<u8> {
        payload
            .encode_utf16()
            .flat_map(|unit| {
                if big_endian {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    };
    let with = |before: &[u8], after: &[u8]| [before, payload.as_bytes(), after].concat();
    for bytes in [
        with(b"\xef\xbb\xbf", b""),
        utf16(true),
        utf16(false),
        with(b"", b"\0"),
        with(b"", b"{}"),
        with(b"", b","),
        with(b"", b"x"),
        with(b"[", b"]"),
        with(b"\"", b"\""),
        payload.replace("tests", "te\u{0}sts").into_bytes(),
        payload.replacen("tests", "te\\ud800sts", 1).into_bytes(),
        payload
            .clone()
            .into_bytes()
            .into_iter()
            .map(|byte| if byte == b'q' { 0xff } else { byte })
            .chain(*b" ")
            .collect::<Vec<u8>>(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"1".to_vec(),
        b"\"{}\"".to_vec(),
        b"true".to_vec(),
        b" ".to_vec(),
        b"{".to_vec(),
        payload.replace('"', "'").into_bytes(),
        with(b"", b"//c"),
        payload.replacen('}', ",}", 1).into_bytes(),
    ] {
        if bytes != payload.as_bytes() && bytes != with(b"", b" ") {
            bench.refuses(&signed(&bytes), Code::BadJson);
        }
    }
    for header in [
        "[]",
        "null",
        "\"ES256\"",
        "{} {}",
        "{",
        "",
        "{\"alg\":\"EdDSA\"}\0",
    ] {
        let token = Bench::assembled(header, &payload, &[0; 64]);
        assert!(bench.verify(&token).is_err(), "{header}");
    }
}

#[test]
fn nesting_is_bounded() {
    let bench = Bench::new(Algorithm::EdDsa);
    let payload = json!(bench.payload()).to_string();
    let nested = |levels: usize| {
        let value = "[".repeat(levels) + &"]".repeat(levels);
        bench.signed(&payload.replacen('{', &format!("{{\"deep\":{value},"), 1))
    };
    bench.accepts(&nested(15));
    for levels in [16, 50, 2000] {
        bench.refuses(&nested(levels), Code::BadJson);
    }
    let deep_header = format!(
        "{{\"a\":{}{}}}",
        "{\"a\":".repeat(2000),
        "1".to_owned() + &"}".repeat(2000)
    );
    bench.refuses(
        &Bench::assembled(&deep_header, &payload, &[0; 64]),
        Code::TooLarge,
    );
    let deep_header = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    bench.refuses(
        &Bench::assembled(&deep_header, "{}", &[0; 64]),
        Code::BadJson,
    );
}

#[test]
fn nested_tokens_are_no_claims() {
    let bench = Bench::new(Algorithm::EdDsa);
    let mut token = bench.good();
    for _ in 0..4 {
        token = bench.signed(&token);
        bench.refuses(&token, Code::BadJson);
    }
}

#[test]
fn rejections_stay_on_one_line_and_short() {
    let bench = Bench::new(Algorithm::EdDsa);
    for kid in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "a\u{202e}b",
        "{\"json\":1}",
        &"k".repeat(250),
    ] {
        let token = bench.with_header(&[("kid", json!(kid))]);
        bench.refuses(&token, Code::UnknownKid);
        let text = bench.verify(&token).unwrap_err().to_string();
        assert!(
            !text.contains('\n') && !text.chars().any(char::is_control) && text.len() < 400,
            "{text}"
        );
    }
    for kid in [
        "",
        "a\nb",
        "a\r\nSet-Cookie: x",
        "\u{1b}[31mred",
        "nul\0",
        &"k".repeat(300),
    ] {
        bench.refuses(&bench.with_header(&[("kid", json!(kid))]), Code::UnknownKid);
    }
    for kid in [json!(null), json!(1), json!(["a"]), json!({})] {
        bench.refuses(&bench.with_header(&[("kid", kid)]), Code::BadJson);
    }
    let text = bench
        .verify(&bench.with_claim("iss", json!("https://x\u{202e}\n\u{7}")))
        .unwrap_err();
    assert!(!text.to_string().contains('\n'));
}

#[test]
fn debug_shows_no_token_and_no_claims() {
    let bench = Bench::new(Algorithm::EdDsa);
    let good = bench.good();
    let unverified = format!("{:?}", dayfly_verifier::UnverifiedToken::new(&good));
    assert_eq!(unverified, format!("UnverifiedToken({} bytes)", good.len()));
    let verified = format!("{:?} {:?}", bench.accepts(&good), bench.verifier);
    for said in [
        "tests/caller",
        "QAAAAAAAAAAAAAAAAAAAAA",
        "Unknown",
        ISSUER,
        "None",
    ] {
        assert!(verified.contains(said), "{said}: {verified}");
    }
    assert!(
        !verified.contains("test-rule") && !verified.contains(AUDIENCE),
        "{verified}"
    );
}

/// What the verifier reads is what a strict reader of the signed bytes reads: there is no second parser.
#[test]
fn claims_are_the_signed_bytes() {
    let bench = Bench::new(Algorithm::EdDsa);
    let good = bench.good();
    let payload = base64url::decode(good.split('.').nth(1).unwrap()).unwrap();
    assert_eq!(
        *bench.accepts(&good).claims(),
        Claims::parse(&payload).unwrap()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// No text panics, and no change of one byte passes: but for the twin of an ECDSA signature, which is no
    /// change of one byte, every bit of a token is covered.
    #[test]
    fn no_text_panics_and_no_flip_passes(text in "\\PC*", at in any::<prop::sample::Index>(), bit in 0..7_u8) {
        let bench = Bench::new(Algorithm::EdDsa);
        prop_assert!(bench.verify(&text).is_err());
        let mut bytes = bench.good().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(bench.verify(&changed).is_err(), "{}", changed);
        }
    }
}

#[test]
fn the_control() {
    let bench = Bench::new(Algorithm::Es256);
    let caller = bench.accepts(
        &bench
            .authority
            .token(AUDIENCE)
            .scope("orders:read")
            .scope("orders:write")
            .mint(NOW)
            .unwrap(),
    );
    assert_eq!(caller.subject(), "spiffe://test.example/tests/caller");
    assert_eq!(caller.client_id(), "spiffe://test.example/tests/caller");
    assert_eq!(caller.workload().unwrap().to_string(), "tests/caller");
    assert_eq!(
        (caller.task(), caller.rule(), caller.environment()),
        (Some("tests/task"), Some("test-rule"), Some("test"))
    );
    assert!(caller.has_scope("orders:read") && caller.has_scope("orders:write"));
    assert!(
        !caller.has_scope("orders")
            && !caller.has_scope("orders:read orders:write")
            && !caller.has_scope("")
    );
    assert_eq!(caller.kid(), bench.authority.token_key().kid());
    assert_eq!(caller.expires_at().seconds_since(caller.issued_at()), 300);
    assert_eq!(
        caller.claims_json()["sub"],
        "spiffe://test.example/tests/caller"
    );
}
