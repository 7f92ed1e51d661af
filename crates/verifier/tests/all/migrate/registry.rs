//! The registry: strict, bounded, replaceable.

use dayfly_verifier::migrate::{
    ApiKeys, KeyEntry, KeyPlaces, KeysError, MAX_KEYS, Migration, MigrationError, Pepper, Stage,
    hash, hash_with_pepper,
};
use dayfly_verifier::tower::Gate;

use super::{Api, KEY, OTHER_KEY, ask, clock, key_header, keys, keys_text, routes, serve};

fn entry(id: &str, key: &str) -> KeyEntry {
    let hash = hash(key).unwrap().parse().unwrap();
    KeyEntry::new(id.parse().unwrap(), "tests".parse().unwrap(), hash)
}

/// Which line, and not what stands in it: that may be a key.
#[test]
fn a_broken_registry_is_told_by_its_line() {
    let text = "# keys\n\n[[key]]\nid = \"a\"\nowner = \"b\"\nhash = \"canary\"\n";
    let error = ApiKeys::from_toml(text).unwrap_err().to_string();
    assert!(error.contains("line 6: "), "{error}");
    assert!(!error.contains("canary"), "{error}");
    for (from, to) in [("hash =", "scopes ="), ("hash = \"canary\"", "canary = 1")] {
        let error = ApiKeys::from_toml(&text.replace(from, to)).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn what_a_registry_looks_like() {
    let read = keys();
    let first = read.iter().next().unwrap();
    assert_eq!(
        (first.id().as_str(), first.owner().as_str()),
        ("batch", "tests")
    );
    assert_eq!(first.contact(), Some("tests@example.org"));
    assert!(first.has_scope("orders:read") && !first.has_scope("orders:rea"));
    let json = format!(
        r#"{{"key":[{{"id":"batch","owner":"tests","scopes":["a","b"],"until":"2027-03-01T00:00:00Z","hash":"{}"}}]}}"#,
        hash(KEY).unwrap()
    );
    let read = ApiKeys::from_json(json.as_bytes()).unwrap();
    assert_eq!(
        read.iter().next().unwrap().until().unwrap().as_secs(),
        1_803_859_200
    );
    assert!(ApiKeys::from_toml("").unwrap().is_empty());
}

#[test]
fn a_registry_is_strict_and_its_errors_repeat_no_key() {
    let good = format!(
        "[[key]]\nid = \"a\"\nowner = \"o\"\nhash = \"{}\"\n",
        hash(KEY).unwrap()
    );
    assert_eq!(ApiKeys::from_toml(&good).unwrap().len(), 1);
    let change = |from: &str, to: &str| {
        let changed = good.replace(from, to);
        assert_ne!(changed, good);
        changed
    };
    for text in [
        good.repeat(2),
        format!("{good}{}", change("id = \"a\"", "id = \"b\"")),
        format!(
            "{good}{}",
            change(&hash(KEY).unwrap(), &hash(OTHER_KEY).unwrap())
        ),
        format!("{good}extra = 1"),
        format!("version = 1\n{good}"),
        format!("{good}id = \"c\""),
        change("id = \"a\"\n", ""),
        change("owner = \"o\"\n", ""),
        change("\"o\"", "\"O\""),
        change("\"a\"", "\"a b\""),
        format!("{good}scopes = [\"a b\"]"),
        format!("{good}contact = \"\""),
        format!("{good}contact = \"a\\nb\""),
        format!("{good}until = \"soon\""),
        // Somebody puts the key itself there.
        change(&hash(KEY).unwrap(), KEY),
        change("hash = ", "hash = 5 #"),
        format!("{good}{KEY}"),
        format!("{good}extra = \"{KEY}"),
    ] {
        let error = ApiKeys::from_toml(&text).expect_err(&text);
        let mut told = format!("{error} {error:?}");
        if let Some(source) = std::error::Error::source(&error) {
            told.push_str(&source.to_string());
        }
        assert!(!told.contains(KEY), "{told}");
    }
    let twice = r#"{"key":[],"key":[]}"#;
    assert!(matches!(
        ApiKeys::from_json(twice.as_bytes()),
        Err(KeysError::Json { .. })
    ));
    assert!(ApiKeys::from_json(br#"{"keys":[]}"#).is_err());
    assert!(ApiKeys::from_json(br#"{"key":[]}"#).is_ok());
    assert!(matches!(
        ApiKeys::from_toml(&"#".repeat(9 << 20)),
        Err(KeysError::TooLong { .. })
    ));
    let many = |count: usize| {
        ApiKeys::new(
            (0..count).map(|number| entry(&format!("k{number}"), &format!("{KEY}{number}"))),
        )
    };
    assert_eq!(many(MAX_KEYS).unwrap().len(), MAX_KEYS);
    assert!(matches!(many(MAX_KEYS + 1), Err(KeysError::TooMany)));
}

#[tokio::test]
async fn keys_come_and_go_at_run_time() {
    let api = Api::new();
    let address = serve(api.router()).await;
    let status = async |key: &str| ask(address, "/", &[key_header(key)]).await.status;
    assert_eq!((status(KEY).await, status(OTHER_KEY).await), (200, 200));
    api.migration
        .replace_keys(ApiKeys::new([entry("batch", KEY)]).unwrap())
        .unwrap();
    assert_eq!((status(KEY).await, status(OTHER_KEY).await), (200, 401));
    let presented = || {
        let report = api.migration.report();
        let mut uses: Vec<_> = report
            .keys
            .iter()
            .map(|key| (key.id.to_string(), key.uses.presented))
            .collect();
        uses.sort();
        uses
    };
    assert_eq!(presented(), [("batch".to_owned(), 2)]);
    // A key that comes back has its counts, and a new secret under an old id goes on with them.
    api.migration.replace_keys(keys()).unwrap();
    assert_eq!(
        presented(),
        [
            ("batch".to_owned(), 2),
            ("ended".to_owned(), 0),
            ("other".to_owned(), 1)
        ]
    );
    api.migration
        .replace_keys(ApiKeys::new([entry("other", "a-new-secret-for-it")]).unwrap())
        .unwrap();
    assert_eq!(
        (status(OTHER_KEY).await, status("a-new-secret-for-it").await),
        (401, 200)
    );
    assert_eq!(presented(), [("other".to_owned(), 2)]);
    // What is refused changes nothing.
    let text = keys_text().replace("sha256:", "hmac-sha256:");
    assert!(
        api.migration
            .replace_keys(ApiKeys::from_toml(&text).unwrap())
            .is_err()
    );
    assert_eq!(status("a-new-secret-for-it").await, 200);
}

#[tokio::test]
async fn digests_under_a_pepper() {
    let api = Api::new();
    let pepper = Pepper::new(*b"a pepper of at least 32 bytes, ok").unwrap();
    let peppered = hash_with_pepper(KEY, &pepper).unwrap();
    let text = keys_text().replace(&hash(KEY).unwrap(), &peppered);
    let build = |keys: ApiKeys| {
        let gate = Gate::new(api.verifier.clone()).clock(clock);
        Migration::builder(gate, Stage::Observe).keys(keys).build()
    };
    let read = ApiKeys::from_toml(&text).unwrap();
    assert!(matches!(
        build(read.clone()),
        Err(MigrationError::Keys(KeysError::PepperMissing { .. }))
    ));
    let wrong = Pepper::new(*b"another pepper of 32 bytes, right").unwrap();
    for (pepper, status) in [(pepper, 200), (wrong, 401)] {
        let migration = build(read.clone().pepper(pepper)).unwrap();
        let address = serve(routes().layer(migration.layer())).await;
        assert_eq!(ask(address, "/", &[key_header(KEY)]).await.status, status);
        // Plain digests stand beside them.
        assert_eq!(
            ask(address, "/", &[key_header(OTHER_KEY)]).await.status,
            200
        );
    }
}

#[test]
fn what_cannot_be_is_not_built() {
    let api = Api::new();
    let builder = || Migration::builder(Gate::new(api.verifier.clone()), Stage::Observe);
    assert!(builder().build().is_ok());
    assert_eq!(
        builder().places(KeyPlaces::nowhere()).build().unwrap_err(),
        MigrationError::NoPlace
    );
    assert_eq!(
        builder().guide("not a url").build().unwrap_err(),
        MigrationError::Guide
    );
}
