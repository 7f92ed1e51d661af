//! `verify` and `inspect`: offline, from files.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Desk;
use super::golden::assert_shape;
use crate::harness::{Cli, FLEET_API, Form, PAYMENTS_API, has_program, now, with_other_signature};

/// The issuer's documents in files, as anybody gets them.
struct Files {
    issuer: String,
    jwks: PathBuf,
    trust: PathBuf,
    feed: PathBuf,
}

impl Files {
    async fn download(desk: &Desk, name: &str) -> Self {
        let server = &desk.scene.server;
        let mut paths = Vec::new();
        for (document, path) in [
            ("jwks", "/.well-known/jwks.json"),
            ("trust", "/v1/trust"),
            ("feed", "/v1/feed"),
        ] {
            let response = server
                .client(None)
                .get(format!("{}{path}", server.url))
                .send()
                .await;
            let text = response.unwrap().text().await.unwrap();
            paths.push(desk.scene.world.write(&format!("{name}.{document}"), &text));
        }
        let [jwks, trust, feed] = paths.try_into().unwrap();
        Self {
            issuer: desk.scene.issuer().to_owned(),
            jwks,
            trust,
            feed,
        }
    }

    /// `dayfly verify` with the keys; it needs no CA, because it calls nobody.
    fn verify(&self, audience: &str) -> Cli {
        Cli::default()
            .args(["verify", "--issuer", &self.issuer, "--audience", audience])
            .arg("--jwks")
            .arg(&self.jwks)
    }

    /// And with what is known of revocations.
    fn verify_fully(&self, audience: &str) -> Cli {
        self.verify(audience)
            .arg("--feed")
            .arg(&self.feed)
            .arg("--trust")
            .arg(&self.trust)
    }
}

async fn rejected(command: &Cli, token: &str, code: &str) {
    let value = command.json_with(token, 1).await;
    assert_eq!(value["verdict"], "rejected", "{value}");
    assert_eq!(value["code"], code, "{value}");
    assert!(value["reason"].is_string(), "{value}");
    let printed = command.run_with(token).await;
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(
        printed.stdout.starts_with(&format!("rejected: {code} (")),
        "{printed:?}"
    );
}

pub(super) async fn says_accepted_and_why_not(desk: &Desk) {
    let agent = desk.agent("desk/verify");
    let (token, doomed) = (agent.token().await, agent.token().await);
    let files = Files::download(desk, "before").await;

    let (plain, full) = (files.verify(FLEET_API), files.verify_fully(FLEET_API));
    // Without the feed nothing is known of revocations, and the answer says so.
    let value = plain.json_with(&token, 0).await;
    assert_shape("verify-unknown", &value);
    assert_eq!(
        (&value["verdict"], &value["revocation"]),
        (&json!("accepted"), &json!("unknown"))
    );
    assert_eq!(
        value["claims"]["sub"],
        "spiffe://sts.example.org/desk/verify"
    );
    let value = full.json_with(&format!("{token}\r\n"), 0).await;
    assert_shape("verify-fresh", &value);
    assert_eq!(value["revocation"], "fresh");
    let printed = full.run_with(&token).await;
    assert!(
        printed.done().starts_with("accepted; revocation: fresh\n"),
        "{printed:?}"
    );
    let later = (now() + 100).to_string();
    let value = full
        .clone()
        .args(["--now", &later])
        .json_with(&token, 0)
        .await;
    assert_shape("verify-stale", &value);
    assert!(
        (95..=105).contains(&value["revocation_age_secs"].as_u64().unwrap()),
        "{value}"
    );

    every_rejection(&files, &token).await;

    desk.console
        .done("revoke", "credential", &crate::harness::id_of(&doomed))
        .await;
    assert_eq!(
        full.json_with(&doomed, 0).await["verdict"],
        "accepted",
        "an older snapshot"
    );
    let files = Files::download(desk, "after").await;
    rejected(&files.verify_fully(FLEET_API), &doomed, "revoked").await;
    assert_shape(
        "verify-rejected",
        &files.verify_fully(FLEET_API).json_with(&doomed, 1).await,
    );
    files.verify_fully(FLEET_API).run_with(&token).await.done();
    // Who was not told does not know.
    files.verify(FLEET_API).run_with(&doomed).await.done();
    curl_downloads_the_same(desk, &doomed).await;

    files_that_are_wrong(desk, &files, &token).await;
}

async fn every_rejection(files: &Files, token: &str) {
    let plain = files.verify(FLEET_API);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let later = (now() + 3600).to_string();
    let earlier = (now() - 3600).to_string();
    rejected(&plain.clone().args(["--now", &later]), token, "expired").await;
    rejected(
        &plain.clone().args(["--now", &earlier]),
        token,
        "not_yet_valid",
    )
    .await;
    rejected(&files.verify(PAYMENTS_API), token, "wrong_audience").await;
    rejected(&plain, &with_other_signature(token), "bad_signature").await;
    rejected(
        &plain,
        &format!("{header}.e30.{signature}"),
        "bad_signature",
    )
    .await;
    rejected(&plain, "no.token", "malformed").await;
    rejected(&plain, &"a".repeat(20_000), "too_large").await;
    let other = Files {
        issuer: "https://other.example".to_owned(),
        ..files.copy()
    };
    rejected(&other.verify(FLEET_API), token, "wrong_issuer").await;
    // The keys of the feed are no keys of tokens.
    let swapped = Files {
        jwks: files.trust.clone(),
        ..files.copy()
    };
    rejected(&swapped.verify(FLEET_API), token, "unknown_kid").await;
}

