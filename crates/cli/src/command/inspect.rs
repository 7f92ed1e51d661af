//! `dayfly inspect`: what a token says of itself. Nothing of it is proven.

use dayfly_token::{Compact, json};
use serde_json::{Map, Value, json};

use super::Common;
use crate::exit::{Exit, Failure};
use crate::{input, output};

pub(crate) fn run(common: &Common) -> Result<Exit, Failure> {
    let token = input::token()?;
    let compact = Compact::split(&token)
        .map_err(|error| Failure::usage(format!("not a compact JWS: {error}")))?;
    let part = |name: &str, bytes: Result<Vec<u8>, dayfly_token::CompactError>| {
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("the {name}: {error}"));
        json::object(&bytes.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))
    };
    let header = part("header", compact.header_bytes())?;
    let payload = part("payload", compact.payload_bytes())?;
    let value = json!({ "verified": false, "header": header, "payload": payload });
    output::result(common.output, &value, || {
        format!(
            "NOT VERIFIED: what this token says may be false.\n\nheader\n{}\npayload\n{}",
            lines(&header),
            lines(&payload)
        )
    });
    Ok(Exit::Done)
}

fn lines(object: &Map<String, Value>) -> String {
    object
        .iter()
        .map(|(name, value)| format!("  {name:<12} {value}\n"))
        .collect()
}
