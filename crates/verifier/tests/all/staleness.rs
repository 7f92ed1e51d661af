//! What a verifier says of a good token, for every state of the feed and every policy; and that what was heard is never
//! forgotten, against a model.

use std::sync::Arc;

use dayfly_keys::Algorithm;
use dayfly_token::feed::{Entry, Kind, Statement};
use dayfly_verifier::feed::{Bundle, FeedState};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{
    Freshness, Presented, RevocationSource, Revocations, UnixTime, UnverifiedToken, Verifier,
};
use proptest::prelude::*;

use crate::feed::{authority, revoked, statement};
use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

/// The longest lifetime, L.
const L: u64 = 3600;

/// The policies, as the columns of the table.
const POLICIES: [(&str, RevocationSource, Option<u64>); 4] = [
    ("follow", RevocationSource::Follow, None),
    ("follow, at most 60 s", RevocationSource::Follow, Some(60)),
    ("bundle", RevocationSource::Bundle, None),
    ("none", RevocationSource::None, None),
];

/// What arrives, at `NOW`, after what was heard before.
struct Row {
    name: &'static str,
    /// Texts in their order; the first ones are the past.
    heard: Vec<String>,
    /// Of the token that nothing revokes, one for each policy.
    says: [&'static str; 4],
}

fn snapshot_of(age_secs: u64) -> Statement {
    let as_of = NOW.saturating_sub(age_secs);
    Statement {
        to: "5-0".to_owned(),
        as_of,
        exp: as_of.saturating_add(L),
        entries: vec![revoked("revoked-before")],
        snapshot: true,
        ..statement()
    }
}

fn rows(issuer: &TestAuthority) -> Vec<Row> {
    let sign = |statement: Statement| issuer.sign_statement(&statement).unwrap();
    let of_age = |age| vec![sign(snapshot_of(age))];
    let refused = ["stale", "stale", "stale", "unknown"];
    // A good state of 30 s ago, and then something that must not make it younger.
    let with = |text: String| vec![sign(snapshot_of(30)), text];
    let unmoved = ["age 30", "age 30", "age 30", "unknown"];
    let stranger = TestAuthority::from_seed(ISSUER, [77; 32]).unwrap();
    let now = || snapshot_of(0);
    let good = sign(now());
    let rows = [
        ("age 0", of_age(0), ["fresh", "fresh", "fresh", "unknown"]),
        (
            "age FRESH",
            of_age(15),
            ["fresh", "fresh", "fresh", "unknown"],
        ),
        (
            "age FRESH + 1",
            of_age(16),
            ["age 16", "age 16", "age 16", "unknown"],
        ),
        (
            "age own limit",
            of_age(60),
            ["age 60", "age 60", "age 60", "unknown"],
        ),
        (
            "age own limit + 1",
            of_age(61),
            ["age 61", "stale", "age 61", "unknown"],
        ),
        (
            "age L - 1",
            of_age(L - 1),
            ["age 3599", "stale", "age 3599", "unknown"],
        ),
        (
            "age L",
            of_age(L),
            ["age 3600", "stale", "age 3600", "unknown"],
        ),
        ("age L + 1", of_age(L + 1), refused),
        ("never heard", vec![], refused),
        (
            "expired",
            vec![sign(Statement {
                exp: NOW.saturating_sub(60),
                ..snapshot_of(90)
            })],
            refused,
        ),
        (
            "expired a moment ago",
            vec![sign(Statement {
                exp: NOW.saturating_sub(59),
                ..snapshot_of(59)
            })],
            ["age 59", "age 59", "age 59", "unknown"],
        ),
        (
            "of the future",
            vec![sign(Statement {
                as_of: NOW.saturating_add(61),
                ..now()
            })],
            refused,
        ),
        (
            "of the future, within the leeway",
            vec![sign(Statement {
                as_of: NOW.saturating_add(60),
                ..now()
            })],
            ["fresh", "fresh", "fresh", "unknown"],
        ),
        (
            "then an older sequence",
            with(sign(Statement {
                to: "3-0".to_owned(),
                entries: vec![],
                ..snapshot_of(900)
            })),
            unmoved,
        ),
        (
            "then another key",
            with(stranger.sign_statement(&now()).unwrap()),
            unmoved,
        ),
        (
            "then one cut short",
            with(good[..good.len() - 10].to_owned()),
            unmoved,
        ),
        (
            "then another issuer",
            with(sign(Statement {
                iss: "https://other.example".to_owned(),
                ..now()
            })),
            unmoved,
        ),
        (
            "then one of the future",
            with(sign(Statement {
                as_of: NOW.saturating_add(61),
                ..now()
            })),
            unmoved,
        ),
        (
            "then one expired",
            with(sign(Statement {
                exp: NOW.saturating_sub(60),
                ..now()
            })),
            unmoved,
        ),
        (
            "then a good one",
            with(good.clone()),
            ["fresh", "fresh", "fresh", "unknown"],
        ),
    ];
    rows.map(|(name, heard, says)| Row { name, heard, says })
        .into()
}

fn verifier(bench: &Bench, source: RevocationSource, staleness: Option<u64>) -> Verifier {
    let mut builder = bench.authority.verifier(AUDIENCE).revocation(source);
    if let Some(secs) = staleness {
        builder = builder.max_staleness_secs(secs);
    }
    builder.max_lifetime_secs(L).build().unwrap()
}

fn hear(verifier: &Verifier, issuer: &TestAuthority, texts: &[String]) {
    let mut feed = FeedState::new(
        ISSUER.to_owned(),
        issuer.feed_keys(),
        Arc::clone(verifier.revocations()),
    );
    for text in texts {
        if verifier.revocation_source() == RevocationSource::Bundle {
            let bundle = Bundle::new(
                issuer.feed_keys().to_jwks(),
                verifier.keys().to_jwks(),
                text.clone(),
            );
            drop(verifier.load_bundle(&bundle, NOW));
        } else {
            feed.apply(text, NOW);
        }
    }
}

fn says(bench: &Bench, verifier: &Verifier, id: &str) -> String {
    let token = bench.authority.token(AUDIENCE).id(id).mint(NOW).unwrap();
    match verifier.verify(UnverifiedToken::new(&token), &Presented::NOTHING, NOW) {
        Ok(verified) => match verified.freshness() {
            Freshness::Fresh => "fresh".to_owned(),
            Freshness::Stale { age_secs } => format!("age {age_secs}"),
            _ => "unknown".to_owned(),
        },
        Err(rejection) => rejection
            .code()
            .as_str()
            .replace("revocation_stale", "stale"),
    }
}

#[test]
fn the_matrix() {
    let (bench, issuer) = (Bench::new(Algorithm::EdDsa), authority());
    let mut wrong = Vec::new();
    for row in rows(&issuer) {
        for ((policy, source, staleness), expected) in POLICIES.into_iter().zip(row.says) {
            let verifier = verifier(&bench, source, staleness);
            hear(&verifier, &issuer, &row.heard);
            let found = says(&bench, &verifier, "good");
            if found != expected {
                wrong.push(format!(
                    "{:<34} {policy:<22} expected {expected:<10} found {found}",
                    row.name
                ));
            }
            // Whatever happened to the age: what was ever truly revoked is refused, and by no other name.
            let believed = !verifier.revocations().is_empty();
            let found = says(&bench, &verifier, "revoked-before");
            let expected = if believed { "revoked" } else { expected };
            if found != expected {
                wrong.push(format!(
                    "{:<34} {policy:<22} revoked token: expected {expected:<10} found {found}",
                    row.name
                ));
            }
            if row.name.starts_with("then") && !believed {
                wrong.push(format!("{:<34} {policy:<22} forgot what it knew", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// One thing that happens to a verifier. Numbers are places in the issuer's history, names are few so that they collide.
#[derive(Clone, Debug)]
enum Event {
    /// The issuer revokes: name, `before` and how long it is remembered, in seconds after the start.
    Revoke(u8, u64, u64),
    /// A replica states `(from, to]` of what there is.
    Piece(u64, u64),
    /// Everything up to there.
    Snapshot(u64),
    /// The issuer's store is lost, and a new history begins.
    Lost,
    /// Time goes on.
    Wait(u64),
    Purge,
    /// Somebody else says that nothing is revoked, and that all is.
    Forged,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..6_u8, 0..900_u64, 0..900_u64).prop_map(|(name, before, until)| Event::Revoke(name, before, until)),
        3 => (0..9_u64, 0..9_u64).prop_map(|(from, length)| Event::Piece(from, from + length)),
        2 => (0..12_u64).prop_map(Event::Snapshot),
        1 => Just(Event::Lost),
        2 => (0..400_u64).prop_map(Event::Wait),
        1 => Just(Event::Purge),
        1 => Just(Event::Forged),
    ]
}

/// The reference: a set that only grows, with maxima; a place in a history; the newest instant that was vouched for.
#[derive(Default)]
struct Model {
    history: Vec<Entry>,
    epoch: u32,
    known: Vec<Entry>,
    place: Option<(u32, u64)>,
    heard: Option<UnixTime>,
}

impl Model {
    fn covered(&self, from: u64, to: u64) -> Vec<Entry> {
        let to = usize::try_from(to).unwrap().min(self.history.len());
        let from = usize::try_from(from).unwrap().min(to);
        self.history[from..to].to_vec()
    }

    /// A true statement: what it revokes counts; it vouches only if nothing can be missing before it.
    fn hears(&mut self, statement: &Statement, from: u64, to: u64) {
        self.known.extend(&statement.entries);
        let reached = self
            .place
            .filter(|(epoch, _)| *epoch == self.epoch)
            .map(|(_, place)| place);
        let vouches = statement.snapshot || reached.is_some_and(|place| from <= place);
        if vouches {
            self.place = Some((self.epoch, reached.unwrap_or(0).max(to)));
            self.heard = self.heard.max(Some(statement.as_of));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn histories_against_the_model(events in proptest::collection::vec(event(), 1..60)) {
        let (issuer, stranger) = (authority(), TestAuthority::from_seed(ISSUER, [77; 32]).unwrap());
        let revocations = Arc::new(Revocations::new());
        let mut feed = FeedState::new(ISSUER.to_owned(), issuer.feed_keys(), Arc::clone(&revocations));
        let (mut model, mut now) = (Model::default(), NOW);
        let name = |name: u8| prefix(Kind::Credential, &name.to_string());
        for event in events {
            let (from, to, snapshot) = match event {
                Event::Revoke(id, before, until) => {
                    let (before, until) = (NOW.saturating_add(before), now.saturating_add(until));
                    model.history.push(Entry { prefix: name(id), before, until });
                    continue;
                }
                Event::Piece(from, to) => (from, to, false),
                Event::Snapshot(to) => (0, to, true),
                Event::Lost => {
                    model.history.clear();
                    model.epoch += 1;
                    continue;
                }
                Event::Wait(secs) => {
                    now = now.saturating_add(secs);
                    continue;
                }
                Event::Purge => {
                    revocations.purge(now);
                    (0, 0, false)
                }
                Event::Forged => {
                    let all: Vec<_> = (0..6).map(|id| Entry { prefix: name(id), before: UnixTime::MAX, until: UnixTime::MAX }).collect();
                    feed.apply(&stranger.snapshot("99", all, now).unwrap(), now);
                    (0, 0, false)
                }
            };
            let statement = Statement {
                epoch: format!("e{}", model.epoch),
                from: from.to_string(),
                to: to.to_string(),
                as_of: now,
                exp: now.saturating_add(L),
                entries: model.covered(from, to),
                snapshot,
                ..statement()
            };
            feed.apply(&issuer.sign_statement(&statement).unwrap(), now);
            model.hears(&statement, from, to);
            prop_assert_eq!(revocations.as_of(), model.heard);
            for entry in &model.known {
                // What has not expired, on two clocks, is never dropped, whatever a later statement lacks.
                let expired = entry.until.saturating_add(120) < now;
                prop_assert!(expired || revocations.is_dead(&entry.prefix, entry.before), "forgotten: {:?} at {}", entry, now);
                // And nothing is dead that no statement named.
                let all = model.known.iter().filter(|other| other.prefix == entry.prefix);
                let last = all.map(|other| other.before).max().unwrap();
                prop_assert!(!revocations.is_dead(&entry.prefix, last.saturating_add(1)), "invented: {:?}", entry);
            }
        }
    }
}
