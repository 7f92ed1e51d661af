use dayfly_token::{
    Actor, Audiences, Claims, ClaimsError, Compact, CredentialId, DayflyClaims, Header, JsonError,
    MAX_ACTOR_DEPTH, MAX_ANCESTORS, MAX_SOURCE_BYTES, SpiffeId, TaskId, WorkloadId, assemble,
    base64url,
};
use serde_json::{Value, json};

pub(crate) fn full() -> Value {
    json!({
        "iss": "https://sts.example.org",
        "sub": "spiffe://sts.example.org/payments/deploy",
        "aud": "https://payments.internal",
        "client_id": "spiffe://sts.example.org/payments/deploy",
        "iat": 1_793_700_000_u64,
        "nbf": 1_793_699_995_u64,
        "exp": 1_793_700_300_u64,
        "jti": "QAECAwQFBgcICQoLDA0ODw",
        "scope": "deploy:write",
        "txn": "payments/deploy-4711",
        "cnf": {"x5t#S256": base64url::encode([7; 32])},
        "act": {"iss": "https://sts.example.org", "sub": "spiffe://sts.example.org/agents/planner"},
        "may_act": {"sub": "spiffe://sts.example.org/agents/planner"},
        "authorization_details": [{"type": "urn:example:deploy", "actions": ["apply"]}],
        "dfy": {
            "rule": "gh-deploy",
            "env": "prod",
            "anc": ["QAAAAAAAAAAAAAAAAAAAAA"],
            "src": {"method": "oidc", "claims": {"repository_id": "74"}},
        },
    })
}

fn minimal() -> Value {
    let mut claims = full();
    let members = claims.as_object_mut().unwrap();
    members.retain(|name, _| {
        matches!(
            name.as_str(),
            "iss" | "sub" | "aud" | "client_id" | "iat" | "exp" | "jti"
        )
    });
    claims
}

pub(crate) fn parse(claims: &Value) -> Result<Claims, ClaimsError> {
    Claims::parse(claims.to_string().as_bytes())
}

/// The full claims with one member in another way, written as text so that any JSON can stand there.
fn with(name: &str, value: &str) -> Result<Claims, ClaimsError> {
    let mut claims = full();
    claims.as_object_mut().unwrap().remove(name);
    let text = claims
        .to_string()
        .replacen('{', &format!("{{{}:{value},", Value::from(name)), 1);
    Claims::parse(text.as_bytes())
}

fn is_shape(parsed: &Result<Claims, ClaimsError>) -> bool {
    matches!(
        parsed,
        Err(ClaimsError::Json {
            source: JsonError::Shape { .. }
        })
    )
}

#[test]
fn claims_round_trip() {
    for written in [full(), minimal()] {
        let claims = parse(&written).unwrap();
        assert_eq!(serde_json::to_value(&claims).unwrap(), written);
        assert_eq!(
            Claims::parse(&serde_json::to_vec(&claims).unwrap()).unwrap(),
            claims
        );
    }
    let claims = parse(&full()).unwrap();
    assert_eq!(claims.aud.single(), Some("https://payments.internal"));
    assert!(claims.scope.unwrap().contains("deploy:write"));
    assert_eq!(
        claims.txn.unwrap().parse::<TaskId>().unwrap().owner,
        "payments"
    );
    let subject: SpiffeId = claims.sub.parse().unwrap();
    assert_eq!(
        WorkloadId::from_spiffe_id(&subject).unwrap().to_string(),
        "payments/deploy"
    );
    let jti: CredentialId = claims.jti.parse().unwrap();
    assert_eq!(jti.partition(), 0);
    assert!(parse(&minimal()).unwrap().dfy.is_none());
}

#[test]
fn required_claims_are_required() {
    for name in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"] {
        let mut claims = full();
        claims.as_object_mut().unwrap().remove(name);
        assert!(is_shape(&parse(&claims)), "{name}");
        claims[name.to_uppercase()] = full()[name].clone();
        assert!(
            is_shape(&parse(&claims)),
            "names are case-sensitive: {name}"
        );
    }
}

#[test]
fn null_is_no_claim() {
    for name in full().as_object().unwrap().keys() {
        assert!(is_shape(&with(name, "null")), "{name}");
    }
    for (outer, inner) in [
        ("act", "iss"),
        ("act", "sub"),
        ("act", "act"),
        ("dfy", "src"),
        ("dfy", "anc"),
        ("dfy", "env"),
    ] {
        let mut claims = full();
        claims[outer][inner] = Value::Null;
        assert!(is_shape(&parse(&claims)), "{outer}.{inner}");
    }
    assert!(
        with("unknown", "null").is_ok(),
        "unknown claims are ignored"
    );
}

