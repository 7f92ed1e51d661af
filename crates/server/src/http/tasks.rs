//! `/v1/tasks`: declaring and ending tasks.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use dayfly_issuer::Clock;
use dayfly_issuer::control::{Body, TaskState};
use dayfly_issuer::revoke::task_body;
use dayfly_policy::MAX_PURPOSE_CHARS;
use dayfly_token::{TaskId, UnixTime};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::Call;
use super::caller::{Caller, NoCaller};
use super::problem::{Problem, ProblemBody, ProblemCode};
use super::token::no_store;
use crate::authz::AdminScope;

/// A task to be declared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskDeclaration {
    /// `<owner>/<task>`.
    #[schema(value_type = String)]
    task: TaskId,
    /// What it is for; at most 256 characters.
    #[serde(default)]
    purpose: String,
    /// Seconds since 1970: no credential of the task outlives it.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    deadline: Option<UnixTime>,
    /// For the audit trail.
    #[serde(default)]
    reason: String,
}

/// Why a task ends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskEnd {
    /// For the audit trail.
    #[serde(default)]
    reason: String,
}

/// A task.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaskBody {
    /// `<owner>/<task>`.
    task: String,
    /// `open`, `completed` or `revoked`.
    state: &'static str,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    purpose: String,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<u64>,
}

/// Declares a task
///
/// Tasks need no declaration; one that is declared can have a deadline.
#[utoipa::path(
    post,
    path = "/v1/tasks",
    operation_id = "declare_task",
    tag = "tasks",
    request_body = TaskDeclaration,
    responses(
        (status = 201, description = "Declared", body = TaskBody),
        (status = 400, description = "The body cannot be read", body = ProblemBody),
        (status = 401, description = "Not authenticated", body = ProblemBody),
        (status = 403, description = "No right", body = ProblemBody),
        (status = 409, description = "The task has ended", body = ProblemBody),
        (status = 413, description = "Too large", body = ProblemBody),
        (status = 415, description = "Not JSON", body = ProblemBody),
        (status = 503, description = "Not recorded; see Retry-After", body = ProblemBody),
    ),
    security(("svid" = []), ("token" = ["dayfly:task"])),
)]
pub(crate) async fn declare(mut call: Call) -> Response {
    let id = call.request_id.clone();
    match declared(&mut call).await {
        Ok(task) => no_store((StatusCode::CREATED, axum::Json(task)).into_response()),
        Err(problem) => problem.of_request(&id).into_response(),
    }
}

async fn declared(call: &mut Call) -> Result<TaskBody, Problem> {
    let caller = Caller::of(call).await.map_err(NoCaller::problem)?;
    let wanted: TaskDeclaration = call.json().await?;
    caller.require(AdminScope::Task, Some(&wanted.task.owner))?;
    check_words("purpose", &wanted.purpose)?;
    check_words("reason", &wanted.reason)?;
    let now = call.app.clock.now().time();
    if wanted.deadline.is_some_and(|deadline| deadline <= now) {
        return Err(Problem::bad("the deadline has passed"));
    }
    if let Some((state, _)) = call.app.view().task(&wanted.task)
        && state != TaskState::Open
    {
        return Err(Problem::new(ProblemCode::Conflict)
            .detailed("the task has ended, and names of tasks are not used again"));
    }
    let body = Body::Task {
        task: wanted.task.clone(),
        state: TaskState::Open,
        purpose: wanted.purpose.clone(),
        deadline: wanted.deadline,
    };
    call.app
        .write_control(&caller.by, &wanted.reason, vec![body], &call.request_id)
        .await?;
    Ok(TaskBody {
        task: wanted.task.to_string(),
        state: TaskState::Open.as_str(),
        purpose: wanted.purpose,
        deadline: wanted.deadline.map(UnixTime::as_secs),
    })
}

