//! A token that was verified before is checked like one that was not, in everything that can have changed since.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dayfly_keys::{Algorithm, KeySet, SigningKey};
use dayfly_token::Confirmation;
use dayfly_token::feed::{Entry, Kind};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{
    PeerCertificate, Presented, RejectionCode as Code, RevocationSource, Revocations, UnixTime,
    UnverifiedToken, Verifier,
};
use proptest::prelude::*;
use zeroize::Zeroizing;

use crate::fixture::{AUDIENCE, Bench, ISSUER, NOW};

fn following(authority: &TestAuthority, cached_tokens: usize) -> Verifier {
    let verifier = authority
        .verifier(AUDIENCE)
        .revocation(RevocationSource::Follow)
        .cached_tokens(cached_tokens)
        .build()
        .unwrap();
    verifier.revocations().heard(NOW);
    verifier
}

fn outcome(
    verifier: &Verifier,
    token: &str,
    peer: Option<&PeerCertificate>,
    now: UnixTime,
) -> Result<String, Code> {
    let presented = peer.map_or(Presented::NOTHING, Presented::certificate);
    verifier
        .verify(UnverifiedToken::new(token), &presented, now)
        .map(|caller| format!("{} {:?}", caller.credential_id(), caller.freshness()))
        .map_err(|rejection| rejection.code())
}

/// A verifier that has just accepted a token, and that token.
fn warm() -> (Bench, Verifier, String) {
    let bench = Bench::new(Algorithm::Es256);
    let verifier = following(&bench.authority, 64);
    let token = bench.good();
    for _ in 0..2 {
        assert!(outcome(&verifier, &token, None, NOW).is_ok());
    }
    (bench, verifier, token)
}

#[test]
fn time_goes_on() {
    let (_, verifier, token) = warm();
    let end = NOW.saturating_add(300 + 30);
    verifier.revocations().heard(end);
    assert!(outcome(&verifier, &token, None, end.saturating_sub(1)).is_ok());
    assert_eq!(outcome(&verifier, &token, None, end), Err(Code::Expired));
    let early = NOW.saturating_sub(31);
    assert_eq!(
        outcome(&verifier, &token, None, early),
        Err(Code::NotYetValid)
    );
    verifier.set_max_lifetime(299);
    assert_eq!(
        outcome(&verifier, &token, None, NOW),
        Err(Code::LifetimeTooLong)
    );
}

#[test]
fn revocations_arrive() {
    for (kind, value) in [
        (Kind::Credential, "QAAAAAAAAAAAAAAAAAAAAA"),
        (Kind::Task, "tests/task"),
        (Kind::Workload, "tests/caller"),
        (Kind::Owner, "tests"),
        (Kind::Rule, "test-rule"),
    ] {
        let (_, verifier, token) = warm();
        let entry = |value: &str| Entry {
            prefix: prefix(kind, value),
            before: NOW,
            until: NOW.saturating_add(3600),
        };
        verifier.revocations().merge(&[entry("another")], NOW);
        assert!(outcome(&verifier, &token, None, NOW).is_ok(), "{kind}");
        verifier.revocations().merge(&[entry(value)], NOW);
        for _ in 0..2 {
            assert_eq!(
                outcome(&verifier, &token, None, NOW),
                Err(Code::Revoked),
                "{kind}"
            );
        }
    }
}

#[test]
fn revocations_grow_old() {
    let (_, verifier, token) = warm();
    verifier.set_max_lifetime(300);
    let later = NOW.saturating_add(301);
    assert_eq!(
        outcome(&verifier, &token, None, later),
        Err(Code::RevocationStale)
    );
    verifier.revocations().heard(later);
    assert!(outcome(&verifier, &token, None, later).is_ok());
}

#[test]
fn keys_go_and_come_back() {
    let (bench, verifier, token) = warm();
    verifier.replace_keys(bench.authority.keys());
    assert!(outcome(&verifier, &token, None, NOW).is_ok());
    verifier.replace_keys(KeySet::default());
    let without = outcome(&verifier, &token, None, NOW);
    assert_eq!(without, Err(Code::KeysUnavailable));
    verifier.replace_keys(bench.authority.keys());
    assert!(outcome(&verifier, &token, None, NOW).is_ok());
    // Another key under the old name.
    let other = SigningKey::from_seed(Algorithm::Es256, &Zeroizing::new([1; 32])).unwrap();
    let jwk = other
        .jwk()
        .clone()
        .with_kid(bench.authority.token_key().kid())
        .unwrap();
    let keys = KeySet::parse(format!("{{\"keys\":[{}]}}", serde_json::json!(jwk)).as_bytes());
    verifier.replace_keys(keys.unwrap());
    assert_eq!(
        outcome(&verifier, &token, None, NOW),
        Err(Code::BadSignature)
    );
}

