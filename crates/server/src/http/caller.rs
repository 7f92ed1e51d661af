//! Who is calling `/v1`, and what they may do: the issuer is an API like any other.

use dayfly_attest::Evidence;
use dayfly_issuer::Clock;
use dayfly_issuer::control::HoldKind;
use dayfly_policy::{CredentialKind, Decision, Principal, Registry, Request, Source};
use dayfly_token::{Slug, TaskId, WorkloadId};
use dayfly_verifier::{PeerCertificate, Presented, UnverifiedToken, Verified};

use super::call::{BearerError, Call};
use super::oauth_error::{OauthCode, OauthError};
use super::problem::{Problem, ProblemCode};
use crate::app::App;
use crate::authz::{AdminScope, Right, covers};

/// The challenge of a request without a credential (RFC 6750 section 3).
const CHALLENGE: &str = "Bearer realm=\"dayfly\"";

/// The challenge of a request with a token that does not count.
const CHALLENGE_INVALID: &str = "Bearer realm=\"dayfly\", error=\"invalid_token\"";

/// An authenticated caller.
#[derive(Debug)]
pub(crate) struct Caller {
    /// As it is recorded: the workload, or `socket:<uid>`.
    pub(crate) by: String,
    /// The workload; none for the socket, and for whoever shows a token of another audience.
    pub(crate) workload: Option<WorkloadId>,
    rights: Vec<Right>,
    /// The task whose live credential the caller showed.
    task: Option<TaskId>,
    everything: bool,
}

/// Why there is no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoCaller {
    /// No credential at all.
    Anonymous,
    /// A credential that does not count, or not here.
    Invalid,
    /// A known workload that is held.
    Held,
    /// Whether the credential counts cannot be said now.
    Unavailable,
}

impl Caller {
    /// The caller of a request.
    pub(crate) async fn of(call: &Call) -> Result<Self, NoCaller> {
        if let Some(socket) = call.socket {
            return Ok(Self {
                by: format!("socket:{}", socket.uid),
                workload: None,
                rights: Vec::new(),
                task: None,
                everything: true,
            });
        }
        match call.bearer() {
            Ok(Some(token)) => Self::of_token(&call.app, token, call.peer.as_ref()),
            Ok(None) => match &call.peer {
                Some(peer) => Self::of_certificate(&call.app, peer).await,
                None => Err(NoCaller::Anonymous),
            },
            Err(BearerError::Malformed) => Err(NoCaller::Invalid),
        }
    }

    /// A token whose audience is the issuer brings its scopes, as far as they are still granted.
    /// A token of any audience proves that the caller works on its task.
    fn of_token(app: &App, token: &str, peer: Option<&PeerCertificate>) -> Result<Self, NoCaller> {
        let now = app.clock.now().time();
        let presented = Presented {
            peer,
            ..Presented::NOTHING
        };
        let verified = app
            .own
            .verify(UnverifiedToken::new(token), &presented, now)
            .or_else(|_| {
                app.own_any
                    .verify(UnverifiedToken::new(token), &presented, now)
            })
            .map_err(|rejection| {
                tracing::info!(code = %rejection.code(), %rejection, "refused a caller's token");
                if app.is_in_doubt(&rejection) {
                    NoCaller::Unavailable
                } else {
                    NoCaller::Invalid
                }
            })?;
        let workload = verified.workload().ok_or(NoCaller::Invalid)?;
        let rule = verified.rule().and_then(|rule| rule.parse().ok());
        refuse_held(app, &workload, rule.as_ref(), None)?;
        let (by, task) = (
            workload.to_string(),
            verified.task().and_then(|task| task.parse().ok()),
        );
        let (workload, rights) = if verified.audience().contains(app.own.issuer()) {
            let rights = rights_of_token(app, &verified, &workload);
            (Some(workload), rights)
        } else {
            // Every API that got this token could show it here: it does not speak for the workload.
            (None, Vec::new())
        };
        Ok(Self {
            by,
            workload,
            rights,
            task,
            everything: false,
        })
    }

    async fn of_certificate(app: &App, peer: &PeerCertificate) -> Result<Self, NoCaller> {
        let id = peer.spiffe_id().ok_or(NoCaller::Invalid)?;
        let evidence = Evidence::X509Svid {
            peer,
            client_id: id.as_str(),
        };
        let attestor = app.attestor.load_full();
        let principal = attestor
            .attest(evidence, app.clock.now().time())
            .await
            .map_err(|error| {
                tracing::info!(code = error.code(), %error, "refused a caller's certificate");
                if error.is_unavailable() {
                    NoCaller::Unavailable
                } else {
                    NoCaller::Invalid
                }
            })?;
        let policy = app.issuer.policy();
        let (workload, rule) = policy.workload_of(&principal, None).map_err(|denial| {
            tracing::info!(
                reason = denial.reason.as_str(),
                "a caller is no registered workload"
            );
            NoCaller::Invalid
        })?;
        refuse_held(app, &workload.id, Some(&rule.name), Some(&principal.source))?;
        let rights = rights_of(app, &workload.id)
            .filter(|right| permitted(app, &policy, &principal, &rule.name, right.scope))
            .collect();
        Ok(Self {
            by: workload.id.to_string(),
            rights,
            workload: Some(workload.id.clone()),
            task: None,
            everything: false,
        })
    }

