//! An API without a network: keys and revocations come in a file, which somebody carries to it.
//!
//! ```text
//! cargo run --example offline_bundle --features testing
//! cargo run --example offline_bundle --features testing -- https://sts.example.org urn:plant bundle.json < tokens.txt
//! ```
//!
//! A bundle is three documents of the issuer: `{"trust": GET /v1/trust, "jwks": GET /.well-known/jwks.json,
//! "snapshot": "GET /v1/feed"}`.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example talks, and knows what time it is"
)]

use std::error::Error;
use std::path::Path;
use std::time::SystemTime;

use dayfly_verifier::feed::Bundle;
use dayfly_verifier::revocation::{Entry, FOREVER, Kind, prefix};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{Presented, RevocationSource, UnixTime, UnverifiedToken, Verifier};

/// Until the first bundle is loaded nothing is accepted, and no bundle is good for longer than a day.
fn verifier(issuer: &str, audience: &str) -> Result<Verifier, Box<dyn Error>> {
    Ok(Verifier::builder(issuer)
        .audience(audience)
        .revocation(RevocationSource::Bundle)
        .max_staleness_secs(24 * 3600)
        .build()?)
}

/// Call it again whenever there is a newer file.
fn load(verifier: &Verifier, path: &Path) -> Result<(), Box<dyn Error>> {
    let bundle = Bundle::parse(&std::fs::read(path)?)?;
    verifier.load_bundle(&bundle, now())?;
    Ok(())
}

fn check(verifier: &Verifier, token: &str) {
    match verifier.verify(UnverifiedToken::new(token), &Presented::NOTHING, now()) {
        Ok(caller) => println!("{}: accepted, {:?}", caller.subject(), caller.freshness()),
        Err(rejection) => println!("refused, {}: {rejection}", rejection.code()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [issuer, audience, path] = arguments.as_slice() {
        let verifier = verifier(issuer, audience)?;
        load(&verifier, Path::new(path))?;
        for token in std::io::stdin().lines() {
            check(&verifier, &token?);
        }
        return Ok(());
    }

    // Stands for your issuer, here and in your tests.
    let authority = TestAuthority::from_seed("https://sts.example.org", [7; 32])?;
    let token = authority
        .token("urn:plant")
        .task("tests/night-shift")
        .mint(now())?;
    let file = std::env::temp_dir().join(format!("bundle-{}.json", std::process::id()));
    let verifier = verifier(authority.issuer(), "urn:plant")?;

    println!("before a bundle:");
    check(&verifier, &token);

    println!("with a bundle:");
    write_bundle(&authority, vec![], &file)?;
    load(&verifier, &file)?;
    check(&verifier, &token);

    println!("with one in which the task is revoked:");
    let night_shift = Entry {
        prefix: prefix(Kind::Task, "tests/night-shift"),
        before: FOREVER,
        until: FOREVER,
    };
    write_bundle(&authority, vec![night_shift], &file)?;
    load(&verifier, &file)?;
    check(&verifier, &token);

    std::fs::remove_file(file)?;
    Ok(())
}

/// What an operator does where there is a network.
fn write_bundle(
    authority: &TestAuthority,
    revoked: Vec<Entry>,
    file: &Path,
) -> Result<(), Box<dyn Error>> {
    let bundle = Bundle::new(
        authority.feed_keys().to_jwks(),
        authority.keys().to_jwks(),
        authority.snapshot("1-0", revoked, now())?,
    );
    std::fs::write(file, serde_json::to_vec(&bundle)?)?;
    Ok(())
}

fn now() -> UnixTime {
    SystemTime::now().into()
}
