//! No key, digest or token in anything that is logged or printed.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use dayfly_token::base64url;
use dayfly_verifier::migrate::{KeyPlaces, Migration, Pepper, Stage, hash};
use dayfly_verifier::tower::Gate;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{
    Api, ENDED_KEY, KEY, OTHER_KEY, STAGES, UNKNOWN_KEY, ask, bearer, clock, key_header, keys,
    keys_text, routes, serve,
};

/// Writes down every event and span of every level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = self.0.lock().unwrap();
        attributes.record(&mut Fields(&mut text));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        let metadata = event.metadata();
        write!(text, "{} {}", metadata.level(), metadata.target()).unwrap();
        event.record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A secret in every form that a log might give it.
fn forms(secret: &str) -> Vec<String> {
    let digest = hash(secret).unwrap();
    let digest = digest.strip_prefix("sha256:").unwrap();
    let bytes: Vec<u8> = (0..digest.len() / 2)
        .map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    vec![
        secret.to_owned(),
        secret[8..].to_owned(),
        base64url::encode(secret),
        hex(secret.as_bytes()),
        format!("{:?}", secret.as_bytes()),
        digest.to_owned(),
        base64url::encode(&bytes),
        format!("{bytes:?}"),
    ]
}

#[tokio::test]
async fn no_secret_is_logged_or_printed() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    // While there is one subscriber only, tracing asks the thread that meets an event first whether anyone listens, and
    // the other tests' threads say no for all.
    let _second = tracing::Dispatch::new(Log::default());
    let api = Api::new();
    let places = KeyPlaces::default()
        .authorization("ApiKey")
        .unwrap()
        .danger_query("api_key")
        .unwrap();
    let migration =
        Migration::builder(Gate::new(api.verifier.clone()).clock(clock), Stage::Observe)
            .keys(keys())
            .places(places)
            .build()
            .unwrap();
    let address = serve(routes().layer(migration.layer())).await;
    let watched = serve(
        routes()
            .layer(migration.layer())
            .layer(migration.danger_watch_layer()),
    )
    .await;
    let tokens = [api.valid(), api.revoked(), api.for_another_api()];
    for stage in STAGES {
        migration.set_stage(stage).unwrap();
        migration.replace_keys(keys()).unwrap();
        for key in [KEY, OTHER_KEY, ENDED_KEY, UNKNOWN_KEY] {
            let with_key = [key_header(key)];
            let query = format!("/?api_key={key}");
            for address in [address, watched] {
                ask(address, "/", &with_key).await;
                ask(address, "/", &[key_header(key), key_header(key)]).await;
                ask(address, "/", &[format!("authorization: ApiKey {key}")]).await;
                ask(address, &query, &[]).await;
                for token in &tokens {
                    ask(address, "/", &[key_header(key), bearer(token)]).await;
                    ask(address, "/", &[bearer(token)]).await;
                }
            }
        }
    }
    let pepper = Pepper::new(*b"a pepper of at least 32 bytes, ok").unwrap();
    let printed = format!(
        "{:?} {:?} {migration:?} {} {:?} {}",
        keys().pepper(pepper),
        keys().iter().collect::<Vec<_>>(),
        migration.report(),
        migration.report(),
        serde_json::to_string(&migration.report()).unwrap(),
    );
    let text = log.text() + &printed;
    // The controls: the log is there, at every level, and names whom it should.
    for expected in [
        "INFO dayfly::access::refused",
        "INFO dayfly::access::accepted",
        "WARN dayfly::access::accepted",
        "api_key_id=\"batch\"",
        "owner=\"elsewhere\"",
        "contact=\"tests@example.org\"",
        "code=\"key_refused_by_stage\"",
        "code=\"key_ended\"",
        "code=\"key_unknown\"",
        "code=\"key_missing\"",
        "code=\"wrong_audience\"",
        "stage=\"keys_until\"",
        "credential_id=\"QAAAAAAAAAAAAAAAAAAAAA\"",
        "token_owner=\"tests\"",
        "in the query",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(
        keys_text().contains(&forms(KEY)[5]),
        "digests are recognised"
    );
    for key in [KEY, OTHER_KEY, ENDED_KEY, UNKNOWN_KEY] {
        for form in forms(key) {
            assert!(!text.contains(&form), "{form}");
        }
    }
    for token in &tokens {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!text.contains(signature), "{signature}");
    }
    assert!(!text.contains("pepper of"), "{text}");
}