    /// Whether the caller may do something to what belongs to `owner`; `None` belongs to all.
    pub(crate) fn may(&self, scope: AdminScope, owner: Option<&Slug>) -> bool {
        self.everything || covers(&self.rights, scope, owner)
    }

    /// Whether the caller may do something to something at all.
    pub(crate) fn may_some(&self, scope: AdminScope) -> bool {
        self.everything || self.rights.iter().any(|right| right.scope == scope)
    }

    /// [`Caller::may`], or 403.
    pub(crate) fn require(&self, scope: AdminScope, owner: Option<&Slug>) -> Result<(), Problem> {
        if self.may(scope, owner) {
            return Ok(());
        }
        tracing::warn!(by = self.by, scope = scope.as_str(), "refused: no right");
        Err(Problem::forbidden())
    }

    /// Whether the caller showed a live credential of the task.
    pub(crate) fn works_on(&self, task: &TaskId) -> bool {
        self.task.as_ref() == Some(task)
    }
}

impl NoCaller {
    /// The answer of `/v1`.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Anonymous => Problem {
                challenge: Some(CHALLENGE),
                ..Problem::new(ProblemCode::Unauthenticated)
            },
            Self::Invalid => Problem {
                challenge: Some(CHALLENGE_INVALID),
                ..Problem::new(ProblemCode::Unauthenticated)
            },
            Self::Held => Problem::forbidden(),
            Self::Unavailable => Problem::unavailable(),
        }
    }

    /// The answer of introspection (RFC 7662 section 2.3).
    pub(crate) fn oauth(self) -> OauthError {
        match self {
            Self::Anonymous => OauthError::new(OauthCode::InvalidClient).challenge(CHALLENGE),
            Self::Invalid | Self::Held => {
                OauthError::new(OauthCode::InvalidClient).challenge(CHALLENGE_INVALID)
            }
            Self::Unavailable => OauthError::new(OauthCode::TemporarilyUnavailable).retry_after(1),
        }
    }
}

/// A workload on hold must not lift its own hold, nor do anything else here.
fn refuse_held(
    app: &App,
    workload: &WorkloadId,
    rule: Option<&Slug>,
    source: Option<&Source>,
) -> Result<(), NoCaller> {
    let name = workload.to_string();
    let source = source.map(ToString::to_string);
    let view = app.view();
    let held = view.hold(HoldKind::Workload, &name).is_some()
        || view
            .hold(HoldKind::Owner, workload.owner.as_str())
            .is_some()
        || rule.is_some_and(|rule| view.hold(HoldKind::Rule, rule.as_str()).is_some())
        || source.is_some_and(|source| view.hold(HoldKind::Source, &source).is_some());
    drop(view);
    if held {
        tracing::warn!(workload = name, "refused a caller on hold");
        return Err(NoCaller::Held);
    }
    Ok(())
}

/// Whether the caller would get a token with a scope of the issuer's: guardrails and lifetimes hold
/// for whoever calls with its certificate alone, too.
fn permitted(
    app: &App,
    policy: &Registry,
    principal: &Principal,
    rule: &Slug,
    scope: AdminScope,
) -> bool {
    let (Ok(audience), Ok(scopes)) = (app.own.issuer().parse(), scope.as_str().parse()) else {
        return false;
    };
    let request = Request {
        kind: CredentialKind::AccessToken,
        audience: Some(audience),
        scopes: Some(scopes),
        rule: Some(rule.clone()),
        task: None,
        purpose: None,
        requested_ttl: None,
        dns_names: Vec::new(),
        authorization_details: None,
    };
    match policy.decide(principal, &request, app.clock.now().time()) {
        Decision::Permit(_) => true,
        Decision::Deny(denial) => {
            tracing::info!(
                scope = scope.as_str(),
                reason = denial.reason.as_str(),
                detail = denial.detail,
                "a caller does not get a right of the main file"
            );
            false
        }
    }
}

/// What a workload may do, by the main file.
fn rights_of(app: &App, workload: &WorkloadId) -> impl Iterator<Item = Right> {
    app.issuer
        .policy()
        .admin(workload)
        .into_iter()
        .flat_map(|grant| {
            let owner = grant.owner;
            AdminScope::ALL
                .into_iter()
                .filter(move |scope| grant.scopes.contains(scope.as_str()))
                .map(move |scope| Right {
                    scope,
                    owner: owner.clone(),
                })
        })
}

fn rights_of_token(app: &App, token: &Verified, workload: &WorkloadId) -> Vec<Right> {
    rights_of(app, workload)
        .filter(|right| token.has_scope(right.scope.as_str()))
        .collect()
}