impl Files {
    fn copy(&self) -> Self {
        Self {
            issuer: self.issuer.clone(),
            jwks: self.jwks.clone(),
            trust: self.trust.clone(),
            feed: self.feed.clone(),
        }
    }
}

/// A wrong file is a wrong call, and never a verdict.
async fn files_that_are_wrong(desk: &Desk, files: &Files, token: &str) {
    let text = std::fs::read_to_string(&files.feed).unwrap();
    let world = &desk.scene.world;
    let forged = world.write("forged.feed", &with_other_signature(&text));
    let not_json = world.write("not.json", "{");
    let with_feed = |feed: &PathBuf, trust: &PathBuf| {
        files
            .verify(FLEET_API)
            .arg("--feed")
            .arg(feed)
            .arg("--trust")
            .arg(trust)
    };
    for command in [
        with_feed(&forged, &files.trust),
        with_feed(&files.feed, &files.jwks),
        with_feed(&files.feed, &not_json),
        with_feed(&not_json, &files.trust),
        files.verify(FLEET_API).arg("--feed").arg(&files.feed),
        Files {
            jwks: not_json.clone(),
            ..files.copy()
        }
        .verify(FLEET_API),
        Files {
            jwks: world.path("missing"),
            ..files.copy()
        }
        .verify(FLEET_API),
        files.verify(FLEET_API).args(["--leeway", "3600"]),
        Cli::default()
            .args(["verify", "--audience", FLEET_API])
            .arg("--jwks")
            .arg(&files.jwks),
    ] {
        let printed = command.run_with(token).await;
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (2, ""),
            "{command:?}: {printed:?}"
        );
    }
    let printed = files.verify(FLEET_API).run_with("").await;
    assert_eq!(printed.code, 2, "nothing on standard input: {printed:?}");
}

/// The three documents by a program that knows nothing of dayfly.
async fn curl_downloads_the_same(desk: &Desk, revoked: &str) {
    if !has_program("curl") {
        println!("skipped: no curl");
        return;
    }
    let world = &desk.scene.world;
    let names = [
        ("jwks", ".well-known/jwks.json"),
        ("trust", "v1/trust"),
        ("feed", "v1/feed"),
    ];
    let [jwks, trust, feed] = names.map(|(name, path)| {
        let to = world.path(&format!("curl.{name}"));
        let ended = std::process::Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--noproxy",
                "*",
                "--cacert",
            ])
            .arg(world.path("ca.pem"))
            .arg("--output")
            .arg(&to)
            .arg(format!("{}/{path}", desk.scene.server.url))
            .status();
        assert!(ended.unwrap().success(), "{path}");
        to
    });
    let files = Files {
        issuer: desk.scene.issuer().to_owned(),
        jwks,
        trust,
        feed,
    };
    rejected(&files.verify_fully(FLEET_API), revoked, "revoked").await;
}

pub(super) async fn a_bound_token_takes_its_certificate(desk: &Desk) {
    let svid = desk.scene.world.svid("payments/worker");
    let form = Form::client_credentials(&svid.spiffe_id, PAYMENTS_API);
    let answer = desk.scene.server.token(Some(&svid), &form).await;
    let token = answer.access_token();
    let files = Files::download(desk, "bound").await;
    rejected(&files.verify(PAYMENTS_API), token, "unproven_confirmation").await;
    let cert = desk.scene.world.write("bound.pem", &svid.cert_chain_pem);
    let other = desk.scene.world.write(
        "other.pem",
        &desk.scene.world.svid("payments/worker").cert_chain_pem,
    );
    let with = |path: &PathBuf| files.verify(PAYMENTS_API).arg("--client-cert").arg(path);
    assert_eq!(with(&cert).json_with(token, 0).await["verdict"], "accepted");
    rejected(&with(&other), token, "unproven_confirmation").await;
}

pub(super) async fn inspect_proves_nothing(desk: &Desk) {
    let token = desk.agent("desk/verify").token().await;
    let (head, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{head}.AAAA");
    for token in [&token, &forged] {
        let value = Cli::default().args(["inspect"]).json_with(token, 0).await;
        assert_shape("inspect", &value);
        assert_eq!(value["verified"], Value::Bool(false));
        assert_eq!(value["payload"]["aud"], FLEET_API);
        let printed = Cli::default().args(["inspect"]).run_with(token).await;
        assert!(printed.done().starts_with("NOT VERIFIED"), "{printed:?}");
    }
    for garbage in [
        "",
        "x",
        "a.b",
        "e30.e30",
        "e30.W10.AAAA",
        "\u{0}.\u{0}.\u{0}",
    ] {
        let printed = Cli::default().args(["inspect"]).run_with(garbage).await;
        assert_eq!(
            (printed.code, printed.stdout.as_str()),
            (2, ""),
            "{garbage:?}: {printed:?}"
        );
    }
}
