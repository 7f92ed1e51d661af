//! Recording credentials, and reading them back.

use std::sync::Arc;
use std::time::Duration;

use dayfly_issuer::{IssuanceState, Ledger, LedgerError, ReplayMark};
use dayfly_token::{CredentialId, DecisionId, UnixTime};

use crate::draft::{Draft, fresh, in_secs, now};
use crate::store::Store;

crate::against_both!(
    a_recorded_credential_can_be_read,
    the_live_credentials_of_a_workload_come_newest_first,
    a_void_credential_stays_void,
    evidence_that_counts_once_succeeds_once,
    the_same_attempt_may_come_again,
    a_rate_lets_a_burst_through_and_then_waits,
    a_refusal_leaves_nothing_behind,
    a_rate_is_only_as_long_as_it_says,
    clocks_that_are_too_far_apart_refuse,
    the_generation_must_be_the_stores,
    one_raise_of_a_generation_wins,
    everything_ends_by_itself,
    many_at_once_are_all_recorded,
    names_are_only_names,
);

async fn a_recorded_credential_can_be_read(store: &Store) {
    let ledger = store.replica().await;
    let draft = Draft::new();
    ledger.record(draft.commit()).await.unwrap();

    let other = store.replica().await;
    let read = other.issuance(draft.id()).await.unwrap();
    assert_eq!(read.as_ref(), Some(&draft.issuance));
    let line = other.decision(draft.issuance.decision).await.unwrap();
    assert_eq!(line.as_ref(), Some(&draft.audit));

    let unknown = CredentialId::new(0, fresh());
    assert_eq!(other.issuance(unknown).await.unwrap(), None);
    assert_eq!(
        other.decision(DecisionId::new(0, fresh())).await.unwrap(),
        None
    );
    let elsewhere = CredentialId::new(63, fresh());
    assert_eq!(other.issuance(elsewhere).await.unwrap(), None);
}

async fn the_live_credentials_of_a_workload_come_newest_first(store: &Store) {
    let ledger = store.replica().await;
    let mut ids = Vec::new();
    for i in 0..5_u64 {
        let mut draft = Draft::of("payments/deploy");
        draft.unix_ms += i;
        // A longer life does not make it newer.
        draft.issuance.expires_at = in_secs(400 - i as i64 * 10);
        ledger.record(draft.commit()).await.unwrap();
        ids.insert(0, draft.id());
    }
    let mut ended = Draft::of("payments/deploy");
    ended.issuance.expires_at = in_secs(2);
    ledger.record(ended.commit()).await.unwrap();
    let other = Draft::of("payments/deploy-b");
    ledger.record(other.commit()).await.unwrap();

    let workload = "payments/deploy".parse().unwrap();
    let live = |at: UnixTime, most| {
        let ledger = ledger.clone();
        let workload: dayfly_token::WorkloadId = Clone::clone(&workload);
        async move { ledger.live_of(&workload, at, most).await.unwrap() }
    };
    assert_eq!(live(in_secs(10), 10).await, ids);
    assert_eq!(live(in_secs(10), 2).await, ids[..2]);
    assert_eq!(live(in_secs(10), 0).await, []);
    assert_eq!(live(in_secs(1_000), 10).await, []);
    assert!(live(now(), 10).await.contains(&ended.id()));
    let b = "payments/deploy-b".parse().unwrap();
    assert_eq!(ledger.live_of(&b, now(), 9).await.unwrap(), [other.id()]);
    let none = "payments/deplo".parse().unwrap();
    assert_eq!(ledger.live_of(&none, now(), 9).await.unwrap(), []);
}

async fn a_void_credential_stays_void(store: &Store) {
    let ledger = store.replica().await;
    let draft = Draft::new();
    ledger.record(draft.commit()).await.unwrap();
    ledger.void(draft.id()).await.unwrap();
    ledger.void(draft.id()).await.unwrap();

    let read = ledger.issuance(draft.id()).await.unwrap().unwrap();
    assert_eq!(read.state, IssuanceState::Void);
    assert_eq!(read.subject, draft.issuance.subject);
    let live = ledger.live_of(&draft.issuance.workload, now(), 9).await;
    assert_eq!(live.unwrap(), []);
    // A late copy of the commit must not make a released credential of it.
    assert!(ledger.record(draft.commit()).await.is_err());
    let read = ledger.issuance(draft.id()).await.unwrap().unwrap();
    assert_eq!(read.state, IssuanceState::Void);

    ledger.void(CredentialId::new(0, fresh())).await.unwrap();
}

