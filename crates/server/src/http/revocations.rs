//! `/v1/revocations`: cut-offs and holds.

use axum::response::{IntoResponse, Response};
use dayfly_issuer::Clock;
use dayfly_issuer::Now;
use dayfly_issuer::control::{Body, HoldKind};
use dayfly_issuer::revoke::{Revocation, cut_off_body, hold_body};
use dayfly_policy::Registry;
use dayfly_token::feed::Kind;
use dayfly_token::{CredentialId, Slug, TaskId, WorkloadId};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::Call;
use super::caller::{Caller, NoCaller};
use super::problem::{Problem, ProblemBody};
use super::tasks::check_words;
use super::token::no_store;
use crate::app::App;
use crate::authz::AdminScope;

/// The longest value: a SPIFFE trust domain or a `kid` with its prefix.
const MAX_VALUE_BYTES: usize = 300;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeAction {
    /// A cut-off; for a workload or an owner a hold as well.
    Revoke,
    /// Ends what was issued so far.
    CutOff,
    /// Nothing more is issued until it is lifted.
    Hold,
    /// Lifts a hold.
    Lift,
}

/// What the value names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeKind {
    /// A credential id (`jti`, or the serial number as base64url).
    Credential,
    /// `<owner>/<task>`.
    Task,
    /// `<owner>/<name>`.
    Workload,
    /// An owner.
    Owner,
    /// The name of a rule.
    Rule,
    /// A `kid`: the key is tainted, and nothing that it signed counts.
    Key,
    /// `spiffe:<trust domain>` or `oidc:<issuer name>`.
    Source,
}

/// A change of what is revoked or held.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevocationChange {
    action: ChangeAction,
    kind: ChangeKind,
    /// What it is about.
    value: String,
    /// For the audit trail; at most 256 characters.
    #[serde(default)]
    reason: String,
}

/// What was recorded.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeBody {
    action: ChangeAction,
    kind: ChangeKind,
    value: String,
    /// The last issuing instant that is dead, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    /// Whether a hold stands.
    held: bool,
    /// Whether anything of this name is known. What is not may have been removed, or mistyped: the
    /// fact is recorded all the same.
    known: bool,
}

/// The holds that are set.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldList {
    holds: Vec<HoldBody>,
}

/// A hold.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldBody {
    /// `owner`, `rule`, `source` or `workload`.
    kind: &'static str,
    value: String,
    /// Seconds since 1970.
    since: u64,
    /// Who set it.
    by: String,
    reason: String,
}

/// Revokes, cuts off, holds or lifts a hold
///
/// `revoke` and `cut_off` take the kinds `credential`, `task`, `workload`, `owner`, `rule` and
/// `key`; `hold` and `lift` take `workload`, `owner`, `rule` and `source`. When the answer is 200,
/// the fact is in the ledger.
#[utoipa::path(
    post,
    path = "/v1/revocations",
    operation_id = "change_revocations",
    tag = "revocation",
    request_body = RevocationChange,
    responses(
        (status = 200, description = "Recorded", body = ChangeBody),
        (status = 400, description = "The body cannot be read", body = ProblemBody),
        (status = 401, description = "Not authenticated", body = ProblemBody),
        (status = 403, description = "No right, and nothing has changed", body = ProblemBody),
        (status = 413, description = "Too large", body = ProblemBody),
        (status = 415, description = "Not JSON", body = ProblemBody),
        (status = 503, description = "Not recorded; see Retry-After", body = ProblemBody),
    ),
    security(("svid" = []), ("token" = ["dayfly:revoke", "dayfly:hold", "dayfly:keys"])),
)]
pub(crate) async fn change(mut call: Call) -> Response {
    let id = call.request_id.clone();
    match changed(&mut call).await {
        Ok(body) => no_store((StatusCode::OK, axum::Json(body)).into_response()),
        Err(problem) => problem.of_request(&id).into_response(),
    }
}

