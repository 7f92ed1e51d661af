//! Who gets in: the table, forwards and back.

use dayfly_verifier::UnixTime;
use dayfly_verifier::migrate::Stage;

use super::{
    Api, DEADLINE, ENDED_KEY, KEY, KEYS_UNTIL, OTHER_KEY, UNKNOWN_KEY, ask, bearer, key_header,
    serve, set_clock,
};
use crate::fixture::NOW;

/// By what each request is let in, or the status that it gets.
const TABLE: &str = "
credentials                          | observe | accept_both | keys_until | past_deadline | tokens_only
nothing                              | 401     | 401         | 401        | 401           | 401
valid key                            | key     | key         | key        | 401           | 401
unknown key                          | 401     | 401         | 401        | 401           | 401
ended key                            | 401     | 401         | 401        | 401           | 401
short key                            | 401     | 401         | 401        | 401           | 401
two keys                             | 400     | 400         | 400        | 400           | 401
valid token                          | 401     | token       | token      | token         | token
token for another API                | 401     | 401         | 401        | 401           | 401
revoked token                        | 401     | 401         | 401        | 401           | 401
two tokens                           | 401     | 400         | 400        | 400           | 400
valid key, valid token               | key     | token       | token      | token         | token
valid key, token for another API     | key     | 401         | 401        | 401           | 401
valid key, revoked token             | key     | 401         | 401        | 401           | 401
valid key, two tokens                | key     | 400         | 400        | 400           | 400
another owner's key, valid token     | key     | token       | token      | token         | token
unknown key, valid token             | 401     | token       | token      | token         | token
unknown key, revoked token           | 401     | 401         | 401        | 401           | 401
ended key, valid token               | 401     | token       | token      | token         | token
ended key, revoked token             | 401     | 401         | 401        | 401           | 401
two keys, valid token                | 400     | token       | token      | token         | token
";

fn headers_for(api: &Api, credentials: &str) -> Vec<String> {
    let valid = || bearer(&api.valid());
    let mut headers = Vec::new();
    for credential in credentials.split(", ") {
        headers.extend(match credential {
            "nothing" => vec![],
            "valid key" => vec![key_header(KEY)],
            "another owner's key" => vec![key_header(OTHER_KEY)],
            "unknown key" => vec![key_header(UNKNOWN_KEY)],
            "ended key" => vec![key_header(ENDED_KEY)],
            "short key" => vec![key_header("short")],
            "two keys" => vec![key_header(KEY), key_header(KEY)],
            "valid token" => vec![valid()],
            "token for another API" => vec![bearer(&api.for_another_api())],
            "revoked token" => vec![bearer(&api.revoked())],
            "two tokens" => vec![valid(), valid()],
            other => panic!("{other}"),
        });
    }
    headers
}

#[tokio::test]
async fn who_gets_in_at_each_stage_forwards_and_back() {
    let api = Api::new();
    let address = serve(api.router()).await;
    let columns = [
        (Stage::Observe, NOW),
        (Stage::AcceptBoth, NOW),
        (KEYS_UNTIL, NOW),
        (KEYS_UNTIL, DEADLINE),
        (Stage::TokensOnly, NOW),
    ];
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let forwards = 0..columns.len();
    for column in forwards.clone().chain(forwards.rev()) {
        let (stage, now) = columns[column];
        set_clock(now);
        api.migration.set_stage(stage).unwrap();
        for row in &rows[1..] {
            let answer = ask(address, "/", &headers_for(&api, row[0])).await;
            let place = format!("{} / {}", row[0], rows[0][column + 1]);
            assert_eq!(answer.short(), row[column + 1], "{place}");
        }
    }
}

#[tokio::test]
async fn deadlines_are_exact() {
    let api = Api::new();
    let address = serve(api.router()).await;
    let key = [key_header(KEY)];
    api.migration.set_stage(KEYS_UNTIL).unwrap();
    for (now, expected) in [
        (DEADLINE.saturating_sub(1), "key"),
        (DEADLINE, "401"),
        (DEADLINE.saturating_add(1), "401"),
        (UnixTime::MAX, "401"),
        (DEADLINE.saturating_sub(1), "key"),
    ] {
        set_clock(now);
        assert_eq!(ask(address, "/", &key).await.short(), expected, "{now}");
    }
    // A key's own end holds in every stage, and the earlier of both counts.
    let ended = [key_header(ENDED_KEY)];
    for stage in [Stage::Observe, Stage::AcceptBoth, KEYS_UNTIL] {
        api.migration.set_stage(stage).unwrap();
        for (now, expected) in [(NOW.saturating_sub(1), "key"), (NOW, "401")] {
            set_clock(now);
            assert_eq!(
                ask(address, "/", &ended).await.short(),
                expected,
                "{stage} {now}"
            );
        }
    }
    let past = Stage::KeysUntil {
        deprecated_at: NOW.saturating_sub(20),
        deadline: NOW.saturating_sub(10),
    };
    api.migration.set_stage(past).unwrap();
    set_clock(NOW.saturating_sub(10));
    assert_eq!(ask(address, "/", &ended).await.short(), "401");
    set_clock(NOW.saturating_sub(11));
    assert_eq!(ask(address, "/", &ended).await.short(), "key");
}

#[tokio::test]
async fn a_stage_that_cannot_be_changes_nothing() {
    let api = Api::new();
    let backwards = Stage::KeysUntil {
        deprecated_at: DEADLINE.saturating_add(1),
        deadline: DEADLINE,
    };
    assert!(api.migration.set_stage(backwards).is_err());
    assert_eq!(api.migration.stage(), Stage::Observe);
}
