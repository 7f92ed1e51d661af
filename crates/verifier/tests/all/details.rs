//! Typed authorization details: all entries of a type, or none.

use dayfly_keys::Algorithm;
use dayfly_verifier::AuthorizationDetail;
use serde::Deserialize;
use serde_json::json;

use crate::fixture::Bench;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    account: String,
    limit_cents: u64,
}

impl AuthorizationDetail for Transfer {
    const TYPE: &'static str = "transfer";
}

#[test]
fn entries_of_one_type() {
    let bench = Bench::new(Algorithm::EdDsa);
    let of = |details: serde_json::Value| {
        bench
            .accepts(&bench.with_claim("authorization_details", details))
            .authorization_details_of::<Transfer>()
    };
    let good = json!({ "type": "transfer", "account": "a", "limit_cents": 100 });
    let other = json!({ "type": "Transfer", "account": "b", "limit_cents": 1, "any": "thing" });
    assert_eq!(
        of(json!([other, good])).unwrap(),
        [Transfer {
            account: "a".to_owned(),
            limit_cents: 100
        }]
    );
    assert_eq!(of(json!([other])).unwrap(), []);
    assert_eq!(
        bench
            .accepts(&bench.good())
            .authorization_details_of::<Transfer>()
            .unwrap(),
        []
    );

    for bad in [
        json!({ "type": "transfer", "account": "a" }),
        json!({ "type": "transfer", "account": "a", "limit_cents": "100" }),
        json!({ "type": "transfer", "account": "a", "limit_cents": 100, "only_on": "sunday" }),
    ] {
        let error = of(json!([good, other, bad])).unwrap_err();
        assert_eq!((error.index, error.type_name), (2, "transfer"), "{bad}");
    }
}
