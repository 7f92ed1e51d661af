//! Who may call what, as data. The routes, the OpenAPI document and `api/authz.txt` are compared
//! with this table by tests.

mod matrix;
mod table;

use dayfly_token::Slug;

pub use matrix::matrix;
pub use table::TABLE;

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
    pub const ALL: [Self; 6] = [
        Self::Audit,
        Self::Hold,
        Self::Introspect,
        Self::Keys,
        Self::Revoke,
        Self::Task,
    ];

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
    /// A right; one that is limited to an owner shows that owner's things.
    ScopeOverOwn(AdminScope),
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
    /// It is done for what belongs to the caller's owner.
    Own,
    /// 200, and nothing has changed (RFC 7009 section 2.2).
    Ignored,
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
            Self::Own => "its own",
            Self::Ignored => "ignored",
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
        let holds = caller == CallerKind::Holder;
        match self.access {
            Access::Open => Verdict::Allow,
            Access::Evidence | Access::Possession if holds => Verdict::Allow,
            Access::Evidence => Verdict::Unauthenticated,
            Access::Possession => Verdict::Ignored,
            _ if caller == CallerKind::Anonymous => Verdict::Unauthenticated,
            _ if caller == CallerKind::Scope => Verdict::Allow,
            Access::ScopeOrTask(_) | Access::ScopeOrOperator(_) if holds => Verdict::Allow,
            Access::ScopeOrOperator(_) => Verdict::Inactive,
            Access::ScopeOverOwn(_) if caller == CallerKind::OtherOwner => Verdict::Own,
            Access::Scope(_) | Access::ScopeOverOwn(_) | Access::ScopeOrTask(_) => Verdict::Deny,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn right(scope: AdminScope, owner: Option<&str>) -> Right {
        Right {
            scope,
            owner: owner.map(|owner| owner.parse().unwrap()),
        }
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
        let open: Vec<_> = TABLE
            .iter()
            .filter(|row| row.access == Access::Open)
            .map(|row| row.path)
            .collect();
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
                let anonymous = row.verdict(CallerKind::Anonymous);
                assert!(matches!(
                    anonymous,
                    Verdict::Unauthenticated | Verdict::Ignored
                ));
                assert_ne!(
                    row.verdict(CallerKind::Workload),
                    Verdict::Allow,
                    "{}",
                    row.path
                );
                assert_ne!(
                    row.verdict(CallerKind::OtherOwner),
                    Verdict::Allow,
                    "{}",
                    row.path
                );
            }
        }
    }
}
