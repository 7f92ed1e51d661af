//! The arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::command;
use crate::output::Output;

/// Short-lived, task-scoped credentials for machines in place of static API keys.
///
/// Exit status: 0 done or accepted; 1 refused or rejected; 2 wrong call, file or configuration;
/// 3 the issuer cannot be reached or answer now; 4 dayfly itself failed.
#[derive(Debug, Parser)]
#[command(
    name = "dayfly",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Args {
    /// The URL of the issuer.
    #[arg(long, global = true, env = "DAYFLY_ISSUER", value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// The CA of the issuer's TLS certificate, PEM. Default: the public roots of this system.
    #[arg(long, global = true, env = "DAYFLY_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The form of the output.
    #[arg(short, long, global = true, value_enum, default_value = "text")]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Get a certificate for a fresh key.
    Cert(command::cert::CertArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Look at the configuration of a server.
    #[cfg(feature = "server")]
    Config {
        #[command(subcommand)]
        command: command::config::ConfigCommand,
    },
    /// The whole story in seconds, for real, on loopback: no configuration, no Redis.
    #[cfg(feature = "server")]
    Demo(crate::demo::DemoArgs),
    /// Set, lift or list holds: nothing is issued for what is held.
    Hold {
        #[command(subcommand)]
        command: command::hold::HoldCommand,
    },
    /// Look into the token on standard input, without verifying it.
    Inspect,
    /// Write man pages.
    #[command(hide = true)]
    Man {
        /// Where to.
        dir: PathBuf,
    },
    /// Revoke a credential, or everything of a task, workload, owner, rule or key.
    Revoke(command::revoke::RevokeArgs),
    /// Run the server.
    #[cfg(feature = "server")]
    Serve(command::serve::ServeArgs),
    /// Declare or end a task.
    Task {
        #[command(subcommand)]
        command: command::task::TaskCommand,
    },
    /// Get an access token.
    Token(command::token::TokenArgs),
    /// Verify the token on standard input, offline, from files.
    Verify(command::verify::VerifyArgs),
    /// Explain a decision by its id.
    Why(command::why::WhyArgs),
}
