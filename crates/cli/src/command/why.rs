//! `dayfly why`: the reason of a decision, from the audit trail.

use clap::Args;
use dayfly_token::DecisionId;
use serde_json::{Map, Value};

use super::Common;
use super::issuer::OperatorArgs;
use crate::exit::{Exit, Failure};
use crate::output;

/// Explain a decision by the id that the caller was told.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The decision.
    decision: DecisionId,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(crate) async fn run(common: Common, args: WhyArgs) -> Result<Exit, Failure> {
    let line = args
        .operator
        .admin(&common)?
        .decision(&args.decision)
        .await?;
    output::result(common.output, &Value::Object(line.clone()), || {
        explain(&line)
    });
    Ok(Exit::Done)
}

fn explain(line: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in line {
        match value {
            Value::Null => {}
            Value::Array(items) if items.is_empty() => {}
            Value::String(value) => text.push_str(&format!("{name:<15} {value}\n")),
            Value::Object(members) => {
                for (member, value) in members {
                    text.push_str(&format!("{name:<15} {member}: {}\n", plain(value)));
                }
            }
            Value::Array(items) => {
                for item in items {
                    text.push_str(&format!("{name:<15} {}\n", plain(item)));
                }
            }
            other => text.push_str(&format!("{name:<15} {other}\n")),
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name}={}", plain(value)))
            .collect::<Vec<_>>()
            .join("  "),
        other => other.to_string(),
    }
}