#[test]
fn audiences_change() {
    let (bench, verifier, token) = warm();
    verifier
        .replace_audiences(["https://other.internal"])
        .unwrap();
    assert_eq!(
        outcome(&verifier, &token, None, NOW),
        Err(Code::WrongAudience)
    );
    let other = bench
        .authority
        .token("https://other.internal")
        .mint(NOW)
        .unwrap();
    assert!(outcome(&verifier, &other, None, NOW).is_ok());
    for bad in [&[][..], &[AUDIENCE, ""][..]] {
        assert!(verifier.replace_audiences(bad.iter().copied()).is_err());
        assert!(outcome(&verifier, &other, None, NOW).is_ok(), "as before");
    }
    verifier
        .replace_audiences([AUDIENCE, "https://other.internal"])
        .unwrap();
    assert!(outcome(&verifier, &token, None, NOW).is_ok());
}

#[test]
fn the_binding_is_proved_each_time() {
    let bench = Bench::new(Algorithm::Es256);
    let verifier = following(&bench.authority, 64);
    let id = "spiffe://test.example/tests/caller".parse().unwrap();
    let peer = PeerCertificate::new(vec![b"certificate".to_vec()], Some(id)).unwrap();
    let stranger = PeerCertificate::new(vec![b"another".to_vec()], None).unwrap();
    let bound = |confirmation: Confirmation| {
        let token = bench.authority.token(AUDIENCE).bound_to(&confirmation);
        token.mint(NOW).unwrap()
    };
    for token in [
        bound(Confirmation::CertificateThumbprint(*peer.thumbprint())),
        bound(Confirmation::SpiffeId(peer.spiffe_id().unwrap().clone())),
    ] {
        for _ in 0..2 {
            assert!(outcome(&verifier, &token, Some(&peer), NOW).is_ok());
            for other in [None, Some(&stranger)] {
                assert_eq!(
                    outcome(&verifier, &token, other, NOW),
                    Err(Code::UnprovenConfirmation)
                );
            }
        }
    }
}

/// A lookup goes by the end of the signature: every other byte must be compared all the same.
#[test]
fn no_other_bit_passes() {
    let (_, verifier, token) = warm();
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let other = String::from_utf8(bytes).unwrap();
            let refused = outcome(&verifier, &other, None, NOW);
            assert!(refused.is_err(), "byte {at}, bit {bit}: {refused:?}");
        }
    }
    let signature = token.rsplit_once('.').unwrap().1;
    for other in [
        signature.to_owned(),
        token[1..].to_owned(),
        format!("{token}A"),
        format!("x{token}"),
        token[..token.len() - 1].to_owned(),
    ] {
        assert!(outcome(&verifier, &other, None, NOW).is_err(), "{other}");
    }
    assert!(outcome(&verifier, &token, None, NOW).is_ok());
}

#[test]
fn many_tokens_share_few_places() {
    let bench = Bench::new(Algorithm::EdDsa);
    for room in [0, 1, 8, 20] {
        let verifier = following(&bench.authority, room);
        let tokens: Vec<_> = (0..60)
            .map(|number| {
                let token = bench.authority.token(AUDIENCE).id(&format!("id-{number}"));
                token.mint(NOW).unwrap()
            })
            .collect();
        for _ in 0..3 {
            for (number, token) in tokens.iter().enumerate() {
                let found = outcome(&verifier, token, None, NOW).unwrap();
                assert!(found.starts_with(&format!("id-{number} ")), "{found}");
            }
        }
    }
}

/// Threads verify while keys go and come back: whoever is accepted after a key went was accepted wrongly.
#[test]
fn a_key_that_went_is_gone_for_every_thread() {
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = following(&bench.authority, 64);
    let token = bench.good();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..2000)
                        .filter(|_| outcome(&verifier, &token, None, NOW).is_ok())
                        .count()
                })
            })
            .collect();
        for _ in 0..200 {
            verifier.replace_keys(KeySet::default());
            let without = outcome(&verifier, &token, None, NOW);
            assert_eq!(without, Err(Code::KeysUnavailable));
            verifier.replace_keys(bench.authority.keys());
            assert!(outcome(&verifier, &token, None, NOW).is_ok());
        }
        let accepted: usize = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        assert!(accepted > 0);
    });
}

/// Threads verify tokens that are cached while one after another is revoked: once `merge` has come back, every thread
/// refuses that one, whatever it found a moment before, and whatever settles or is purged meanwhile.
#[test]
fn a_revocation_is_seen_by_every_thread() {
    const TOKENS: usize = 60;
    let bench = Bench::new(Algorithm::EdDsa);
    let verifier = following(&bench.authority, 256);
    let token = |number: usize| {
        let token = bench.authority.token(AUDIENCE).id(&number.to_string());
        token.mint(NOW).unwrap()
    };
    let tokens: Vec<_> = (0..TOKENS).map(token).collect();
    let revoked = AtomicUsize::new(0);
    let rounds = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                // Bounded, so that a failure of the writer ends the test.
                for _ in 0..500 {
                    if revoked.load(Ordering::Acquire) == TOKENS {
                        break;
                    }
                    for (number, token) in tokens.iter().enumerate() {
                        let dead = number < revoked.load(Ordering::Acquire);
                        let refused = outcome(&verifier, token, None, NOW).is_err();
                        assert!(refused || !dead, "{number}");
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for (number, token) in tokens.iter().enumerate() {
            assert!(outcome(&verifier, token, None, NOW).is_ok());
            let entry = |value: &str| Entry {
                prefix: prefix(Kind::Credential, value),
                before: NOW,
                until: NOW.saturating_add(900),
            };
            let mut entries = vec![entry(&number.to_string())];
            // Now and then so many that they settle.
            if number % 20 == 7 {
                entries.extend((0..5000).map(|other| entry(&format!("{number}-{other}"))));
            }
            verifier.revocations().merge(&entries, NOW);
            revoked.fetch_add(1, Ordering::Release);
            assert_eq!(outcome(&verifier, token, None, NOW), Err(Code::Revoked));
            if number % 20 == 13 {
                verifier.revocations().purge(NOW);
            }
        }
    });
    assert!(rounds.load(Ordering::Relaxed) > 0);
}

