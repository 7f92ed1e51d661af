//! What callers are told, and what they are not.

use dayfly_verifier::migrate::{ApiKeys, Stage, hash};

use super::{
    Api, DEADLINE, ENDED_KEY, KEY, KEYS_UNTIL, STAGES, UNKNOWN_KEY, ask, bearer, key_header, serve,
    set_clock,
};
use crate::fixture::NOW;

#[tokio::test]
async fn keys_are_told_of_their_end() {
    let api = Api::new();
    let own_end = format!(
        "[[key]]\nid = \"batch\"\nowner = \"tests\"\nuntil = {}\nhash = \"{}\"",
        NOW.saturating_add(10),
        hash(KEY).unwrap()
    );
    let own_end = ApiKeys::from_toml(&own_end).unwrap();
    let address = serve(api.router()).await;
    let told = async |header: String| {
        let answer = ask(address, "/", &[header]).await;
        assert_eq!(answer.status, 200);
        ["deprecation", "sunset", "link"].map(|name| answer.header(name).map(ToOwned::to_owned))
    };
    let some = |texts: [&str; 3]| texts.map(|text| (!text.is_empty()).then(|| text.to_owned()));
    let link = "<https://orders.internal/moving>; rel=\"deprecation\"";
    let of_stage = some(["@1799990000", "Fri, 15 Jan 2027 08:01:40 GMT", link]);
    let of_key = "Fri, 15 Jan 2027 08:00:10 GMT";
    for (stage, plain, ending) in [
        (Stage::Observe, some([""; 3]), some([""; 3])),
        (Stage::AcceptBoth, some([""; 3]), some(["", of_key, link])),
        (KEYS_UNTIL, of_stage, some(["@1799990000", of_key, link])),
    ] {
        api.migration.set_stage(stage).unwrap();
        assert_eq!(told(key_header(KEY)).await, plain, "{stage}");
        if stage != Stage::Observe {
            // Who has moved is not warned.
            assert_eq!(told(bearer(&api.valid())).await, some([""; 3]), "{stage}");
        }
        api.migration.replace_keys(own_end.clone()).unwrap();
        assert_eq!(told(key_header(KEY)).await, ending, "{stage}");
        api.migration.replace_keys(super::keys()).unwrap();
    }
    // RFC 9745 section 4: a key that ends before the announcement is not deprecated after its end.
    set_clock(NOW.saturating_sub(200_000));
    let early = format!(
        "[[key]]\nid = \"batch\"\nowner = \"tests\"\nuntil = 1799980000\nhash = \"{}\"",
        hash(KEY).unwrap()
    );
    api.migration
        .replace_keys(ApiKeys::from_toml(&early).unwrap())
        .unwrap();
    assert_eq!(
        told(key_header(KEY)).await[0].as_deref(),
        Some("@1799980000")
    );
}

#[tokio::test]
async fn refusals_do_not_tell_which_keys_exist() {
    let api = Api::new();
    let address = serve(api.router()).await;
    for stage in STAGES {
        api.migration.set_stage(stage).unwrap();
        let look = async |headers: &[String]| {
            let answer = ask(address, "/", headers).await;
            (answer.status, answer.headers, answer.body)
        };
        let nothing = look(&[]).await;
        assert_eq!(nothing.0, 401);
        let challenge = if stage == Stage::Observe {
            "ApiKey"
        } else {
            "Bearer"
        };
        assert!(
            nothing
                .1
                .contains(&format!("www-authenticate: {challenge}")),
            "{:?}",
            nothing.1
        );
        let mut alike = vec![UNKNOWN_KEY, ENDED_KEY, "short", ""];
        if stage == Stage::TokensOnly {
            alike.push(KEY);
        }
        for key in alike {
            assert_eq!(look(&[key_header(key)]).await, nothing, "{stage} {key}");
        }
        if stage == KEYS_UNTIL {
            set_clock(DEADLINE);
            assert_eq!(look(&[key_header(KEY)]).await, nothing);
            set_clock(NOW);
        }
    }
}
