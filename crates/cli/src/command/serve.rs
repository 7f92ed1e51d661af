//! `dayfly serve`: the server.

use std::path::PathBuf;

use clap::Args;
use dayfly_server::app::{self, Settings};
use dayfly_server::{process, telemetry};

use crate::demo::World;
use crate::exit::{Exit, Failure};

/// Run the server.
///
/// SIGHUP and changed files reload; SIGTERM drains. Logs go to standard error; `DAYFLY_LOG` filters
/// them (`info` by default).
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The main file.
    #[arg(
        long,
        short,
        env = "DAYFLY_CONFIG",
        value_name = "FILE",
        required_unless_present = "dev"
    )]
    config: Option<PathBuf>,
    /// A server for development on loopback: authorities of its own, an embedded store, and
    /// commands to try. Everything is gone when it ends.
    #[arg(long, conflicts_with = "config")]
    dev: bool,
    /// Allows the user root.
    #[arg(long)]
    allow_root: bool,
}

pub(crate) async fn run(args: ServeArgs) -> Result<Exit, Failure> {
    let Some(path) = args.config else {
        return develop().await;
    };
    let filter = std::env::var(telemetry::FILTER_VARIABLE).ok();
    telemetry::init(telemetry::LogFormat::Json, filter.as_deref()).map_err(wrong)?;
    process::refuse_root(args.allow_root).map_err(wrong)?;
    let settings = Settings::load(&path).map_err(wrong)?;
    process::harden();
    app::serve(settings).await.map_err(wrong)?;
    Ok(Exit::Done)
}

/// What stops a server from starting is something that its operator can mend.
fn wrong(error: impl Into<anyhow::Error>) -> Failure {
    Failure::usage(format!("{:#}", error.into()))
}

async fn develop() -> Result<Exit, Failure> {
    let failed = |error: anyhow::Error| Failure::internal("the server cannot start", error);
    let world = World::start(&mut crate::demo::Report::new(false))
        .await
        .map_err(failed)?;
    world.print_commands().map_err(failed)?;
    crate::command::until_stopped()
        .await
        .map_err(|error| failed(error.into()))?;
    world.stop().await;
    Ok(Exit::Done)
}
