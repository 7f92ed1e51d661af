//! `dayfly config`: look at a server's configuration without starting it.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::Common;
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the main file, the registry, the guardrails and every file that they name.
    Check {
        /// The main file.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The main file, without `--config`.
        #[arg(
            value_name = "FILE",
            conflicts_with = "config",
            required_unless_present = "config"
        )]
        file: Option<PathBuf>,
    },
    /// Print the JSON schema of the main file.
    Schema,
}

pub(crate) fn run(common: &Common, command: ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Check { config, file } => {
            let path = config
                .or(file)
                .ok_or_else(|| Failure::usage("no file is named"))?;
            check(common, &path)
        }
        ConfigCommand::Schema => {
            println!("{}", dayfly_server::config::schema());
            Ok(Exit::Done)
        }
    }
}

fn check(common: &Common, path: &Path) -> Result<Exit, Failure> {
    let report = dayfly_server::config::check(path);
    let value = json!({
        "ok": report.is_ok(),
        "errors": report.errors,
        "warnings": report.warnings,
    });
    output::result(common.output, &value, || {
        let mut lines: Vec<_> = report.errors.clone();
        lines.extend(
            report
                .warnings
                .iter()
                .map(|warning| format!("warning: {warning}")),
        );
        lines.push(match report.errors.len() {
            0 => format!("`{}` is good", path.display()),
            1 => format!("`{}` has 1 error", path.display()),
            count => format!("`{}` has {count} errors", path.display()),
        });
        lines.join("\n")
    });
    Ok(if report.is_ok() {
        Exit::Done
    } else {
        Exit::Usage
    })
}
