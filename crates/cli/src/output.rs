//! What is printed: one JSON object for machines, a few lines for people.

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::exit::Failure;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One JSON object on standard output.
    Json,
    /// Lines for people.
    Text,
}

/// Prints a result: `value` for machines, or the lines for people.
pub(crate) fn result(output: Output, value: &Value, lines: impl FnOnce() -> String) {
    match output {
        Output::Json => println!("{value}"),
        Output::Text => println!("{}", lines()),
    }
}

/// Prints a failure: JSON on standard output, lines on standard error.
pub(crate) fn failure(output: Output, failure: &Failure) {
    match output {
        Output::Json => println!(
            "{}",
            json!({
                "error": failure.code,
                "message": failure.message,
                "decision_id": failure.decision_id,
                "advice": failure.advice,
            })
        ),
        Output::Text => {
            eprintln!("dayfly: {}", failure.message);
            if let Some(id) = &failure.decision_id {
                eprintln!("  decision {id}: an operator sees the reason with `dayfly why {id}`");
            }
            if let Some(advice) = &failure.advice {
                eprintln!("  {advice}");
            }
        }
    }
}
