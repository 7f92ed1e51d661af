//! The control state and its stream.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dayfly_issuer::{LedgerError, Position};
use dayfly_ledger::MAX_CONTROL_BATCH;
use dayfly_token::{UnixTime, feed};

use crate::draft::{entries, entry, in_secs, unix_ms};
use crate::store::Store;

crate::against_both!(
    what_is_written_is_loaded_and_followed,
    a_slot_is_replaced_and_forgotten_in_time,
    a_follower_wakes_up_when_another_writes,
    silence_is_an_empty_batch,
    two_followers_resume_where_each_left_off,
    a_position_that_is_not_of_this_stream_is_a_gap,
    a_follower_that_is_too_far_behind_finds_a_gap,
    a_big_batch_is_one_step,
    writers_at_the_same_time_leave_no_gap,
    a_follow_that_is_dropped_does_no_harm,
);

const SHORT: Duration = Duration::from_millis(50);

async fn what_is_written_is_loaded_and_followed(store: &Store) {
    let ledger = store.replica().await;
    let empty = ledger.load_control().await.unwrap();
    assert_eq!(empty.entries, Vec::<Vec<u8>>::new());
    assert_eq!((empty.generation, empty.identity.0.is_empty()), (1, false));

    let written = ledger
        .write_control(1, &[entry("key:a", "A"), entry("cut:task:x/y", "B")])
        .await
        .unwrap();
    assert_ne!(written, empty.position);

    let other = store.replica().await;
    let state = other.load_control().await.unwrap();
    let found: BTreeSet<_> = state.entries.into_iter().collect();
    assert_eq!(found, BTreeSet::from([b"A".to_vec(), b"B".to_vec()]));
    assert_eq!(state.position, written);
    assert_eq!(state.identity, empty.identity);

    let batch = other.follow_control(&empty.position, SHORT).await.unwrap();
    let sealed: Vec<_> = batch
        .entries
        .iter()
        .map(|(_, sealed)| &sealed[..])
        .collect();
    assert_eq!(sealed, [b"A", b"B"]);
    assert_eq!(batch.position, written);
    assert_eq!(batch.entries[1].0, written);
    assert!(batch.store_ms.abs_diff(unix_ms()) < 1_000);
    // From the middle, only the rest.
    let middle = &batch.entries[0].0;
    let rest = other.follow_control(middle, SHORT).await.unwrap();
    assert_eq!(rest.entries, batch.entries[1..]);

    // Nothing written is a position, too.
    assert_eq!(ledger.write_control(1, &[]).await.unwrap(), written);
}

async fn a_slot_is_replaced_and_forgotten_in_time(store: &Store) {
    let ledger = store.replica().await;
    let mut first = entry("hold:owner:a", "set");
    first.until = in_secs(1);
    let mut brief = entry("hold:owner:b", "brief");
    brief.until = in_secs(1);
    let mut over = entry("hold:owner:c", "over");
    over.until = in_secs(-5);
    let mut taint = entry("cut:key:k", "taint");
    taint.until = feed::FOREVER;
    ledger
        .write_control(1, &[first, brief, over, taint])
        .await
        .unwrap();
    // The new end counts, not the old one.
    ledger
        .write_control(1, &[entry("hold:owner:a", "lifted")])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let state = ledger.load_control().await.unwrap();
    let found: BTreeSet<_> = state.entries.into_iter().collect();
    let kept = [b"lifted".to_vec(), b"taint".to_vec()];
    assert_eq!(found, BTreeSet::from(kept));
}

