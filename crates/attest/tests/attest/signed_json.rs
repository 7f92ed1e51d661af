//! Headers and claims that are signed and still must be refused.

use dayfly_token::base64url;
use serde_json::json;

use crate::NOW;
use crate::jose::knowing_keys;
use crate::signer::{AUDIENCE, CORP, Signer, code, corp_claims};

#[tokio::test]
async fn what_is_signed_is_parsed_strictly() {
    let signer = Signer::new("ES256", "k1");
    let attestor = knowing_keys(&[&signer]);
    let good = corp_claims().to_string();
    let expiry = (NOW.as_secs() + 290).to_string();
    let header = signer.header().to_string();
    assert_eq!(
        code(&attestor, &signer.sign(&header, &good)).await,
        "accepted"
    );
    for (name, payload, expected) in [
        (
            "sub twice",
            good.replacen('{', "{\"sub\":\"root\",", 1),
            "bad_json",
        ),
        (
            "sub twice, escaped",
            good.replacen('{', "{\"\\u0073ub\":\"root\",", 1),
            "bad_json",
        ),
        (
            "iss twice",
            good.replacen('{', "{\"iss\":\"https://evil.example\",", 1),
            "bad_json",
        ),
        (
            "nested twice",
            good.replacen('{', "{\"x\":{\"a\":1,\"a\":2},", 1),
            "bad_json",
        ),
        ("exp 1e400", good.replace(&expiry, "1e400"), "bad_json"),
        ("exp 1e300", good.replace(&expiry, "1e300"), "bad_claim"),
        (
            "exp 2^64 - 1",
            good.replace(&expiry, "18446744073709551615"),
            "bad_claim",
        ),
        (
            "exp text",
            good.replace(&expiry, &format!("\"{expiry}\"")),
            "bad_claim",
        ),
        (
            "exp in milliseconds",
            good.replace(&expiry, &format!("{expiry}000")),
            "lifetime_too_long",
        ),
        ("exp NaN", good.replace(&expiry, "NaN"), "bad_json"),
        ("a list", "[]".to_owned(), "bad_json"),
        ("text", "\"x\"".to_owned(), "bad_json"),
        ("something after", format!("{good}{good}"), "bad_json"),
        ("byte order mark", format!("\u{feff}{good}"), "bad_json"),
        (
            "deep",
            good.replacen(
                '{',
                &format!("{{\"x\":{}{},", "[".repeat(2_000), "]".repeat(2_000)),
                1,
            ),
            "bad_json",
        ),
        (
            "no iss",
            good.replace("\"iss\"", "\"ISS\""),
            "missing_claim",
        ),
        (
            "iss null",
            good.replace(&format!("\"{CORP}\""), "null"),
            "missing_claim",
        ),
        (
            "iss a list",
            good.replace(&format!("\"{CORP}\""), &format!("[\"{CORP}\"]")),
            "bad_json",
        ),
        (
            "no aud",
            good.replace("\"aud\"", "\"AUD\""),
            "missing_claim",
        ),
        (
            "aud of another",
            good.replace(AUDIENCE, "https://sts.example.evil"),
            "wrong_audience",
        ),
        (
            "no exp",
            good.replace("\"exp\"", "\"EXP\""),
            "missing_claim",
        ),
        (
            "no iat",
            good.replace("\"iat\"", "\"IAT\""),
            "missing_claim",
        ),
    ] {
        let token = signer.sign(&header, &payload);
        assert_eq!(code(&attestor, &token).await, expected, "{name}");
    }
    for (name, header, expected) in [
        (
            "alg twice",
            "{\"alg\":\"ES256\",\"kid\":\"k1\",\"alg\":\"none\"}",
            "bad_json",
        ),
        (
            "kid twice",
            "{\"alg\":\"ES256\",\"kid\":\"k2\",\"\\u006bid\":\"k1\"}",
            "bad_json",
        ),
        (
            "crit escaped",
            "{\"alg\":\"ES256\",\"kid\":\"k1\",\"\\u0063rit\":[]}",
            "forbidden_header",
        ),
        ("no alg", "{\"kid\":\"k1\"}", "bad_json"),
        (
            "x5t malformed",
            "{\"alg\":\"ES256\",\"kid\":\"k1\",\"x5t\":\"a b\"}",
            "bad_header",
        ),
        ("no object", "[]", "bad_json"),
    ] {
        let token = signer.sign(header, &good);
        assert_eq!(code(&attestor, &token).await, expected, "{name}");
    }
    let mut utf16 = Vec::new();
    for unit in good.encode_utf16() {
        utf16.extend_from_slice(&unit.to_le_bytes());
    }
    for payload in [utf16, b"{\"iss\":\"\xff\"}".to_vec()] {
        let input = dayfly_token::assemble(header.as_bytes(), &payload);
        let token = format!("{input}.{}", base64url::encode(signer.signature(&input)));
        assert_eq!(code(&attestor, &token).await, "bad_json");
    }
}

#[tokio::test]
async fn issuers_are_compared_whole() {
    let signer = Signer::new("ES256", "k1");
    let attestor = knowing_keys(&[&signer]);
    for issuer in [
        "https://idp.example/",
        "https://idp.exampl",
        "https://idp.example.evil",
        "https://idp.example@evil.example",
        "https://IDP.example",
        "http://idp.example",
        "idp.example",
        " https://idp.example",
        "https://idp.example\u{0}",
        "https://іdp.example",
        "corp",
        "",
        "null",
    ] {
        let mut claims = corp_claims();
        claims["iss"] = json!(issuer);
        assert_eq!(
            code(&attestor, &signer.token(&claims)).await,
            "unknown_issuer",
            "{issuer}"
        );
    }
}
