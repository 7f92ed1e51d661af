//! `dayfly revoke`: end what was issued.

use clap::Args;
use dayfly_client::Secret;
use dayfly_token::TaskId;
use dayfly_token::feed::Kind;
use serde_json::json;

use super::Common;
use super::issuer::{OperatorArgs, workload};
use crate::exit::{Exit, Failure};
use crate::{input, output};

/// Revoke a credential, or everything that was issued up to now for a task, workload, owner,
/// rule or key. A workload or an owner is put on hold as well.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    what: What,
    /// Why, in words; for the audit trail.
    #[arg(long)]
    reason: Option<String>,
    /// Ends the past only: sets no hold on the workload or owner.
    #[arg(long)]
    cut_off_only: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// One credential, by its id: the claim `jti`, or a certificate's serial number.
    #[arg(long)]
    id: Option<String>,
    /// A task, `owner/task`; nothing is issued for it any more.
    #[arg(long)]
    task: Option<TaskId>,
    /// A workload, `owner/name` or its SPIFFE ID.
    #[arg(long)]
    workload: Option<String>,
    /// An owner.
    #[arg(long)]
    owner: Option<String>,
    /// A rule.
    #[arg(long)]
    rule: Option<String>,
    /// A signing key, by its `kid`: nothing that it signed is accepted any more.
    #[arg(long)]
    key: Option<String>,
    /// The token on standard input. Having it is enough: no operator's right is needed.
    #[arg(long)]
    token: bool,
}

pub(crate) async fn run(common: Common, args: RevokeArgs) -> Result<Exit, Failure> {
    let reason = args.reason.as_deref();
    let (kind, value) = match args.what {
        What { token: true, .. } => {
            let token = Secret::new(input::token()?);
            args.operator.holder(&common)?.revoke(&token).await?;
            output::result(common.output, &json!({ "revoked": true }), || {
                "revoked".to_owned()
            });
            return Ok(Exit::Done);
        }
        What {
            task: Some(task), ..
        } => {
            let state = args
                .operator
                .admin(&common)?
                .revoke_task(&task, reason)
                .await?;
            let value = json!({ "task": state.task, "state": state.state });
            output::result(common.output, &value, || format!("task {task} is revoked"));
            return Ok(Exit::Done);
        }
        What { id: Some(id), .. } => (Kind::Credential, credential(&id)?),
        What {
            workload: Some(name),
            ..
        } => (Kind::Workload, workload(&name)?.to_string()),
        What {
            owner: Some(owner), ..
        } => (Kind::Owner, owner),
        What {
            rule: Some(rule), ..
        } => (Kind::Rule, rule),
        What { key: Some(kid), .. } => (Kind::Key, kid),
        What { .. } => return Err(Failure::usage("nothing to revoke is named")),
    };
    let admin = args.operator.admin(&common)?;
    let outcome = if args.cut_off_only {
        admin.cut_off(kind, &value, reason).await?
    } else {
        admin.revoke(kind, &value, reason).await?
    };
    output::result(common.output, &json!(outcome), || {
        let held = if outcome.held {
            ", and nothing is issued for it until the hold is lifted"
        } else {
            ""
        };
        let note = super::unknown_note(outcome.known);
        format!("{} {} is revoked{held}{note}", outcome.kind, outcome.value)
    });
    Ok(Exit::Done)
}

/// A credential by its `jti`, or by the serial number that certificate tools print.
fn credential(text: &str) -> Result<String, Failure> {
    use dayfly_token::CredentialId;
    let hex: String = text.chars().filter(|c| *c != ':').collect();
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_owned());
    }
    let mut bytes = [0; 16];
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).map_err(Failure::usage)?;
        *byte = u8::from_str_radix(digits, 16).map_err(Failure::usage)?;
    }
    Ok(CredentialId::from_bytes(bytes).to_string())
}