async fn a_follower_wakes_up_when_another_writes(store: &Store) {
    let ledger = store.replica().await;
    let position = ledger.load_control().await.unwrap().position;
    let writer = store.replica().await;
    let start = Instant::now();
    let follow = tokio::spawn(async move {
        let batch = ledger
            .follow_control(&position, Duration::from_secs(20))
            .await;
        (batch, start.elapsed())
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    writer
        .write_control(1, &[entry("key:a", "A")])
        .await
        .unwrap();
    let (batch, waited) = follow.await.unwrap();
    assert_eq!(batch.unwrap().entries.len(), 1);
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

async fn silence_is_an_empty_batch(store: &Store) {
    let ledger = store.replica().await;
    let position = ledger.load_control().await.unwrap().position;
    for wait in [Duration::ZERO, Duration::from_millis(200)] {
        let start = Instant::now();
        let batch = ledger.follow_control(&position, wait).await.unwrap();
        assert_eq!(batch.entries, []);
        assert_eq!(batch.position, position);
        assert!(batch.store_ms.abs_diff(unix_ms()) < 1_000);
        assert!(start.elapsed() >= wait);
    }
}

async fn two_followers_resume_where_each_left_off(store: &Store) {
    let replicas = [store.replica().await, store.replica().await];
    let start = replicas[0].load_control().await.unwrap().position;
    let mut positions = [start.clone(), start];
    let mut seen = [Vec::new(), Vec::new()];
    for round in 0..6 {
        let slot = format!("key:{round}");
        let written = replicas[round % 2]
            .write_control(1, &[entry(&slot, &slot), entry("key:same", &slot)])
            .await
            .unwrap();
        // The second follower sleeps through every other round.
        for who in 0..(1 + round % 2) {
            let batch = replicas[who]
                .follow_control(&positions[who], SHORT)
                .await
                .unwrap();
            seen[who].extend(batch.entries.into_iter().map(|(_, sealed)| sealed));
            positions[who] = batch.position;
            assert_eq!(positions[who], written);
        }
    }
    assert_eq!(seen[0].len(), 12);
    assert_eq!(seen[0], seen[1]);
}

async fn a_position_that_is_not_of_this_stream_is_a_gap(store: &Store) {
    let ledger = store.replica().await;
    ledger.write_control(1, &entries(3)).await.unwrap();
    for foreign in ["", "0-0", "AAAAAAAAAAAAAAAA-1", "x", "-", "\0"] {
        let position = Position(foreign.to_owned());
        let refused = ledger.follow_control(&position, SHORT).await;
        assert!(
            matches!(refused, Err(LedgerError::Gap)),
            "{foreign}: {refused:?}"
        );
    }
}

async fn a_follower_that_is_too_far_behind_finds_a_gap(store: &Store) {
    let ledger = store.replica().await;
    let start = ledger.load_control().await.unwrap().position;
    let near = {
        ledger.write_control(1, &entries(9_000)).await.unwrap();
        ledger.write_control(1, &entries(9_000)).await.unwrap()
    };
    let refused = ledger.follow_control(&start, SHORT).await;
    assert!(matches!(refused, Err(LedgerError::Gap)), "{refused:?}");
    // Whoever loads can go on from there.
    let state = ledger.load_control().await.unwrap();
    assert_eq!(state.position, near);
    assert_eq!(state.entries.len(), 9_000);
    ledger.write_control(1, &entries(1)).await.unwrap();
    let batch = ledger.follow_control(&state.position, SHORT).await.unwrap();
    assert_eq!(batch.entries.len(), 1);
}

async fn a_big_batch_is_one_step(store: &Store) {
    let ledger = store.replica().await;
    let start = ledger.load_control().await.unwrap().position;
    let too_many = ledger
        .write_control(1, &entries(MAX_CONTROL_BATCH + 1))
        .await;
    assert!(
        matches!(too_many, Err(LedgerError::Unavailable { .. })),
        "{too_many:?}"
    );
    let end = ledger
        .write_control(1, &entries(MAX_CONTROL_BATCH))
        .await
        .unwrap();
    let state = ledger.load_control().await.unwrap();
    assert_eq!(state.entries.len(), MAX_CONTROL_BATCH);
    let mut position = start;
    let mut followed = 0;
    while position != end {
        let batch = ledger.follow_control(&position, SHORT).await.unwrap();
        assert!(!batch.entries.is_empty());
        for (_, sealed) in &batch.entries {
            assert_eq!(sealed, format!("sealed {followed}").as_bytes());
            followed += 1;
        }
        position = batch.position;
    }
    assert_eq!(followed, MAX_CONTROL_BATCH);
}

async fn writers_at_the_same_time_leave_no_gap(store: &Store) {
    let replicas = [store.replica().await, store.replica().await];
    let start = replicas[0].load_control().await.unwrap().position;
    let writers: Vec<_> = (0..40)
        .map(|i| {
            let ledger = replicas[i % 2].clone();
            tokio::spawn(async move {
                let batch = vec![entry(&format!("key:{i}"), &format!("{i}")); 1 + i % 3];
                ledger.write_control(1, &batch).await.unwrap();
            })
        })
        .collect();
    let total: usize = (0..40).map(|i| 1 + i % 3).sum();
    let mut position = start;
    let mut seen = 0;
    while seen < total {
        let batch = replicas[1]
            .follow_control(&position, Duration::from_secs(5))
            .await
            .unwrap();
        seen += batch.entries.len();
        position = batch.position;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen, total);
    assert_eq!(replicas[0].load_control().await.unwrap().position, position);
}

async fn a_follow_that_is_dropped_does_no_harm(store: &Store) {
    let ledger = store.replica().await;
    let position = ledger.load_control().await.unwrap().position;
    for _ in 0..3 {
        let follow = ledger.follow_control(&position, Duration::from_secs(20));
        let dropped = tokio::time::timeout(SHORT, follow).await;
        assert!(dropped.is_err());
    }
    ledger
        .write_control(1, &[entry("key:a", "A")])
        .await
        .unwrap();
    let start = Instant::now();
    let batch = ledger
        .follow_control(&position, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(batch.entries.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(
        ledger
            .raise_generation(1, UnixTime::from_secs(unix_ms() / 1000))
            .await
            .unwrap(),
        2
    );
}
