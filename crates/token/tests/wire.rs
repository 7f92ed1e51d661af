//! The wire vocabulary from outside: the table of SPIFFE IDs, claims with everything that must be refused in them, and
//! properties of the parsers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use dayfly_token::{
    Actor, Audiences, Claims, ClaimsError, Compact, CredentialId, DayflyClaims, Header, JsonError,
    MAX_ACTOR_DEPTH, MAX_ANCESTORS, MAX_SOURCE_BYTES, ScopeSet, Slug, SpiffeId, TaskId, UnixTime,
    WorkloadId, assemble, base64url, json,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn full() -> Value {
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

fn parse(claims: &Value) -> Result<Claims, ClaimsError> {
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
fn the_table_of_spiffe_ids() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/spiffe-id.json"
    );
    let table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert!(cases.len() > 60);
    for case in cases {
        let (id, why) = (case["id"].as_str().unwrap(), case["why"].as_str().unwrap());
        let parsed = id.parse::<SpiffeId>();
        // The rows that leave a choice: another letter case is refused here, and so is what is over the length.
        let expected = case["expect"] == "accept";
        assert_eq!(parsed.is_ok(), expected, "{id:?}: {why}");
        if let Ok(parsed) = parsed {
            assert_eq!(parsed.to_string(), id);
            assert_eq!(
                SpiffeId::new(parsed.trust_domain(), parsed.path()).unwrap(),
                parsed
            );
        }
    }
    let allowed = |name: &str| table["char_sweep"][name].as_str().unwrap();
    for character in (0..=255_u8).map(char::from).filter(|c| *c != '/') {
        let in_domain = format!("spiffe://trustdomain{character}/path")
            .parse::<SpiffeId>()
            .is_ok();
        assert_eq!(
            in_domain,
            allowed("trust_domain_allowed").contains(character),
            "{character:?}"
        );
        let in_path = format!("spiffe://trustdomain/path{character}")
            .parse::<SpiffeId>()
            .is_ok();
        assert_eq!(
            in_path,
            allowed("path_allowed").contains(character),
            "{character:?}"
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,6}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn base64_has_one_spelling(text in "[A-Za-z0-9_=+/ -]{0,40}") {
        if let Ok(bytes) = base64url::decode(&text) {
            prop_assert_eq!(base64url::encode(bytes), text);
        }
    }

    #[test]
    fn base64_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(base64url::decode(&base64url::encode(&bytes)).unwrap(), bytes);
    }

    /// What is accepted is what a plain reader sees: the strict one only refuses more.
    #[test]
    fn strict_json_sees_what_serde_sees(value in any_json()) {
        let text = json!({"value": value}).to_string();
        let members = json::object(text.as_bytes()).unwrap();
        prop_assert_eq!(Value::Object(members), serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn a_second_member_is_found(value in any_json(), name in "[a-z]{1,4}", escaped in any::<bool>()) {
        let first = name.chars().next().unwrap();
        let twin = if escaped { format!("\\u{:04x}{}", u32::from(first), &name[1..]) } else { name.clone() };
        let text = format!(r#"{{"deep":[{{"{name}":{value},"other":0,"{twin}":{value}}}]}}"#);
        prop_assert!(
            matches!(json::check_object(text.as_bytes()), Err(JsonError::DuplicateMember { .. })),
            "{}", text
        );
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        let _ = json::check_object(&bytes);
        let _ = Claims::parse(&bytes);
        let _ = Header::parse(&bytes);
        let _ = dayfly_token::feed::Statement::parse(&bytes);
        let _ = Compact::split(&text).map(|compact| {
            (compact.header_bytes().is_ok(), compact.payload_bytes().is_ok(), compact.signature_bytes().is_ok())
        });
        let _ = text.parse::<SpiffeId>();
        let _ = text.parse::<ScopeSet>();
        let _ = text.parse::<Slug>();
    }

    #[test]
    fn one_changed_claim_never_panics(name in "[a-z_]{3,9}|iss|sub|aud|exp|cnf|act|dfy", value in any_json()) {
        let mut claims = full();
        claims[name] = value;
        if let Ok(parsed) = parse(&claims) {
            let again = Claims::parse(&serde_json::to_vec(&parsed).unwrap()).unwrap();
            prop_assert_eq!(again, parsed);
        }
    }

    #[test]
    fn a_token_splits_as_it_was_assembled(
        header in proptest::collection::vec(any::<u8>(), 1..60),
        payload in proptest::collection::vec(any::<u8>(), 1..60),
        signature in proptest::collection::vec(any::<u8>(), 1..80),
    ) {
        let input = assemble(&header, &payload);
        let token = format!("{input}.{}", base64url::encode(&signature));
        let compact = Compact::split(&token).unwrap();
        prop_assert_eq!(compact.signing_input(), input.as_bytes());
        prop_assert_eq!(compact.header_bytes().unwrap(), header);
        prop_assert_eq!(compact.payload_bytes().unwrap(), payload);
        prop_assert_eq!(compact.signature_bytes().unwrap(), signature);
    }

    #[test]
    fn spiffe_ids_round_trip(domain in "[a-z0-9._-]{1,30}", path in "(/[A-Za-z0-9_-]{1,10}){0,4}") {
        let id: SpiffeId = format!("spiffe://{domain}{path}").parse().unwrap();
        prop_assert_eq!(id.trust_domain().as_str(), domain);
        prop_assert_eq!(id.path(), path);
    }

    #[test]
    fn ids_round_trip(partition in 0_u8..64, random in any::<[u8; 15]>()) {
        let id = CredentialId::new(partition, random);
        prop_assert_eq!(id.partition(), partition);
        prop_assert_eq!(id.to_string().parse::<CredentialId>().unwrap(), id);
        prop_assert!(id.as_bytes()[0] < 0x80 && id.as_bytes()[0] >= 0x40, "a positive serial of 16 bytes");
    }

    #[test]
    fn children_of_scopes(names in proptest::collection::btree_set("[a-c]{1,2}", 0..6), more in "[a-c]{1,2}") {
        let set: ScopeSet = names.iter().cloned().collect::<Vec<_>>().join(" ").parse().unwrap();
        prop_assert_eq!(set.len(), names.len());
        prop_assert_eq!(set.to_string().parse::<ScopeSet>().unwrap(), set.clone());
        let larger = ScopeSet::new(set.iter().cloned().chain([more.parse().unwrap()])).unwrap();
        prop_assert!(set.is_subset(&larger));
        prop_assert_eq!(larger.is_subset(&set), names.contains(&more));
    }

    #[test]
    fn instants_saturate(a in any::<u64>(), b in any::<u64>()) {
        let t = UnixTime::from_secs(a);
        prop_assert!(t.saturating_add(b) >= t && t.saturating_sub(b) <= t);
        prop_assert_eq!(t.saturating_sub(b).saturating_add(b) >= t, true);
        let text = serde_json::to_string(&t).unwrap();
        prop_assert_eq!(serde_json::from_str::<UnixTime>(&text).unwrap(), t);
    }
}

#[test]
fn one_audience_is_a_string() {
    let mut claims = parse(&full()).unwrap();
    claims.aud = Audiences::one("a");
    assert_eq!(serde_json::to_value(&claims).unwrap()["aud"], "a");
}
