//! The migration from static keys, over real HTTP: who gets in at which stage, what is counted, and what is said to whom.

mod attacks;
mod counts;
mod example;
mod headers;
mod load;
mod registry;
mod requests;
mod secrets;
mod stages;
mod watch;

use std::cell::Cell;
use std::net::SocketAddr;

use axum::extract::Request;
use axum::{Router, routing};
use dayfly_keys::Algorithm;
use dayfly_token::feed::{Entry, FOREVER, Kind};
use dayfly_verifier::migrate::{ApiKeys, Credential, Migration, Stage, hash};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::tower::Gate;
use dayfly_verifier::{UnixTime, Verified, Verifier};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{AUDIENCE, Bench, NOW};

pub const KEY: &str = "live_4eC39HqLyjWDarjtT1zdp7dc";
pub const OTHER_KEY: &str = "live_9aB27KqLyjWDarjtT1zdp7xx";
pub const ENDED_KEY: &str = "live_0000000000000000000ended";
pub const UNKNOWN_KEY: &str = "live_nobodyknowsthisoneatall1";
pub const DEADLINE: UnixTime = UnixTime::from_secs(1_800_000_100);
pub const DEPRECATED_AT: UnixTime = UnixTime::from_secs(1_799_990_000);
pub const KEYS_UNTIL: Stage = Stage::KeysUntil {
    deprecated_at: DEPRECATED_AT,
    deadline: DEADLINE,
};
pub const STAGES: [Stage; 4] = [
    Stage::Observe,
    Stage::AcceptBoth,
    KEYS_UNTIL,
    Stage::TokensOnly,
];

thread_local! {
    static CLOCK: Cell<UnixTime> = const { Cell::new(NOW) };
}

/// The clock of the test that asks: its server runs on the same thread.
pub fn clock() -> UnixTime {
    CLOCK.get()
}

pub fn set_clock(now: UnixTime) {
    CLOCK.set(now);
}

pub fn keys_text() -> String {
    format!(
        r#"
[[key]]
id = "batch"
owner = "tests"
contact = "tests@example.org"
scopes = ["orders:read"]
hash = "{}"

[[key]]
id = "other"
owner = "elsewhere"
hash = "{}"

[[key]]
id = "ended"
owner = "tests"
until = {}
hash = "{}"
"#,
        hash(KEY).unwrap(),
        hash(OTHER_KEY).unwrap(),
        NOW,
        hash(ENDED_KEY).unwrap(),
    )
}

pub fn keys() -> ApiKeys {
    ApiKeys::from_toml(&keys_text()).unwrap()
}

/// An issuer, a verifier that has heard of one revocation, and an API in the middle of its move.
pub struct Api {
    pub bench: Bench,
    pub verifier: Verifier,
    pub migration: Migration,
}

impl Api {
    pub fn new() -> Self {
        let bench = Bench::new(Algorithm::EdDsa);
        let verifier = following(&bench);
        let migration =
            Migration::builder(Gate::new(verifier.clone()).clock(clock), Stage::Observe)
                .keys(keys())
                .guide("https://orders.internal/moving")
                .build()
                .unwrap();
        Self {
            bench,
            verifier,
            migration,
        }
    }

    pub fn router(&self) -> Router {
        routes().layer(self.migration.layer())
    }

    pub fn valid(&self) -> String {
        self.token("QAAAAAAAAAAAAAAAAAAAAA")
    }

    pub fn revoked(&self) -> String {
        self.token("RAAAAAAAAAAAAAAAAAAAAA")
    }

    pub fn for_another_api(&self) -> String {
        self.bench
            .authority
            .token("https://other")
            .mint(NOW)
            .unwrap()
    }

    fn token(&self, jti: &str) -> String {
        let token = self.bench.authority.token(AUDIENCE).id(jti);
        token.scope("orders:read").ttl_secs(3000).mint(NOW).unwrap()
    }
}

pub fn following(bench: &Bench) -> Verifier {
    let verifier = bench.following();
    verifier.revocations().heard(NOW);
    let entry = Entry {
        prefix: prefix(Kind::Credential, "RAAAAAAAAAAAAAAAAAAAAA"),
        before: FOREVER,
        until: FOREVER,
    };
    verifier.revocations().merge(&[entry], NOW);
    verifier
}

/// Says by what the request was let in, and whatever of it was left.
async fn seen(credential: Credential, request: Request) -> String {
    let strict = request.extensions().get::<Verified>();
    let by = match &credential {
        Credential::Token(verified) => {
            assert_eq!(strict.unwrap().credential_id(), verified.credential_id());
            "token"
        }
        Credential::Key(key) => {
            assert!(strict.is_none(), "a key gives no `Verified`");
            assert_eq!(credential.owner().as_deref(), Some(key.owner().as_str()));
            "key"
        }
    };
    let headers: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
    format!("{by} {} {}", request.uri(), headers.join(","))
}

pub fn routes() -> Router {
    Router::new().route("/", routing::get(seen))
}

pub async fn serve(api: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
    address
}

pub struct Answer {
    pub status: u16,
    /// Without the date.
    pub headers: Vec<String>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter().filter_map(|line| line.split_once(": "));
        headers
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// `key`, `token`, or the status.
    pub fn short(&self) -> String {
        if self.status == 200 {
            return self.body.split(' ').next().unwrap().to_owned();
        }
        assert_eq!(self.body, "");
        self.status.to_string()
    }
}

/// One request over a connection of its own.
pub async fn ask(address: SocketAddr, path: &str, headers: &[String]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("GET {path} HTTP/1.1\r\nhost: api\r\nconnection: close\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Answer {
        status: status.parse().unwrap(),
        headers: lines
            .filter(|line| !line.starts_with("date:"))
            .map(ToOwned::to_owned)
            .collect(),
        body: body.to_owned(),
    }
}

pub fn key_header(key: &str) -> String {
    format!("x-api-key: {key}")
}

pub fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}