/// Completes a task
///
/// Nothing more is issued for it, and nothing of it is accepted. Also for whoever holds a live
/// credential of the task.
#[utoipa::path(
    post,
    path = "/v1/tasks/{owner}/{task}/complete",
    operation_id = "complete_task",
    tag = "tasks",
    params(
        ("owner" = String, Path, description = "The owner of the task"),
        ("task" = String, Path, description = "Its name"),
    ),
    request_body = Option<TaskEnd>,
    responses(
        (status = 200, description = "Ended", body = TaskBody),
        (status = 400, description = "The body cannot be read", body = ProblemBody),
        (status = 401, description = "Not authenticated", body = ProblemBody),
        (status = 403, description = "No right", body = ProblemBody),
        (status = 404, description = "No name of a task", body = ProblemBody),
        (status = 413, description = "Too large", body = ProblemBody),
        (status = 415, description = "Not JSON", body = ProblemBody),
        (status = 503, description = "Not recorded; see Retry-After", body = ProblemBody),
    ),
    security(("svid" = []), ("token" = ["dayfly:task"])),
)]
pub(crate) async fn complete(Path(name): Path<(String, String)>, call: Call) -> Response {
    end(name, TaskState::Completed, call).await
}

/// Revokes a task
///
/// Like completing it; the word says that it did not end as meant. Also for whoever holds a live
/// credential of the task.
#[utoipa::path(
    post,
    path = "/v1/tasks/{owner}/{task}/revoke",
    operation_id = "revoke_task",
    tag = "tasks",
    params(
        ("owner" = String, Path, description = "The owner of the task"),
        ("task" = String, Path, description = "Its name"),
    ),
    request_body = Option<TaskEnd>,
    responses(
        (status = 200, description = "Ended", body = TaskBody),
        (status = 400, description = "The body cannot be read", body = ProblemBody),
        (status = 401, description = "Not authenticated", body = ProblemBody),
        (status = 403, description = "No right", body = ProblemBody),
        (status = 404, description = "No name of a task", body = ProblemBody),
        (status = 413, description = "Too large", body = ProblemBody),
        (status = 415, description = "Not JSON", body = ProblemBody),
        (status = 503, description = "Not recorded; see Retry-After", body = ProblemBody),
    ),
    security(("svid" = []), ("token" = ["dayfly:task"])),
)]
pub(crate) async fn revoke(Path(name): Path<(String, String)>, call: Call) -> Response {
    end(name, TaskState::Revoked, call).await
}

async fn end(name: (String, String), state: TaskState, mut call: Call) -> Response {
    let id = call.request_id.clone();
    match ended(name, state, &mut call).await {
        Ok(task) => no_store((StatusCode::OK, axum::Json(task)).into_response()),
        Err(problem) => problem.of_request(&id).into_response(),
    }
}

async fn ended(
    (owner, name): (String, String),
    state: TaskState,
    call: &mut Call,
) -> Result<TaskBody, Problem> {
    let caller = Caller::of(call).await.map_err(NoCaller::problem)?;
    let task = task_id(&owner, &name)?;
    if !caller.works_on(&task) {
        caller.require(AdminScope::Task, Some(&task.owner))?;
    }
    let TaskEnd { reason } = call.json().await?;
    check_words("reason", &reason)?;
    let bodies = vec![task_body(&task, state)];
    call.app
        .write_control(&caller.by, &reason, bodies, &call.request_id)
        .await?;
    // The stricter end stands: a revoked task is not completed by a second call.
    let state = call
        .app
        .view()
        .task(&task)
        .map_or(state, |(known, _)| known);
    Ok(TaskBody {
        task: task.to_string(),
        state: state.as_str(),
        purpose: String::new(),
        deadline: None,
    })
}

fn task_id(owner: &str, name: &str) -> Result<TaskId, Problem> {
    match (owner.parse(), name.parse()) {
        (Ok(owner), Ok(name)) => Ok(TaskId { owner, name }),
        _ => Err(Problem::new(ProblemCode::NotFound).detailed("this is no name of a task")),
    }
}

/// Words for the audit trail.
pub(crate) fn check_words(name: &str, text: &str) -> Result<(), Problem> {
    if text.chars().count() > MAX_PURPOSE_CHARS || text.chars().any(char::is_control) {
        return Err(Problem::bad(format!(
            "the {name} has more than {MAX_PURPOSE_CHARS} characters, or control characters"
        )));
    }
    Ok(())
}
