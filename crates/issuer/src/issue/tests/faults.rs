//! A fault at each step: no credential without its record, and no answer that waits for a ledger
//! that does not answer.

use super::*;
use crate::testing::{Call, Fault, poll_once};

const FAULTS: [Fault; 4] = [
    Fault::Refused,
    Fault::AnswerLost,
    Fault::TimedOut,
    Fault::TimedOutLate,
];

#[test]
fn whatever_happens_to_the_record_no_credential_comes_without_it() {
    for fault in FAULTS {
        let mut rig = Rig::new();
        rig.ledger.fail_next(Call::Record, fault);
        let outcome = rig.token(svid(), wants(AUDIENCE));
        let expected = Refused {
            reason: Reason::LedgerUnavailable,
            retry_after_secs: Some(1),
        };
        assert_eq!(*outcome.result.as_ref().unwrap_err(), expected, "{fault:?}");
        assert!(outcome.audit.contains("\"outcome\":\"deny\""));
        assert!(
            !rig.ledger
                .decisions()
                .values()
                .any(|line| *line == outcome.audit)
        );

        // In the background, when the ledger answers again.
        let (decision, audit) = (outcome.decision, outcome.audit.clone());
        run(rig.issuer.settle(outcome.unsettled.unwrap())).unwrap();
        assert_eq!(
            rig.ledger.decisions()[&decision],
            audit,
            "the denial replaces the permit"
        );
        let states: Vec<_> = rig.ledger.issuances().iter().map(|i| i.state).collect();
        assert!(
            states.iter().all(|state| *state == IssuanceState::Void),
            "{fault:?} {states:?}"
        );
    }
}

#[test]
fn a_ledger_that_hangs_gets_no_credential_out_either() {
    let mut rig = Rig::new();
    rig.ledger.fail_next(Call::Record, Fault::Hang);
    let request = IssueRequest {
        principal: Ok(svid()),
        request: wants(AUDIENCE),
        want: Want::Token,
        context: context("client_credentials"),
    };
    let outcome = poll_once(rig.issuer.issue(request, rig.now, &mut rig.rng));
    assert!(
        outcome.is_none(),
        "the adapter's bound ends it; dropped before, nothing is released"
    );
}

#[test]
fn what_the_ledger_did_not_take_is_still_to_be_settled() {
    for call in [Call::Void, Call::NoteDenial] {
        let mut rig = Rig::new();
        rig.ledger.fail_next(Call::Record, Fault::TimedOutLate);
        rig.ledger.fail_next(call, Fault::Refused);
        let outcome = rig.token(svid(), wants(AUDIENCE));
        let left = run(rig.issuer.settle(outcome.unsettled.unwrap())).unwrap_err();
        run(rig.issuer.settle(left)).unwrap();
        assert!(
            rig.ledger
                .issuances()
                .iter()
                .all(|issuance| issuance.state == IssuanceState::Void)
        );
        assert_eq!(rig.ledger.decisions()[&outcome.decision], outcome.audit);
    }
}

#[test]
fn a_denial_that_the_ledger_does_not_keep_is_still_a_denial() {
    for fault in FAULTS {
        let mut rig = Rig::new();
        rig.ledger.fail_next(Call::NoteDenial, fault);
        let outcome = rig.token(svid(), wants("https://unknown.internal"));
        assert!(outcome.result.is_err() && outcome.unsettled.is_none());
        assert!(outcome.audit.contains("unknown_audience"));
    }
}

#[test]
fn another_generation_stops_issuing_until_the_store_was_read_again() {
    let mut rig = Rig::new();
    run(rig.ledger.raise_generation(1, UnixTime::from_secs(T))).unwrap();
    let outcome = rig.token(svid(), wants(AUDIENCE));
    let refused = *outcome.result.as_ref().unwrap_err();
    assert_eq!(
        (refused.reason, refused.retry_after_secs),
        (Reason::Generation, Some(1))
    );
    assert_eq!(rig.issuer.control().read().unwrap().store(), None);
    let unsettled = outcome.unsettled.unwrap();
    assert!(
        unsettled.credential.is_none(),
        "it was refused, so there is nothing to void"
    );
    run(rig.issuer.settle(unsettled)).unwrap();
    // From now on it is refused before anything is minted.
    assert_eq!(rig.reason(svid(), wants(AUDIENCE)), Reason::Generation);
    let life = StoreLife {
        generation: 2,
        since: UnixTime::from_secs(T),
        epoch: "2".to_owned(),
    };
    rig.issuer.control().write().unwrap().adopt_store(life);
    issued(&rig.token(svid(), wants(AUDIENCE)));
}

#[test]
fn a_late_answer_does_not_stop_the_life_that_came_after() {
    let rig = Rig::new();
    let life = StoreLife {
        generation: 2,
        since: UnixTime::from_secs(T),
        epoch: "2".to_owned(),
    };
    let mut view = rig.issuer.control().write().unwrap();
    view.adopt_store(life.clone());
    view.forget_store(1);
    assert_eq!(view.store(), Some(&life));
}
