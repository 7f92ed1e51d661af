//! Other stacks than axum: gRPC, any `http::Request`, and programs without HTTP.
//!
//! # Protect a gRPC service
//!
//! `Server::builder().layer(verifier.layer().grpc())`, and in each method
//! [`tonic::caller`](crate::tonic::caller) or [`tonic::caller_with_scope`](crate::tonic::caller_with_scope). Health checks
//! and reflection on the same server need a token too; put them on a server of their own where they should not.
//!
//! # Check a request without tower, or without HTTP
//!
//! [`Gate::check`](crate::tower::Gate::check) decides about the head of any `http::Request`, and
//! [`Gate::answer`](crate::tower::Gate::answer) says what to answer.
//!
//! ```
//! use dayfly_verifier::tower::Gate;
//! use http::{Request, Response};
//!
//! fn handle(gate: &Gate, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
//!     let (head, body) = request.into_parts();
//!     match gate.check(&head) {
//!         Ok(caller) => Response::new([caller.subject().as_bytes(), b": ", &body[..]].concat()),
//!         Err(challenge) => gate.answer(&challenge),
//!     }
//! }
//! ```
//!
//! A worker that takes messages from a queue has no request: it calls [`Verifier::verify`](crate::Verifier::verify) with
//! the token from the message's headers, at the moment when it does the work. The reason goes to its own log.
//!
//! ```
//! use dayfly_verifier::{Presented, RejectionCode, UnixTime, UnverifiedToken, Verifier};
//!
//! struct Message {
//!     token: String,
//!     text: String,
//! }
//!
//! // `now` is `SystemTime::now().into()`.
//! fn send(verifier: &Verifier, message: &Message, now: UnixTime) -> Result<String, RejectionCode> {
//!     let caller = verifier
//!         .verify(UnverifiedToken::new(&message.token), &Presented::NOTHING, now)
//!         .map_err(|rejection| rejection.code())?;
//!     Ok(format!("{} for {}", message.text, caller.subject()))
//! }
//! # let authority = dayfly_verifier::testing::TestAuthority::from_seed("https://sts.test", [1; 32]).unwrap();
//! # let verifier = authority.verifier("urn:mailer").revocation(dayfly_verifier::RevocationSource::None).build().unwrap();
//! # let now = UnixTime::from_secs(1_800_000_000);
//! # let mut message = Message { token: authority.token("urn:mailer").mint(now).unwrap(), text: "a receipt".to_owned() };
//! # assert_eq!(send(&verifier, &message, now).unwrap(), "a receipt for spiffe://test.example/tests/caller");
//! # message.token.push('A');
//! # assert!(send(&verifier, &message, now).is_err());
//! ```
//!
//! [`Presented`](crate::Presented) is what the caller proved beside the token: a client certificate, a `DPoP` proof, or, as
//! in a queue, nothing. The example `worker` is a whole program.
