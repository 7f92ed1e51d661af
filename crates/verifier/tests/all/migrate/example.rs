//! The example that plays the whole story.

use std::path::PathBuf;
use std::process::Command;

/// Beside the tests' own executable. `cargo test` builds it, and `cargo test --test all` does not: then it is built now.
fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.ancestors().nth(2).unwrap().join("examples/migration");
    if !path.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--all-features", "--example", "migration"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success());
    }
    path
}

#[test]
fn the_example_plays_the_story() {
    let output = Command::new(example()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    let mut rest = told.as_str();
    for expected in [
        "own check removed, safe",
        "stage observe",
        "next: accept_both, not yet",
        "next: accept_both, safe",
        "stage accept_both",
        "Sunset:",
        "stage keys_until",
        "next: tokens_only, not yet",
        "billing-batch",
        "next: tokens_only, safe",
        "stage tokens_only",
        "refused since keys are refused: billing-batch",
        "back to keys_until",
        "layer removed, safe",
    ] {
        let at = rest.find(expected);
        rest = &rest[at.unwrap_or_else(|| panic!("{expected} in:\n{rest}"))..];
    }
    assert!(!told.contains("live_"), "a key is printed:\n{told}");
}
