//! Starting with a store that is not there, or not fit.

use std::process::Command;
use std::time::Duration;

use dayfly_ledger::testing::RedisServer;

use super::Bench;
use crate::harness::{Answer, Store, client, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_without_its_store_and_heals() {
    let mut redis = RedisServer::start();
    redis.kill();
    let mut bench = Bench::prepare(&Store::Redis(redis.url()), &["late/one"]).await;
    bench.server.spawn(&[]);
    let client = client(&bench.world.tls.ca_pem(), None);
    let alive = format!("{}/livez", bench.server.operations);
    eventually("the process is alive", async || {
        client.get(&alive).send().await.ok()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    let ready = format!("{}/readyz", bench.server.operations);
    let answer = Answer::read(client.get(&ready).send().await.unwrap()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let reasons = answer.body["reasons"].as_array().unwrap();
    assert!(
        !reasons.is_empty() && answer.body["ready"] == false,
        "{answer:?}"
    );
    println!("cluster: not ready without Redis: {reasons:?}");
    let agent = bench.agent("late/one");
    agent.ask().await.not_now();

    redis.start_again();
    bench.server.ready(true).await;
    agent.token().await;
}

/// What a server says that does not start.
struct Ended {
    code: Option<i32>,
    log: String,
}

fn give_password(bench: &Bench, password: &str) {
    bench.world.write_secret("redis.password", password);
    let main = std::fs::read_to_string(&bench.server.config).unwrap();
    let with = main.replace(
        "[ledger]\n",
        "[ledger]\nredis_password_file = \"redis.password\"\n",
    );
    assert_ne!(main, with);
    std::fs::write(&bench.server.config, with).unwrap();
}

async fn start_of(redis: &RedisServer, password: Option<&str>) -> Ended {
    let bench = Bench::prepare(&Store::Redis(redis.url()), &["never/one"]).await;
    if let Some(password) = password {
        give_password(&bench, password);
    }
    let config = bench.server.config.clone();
    tokio::task::spawn_blocking(move || {
        let output = Command::new("timeout")
            .arg("10")
            .arg(crate::harness::binary())
            .args(["serve", "--allow-root", "--config"])
            .arg(config)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        Ended {
            code: output.status.code(),
            log: String::from_utf8(text).unwrap(),
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_or_forgets_is_no_store() {
    let locked = RedisServer::start_with(&["--requirepass", "correct-horse-7741"]);
    let evicting =
        RedisServer::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    let (wrong, none, lossy) = tokio::join!(
        start_of(&locked, Some("battery-staple-3390")),
        start_of(&locked, None),
        start_of(&evicting, None),
    );
    for (what, ended, word) in [
        ("a wrong password", &wrong, "password"),
        ("no password", &none, "password"),
        ("a store that evicts", &lossy, "noeviction"),
    ] {
        assert_eq!(ended.code, Some(2), "{what}: {}", ended.log);
        assert!(ended.log.contains(word), "{what}: {}", ended.log);
        for secret in ["correct-horse", "battery-staple", "0123456789abcdef"] {
            assert!(!ended.log.contains(secret), "{what}: {}", ended.log);
        }
        println!(
            "cluster: {what}: {}",
            ended.log.lines().last().unwrap_or_default()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_right_opens() {
    let redis = RedisServer::start_with(&["--requirepass", "correct-horse-7741"]);
    let mut bench = Bench::prepare(&Store::Redis(redis.url()), &["open/one"]).await;
    give_password(&bench, "correct-horse-7741\n");
    bench.server.launch(&[]).await;
    bench.agent("open/one").token().await;
    let log = std::fs::read_to_string(&bench.server.log).unwrap();
    assert!(!log.contains("correct-horse"), "{log}");
}