async fn evidence_that_counts_once_succeeds_once(store: &Store) {
    let replicas = [store.replica().await, store.replica().await];
    let digest = fresh();
    let tasks: Vec<_> = (0..100)
        .map(|i| {
            let ledger: Arc<dyn Ledger> = replicas[i % 2].clone();
            tokio::spawn(async move {
                let draft = Draft::once(digest);
                let outcome = ledger.record(draft.commit()).await;
                (draft, outcome)
            })
        })
        .collect();
    let mut successes = 0;
    for task in tasks {
        let (draft, outcome) = task.await.unwrap();
        let recorded = replicas[0].issuance(draft.id()).await.unwrap().is_some();
        match outcome {
            Ok(()) => {
                successes += 1;
                assert!(recorded, "a success without a record");
            }
            Err(LedgerError::Replayed) => assert!(!recorded, "a refusal left a record"),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(successes, 1);
    // Other evidence is other evidence.
    let draft = Draft::once(fresh());
    replicas[1].record(draft.commit()).await.unwrap();
}

async fn the_same_attempt_may_come_again(store: &Store) {
    let ledger = store.replica().await;
    let mut draft = Draft::limited(&[("workload:payments/deploy", 60_000, 1)]);
    draft.replay = Some(ReplayMark {
        digest: fresh(),
        until: in_secs(60),
    });
    ledger.record(draft.commit()).await.unwrap();
    // Neither the mark nor the rate stands in the way of the same attempt.
    ledger.record(draft.commit()).await.unwrap();
    store.replica().await.record(draft.commit()).await.unwrap();

    let mut other = draft.clone();
    other.attempt = fresh();
    let refused = ledger.record(other.commit()).await;
    assert!(
        matches!(refused, Err(LedgerError::Corrupt { .. })),
        "{refused:?}"
    );
    // The same attempt with another credential would be a second success.
    other = draft.clone();
    other.issuance.id = CredentialId::new(0, fresh());
    let refused = ledger.record(other.commit()).await;
    assert!(matches!(refused, Err(LedgerError::Replayed)), "{refused:?}");
    let live = ledger.live_of(&draft.issuance.workload, now(), 9).await;
    assert_eq!(live.unwrap(), [draft.id()]);
}

async fn a_rate_lets_a_burst_through_and_then_waits(store: &Store) {
    let replicas = [store.replica().await, store.replica().await];
    let limits = [("workload:a/b", 10_000, 3), ("owner:a", 5_000, 5)];
    for i in 0..3 {
        let draft = Draft::limited(&limits);
        replicas[i % 2].record(draft.commit()).await.unwrap();
    }
    let refused = replicas[0].record(Draft::limited(&limits).commit()).await;
    let Err(LedgerError::RateLimited {
        key,
        retry_after_ms,
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(key, "workload:a/b");
    assert!(
        (5_000..=10_000).contains(&retry_after_ms),
        "{retry_after_ms}"
    );
    // The refusal did not count against the owner: two of its five are left.
    for _ in 0..2 {
        let draft = Draft::limited(&[("workload:a/c", 10_000, 9), ("owner:a", 5_000, 5)]);
        replicas[1].record(draft.commit()).await.unwrap();
    }
    let draft = Draft::limited(&[("workload:a/c", 10_000, 9), ("owner:a", 5_000, 5)]);
    let refused = replicas[1].record(draft.commit()).await;
    assert!(
        matches!(&refused, Err(LedgerError::RateLimited { key, .. }) if key == "owner:a"),
        "{refused:?}"
    );
    // A burst of zero still lets one through.
    let single = Draft::limited(&[("workload:a/d", 10_000, 0)]);
    replicas[0].record(single.commit()).await.unwrap();
}

async fn a_refusal_leaves_nothing_behind(store: &Store) {
    let ledger = store.replica().await;
    let used = fresh();
    ledger.record(Draft::once(used).commit()).await.unwrap();
    let mut drafts = Vec::new();
    let mut replayed = Draft::once(used);
    replayed.limits = Draft::limited(&[("workload:x/y", 60_000, 1)]).limits;
    drafts.push(replayed);
    let limits = [("workload:x/z", 60_000, 1)];
    ledger
        .record(Draft::limited(&limits).commit())
        .await
        .unwrap();
    let mut limited = Draft::limited(&limits);
    let unused = fresh();
    limited.replay = Draft::once(unused).replay;
    drafts.push(limited);
    for draft in &drafts {
        ledger.record(draft.commit()).await.unwrap_err();
        assert_eq!(ledger.issuance(draft.id()).await.unwrap(), None);
        let line = ledger.decision(draft.issuance.decision).await.unwrap();
        assert_eq!(line, None);
    }
    // Neither the rate of the replay nor the mark of the limited one was touched.
    let mut draft = Draft::limited(&[("workload:x/y", 60_000, 1)]);
    draft.replay = Draft::once(unused).replay;
    ledger.record(draft.commit()).await.unwrap();
}

async fn a_rate_is_only_as_long_as_it_says(store: &Store) {
    let ledger = store.replica().await;
    let limits = [("workload:a/b", 200, 1)];
    ledger
        .record(Draft::limited(&limits).commit())
        .await
        .unwrap();
    let mut waited = 0;
    while let Err(error) = ledger.record(Draft::limited(&limits).commit()).await {
        let LedgerError::RateLimited { retry_after_ms, .. } = error else {
            panic!("{error}");
        };
        assert!(retry_after_ms <= 200);
        tokio::time::sleep(Duration::from_millis(retry_after_ms)).await;
        waited += 1;
        assert!(waited < 5, "waiting as long as told does not help");
    }
}

async fn clocks_that_are_too_far_apart_refuse(store: &Store) {
    let ledger = store.replica().await;
    for (offset, sign) in [(-3_500_i64, -1), (3_500, 1)] {
        let mut draft = Draft::new();
        draft.unix_ms = draft.unix_ms.checked_add_signed(offset).unwrap();
        let refused = ledger.record(draft.commit()).await;
        let Err(LedgerError::ClockSkew { skew_ms }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(skew_ms.signum(), sign);
        assert!((2_000..5_000).contains(&skew_ms.abs()), "{skew_ms}");
        assert_eq!(ledger.issuance(draft.id()).await.unwrap(), None);
    }
    for offset in [-1_000_i64, 1_000] {
        let mut draft = Draft::new();
        draft.unix_ms = draft.unix_ms.checked_add_signed(offset).unwrap();
        ledger.record(draft.commit()).await.unwrap();
    }
    for extreme in [0, u64::MAX >> 16] {
        let mut draft = Draft::new();
        draft.unix_ms = extreme;
        let refused = ledger.record(draft.commit()).await;
        assert!(
            matches!(refused, Err(LedgerError::ClockSkew { .. })),
            "{refused:?}"
        );
    }
}

async fn the_generation_must_be_the_stores(store: &Store) {
    let ledger = store.replica().await;
    let state = ledger.load_control().await.unwrap();
    assert_eq!(state.generation, 1);
    assert!(state.generation_since <= in_secs(2) && state.generation_since >= in_secs(-10));
    assert!(state.store_ms.abs_diff(crate::draft::unix_ms()) < 1_000);

    let other = store.replica().await;
    assert_eq!(other.raise_generation(1, now()).await.unwrap(), 2);
    let draft = Draft::new();
    for (ours, ledger) in [(1, &ledger), (1, &other), (3, &ledger), (0, &ledger)] {
        let refused = ledger.record(draft.commit_in(ours)).await;
        assert!(
            matches!(refused, Err(LedgerError::Generation { ours: o, store: 2 }) if o == ours),
            "{refused:?}"
        );
        let refused = ledger.write_control(ours, &[]).await;
        assert!(
            matches!(refused, Err(LedgerError::Generation { ours: o, store: 2 }) if o == ours),
            "{refused:?}"
        );
    }
    ledger.record(draft.commit_in(2)).await.unwrap();
    let state = ledger.load_control().await.unwrap();
    assert_eq!(state.generation, 2);
    // The instant of the raise is the caller's, if it is the later one.
    let since = in_secs(2);
    ledger.raise_generation(2, since).await.unwrap();
    let state = ledger.load_control().await.unwrap();
    assert_eq!((state.generation, state.generation_since), (3, since));

    let refused = ledger.raise_generation(3, in_secs(3_600)).await;
    assert!(
        matches!(refused, Err(LedgerError::ClockSkew { .. })),
        "{refused:?}"
    );
}

async fn one_raise_of_a_generation_wins(store: &Store) {
    let replicas = [store.replica().await, store.replica().await];
    let tasks: Vec<_> = (0..10)
        .map(|i| {
            let ledger = replicas[i % 2].clone();
            tokio::spawn(async move { ledger.raise_generation(1, now()).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(2) => won += 1,
            Err(LedgerError::Generation { ours: 1, store: 2 }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
}

async fn everything_ends_by_itself(store: &Store) {
    let ledger = store.replica().await;
    // What is kept 4 s and 64 s beyond its end, has a little more than a second to go.
    let mut draft = Draft::new();
    draft.issuance.expires_at = in_secs(-62);
    let digest = fresh();
    draft.replay = Some(ReplayMark {
        digest,
        until: in_secs(-2),
    });
    ledger.record(draft.commit()).await.unwrap();
    assert!(ledger.issuance(draft.id()).await.unwrap().is_some());
    let again = ledger.record(Draft::once(digest).commit()).await;
    assert!(matches!(again, Err(LedgerError::Replayed)), "{again:?}");
    assert_eq!(
        ledger
            .live_of(&draft.issuance.workload, now(), 9)
            .await
            .unwrap(),
        []
    );

    tokio::time::sleep(Duration::from_millis(3_200)).await;
    assert_eq!(ledger.issuance(draft.id()).await.unwrap(), None);
    ledger.record(Draft::once(digest).commit()).await.unwrap();

    // What would end after all time is kept, not refused.
    let mut draft = Draft::new();
    draft.issuance.expires_at = UnixTime::MAX;
    draft.replay = Some(ReplayMark {
        digest: fresh(),
        until: UnixTime::MAX,
    });
    ledger.record(draft.commit()).await.unwrap();
    assert!(ledger.issuance(draft.id()).await.unwrap().is_some());
}

async fn many_at_once_are_all_recorded(store: &Store) {
    let replicas = [store.replica().await, store.replica().await];
    let tasks: Vec<_> = (0..400)
        .map(|i| {
            let ledger = replicas[i % 2].clone();
            tokio::spawn(async move {
                let mut draft = Draft::of(&format!("payments/w{}", i % 7));
                draft.limits = Draft::limited(&[("owner:payments", 1, 1_000)]).limits;
                ledger.record(draft.commit()).await.map(|()| draft)
            })
        })
        .collect();
    for task in tasks {
        let draft = task.await.unwrap().unwrap();
        let read = replicas[0].issuance(draft.id()).await.unwrap();
        assert_eq!(read, Some(draft.issuance));
    }
}

/// Names come from requests: none may reach another thing in the store.
async fn names_are_only_names(store: &Store) {
    let ledger = store.replica().await;
    ledger
        .write_control(1, &[crate::draft::entry("key:a", "kept")])
        .await
        .unwrap();
    for name in [
        "}:control:head",
        "{df0}:control:head",
        "a\r\nFLUSHALL\r\n",
        "\0",
        "",
        "ü€",
    ] {
        let draft = Draft::limited(&[(name, 1_000, 5)]);
        ledger.record(draft.commit()).await.unwrap();
        let slot = crate::draft::entry(name, "slot");
        ledger.write_control(1, &[slot]).await.unwrap();
    }
    let state = ledger.load_control().await.unwrap();
    assert_eq!(state.generation, 1);
    assert_eq!(state.entries.len(), 7);
    assert!(state.entries.contains(&b"kept".to_vec()));
}
