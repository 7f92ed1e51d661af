use dayfly_keys::{Algorithm, KeySet, VerifyingKey};
use dayfly_token::feed::Kind;
use dayfly_verifier::Revocations;
use dayfly_verifier::feed::{FeedState, Outcome, open_statement};

use super::*;
use crate::control::{Body, HoldKind, StoreLife};
use crate::revoke::{credential_body, cut_off_body, hold_body};
use crate::testing::{at, cluster_secret, key_record, signer};

const ISSUER: &str = "https://sts.example.org";
const T: u64 = 1_000_000;

/// One replica's feed, and a verifier that reads it.
struct Rig {
    view: ControlView,
    feed: FeedSigner,
    keys: KeySet,
    entries: u64,
}

impl Rig {
    fn new() -> Self {
        let mut view = ControlView::new(vec![cluster_secret()], 960);
        view.adopt_store(life("e1"));
        let signer = signer(
            Algorithm::EdDsa,
            KeyUse::Feed,
            1,
            UnixTime::from_secs(T + 3600),
        );
        let mut keys = KeySet::default();
        keys.insert(VerifyingKey::from_jwk(signer.jwk()).unwrap());
        let mut feed = FeedSigner::new(ISSUER.to_owned(), 900);
        feed.use_signer(Some(signer));
        Self {
            view,
            feed,
            keys,
            entries: 0,
        }
    }

    /// Facts come back from the ledger in one step of the follower.
    fn hear(&mut self, secs: u64, bodies: Vec<Body>) {
        let at = UnixTime::from_secs(secs);
        let mut changed = Vec::new();
        for body in bodies {
            self.entries += 1;
            let write = self.view.seal(at, "test", "", body).unwrap();
            changed.extend(self.view.apply(&write.sealed).unwrap());
        }
        self.view.heard(secs * 1000, at);
        self.feed.note(&Followed {
            reloaded: false,
            changed,
            refused: 0,
            position: Position(format!("1-{}", self.entries)),
            as_of: at,
        });
    }

    fn statement(&mut self, now: Now) -> Option<Statement> {
        let text = self.feed.statement(&self.view, now).unwrap()?;
        Some(open_statement(&text, &self.keys, ISSUER, now.time()).unwrap())
    }

    fn snapshot(&self, now: Now) -> Statement {
        let text = self.feed.snapshot(&self.view, now).unwrap();
        open_statement(&text, &self.keys, ISSUER, now.time()).unwrap()
    }
}

fn life(epoch: &str) -> StoreLife {
    StoreLife {
        generation: 1,
        since: UnixTime::from_secs(T),
        epoch: epoch.to_owned(),
    }
}

fn at_ms(ms: u64) -> Now {
    Now {
        unix_ms: T * 1000 + ms,
        monotonic_ms: T * 1000 + ms,
    }
}

fn owner(name: &str) -> Body {
    cut_off_body(Kind::Owner, name, at(T), 900, 60)
}

#[test]
fn a_verifier_that_follows_learns_each_revocation_and_how_fresh_it_is() {
    let mut rig = Rig::new();
    rig.hear(T, vec![owner("early")]);
    let revocations = Arc::new(Revocations::new());
    let mut state = FeedState::new(
        ISSUER.to_owned(),
        rig.keys.clone(),
        Arc::clone(&revocations),
    );

    let snapshot = rig.feed.snapshot(&rig.view, at(T)).unwrap();
    assert!(matches!(
        state.apply(&snapshot, at(T).time()),
        Outcome::Applied { .. }
    ));
    assert_eq!(revocations.len(), 1);
    rig.feed.statement(&rig.view, at(T)).unwrap().unwrap();

    for (n, name) in ["payments", "billing"].into_iter().enumerate() {
        let secs = T + 1 + n as u64;
        rig.hear(secs, vec![owner(name)]);
        let text = rig.feed.statement(&rig.view, at(secs)).unwrap().unwrap();
        let outcome = state.apply(&text, at(secs).time());
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
        assert_eq!(revocations.as_of(), Some(UnixTime::from_secs(secs)));
    }
    assert_eq!(revocations.len(), 3);
}

#[test]
fn a_statement_that_was_missed_shows_as_a_gap() {
    let mut rig = Rig::new();
    rig.hear(T, vec![]);
    let revocations = Arc::new(Revocations::new());
    let mut state = FeedState::new(
        ISSUER.to_owned(),
        rig.keys.clone(),
        Arc::clone(&revocations),
    );
    let snapshot = rig.feed.snapshot(&rig.view, at(T)).unwrap();
    state.apply(&snapshot, at(T).time());
    rig.hear(T + 1, vec![owner("payments")]);
    let _missed = rig.feed.statement(&rig.view, at(T + 1)).unwrap().unwrap();
    rig.hear(T + 2, vec![owner("billing")]);
    let text = rig.feed.statement(&rig.view, at(T + 2)).unwrap().unwrap();
    assert!(matches!(
        state.apply(&text, at(T + 2).time()),
        Outcome::Gap { .. }
    ));
    assert_eq!(
        revocations.as_of(),
        Some(UnixTime::from_secs(T)),
        "fresh only up to the gap"
    );
    // Another life of the store is a gap as well.
    rig.view.adopt_store(life("e2"));
    rig.hear(T + 3, vec![owner("more")]);
    let text = rig.feed.statement(&rig.view, at(T + 3)).unwrap().unwrap();
    assert!(matches!(
        state.apply(&text, at(T + 3).time()),
        Outcome::Gap { .. }
    ));
    let snapshot = rig.feed.snapshot(&rig.view, at(T + 3)).unwrap();
    assert!(matches!(
        state.apply(&snapshot, at(T + 3).time()),
        Outcome::Applied { .. }
    ));
    assert_eq!(revocations.len(), 3);
}

