//! A worker without HTTP: it takes messages from a queue, each with a token in its headers, and calls the verifier itself.
//!
//! ```text
//! cargo run --example worker --features http,testing
//! cargo run --example worker --features http,testing -- https://sts.example.org urn:mailer < tokens.txt
//! ```
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example talks, and knows what time it is"
)]

use std::collections::HashMap;
use std::error::Error;
use std::sync::mpsc;
use std::time::SystemTime;

use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{
    Presented, Rejection, RevocationSource, UnixTime, UnverifiedToken, Verified, Verifier,
};

struct Message {
    headers: HashMap<&'static str, String>,
    body: &'static str,
}

/// The producer's right to have this done, checked when it is done: a message may have waited in the queue for long.
fn caller_of(message: &Message, verifier: &Verifier) -> Result<Verified, Rejection> {
    let token = message.headers.get("token").map_or("", String::as_str);
    verifier.verify(UnverifiedToken::new(token), &Presented::NOTHING, now())
}

fn handle(message: &Message, verifier: &Verifier) {
    match caller_of(message, verifier) {
        Ok(caller) if caller.has_scope("mail:send") => println!(
            "{}: done for {} ({})",
            message.body,
            caller.subject(),
            caller.credential_id()
        ),
        Ok(caller) => println!("{}: {} may not send mail", message.body, caller.subject()),
        // The code is for everybody, the reason for the log.
        Err(rejection) => println!("{}: {}: {rejection}", message.body, rejection.code()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [issuer, audience] = arguments.as_slice() {
        let verifier = Verifier::from_issuer(issuer)
            .audience(audience)
            .build()
            .await?;
        for token in std::io::stdin().lines() {
            handle(&message(token?, "a message"), &verifier);
        }
        return Ok(());
    }

    // Stands for your issuer, here and in your tests.
    let authority = TestAuthority::from_seed("https://sts.example.org", [7; 32])?;
    let verifier = authority
        .verifier("urn:mailer")
        .revocation(RevocationSource::None)
        .build()?;
    let token = |scope| authority.token("urn:mailer").scope(scope);

    let (queue, messages) = mpsc::channel();
    queue.send(message(token("mail:send").mint(now())?, "a receipt"))?;
    queue.send(message(token("mail:read").mint(now())?, "an inbox"))?;
    queue.send(message(
        token("mail:send").mint(now().saturating_sub(3600))?,
        "an old receipt",
    ))?;
    queue.send(message(String::new(), "a stray message"))?;
    drop(queue);

    for message in messages {
        handle(&message, &verifier);
    }
    Ok(())
}

fn message(token: String, body: &'static str) -> Message {
    Message {
        headers: HashMap::from([("token", token)]),
        body,
    }
}

/// Only programs read the clock; the verifier is told what time it is.
fn now() -> UnixTime {
    SystemTime::now().into()
}
