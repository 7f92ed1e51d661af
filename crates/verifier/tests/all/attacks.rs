//! Whoever stole a feed key, or sits between the issuer and this API, can deny or freeze, and never admit.

use std::sync::Arc;

use dayfly_keys::{Algorithm, KeySet, SigningKey};
use dayfly_token::feed::{Entry, FOREVER, Kind, Statement, TYP};
use dayfly_verifier::feed::{FeedState, Outcome};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{
    Freshness, Presented, RejectionCode as Code, UnixTime, UnverifiedToken, Verifier,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::feed::{revoked, statement};
use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

/// The issuer, a verifier that follows it, and what reads the feed for it.
struct Scene {
    bench: Bench,
    verifier: Verifier,
    feed: FeedState,
    feed_key: SigningKey,
}

impl Scene {
    fn new() -> Self {
        let bench = Bench::new(Algorithm::EdDsa);
        let verifier = bench.following();
        // The thief has the feed key itself: the seed that the authority derives it from.
        let seed =
            dayfly_keys::sha256(format!("feed {}", bench.authority.token_key().kid()).as_bytes());
        let feed_key = SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new(seed)).unwrap();
        let mut feed = FeedState::new(
            ISSUER.to_owned(),
            bench.authority.feed_keys(),
            Arc::clone(verifier.revocations()),
        );
        let begun = bench
            .authority
            .snapshot("1-0", vec![revoked("dead")], NOW)
            .unwrap();
        assert!(matches!(feed.apply(&begun, NOW), Outcome::Applied { .. }));
        Self {
            bench,
            verifier,
            feed,
            feed_key,
        }
    }

    /// A statement by the stolen key, of any form.
    fn stolen(&self, payload: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "typ": TYP, "kid": self.feed_key.kid() });
        let (header, payload) = (header.to_string(), payload.to_string());
        self.feed_key
            .sign_compact(header.as_bytes(), payload.as_bytes())
            .unwrap()
    }

    fn verify(&self, id: &str, now: UnixTime) -> Result<Freshness, Code> {
        let token = self.bench.authority.token(AUDIENCE).id(id);
        self.verify_text(&token.mint(now).unwrap(), now)
    }

    fn verify_text(&self, token: &str, now: UnixTime) -> Result<Freshness, Code> {
        self.verifier
            .verify(UnverifiedToken::new(token), &Presented::NOTHING, now)
            .map(|verified| verified.freshness())
            .map_err(|rejection| rejection.code())
    }
}

fn piece(entries: Vec<Entry>) -> Statement {
    Statement {
        from: "1-0".to_owned(),
        to: "2-0".to_owned(),
        entries,
        ..statement()
    }
}

#[test]
fn a_stolen_feed_key_denies() {
    let mut scene = Scene::new();
    assert_eq!(scene.verify("good", NOW), Ok(Freshness::Fresh));
    let all = Entry {
        prefix: prefix(Kind::Owner, "tests"),
        before: FOREVER,
        until: FOREVER,
    };
    let text = scene.stolen(&json!(piece(vec![all])));
    assert!(matches!(
        scene.feed.apply(&text, NOW),
        Outcome::Applied { .. }
    ));
    assert_eq!(scene.verify("good", NOW), Err(Code::Revoked));
}

#[test]
fn a_stolen_feed_key_lifts_nothing() {
    let mut scene = Scene::new();
    assert_eq!(scene.verify("dead", NOW), Err(Code::Revoked));
    let weaker = |before, until| Entry {
        prefix: prefix(Kind::Credential, "dead"),
        before,
        until,
    };
    let past = NOW.saturating_sub(9999);
    for (snapshot, epoch, entries) in [
        (false, "e1", vec![weaker(UnixTime::EPOCH, UnixTime::EPOCH)]),
        (false, "e1", vec![weaker(past, FOREVER)]),
        (true, "e1", vec![]),
        (true, "e1", vec![weaker(UnixTime::EPOCH, past)]),
        (true, "another", vec![]),
    ] {
        let text = scene.stolen(&json!(Statement {
            snapshot,
            epoch: epoch.to_owned(),
            to: "900-0".to_owned(),
            ..piece(entries)
        }));
        scene.feed.apply(&text, NOW);
        scene.verifier.revocations().purge(NOW);
        assert_eq!(scene.verify("dead", NOW), Err(Code::Revoked), "{epoch}");
        assert_eq!(scene.verify("good", NOW), Ok(Freshness::Fresh));
    }
}

