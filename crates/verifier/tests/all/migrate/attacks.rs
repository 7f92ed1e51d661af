//! What an attacker, or an accident, could make of the layer that accepts keys and tokens.

use axum::extract::{OriginalUri, Request};
use axum::{Router, routing};
use dayfly_verifier::migrate::{ApiKeys, KeyPlaces, Migration, Stage, hash};
use dayfly_verifier::tower::{Gate, RateLimit};

use super::{
    Api, KEY, KEYS_UNTIL, OTHER_KEY, ask, bearer, clock, key_header, keys, keys_text, routes, serve,
};

fn everywhere() -> KeyPlaces {
    KeyPlaces::default()
        .authorization("ApiKey")
        .unwrap()
        .danger_query("api_key")
        .unwrap()
}

fn migration(api: &Api, stage: Stage, places: KeyPlaces) -> Migration {
    Migration::builder(Gate::new(api.verifier.clone()).clock(clock), stage)
        .keys(keys())
        .places(places)
        .build()
        .unwrap()
}

/// A client that sends a key and a token that cannot work here is not let in by the key: it would learn of it on the day
/// on which keys end.
#[tokio::test]
async fn a_token_under_a_scheme_that_is_not_set_up_is_a_refused_token() {
    let api = Api::new();
    let dpop = format!("authorization: DPoP {}", api.valid());
    let basic = "authorization: Basic dTpw".to_owned();
    for (stage, with_dpop) in [
        (Stage::Observe, "key"),
        (Stage::AcceptBoth, "401"),
        (KEYS_UNTIL, "401"),
        (Stage::TokensOnly, "401"),
    ] {
        api.migration.set_stage(stage).unwrap();
        let address = serve(api.router()).await;
        let answer = ask(address, "/", &[key_header(KEY), dpop.clone()]).await;
        assert_eq!(answer.short(), with_dpop, "{stage}");
        if with_dpop == "401" {
            let told = answer.header("www-authenticate");
            assert_eq!(told, Some("Bearer error=\"invalid_token\""), "{stage}");
        }
        // The control: another scheme brings no token.
        let answer = ask(address, "/", &[key_header(KEY), basic.clone()]).await;
        let by_key = if stage == Stage::TokensOnly {
            "401"
        } else {
            "key"
        };
        assert_eq!(answer.short(), by_key, "{stage}");
    }
    let report = api.migration.report();
    let batch = report.keys.iter().find(|key| key.id.as_str() == "batch");
    assert!(batch.unwrap().last_beside_refused_token.is_some());
}

/// Everything that a handler can see of a request, extensions included.
async fn everything(OriginalUri(original): OriginalUri, request: Request) -> String {
    format!("{original} {request:?}")
}

#[tokio::test]
async fn no_copy_of_a_key_reaches_the_handler() {
    let api = Api::new();
    let migration = migration(&api, Stage::Observe, everywhere());
    let inner = Router::new().route("/deep", routing::get(everything));
    let nested = Router::new()
        .nest("/a", inner.layer(migration.layer()))
        .route("/", routing::get(everything).layer(migration.layer()));
    let address = serve(nested).await;
    for path in ["/", "/a/deep"] {
        let query = format!("{path}?x=1&api_key={KEY}&y=2");
        let answer = ask(address, &query, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer.body.starts_with(&format!("{path}?x=1&y=2")),
            "{}",
            answer.body
        );
        assert!(!answer.body.contains(KEY), "{}", answer.body);

        let spare = format!("authorization: ApiKey {KEY}");
        let headers = [key_header(KEY), spare.clone(), spare];
        let answer = ask(address, path, &headers).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains(KEY), "{}", answer.body);
    }
}

/// A limit behind the layer counts keys as well, each by itself, and shuts nobody out.
#[tokio::test]
async fn keys_have_a_limit_of_their_own() {
    let api = Api::new();
    api.migration.set_stage(Stage::AcceptBoth).unwrap();
    let limit = RateLimit::per_minute(2).clock(|| std::time::Duration::ZERO);
    let limited = routes().layer(limit).layer(api.migration.layer());
    let address = serve(limited).await;
    for (headers, by) in [
        (key_header(KEY), "key"),
        (bearer(&api.valid()), "token"),
        (key_header(OTHER_KEY), "key"),
    ] {
        for expected in [by, by, "429"] {
            let answer = ask(address, "/", std::slice::from_ref(&headers)).await;
            assert_eq!(answer.short(), expected, "{headers}");
        }
    }
}

