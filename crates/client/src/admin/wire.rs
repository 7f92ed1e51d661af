use dayfly_token::{TaskId, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a hold closes the door to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HoldKind {
    /// A workload, `owner/workload`.
    Workload,
    /// All workloads of an owner.
    Owner,
    /// All that a rule lets in.
    Rule,
    /// All evidence of a source, `oidc:<name>` or `spiffe:<trust domain>`.
    Source,
}

/// What a revocation or a hold has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevocationOutcome {
    /// `revoke`, `cut_off`, `hold` or `lift`.
    pub action: String,
    /// What kind of thing it was done to.
    pub kind: String,
    /// Which one.
    pub value: String,
    /// What was issued until this instant is dead.
    pub before: Option<UnixTime>,
    /// Whether nothing more is issued to it now.
    #[serde(default)]
    pub held: bool,
    /// Whether the issuer knows anything of this name; if not, it may be mistyped.
    #[serde(default)]
    pub known: bool,
}

/// A hold that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hold {
    /// What kind of thing is held.
    pub kind: HoldKind,
    /// Which one.
    pub value: String,
    /// Since when.
    pub since: UnixTime,
    /// Who set it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A task that is opened before its first credential.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTask {
    /// Its name.
    pub task: TaskId,
    /// What it is for.
    pub purpose: Option<String>,
    /// Nothing of it lives longer.
    pub deadline: Option<UnixTime>,
    /// Why it is opened, for the audit.
    pub reason: Option<String>,
}

impl NewTask {
    /// A task without purpose and deadline.
    #[must_use]
    pub const fn new(task: TaskId) -> Self {
        Self {
            task,
            purpose: None,
            deadline: None,
            reason: None,
        }
    }

    /// Says what it is for.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }

    /// Sets its end.
    #[must_use]
    pub const fn deadline(mut self, deadline: UnixTime) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// A task as the issuer has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskState {
    /// Its name, `owner/task`.
    pub task: String,
    /// `open`, `completed` or `revoked`.
    pub state: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// Its end.
    pub deadline: Option<UnixTime>,
}

/// A credential as the ledger has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IssuanceStatus {
    /// The record.
    pub issuance: Value,
    /// `live`, `expired`, `revoked` or `void`.
    pub status: String,
    /// What kind of revocation ended it.
    pub revoked_by: Option<String>,
}

/// What introspection says (RFC 7662).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Introspection {
    /// Whether the token counts.
    pub active: bool,
    /// Everything else that was said.
    #[serde(flatten)]
    pub claims: Map<String, Value>,
}

impl HoldKind {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Owner => "owner",
            Self::Rule => "rule",
            Self::Source => "source",
        }
    }
}
