//! `demo`: the whole story, in seconds.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{Cli, binary, has_program};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_the_demo_holds() {
    let printed = Cli::default().args(["demo", "--json"]).run().await;
    let text = printed.done();
    let last = text.lines().last().unwrap();
    assert!(
        last.ends_with("\"ok\":true}") || last.contains("\"ok\": true"),
        "{last}"
    );
    let story: Value = serde_json::from_str(text).unwrap();
    assert_eq!(story["ok"], true);
    let steps = story["steps"].as_array().unwrap();
    assert!(steps.len() >= 12, "{} steps", steps.len());
    for step in steps {
        assert_eq!(step["ok"], true, "{step}");
        assert!(step["step"].is_string() && step["what"].is_string() && step["why"].is_string());
    }
    let measured = steps.iter().filter(|step| step["took_ms"].is_f64()).count();
    assert!(measured >= 4, "{measured} measurements");
    let revoked = steps
        .iter()
        .find(|step| step["step"] == "task_revoked")
        .unwrap();
    let took = revoked["details"]["propagation_ms"].as_f64().unwrap();
    println!(
        "cli: the demo took {} s, and its revocation {took} ms",
        story["took_secs"]
    );
    assert!(took < 2000.0, "{took} ms");
    assert!(
        story["took_secs"].as_f64().unwrap() < 15.0,
        "{}",
        story["took_secs"]
    );
}

/// The lines that `--hold` prints for people to try, without the one that takes an id from them.
async fn commands_of(demo: &mut Child) -> String {
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut commands = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let Some(command) = line.strip_prefix("  ") else {
            continue;
        };
        if command.starts_with("cd ") {
            commands.clear();
        }
        if !command.starts_with("dayfly why") {
            commands += &format!("{command}\n");
        }
        if command.contains("hold lift") {
            break;
        }
    }
    commands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_that_the_demo_prints_work() {
    if !has_program("curl") || !has_program("bash") {
        println!("skipped: no curl, or no bash");
        return;
    }
    let mut demo = Command::new(binary())
        .args(["demo", "--hold"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let commands = commands_of(&mut demo).await;
    let folder = commands
        .lines()
        .next()
        .unwrap()
        .strip_prefix("cd ")
        .unwrap()
        .to_owned();
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), &commands).unwrap();
    let output = Command::new("bash")
        .args(["-O", "expand_aliases"])
        .arg(script.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    for said in [
        "\"access_token\":",
        "\"subject\":\"spiffe://sts.example.org/payments/worker\"",
        "NOT VERIFIED",
        "accepted; revocation: unknown",
        "task payments/try-1 is revoked",
        "invalid_grant",
        "dayfly why ",
        "written to cert.pem and cert.key",
        "workload payments/worker is held",
        "workload payments/worker is free",
    ] {
        assert!(text.contains(said), "{said} is not in\n{commands}\n{text}");
    }
    // Without the certificate that the token is bound to, and after the end of its task.
    assert_eq!(text.matches("HTTP/2 401").count(), 2, "{text}");

    // Ctrl-C ends it, and nothing is left.
    let pid = demo.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert!(demo.wait().await.unwrap().success());
    assert!(!std::path::Path::new(&folder).exists(), "{folder}");
}
