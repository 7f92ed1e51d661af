//! `dayfly hold`: close the door.

use clap::{Args, Subcommand};
use dayfly_client::HoldKind;
use serde_json::json;

use super::Common;
use super::issuer::{OperatorArgs, workload};
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Issue nothing until the hold is lifted. What was issued stays valid: see `revoke`.
    Set(ChangeArgs),
    /// Issue again.
    Lift(ChangeArgs),
    /// The holds that are set.
    List(OperatorArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    what: What,
    /// Why, in words; for the audit trail.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// A workload, `owner/name` or its SPIFFE ID.
    #[arg(long)]
    workload: Option<String>,
    /// All workloads of an owner.
    #[arg(long)]
    owner: Option<String>,
    /// Whatever a rule maps.
    #[arg(long)]
    rule: Option<String>,
    /// All evidence of a source: `spiffe:<trust domain>` or `oidc:<issuer's name>`.
    #[arg(long)]
    source: Option<String>,
}

impl What {
    fn named(self) -> Result<(HoldKind, String), Failure> {
        match self {
            Self {
                workload: Some(name),
                ..
            } => Ok((HoldKind::Workload, workload(&name)?.to_string())),
            Self {
                owner: Some(owner), ..
            } => Ok((HoldKind::Owner, owner)),
            Self {
                rule: Some(rule), ..
            } => Ok((HoldKind::Rule, rule)),
            Self {
                source: Some(source),
                ..
            } => Ok((HoldKind::Source, source)),
            Self { .. } => Err(Failure::usage("nothing to hold is named")),
        }
    }
}

pub(crate) async fn run(common: Common, command: HoldCommand) -> Result<Exit, Failure> {
    let (args, set) = match command {
        HoldCommand::Set(args) => (args, true),
        HoldCommand::Lift(args) => (args, false),
        HoldCommand::List(operator) => return list(&common, operator).await,
    };
    let (kind, value) = args.what.named()?;
    let admin = args.operator.admin(&common)?;
    let reason = args.reason.as_deref();
    let outcome = if set {
        admin.hold(kind, &value, reason).await?
    } else {
        admin.lift(kind, &value, reason).await?
    };
    output::result(common.output, &json!(outcome), || {
        let state = if outcome.held { "is held" } else { "is free" };
        let note = super::unknown_note(outcome.known);
        format!("{} {} {state}{note}", outcome.kind, outcome.value)
    });
    Ok(Exit::Done)
}

async fn list(common: &Common, operator: OperatorArgs) -> Result<Exit, Failure> {
    let holds = operator.admin(common)?.holds().await?;
    output::result(common.output, &json!({ "holds": holds }), || {
        if holds.is_empty() {
            return "nothing is held".to_owned();
        }
        let lines: Vec<_> = holds
            .iter()
            .map(|hold| {
                format!(
                    "{:<9} {:<40} since {} by {}{}",
                    hold.kind.as_str(),
                    hold.value,
                    hold.since,
                    hold.by.as_deref().unwrap_or("-"),
                    hold.reason
                        .as_deref()
                        .map_or_else(String::new, |reason| format!(": {reason}"))
                )
            })
            .collect();
        lines.join("\n")
    });
    Ok(Exit::Done)
}
