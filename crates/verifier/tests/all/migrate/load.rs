//! Stage and keys change under load, and no valid credential is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dayfly_verifier::migrate::{ApiKeys, KeyEntry, Migration, Stage, hash};
use dayfly_verifier::tower::Gate;
use tokio::task::JoinSet;

use super::{Api, DEADLINE, KEY, KEYS_UNTIL, ask, bearer, key_header, keys, routes, serve};
use crate::fixture::NOW;

/// Requests of each client.
const REQUESTS: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_hit_by_a_change() {
    let api = Api::new();
    let migration = Migration::builder(
        Gate::new(api.verifier.clone()).clock(|| NOW),
        Stage::AcceptBoth,
    )
    .keys(keys())
    .build()
    .unwrap();
    let address = serve(routes().layer(migration.layer())).await;
    let (key, token) = (key_header(KEY), bearer(&api.valid()));
    // Each group of clients, and the stages in which it gets in.
    let later = Stage::KeysUntil {
        deprecated_at: NOW,
        deadline: DEADLINE.saturating_add(50),
    };
    for (headers, stages) in [
        (
            vec![key.clone()],
            vec![Stage::Observe, Stage::AcceptBoth, KEYS_UNTIL, later],
        ),
        (
            vec![token.clone()],
            vec![Stage::AcceptBoth, KEYS_UNTIL, Stage::TokensOnly],
        ),
        (
            vec![key, token],
            vec![
                Stage::Observe,
                Stage::AcceptBoth,
                KEYS_UNTIL,
                Stage::TokensOnly,
            ],
        ),
    ] {
        migration.set_stage(stages[0]).unwrap();
        let before = migration.report().keys[0].uses.presented;
        let done = Arc::new(AtomicBool::new(false));
        let changes = Arc::new(AtomicU64::new(0));
        let changing = tokio::spawn(change(
            migration.clone(),
            stages,
            Arc::clone(&done),
            Arc::clone(&changes),
        ));
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let headers = headers.clone();
            clients.spawn(async move {
                for _ in 0..REQUESTS {
                    assert_eq!(ask(address, "/", &headers).await.status, 200);
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        done.store(true, Ordering::Relaxed);
        changing.await.unwrap();
        assert!(changes.load(Ordering::Relaxed) > 20, "{changes:?} changes");
        let counted = migration.report().keys[0].uses.presented - before;
        let with_key = headers.iter().any(|line| line.starts_with("x-api-key"));
        assert_eq!(counted, if with_key { 4 * REQUESTS } else { 0 });
    }
}

/// Stages and registries follow each other as fast as they can.
async fn change(
    migration: Migration,
    stages: Vec<Stage>,
    done: Arc<AtomicBool>,
    changes: Arc<AtomicU64>,
) {
    for stage in stages.iter().cycle() {
        if done.load(Ordering::Relaxed) {
            return;
        }
        migration.set_stage(*stage).unwrap();
        let odd = changes.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let keys = if odd { keys() } else { other_keys() };
        migration.replace_keys(keys).unwrap();
        tokio::task::yield_now().await;
    }
}

/// The one key that the clients have, among fifty others.
fn other_keys() -> ApiKeys {
    let entry = |id: String, key: &str| {
        let hash = hash(key).unwrap().parse().unwrap();
        KeyEntry::new(id.parse().unwrap(), "tests".parse().unwrap(), hash)
    };
    let others = (0..50).map(|number| entry(format!("x{number}"), &format!("{KEY}{number}")));
    ApiKeys::new(others.chain([entry("batch".to_owned(), KEY)])).unwrap()
}
