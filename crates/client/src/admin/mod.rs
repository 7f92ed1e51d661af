mod wire;

use std::fmt;

use dayfly_token::feed::Kind;
use dayfly_token::{CredentialId, DecisionId, TaskId};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use wire::{
    Hold, HoldKind, Introspection, IssuanceStatus, NewTask, RevocationOutcome, TaskState,
};

use crate::http::{Reply, send};
use crate::request::Form;
use crate::retry::Attempts;
use crate::{Client, ClientError, RetryPolicy, Secret, TokenRequest};

/// The host in requests over the Unix socket, where none is needed but HTTP wants one.
const SOCKET_BASE: &str = "http://localhost";

/// The administration of an issuer: revocations, holds, tasks, decisions.
///
/// Made by [`Client::admin`], or by [`Admin::over_socket`] on the issuer's own machine.
pub struct Admin {
    way: Way,
}

enum Way {
    /// Over TLS, with the client's SVID, with a token of its own, or with the given one.
    Tls {
        client: Client,
        token: Option<Secret>,
    },
    /// Over the Unix socket, whose file mode and peer uid are the proof.
    Socket { http: reqwest::Client },
}

/// What a call needs; the scopes are ordinary grants on the audience that is the issuer.
#[derive(Clone, Copy)]
enum Right {
    Audit,
    Hold,
    Introspect,
    Revoke,
    Task,
}

impl Right {
    const fn scope(self) -> &'static str {
        match self {
            Self::Audit => "dayfly:audit",
            Self::Hold => "dayfly:hold",
            Self::Introspect => "dayfly:introspect",
            Self::Revoke => "dayfly:revoke",
            Self::Task => "dayfly:task",
        }
    }
}

impl Admin {
    pub(crate) const fn with_client(client: Client, token: Option<Secret>) -> Self {
        Self {
            way: Way::Tls { client, token },
        }
    }

    /// Over the issuer's admin socket, on its own machine.
    #[cfg(unix)]
    pub fn over_socket(path: impl AsRef<std::path::Path>) -> Result<Self, ClientError> {
        crate::tls::socket_client(path.as_ref()).map(|http| Self {
            way: Way::Socket { http },
        })
    }

    /// Revokes everything of `value` up to now; of a workload or an owner the future too, by a hold.
    pub async fn revoke(
        &self,
        kind: Kind,
        value: &str,
        reason: Option<&str>,
    ) -> Result<RevocationOutcome, ClientError> {
        self.change("revoke", kind.as_str(), value, reason, Right::Revoke)
            .await
    }

    /// Revokes everything of `value` up to now, and nothing of the future.
    pub async fn cut_off(
        &self,
        kind: Kind,
        value: &str,
        reason: Option<&str>,
    ) -> Result<RevocationOutcome, ClientError> {
        self.change("cut_off", kind.as_str(), value, reason, Right::Revoke)
            .await
    }

    /// Issues nothing to `value` until [`Self::lift`].
    pub async fn hold(
        &self,
        kind: HoldKind,
        value: &str,
        reason: Option<&str>,
    ) -> Result<RevocationOutcome, ClientError> {
        self.change("hold", kind.as_str(), value, reason, Right::Hold)
            .await
    }

    /// Ends a hold.
    pub async fn lift(
        &self,
        kind: HoldKind,
        value: &str,
        reason: Option<&str>,
    ) -> Result<RevocationOutcome, ClientError> {
        self.change("lift", kind.as_str(), value, reason, Right::Hold)
            .await
    }

    /// The holds in force.
    pub async fn holds(&self) -> Result<Vec<Hold>, ClientError> {
        #[derive(Deserialize)]
        struct Holds {
            holds: Vec<Hold>,
        }
        let reply = self
            .call(Right::Hold, Method::GET, "/v1/revocations", None)
            .await?;
        Ok(reply.json::<Holds>()?.holds)
    }

    /// Opens a task. Tasks need not be opened: the first credential for a name opens it as well.
    pub async fn open_task(&self, task: &NewTask) -> Result<TaskState, ClientError> {
        let mut body = json!({ "task": task.task });
        set(&mut body, "purpose", task.purpose.as_deref());
        set(&mut body, "deadline", task.deadline);
        set(&mut body, "reason", task.reason.as_deref());
        self.call(Right::Task, Method::POST, "/v1/tasks", Some(&body))
            .await?
            .json()
    }

    /// Ends a task that is done.
    pub async fn complete_task(
        &self,
        task: &TaskId,
        reason: Option<&str>,
    ) -> Result<TaskState, ClientError> {
        self.end_task(task, "complete", reason).await
    }

