//! Who may call what, as data. The routes, the OpenAPI document and `api/authz.txt` are compared
//! with this table by tests.

use dayfly_token::Slug;

/// The rights to operate dayfly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdminScope {
    /// Read decisions and issuances.
    Audit,
    /// Set, lift and list holds.
    Hold,
    /// Introspect tokens of any audience.
    Introspect,
    /// Taint signing keys.
    Keys,
    /// Revoke credentials, workloads, owners and rules.
    Revoke,
    /// Declare and end tasks.
    Task,
}

impl AdminScope {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 6] =
        [Self::Audit, Self::Hold, Self::Introspect, Self::Keys, Self::Revoke, Self::Task];

    /// The scope as it stands in tokens and grants.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "dayfly:audit",
            Self::Hold => "dayfly:hold",
            Self::Introspect => "dayfly:introspect",
            Self::Keys => "dayfly:keys",
            Self::Revoke => "dayfly:revoke",
            Self::Task => "dayfly:task",
        }
    }

    /// The right that a scope names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Every operation of every listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the table below says what each is")]
pub enum Operation {
    Token,
    Introspect,
    Revoke,
    Certificate,
    DeclareTask,
    CompleteTask,
    RevokeTask,
    ChangeRevocations,
    ListHolds,
    Decision,
    Issuance,
    Feed,
    FeedStream,
    Trust,
    OauthMetadata,
    OpenidMetadata,
    Jwks,
    SpiffeBundle,
    Livez,
    Readyz,
    Metrics,
}

/// Where an operation is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The public listener alone.
    Public,
    /// The public listener and the admin socket.
    PublicAndSocket,
    /// The operations listener alone.
    Operations,
}

/// What a caller must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// Evidence in the request itself; policy decides what it is worth.
    Evidence,
    /// The credential that the request is about.
    Possession,
    /// A right.
    Scope(AdminScope),
    /// A right, or a live credential of the task that the request is about.
    ScopeOrTask(AdminScope),
    /// A right, or to be an operator of the audience that the request is about.
    ScopeOrOperator(AdminScope),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The operation.
    pub operation: Operation,
    /// Its method.
    pub method: &'static str,
    /// Its path below the issuer.
    pub path: &'static str,
    /// Which kind of request it is, where kinds differ.
    pub variant: &'static str,
    /// Where it is served.
    pub listener: Listener,
    /// What a caller must show.
    pub access: Access,
}

const fn row(
    operation: Operation,
    method: &'static str,
    path: &'static str,
    listener: Listener,
    access: Access,
) -> Row {
    Row { operation, method, path, variant: "", listener, access }
}

const fn variant(row: Row, variant: &'static str, access: Access) -> Row {
    Row { variant, access, ..row }
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
    row(Operation::Token, "POST", "/oauth2/token", Listener::Public, Access::Evidence),
    row(
        Operation::Introspect,
        "POST",
        "/oauth2/introspect",
        Listener::PublicAndSocket,
        Access::ScopeOrOperator(AdminScope::Introspect),
    ),
    row(Operation::Revoke, "POST", "/oauth2/revoke", Listener::Public, Access::Possession),
    row(Operation::Certificate, "POST", "/v1/x509", Listener::Public, Access::Evidence),
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
    variant(REVOCATIONS, "revoke, cut_off", Access::Scope(AdminScope::Revoke)),
    variant(REVOCATIONS, "hold, lift", Access::Scope(AdminScope::Hold)),
    variant(REVOCATIONS, "revoke key", Access::Scope(AdminScope::Keys)),
    row(
        Operation::ListHolds,
        "GET",
        "/v1/revocations",
        Listener::PublicAndSocket,
        Access::Scope(AdminScope::Hold),
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
    row(Operation::Feed, "GET", "/v1/feed", Listener::PublicAndSocket, Access::Open),
    row(Operation::FeedStream, "GET", "/v1/feed/stream", Listener::PublicAndSocket, Access::Open),
    row(Operation::Trust, "GET", "/v1/trust", Listener::PublicAndSocket, Access::Open),
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
    row(Operation::Jwks, "GET", "/.well-known/jwks.json", Listener::Public, Access::Open),
    row(Operation::SpiffeBundle, "GET", "/spiffe/bundle.json", Listener::Public, Access::Open),
    row(Operation::Livez, "GET", "/livez", Listener::Operations, Access::Open),
    row(Operation::Readyz, "GET", "/readyz", Listener::Operations, Access::Open),
    row(Operation::Metrics, "GET", "/metrics", Listener::Operations, Access::Open),
];

/// The kinds of callers that the matrix tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerKind {
    /// No credential.
    Anonymous,
    /// A registered workload without any right.
    Workload,
    /// The right is there, and limited to another owner.
    OtherOwner,
    /// The right is there.
    Scope,
    /// It holds the credential, the task or the audience that the request is about.
    Holder,
    /// The admin socket.
    Socket,
}

