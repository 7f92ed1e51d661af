//! V1: a token that was never seen, over the bare signature check of the same backend.

use aws_lc_rs::signature::{self, ParsedPublicKey};
use dayfly_benches::{Suite, Table, Target};
use dayfly_keys::Algorithm;
use dayfly_verifier::{Presented, UnixTime, UnverifiedToken, Verifier};
use ed25519_dalek::Verifier as _;

use crate::peers::{self, Token};

/// V1 of the targets.
const TARGETS: [(Algorithm, f64); 2] = [(Algorithm::Es256, 1.05), (Algorithm::EdDsa, 1.07)];

pub(crate) fn run(table: &mut Table, now: UnixTime) {
    for (algorithm, target) in TARGETS {
        one_algorithm(table, algorithm, target, now);
    }
}

fn one_algorithm(table: &mut Table, algorithm: Algorithm, target: f64, now: UnixTime) {
    let token = Token::new(algorithm, now);
    let verifier = |revoked: u64| {
        let verifier = crate::builder(&token.authority)
            .cached_tokens(0)
            .build()
            .unwrap();
        verifier.revocations().heard(now);
        let entries = crate::revoked::entries(revoked, now);
        verifier.revocations().merge(&entries, now);
        verifier
    };
    let (quiet, busy) = (verifier(0), verifier(crate::revoked::MANY));
    let bare = bare_aws_lc(algorithm, &token);
    let mut suite = Suite::default();
    let check = |verifier: &Verifier| {
        verifier
            .verify(UnverifiedToken::new(&token.text), &Presented::NOTHING, now)
            .unwrap()
    };
    suite.add("dayfly", || check(&quiet));
    suite.add("dayfly, 1 M revoked", || check(&busy));
    suite.add("bare", || {
        bare.verify_sig(&token.message, &token.signature).unwrap()
    });
    add_rustcrypto(&mut suite, algorithm, &token);
    peers::add(&mut suite, algorithm, &token);
    let medians = suite.run();

    let name = algorithm.name();
    let floor = medians.nanoseconds("bare");
    let mut row = |subject: &str, target| {
        table.row(
            &format!("{name} {subject}"),
            medians.nanoseconds(subject),
            floor,
            target,
        );
    };
    row("bare", Target::None);
    row("bare, pure Rust", Target::None);
    row("dayfly", Target::AtMost(target));
    row("dayfly, 1 M revoked", Target::AtMost(target));
    for peer in peers::NAMES {
        row(peer, Target::None);
    }
    let fastest = peers::NAMES
        .iter()
        .map(|peer| medians.nanoseconds(peer))
        .fold(f64::INFINITY, f64::min);
    table.row(
        &format!("{name} dayfly over its fastest peer"),
        medians.nanoseconds("dayfly"),
        fastest,
        Target::AtMost(1.0),
    );
}

fn bare_aws_lc(algorithm: Algorithm, token: &Token) -> ParsedPublicKey {
    match algorithm {
        Algorithm::Es256 => {
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &token.public)
        }
        Algorithm::EdDsa => ParsedPublicKey::new(&signature::ED25519, &token.public),
    }
    .unwrap()
}

fn add_rustcrypto<'a>(suite: &mut Suite<'a>, algorithm: Algorithm, token: &'a Token) {
    match algorithm {
        Algorithm::Es256 => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&token.public).unwrap();
            let signature = p256::ecdsa::Signature::from_slice(&token.signature).unwrap();
            suite.add("bare, pure Rust", move || {
                key.verify(&token.message, &signature).unwrap()
            });
        }
        Algorithm::EdDsa => {
            let public = <[u8; 32]>::try_from(token.public.as_slice()).unwrap();
            let key = ed25519_dalek::VerifyingKey::from_bytes(&public).unwrap();
            let signature = ed25519_dalek::Signature::from_slice(&token.signature).unwrap();
            suite.add("bare, pure Rust", move || {
                key.verify(&token.message, &signature).unwrap()
            });
        }
    }
}
