use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dayfly_token::{
    Claims, Compact, CredentialId, Header, JsonError, ScopeSet, Slug, SpiffeId, UnixTime, assemble,
    base64url, json,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::claims::{full, parse};

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

    /// The fast decoder reads by blocks, and only what is left over byte by byte: a flaw anywhere in a long text is found
    /// where a plain decoder finds one.
    #[test]
    fn a_flaw_in_a_long_text_is_found(
        bytes in proptest::collection::vec(any::<u8>(), 1..400),
        at in any::<prop::sample::Index>(),
        flaw in prop_oneof![Just('='), Just('+'), Just('/'), Just('.'), Just('\0'), Just('\u{80}'), any::<char>()],
        cut in any::<bool>(),
    ) {
        let text = base64url::encode(&bytes);
        let at = at.index(text.len());
        let rest = if cut { "" } else { &text[at + 1..] };
        let text = format!("{}{flaw}{rest}", &text[..at]);
        let plain = URL_SAFE_NO_PAD.decode(&text).ok();
        prop_assert_eq!(base64url::decode(&text).ok(), plain.clone());
        if let Some(array) = plain.as_deref().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            prop_assert_eq!(base64url::decode_array(&text), Ok(array));
        } else {
            prop_assert!(base64url::decode_array::<32>(&text).is_err());
        }
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
