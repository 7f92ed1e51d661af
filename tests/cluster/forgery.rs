//! Whoever has taken over Redis can withhold, and no more: no key of theirs is trusted, and no
//! older or invented entry lifts anything.

use std::time::{Duration, Instant};

use dayfly_issuer::control::{Body, ClusterSecret, ControlEntry, HoldKind, KeyRecord, KeyUse};
use dayfly_keys::{Algorithm, SigningKey};
use dayfly_ledger::testing::RedisServer;
use dayfly_token::UnixTime;
use dayfly_token::feed::Kind;
use dayfly_verifier::testing::TestAuthority;
use redis::Commands as _;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Bench, prepare_server, store_of};
use crate::harness::{
    Deployment, FLEET_API, Operator, Store, Watcher, eventually, id_of, jwt_header, now,
};

const FLEET: &[&str] = &["victim/one", "victim/held"];

/// Writes bytes as the servers do: into the slot, and onto the stream.
fn plant(redis: &RedisServer, slot: &str, bytes: &[u8]) {
    let mut store = store_of(redis);
    let _: () = store.hset("{df0}:control:slots", slot, bytes).unwrap();
    let _: () = store
        .zadd("{df0}:control:expiry", slot, now() + 100_000)
        .unwrap();
    let seq: u64 = store.hincr("{df0}:control:head", "seq", 1).unwrap();
    let _: String = redis::cmd("XADD")
        .arg("{df0}:control:stream")
        .arg(format!("{seq}-0"))
        .arg("e")
        .arg(bytes)
        .query(&mut store)
        .unwrap();
}

fn slot_of(redis: &RedisServer, slot: &str) -> Vec<u8> {
    store_of(redis).hget("{df0}:control:slots", slot).unwrap()
}

/// An entry that is perfect but for its seal.
fn sealed(body: Body) -> (String, Vec<u8>) {
    let secret = ClusterSecret::new(Zeroizing::new(vec![7; 48])).unwrap();
    let slot = body.slot();
    let entry = ControlEntry {
        version: u64::MAX / 2,
        at: UnixTime::from_secs(now()),
        by: "platform/console".to_owned(),
        reason: String::new(),
        body,
    };
    (slot, secret.seal(&entry).unwrap())
}

/// The key of somebody who is no server of this deployment.
fn foreign_key() -> SigningKey {
    SigningKey::from_seed(Algorithm::Es256, &Zeroizing::new([42; 32])).unwrap()
}

fn key_record(issuer: &str, key_use: KeyUse) -> Body {
    let (key, time) = (foreign_key(), UnixTime::from_secs(now()));
    Body::Key(Box::new(KeyRecord {
        kid: key.kid().to_owned(),
        jwk: key.jwk().clone(),
        key_use,
        issuer: issuer.to_owned(),
        replica: "dayfly".to_owned(),
        sign_from: time.saturating_sub(1000),
        lease_until: time.saturating_add(1000),
        signed: true,
        serve_until: time.saturating_add(100_000),
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_planted_is_honoured() {
    let redis = RedisServer::start();
    let store = Store::Redis(redis.url());
    let bench = Bench::start(&store, FLEET).await;
    let issuer = bench.server.url.clone();
    let watcher = Watcher::start(&bench.world, &issuer).await;
    let console = bench.console();
    let agent = bench.agent("victim/one");
    let revoked = agent.token().await;
    let tainted = agent.token().await;
    console.done("revoke", "credential", &id_of(&revoked)).await;
    watcher.refuses(&revoked, Instant::now()).await;

    // The lifted hold, as it stood in the store, is put back over the one that is set.
    console.done("hold", "workload", "victim/held").await;
    console.done("lift", "workload", "victim/held").await;
    let lifted = slot_of(&redis, "hold:workload:victim/held");
    console.done("hold", "workload", "victim/held").await;
    let held = slot_of(&redis, "hold:workload:victim/held");
    assert_ne!(lifted, held);
    plant(&redis, "hold:workload:victim/held", &lifted);
    eventually("the store is told again", async || {
        (slot_of(&redis, "hold:workload:victim/held") == held).then_some(())
    })
    .await;

    // The record of a key from before its taint.
    let kid = jwt_header(&tainted)["kid"].as_str().unwrap().to_owned();
    let record = slot_of(&redis, &format!("key:{kid}"));
    console.done("revoke", "key", &kid).await;
    let since = Instant::now();
    watcher.refuses(&tainted, since).await;
    plant(&redis, &format!("key:{kid}"), &record);

    // Inventions, all but perfect.
    let lift = |value: &str| Body::Hold {
        kind: HoldKind::Workload,
        value: value.to_owned(),
        active: false,
    };
    let nothing = Body::CutOff {
        kind: Kind::Credential,
        value: id_of(&revoked),
        before: UnixTime::from_secs(1),
        until: UnixTime::from_secs(now() + 1000),
    };
    for body in [
        key_record(&issuer, KeyUse::Token),
        key_record(&issuer, KeyUse::Feed),
        lift("victim/held"),
        nothing,
    ] {
        let (slot, bytes) = sealed(body);
        plant(&redis, &slot, &bytes);
    }
    plant(&redis, "hold:workload:victim/one", b"{\"active\":true}");
    plant(&redis, "key:x", &[0; 100]);

    let honest = Honest {
        revoked: &revoked,
        tainted: &tainted,
        kid: &kid,
        issuer: &issuer,
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    honest.stands(&bench.server, &console, &watcher).await;
    bench
        .agent("victim/held")
        .ask()
        .await
        .refused(400, "unauthorized_client");
    // What is readable goes on: revocations and credentials.
    let token = eventually("issuing goes on", async || {
        let answer = agent.ask().await;
        (answer.status == 200).then(|| answer.access_token().to_owned())
    })
    .await;
    watcher.accepts(&token).await;
    console.done("revoke", "credential", &id_of(&token)).await;
    watcher.refuses(&token, Instant::now()).await;

    // A server that starts now knows the store alone.
    let mut second = prepare_server(&bench.world, "second", &store, &issuer);
    second.launch(&[]).await;
    let console = Operator::console(&bench.world, &second);
    honest.stands(&second, &console, &watcher).await;
    assert_eq!(console.introspect(&token).await["active"], false);
}

/// What is true whatever stands in the store.
struct Honest<'a> {
    revoked: &'a str,
    tainted: &'a str,
    kid: &'a str,
    issuer: &'a str,
}

impl Honest<'_> {
    async fn stands(&self, server: &Deployment, console: &Operator, watcher: &Watcher) {
        let foreign = foreign_key();
        for path in ["/.well-known/jwks.json", "/v1/trust"] {
            let text = server.get(path, None).await.body.to_string();
            assert!(text.contains("\"kty\""), "{path}: {text}");
            assert!(
                !text.contains(foreign.kid()),
                "a planted key is served at {path}"
            );
            assert!(
                !text.contains(self.kid),
                "a tainted key is served at {path}"
            );
        }
        let forger = TestAuthority::with_key(self.issuer, foreign).unwrap();
        let forged = forger.token(FLEET_API).scope("deploy:write");
        let forged = forged.mint(UnixTime::from_secs(now())).unwrap();
        assert_eq!(watcher.code(&forged), Some("unknown_kid"));
        for token in [self.revoked, self.tainted, &forged] {
            assert_eq!(console.introspect(token).await, json!({ "active": false }));
        }
        assert!(watcher.code(self.revoked).is_some() && watcher.code(self.tainted).is_some());
    }
}
