//! Issuer, audience, type, required claims, identities and actors.

use dayfly_keys::Algorithm;
use dayfly_verifier::{
    BuildError, Presented, RejectionCode as Code, RevocationSource, UnverifiedToken, Verifier,
};
use serde_json::{Value, json};

use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

#[test]
fn the_issuer_to_the_byte() {
    let bench = Bench::new(Algorithm::EdDsa);
    for iss in [
        "https://sts.example.org/",
        "https://sts.example.org.evil",
        "https://sts.example.or",
        "https://sts.example.org:443",
        "HTTPS://sts.example.org",
        "https://STS.example.org",
        "https://sts.example.org/tenant",
        "http://sts.example.org",
        "sts.example.org",
        "https://sts.example.org ",
        " https://sts.example.org",
        "https://sts.example.org#",
        "https://sts.example.org?",
        "https://sts.ex\u{430}mple.org",
        "https://sts.example.org%2f",
        "https:/sts.example.org",
        "https://user@sts.example.org",
        "*",
    ] {
        bench.refuses(&bench.with_claim("iss", json!(iss)), Code::WrongIssuer);
    }
    for iss in [
        json!([ISSUER]),
        json!({ "0": ISSUER }),
        json!(null),
        json!(1),
        json!(true),
        json!(""),
    ] {
        bench.refuses(&bench.with_claim("iss", iss), Code::BadClaim);
    }
}

#[test]
fn the_audience() {
    let bench = Bench::new(Algorithm::EdDsa);
    bench.accepts(&bench.with_claim("aud", json!([AUDIENCE])));
    bench.accepts(&bench.with_claim("aud", json!(["https://other", AUDIENCE])));
    for aud in [
        json!("https://orders.internal/"),
        json!("https://orders.interna"),
        json!("https://orders.internal.evil"),
        json!("https://ORDERS.internal"),
        json!(["https://other"]),
        json!(["https://orders", ".internal"]),
        json!("*"),
        json!(format!("{AUDIENCE} https://other")),
        json!(ISSUER),
    ] {
        bench.refuses(&bench.with_claim("aud", aud), Code::WrongAudience);
    }
    for aud in [
        json!(null),
        json!([]),
        json!([[AUDIENCE]]),
        json!({ "a": AUDIENCE }),
        json!(true),
        json!(0),
        json!([null, AUDIENCE]),
    ] {
        bench.refuses(&bench.with_claim("aud", aud), Code::BadClaim);
    }
    bench.refuses(&bench.without_claim("aud"), Code::MissingClaim);
}

#[test]
fn several_audiences_and_any() {
    let bench = Bench::new(Algorithm::EdDsa);
    let build = |builder: dayfly_verifier::VerifierBuilder| {
        builder.revocation(RevocationSource::None).build().unwrap()
    };
    let two = build(bench.authority.verifier("https://first").audience(AUDIENCE));
    let any = build(
        bench
            .authority
            .verifier("https://first")
            .danger_any_audience(),
    );
    for (verifier, audience, accepted) in [
        (&two, AUDIENCE, true),
        (&two, "https://first", true),
        (&two, "https://third", false),
        (&any, "https://third", true),
    ] {
        let token = bench.authority.token(audience).mint(NOW).unwrap();
        let verified = verifier.verify(UnverifiedToken::new(&token), &Presented::NOTHING, NOW);
        assert_eq!(verified.is_ok(), accepted, "{audience}");
    }
}

#[test]
fn verifiers_that_are_not_built() {
    let builder = || Verifier::builder(ISSUER).revocation(RevocationSource::None);
    let error = |builder: dayfly_verifier::VerifierBuilder| builder.build().unwrap_err();
    assert!(builder().audience(AUDIENCE).build().is_ok());
    assert_eq!(error(builder()), BuildError::AudienceMissing);
    assert_eq!(error(builder().audience("")), BuildError::AudienceEmpty);
    let any = || builder().danger_any_audience();
    assert!(any().build().is_ok() && any().audience(AUDIENCE).build().is_ok());
    assert_eq!(error(any().audience("")), BuildError::AudienceEmpty);
    assert_eq!(
        error(builder().audience(AUDIENCE).audience("")),
        BuildError::AudienceEmpty
    );
    assert_eq!(
        error(
            Verifier::builder("")
                .audience(AUDIENCE)
                .revocation(RevocationSource::None)
        ),
        BuildError::IssuerEmpty
    );
    assert_eq!(
        error(Verifier::builder(ISSUER).audience(AUDIENCE)),
        BuildError::RevocationUnspecified
    );
    assert!(builder().audience(AUDIENCE).leeway_secs(60).build().is_ok());
    assert_eq!(
        error(builder().audience(AUDIENCE).leeway_secs(61)),
        BuildError::Leeway { leeway_secs: 61 }
    );
    assert_eq!(
        error(builder().audience(AUDIENCE).max_lifetime_secs(0)),
        BuildError::Lifetime
    );
}

