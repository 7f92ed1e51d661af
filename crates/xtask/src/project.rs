//! Where things are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// What `cargo metadata` says; `--no-deps` for the workspace alone.
pub(crate) fn metadata(arguments: &[&str]) -> anyhow::Result<Value> {
    let mut all = vec!["metadata", "--format-version", "1", "--locked"];
    all.extend_from_slice(arguments);
    serde_json::from_str(&output(&all)?).context("cargo metadata is not JSON")
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    let metadata = metadata(&["--no-deps"])?;
    let path = metadata.get("target_directory").and_then(Value::as_str);
    Ok(PathBuf::from(
        path.context("cargo metadata names no target directory")?,
    ))
}

/// What a cargo command prints.
pub(crate) fn output(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(cargo())
        .args(arguments)
        .current_dir(root())
        .output()?;
    if !output.status.success() {
        bail!(
            "`cargo {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).context("cargo printed something that is not UTF-8")
}
