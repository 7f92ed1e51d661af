//! V3: what a million revocations cost, in time and memory.

use dayfly_benches::{Suite, Table, Target};
use dayfly_keys::Algorithm;
use dayfly_token::Claims;
use dayfly_token::feed::{Entry, Kind};
use dayfly_verifier::revocation::{Facts, Marks};
use dayfly_verifier::{Revocations, UnixTime, revocation};
use serde_json::json;

/// How many entries the larger state has.
pub(crate) const MANY: u64 = 1_000_000;

/// How many credentials are looked up in turn.
const CREDENTIALS: usize = 4096;

/// So many credentials, revoked.
pub(crate) fn entries(count: u64, now: UnixTime) -> Vec<Entry> {
    let revoked = |number: u64| Entry {
        prefix: revocation::prefix(Kind::Credential, &number.to_string()),
        before: now,
        until: now.saturating_add(3600),
    };
    (0..count).map(revoked).collect()
}

pub(crate) fn run(table: &mut Table, now: UnixTime) {
    let (few, many) = (Revocations::new(), Revocations::new());
    few.merge(&entries(1, now), now);
    let entries = entries(MANY, now);
    let memory = allocation_counter::measure(|| many.merge(&entries, now));
    let marks: Vec<_> = (0..CREDENTIALS).map(|number| marks(number, now)).collect();

    let bare = crate::Bare::new(&crate::authority(Algorithm::Es256), now);
    let mut suite = Suite::default();
    for (name, state) in [("few", &few), ("many", &many)] {
        let mut turn = marks.iter().cycle();
        suite.add(name, move || {
            let found = state.find_marked(turn.next().unwrap());
            assert_eq!(found, None);
        });
    }
    suite.add("bare", || bare.verify());
    let medians = suite.run();
    let (few, many) = (medians.nanoseconds("few"), medians.nanoseconds("many"));
    table.absolute("revocation, 1 entry", few, "ns", Target::None);
    table.absolute("revocation, 1 M entries", many, "ns", Target::None);
    table.share(
        "revocation, 1 M entries add",
        many - few,
        medians.nanoseconds("bare"),
        crate::REFERENCE_BARE_NS,
        30.0,
    );
    #[expect(clippy::cast_precision_loss, reason = "megabytes for the eye")]
    table.absolute(
        "revocation, memory of 1 M entries",
        memory.bytes_current as f64 / 1e6,
        "MB",
        Target::AtMost(64.0),
    );
}

/// What a revocation can name of one token: its key, id, task, rule, workload and owner.
fn marks(number: usize, now: UnixTime) -> Marks {
    let claims = json!({
        "iss": crate::ISSUER, "aud": crate::AUDIENCE,
        "sub": "spiffe://sts.example.org/payments/deploy", "client_id": "payments",
        "iat": now, "exp": now.saturating_add(300), "jti": format!("credential {number}"),
        "txn": format!("payments/deploy-{number}"),
        "dfy": { "rule": "gh-deploy", "env": "prod", "anc": [] },
    });
    let claims = Claims::parse(claims.to_string().as_bytes()).unwrap();
    Facts::of("a key", &claims).marks()
}
