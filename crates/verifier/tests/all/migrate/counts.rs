//! What is counted, and what the report makes of it.

use axum::body::Body;
use dayfly_verifier::UnixTime;
use dayfly_verifier::migrate::{Blocker, Report, Stage};
use http::Request;
use tower::ServiceExt as _;

use super::{
    Api, DEADLINE, ENDED_KEY, KEY, KEYS_UNTIL, OTHER_KEY, UNKNOWN_KEY, ask, bearer, key_header,
    serve, set_clock,
};
use crate::fixture::NOW;

const DAY: u64 = 86_400;

#[tokio::test]
async fn a_report_for_people() {
    let api = Api::new();
    let address = serve(api.router()).await;
    api.migration.set_stage(KEYS_UNTIL).unwrap();
    let (key, token) = (key_header(KEY), bearer(&api.valid()));
    ask(address, "/", std::slice::from_ref(&key)).await;
    ask(address, "/", &[key_header(ENDED_KEY)]).await;
    set_clock(NOW.saturating_add(60));
    ask(address, "/", &[key.clone(), token.clone()]).await;
    ask(address, "/", &[key.clone(), bearer(&api.revoked())]).await;
    set_clock(NOW.saturating_add(90));
    ask(address, "/", &[key, token.clone()]).await;
    ask(address, "/", &[token]).await;
    ask(address, "/", &[key_header(UNKNOWN_KEY)]).await;
    ask(address, "/", &[]).await;
    let expected = "\
stage keys_until 2027-01-15T08:01:40Z, counted from 2027-01-15T08:00:00Z to 2027-01-15T08:01:30Z
KEY    OWNER      LAST USE              LAST USE ALONE        USES  ADMITTED  REFUSED  BESIDE A TOKEN
batch  tests      2027-01-15T08:01:30Z  2027-01-15T08:01:00Z  4     1         0        2
ended  tests      2027-01-15T08:00:00Z  2027-01-15T08:00:00Z  1     0         1        0
other  elsewhere  never                 never                 0     0         0        0
valid tokens by owner: tests 3
requests: 3 admitted by token, 1 by key; refused: 1 by token, 1 by key, 1 with an unknown key, 1 without any
";
    let report = api.migration.report();
    assert_eq!(report.to_string(), expected);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    let uses = report.keys[0].uses;
    assert_eq!(
        (
            uses.beside_refused_token,
            uses.beside_token_of_another_owner
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn two_identities_in_one_request_are_noticed() {
    let api = Api::new();
    let address = serve(api.router()).await;
    api.migration.set_stage(Stage::AcceptBoth).unwrap();
    ask(address, "/", &[key_header(OTHER_KEY), bearer(&api.valid())]).await;
    let uses = api.migration.report().keys[0].uses;
    assert_eq!(
        (
            uses.beside_token,
            uses.beside_token_of_another_owner,
            uses.admitted
        ),
        (1, 1, 0)
    );
}

/// The whole way, with the question before each step.
#[tokio::test]
async fn the_next_step_is_safe_when_nobody_would_be_hit() {
    let api = Api::new();
    let address = serve(api.router()).await;
    let next = || api.migration.report().next_step(100);
    let names = |blockers: &[Blocker]| -> Vec<String> {
        let name = |blocker| {
            serde_json::to_value(blocker).unwrap()["blocker"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        blockers.iter().map(name).collect()
    };
    let at = |secs| set_clock(NOW.saturating_add(secs));

    assert_eq!(
        (next().to, names(&next().blockers)),
        ("accept_both", vec!["counted_too_shortly".to_owned()])
    );
    ask(address, "/", &[key_header(KEY), bearer(&api.revoked())]).await;
    at(99);
    assert_eq!(
        names(&next().blockers),
        ["key_beside_refused_token", "counted_too_shortly"]
    );
    at(100);
    assert!(next().is_safe(), "{}", next());

    api.migration.set_stage(Stage::AcceptBoth).unwrap();
    ask(address, "/", &[key_header(KEY)]).await;
    assert_eq!(
        (next().to, names(&next().blockers)),
        ("keys_until", vec!["no_token_yet".to_owned()])
    );
    ask(address, "/", &[bearer(&api.valid())]).await;
    assert!(next().is_safe());

    api.migration
        .set_stage(Stage::KeysUntil {
            deprecated_at: NOW,
            deadline: NOW.saturating_add(DAY),
        })
        .unwrap();
    at(199);
    assert_eq!(
        (next().to, names(&next().blockers)),
        ("tokens_only", vec!["key_relied_on".to_owned()])
    );
    assert_eq!(
        next().to_string(),
        "next: tokens_only, not yet:\n- key `batch` of `tests` came without a valid token, at 2027-01-15T08:01:40Z"
    );
    // A key beside a valid token keeps nobody from the step.
    at(200);
    ask(address, "/", &[key_header(KEY), bearer(&api.valid())]).await;
    assert!(next().is_safe());
    assert_eq!(next().to_string(), "next: tokens_only, safe");

    api.migration.set_stage(Stage::TokensOnly).unwrap();
    ask(address, "/", &[key_header(KEY)]).await;
    assert_eq!(
        (next().to, names(&next().blockers)),
        ("layer removed", vec!["key_relied_on".to_owned()])
    );
    let uses = api.migration.report().keys[0].uses;
    assert_eq!((uses.refused_by_stage, uses.presented), (1, 4));
    // The straggler is named, so going back is a decision and no guess.
    api.migration.set_stage(KEYS_UNTIL).unwrap();
    set_clock(DEADLINE.saturating_sub(1));
    assert_eq!(ask(address, "/", &[key_header(KEY)]).await.short(), "key");
}

#[tokio::test]
async fn keys_that_can_be_deleted() {
    let api = Api::new();
    let address = serve(api.router()).await;
    ask(address, "/", &[key_header(KEY)]).await;
    let unused = |secs| -> Vec<String> {
        let report = api.migration.report();
        report
            .unused_for(secs)
            .map(|key| key.id.to_string())
            .collect()
    };
    set_clock(NOW.saturating_add(7 * DAY - 1));
    assert!(unused(7 * DAY).is_empty(), "counted too shortly");
    assert_eq!(unused(DAY), ["batch", "ended", "other"]);
    ask(address, "/", &[key_header(OTHER_KEY)]).await;
    set_clock(NOW.saturating_add(7 * DAY));
    assert_eq!(unused(7 * DAY), ["batch", "ended"]);
    // What is refused is still in use.
    ask(address, "/", &[key_header(ENDED_KEY)]).await;
    assert_eq!(unused(7 * DAY), ["batch"]);
}

#[tokio::test]
async fn replicas_and_restarts() {
    let [one, two] = [Api::new(), Api::new()];
    let address = serve(one.router()).await;
    ask(address, "/", &[key_header(KEY)]).await;
    ask(address, "/", &[key_header(UNKNOWN_KEY)]).await;
    set_clock(NOW.saturating_add(50));
    let three = Api::new();
    for api in [&two, &three] {
        api.migration.set_stage(Stage::AcceptBoth).unwrap();
        let address = serve(api.router()).await;
        ask(address, "/", &[key_header(KEY)]).await;
        ask(address, "/", &[bearer(&api.valid())]).await;
    }
    let mut sum = one.migration.report();
    sum.merge(&two.migration.report());
    sum.merge(&three.migration.report());
    let key = &sum.keys[0];
    assert_eq!(
        (key.uses.presented, key.first_seen, key.last_seen),
        (3, Some(NOW), Some(NOW.saturating_add(50)))
    );
    assert_eq!(
        (
            sum.requests.admitted_by_token,
            sum.requests.unknown_keys,
            sum.tokens_by_owner["tests"]
        ),
        (2, 1, 2)
    );
    // The replica that knows least bounds what can be said, and the one that is behind says the stage.
    assert_eq!(
        (sum.counting_since, sum.stage),
        (NOW.saturating_add(50), Stage::Observe)
    );

    let restarted = Api::new();
    restarted.migration.resume(&one.migration.report());
    let (resumed, mut saved) = (restarted.migration.report(), one.migration.report());
    assert_eq!(resumed.counting_since, NOW);
    saved.at = resumed.at;
    assert_eq!(resumed, saved);
}

#[test]
fn counts_are_exact_under_threads() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 300;
    let api = Api::new();
    api.migration.set_stage(Stage::AcceptBoth).unwrap();
    let valid = format!("Bearer {}", api.valid());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                let router = api.router();
                let send = |headers: &[(&str, &str)]| {
                    let mut request = Request::builder().uri("/");
                    for (name, value) in headers {
                        request = request.header(*name, *value);
                    }
                    let request = request.body(Body::empty()).unwrap();
                    runtime.block_on(router.clone().oneshot(request)).unwrap()
                };
                for round in 0..ROUNDS {
                    set_clock(NOW.saturating_add(round % 7));
                    send(&[("x-api-key", KEY)]);
                    send(&[("x-api-key", KEY), ("authorization", &valid)]);
                    send(&[("x-api-key", UNKNOWN_KEY)]);
                    if round % 50 == 0 {
                        api.migration.replace_keys(super::keys()).unwrap();
                    }
                }
            });
        }
    });
    let report = api.migration.report();
    let (key, requests, all) = (&report.keys[0], &report.requests, THREADS * ROUNDS);
    assert_eq!(
        (key.uses.presented, key.uses.admitted, key.uses.beside_token),
        (2 * all, all, all)
    );
    assert_eq!(
        (requests.admitted_by_key, requests.admitted_by_token),
        (all, all)
    );
    assert_eq!(
        (requests.unknown_keys, requests.refused_as_unknown),
        (all, all)
    );
    assert_eq!(report.tokens_by_owner["tests"], all);
    assert_eq!(
        (key.first_seen, key.last_seen),
        (Some(NOW), Some(UnixTime::from_secs(NOW.as_secs() + 6)))
    );
}
