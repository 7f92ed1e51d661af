//! Completions and man pages, generated from the arguments.

use std::path::Path;

use clap::CommandFactory as _;

use crate::args::Args;
use crate::exit::{Exit, Failure};

pub(crate) fn run(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    clap_complete::generate(
        shell,
        &mut Args::command(),
        "dayfly",
        &mut std::io::stdout(),
    );
    Ok(Exit::Done)
}

pub(crate) fn man(dir: &Path) -> Result<Exit, Failure> {
    std::fs::create_dir_all(dir).map_err(|error| Failure::file(dir, error))?;
    clap_mangen::generate_to(Args::command(), dir).map_err(|error| Failure::file(dir, error))?;
    Ok(Exit::Done)
}