async fn changed(call: &mut Call) -> Result<ChangeBody, Problem> {
    let caller = Caller::of(call).await.map_err(NoCaller::problem)?;
    let change: RevocationChange = call.json().await?;
    check_words("reason", &change.reason)?;
    if change.value.len() > MAX_VALUE_BYTES {
        return Err(Problem::bad("the value is too long"));
    }
    let (action, kind) = (change.action, change.kind);
    let scope = scope_of(action, kind);
    // The right is checked before anything is looked up, so that a stranger learns nothing.
    if !caller.may_some(scope) {
        caller.require(scope, None)?;
    }
    let target = Target::read(kind, &change.value)?;
    let known = target.is_known(&call.app);
    let (owner, expires_at) = owner_of(call, &target).await?;
    caller.require(scope, owner.as_ref())?;
    let known = known.unwrap_or(owner.is_some());
    let now = call.app.clock.now();
    let bodies = match action {
        ChangeAction::Revoke => target
            .revocation(expires_at)?
            .bodies(now, call.app.retention()),
        ChangeAction::CutOff => vec![target.cut_off(expires_at, call, now)?],
        ChangeAction::Hold | ChangeAction::Lift => {
            vec![target.hold(action == ChangeAction::Hold)?]
        }
    };
    let before = bodies.iter().find_map(|body| match body {
        Body::CutOff { before, .. } => Some(before.as_secs()),
        _ => None,
    });
    call.app
        .write_control(&caller.by, &change.reason, bodies, &call.request_id)
        .await?;
    let held =
        hold_kind(kind).is_some_and(|kind| call.app.view().hold(kind, &change.value).is_some());
    Ok(ChangeBody {
        action,
        kind,
        value: change.value,
        before,
        held,
        known,
    })
}

/// Lists the holds that are set
///
/// A caller whose right is limited to one owner sees that owner's.
#[utoipa::path(
    get,
    path = "/v1/revocations",
    operation_id = "list_holds",
    tag = "revocation",
    responses(
        (status = 200, description = "The holds", body = HoldList),
        (status = 401, description = "Not authenticated", body = ProblemBody),
        (status = 403, description = "No right", body = ProblemBody),
        (status = 503, description = "Not now", body = ProblemBody),
    ),
    security(("svid" = []), ("token" = ["dayfly:hold"])),
)]
pub(crate) async fn list(call: Call) -> Response {
    match listed(&call).await {
        Ok(body) => no_store((StatusCode::OK, axum::Json(body)).into_response()),
        Err(problem) => problem.of_request(&call.request_id).into_response(),
    }
}

async fn listed(call: &Call) -> Result<HoldList, Problem> {
    let caller = Caller::of(call).await.map_err(NoCaller::problem)?;
    if !caller.may_some(AdminScope::Hold) {
        caller.require(AdminScope::Hold, None)?;
    }
    let policy = call.app.issuer.policy();
    let holds = call.app.view().holds();
    let holds = holds
        .into_iter()
        .filter(|hold| {
            let owner = match hold.kind {
                HoldKind::Owner => hold.value.parse().ok(),
                HoldKind::Workload => hold.value.parse().ok().map(|id: WorkloadId| id.owner),
                HoldKind::Rule => hold
                    .value
                    .parse()
                    .ok()
                    .and_then(|rule| owner_of_rule(&policy, &rule)),
                HoldKind::Source => None,
            };
            caller.may(AdminScope::Hold, owner.as_ref())
        })
        .map(|hold| HoldBody {
            kind: hold.kind.as_str(),
            value: hold.value,
            since: hold.since.as_secs(),
            by: hold.by,
            reason: hold.reason,
        })
        .collect();
    Ok(HoldList { holds })
}

