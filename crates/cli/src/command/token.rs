//! `dayfly token`: an access token for one audience.

use std::time::Duration;

use clap::Args;
use dayfly_client::{ExchangeRequest, Secret, Token, TokenRequest};
use serde_json::json;

use super::Common;
use super::issuer::EvidenceArgs;
use crate::exit::{Exit, Failure};
use crate::{input, output};

/// Get an access token, by an X.509-SVID or by the OIDC token of a platform.
///
/// Prints the token alone, ready for `Authorization: Bearer`; `-o json` says more about it.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The API that the token is for.
    #[arg(long)]
    audience: String,
    /// The scopes, separated by spaces. Default: all of the grant.
    #[arg(long)]
    scope: Option<String>,
    /// The task that the token is for: a name within the workload's owner.
    #[arg(long)]
    task: Option<String>,
    /// What it is for, in words; for the audit trail.
    #[arg(long)]
    purpose: Option<String>,
    /// The rule that maps the evidence, where more than one matches.
    #[arg(long)]
    rule: Option<String>,
    /// The lifetime in seconds; it can only shorten the grant's.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// Narrows the access token on standard input, in place of new evidence (RFC 8693).
    #[arg(long)]
    exchange: bool,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

pub(crate) async fn run(common: Common, args: TokenArgs) -> Result<Exit, Failure> {
    let token = if args.exchange {
        exchange(&common, args).await?
    } else {
        fresh(&common, args).await?
    };
    let value = json!({
        "access_token": token.secret().expose(),
        "token_type": token.token_type(),
        "expires_at": token.expires_at(),
        "scope": token.scopes().join(" "),
        "authorization_details": token.authorization_details(),
        "decision_id": token.decision_id(),
    });
    output::result(common.output, &value, || token.secret().expose().to_owned());
    Ok(Exit::Done)
}

async fn fresh(common: &Common, args: TokenArgs) -> Result<Token, Failure> {
    let mut request = TokenRequest::new(args.audience);
    for scope in args
        .scope
        .iter()
        .flat_map(|scopes| scopes.split_whitespace())
    {
        request = request.scope(scope);
    }
    if let Some(task) = args.task {
        request = request.task(task);
    }
    if let Some(purpose) = args.purpose {
        request = request.purpose(purpose);
    }
    if let Some(rule) = args.rule {
        request = request.rule(rule);
    }
    if let Some(secs) = args.ttl {
        request = request.requested_ttl(Duration::from_secs(secs));
    }
    Ok(args.evidence.client(common)?.token(&request).await?)
}

async fn exchange(common: &Common, args: TokenArgs) -> Result<Token, Failure> {
    if args.task.is_some() || args.rule.is_some() {
        return Err(Failure::usage(
            "an exchange keeps the task and the rule of its parent",
        ));
    }
    let parent = Secret::new(input::token()?);
    let mut request = ExchangeRequest::new().audience(args.audience);
    for scope in args
        .scope
        .iter()
        .flat_map(|scopes| scopes.split_whitespace())
    {
        request = request.scope(scope);
    }
    if let Some(purpose) = args.purpose {
        request = request.purpose(purpose);
    }
    if let Some(secs) = args.ttl {
        request = request.requested_ttl(Duration::from_secs(secs));
    }
    Ok(args
        .evidence
        .holder(common)?
        .exchange(&parent, &request)
        .await?)
}
