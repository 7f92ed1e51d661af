//! `dayfly demo`: the whole story, for real, on loopback.
//!
//! Everything is what it is in production (the server, TLS, the client, the verifier in an API);
//! only the authorities around it come from the lab.

mod report;
mod story;
mod world;

use clap::Args;

use crate::exit::{Exit, Failure};
pub(crate) use report::Report;
pub(crate) use world::World;

/// The whole story in seconds, for real, on loopback: no configuration, no Redis.
///
/// Exits 0 only if every step held.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// One JSON object for machines, in place of the story.
    #[arg(long)]
    json: bool,
    /// Keeps everything running afterwards, and prints commands to try.
    #[arg(long)]
    hold: bool,
}

pub(crate) async fn run(args: DemoArgs) -> Result<Exit, Failure> {
    let failed = |error: anyhow::Error| Failure::internal("the demo cannot be set up", error);
    let mut report = Report::new(args.json);
    report.title();
    let world = World::start(&mut report).await.map_err(failed)?;
    story::tell(&world, &mut report).await;
    let held = report.finish();
    if args.hold && held {
        world.print_commands().map_err(failed)?;
        crate::command::until_stopped()
            .await
            .map_err(|error| failed(error.into()))?;
    }
    world.stop().await;
    Ok(if held { Exit::Done } else { Exit::Refused })
}