#[test]
fn errors_say_what_a_claim_is() {
    for (name, value, expected) in [
        ("aud", "1", "an audience or a list of them"),
        ("cnf", "1", "an object with one confirmation method"),
        ("exp", "\"1\"", "whole seconds since 1970"),
    ] {
        let refused = with(name, value).unwrap_err();
        let text = std::error::Error::source(&refused).unwrap().to_string();
        assert!(text.contains(expected), "{name}: {text}");
    }
}

#[test]
fn times_are_whole_seconds() {
    for name in ["iat", "nbf", "exp"] {
        for refused in [
            "1793700300.0",
            "1793700300.5",
            "1.7937003e9",
            "\"1793700300\"",
            "-1",
            "-0",
            "true",
            "[1793700300]",
            "{}",
            "18446744073709551615",
            "18446744073709551616",
            "9007199254740992",
        ] {
            assert!(is_shape(&with(name, refused)), "{name} {refused}");
        }
        for refused in ["1e400", "-1e400", "NaN", "Infinity", "0x10", "01", "+1"] {
            let parsed = with(name, refused);
            assert!(
                matches!(
                    parsed,
                    Err(ClaimsError::Json {
                        source: JsonError::Syntax { .. }
                    })
                ),
                "{name} {refused}"
            );
        }
        assert!(with(name, "0").is_ok() && with(name, "9007199254740991").is_ok());
    }
}

#[test]
fn types_are_exact() {
    for name in ["iss", "sub", "client_id", "jti", "txn", "scope"] {
        for refused in ["7", "true", "[]", "[\"a\"]", "{}"] {
            assert!(is_shape(&with(name, refused)), "{name} {refused}");
        }
    }
    for (name, refused) in [
        ("aud", "[]"),
        ("aud", "[\"\"]"),
        ("aud", "7"),
        ("scope", "\"a  b\""),
        ("scope", "\"a a\""),
        ("cnf", "{}"),
        ("cnf", "\"x\""),
        ("cnf", "{\"kid\":\"x\"}"),
        ("act", "\"x\""),
        ("act", "{}"),
        ("may_act", "\"x\""),
        ("may_act", "[]"),
        ("authorization_details", "{}"),
        ("authorization_details", "[[]]"),
        ("authorization_details", "[null]"),
        ("dfy", "{}"),
        ("dfy", "[]"),
        // By the order of fields these would be an actor and a `dfy`.
        ("act", "[\"a\",\"b\"]"),
        ("act", "{\"sub\":\"a\",\"act\":[\"a\",\"b\"]}"),
        ("dfy", "[\"r\",\"e\",[]]"),
        ("dfy", "{\"rule\":\"r\",\"env\":\"e\"}"),
        ("dfy", "{\"rule\":\"r\",\"env\":\"e\",\"anc\":\"x\"}"),
        (
            "dfy",
            "{\"rule\":\"r\",\"env\":\"e\",\"anc\":[],\"src\":[]}",
        ),
    ] {
        assert!(is_shape(&with(name, refused)), "{name} {refused}");
    }
}

