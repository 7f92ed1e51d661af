//! `GET /v1/decisions/{id}` and `GET /v1/issuances/{id}`: what the ledger remembers.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use dayfly_issuer::control::Lineage;
use dayfly_issuer::{Clock, Issuance, IssuanceState};
use dayfly_token::{CredentialId, DecisionId, Slug};
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::call::Call;
use super::caller::{Caller, NoCaller};
use super::problem::{Problem, ProblemBody, ProblemCode};
use super::token::no_store;
use crate::authz::AdminScope;

/// A decision as the audit trail has it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the answer; it is the audit line itself"
)]
pub(crate) struct DecisionBody {
    /// The decision id.
    decision_id: String,
    /// `permit` or `deny`.
    outcome: String,
    /// `permitted`, or the stable internal reason of a denial.
    reason: String,
    /// When, by RFC 3339.
    time: String,
    /// The request that it was made for.
    request_id: String,
    /// The workload that the evidence led to, `<owner>/<name>`.
    workload: Option<String>,
    /// Its owner.
    owner: Option<String>,
    /// The credential that was issued.
    credential_id: Option<String>,
}

/// A credential as the ledger has it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the answer; it is put together from the record"
)]
pub(crate) struct IssuanceBody {
    /// The record.
    #[schema(value_type = Object)]
    issuance: Value,
    /// `live`, `expired`, `revoked` or `void`.
    status: String,
    /// What ended it: `credential`, `task`, `workload`, `owner`, `rule` or `key`.
    revoked_by: Option<String>,
}

/// Explains a decision
///
/// The audit entry of a decision, kept for 24 hours.
#[utoipa::path(
    get,
    path = "/v1/decisions/{id}",
    operation_id = "decision",
    tag = "audit",
    params(("id" = String, Path, description = "The decision id")),
    responses(
        (status = 200, description = "The audit entry", body = DecisionBody),
        (status = 401, description = "Not authenticated", body = ProblemBody),
        (status = 403, description = "No right", body = ProblemBody),
        (status = 404, description = "No such decision, or no longer known", body = ProblemBody),
        (status = 503, description = "Not now; see Retry-After", body = ProblemBody),
    ),
    security(("svid" = []), ("token" = ["dayfly:audit"])),
)]
pub(crate) async fn decision(Path(id): Path<String>, call: Call) -> Response {
    answer(decided(&id, &call).await, &call)
}

async fn decided(id: &str, call: &Call) -> Result<Value, Problem> {
    let caller = auditor(call).await?;
    let id: DecisionId = id
        .parse()
        .map_err(|_| Problem::new(ProblemCode::NotFound))?;
    let line = call.app.issuer.ledger().decision(id).await?;
    let Some(line) = line else {
        // A limited right must not tell what exists from what does not.
        caller.require(AdminScope::Audit, None)?;
        return Err(Problem::new(ProblemCode::NotFound));
    };
    let entry: Value = serde_json::from_str(&line).map_err(|error| {
        tracing::error!(%error, decision = %id, "an audit entry of the ledger cannot be read");
        Problem::new(ProblemCode::Internal)
    })?;
    let owner = entry
        .get("owner")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    caller.require(AdminScope::Audit, owner.as_ref())?;
    Ok(entry)
}

/// Shows a credential's record
///
/// Kept until the credential has expired.
#[utoipa::path(
    get,
    path = "/v1/issuances/{id}",
    operation_id = "issuance",
    tag = "audit",
    params(("id" = String, Path, description = "The credential id: `jti`, or the serial as base64url")),
    responses(
        (status = 200, description = "The record", body = IssuanceBody),
        (status = 401, description = "Not authenticated", body = ProblemBody),
        (status = 403, description = "No right", body = ProblemBody),
        (status = 404, description = "No such credential, or no longer known", body = ProblemBody),
        (status = 503, description = "Not now; see Retry-After", body = ProblemBody),
    ),
    security(("svid" = []), ("token" = ["dayfly:audit"])),
)]
pub(crate) async fn issuance(Path(id): Path<String>, call: Call) -> Response {
    answer(issued(&id, &call).await, &call)
}

async fn issued(id: &str, call: &Call) -> Result<Value, Problem> {
    let caller = auditor(call).await?;
    let id: CredentialId = id
        .parse()
        .map_err(|_| Problem::new(ProblemCode::NotFound))?;
    let Some(issuance) = call.app.issuer.ledger().issuance(id).await? else {
        caller.require(AdminScope::Audit, None)?;
        return Err(Problem::new(ProblemCode::NotFound));
    };
    let owner: &Slug = &issuance.workload.owner;
    caller.require(AdminScope::Audit, Some(owner))?;
    Ok(record(call, &issuance, id))
}

fn record(call: &Call, issuance: &Issuance, id: CredentialId) -> Value {
    let now = call.app.clock.now().time();
    let text = id.to_string();
    let death = call.app.view().death(&Lineage::of(issuance, &text));
    let status = match (issuance.state, death) {
        (IssuanceState::Void, _) => "void",
        (IssuanceState::Recorded, Some(_)) => "revoked",
        (IssuanceState::Recorded, None) if issuance.expires_at <= now => "expired",
        (IssuanceState::Recorded, None) => "live",
    };
    let mut body = json!({ "issuance": issuance, "status": status });
    if let (Some(kind), Some(members)) = (death, body.as_object_mut()) {
        members.insert(
            "revoked_by".to_owned(),
            Value::String(kind.as_str().to_owned()),
        );
    }
    body
}

async fn auditor(call: &Call) -> Result<Caller, Problem> {
    let caller = Caller::of(call).await.map_err(NoCaller::problem)?;
    if !caller.may_some(AdminScope::Audit) {
        caller.require(AdminScope::Audit, None)?;
    }
    Ok(caller)
}

fn answer(result: Result<Value, Problem>, call: &Call) -> Response {
    match result {
        Ok(body) => no_store((StatusCode::OK, axum::Json(body)).into_response()),
        Err(problem) => problem.of_request(&call.request_id).into_response(),
    }
}
