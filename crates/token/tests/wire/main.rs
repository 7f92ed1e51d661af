//! The wire vocabulary from outside: the table of SPIFFE IDs, claims with everything that must be refused in them, and
//! properties of the parsers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod claims;
mod properties;
mod reference;

use dayfly_token::SpiffeId;
use serde_json::Value;

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