#[test]
fn identities_are_never_empty() {
    for claim in ["iss", "sub", "client_id", "jti", "txn"] {
        for text in [
            "\"\"",
            "\"a\\u0000b\"",
            "\"a\\nb\"",
            "\"\\u001b[31m\"",
            "\"a\\u0085\"",
        ] {
            assert_eq!(
                with(claim, text),
                Err(ClaimsError::Text { claim }),
                "{text}"
            );
        }
    }
    assert_eq!(
        with("act", r#"{"sub":""}"#),
        Err(ClaimsError::Text { claim: "act.sub" })
    );
    for iss in ["", "a\\nb"] {
        let act = format!(r#"{{"sub":"a","act":{{"iss":"{iss}","sub":"b"}}}}"#);
        assert_eq!(
            with("act", &act),
            Err(ClaimsError::Text { claim: "act.iss" })
        );
    }
    let dfy = |rule: &str, env: &str, ancestor: &str| {
        with(
            "dfy",
            &json!({"rule": rule, "env": env, "anc": [ancestor]}).to_string(),
        )
    };
    assert_eq!(
        dfy("", "e", "a"),
        Err(ClaimsError::Text { claim: "dfy.rule" })
    );
    assert_eq!(
        dfy("r", "", "a"),
        Err(ClaimsError::Text { claim: "dfy.env" })
    );
    assert_eq!(
        dfy("r", "e", ""),
        Err(ClaimsError::Text { claim: "dfy.anc" })
    );
    assert!(dfy("r", "e", "a").is_ok());
}

#[test]
fn duplicates_are_refused_wherever_they_stand() {
    let text = full().to_string();
    for twin in [
        r#""sub":"x""#,
        r#""\u0073ub":"x""#,
        r#""s\u0075b":null"#,
        r#""unknown":{"a":1,"a":1}"#,
    ] {
        for text in [
            text.replacen('{', &format!("{{{twin},"), 1),
            format!("{},{twin}}}", text.strip_suffix('}').unwrap()),
        ] {
            let parsed = Claims::parse(text.as_bytes());
            assert!(
                matches!(
                    parsed,
                    Err(ClaimsError::Json {
                        source: JsonError::DuplicateMember { .. }
                    })
                ),
                "{twin}: {parsed:?}"
            );
        }
    }
    for (name, value) in [
        (
            "cnf",
            format!(r#"{{"jkt":"{0}","jkt":"{0}"}}"#, "A".repeat(43)),
        ),
        ("act", r#"{"sub":"a","sub":"b"}"#.to_owned()),
        (
            "dfy",
            r#"{"rule":"a","rule":"b","env":"e","anc":[]}"#.to_owned(),
        ),
        ("may_act", r#"{"sub":"a","\u0073ub":"b"}"#.to_owned()),
    ] {
        let parsed = with(name, &value);
        assert!(
            matches!(
                parsed,
                Err(ClaimsError::Json {
                    source: JsonError::DuplicateMember { .. }
                })
            ),
            "{name}"
        );
    }
}

#[test]
fn limits() {
    let actors = |depth: usize| {
        (1..depth).fold(
            json!({"sub": "a"}),
            |act, _| json!({"sub": "a", "act": act}),
        )
    };
    let claims = with("act", &actors(MAX_ACTOR_DEPTH).to_string()).unwrap();
    assert_eq!(claims.act.unwrap().depth(), MAX_ACTOR_DEPTH);
    assert_eq!(
        with("act", &actors(MAX_ACTOR_DEPTH + 1).to_string()),
        Err(ClaimsError::ActorDepth)
    );
    assert_eq!(
        with("act", &actors(100).to_string()),
        Err(ClaimsError::Json {
            source: JsonError::Depth
        })
    );

    let ancestors = |n: usize| json!({"rule": "r", "env": "e", "anc": vec!["a"; n]}).to_string();
    assert!(with("dfy", &ancestors(MAX_ANCESTORS)).is_ok());
    assert_eq!(
        with("dfy", &ancestors(MAX_ANCESTORS + 1)),
        Err(ClaimsError::Ancestors)
    );

    // `{"x":"…"}` has eight bytes around the text.
    let source = |n: usize| {
        json!({"rule": "r", "env": "e", "anc": [], "src": {"x": "y".repeat(n)}}).to_string()
    };
    assert!(with("dfy", &source(MAX_SOURCE_BYTES - 8)).is_ok());
    assert_eq!(
        with("dfy", &source(MAX_SOURCE_BYTES - 7)),
        Err(ClaimsError::SourceSize)
    );

    for detail in ["{}", r#"{"type":7}"#, r#"{"type":null}"#, r#"{"Type":"x"}"#] {
        let details = format!(r#"[{{"type":"x"}},{detail}]"#);
        assert_eq!(
            with("authorization_details", &details),
            Err(ClaimsError::DetailWithoutType),
            "{detail}"
        );
    }
}

#[test]
fn what_is_minted_is_checked_by_the_same_rules() {
    let mut claims = parse(&full()).unwrap();
    assert_eq!(claims.check(), Ok(()));
    claims.sub = String::new();
    assert_eq!(claims.check(), Err(ClaimsError::Text { claim: "sub" }));
    claims.sub = "a".to_owned();
    let actor = |act| Actor {
        iss: None,
        sub: "a".to_owned(),
        act,
    };
    let chain = (0..MAX_ACTOR_DEPTH).fold(actor(None), |act, _| actor(Some(Box::new(act))));
    claims.act = Some(chain);
    assert_eq!(claims.check(), Err(ClaimsError::ActorDepth));
    claims.act = None;
    let anc = vec!["a".to_owned(); MAX_ANCESTORS + 1];
    claims.dfy = Some(DayflyClaims {
        rule: "r".to_owned(),
        env: "e".to_owned(),
        anc,
        src: None,
    });
    assert_eq!(claims.check(), Err(ClaimsError::Ancestors));
}

#[test]
fn a_token_of_ours_is_small() {
    let header =
        br#"{"alg":"ES256","typ":"at+jwt","kid":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#;
    let token = format!(
        "{}.{}",
        assemble(header, full().to_string().as_bytes()),
        "A".repeat(86)
    );
    assert!(token.len() < 2048, "{}", token.len());
    let compact = Compact::split(&token).unwrap();
    assert!(
        Header::parse(&compact.header_bytes().unwrap())
            .unwrap()
            .is_type("at+jwt")
    );
    assert!(Claims::parse(&compact.payload_bytes().unwrap()).is_ok());
}

#[test]
fn one_audience_is_a_string() {
    let mut claims = parse(&full()).unwrap();
    claims.aud = Audiences::one("a");
    assert_eq!(serde_json::to_value(&claims).unwrap()["aud"], "a");
}