/// A key where a token belongs, a digest where a key belongs, and the other way round.
#[tokio::test]
async fn nothing_stands_for_something_else() {
    let api = Api::new();
    let digest = hash(KEY).unwrap();
    let bare = digest.strip_prefix("sha256:").unwrap().to_owned();
    let token = api.valid();
    for stage in super::STAGES {
        for (places, headers) in [
            (KeyPlaces::default(), vec![key_header(&digest)]),
            (KeyPlaces::default(), vec![key_header(&bare)]),
            (KeyPlaces::default(), vec![key_header("")]),
            (KeyPlaces::default(), vec![key_header("batch")]),
            (KeyPlaces::default(), vec![key_header(&token)]),
            (KeyPlaces::default(), vec![key_header(&KEY.to_uppercase())]),
            (
                KeyPlaces::default(),
                vec![key_header(&format!("{KEY}, {KEY}"))],
            ),
            (
                KeyPlaces::default(),
                vec![key_header(&format!("{KEY}\u{200b}"))],
            ),
            (KeyPlaces::default(), vec![bearer(KEY)]),
            (KeyPlaces::default(), vec![format!("authorization: {KEY}")]),
            (KeyPlaces::default(), vec![format!("x_api_key: {KEY}")]),
            (everywhere(), vec![bearer(KEY)]),
            (everywhere(), vec![format!("authorization: ApiKey\t{KEY}")]),
            (everywhere(), vec![format!("authorization: ApiKey {token}")]),
        ] {
            let address = serve(routes().layer(migration(&api, stage, places).layer())).await;
            let answer = ask(address, "/", &headers).await;
            assert_ne!(answer.status, 200, "{stage} {headers:?} {}", answer.body);
        }
        for query in [
            "/?x-api-key=",
            "/?API_KEY=",
            "/?access_token=",
            "/#api_key=",
        ] {
            let migration = migration(&api, stage, everywhere());
            let address = serve(routes().layer(migration.layer())).await;
            let answer = ask(address, &format!("{query}{KEY}"), &[]).await;
            assert_ne!(answer.status, 200, "{stage} {query}");
        }
    }
    // The control.
    let migration = migration(&api, Stage::Observe, everywhere());
    let address = serve(routes().layer(migration.layer())).await;
    for headers in [key_header(KEY), format!("authorization: apikey {KEY}")] {
        assert_eq!(ask(address, "/", &[headers]).await.short(), "key");
    }
}

/// An error as any log could print it.
fn printed(error: &dyn std::error::Error) -> String {
    let mut printed = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(next) = source {
        printed += &format!(" {next} {next:?}");
        source = next.source();
    }
    printed
}

/// Somebody writes a key where something else belongs: the error goes to a log.
#[test]
fn a_registry_with_a_key_in_the_wrong_place_is_refused_without_repeating_it() {
    let good = keys_text();
    ApiKeys::from_toml(&good).unwrap();
    let canary = "sk_live_canary0123456789";
    let head = "[[key]]\nid = \"batch\"\nowner = \"tests\"\n";
    let digest = hash(KEY).unwrap();
    for text in [
        format!("key = \"{canary}\""),
        format!("key = [\"{canary}\"]"),
        format!("{canary} = 1"),
        format!("\"{canary} \" = 1"),
        format!("[[key]]\n{canary} = \"batch\""),
        format!("[[key]]\nid = \"{canary}\""),
        format!("[[key]]\nid = \"A {canary}\""),
        format!("[[key]]\nid = [\"{canary}\"]"),
        format!("{head}hash = \"{canary}\""),
        format!("{head}hash = [\"{canary}\"]"),
        format!("{head}hash = {{ {canary} = 1 }}"),
        format!("{head}hash = {canary}"),
        format!("{head}hash = \"{digest}\"\nscopes = \"{canary}\""),
        format!("{head}hash = \"{digest}\"\nscopes = [\"{canary}\\u0000\"]"),
        format!("{head}hash = \"{digest}\"\nscopes = [\"{canary} \\\"\"]"),
        format!("{head}hash = \"{digest}\"\nuntil = \"{canary}\""),
        format!("{head}hash = \"{digest}\"\nuntil = {{ {canary} = 1 }}"),
        format!("{head}hash = \"{digest}\"\nuntil = [\"{canary}\"]"),
        format!("{head}hash = \"{digest}\"\nkey = \"{canary}\""),
        format!("{head}hash = \"{digest}\"\n{canary} = \"x\""),
        format!("{head}hash = \"{digest}\"\ncontact = [\"{canary}\"]"),
        format!("{head}hash = \"{digest}\"\ncontact = \"{canary}\\n\""),
        format!("{head}hash = \"{digest}\"\nid = \"{canary}\""),
    ] {
        let Err(error) = ApiKeys::from_toml(&text) else {
            panic!("accepted: {text}")
        };
        let text_of_error = printed(&error);
        assert!(
            !text_of_error.contains("canary"),
            "{text}\n=> {text_of_error}"
        );
        let as_json = toml::from_str::<serde_json::Value>(&text);
        let Ok(document) = as_json else { continue };
        let error = ApiKeys::from_json(document.to_string().as_bytes()).unwrap_err();
        let text_of_error = printed(&error);
        assert!(
            !text_of_error.contains("canary"),
            "{document}\n=> {text_of_error}"
        );
    }
    let twice = format!("{{\"key\": [], \"{canary}\": 1, \"{canary}\": 2}}");
    let error = ApiKeys::from_json(twice.as_bytes()).unwrap_err();
    assert!(!printed(&error).contains("canary"), "{error:?}");
    // What is wrong, and where, is still said.
    for (text, said) in [
        ("\nkey = 1", "line 2: expected a sequence"),
        ("[[key]]\nnmae = 1", "line 2: expected one of `id`, `owner`"),
        ("[[key]]\nid = \"a\"", "line 1: missing field `owner`"),
        ("\n\nkey = [", "line 3: not of the form"),
    ] {
        let error = ApiKeys::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