/// Which right an action takes.
const fn scope_of(action: ChangeAction, kind: ChangeKind) -> AdminScope {
    match (action, kind) {
        (ChangeAction::Hold | ChangeAction::Lift, _) => AdminScope::Hold,
        (ChangeAction::Revoke | ChangeAction::CutOff, ChangeKind::Key) => AdminScope::Keys,
        (ChangeAction::Revoke | ChangeAction::CutOff, _) => AdminScope::Revoke,
    }
}

const fn hold_kind(kind: ChangeKind) -> Option<HoldKind> {
    match kind {
        ChangeKind::Workload => Some(HoldKind::Workload),
        ChangeKind::Owner => Some(HoldKind::Owner),
        ChangeKind::Rule => Some(HoldKind::Rule),
        ChangeKind::Source => Some(HoldKind::Source),
        ChangeKind::Credential | ChangeKind::Task | ChangeKind::Key => None,
    }
}

/// The value, read as what it names.
enum Target {
    Credential(CredentialId),
    Task(TaskId),
    Workload(WorkloadId),
    Owner(Slug),
    Rule(Slug),
    Key(String),
    Source(String),
}

impl Target {
    fn read(kind: ChangeKind, value: &str) -> Result<Self, Problem> {
        let refused = || Problem::bad("the value is not a name of this kind");
        Ok(match kind {
            ChangeKind::Credential => Self::Credential(value.parse().map_err(|_| refused())?),
            ChangeKind::Task => Self::Task(value.parse().map_err(|_| refused())?),
            ChangeKind::Workload => Self::Workload(value.parse().map_err(|_| refused())?),
            ChangeKind::Owner => Self::Owner(value.parse().map_err(|_| refused())?),
            ChangeKind::Rule => Self::Rule(value.parse().map_err(|_| refused())?),
            ChangeKind::Key if is_plain(value) => Self::Key(value.to_owned()),
            ChangeKind::Source if is_plain(value) && value.contains(':') => {
                Self::Source(value.to_owned())
            }
            ChangeKind::Key | ChangeKind::Source => return Err(refused()),
        })
    }

    /// Whether the registry, the configuration or control knows it; `None`: the ledger would.
    fn is_known(&self, app: &App) -> Option<bool> {
        let policy = app.issuer.policy();
        Some(match self {
            Self::Credential(_) => return None,
            Self::Task(task) => policy.owners().any(|owner| owner.name == task.owner),
            Self::Workload(workload) => policy.workload(workload).is_some(),
            Self::Owner(name) => policy.owners().any(|owner| owner.name == *name),
            Self::Rule(rule) => policy.rule(rule).is_some(),
            Self::Key(kid) => app.view().key_record(kid).is_some(),
            Self::Source(source) => app.knows_source(source),
        })
    }

    fn revocation(self, expires_at: Option<dayfly_token::UnixTime>) -> Result<Revocation, Problem> {
        Ok(match self {
            Self::Credential(id) => Revocation::Credential {
                id: id.to_string(),
                expires_at,
            },
            Self::Task(task) => Revocation::Task(task),
            Self::Workload(workload) => Revocation::Workload(workload),
            Self::Owner(owner) => Revocation::Owner(owner),
            Self::Rule(rule) => Revocation::Rule(rule),
            Self::Key(kid) => Revocation::Key { kid },
            Self::Source(_) => return Err(Problem::bad("a source can be held, not revoked")),
        })
    }

    /// The past alone: what `revoke` writes, without the hold.
    fn cut_off(
        self,
        expires_at: Option<dayfly_token::UnixTime>,
        call: &Call,
        now: Now,
    ) -> Result<Body, Problem> {
        let retention = call.app.retention();
        let (kind, value) = match &self {
            Self::Workload(workload) => (Kind::Workload, workload.to_string()),
            Self::Owner(owner) => (Kind::Owner, owner.to_string()),
            _ => {
                let bodies = self.revocation(expires_at)?.bodies(now, retention);
                return bodies
                    .into_iter()
                    .next()
                    .ok_or_else(|| Problem::bad("nothing to cut off"));
            }
        };
        Ok(cut_off_body(
            kind,
            &value,
            now,
            retention.max_lifetime_secs,
            retention.leeway_secs,
        ))
    }

