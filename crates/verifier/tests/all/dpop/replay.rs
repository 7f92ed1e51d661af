//! Proofs that come again: RFC 9449 sections 8, 9 and 11.1.

use std::sync::atomic::{AtomicUsize, Ordering};

use dayfly_keys::Algorithm;
use dayfly_verifier::dpop::{NONCE_LIFETIME_SECS, Nonces, Policy, Presentation, WINDOW_SECS};
use dayfly_verifier::{
    Presented, RejectionCode as Code, RevocationSource, UnverifiedToken, Verifier,
};
use serde_json::json;

use super::{Scene, URI, bound, key};
use crate::fixture::{AUDIENCE, NOW};
use crate::signatures::twin_of;

#[test]
fn a_proof_is_used_once() {
    for scene in Scene::both() {
        let proof = scene.proof().sign(NOW).unwrap();
        let later = NOW.saturating_add(WINDOW_SECS);
        assert_eq!(scene.presents(&scene.token, &proof, NOW), Ok(()));
        for now in [NOW, NOW.saturating_add(1), later] {
            assert_eq!(
                scene.presents(&scene.token, &proof, now),
                Err(Code::ReplayedProof)
            );
        }
        let gone = later.saturating_add(1);
        assert_eq!(
            scene.presents(&scene.token, &proof, gone),
            Err(Code::BadProof)
        );
        // Back to when it was good: still used.
        assert_eq!(
            scene.presents(&scene.token, &proof, NOW),
            Err(Code::ReplayedProof)
        );
        // The same `jti` in another proof of the key, and in one of another key.
        let jti = scene.proof().payload(NOW)["jti"].clone();
        assert_eq!(scene.told(scene.proof().claim("jti", jti.clone())), Ok(()));
        assert_eq!(
            scene.told(scene.proof().claim("jti", jti.clone())),
            Err(Code::ReplayedProof)
        );
        let other = key(Algorithm::EdDsa, 4);
        let token = bound(&scene.bench, &other);
        let proof = other.proof("GET", URI, &token).claim("jti", jti);
        assert_eq!(
            scene.presents(&token, &proof.sign(NOW).unwrap(), NOW),
            Ok(())
        );
    }
}

/// The second valid signature of an ECDSA proof is no second proof.
#[test]
fn the_malleable_twin_is_the_same_proof() {
    let scene = Scene::new(Algorithm::Es256, Policy::new());
    let twin_first = scene.proof().sign(NOW).unwrap();
    let twin = twin_of(&twin_first);
    assert_ne!(twin, twin_first);
    let first = scene.presents(&scene.token, &twin, NOW);
    let second = scene.presents(&scene.token, &twin_first, NOW);
    match first {
        // The backend takes both forms: the first of them used the proof up.
        Ok(()) => assert_eq!(second, Err(Code::ReplayedProof)),
        Err(code) => assert_eq!((code, second), (Code::BadProof, Ok(()))),
    }
    let proof = scene.proof().sign(NOW).unwrap();
    assert_eq!(scene.presents(&scene.token, &proof, NOW), Ok(()));
    assert!(scene.presents(&scene.token, &twin_of(&proof), NOW).is_err());
}

#[test]
fn exactly_once_in_parallel() {
    let scene = Scene::new(Algorithm::Es256, Policy::new());
    let proofs: Vec<_> = (0..20).map(|_| scene.proof().sign(NOW).unwrap()).collect();
    let accepted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for proof in &proofs {
                    match scene.presents(&scene.token, proof, NOW) {
                        Ok(()) => drop(accepted.fetch_add(1, Ordering::Relaxed)),
                        Err(code) => assert_eq!(code, Code::ReplayedProof),
                    }
                }
            });
        }
    });
    assert_eq!(accepted.into_inner(), proofs.len());
}

