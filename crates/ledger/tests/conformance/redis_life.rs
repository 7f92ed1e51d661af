//! A Redis that forgot, or is another: no credential is recorded there before the replica was
//! told, and nothing that was decided before the change.

use std::time::{Duration, Instant};

use dayfly_issuer::{ControlState, Ledger, LedgerError};
use dayfly_ledger::RedisLedger;
use dayfly_ledger::testing::{Proxy, RedisServer};

use crate::draft::{Draft, entry, in_secs, now};
use crate::store::redis_ledger;

const SHORT: Duration = Duration::from_millis(50);

async fn ready(url: &str) -> (RedisLedger, ControlState) {
    let ledger = redis_ledger(url).await;
    let state = ledger.load_control().await.unwrap();
    (ledger, state)
}

/// A reconnect may take a few tries.
async fn once_reachable<T, F>(mut call: impl FnMut() -> F) -> Result<T, LedgerError>
where
    F: Future<Output = Result<T, LedgerError>>,
{
    let start = Instant::now();
    loop {
        match call().await {
            Err(LedgerError::Unavailable { .. } | LedgerError::TimedOut { .. })
                if start.elapsed() < Duration::from_secs(5) =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
}

async fn refuses_to_record(ledger: &RedisLedger, generation: u64) {
    let draft = Draft::new();
    let refused = once_reachable(|| ledger.record(draft.commit_in(generation))).await;
    assert!(
        matches!(
            refused,
            Err(LedgerError::StoreChanged { .. } | LedgerError::Generation { store: 0, .. })
        ),
        "{refused:?}"
    );
    assert!(!matches!(ledger.issuance(draft.id()).await, Ok(Some(_))));
}

async fn says_changed<T: std::fmt::Debug>(outcome: Result<T, LedgerError>) {
    assert!(
        matches!(outcome, Err(LedgerError::StoreChanged { .. })),
        "{outcome:?}"
    );
}

/// Load, write back, record: the way back after a change.
async fn comes_back(ledger: &RedisLedger, before: &ControlState) {
    let state = once_reachable(|| ledger.load_control()).await.unwrap();
    assert_ne!(state.identity, before.identity);
    assert!(state.generation > before.generation);
    // Evidence of this very second may have been used before the change.
    assert!(state.generation_since > now() || state.generation_since == in_secs(0));
    goes_on(ledger, before, &state).await;
}

async fn goes_on(ledger: &RedisLedger, before: &ControlState, state: &ControlState) {
    let late = Draft::new();
    let refused = ledger.record(late.commit_in(before.generation)).await;
    assert!(
        matches!(refused, Err(LedgerError::Generation { .. })),
        "{refused:?}"
    );
    ledger
        .write_control(state.generation, &[entry("cut:task:a/b", "written back")])
        .await
        .unwrap();
    let draft = Draft::new();
    ledger
        .record(draft.commit_in(state.generation))
        .await
        .unwrap();
    let batch = ledger.follow_control(&state.position, SHORT).await.unwrap();
    assert!(
        batch
            .entries
            .iter()
            .any(|(_, sealed)| sealed == b"written back")
    );
    // One raise is enough.
    let again = ledger.load_control().await.unwrap();
    assert_eq!(again.generation, state.generation);
    assert_eq!(again.identity, state.identity);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_recorded_before_the_first_load() {
    let server = RedisServer::start();
    let ledger = redis_ledger(&server.url()).await;
    says_changed(ledger.record(Draft::new().commit()).await).await;
    says_changed(ledger.write_control(1, &[]).await).await;
    says_changed(ledger.raise_generation(1, now()).await).await;
    ledger.load_control().await.unwrap();
    ledger.record(Draft::new().commit()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_came_back_empty() {
    let mut server = RedisServer::start();
    let (ledger, before) = ready(&server.url()).await;
    ledger.record(Draft::new().commit()).await.unwrap();
    server.restart();
    refuses_to_record(&ledger, 1).await;
    says_changed(ledger.write_control(1, &[entry("a", "b")]).await).await;
    says_changed(ledger.follow_control(&before.position, SHORT).await).await;
    comes_back(&ledger, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_came_back_with_its_data() {
    let mut server = RedisServer::start();
    let (ledger, before) = ready(&server.url()).await;
    let draft = Draft::new();
    ledger.record(draft.commit()).await.unwrap();
    server.restart_with_data();
    // The generation is the same, so only the adapter can tell.
    refuses_to_record(&ledger, 1).await;
    says_changed(once_reachable(|| ledger.follow_control(&before.position, SHORT)).await).await;
    // Reading goes on.
    assert!(ledger.issuance(draft.id()).await.unwrap().is_some());
    comes_back(&ledger, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_told_first() {
    let mut server = RedisServer::start();
    let (ledger, before) = ready(&server.url()).await;
    server.restart();
    says_changed(once_reachable(|| ledger.follow_control(&before.position, SHORT)).await).await;
    let draft = Draft::new();
    says_changed(once_reachable(|| ledger.record(draft.commit())).await).await;
    comes_back(&ledger, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_flushed() {
    let server = RedisServer::start();
    let (ledger, before) = ready(&server.url()).await;
    server.command(&["FLUSHALL"]);
    let draft = Draft::new();
    let refused = ledger.record(draft.commit()).await;
    assert!(
        matches!(refused, Err(LedgerError::Generation { ours: 1, store: 0 })),
        "{refused:?}"
    );
    says_changed(ledger.record(draft.commit()).await).await;
    says_changed(ledger.write_control(1, &[]).await).await;
    comes_back(&ledger, &before).await;
}

/// The generation starts again at the same number: the epoch tells the difference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_flushed_and_started_anew_by_another_replica() {
    let server = RedisServer::start();
    let (ledger, before) = ready(&server.url()).await;
    server.command(&["FLUSHALL"]);
    let (_, anew) = ready(&server.url()).await;
    assert_eq!(anew.generation, before.generation);
    let draft = Draft::new();
    says_changed(ledger.record(draft.commit()).await).await;
    says_changed(ledger.write_control(1, &[entry("a", "b")]).await).await;
    says_changed(ledger.follow_control(&before.position, SHORT).await).await;
    assert_eq!(ledger.issuance(draft.id()).await.unwrap(), None);
    comes_back(&ledger, &before).await;
}

/// An older copy of the data under the same process, generation and epoch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_back_in_time() {
    let server = RedisServer::start_with(&["--enable-debug-command", "yes"]);
    let (ledger, before) = ready(&server.url()).await;
    server.command(&["SAVE"]);
    let position = ledger
        .write_control(1, &[entry("cut:task:a/b", "forgotten")])
        .await
        .unwrap();
    server.command(&["DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE"]);
    server.command(&["FLUSHALL"]);
    server.command(&["DEBUG", "RELOAD", "NOSAVE"]);
    says_changed(ledger.follow_control(&position, SHORT).await).await;
    says_changed(ledger.record(Draft::new().commit()).await).await;
    comes_back(&ledger, &before).await;
    // The numbers of the stream begin again, but nobody goes on from a lost one.
    let refused = ledger.follow_control(&position, SHORT).await;
    assert!(matches!(refused, Err(LedgerError::Gap)), "{refused:?}");
}

/// Another server behind the same address, while the old one lives on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_leads_to_another_server() {
    let old = RedisServer::start();
    let new = RedisServer::start();
    let proxy = Proxy::start(old.address()).await;
    let (ledger, before) = ready(&proxy.url()).await;
    let (_, _) = ready(&new.url()).await;
    proxy.retarget(new.address());
    proxy.cut();
    refuses_to_record(&ledger, 1).await;
    comes_back(&ledger, &before).await;
}

/// Loaded from the new server while the connection of the commits still leads to the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_connection_is_not_written_to_after_a_load_from_another_server() {
    let old = RedisServer::start();
    let new = RedisServer::start();
    let proxy = Proxy::start(old.address()).await;
    let (ledger, before) = ready(&proxy.url()).await;
    ledger.record(Draft::new().commit()).await.unwrap();
    proxy.retarget(new.address());
    let state = ledger.load_control().await.unwrap();
    assert_ne!(state.identity, before.identity);
    let draft = Draft::new();
    let refused = ledger.record(draft.commit()).await;
    assert!(
        matches!(refused, Err(LedgerError::Generation { ours: 1, store: 2 })),
        "{refused:?}"
    );
    ledger
        .record(draft.commit_in(state.generation))
        .await
        .unwrap();
    let witness = redis_ledger(&new.url()).await;
    assert!(witness.issuance(draft.id()).await.unwrap().is_some());
    let witness = redis_ledger(&old.url()).await;
    assert_eq!(witness.issuance(draft.id()).await.unwrap(), None);
}

/// Of several replicas that notice, the first to load raises the generation; no other raises it
/// again, and nobody goes on with the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_notice_together_raise_once() {
    let mut server = RedisServer::start();
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(ready(&server.url()).await.0);
    }
    for round in 1..4 {
        server.restart_with_data();
        for ledger in &replicas {
            refuses_to_record(ledger, round).await;
        }
        let loads = replicas.iter().map(|ledger| ledger.load_control());
        for load in loads {
            assert_eq!(load.await.unwrap().generation, round + 1);
        }
        for ledger in &replicas {
            let refused = ledger.record(Draft::new().commit_in(round)).await;
            assert!(
                matches!(refused, Err(LedgerError::Generation { .. })),
                "{refused:?}"
            );
            ledger
                .record(Draft::new().commit_in(round + 1))
                .await
                .unwrap();
        }
    }
    // A replica that comes new knows nothing that could be missing.
    assert_eq!(ready(&server.url()).await.1.generation, 4);
}

/// The generation of a flushed store begins again: it must pass the one that replicas know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_began_again_is_raised_above_the_known_one() {
    let server = RedisServer::start();
    let (ledger, before) = ready(&server.url()).await;
    for from in 1..6 {
        ledger.raise_generation(from, now()).await.unwrap();
    }
    server.command(&["FLUSHALL"]);
    let refused = ledger.record(Draft::new().commit_in(6)).await;
    assert!(
        matches!(refused, Err(LedgerError::Generation { ours: 6, store: 0 })),
        "{refused:?}"
    );
    assert_eq!(ledger.load_control().await.unwrap().generation, 7);
    assert_eq!(before.generation, 1);
}
