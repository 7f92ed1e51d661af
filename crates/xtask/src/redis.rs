//! The tests run real redis-server processes.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

const PACKAGE: &str = "redis-server";

/// The path of redis-server: the one that `DAYFLY_REDIS_SERVER` names, the one on the path, or a
/// freshly installed one where this process may install.
pub(crate) fn find_or_install() -> anyhow::Result<String> {
    if let Ok(named) = std::env::var("DAYFLY_REDIS_SERVER") {
        if !Path::new(&named).is_file() {
            bail!("DAYFLY_REDIS_SERVER names `{named}`, which does not exist");
        }
        return Ok(named);
    }
    if let Some(found) = on_path(PACKAGE) {
        return Ok(found);
    }
    println!("xtask: redis-server is not installed; trying apt-get");
    if install()
        && let Some(found) = on_path(PACKAGE)
    {
        return Ok(found);
    }
    bail!("the tests need redis-server: install it with `sudo apt-get install {PACKAGE}`")
}

fn on_path(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .and_then(|found| found.to_str().map(str::to_owned))
}

/// Installs as root, or by sudo if that asks for no password.
fn install() -> bool {
    let attempts: [&[&str]; 2] = [&["apt-get"], &["sudo", "--non-interactive", "apt-get"]];
    attempts.iter().any(|command| {
        let run = |arguments: &[&str]| {
            let (program, rest) = match command {
                [program, rest @ ..] => (*program, rest),
                [] => return false,
            };
            Command::new(program)
                .args(rest)
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .status()
                .is_ok_and(|status| status.success())
        };
        run(&["update", "--quiet"])
            && run(&[
                "install",
                "--yes",
                "--quiet",
                "--no-install-recommends",
                PACKAGE,
            ])
    })
}
