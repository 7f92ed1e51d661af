//! `cargo xtask fuzz`: each target of `tests/fuzz`, one after another.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::project::root;

/// How long each target runs, unless `--seconds` says otherwise.
const DEFAULT_SECONDS: u64 = 60;

const FOLDER: &str = "tests/fuzz";

/// Longest input: that of a token, and no target needs more to reach all of its code.
const MAX_INPUT_BYTES: usize = 16 * 1024;

pub(crate) fn run(options: &[&str]) -> anyhow::Result<()> {
    let seconds = match options {
        [] => DEFAULT_SECONDS,
        ["--seconds", seconds] => seconds.parse().context("--seconds takes a number")?,
        _ => bail!("usage: cargo xtask fuzz [--seconds N]"),
    };
    needs(
        "cargo-fuzz (`cargo install cargo-fuzz`)",
        &["fuzz", "--version"],
    )?;
    let listed = cargo(&["fuzz", "list", "--fuzz-dir", FOLDER]).output()?;
    let targets = String::from_utf8(listed.stdout).context("a target is not UTF-8")?;
    if targets.trim().is_empty() {
        bail!("no fuzz target in {FOLDER}");
    }
    for target in targets.lines() {
        println!("xtask: fuzzing `{target}` for {seconds} s");
        // What is found goes into the first folder; the seeds in the second are read only.
        let found = root().join("target/fuzz").join(target);
        std::fs::create_dir_all(&found)?;
        let status = cargo(&["fuzz", "run", "--fuzz-dir", FOLDER, target])
            .arg(&found)
            .arg(format!("{FOLDER}/corpus/{target}"))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={MAX_INPUT_BYTES}"))
            .status()
            .context("cargo cannot be started")?;
        if !status.success() {
            bail!("`{target}` found something: see {FOLDER}/artifacts/{target}");
        }
    }
    Ok(())
}

fn needs(what: &str, arguments: &[&str]) -> anyhow::Result<()> {
    if cargo(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return Ok(());
    }
    bail!("fuzzing needs a nightly toolchain (`rustup toolchain install nightly`) and {what}")
}

/// By the name of the toolchain, past the one that runs this program.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").args(arguments).current_dir(root());
    for inherited in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(inherited);
    }
    command
}
