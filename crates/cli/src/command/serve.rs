//! `dayfly serve`: the server.

use std::path::PathBuf;

use clap::Args;

/// Run the server.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The main file.
    #[arg(long, short, env = "DAYFLY_CONFIG", required_unless_present = "dev", conflicts_with = "dev")]
    config: Option<PathBuf>,
    /// A server for development on loopback: its own authorities, an embedded store, no files.
    #[arg(long)]
    dev: bool,
    /// Allows the user root.
    #[arg(long)]
    allow_root: bool,
}
