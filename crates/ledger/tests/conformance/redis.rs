//! A bad Redis, and a bad line to it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dayfly_issuer::{Ledger, LedgerError};
use dayfly_ledger::testing::{Proxy, RedisServer};
use dayfly_ledger::{OpenError, RedisConfig, RedisLedger, Unfit};
use tokio::task::JoinSet;

use crate::draft::{Draft, entry, fresh, now};
use crate::store::redis_ledger;

async fn ready(url: &str) -> Arc<RedisLedger> {
    let ledger = redis_ledger(url).await;
    ledger.load_control().await.unwrap();
    Arc::new(ledger)
}

fn is_down(error: &LedgerError) -> bool {
    matches!(
        error,
        LedgerError::Unavailable { .. } | LedgerError::TimedOut { .. }
    )
}

/// Every call fails within the bound. The machine may be busy, so one of them must be within the
/// promise of 300 ms, and none far from it.
async fn refuses_in_time(ledger: &RedisLedger) {
    let mut fastest = Duration::MAX;
    for _ in 0..4 {
        let draft = Draft::new();
        let start = Instant::now();
        let error = ledger.record(draft.commit()).await.unwrap_err();
        assert!(is_down(&error), "{error}");
        assert!(start.elapsed() < Duration::from_secs(1));
        fastest = fastest.min(start.elapsed());
        for error in [
            ledger.issuance(draft.id()).await.err(),
            ledger.void(draft.id()).await.err(),
            ledger.write_control(1, &[entry("a", "b")]).await.err(),
        ] {
            assert!(is_down(&error.unwrap()));
        }
    }
    assert!(fastest <= Duration::from_millis(300), "{fastest:?}");
}

