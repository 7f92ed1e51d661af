//! Every `--help`, in files that people can read; completions and man pages.

use super::golden::assert_golden;
use crate::harness::Cli;

/// Each command with its golden file.
const COMMANDS: &[&str] = &[
    "",
    "cert",
    "completions",
    "config",
    "config check",
    "config schema",
    "demo",
    "hold",
    "hold lift",
    "hold list",
    "hold set",
    "inspect",
    "revoke",
    "serve",
    "task",
    "task complete",
    "task open",
    "task revoke",
    "token",
    "verify",
    "why",
];

#[tokio::test]
async fn every_help_is_the_golden_one() {
    for command in COMMANDS {
        let help = help_of(command).await;
        let name = if command.is_empty() {
            "dayfly".to_owned()
        } else {
            command.replace(' ', "-")
        };
        assert_golden(&format!("help/{name}.txt"), &help);
    }
}

/// Nobody adds a command without its help in the list above.
#[tokio::test]
async fn every_command_is_listed() {
    for parent in COMMANDS {
        let help = help_of(parent).await;
        let Some((_, rest)) = help.split_once("\nCommands:\n") else {
            continue;
        };
        for line in rest.lines().take_while(|line| !line.is_empty()) {
            // What is indented by more goes on with a description.
            let name = line
                .strip_prefix("  ")
                .and_then(|rest| rest.split(' ').next());
            let Some(name) = name.filter(|name| !name.is_empty() && *name != "help") else {
                continue;
            };
            let full = format!("{parent} {name}");
            assert!(COMMANDS.contains(&full.trim()), "{full} has no golden help");
        }
    }
}

async fn help_of(command: &str) -> String {
    let command = Cli::default().args(command.split_whitespace());
    command.arg("--help").run().await.done().to_owned()
}

#[tokio::test]
async fn the_exit_statuses_are_documented() {
    let printed = Cli::default().arg("--help").run().await;
    for status in [
        "0 done or accepted",
        "1 refused",
        "2 wrong call",
        "3 the issuer",
        "4 dayfly itself",
    ] {
        assert!(printed.done().contains(status), "{status}: {printed:?}");
    }
    let version = Cli::default().arg("--version").run().await;
    assert!(version.done().starts_with("dayfly "), "{version:?}");
    assert_eq!(Cli::default().run().await.code, 2);
}

#[tokio::test]
async fn completions_and_man_pages_are_generated() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let printed = Cli::default().args(["completions", shell]).run().await;
        let text = printed.done();
        assert!(
            text.contains("dayfly") && text.contains("audience"),
            "{shell}"
        );
    }
    assert_eq!(
        Cli::default()
            .args(["completions", "tcsh"])
            .run()
            .await
            .code,
        2
    );
    let folder = tempfile::tempdir().unwrap();
    Cli::default()
        .arg("man")
        .arg(folder.path())
        .run()
        .await
        .done();
    let page = std::fs::read_to_string(folder.path().join("dayfly-verify.1")).unwrap();
    assert!(page.contains("\\-\\-audience"), "{page}");
}
