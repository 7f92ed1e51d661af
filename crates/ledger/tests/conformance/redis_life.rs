//! A Redis that forgot, or is another: no credential is recorded there before the replica was
//! told and has raised the generation.

use std::time::{Duration, Instant};

use dayfly_issuer::{ControlState, Ledger, LedgerError};
use dayfly_ledger::RedisLedger;
use dayfly_ledger::testing::{Proxy, RedisServer};

use crate::draft::{Draft, entry, now};
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

/// Load, raise, write back, record: the way back after a change.
async fn comes_back(ledger: &RedisLedger, before: &ControlState) {
    let generation = before.generation;
    let state = once_reachable(|| ledger.load_control()).await.unwrap();
    assert_ne!(state.identity, before.identity);
    // Loaded is not enough, whatever generation is claimed.
    refuses_to_record(ledger, generation).await;
    refuses_to_record(ledger, state.generation).await;
    let raised = ledger
        .raise_generation(state.generation, now())
        .await
        .unwrap();
    assert_eq!(raised, state.generation + 1);
    ledger
        .write_control(raised, &[entry("cut:task:a/b", "written back")])
        .await
        .unwrap();
    ledger.record(Draft::new().commit_in(raised)).await.unwrap();
    let batch = ledger.follow_control(&state.position, SHORT).await.unwrap();
    assert!(
        batch
            .entries
            .iter()
            .any(|(_, sealed)| sealed == b"written back")
    );
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
    // A second replica, which slept through it all, is told as well.
    let state = ledger.load_control().await.unwrap();
    assert_eq!(state.generation, 2);
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
    let state = ledger.load_control().await.unwrap();
    assert_eq!((state.generation, &state.identity), (1, &before.identity));
    says_changed(ledger.record(Draft::new().commit()).await).await;
    let raised = ledger.raise_generation(1, now()).await.unwrap();
    ledger.record(Draft::new().commit_in(raised)).await.unwrap();
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
    says_changed(ledger.record(draft.commit()).await).await;
    let raised = ledger
        .raise_generation(state.generation, now())
        .await
        .unwrap();
    ledger.record(draft.commit_in(raised)).await.unwrap();
    let witness = redis_ledger(&new.url()).await;
    assert!(witness.issuance(draft.id()).await.unwrap().is_some());
    let witness = redis_ledger(&old.url()).await;
    assert_eq!(witness.issuance(draft.id()).await.unwrap(), None);
}

/// Of two replicas that both notice, one raises; the other needs no second raise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_notice_together_raise_once() {
    let mut server = RedisServer::start();
    let (first, _) = ready(&server.url()).await;
    let (second, _) = ready(&server.url()).await;
    server.restart_with_data();
    for ledger in [&first, &second] {
        refuses_to_record(ledger, 1).await;
        assert_eq!(ledger.load_control().await.unwrap().generation, 1);
    }
    assert_eq!(first.raise_generation(1, now()).await.unwrap(), 2);
    refuses_to_record(&second, 2).await;
    let lost = second.raise_generation(1, now()).await;
    assert!(
        matches!(lost, Err(LedgerError::Generation { ours: 1, store: 2 })),
        "{lost:?}"
    );
    assert_eq!(second.load_control().await.unwrap().generation, 2);
    second.record(Draft::new().commit_in(2)).await.unwrap();
    first.record(Draft::new().commit_in(2)).await.unwrap();
}