impl CallerKind {
    /// All of them, from the weakest.
    pub const ALL: [Self; 6] = [
        Self::Anonymous,
        Self::Workload,
        Self::OtherOwner,
        Self::Scope,
        Self::Holder,
        Self::Socket,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Workload => "no right",
            Self::OtherOwner => "other owner",
            Self::Scope => "right",
            Self::Holder => "holder",
            Self::Socket => "socket",
        }
    }
}

/// What a caller gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Allow,
    /// 403, and nothing has changed.
    Deny,
    /// The answer of an unknown token (RFC 7662 section 2.2).
    Inactive,
    /// 401, or for evidence its own error.
    Unauthenticated,
    /// The operation is not served there.
    NotServed,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Inactive => "inactive",
            Self::Unauthenticated => "unauthenticated",
            Self::NotServed => "-",
        }
    }
}

impl Row {
    /// What a kind of caller gets.
    #[must_use]
    pub fn verdict(&self, caller: CallerKind) -> Verdict {
        if caller == CallerKind::Socket {
            return match self.listener {
                Listener::PublicAndSocket => Verdict::Allow,
                Listener::Public | Listener::Operations => Verdict::NotServed,
            };
        }
        match (self.access, caller) {
            (Access::Open, _)
            | (
                Access::Scope(_) | Access::ScopeOrTask(_) | Access::ScopeOrOperator(_),
                CallerKind::Scope,
            )
            | (
                Access::Evidence
                | Access::Possession
                | Access::ScopeOrTask(_)
                | Access::ScopeOrOperator(_),
                CallerKind::Holder,
            ) => Verdict::Allow,
            (Access::Evidence | Access::Possession, _) | (_, CallerKind::Anonymous) => {
                Verdict::Unauthenticated
            }
            (Access::ScopeOrOperator(_), _) => Verdict::Inactive,
            _ => Verdict::Deny,
        }
    }
}

/// The rows of an operation.
pub fn rows_of(operation: Operation) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.operation == operation)
}

/// Rights, as a caller was found to have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// What may be done.
    pub scope: AdminScope,
    /// To whose things; to everybody's if there is no limit.
    pub owner: Option<Slug>,
}

/// Whether rights cover a scope on something of `owner`. What belongs to nobody in particular
/// (`None`) takes a right without limit.
#[must_use]
pub fn covers(rights: &[Right], scope: AdminScope, owner: Option<&Slug>) -> bool {
    rights.iter().any(|right| {
        right.scope == scope
            && match (&right.owner, owner) {
                (None, _) => true,
                (Some(limit), Some(owner)) => limit == owner,
                (Some(_), None) => false,
            }
    })
}