/// When the memory is full it denies what is new and forgets nothing.
#[test]
fn a_full_memory() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new().capacity(50));
    let first = scene.proof().sign(NOW).unwrap();
    assert_eq!(scene.presents(&scene.token, &first, NOW), Ok(()));
    for _ in 1..50 {
        assert_eq!(scene.told(scene.proof()), Ok(()));
    }
    for _ in 0..50 {
        assert_eq!(scene.told(scene.proof()), Err(Code::TooManyProofs));
    }
    assert_eq!(
        scene.presents(&scene.token, &first, NOW),
        Err(Code::ReplayedProof)
    );
    // Bearer tokens do not care.
    assert_eq!(
        scene.verify(&scene.bench.good(), &Presented::NOTHING, NOW),
        Ok(())
    );
    // Room comes back by itself.
    let later = NOW.saturating_add(WINDOW_SECS + 20);
    let at_later = || scene.presents(&scene.token, &scene.proof().sign(later).unwrap(), later);
    assert_eq!(at_later(), Ok(()));
}

/// A verifier that takes the place of another, or stands beside it, is one more door to the same API.
#[test]
fn what_one_verifier_accepted_another_refuses() {
    for nonces in [None, Some(Nonces::new([1; 32]))] {
        let policy = nonces.map_or(Policy::new(), |nonces| Policy::new().require_nonce(nonces));
        let scene = Scene::new(Algorithm::Es256, policy);
        let builder = || {
            let builder = scene.bench.authority.verifier(AUDIENCE);
            builder.revocation(RevocationSource::None)
        };
        // It takes over the policy as well: what needs a nonce here needs one there.
        let beside = builder().shared_proofs(&scene.verifier).build().unwrap();
        let alone = builder().build().unwrap();
        let proof = scene.proof();
        let proof = match scene.verifier.dpop_nonce(NOW) {
            Some(nonce) => proof.claim("nonce", json!(nonce)),
            None => proof,
        };
        let proof = proof.sign(NOW).unwrap();
        let told = |verifier: &Verifier, now| {
            let (method, uri) = ("GET", URI);
            let proof = Presentation {
                proof: &proof,
                method,
                uri,
            };
            verifier
                .verify(
                    UnverifiedToken::new(&scene.token),
                    &Presented::proof(proof),
                    now,
                )
                .map(drop)
                .map_err(|rejection| rejection.code())
        };
        assert_eq!(told(&scene.verifier, NOW), Ok(()));
        for secs in [0, WINDOW_SECS, WINDOW_SECS + 1, NONCE_LIFETIME_SECS + 1] {
            let outcome = told(&beside, NOW.saturating_add(secs));
            assert!(outcome.is_err(), "{secs}");
        }
        assert_eq!(told(&beside, NOW), Err(Code::ReplayedProof));
        assert_eq!(told(&alone, NOW), Ok(()), "the control");
    }
}

/// What is refused for any other reason takes no room, and is not used up.
#[test]
fn only_an_accepted_request_uses_its_proof() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new().capacity(1));
    let proof = scene.proof().sign(NOW).unwrap();
    let entry = dayfly_token::feed::Entry {
        prefix: dayfly_verifier::revocation::prefix(
            dayfly_token::feed::Kind::Credential,
            "QAAAAAAAAAAAAAAAAAAAAA",
        ),
        before: NOW,
        until: NOW.saturating_add(300),
    };
    let revoking = || {
        let builder = scene.bench.authority.verifier(AUDIENCE);
        let policy = Policy::new().capacity(1);
        builder
            .dpop(policy)
            .revocation(RevocationSource::Follow)
            .build()
            .unwrap()
    };
    let verifier = revoking();
    let presented = Presented::proof(Presentation {
        proof: &proof,
        method: "GET",
        uri: URI,
    });
    let verify = |verifier: &Verifier| {
        let verified = verifier.verify(UnverifiedToken::new(&scene.token), &presented, NOW);
        verified.map(drop).map_err(|rejection| rejection.code())
    };
    assert_eq!(verify(&verifier), Err(Code::RevocationStale));
    verifier.revocations().heard(NOW);
    assert_eq!(verify(&verifier), Ok(()));
    let verifier = revoking();
    verifier.revocations().heard(NOW);
    verifier.revocations().merge(&[entry], NOW);
    assert_eq!(verify(&verifier), Err(Code::Revoked));

    for strange in [
        scene.proof().claim("htm", json!("POST")),
        scene.proof().claim("iat", json!(0)),
        key(Algorithm::EdDsa, 4).proof("GET", URI, &scene.token),
    ] {
        assert!(scene.told(strange).is_err());
    }
    // A stranger's token, under a proof that would be good.
    let expired = scene
        .bench
        .authority
        .token(AUDIENCE)
        .bound_to(&scene.key.confirmation());
    let expired = expired.mint(NOW.saturating_sub(4000)).unwrap();
    let for_expired = scene.key.proof("GET", URI, &expired).sign(NOW).unwrap();
    assert_eq!(
        scene.presents(&expired, &for_expired, NOW),
        Err(Code::Expired)
    );
    // The one place is still free.
    assert_eq!(scene.presents(&scene.token, &proof, NOW), Ok(()));
    assert_eq!(scene.told(scene.proof()), Err(Code::TooManyProofs));
}

