//! What a revocation writes (protocol C).
//!
//! A cut-off kills the past, a hold closes the door. Revoking a workload or an owner does both;
//! revoking a task ends it for ever; tainting a key needs no time, the `kid` goes.

use dayfly_token::feed::{FOREVER, Kind};
use dayfly_token::{Slug, TaskId, UnixTime, WorkloadId};

use crate::control::{Body, HoldKind, TaskState, last_dead_instant};
use crate::port::Now;

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// One credential.
    Credential {
        /// The `jti`, or the serial number in base64url.
        id: String,
        /// When it ends by itself, if that is known.
        expires_at: Option<UnixTime>,
    },
    /// Everything that a key signed, and all that it would sign.
    Key {
        /// The `kid`.
        kid: String,
    },
    /// Everything of an owner's workloads, and all that they would get.
    Owner(Slug),
    /// Everything that a rule led to, up to now.
    Rule(Slug),
    /// A task: nothing of it is accepted, nothing is issued for it, ever again.
    Task(TaskId),
    /// Everything of a workload, and all that it would get.
    Workload(WorkloadId),
}

/// How long a credential can matter: what decides when a revocation may be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// L: the longest lifetime over all grants, in seconds.
    pub max_lifetime_secs: u64,
    /// S: the largest leeway of any verifier, in seconds.
    pub leeway_secs: u64,
}

impl Retention {
    /// L + S.
    #[must_use]
    pub const fn after_end_secs(self) -> u64 {
        self.max_lifetime_secs.saturating_add(self.leeway_secs)
    }
}

impl Revocation {
    /// The facts that the revocation writes, in one step of the ledger.
    #[must_use]
    pub fn bodies(&self, now: Now, retention: Retention) -> Vec<Body> {
        let Retention {
            max_lifetime_secs: l,
            leeway_secs: s,
        } = retention;
        match self {
            Self::Credential { id, expires_at } => {
                vec![credential_body(id, *expires_at, now, l, s)]
            }
            Self::Key { kid } => vec![cut_off_body(Kind::Key, kid, now, l, s)],
            Self::Owner(owner) => vec![
                cut_off_body(Kind::Owner, owner.as_str(), now, l, s),
                hold_body(HoldKind::Owner, owner.as_str(), true),
            ],
            Self::Rule(rule) => vec![cut_off_body(Kind::Rule, rule.as_str(), now, l, s)],
            Self::Task(task) => vec![task_body(task, TaskState::Revoked)],
            Self::Workload(workload) => {
                let name = workload.to_string();
                vec![
                    cut_off_body(Kind::Workload, &name, now, l, s),
                    hold_body(HoldKind::Workload, &name, true),
                ]
            }
        }
    }
}

/// A cut-off of everything of `kind` and `value` issued up to now, kept while any of it can matter.
/// L and S are in seconds. A key is cut off for ever.
#[must_use]
pub fn cut_off_body(
    kind: Kind,
    value: &str,
    now: Now,
    max_lifetime_secs: u64,
    leeway_secs: u64,
) -> Body {
    let (before, until) = if kind == Kind::Key {
        (FOREVER, FOREVER)
    } else {
        let before = last_dead_instant(now.unix_ms);
        (
            before,
            before
                .saturating_add(max_lifetime_secs)
                .saturating_add(leeway_secs),
        )
    };
    Body::CutOff {
        kind,
        value: value.to_owned(),
        before,
        until,
    }
}

/// The revocation of one credential, kept until it, and what was derived from it, has expired.
#[must_use]
pub fn credential_body(
    id: &str,
    expires_at: Option<UnixTime>,
    now: Now,
    max_lifetime_secs: u64,
    leeway_secs: u64,
) -> Body {
    let mut body = cut_off_body(Kind::Credential, id, now, max_lifetime_secs, leeway_secs);
    if let (Body::CutOff { until, .. }, Some(expires_at)) = (&mut body, expires_at) {
        // Nothing derived from a credential outlives it.
        *until = (*until).min(expires_at.saturating_add(leeway_secs));
    }
    body
}