#[derive(Clone, Debug)]
enum Step {
    Verify {
        token: usize,
        peer: bool,
        after: u64,
    },
    Revoke {
        kind: usize,
        before: u64,
    },
    Hear {
        after: u64,
    },
    Keys {
        first: bool,
        second: bool,
    },
    Audience(bool),
    Lifetime(u64),
    Purge {
        after: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let after = 0..700_u64;
    let step = prop_oneof![
        12 => (0..6_usize, any::<bool>(), after.clone())
            .prop_map(|(token, peer, after)| Step::Verify { token, peer, after }),
        1 => (0..6_usize, 0..20_u64).prop_map(|(kind, before)| Step::Revoke { kind, before }),
        3 => after.clone().prop_map(|after| Step::Hear { after }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(first, second)| Step::Keys { first, second }),
        1 => any::<bool>().prop_map(Step::Audience),
        1 => (200..700_u64).prop_map(Step::Lifetime),
        1 => after.prop_map(|after| Step::Purge { after }),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happens in whatever order: with a cache of two places, with one of many, and with none, the same comes out.
    #[test]
    fn a_cache_changes_nothing(steps in steps()) {
        let authority = |seed| {
            let key = SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new([seed; 32])).unwrap();
            TestAuthority::with_key(ISSUER, key).unwrap()
        };
        let (first, second) = (authority(1), authority(2));
        let peer = PeerCertificate::new(vec![b"certificate".to_vec()], None).unwrap();
        let tokens: Vec<String> = [&first, &second]
            .into_iter()
            .flat_map(|authority| {
                let token = |id: &str| authority.token(AUDIENCE).id(id);
                let shifted = authority.token("https://other.internal").id("c");
                [
                    token("a").mint(NOW).unwrap(),
                    token("b").bound_to_certificate(&peer).mint(NOW.saturating_add(10)).unwrap(),
                    shifted.ttl_secs(600).mint(NOW).unwrap(),
                ]
            })
            .collect();
        let revocations = Arc::new(Revocations::new());
        revocations.heard(NOW);
        let verifiers: Vec<_> = [0, 2, 1000]
            .into_iter()
            .map(|room| {
                let builder = first.verifier(AUDIENCE).revocation(RevocationSource::Follow);
                builder.cached_tokens(room).shared_revocations(Arc::clone(&revocations)).build().unwrap()
            })
            .collect();
        for step in steps {
            match step {
                Step::Verify { token, peer: shown, after } => {
                    let now = NOW.saturating_add(after);
                    let outcomes: Vec<_> = verifiers
                        .iter()
                        .map(|verifier| outcome(verifier, &tokens[token], shown.then_some(&peer), now))
                        .collect();
                    prop_assert_eq!(&outcomes[0], &outcomes[1]);
                    prop_assert_eq!(&outcomes[0], &outcomes[2]);
                }
                Step::Revoke { kind, before } => {
                    let value = ["a", "tests/task", "tests/caller", "tests", "test-rule", first.token_key().kid()][kind];
                    let kind = Kind::ALL[kind];
                    let before = NOW.saturating_add(before).saturating_sub(5);
                    let entry = Entry { prefix: prefix(kind, value), before, until: NOW.saturating_add(60) };
                    revocations.merge(&[entry], NOW);
                }
                Step::Hear { after } => revocations.heard(NOW.saturating_add(after)),
                Step::Keys { first: one, second: two } => {
                    let mut keys = if one { first.keys() } else { KeySet::default() };
                    if two {
                        keys.insert(second.token_key().verifying_key().clone());
                    }
                    verifiers.iter().for_each(|verifier| verifier.replace_keys(keys.clone()));
                }
                Step::Audience(own) => {
                    let audience = if own { AUDIENCE } else { "https://other.internal" };
                    verifiers.iter().for_each(|verifier| verifier.replace_audiences([audience]).unwrap());
                }
                Step::Lifetime(secs) => verifiers.iter().for_each(|verifier| verifier.set_max_lifetime(secs)),
                Step::Purge { after } => revocations.purge(NOW.saturating_add(after)),
            }
        }
    }
}
