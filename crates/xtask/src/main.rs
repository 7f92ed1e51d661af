//! `cargo xtask check`, `cargo xtask test`, `cargo xtask generate`: what CI runs, and what a
//! newcomer runs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line")]

mod dependencies;
mod fuzz;
mod layers;
mod project;
mod redis;
mod surface;
mod tree;

use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use project::root;

const USAGE: &str = "\
usage: cargo xtask <command>

  check      format, lints, documentation, crate layers, dependency bans and licences,
             the verifier's tree, public surfaces
  test       every test; finds redis-server, or installs it where it may
  generate   rewrites the generated files under api/
  fuzz       runs each fuzz target, for --seconds N each (60); needs a nightly toolchain and cargo-fuzz";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["check"] => check(),
        ["test"] => test(),
        ["generate"] => generate(),
        ["fuzz", options @ ..] => fuzz::run(options),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    step("crate layers", layers::check)?;
    step("dependencies", dependencies::check)?;
    step("public surface", || surface::check(false))?;
    cargo(
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "--deny",
            "warnings",
        ],
        &[],
    )?;
    cargo(
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--locked",
            // Nothing else in the workspace uses these, and the manual speaks of them.
            "--features",
            "dayfly-verifier/migrate,dayfly-verifier/tonic",
        ],
        &[("RUSTDOCFLAGS", "--deny warnings")],
    )?;
    without_c()?;
    generated(&[])
}

/// The files under `api/` are what the code says. The selection of packages is the one of `test`,
/// so that nothing is built twice.
fn generated(environment: &[(&str, &str)]) -> anyhow::Result<()> {
    cargo(
        &[
            "test",
            "--workspace",
            "--test",
            "e2e",
            "--locked",
            "contract::generated",
        ],
        environment,
    )
}

/// The verifier for those who have no C compiler: any attempt to call one fails.
fn without_c() -> anyhow::Result<()> {
    let no_compiler = [
        ("CC", "/bin/false"),
        ("CXX", "/bin/false"),
        ("AR", "/bin/false"),
    ];
    let build = [
        "build",
        "--package",
        "dayfly-verifier",
        "--locked",
        "--target-dir",
        "target/without-c",
    ];
    let in_rust = ["--no-default-features", "--features", "rustcrypto"];
    cargo(&[&build[..], &in_rust].concat(), &no_compiler)?;
    // The control: where the compiler is needed, it is missed.
    step("a build that needs C must fail here", || {
        let output = Command::new(project::cargo())
            .args(build)
            .envs(no_compiler)
            .current_dir(root())
            .output()
            .context("cargo cannot be started")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !said.contains("aws-lc-sys") {
            bail!("the default features were built without a C compiler: {said}");
        }
        Ok(())
    })
}

fn test() -> anyhow::Result<()> {
    let redis = redis::find_or_install()?;
    println!("redis-server: {redis}");
    cargo(&["build", "--workspace", "--bins", "--locked"], &[])?;
    // Some tests run them.
    cargo(
        &[
            "build",
            "--workspace",
            "--examples",
            "--locked",
            "--features",
            "dayfly-verifier/axum,dayfly-verifier/http,dayfly-verifier/migrate,dayfly-verifier/testing,dayfly-verifier/tonic",
        ],
        &[],
    )?;
    let binary = project::target_dir()?.join("debug/dayfly");
    let environment = [
        ("DAYFLY_REDIS_SERVER", redis.as_str()),
        (
            "DAYFLY_BIN",
            binary
                .to_str()
                .context("the target directory is not UTF-8")?,
        ),
    ];
    cargo(
        &[
            "test",
            "--workspace",
            // Every target with tests: the benchmarks are none.
            "--tests",
            "--locked",
            "--no-fail-fast",
        ],
        &environment,
    )?;
    cargo(&["test", "--workspace", "--doc", "--locked"], &environment)
}

fn generate() -> anyhow::Result<()> {
    surface::check(true)?;
    generated(&[("DAYFLY_BLESS", "1")])
}

fn step(name: &str, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("xtask: {name}");
    run().with_context(|| name.to_owned())
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    println!("xtask: cargo {}", arguments.join(" "));
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a step took is for the reader"
    )]
    let started = std::time::Instant::now();
    let status = Command::new(project::cargo())
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root())
        .status()
        .context("cargo cannot be started")?;
    let took = started.elapsed().as_secs();
    if !status.success() {
        bail!("`cargo {}` failed after {took} s", arguments.join(" "));
    }
    println!("xtask: passed in {took} s");
    Ok(())
}
