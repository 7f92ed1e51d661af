//! Claims as the attributes that rules match, each under a name that no other claim can have.
//!
//! The name of a nested claim joins the names on the way to it by dots. A dot in a member's own name is written `\.`,
//! and a backslash `\\`: `{"a": {"b": 1}}` has `a.b`, and `{"a.b": 1}` has `a\.b`. Otherwise whoever may choose one
//! claim of an issuer could give it the name of another one. The names with dots that platforms are known for are
//! written as they are, and a token in which something else would get such a name is refused.

use std::collections::BTreeMap;

use dayfly_policy::Attribute;
use serde_json::{Map, Value};

use crate::AttestError;

/// Objects with dots in their names: of Kubernetes and of AWS.
const KNOWN_OBJECTS: [&str; 2] = ["kubernetes.io", "https://sts.amazonaws.com/"];
/// How the names of single claims of a platform begin: CircleCI.
const KNOWN_BEGINNINGS: [&str; 1] = ["oidc.circleci.com/"];

/// The claims by name. What has no [`Attribute`] (null, fractions, lists of other things than strings) is left out: no
/// rule can match it.
pub(crate) fn of_claims(
    claims: &Map<String, Value>,
) -> Result<BTreeMap<String, Attribute>, AttestError> {
    let mut attributes = BTreeMap::new();
    for (member, value) in claims {
        if let Some(name) = known_name(member, value) {
            add(&mut attributes, name, value);
            continue;
        }
        let mut others = BTreeMap::new();
        add(&mut others, escaped(member), value);
        if let Some(name) = others.keys().find(|name| looks_known(name)) {
            return Err(AttestError::claim(name, "is nested like another claim"));
        }
        attributes.append(&mut others);
    }
    Ok(attributes)
}

/// The depth is limited by the strict parser.
fn add(attributes: &mut BTreeMap<String, Attribute>, name: String, value: &Value) {
    if let Value::Object(members) = value {
        for (member, value) in members {
            add(attributes, format!("{name}.{}", escaped(member)), value);
        }
    } else if let Some(attribute) = attribute_of(value) {
        attributes.insert(name, attribute);
    }
}

fn attribute_of(value: &Value) -> Option<Attribute> {
    match value {
        Value::String(text) => Some(Attribute::Text(text.clone())),
        Value::Bool(flag) => Some(Attribute::Flag(*flag)),
        Value::Number(number) => number.as_i64().map(Attribute::Integer),
        Value::Array(values) => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map(Attribute::List),
        Value::Null | Value::Object(_) => None,
    }
}

fn escaped(member: &str) -> String {
    member.replace('\\', "\\\\").replace('.', "\\.")
}

fn known_name(member: &str, value: &Value) -> Option<String> {
    if value.is_object() && KNOWN_OBJECTS.contains(&member) {
        return Some(member.to_owned());
    }
    KNOWN_BEGINNINGS.iter().find_map(|beginning| {
        let rest = member.strip_prefix(beginning)?;
        Some(format!("{beginning}{}", escaped(rest)))
    })
}

fn looks_known(name: &str) -> bool {
    let is_within = |object: &&str| {
        name.strip_prefix(object)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    KNOWN_OBJECTS.iter().any(is_within)
        || KNOWN_BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn attributes(claims: Value) -> Result<BTreeMap<String, Attribute>, AttestError> {
        of_claims(claims.as_object().unwrap())
    }

    fn names(claims: Value) -> Vec<String> {
        attributes(claims).unwrap().into_keys().collect()
    }

    #[test]
    fn values_keep_their_type() {
        let attributes = attributes(json!({
            "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "sa", "uid": "u"}},
            "flag": true, "text_flag": "true", "count": -7, "big": u64::MAX, "half": 0.5, "nothing": null,
            "groups": ["a", "b"], "mixed": ["a", 1], "none": [], "deep": {"empty": {}},
        }))
        .unwrap();
        let text = |text: &str| Attribute::Text(text.to_owned());
        let expected = BTreeMap::from(
            [
                ("kubernetes.io.namespace", text("prod")),
                ("kubernetes.io.serviceaccount.name", text("sa")),
                ("kubernetes.io.serviceaccount.uid", text("u")),
                ("flag", Attribute::Flag(true)),
                ("text_flag", text("true")),
                ("count", Attribute::Integer(-7)),
                (
                    "groups",
                    Attribute::List(vec!["a".to_owned(), "b".to_owned()]),
                ),
                ("none", Attribute::List(Vec::new())),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        assert_eq!(attributes, expected);
    }

    #[test]
    fn platforms_are_written_as_they_are() {
        assert_eq!(
            names(json!({
                "oidc.circleci.com/project-id": "p",
                "https://sts.amazonaws.com/": {"aws_account": "1", "request_tags": {"a.b": "x"}},
                "google": {"compute_engine": {"project_id": "g"}},
            })),
            [
                "google.compute_engine.project_id",
                "https://sts.amazonaws.com/.aws_account",
                "https://sts.amazonaws.com/.request_tags.a\\.b",
                "oidc.circleci.com/project-id",
            ]
        );
    }

    #[test]
    fn a_literal_name_is_not_a_nested_one() {
        for (claims, name) in [
            (json!({"a": {"b": 1}}), r"a.b"),
            (json!({"a.b": 1}), r"a\.b"),
            (json!({"a\\": {"b": 1}}), r"a\\.b"),
            (json!({"a\\.b": 1}), r"a\\\.b"),
            (json!({"a": {"b.c": 1}}), r"a.b\.c"),
            (json!({"a.b": {"c": 1}}), r"a\.b.c"),
            (
                json!({"kubernetes.io": {"namespace": 1}}),
                r"kubernetes.io.namespace",
            ),
            (
                json!({"kubernetes.io.namespace": 1}),
                r"kubernetes\.io\.namespace",
            ),
            (json!({"kubernetes.io": 1}), r"kubernetes\.io"),
            (json!({"kubernetes": {"io": 1}}), r"kubernetes.io"),
        ] {
            assert_eq!(names(claims), [name]);
        }
        for impostor in [
            json!({"kubernetes": {"io": {"namespace": 1}}}),
            json!({"https://sts": {"amazonaws": {"com/": {"aws_account": "1"}}}}),
            json!({"oidc": {"circleci": {"com/project-id": "p"}}}),
        ] {
            assert_eq!(attributes(impostor).unwrap_err().code(), "bad_claim");
        }
    }

    fn leaves(value: &Value) -> usize {
        match value {
            Value::Object(members) => members.values().map(leaves).sum(),
            _ => 1,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Were two claims to get one name, there would be fewer attributes than claims.
        #[test]
        fn no_two_claims_have_one_name(claims in tree()) {
            if let Ok(attributes) = of_claims(claims.as_object().unwrap()) {
                prop_assert_eq!(attributes.len(), leaves(&claims));
            }
        }
    }

    fn tree() -> impl Strategy<Value = Value> {
        let name = prop::sample::select(vec![
            "",
            ".",
            "\\",
            "a",
            "b",
            "a.b",
            "a\\",
            "\\.b",
            "b.a.b",
            "kubernetes.io",
            "kubernetes",
            "io",
            "oidc.circleci.com/",
            "oidc.circleci.com/a.b",
        ]);
        let object = move |inner: BoxedStrategy<Value>| {
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| json!(members))
                .boxed()
        };
        let leaf = Just(json!("x")).boxed();
        let inner = object(prop_oneof![leaf.clone(), object(leaf.clone())].boxed());
        object(prop_oneof![leaf, inner].boxed())
    }
}