/// Waits until a commit succeeds again.
async fn recovers(ledger: &RedisLedger) {
    let start = Instant::now();
    while let Err(error) = ledger.record(Draft::new().commit()).await {
        assert!(start.elapsed() < Duration::from_secs(5), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_is_refused_in_time() {
    let mut server = RedisServer::start();
    let ledger = ready(&server.url()).await;
    server.kill();
    refuses_in_time(&ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_is_refused_in_time_and_used_again_later() {
    let server = RedisServer::start();
    let ledger = ready(&server.url()).await;
    server.pause();
    refuses_in_time(&ledger).await;
    let position = dayfly_issuer::Position("x-0".to_owned());
    assert!(
        ledger
            .follow_control(&position, Duration::ZERO)
            .await
            .is_err()
    );
    server.resume();
    recovers(&ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_to_a_hung_server_all_end() {
    let server = RedisServer::start();
    let ledger = ready(&server.url()).await;
    server.pause();
    let start = Instant::now();
    let calls: Vec<_> = (0..6_000)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.record(Draft::new().commit()).await })
        })
        .collect();
    for call in calls {
        assert!(is_down(&call.await.unwrap().unwrap_err()));
    }
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    server.resume();
    recovers(&ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_swallows_everything_is_refused_in_time() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.address()).await;
    let ledger = ready(&proxy.url()).await;
    proxy.freeze(true);
    refuses_in_time(&ledger).await;
    proxy.freeze(false);
    recovers(&ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_is_refused_in_time() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.address()).await;
    let ledger = ready(&proxy.url()).await;
    proxy.delay(Duration::from_millis(2_000));
    refuses_in_time(&ledger).await;
    proxy.delay(Duration::ZERO);
    recovers(&ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_at_the_start_is_used_once_it_is_up() {
    let mut server = RedisServer::start();
    let url = server.url();
    server.kill();
    let ledger = redis_ledger(&url).await;
    assert!(is_down(&ledger.load_control().await.unwrap_err()));
    assert!(is_down(
        &ledger.record(Draft::new().commit()).await.unwrap_err()
    ));
    server.start_again();
    let start = Instant::now();
    while let Err(error) = ledger.load_control().await {
        assert!(start.elapsed() < Duration::from_secs(5), "{error}");
    }
    recovers(&ledger).await;
}

/// Whatever byte of the reply the line is cut at: a success is in the store, and the same attempt
/// may be sent once more, with the same result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_is_in_the_store_wherever_the_reply_is_cut() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.address()).await;
    let ledger = ready(&proxy.url()).await;
    let witness = ready(&server.url()).await;
    let (mut successes, mut failures) = (0, 0);
    // A reply to a commit has 12 bytes; beyond that the next one is cut.
    for bytes in (0..40).chain(0..40) {
        recovers(&ledger).await;
        proxy.cut_after(bytes);
        for _ in 0..4 {
            let draft = Draft::once(fresh());
            let outcome = ledger.record(draft.commit()).await;
            let found = witness.issuance(draft.id()).await.unwrap();
            match outcome {
                Ok(()) => {
                    successes += 1;
                    assert_eq!(found.as_ref(), Some(&draft.issuance), "{bytes} bytes");
                }
                Err(error) => {
                    failures += 1;
                    assert!(is_down(&error), "{error}");
                    resends(&ledger, &draft).await;
                    assert!(witness.issuance(draft.id()).await.unwrap().is_some());
                }
            }
        }
        proxy.mend();
    }
    assert!(successes > 0 && failures > 0, "{successes} {failures}");
}

async fn resends(ledger: &RedisLedger, draft: &Draft) {
    let start = Instant::now();
    loop {
        match ledger.record(draft.commit()).await {
            Ok(()) => return,
            Err(error) => assert!(is_down(&error), "{error}"),
        }
        assert!(start.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_success_is_lost_when_the_line_is_cut_under_load() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.address()).await;
    let ledger = ready(&proxy.url()).await;
    let witness = ready(&server.url()).await;
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let (ledger, recorded) = (ledger.clone(), recorded.clone());
        workers.spawn(async move {
            loop {
                let draft = Draft::new();
                if ledger.record(draft.commit()).await.is_ok() {
                    recorded.lock().unwrap().push(draft.id());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    let count = || recorded.lock().unwrap().len();
    for cut in 0..60 {
        let before = count();
        proxy.cut_after(cut * 7);
        // The line is cut, mended by the adapter, and used.
        while count() < before + 10 + cut {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    proxy.mend();
    workers.shutdown().await;
    let recorded = std::mem::take(&mut *recorded.lock().unwrap());
    for id in recorded {
        assert!(witness.issuance(id).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_follow_fails_and_the_next_goes_on() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.address()).await;
    let ledger = ready(&proxy.url()).await;
    let position = ledger.load_control().await.unwrap().position;
    let follow = {
        let (ledger, position) = (ledger.clone(), position.clone());
        tokio::spawn(async move {
            ledger
                .follow_control(&position, Duration::from_secs(20))
                .await
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.cut();
    assert!(is_down(&follow.await.unwrap().unwrap_err()));
    recovers(&ledger).await;
    ledger.write_control(1, &[entry("a", "A")]).await.unwrap();
    let batch = ledger
        .follow_control(&position, Duration::from_secs(5))
        .await;
    assert_eq!(batch.unwrap().entries.len(), 1);

    proxy.refuse();
    let start = Instant::now();
    // A loop around this does not spin.
    for _ in 0..2 {
        let refused = ledger
            .follow_control(&position, Duration::from_secs(1))
            .await;
        assert!(is_down(&refused.unwrap_err()));
    }
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_hold_a_ledger_is_refused_at_the_start() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let refused = RedisLedger::connect(RedisConfig::new(server.url())).await;
    let Err(OpenError::Unfit(Unfit::Evicts { policy })) = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(policy, "allkeys-lru");

    let server = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let refused = RedisLedger::connect(RedisConfig::new(server.url())).await;
    assert!(
        matches!(refused, Err(OpenError::Unfit(Unfit::Mode { .. }))),
        "{refused:?}"
    );

    let primary = RedisServer::start();
    let port = primary.address().port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let refused = RedisLedger::connect(RedisConfig::new(replica.url())).await;
    assert!(
        matches!(refused, Err(OpenError::Unfit(Unfit::Replica))),
        "{refused:?}"
    );
}

/// The same when it becomes so later: a server is looked at on every connect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_to_evict_is_refused_at_the_next_connect() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.address()).await;
    let ledger = ready(&proxy.url()).await;
    server.command(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    proxy.cut();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = ledger.record(Draft::new().commit()).await.unwrap_err();
    assert!(error.to_string().contains("volatile-ttl"), "{error}");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    recovers(&ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_do_not_show() {
    let server = RedisServer::start_with(&["--requirepass", "correct-horse"]);
    let with = |user: &str| {
        server
            .url()
            .replace("redis://", &format!("redis://{user}@"))
    };
    for url in [
        with(":battery-staple"),
        with("root:battery-staple"),
        server.url(),
    ] {
        let refused = RedisLedger::connect(RedisConfig::new(url)).await;
        let Err(error @ OpenError::Refused { .. }) = refused else {
            panic!("{refused:?}");
        };
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("battery") && !shown.contains("horse"),
            "{shown}"
        );
        assert!(shown.contains("password"), "{shown}");
    }
    let ledger = ready(&with(":correct-horse")).await;
    ledger.record(Draft::new().commit()).await.unwrap();
    assert!(!format!("{ledger:?}").contains("horse"));
    // Changed under way: every call says so, and none shows it.
    server_password(&server, &ledger).await;
}

async fn server_password(server: &RedisServer, ledger: &RedisLedger) {
    let client = redis::Client::open(server.url().replace("redis://", "redis://:correct-horse@"));
    let mut connection = client.unwrap().get_connection().unwrap();
    let words = ["CONFIG", "SET", "requirepass", "other-horse"];
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.exec(&mut connection).unwrap();
    redis::cmd("CLIENT")
        .arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .exec(&mut connection)
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = ledger.record(Draft::new().commit()).await.unwrap_err();
    assert!(error.to_string().contains("password"), "{error}");
    assert!(!error.to_string().contains("horse"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_memory_refuses_issuance_and_keeps_what_is_there() {
    let server = RedisServer::start_with(&["--maxmemory", "16mb"]);
    let ledger = ready(&server.url()).await;
    let kept = Draft::once(fresh());
    ledger.record(kept.commit()).await.unwrap();
    ledger
        .write_control(1, &[entry("cut:task:a/b", "kept")])
        .await
        .unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let draft = Draft::once(fresh());
    let error = ledger.record(draft.commit()).await.unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
    assert_eq!(ledger.issuance(draft.id()).await.unwrap(), None);
    assert!(ledger.issuance(kept.id()).await.unwrap().is_some());
    assert_eq!(
        ledger.load_control().await.unwrap().entries,
        [b"kept".to_vec()]
    );
    // Nothing of the refused one was written, so it may come again.
    server.command(&["CONFIG", "SET", "maxmemory", "64mb"]);
    ledger.record(draft.commit()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_were_flushed_are_loaded_again() {
    let server = RedisServer::start();
    let ledger = ready(&server.url()).await;
    server.command(&["SCRIPT", "FLUSH"]);
    let draft = Draft::new();
    ledger.record(draft.commit()).await.unwrap();
    server.command(&["SCRIPT", "FLUSH"]);
    let line = ledger.decision(draft.issuance.decision).await.unwrap();
    assert_eq!(line, Some(draft.audit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_another_layout_is_refused() {
    let server = RedisServer::start();
    ready(&server.url()).await;
    for (field, value) in [("layout", "2"), ("partitions", "4")] {
        let before = server.command(&["HGET", "{df0}:control:head", field]);
        server.command(&["HSET", "{df0}:control:head", field, value]);
        let ledger = redis_ledger(&server.url()).await;
        let refused = ledger.load_control().await;
        assert!(
            matches!(refused, Err(LedgerError::Corrupt { .. })),
            "{refused:?}"
        );
        let before: String = redis::from_redis_value(before).unwrap();
        server.command(&["HSET", "{df0}:control:head", field, &before]);
    }
}

/// Every key but the control state ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_control_is_for_ever() {
    let server = RedisServer::start();
    let ledger = ready(&server.url()).await;
    let mut draft = Draft::limited(&[("workload:a/b", 1_000, 3), ("owner:a", 1_000, 3)]);
    draft.replay = Draft::once(fresh()).replay;
    ledger.record(draft.commit()).await.unwrap();
    ledger.record(Draft::new().commit()).await.unwrap();
    let denial = dayfly_token::DecisionId::new(0, fresh());
    ledger.note_denial(denial, "{}").await.unwrap();
    ledger.write_control(1, &[entry("a", "b")]).await.unwrap();
    ledger.raise_generation(1, now()).await.unwrap();
    let keys: Vec<String> = redis::from_redis_value(server.command(&["KEYS", "*"])).unwrap();
    assert_eq!(keys.len(), 14, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("{df0}:"), "{key}");
        let ttl: i64 = redis::from_redis_value(server.command(&["TTL", &key])).unwrap();
        let control = key.starts_with("{df0}:control:");
        assert_eq!(ttl < 0, control, "{key} has {ttl} s");
    }
}