#[test]
fn changes_within_a_batch_go_together_and_silence_is_a_heartbeat() {
    let mut rig = Rig::new();
    assert!(!rig.feed.due(at_ms(0)), "nothing is known yet");
    rig.hear(T, vec![]);
    let first = rig.statement(at_ms(0)).unwrap();
    assert!(first.entries.is_empty() && first.from == first.to);
    assert_eq!((first.as_of.as_secs(), first.exp.as_secs()), (T, T + 900));
    assert_eq!(rig.statement(at_ms(4999)), None);
    let heartbeat = rig.statement(at_ms(5000)).unwrap();
    assert!(heartbeat.entries.is_empty());

    rig.hear(T, vec![owner("a")]);
    assert_eq!(
        rig.statement(at_ms(5019)),
        None,
        "20 ms after the last signature at the soonest"
    );
    rig.hear(T, vec![owner("b"), owner("c")]);
    let batch = rig.statement(at_ms(5020)).unwrap();
    assert_eq!(
        (batch.entries.len(), batch.from, batch.to),
        (3, "1-0".to_owned(), "1-3".to_owned())
    );
    assert_eq!(rig.statement(at_ms(5040)), None);
}

#[test]
fn as_of_is_what_was_noted_and_not_what_the_view_heard_since() {
    let mut rig = Rig::new();
    rig.hear(T, vec![]);
    rig.view.heard((T + 4) * 1000, UnixTime::from_secs(T + 4));
    assert_eq!(
        rig.statement(at(T + 4)).unwrap().as_of,
        UnixTime::from_secs(T)
    );
    // And it does not go back when a store's clock does.
    rig.hear(T - 3, vec![]);
    assert_eq!(rig.snapshot(at(T)).as_of, UnixTime::from_secs(T));
}

#[test]
fn what_is_nearly_over_or_takes_nothing_away_is_left_out() {
    let mut rig = Rig::new();
    let ending = |secs| {
        credential_body(
            "QAAAAAAAAAAAAAAAAAAAAA",
            Some(UnixTime::from_secs(secs)),
            at(T),
            900,
            0,
        )
    };
    rig.hear(
        T,
        vec![ending(T + 4), hold_body(HoldKind::Owner, "payments", true)],
    );
    assert!(rig.snapshot(at(T)).entries.is_empty());
    assert!(rig.statement(at(T)).unwrap().entries.is_empty());
    rig.hear(T + 1, vec![ending(T + 6)]);
    assert_eq!(rig.statement(at(T + 1)).unwrap().entries.len(), 1);
    assert_eq!(
        rig.snapshot(at(T + 2)).entries.len(),
        1,
        "a clock that runs ahead of what was heard leaves nothing out"
    );
    rig.hear(T + 2, vec![]);
    assert!(rig.snapshot(at(T + 2)).entries.is_empty());
}

#[test]
fn new_keys_and_taints_are_announced_and_renewals_are_not() {
    let mut rig = Rig::new();
    rig.hear(T, vec![]);
    assert!(!rig.statement(at(T)).unwrap().keys_changed);
    let mut record = key_record("a", 1);
    record.serve_until = UnixTime::from_secs(T + 100);
    rig.hear(T + 1, vec![Body::Key(Box::new(record.clone()))]);
    assert!(rig.statement(at(T + 1)).unwrap().keys_changed);
    record.lease_until = UnixTime::from_secs(T + 20);
    rig.hear(T + 2, vec![Body::Key(Box::new(record.clone()))]);
    assert!(!rig.statement(at(T + 2)).unwrap().keys_changed);
    rig.hear(
        T + 3,
        vec![cut_off_body(Kind::Key, &record.kid, at(T), 900, 60)],
    );
    let taint = rig.statement(at(T + 3)).unwrap();
    assert!(taint.keys_changed);
    assert_eq!(taint.entries[0].before, feed::FOREVER);
}

#[test]
fn what_could_not_be_signed_is_said_later() {
    let mut rig = Rig::new();
    rig.hear(T, vec![owner("payments")]);
    let key = rig.feed.signer.take();
    assert!(matches!(
        rig.feed.statement(&rig.view, at(T)),
        Err(FeedError::NoKey)
    ));
    let token_key = signer(
        Algorithm::EdDsa,
        KeyUse::Token,
        1,
        UnixTime::from_secs(T + 3600),
    );
    rig.feed.use_signer(Some(token_key));
    assert!(matches!(
        rig.feed.snapshot(&rig.view, at(T)),
        Err(FeedError::NoKey)
    ));
    rig.feed.use_signer(key);
    assert_eq!(rig.statement(at(T)).unwrap().entries.len(), 1);
    let lapsed = signer(Algorithm::EdDsa, KeyUse::Feed, 1, UnixTime::from_secs(T));
    rig.feed.use_signer(Some(lapsed));
    assert!(matches!(
        rig.feed.snapshot(&rig.view, at(T)),
        Err(FeedError::Signer(_))
    ));
    rig.view.forget_store(1);
    assert!(matches!(
        rig.feed.snapshot(&rig.view, at(T)),
        Err(FeedError::NothingHeard)
    ));
}

#[test]
fn a_flood_becomes_one_statement_that_names_everything() {
    let mut rig = Rig::new();
    let many = u64::try_from(MOST_WAITING).unwrap() + 1;
    rig.hear(T, (0..many).map(|n| owner(&format!("o{n}"))).collect());
    assert!(rig.feed.waiting.slots.is_empty());
    assert_eq!(
        rig.statement(at(T)).unwrap().entries.len(),
        MOST_WAITING + 1
    );
    rig.hear(T + 1, vec![owner("late")]);
    assert_eq!(rig.statement(at(T + 1)).unwrap().entries.len(), 1);
}
