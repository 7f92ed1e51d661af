//! The rows.

use super::{Access, AdminScope, Listener, Operation, Row};

const fn row(
    operation: Operation,
    method: &'static str,
    path: &'static str,
    listener: Listener,
    access: Access,
) -> Row {
    Row {
        operation,
        method,
        path,
        variant: "",
        listener,
        access,
    }
}

const fn variant(row: Row, variant: &'static str, access: Access) -> Row {
    Row {
        variant,
        access,
        ..row
    }
}

const REVOCATIONS: Row = row(
    Operation::ChangeRevocations,
    "POST",
    "/v1/revocations",
    Listener::PublicAndSocket,
    Access::Scope(AdminScope::Revoke),
);

/// The table.
pub const TABLE: &[Row] = &[
    row(
        Operation::Token,
        "POST",
        "/oauth2/token",
        Listener::Public,
        Access::Evidence,
    ),
    row(
        Operation::Introspect,
        "POST",
        "/oauth2/introspect",
        Listener::PublicAndSocket,
        Access::ScopeOrOperator(AdminScope::Introspect),
    ),
    row(
        Operation::Revoke,
        "POST",
        "/oauth2/revoke",
        Listener::Public,
        Access::Possession,
    ),
    row(
        Operation::Certificate,
        "POST",
        "/v1/x509",
        Listener::Public,
        Access::Evidence,
    ),
    row(
        Operation::DeclareTask,
        "POST",
        "/v1/tasks",
        Listener::PublicAndSocket,
        Access::Scope(AdminScope::Task),
    ),
    row(
        Operation::CompleteTask,
        "POST",
        "/v1/tasks/{owner}/{task}/complete",
        Listener::PublicAndSocket,
        Access::ScopeOrTask(AdminScope::Task),
    ),
    row(
        Operation::RevokeTask,
        "POST",
        "/v1/tasks/{owner}/{task}/revoke",
        Listener::PublicAndSocket,
        Access::ScopeOrTask(AdminScope::Task),
    ),
    variant(
        REVOCATIONS,
        "revoke, cut_off",
        Access::Scope(AdminScope::Revoke),
    ),
    variant(REVOCATIONS, "hold, lift", Access::Scope(AdminScope::Hold)),
    variant(REVOCATIONS, "revoke key", Access::Scope(AdminScope::Keys)),
    row(
        Operation::ListHolds,
        "GET",
        "/v1/revocations",
        Listener::PublicAndSocket,
        Access::ScopeOverOwn(AdminScope::Hold),
    ),
    row(
        Operation::Decision,
        "GET",
        "/v1/decisions/{id}",
        Listener::PublicAndSocket,
        Access::Scope(AdminScope::Audit),
    ),
    row(
        Operation::Issuance,
        "GET",
        "/v1/issuances/{id}",
        Listener::PublicAndSocket,
        Access::Scope(AdminScope::Audit),
    ),
    row(
        Operation::Feed,
        "GET",
        "/v1/feed",
        Listener::PublicAndSocket,
        Access::Open,
    ),
    row(
        Operation::FeedStream,
        "GET",
        "/v1/feed/stream",
        Listener::PublicAndSocket,
        Access::Open,
    ),
    row(
        Operation::Trust,
        "GET",
        "/v1/trust",
        Listener::PublicAndSocket,
        Access::Open,
    ),
    row(
        Operation::OauthMetadata,
        "GET",
        "/.well-known/oauth-authorization-server",
        Listener::Public,
        Access::Open,
    ),
    row(
        Operation::OpenidMetadata,
        "GET",
        "/.well-known/openid-configuration",
        Listener::Public,
        Access::Open,
    ),
    row(
        Operation::Jwks,
        "GET",
        "/.well-known/jwks.json",
        Listener::Public,
        Access::Open,
    ),
    row(
        Operation::SpiffeBundle,
        "GET",
        "/spiffe/bundle.json",
        Listener::Public,
        Access::Open,
    ),
    row(
        Operation::Livez,
        "GET",
        "/livez",
        Listener::Operations,
        Access::Open,
    ),
    row(
        Operation::Readyz,
        "GET",
        "/readyz",
        Listener::Operations,
        Access::Open,
    ),
    row(
        Operation::Metrics,
        "GET",
        "/metrics",
        Listener::Operations,
        Access::Open,
    ),
];