/// A hold that is set, or lifted.
#[must_use]
pub fn hold_body(kind: HoldKind, value: &str, active: bool) -> Body {
    Body::Hold {
        kind,
        value: value.to_owned(),
        active,
    }
}

/// The state of a task without purpose and deadline. An ended task stays ended.
#[must_use]
pub fn task_body(task: &TaskId, state: TaskState) -> Body {
    Body::Task {
        task: task.clone(),
        state,
        purpose: String::new(),
        deadline: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Retention = Retention {
        max_lifetime_secs: 900,
        leeway_secs: 60,
    };

    fn at(unix_ms: u64) -> Now {
        Now {
            unix_ms,
            monotonic_ms: 0,
        }
    }

    fn cut(body: &Body) -> (Kind, &str, u64, u64) {
        match body {
            Body::CutOff {
                kind,
                value,
                before,
                until,
            } => (*kind, value, before.as_secs(), until.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_dead_instant_is_rounded_up_and_lies_ahead() {
        // ceil(now + 2δ + D) + 1, with δ = D = 2 s.
        assert_eq!(last_dead_instant(1_000_000).as_secs(), 1_000 + 7);
        assert_eq!(last_dead_instant(1_000_001).as_secs(), 1_001 + 7);
        assert_eq!(last_dead_instant(u64::MAX), last_dead_instant(u64::MAX));
    }

    #[test]
    fn workload_and_owner_are_cut_off_and_held() {
        let workload: WorkloadId = "payments/deploy".parse().unwrap();
        let bodies = Revocation::Workload(workload).bodies(at(1_000_000), RETENTION);
        assert_eq!(bodies.len(), 2);
        assert_eq!(
            cut(&bodies[0]),
            (Kind::Workload, "payments/deploy", 1_007, 1_007 + 960)
        );
        assert_eq!(
            bodies[1],
            hold_body(HoldKind::Workload, "payments/deploy", true)
        );
        let bodies = Revocation::Owner("payments".parse().unwrap()).bodies(at(0), RETENTION);
        assert_eq!(cut(&bodies[0]), (Kind::Owner, "payments", 7, 967));
        assert_eq!(bodies[1], hold_body(HoldKind::Owner, "payments", true));
    }

    #[test]
    fn a_rule_is_cut_off_and_open_for_what_comes_after() {
        let bodies = Revocation::Rule("ci".parse().unwrap()).bodies(at(0), RETENTION);
        assert_eq!(bodies.len(), 1);
        assert_eq!(cut(&bodies[0]), (Kind::Rule, "ci", 7, 967));
    }

    #[test]
    fn a_credential_is_remembered_until_it_has_expired() {
        let revoke = |expires_at: Option<u64>| {
            let id = "QAAAAAAAAAAAAAAAAAAAAA".to_owned();
            let expires_at = expires_at.map(UnixTime::from_secs);
            let bodies = Revocation::Credential { id, expires_at }.bodies(at(0), RETENTION);
            cut(&bodies[0]).3
        };
        assert_eq!(revoke(Some(300)), 360);
        assert_eq!(revoke(None), 967);
        assert_eq!(
            revoke(Some(1_000_000)),
            967,
            "a claim about the end prolongs nothing"
        );
    }

    #[test]
    fn a_taint_is_for_ever() {
        let bodies = Revocation::Key {
            kid: "k".to_owned(),
        }
        .bodies(at(0), RETENTION);
        let forever = FOREVER.as_secs();
        assert_eq!(cut(&bodies[0]), (Kind::Key, "k", forever, forever));
    }

    #[test]
    fn a_task_ends() {
        let task: TaskId = "payments/deploy-1".parse().unwrap();
        let bodies = Revocation::Task(task.clone()).bodies(at(0), RETENTION);
        assert_eq!(bodies, vec![task_body(&task, TaskState::Revoked)]);
    }
}