/// `api/authz.txt`: the matrix for people.
#[must_use]
pub fn matrix() -> String {
    let mut text = String::from(
        "# Who may call what: generated from crates/server/src/authz.rs, do not edit.\n\
         #\n\
         # anonymous    no credential at all\n\
         # no right     a registered workload, by its SVID or a token whose audience is the issuer\n\
         # other owner  it has the right, limited to another owner than the one concerned\n\
         # right        it has the right named in the second column\n\
         # holder       it holds the evidence, the credential, a live credential of the task, or\n\
         #              operates the audience, that the request is about\n\
         # socket       the Unix socket of the operator\n\
         #\n\
         # deny = 403 and nothing has changed; inactive = the answer of an unknown token;\n\
         # unauthenticated = 401, or the grant's own error; - = not served there\n\n",
    );
    let mut lines = vec![header()];
    lines.extend(TABLE.iter().map(line));
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len))
        .map(|n| lines.iter().filter_map(|l| l.get(n)).map(|c| c.len()).max().unwrap_or(0))
        .collect();
    for cells in lines {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn header() -> Vec<String> {
    let mut cells = vec!["operation".to_owned(), "access".to_owned()];
    cells.extend(CallerKind::ALL.map(|kind| kind.as_str().to_owned()));
    cells
}

fn line(row: &Row) -> Vec<String> {
    let mut name = format!("{:<4} {}", row.method, row.path);
    if !row.variant.is_empty() {
        name = format!("{name} ({})", row.variant);
    }
    let access = match row.access {
        Access::Open if row.listener == Listener::Operations => {
            "open, operations listener".to_owned()
        }
        Access::Open => "open".to_owned(),
        Access::Evidence => "evidence".to_owned(),
        Access::Possession => "possession".to_owned(),
        Access::Scope(scope) => scope.as_str().to_owned(),
        Access::ScopeOrTask(scope) => format!("{} or task", scope.as_str()),
        Access::ScopeOrOperator(scope) => format!("{} or operator", scope.as_str()),
    };
    let mut cells = vec![name, access];
    cells.extend(CallerKind::ALL.map(|kind| row.verdict(kind).as_str().to_owned()));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(scope: AdminScope, owner: Option<&str>) -> Right {
        Right { scope, owner: owner.map(|owner| owner.parse().unwrap()) }
    }

    #[test]
    fn a_limited_right_covers_its_owner_only() {
        let payments: Slug = "payments".parse().unwrap();
        let billing: Slug = "billing".parse().unwrap();
        let limited = [right(AdminScope::Revoke, Some("payments"))];
        assert!(covers(&limited, AdminScope::Revoke, Some(&payments)));
        assert!(!covers(&limited, AdminScope::Revoke, Some(&billing)));
        assert!(!covers(&limited, AdminScope::Revoke, None));
        assert!(!covers(&limited, AdminScope::Hold, Some(&payments)));
        let free = [right(AdminScope::Revoke, None)];
        assert!(covers(&free, AdminScope::Revoke, None));
        assert!(covers(&free, AdminScope::Revoke, Some(&billing)));
        assert!(!covers(&[], AdminScope::Revoke, None));
    }

    #[test]
    fn nothing_but_the_public_documents_is_open() {
        let open: Vec<_> =
            TABLE.iter().filter(|row| row.access == Access::Open).map(|row| row.path).collect();
        assert_eq!(
            open,
            [
                "/v1/feed",
                "/v1/feed/stream",
                "/v1/trust",
                "/.well-known/oauth-authorization-server",
                "/.well-known/openid-configuration",
                "/.well-known/jwks.json",
                "/spiffe/bundle.json",
                "/livez",
                "/readyz",
                "/metrics",
            ]
        );
    }

    #[test]
    fn rights_are_disjoint_and_an_anonymous_caller_gets_nothing() {
        for row in TABLE {
            if row.access != Access::Open {
                assert_eq!(row.verdict(CallerKind::Anonymous), Verdict::Unauthenticated);
                assert_ne!(row.verdict(CallerKind::Workload), Verdict::Allow, "{}", row.path);
                assert_ne!(row.verdict(CallerKind::OtherOwner), Verdict::Allow, "{}", row.path);
            }
        }
    }
}