    fn hold(self, active: bool) -> Result<Body, Problem> {
        let (kind, value) = match self {
            Self::Workload(workload) => (HoldKind::Workload, workload.to_string()),
            Self::Owner(owner) => (HoldKind::Owner, owner.to_string()),
            Self::Rule(rule) => (HoldKind::Rule, rule.to_string()),
            Self::Source(source) => (HoldKind::Source, source),
            Self::Credential(_) | Self::Task(_) | Self::Key(_) => {
                return Err(Problem::bad(
                    "a hold is on a workload, an owner, a rule or a source",
                ));
            }
        };
        Ok(hold_body(kind, &value, active))
    }
}

/// Whose thing it is, and for a credential when it ends; `None` belongs to all.
async fn owner_of(
    call: &Call,
    target: &Target,
) -> Result<(Option<Slug>, Option<dayfly_token::UnixTime>), Problem> {
    Ok(match target {
        Target::Credential(id) => match call.app.issuer.ledger().issuance(*id).await? {
            Some(issuance) => (Some(issuance.workload.owner), Some(issuance.expires_at)),
            // The ledger may have forgotten what is still out: it can be revoked, though only by
            // a caller whose right has no limit.
            None => (None, None),
        },
        Target::Task(task) => (Some(task.owner.clone()), None),
        Target::Workload(workload) => (Some(workload.owner.clone()), None),
        Target::Owner(owner) => (Some(owner.clone()), None),
        Target::Rule(rule) => (owner_of_rule(&call.app.issuer.policy(), rule), None),
        Target::Key(_) | Target::Source(_) => (None, None),
    })
}

fn owner_of_rule(policy: &Registry, rule: &Slug) -> Option<Slug> {
    policy.rule(rule).map(|rule| rule.workload.owner.clone())
}

fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_takes_its_own_right() {
        use ChangeAction::{CutOff, Hold, Lift, Revoke};
        assert_eq!(scope_of(Revoke, ChangeKind::Workload), AdminScope::Revoke);
        assert_eq!(scope_of(CutOff, ChangeKind::Task), AdminScope::Revoke);
        assert_eq!(scope_of(Revoke, ChangeKind::Key), AdminScope::Keys);
        assert_eq!(scope_of(Hold, ChangeKind::Workload), AdminScope::Hold);
        assert_eq!(scope_of(Lift, ChangeKind::Source), AdminScope::Hold);
    }

    #[test]
    fn a_value_is_a_name_of_its_kind() {
        for (kind, good, bad) in [
            (ChangeKind::Credential, "QAAAAAAAAAAAAAAAAAAAAA", "abc"),
            (ChangeKind::Task, "payments/deploy-1", "deploy-1"),
            (ChangeKind::Workload, "payments/deploy", "payments"),
            (ChangeKind::Owner, "payments", "Payments"),
            (ChangeKind::Rule, "gh-deploy", "gh_deploy "),
            (
                ChangeKind::Key,
                "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
                "a b",
            ),
            (ChangeKind::Source, "oidc:github", "github"),
        ] {
            assert!(Target::read(kind, good).is_ok(), "{good}");
            assert!(Target::read(kind, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hold_is_on_what_can_be_issued_for() {
        let read = |kind, value| Target::read(kind, value).unwrap();
        assert!(read(ChangeKind::Rule, "gh").hold(true).is_ok());
        assert!(read(ChangeKind::Task, "a/b").hold(true).is_err());
        assert!(read(ChangeKind::Key, "k").hold(true).is_err());
        assert!(
            read(ChangeKind::Source, "oidc:github")
                .revocation(None)
                .is_err()
        );
    }
}