    /// Ends a task that must not go on.
    pub async fn revoke_task(
        &self,
        task: &TaskId,
        reason: Option<&str>,
    ) -> Result<TaskState, ClientError> {
        self.end_task(task, "revoke", reason).await
    }

    /// The audit line of a decision: why it was made.
    pub async fn decision(&self, id: &DecisionId) -> Result<Map<String, Value>, ClientError> {
        self.call(
            Right::Audit,
            Method::GET,
            &format!("/v1/decisions/{id}"),
            None,
        )
        .await?
        .json()
    }

    /// A credential as the ledger has it.
    pub async fn issuance(&self, id: &CredentialId) -> Result<IssuanceStatus, ClientError> {
        self.call(
            Right::Audit,
            Method::GET,
            &format!("/v1/issuances/{id}"),
            None,
        )
        .await?
        .json()
    }

    /// Whether a token counts at this moment (RFC 7662).
    pub async fn introspect(&self, token: &Secret) -> Result<Introspection, ClientError> {
        let mut attempts = Attempts::new(self.retry_policy());
        loop {
            match self.try_introspect(token).await {
                Err(error) => attempts.after(error).await?,
                done => return done,
            }
        }
    }

    async fn change(
        &self,
        action: &str,
        kind: &str,
        value: &str,
        reason: Option<&str>,
        right: Right,
    ) -> Result<RevocationOutcome, ClientError> {
        let mut body = json!({ "action": action, "kind": kind, "value": value });
        set(&mut body, "reason", reason);
        self.call(right, Method::POST, "/v1/revocations", Some(&body))
            .await?
            .json()
    }

    async fn end_task(
        &self,
        task: &TaskId,
        how: &str,
        reason: Option<&str>,
    ) -> Result<TaskState, ClientError> {
        let path = format!("/v1/tasks/{}/{}/{how}", task.owner, task.name);
        let body = reason.map(|reason| json!({ "reason": reason }));
        self.call(Right::Task, Method::POST, &path, body.as_ref())
            .await?
            .json()
    }

    async fn call(
        &self,
        right: Right,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ClientError> {
        let mut attempts = Attempts::new(self.retry_policy());
        loop {
            match self.try_call(right, method.clone(), path, body).await {
                Err(error) => attempts.after(error).await?,
                done => return done,
            }
        }
    }

    async fn try_call(
        &self,
        right: Right,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ClientError> {
        match &self.way {
            Way::Tls { client, token } => {
                let own = own_token(client, token.as_ref(), right).await?;
                client
                    .call(method, path, token.as_ref().or(own.as_ref()), body)
                    .await
            }
            Way::Socket { http } => {
                let mut request = http.request(method, format!("{SOCKET_BASE}{path}"));
                if let Some(body) = body {
                    request = request.json(body);
                }
                send(request, path).await?.accepted()
            }
        }
    }

    async fn try_introspect(&self, token: &Secret) -> Result<Introspection, ClientError> {
        let mut form = Form::default();
        form.add("token", token.expose());
        let reply = match &self.way {
            Way::Tls { client, token } => {
                let own = own_token(client, token.as_ref(), Right::Introspect).await?;
                client
                    .introspect(token.as_ref().or(own.as_ref()), &form)
                    .await?
            }
            Way::Socket { http } => {
                let path = "/oauth2/introspect";
                let request = http
                    .post(format!("{SOCKET_BASE}{path}"))
                    .header(
                        reqwest::header::CONTENT_TYPE,
                        "application/x-www-form-urlencoded",
                    )
                    .body(form.encode());
                send(request, path).await?.accepted()?
            }
        };
        reply.json()
    }

    fn retry_policy(&self) -> RetryPolicy {
        match &self.way {
            Way::Tls { client, .. } => client.retry_policy(),
            Way::Socket { .. } => RetryPolicy::DEFAULT,
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Tls { client, .. } => f.debug_tuple("Admin").field(client).finish(),
            Way::Socket { .. } => f.write_str("Admin(socket)"),
        }
    }
}

/// A token for the issuer itself with just this scope, for callers that have no certificate to show.
async fn own_token(
    client: &Client,
    given: Option<&Secret>,
    right: Right,
) -> Result<Option<Secret>, ClientError> {
    if given.is_some() || client.is_certificate_caller() {
        return Ok(None);
    }
    let request = TokenRequest::new(client.issuer()).scope(right.scope());
    // Once: it is part of an attempt, and the attempts are counted there.
    let token = client.try_token(&request).await?;
    Ok(Some(Secret::new(token.secret().expose())))
}

fn set(body: &mut Value, name: &str, value: Option<impl Serialize>) {
    if let (Some(members), Some(value)) = (body.as_object_mut(), value) {
        members.insert(name.to_owned(), json!(value));
    }
}