#[test]
fn a_stolen_feed_key_adds_no_key_and_no_lifetime() {
    let mut scene = Scene::new();
    let thief = SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new([66; 32])).unwrap();
    let mut keys = KeySet::default();
    keys.insert(thief.verifying_key().clone());
    let jwks = json!(keys.to_jwks());
    let mut payload = json!(piece(vec![]));
    for member in ["keys", "jwks", "trust"] {
        payload[member] = jwks["keys"].clone();
    }
    payload["dayfly_max_lifetime"] = json!(999_999);
    payload["jwks_uri"] = json!("https://thief.example/jwks");
    payload["keys_changed"] = json!(true);
    let text = scene.stolen(&payload);
    // All that it can do is to ask for the issuer's own keys.
    assert!(matches!(
        scene.feed.apply(&text, NOW),
        Outcome::KeysChanged { .. }
    ));
    assert_eq!(scene.verifier.keys().len(), 1);
    assert_eq!(scene.verifier.max_lifetime_secs(), 3600);
    let theirs = TestAuthority::with_key(ISSUER, thief).unwrap();
    let token = theirs.token(AUDIENCE).mint(NOW).unwrap();
    assert_eq!(scene.verify_text(&token, NOW), Err(Code::UnknownKid));
    // Nor are statements by that key believed from now on.
    let statement = theirs.sign_statement(&piece(vec![])).unwrap();
    assert!(matches!(
        scene.feed.apply(&statement, NOW),
        Outcome::UnknownKey { .. }
    ));
}

/// It can claim that all is well, for as long as it keeps signing and the real issuer is not heard; but never in
/// advance, so that the silence after it counts.
#[test]
fn a_stolen_feed_key_freezes_for_a_minute_in_advance() {
    let mut scene = Scene::new();
    for ahead_secs in [61, 3600, 1_000_000_000] {
        let text = scene.stolen(&json!(Statement {
            as_of: NOW.saturating_add(ahead_secs),
            exp: FOREVER,
            ..piece(vec![])
        }));
        assert!(matches!(scene.feed.apply(&text, NOW), Outcome::Refused(_)));
        assert_eq!(scene.verifier.revocations().as_of(), Some(NOW));
    }
    let text = scene.stolen(&json!(Statement {
        as_of: NOW.saturating_add(60),
        exp: FOREVER,
        ..piece(vec![])
    }));
    scene.feed.apply(&text, NOW);
    for (later_secs, says) in [
        (75, Ok(Freshness::Fresh)),
        (76, Ok(Freshness::Stale { age_secs: 16 })),
        (3660, Ok(Freshness::Stale { age_secs: 3600 })),
        (3661, Err(Code::RevocationStale)),
    ] {
        let later = NOW.saturating_add(later_secs);
        // However often it is repeated.
        scene.feed.apply(&text, later);
        assert_eq!(scene.verify("good", later), says, "{later_secs}");
    }
}

#[test]
fn a_heartbeat_that_is_repeated_for_ever_ages() {
    let mut scene = Scene::new();
    let beat = |scene: &Scene, at| {
        let authority = &scene.bench.authority;
        authority.statement("1-0", "1-0", vec![], at).unwrap()
    };
    let recorded = beat(&scene, NOW);
    let mut said = Vec::new();
    for later_secs in (0..=3700).step_by(5) {
        let later = NOW.saturating_add(later_secs);
        scene.feed.apply(&recorded, later);
        let says = scene.verify("good", later);
        if said.last().map(|(_, last)| std::mem::discriminant(last))
            != Some(std::mem::discriminant(&says))
            || matches!(
                (said.last(), &says),
                (Some((_, Ok(Freshness::Fresh))), Ok(Freshness::Stale { .. }))
            )
        {
            said.push((later_secs, says));
        }
    }
    assert_eq!(
        said,
        [
            (0, Ok(Freshness::Fresh)),
            (20, Ok(Freshness::Stale { age_secs: 20 })),
            (3605, Err(Code::RevocationStale)),
        ]
    );
    // The control: true heartbeats keep it fresh for as long as they come.
    let later = NOW.saturating_add(3705);
    let text = beat(&scene, later);
    scene.feed.apply(&text, later);
    assert_eq!(scene.verify("good", later), Ok(Freshness::Fresh));
}

#[test]
fn a_feed_key_signs_no_token() {
    let scene = Scene::new();
    let payload = Value::Object(scene.bench.payload()).to_string();
    for typ in ["at+jwt", TYP] {
        let header = json!({ "alg": "EdDSA", "typ": typ, "kid": scene.feed_key.kid() }).to_string();
        let token = scene
            .feed_key
            .sign_compact(header.as_bytes(), payload.as_bytes())
            .unwrap();
        let code = if typ == TYP {
            Code::WrongType
        } else {
            Code::UnknownKid
        };
        assert_eq!(scene.verify_text(&token, NOW), Err(code));
    }
    // Under the token key's id it is a bad signature; and the token key's own is good.
    let header = scene.bench.authority.header();
    let token = scene
        .feed_key
        .sign_compact(header.as_bytes(), payload.as_bytes())
        .unwrap();
    assert_eq!(scene.verify_text(&token, NOW), Err(Code::BadSignature));
    assert!(
        scene
            .verify_text(&scene.bench.signed(&payload), NOW)
            .is_ok()
    );
}