#[test]
fn nonces() {
    let nonces = Nonces::new([1; 32]);
    let scene = Scene::new(
        Algorithm::EdDsa,
        Policy::new().require_nonce(nonces.clone()),
    );
    let nonce = scene.verifier.dpop_nonce(NOW).unwrap();
    assert_eq!(scene.told(scene.proof().nonce(&nonce)), Ok(()));
    // Also a second time: a nonce is for many proofs, a proof is not.
    let proof = scene.proof().nonce(&nonce).sign(NOW).unwrap();
    assert_eq!(scene.presents(&scene.token, &proof, NOW), Ok(()));
    let last = NOW.saturating_add(NONCE_LIFETIME_SECS);
    for now in [NOW, last] {
        assert_eq!(
            scene.presents(&scene.token, &proof, now),
            Err(Code::ReplayedProof)
        );
    }
    let needed = Err(Code::ProofNonceNeeded);
    assert_eq!(
        scene.presents(&scene.token, &proof, last.saturating_add(1)),
        needed
    );
    assert_eq!(scene.told(scene.proof()), needed);
    let foreign = Scene::new(
        Algorithm::EdDsa,
        Policy::new().require_nonce(Nonces::new([2; 32])),
    );
    let others = foreign.verifier.dpop_nonce(NOW).unwrap();
    for odd in [
        "",
        "x",
        &others,
        &nonce[1..],
        &format!("{nonce}="),
        &nonce.to_uppercase(),
    ] {
        assert_eq!(scene.told(scene.proof().nonce(odd)), needed, "{odd}");
    }
    // The nonce tells the time: the client's clock does not matter.
    for iat in [0, NOW.as_secs() + 100_000] {
        let proof = scene.proof().nonce(&nonce).claim("iat", json!(iat));
        assert_eq!(scene.told(proof), Ok(()), "{iat}");
    }
    // Two keys count.
    nonces.rotate([3; 32]);
    let second = scene.verifier.dpop_nonce(NOW).unwrap();
    assert_ne!(nonce, second);
    for good in [&nonce, &second] {
        assert_eq!(scene.told(scene.proof().nonce(good)), Ok(()));
    }
    nonces.rotate([4; 32]);
    assert_eq!(scene.told(scene.proof().nonce(&nonce)), needed);
    assert_eq!(scene.told(scene.proof().nonce(&second)), Ok(()));
    // Replicas with one key accept each other's.
    let replica = Scene::new(
        Algorithm::EdDsa,
        Policy::new().require_nonce(Nonces::new([4; 32])),
    );
    let third = scene.verifier.dpop_nonce(NOW).unwrap();
    assert_eq!(replica.told(replica.proof().nonce(&third)), Ok(()));
    // No nonces, no nonce.
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    assert_eq!(scene.verifier.dpop_nonce(NOW), None);
}

/// Asking for nonces leaves nothing behind: a million of them need no memory but their own.
#[test]
fn nonces_cannot_be_exhausted() {
    let policy = Policy::new()
        .capacity(1)
        .require_nonce(Nonces::new([1; 32]));
    let scene = Scene::new(Algorithm::EdDsa, policy);
    let first = scene.verifier.dpop_nonce(NOW).unwrap();
    for second in 0..20_000 {
        let now = NOW.saturating_sub(second);
        assert!(scene.verifier.dpop_nonce(now).is_some());
    }
    assert_eq!(scene.told(scene.proof().nonce(&first)), Ok(()));
}
