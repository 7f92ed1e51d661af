//! Each example starts, says what it should, and ends by itself.
//!
//! `cargo test` builds them next to this binary, unless it is told to build one test alone (`--test all`): then
//! `cargo build --all-features --examples` must have been there before.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often to look whether an example has ended, and how many times: 30 s, far more than any needs.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSES: u32 = 3000;

fn binary(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        path.exists(),
        "{} is not built: `cargo build --all-features --examples`",
        path.display()
    );
    path
}

/// What an example prints and logs.
fn run(name: &str) -> (String, String) {
    let mut child = Command::new(binary(name))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pauses = 0;
    while child.try_wait().unwrap().is_none() {
        if pauses == PAUSES {
            child.kill().unwrap();
            panic!("{name} does not end");
        }
        std::thread::sleep(PAUSE);
        pauses += 1;
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(
        output.status.success(),
        "{name}: {}\n{out}\n{err}",
        output.status
    );
    (out, err)
}

#[track_caller]
fn says(output: &str, lines: &[&str]) {
    let mut rest = output;
    for line in lines {
        let Some((_, after)) = rest.split_once(line) else {
            panic!("`{line}` does not follow in\n{output}");
        };
        rest = after;
    }
}

#[test]
fn axum() {
    let (out, err) = run("axum");
    says(
        &out,
        &[
            "GET /orders: 401",
            "resource_metadata=\"https://orders.internal/.well-known/oauth-protected-resource\"",
            "GET /orders: 200",
            "the orders, for spiffe://test.example/tests/caller",
            "POST /orders: 403",
            "error=\"insufficient_scope\",scope=\"orders:write\"",
            "POST /orders: 200",
            "placed for the task \"tests/task\"",
            "GET /orders: 429",
            "retry-after: ",
            "GET /.well-known/oauth-protected-resource: 200",
            "\"authorization_servers\":[\"https://sts.example.org\"]",
        ],
    );
    says(
        &err,
        &[
            "token_missing",
            "dayfly::access::accepted",
            "insufficient_scope",
            "rate_limited",
        ],
    );
}

#[test]
fn offline_bundle() {
    says(
        &run("offline_bundle").0,
        &[
            "before a bundle:",
            "refused, keys_unavailable",
            "with a bundle:",
            "spiffe://test.example/tests/caller: accepted",
            "with one in which the task is revoked:",
            "refused, revoked",
        ],
    );
}

#[test]
fn tonic() {
    says(
        &run("tonic").0,
        &[
            "nobody: Unauthenticated",
            "a reader: PermissionDenied",
            "scope=\"orders:write\"",
            "a writer: two pens ordered by spiffe://test.example/tests/caller",
        ],
    );
}

#[test]
fn worker() {
    says(
        &run("worker").0,
        &[
            "a receipt: done for spiffe://test.example/tests/caller",
            "an inbox: spiffe://test.example/tests/caller may not send mail",
            "an old receipt: expired",
            "a stray message: malformed",
        ],
    );
}