#[test]
fn only_access_tokens() {
    for bench in Bench::both() {
        for typ in [
            "at+jwt",
            "AT+JWT",
            "At+Jwt",
            "application/at+jwt",
            "Application/AT+JWT",
        ] {
            bench.accepts(&bench.with_header(&[("typ", json!(typ))]));
        }
        for typ in [
            "JWT",
            "jwt",
            "",
            "at",
            "jwt+at",
            "at+jwt ",
            " at+jwt",
            "at+jwt;q=1",
            "logout+jwt",
            "dpop+jwt",
            "secevent+jwt",
            "statuslist+jwt",
            "token-introspection+jwt",
            "wit+jwt",
            "wpt+jwt",
            "txntoken+jwt",
            "client-authentication+jwt",
            "JOSE",
            "dayfly-feed+jwt",
            "application/application/at+jwt",
            "text/at+jwt",
            "at+JWT\u{212a}",
        ] {
            bench.refuses(&bench.with_header(&[("typ", json!(typ))]), Code::WrongType);
        }
        let mut header = bench.header();
        header.remove("typ");
        let token = bench
            .authority
            .sign(
                &json!(header).to_string(),
                &json!(bench.payload()).to_string(),
            )
            .unwrap();
        bench.refuses(&token, Code::WrongType);
    }
}

#[test]
fn statements_of_the_feed_are_no_tokens() {
    let bench = Bench::new(Algorithm::EdDsa);
    let statement = bench.authority.snapshot("1-0", Vec::new(), NOW).unwrap();
    bench.refuses(&statement, Code::WrongType);
    // Even if someone put the feed keys among the token keys and the type were right.
    bench.verifier.replace_keys(bench.authority.feed_keys());
    bench.refuses(&statement, Code::WrongType);
}

#[test]
fn required_claims() {
    for bench in Bench::both() {
        for claim in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"] {
            bench.refuses(&bench.without_claim(claim), Code::MissingClaim);
            bench.refuses(&bench.with_claim(claim, json!(null)), Code::BadClaim);
        }
        for claim in ["txn", "dfy"] {
            bench.accepts(&bench.without_claim(claim));
        }
    }
}

#[test]
fn empty_and_odd_identities() {
    let bench = Bench::new(Algorithm::EdDsa);
    for claim in ["sub", "client_id", "jti", "txn"] {
        for value in [
            json!(""),
            json!("a\nb"),
            json!("a\u{0}b"),
            json!(1),
            json!([]),
            json!({}),
            json!(false),
            json!(null),
        ] {
            bench.refuses(&bench.with_claim(claim, value), Code::BadClaim);
        }
    }
    // Opaque elsewhere: any RFC 9068 issuer's subject is accepted, and is no workload.
    let foreign = bench.accepts(&bench.with_claim("sub", json!("user-7")));
    assert_eq!((foreign.subject(), foreign.workload()), ("user-7", None));
    for sub in [
        "spiffe://test.example/tests",
        "spiffe://test.example/tests/a/b",
        "spiffe://TEST.example/tests/caller",
        "spiffe://test.example/tests/Caller",
        "null",
    ] {
        assert_eq!(
            bench
                .accepts(&bench.with_claim("sub", json!(sub)))
                .workload(),
            None,
            "{sub}"
        );
    }
}

#[test]
fn scopes() {
    let bench = Bench::new(Algorithm::EdDsa);
    assert!(bench.accepts(&bench.good()).scopes().is_empty());
    assert_eq!(
        bench
            .accepts(&bench.with_claim("scope", json!("a b:c")))
            .scopes()
            .to_string(),
        "a b:c"
    );
    for scope in [
        json!("a a"),
        json!("a  b"),
        json!(" a"),
        json!("a\"b"),
        json!("a\\b"),
        json!("ä"),
        json!(["a"]),
        json!(null),
        json!(1),
        json!("a\tb"),
    ] {
        bench.refuses(&bench.with_claim("scope", scope), Code::BadClaim);
    }
    let many = (0..65)
        .map(|number| format!("s{number}"))
        .collect::<Vec<_>>()
        .join(" ");
    bench.refuses(&bench.with_claim("scope", json!(many)), Code::BadClaim);
}

#[test]
fn authorization_details() {
    let bench = Bench::new(Algorithm::EdDsa);
    let details = json!([{ "type": "urn:example:deploy", "actions": ["apply"] }]);
    let caller = bench.accepts(&bench.with_claim("authorization_details", details));
    assert_eq!(caller.authorization_details()[0]["actions"][0], "apply");
    for details in [
        json!([{}]),
        json!([{ "type": 1 }]),
        json!({ "type": "x" }),
        json!("x"),
        json!([1]),
        json!(null),
    ] {
        bench.refuses(
            &bench.with_claim("authorization_details", details),
            Code::BadClaim,
        );
    }
}

fn actors(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, level| {
        let mut actor = json!({ "sub": format!("spiffe://test.example/agents/a{level}") });
        if !inner.is_null() {
            actor["act"] = inner;
        }
        actor
    })
}

#[test]
fn actors_are_bounded_and_only_the_outermost_shows() {
    let bench = Bench::new(Algorithm::EdDsa);
    let caller = bench.accepts(&bench.with_claim("act", actors(4)));
    assert_eq!(caller.actor(), Some("spiffe://test.example/agents/a3"));
    assert_eq!(caller.actor_chain().unwrap().depth(), 4);
    bench.refuses(&bench.with_claim("act", actors(5)), Code::BadClaim);
    for act in [
        json!({}),
        json!({ "sub": "" }),
        json!({ "sub": 1 }),
        json!("x"),
        json!([]),
        json!(null),
    ] {
        bench.refuses(&bench.with_claim("act", act), Code::BadClaim);
    }
    let five: Vec<String> = (0..5).map(|number| format!("ancestor{number}")).collect();
    let dfy = |anc: &[String]| json!({ "rule": "r", "env": "e", "anc": anc });
    assert_eq!(
        bench
            .accepts(&bench.with_claim("dfy", dfy(&five[..4])))
            .ancestors(),
        &five[..4]
    );
    bench.refuses(&bench.with_claim("dfy", dfy(&five)), Code::BadClaim);
}
