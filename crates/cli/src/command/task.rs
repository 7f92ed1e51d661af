//! `dayfly task`: declare a task, or end it.

use clap::{Args, Subcommand};
use dayfly_client::NewTask;
use dayfly_token::{TaskId, UnixTime};
use serde_json::json;

use super::Common;
use super::issuer::OperatorArgs;
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Declare a task with a purpose and a deadline. Tasks need not be declared.
    Open(OpenArgs),
    /// It is done: nothing is issued for it any more, and nothing of it is accepted.
    Complete(EndArgs),
    /// It must not go on: the same, and the audit trail says so.
    Revoke(EndArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// The task, `owner/task`.
    task: TaskId,
    /// What it is for.
    #[arg(long)]
    purpose: Option<String>,
    /// Nothing of it outlives this instant, in seconds since 1970.
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u64>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EndArgs {
    /// The task, `owner/task`.
    task: TaskId,
    /// Why, in words; for the audit trail.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(crate) async fn run(common: Common, command: TaskCommand) -> Result<Exit, Failure> {
    let state = match command {
        TaskCommand::Open(args) => {
            let mut task = NewTask::new(args.task);
            if let Some(purpose) = args.purpose {
                task = task.purpose(purpose);
            }
            if let Some(secs) = args.deadline {
                task = task.deadline(UnixTime::from_secs(secs));
            }
            args.operator.admin(&common)?.open_task(&task).await?
        }
        TaskCommand::Complete(args) => {
            let admin = args.operator.admin(&common)?;
            admin
                .complete_task(&args.task, args.reason.as_deref())
                .await?
        }
        TaskCommand::Revoke(args) => {
            let admin = args.operator.admin(&common)?;
            admin
                .revoke_task(&args.task, args.reason.as_deref())
                .await?
        }
    };
    let value = json!({ "task": state.task, "state": state.state });
    output::result(common.output, &value, || {
        format!("task {} is {}", state.task, state.state)
    });
    Ok(Exit::Done)
}
