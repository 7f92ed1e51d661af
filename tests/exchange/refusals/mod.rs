//! The error table, row by row: the status, the code, no credential, and the reason in the trail.

mod evidence;
mod grants;
mod requests;

use dayfly_lab::Svid;

use crate::harness::{Answer, Form, Scene, Trail, on_both_ledgers};

on_both_ledgers!(
    requests::a_request_that_cannot_be_read,
    requests::a_caller_that_does_not_prove_itself,
    evidence::an_assertion_that_does_not_count,
    evidence::a_subject_token_that_does_not_count,
    evidence::a_stranger_cannot_tell_one_no_from_another,
    grants::nothing_granted,
    grants::what_is_held_or_ended,
);

/// A request that is refused before anything is decided: what it is, the form, and the error.
type Unread<'a> = (&'a str, Form, &'a str);

/// A request that is denied: what it is, the form, the error, and the reason in the trail.
type Denied<'a> = (&'a str, Form, &'a str, &'a str);

async fn unread<'a>(
    scene: &Scene,
    svid: Option<&Svid>,
    rows: impl IntoIterator<Item = Unread<'a>>,
) {
    for (what, form, error) in rows {
        let answer = answered(scene, svid, what, &form, error).await;
        assert!(
            answer.body.get("decision_id").is_none(),
            "{what}: {answer:?}"
        );
    }
}

async fn denied<'a>(
    scene: &Scene,
    svid: Option<&Svid>,
    rows: impl IntoIterator<Item = Denied<'a>>,
) {
    for (what, form, error, reason) in rows {
        let answer = answered(scene, svid, what, &form, error).await;
        let line = Trail::of_denial(scene, &answer).await;
        assert_eq!(line["reason"], reason, "{what}: {line}");
        // Whoever is refused learns a code, and never which rule or claim it was.
        assert!(
            !answer.text("error_description").contains(reason),
            "{what}: {answer:?}"
        );
    }
}

async fn answered(
    scene: &Scene,
    svid: Option<&Svid>,
    what: &str,
    form: &Form,
    error: &str,
) -> Answer {
    let status = if error == "invalid_client" { 401 } else { 400 };
    let answer = scene.server.token(svid, form).await;
    assert_eq!(
        (answer.status, answer.text("error")),
        (status, error),
        "{what}: {answer:?}"
    );
    answer.refused(status, error);
    assert!(!answer.text("error_description").is_empty(), "{what}");
    assert!(!answer.text("request_id").is_empty(), "{what}");
    answer
}
