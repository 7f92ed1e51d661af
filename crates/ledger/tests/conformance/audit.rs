//! Audit lines.

use dayfly_issuer::LedgerError;
use dayfly_ledger::MAX_AUDIT_LINE_BYTES;
use dayfly_token::DecisionId;

use crate::draft::{Draft, fresh};
use crate::store::{CAPS, Store};

crate::against_both!(
    a_denial_is_found_by_its_decision,
    lines_beyond_the_cap_go_oldest_first_and_denials_push_out_no_permit,
    a_line_that_is_too_long_is_refused,
    the_denial_of_a_permit_that_was_not_released_is_the_last_word,
    a_flood_of_denials_leaves_room_for_permits,
);

async fn a_denial_is_found_by_its_decision(store: &Store) {
    let ledger = store.replica().await;
    let id = DecisionId::new(0, fresh());
    ledger
        .note_denial(id, "{\"outcome\":\"deny\"}")
        .await
        .unwrap();
    // Once: a second line does not replace the first.
    ledger
        .note_denial(id, "{\"outcome\":\"permit\"}")
        .await
        .unwrap();
    let other = store.replica().await;
    let line = other.decision(id).await.unwrap();
    assert_eq!(line.as_deref(), Some("{\"outcome\":\"deny\"}"));
}

async fn lines_beyond_the_cap_go_oldest_first_and_denials_push_out_no_permit(store: &Store) {
    let (ledger, _directory) = store.small().await;
    let mut permits = Vec::new();
    for _ in 0..CAPS.permits * 3 {
        let draft = Draft::new();
        ledger.record(draft.commit()).await.unwrap();
        permits.push(draft.issuance.decision);
    }
    let mut denials = Vec::new();
    for _ in 0..CAPS.denials * 6 {
        let id = DecisionId::new(0, fresh());
        ledger.note_denial(id, "{}").await.unwrap();
        denials.push(id);
    }
    for (decisions, cap) in [(&permits, CAPS.permits), (&denials, CAPS.denials)] {
        let cap = usize::try_from(cap).unwrap();
        let (old, kept) = decisions.split_at(decisions.len() - cap);
        for id in kept {
            assert!(ledger.decision(*id).await.unwrap().is_some());
        }
        // A store may be a little late with forgetting.
        let (gone, _) = old.split_at(old.len() - 32);
        for id in gone {
            assert_eq!(ledger.decision(*id).await.unwrap(), None);
        }
    }
}

async fn a_line_that_is_too_long_is_refused(store: &Store) {
    let ledger = store.replica().await;
    let mut draft = Draft::new();
    draft.audit = "x".repeat(MAX_AUDIT_LINE_BYTES + 1);
    let refused = ledger.record(draft.commit()).await;
    assert!(
        matches!(refused, Err(LedgerError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(ledger.issuance(draft.id()).await.unwrap(), None);
    let id = DecisionId::new(0, fresh());
    assert!(ledger.note_denial(id, &draft.audit).await.is_err());
    draft.audit.pop();
    ledger.record(draft.commit()).await.unwrap();
}

async fn a_flood_of_denials_leaves_room_for_permits(store: &Store) {
    let ledger = store.replica().await;
    let flood: Vec<_> = (0..8_000)
        .map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let id = DecisionId::new(0, fresh());
                ledger.note_denial(id, "{}").await
            })
        })
        .collect();
    for _ in 0..20 {
        ledger.record(Draft::new().commit()).await.unwrap();
    }
    for denial in flood {
        match denial.await.unwrap() {
            Ok(()) | Err(LedgerError::Unavailable { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

async fn the_denial_of_a_permit_that_was_not_released_is_the_last_word(store: &Store) {
    let ledger = store.replica().await;
    let draft = Draft::new();
    ledger.record(draft.commit()).await.unwrap();
    let decision = draft.issuance.decision;
    ledger.note_denial(decision, "not released").await.unwrap();
    let line = ledger.decision(decision).await.unwrap();
    assert_eq!(line.as_deref(), Some("not released"));
    // In whatever order they arrive.
    let draft = Draft::new();
    let decision = draft.issuance.decision;
    ledger.note_denial(decision, "not released").await.unwrap();
    ledger.record(draft.commit()).await.unwrap();
    let line = ledger.decision(decision).await.unwrap();
    assert_eq!(line.as_deref(), Some("not released"));
}
