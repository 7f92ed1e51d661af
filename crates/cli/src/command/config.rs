//! `dayfly config`: look at a server's configuration without starting it.

use std::path::PathBuf;

use clap::Subcommand;

use super::Common;
use crate::exit::{Exit, Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the main file, the registry, the guardrails and every file that they name.
    Check {
        /// The main file.
        #[arg(long, short)]
        config: PathBuf,
    },
    /// Print the JSON schema of the main file.
    Schema,
}
