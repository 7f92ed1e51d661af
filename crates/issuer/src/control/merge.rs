//! Uniting two entries of one slot.
//!
//! The outcome is the same in whatever order and however often the entries arrive: the later one
//! wins, and beside it stands by maximum what no entry may take back. A cut-off keeps the furthest
//! instant, an ended task stays ended, a key that signed stays signed and served.

use std::cmp::Ordering;

use dayfly_token::UnixTime;

use super::entry::{Body, ControlEntry, TaskState};

/// The union of two entries of the same slot.
pub(super) fn unite(a: &ControlEntry, b: &ControlEntry) -> ControlEntry {
    let (later, earlier) = if order(a, b).is_ge() { (a, b) } else { (b, a) };
    let mut united = later.clone();
    united.at = united.at.max(earlier.at);
    keep_the_stricter(&earlier.body, &mut united.body);
    united
}

/// The order in which the entries of a slot replace each other.
///
/// Two writers that did not see each other write the same version; then a hold that is set wins
/// over its lifting, the longer lease over the shorter one, and otherwise the order of the bytes.
/// What [`unite`] maximises takes no part, so that a union stands where its later entry stood.
fn order(a: &ControlEntry, b: &ControlEntry) -> Ordering {
    a.version
        .cmp(&b.version)
        .then_with(|| precedence(&a.body).cmp(&precedence(&b.body)))
        .then_with(|| plain_bytes(a).cmp(&plain_bytes(b)))
}

fn precedence(body: &Body) -> u64 {
    match body {
        Body::Hold { active, .. } => u64::from(*active),
        Body::Key(record) => record.lease_until.as_secs(),
        Body::CutOff { .. } | Body::Task { .. } => 0,
    }
}

fn plain_bytes(entry: &ControlEntry) -> Vec<u8> {
    let mut plain = entry.clone();
    plain.at = UnixTime::EPOCH;
    match &mut plain.body {
        Body::CutOff { before, until, .. } => {
            *before = UnixTime::EPOCH;
            *until = UnixTime::EPOCH;
        }
        Body::Key(record) => {
            record.signed = false;
            record.serve_until = UnixTime::EPOCH;
        }
        Body::Task { state, .. } => *state = TaskState::Open,
        Body::Hold { .. } => {}
    }
    // Its types always serialise; if they did not, equal versions would be merged in either order.
    serde_json::to_vec(&plain).unwrap_or_default()
}

fn keep_the_stricter(other: &Body, kept: &mut Body) {
    match (other, kept) {
        (
            Body::CutOff {
                before: other_before,
                until: other_until,
                ..
            },
            Body::CutOff { before, until, .. },
        ) => {
            *before = (*before).max(*other_before);
            *until = (*until).max(*other_until);
        }
        (Body::Task { state: other, .. }, Body::Task { state, .. }) => {
            *state = (*state).max(*other)
        }
        (Body::Key(other), Body::Key(key)) => {
            key.signed |= other.signed;
            key.serve_until = key.serve_until.max(other.serve_until);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use dayfly_token::feed::Kind;
    use proptest::prelude::*;

    use super::super::entry::HoldKind;
    use super::*;

    fn entry(version: u64, at: u64, by: &str, body: Body) -> ControlEntry {
        ControlEntry {
            version,
            at: UnixTime::from_secs(at),
            by: by.to_owned(),
            reason: String::new(),
            body,
        }
    }

    fn cut_off() -> impl Strategy<Value = Body> {
        (0..9_u64, 0..9_u64).prop_map(|(before, until)| Body::CutOff {
            kind: Kind::Workload,
            value: "payments/deploy".to_owned(),
            before: UnixTime::from_secs(before),
            until: UnixTime::from_secs(until),
        })
    }

    fn hold() -> impl Strategy<Value = Body> {
        any::<bool>().prop_map(|active| Body::Hold {
            kind: HoldKind::Owner,
            value: "payments".to_owned(),
            active,
        })
    }

    fn task() -> impl Strategy<Value = Body> {
        let state = prop_oneof![
            Just(TaskState::Open),
            Just(TaskState::Completed),
            Just(TaskState::Revoked)
        ];
        (state, proptest::option::of(0..9_u64), "[ab]?").prop_map(|(state, deadline, purpose)| {
            Body::Task {
                task: "payments/deploy-1".parse().unwrap(),
                state,
                purpose,
                deadline: deadline.map(UnixTime::from_secs),
            }
        })
    }

    fn key() -> impl Strategy<Value = Body> {
        (0..9_u64, 0..9_u64, any::<bool>()).prop_map(|(lease, serve, signed)| {
            let mut record = crate::testing::key_record("a", 1);
            record.lease_until = UnixTime::from_secs(lease);
            record.serve_until = UnixTime::from_secs(serve);
            record.signed = signed;
            Body::Key(Box::new(record))
        })
    }

    fn three_of_a_slot() -> impl Strategy<Value = Vec<ControlEntry>> {
        let bodies = prop_oneof![
            proptest::collection::vec(cut_off(), 3),
            proptest::collection::vec(hold(), 3),
            proptest::collection::vec(task(), 3),
            proptest::collection::vec(key(), 3),
        ];
        (
            bodies,
            proptest::collection::vec((0..3_u64, 0..9_u64, "[ab]"), 3),
        )
            .prop_map(|(bodies, heads)| {
                bodies
                    .into_iter()
                    .zip(heads)
                    .map(|(body, (version, at, by))| entry(version, at, &by, body))
                    .collect()
            })
    }

    proptest! {
        #[test]
        fn union_is_a_semilattice(entries in three_of_a_slot()) {
            let (a, b, c) = (&entries[0], &entries[1], &entries[2]);
            prop_assert_eq!(unite(a, a), a.clone());
            prop_assert_eq!(unite(a, b), unite(b, a));
            prop_assert_eq!(unite(&unite(a, b), c), unite(a, &unite(b, c)));
        }

        #[test]
        fn an_older_entry_takes_nothing_back(entries in three_of_a_slot()) {
            let (old, new) = if entries[0].version < entries[1].version {
                (&entries[0], &entries[1])
            } else {
                (&entries[1], &entries[0])
            };
            prop_assume!(old.version < new.version);
            match (&unite(new, old).body, &new.body) {
                (Body::CutOff { before, until, .. }, Body::CutOff { before: b, until: u, .. }) => {
                    prop_assert!(before >= b && until >= u);
                }
                (Body::Hold { active, .. }, Body::Hold { active: wanted, .. }) => {
                    prop_assert_eq!(active, wanted);
                }
                (Body::Task { state, deadline, .. }, Body::Task { state: s, deadline: d, .. }) => {
                    prop_assert!(state >= s);
                    prop_assert_eq!(deadline, d);
                }
                (Body::Key(key), Body::Key(k)) => {
                    prop_assert!(key.serve_until >= k.serve_until && key.signed >= k.signed);
                    prop_assert_eq!(key.lease_until, k.lease_until);
                }
                (united, _) => prop_assert!(false, "{united:?}"),
            }
        }
    }

    #[test]
    fn of_two_that_did_not_see_each_other_the_hold_stays_set() {
        let body = |active| Body::Hold {
            kind: HoldKind::Rule,
            value: "ci".to_owned(),
            active,
        };
        let set = entry(5, 10, "a", body(true));
        let lifted = entry(5, 11, "b", body(false));
        assert_eq!(unite(&set, &lifted).body, set.body);
        assert_eq!(unite(&lifted, &set).body, set.body);
    }
}
