//! The command line of dayfly.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line")]

mod args;
mod command;
#[cfg(feature = "server")]
mod demo;
mod exit;
mod input;
mod output;

use clap::Parser as _;

use args::{Args, Command};
use exit::{Exit, Failure};

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    // Refused only if a provider is installed already, and then it is this one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let output = args.output;
    match run(args) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(output, &failure);
            failure.exit.into()
        }
    }
}

fn run(args: Args) -> Result<Exit, Failure> {
    let common = command::Common {
        issuer: args.issuer,
        ca_file: args.ca_file,
        output: args.output,
    };
    match args.command {
        Command::Cert(args) => block_on(command::cert::run(common, args)),
        Command::Completions { shell } => command::completions::run(shell),
        #[cfg(feature = "server")]
        Command::Config { command } => command::config::run(&common, command),
        #[cfg(feature = "server")]
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Hold { command } => block_on(command::hold::run(common, command)),
        Command::Inspect => command::inspect::run(&common),
        Command::Man { dir } => command::completions::man(&dir),
        Command::Revoke(args) => block_on(command::revoke::run(common, args)),
        #[cfg(feature = "server")]
        Command::Serve(args) => block_on(command::serve::run(args)),
        Command::Task { command } => block_on(command::task::run(common, command)),
        Command::Token(args) => block_on(command::token::run(common, args)),
        Command::Verify(args) => command::verify::run(&common, &args),
        Command::Why(args) => block_on(command::why::run(common, args)),
    }
}

fn block_on(task: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| Failure::internal("the runtime cannot be started", error))?
        .block_on(task)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn no_two_options_of_a_command_share_a_name() {
        crate::args::Args::command().debug_assert();
    }
}
