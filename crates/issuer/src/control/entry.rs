//! The entries of the control stream.

use dayfly_keys::Jwk;
use dayfly_token::feed::Kind;
use dayfly_token::{TaskId, UnixTime};
use serde::{Deserialize, Serialize};

/// One fact of the control stream. Entries of the same slot replace each other by version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlEntry {
    /// Grows with every entry that the writer has seen, over all replicas (a Lamport clock).
    pub version: u64,
    /// When it was written, by the writer's wall clock.
    pub at: UnixTime,
    /// Who asked for it: a workload, `socket:<uid>`, or `replica:<name>`.
    pub by: String,
    /// Why, in the words of the one who asked; at most 256 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The fact.
    pub body: Body,
}

/// The kinds of facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    /// Everything of one kind and value that was issued up to `before` is dead.
    CutOff {
        /// What the value names.
        kind: Kind,
        /// The credential id, task, workload, owner, rule or `kid`.
        value: String,
        /// The last issuing instant that is dead.
        before: UnixTime,
        /// When no such credential can be alive any more.
        until: UnixTime,
    },
    /// No issuance for something until it is lifted.
    Hold {
        /// What the value names.
        kind: HoldKind,
        /// The workload, owner, rule or source.
        value: String,
        /// Set, or lifted.
        active: bool,
    },
    /// A public key of a replica.
    Key(Box<KeyRecord>),
    /// The state of a task that was declared or ended.
    Task {
        /// The task.
        task: TaskId,
        /// Its state; an ended task stays ended.
        state: TaskState,
        /// What it is for.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        purpose: String,
        /// No credential of the task outlives this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<UnixTime>,
    },
}

/// What a hold can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// One owner's workloads.
    Owner,
    /// Whatever a rule maps.
    Rule,
    /// All evidence of a trust domain or an issuer: `spiffe:<td>`, `oidc:<name>`.
    Source,
    /// One workload, `<owner>/<name>`.
    Workload,
}

/// The life of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Credentials may be issued for it.
    Open,
    /// It ended as meant.
    Completed,
    /// It was ended.
    Revoked,
}

/// What a published key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// Feed statements.
    Feed,
    /// Access tokens.
    Token,
}

/// A public key as a replica publishes it (protocol D).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// The public key.
    pub jwk: Jwk,
    /// What it signs.
    pub key_use: KeyUse,
    /// The issuer that it signs for.
    pub issuer: String,
    /// The replica that holds the private key.
    pub replica: String,
    /// The first instant at which it may sign.
    pub sign_from: UnixTime,
    /// The holder lives until then, and renews.
    pub lease_until: UnixTime,
    /// Whether it may have signed.
    pub signed: bool,
    /// It is served until then.
    pub serve_until: UnixTime,
}

impl HoldKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Rule => "rule",
            Self::Source => "source",
            Self::Workload => "workload",
        }
    }
}

impl TaskState {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Completed => "completed",
            Self::Revoked => "revoked",
        }
    }
}

impl Body {
    /// The slot of the ledger that the entry fills.
    #[must_use]
    pub fn slot(&self) -> String {
        match self {
            Self::CutOff { kind, value, .. } => format!("cut:{}:{value}", kind.as_str()),
            Self::Hold { kind, value, .. } => format!("hold:{}:{value}", kind.as_str()),
            Self::Key(record) => format!("key:{}", record.kid),
            Self::Task { task, .. } => format!("task:{task}"),
        }
    }
}
