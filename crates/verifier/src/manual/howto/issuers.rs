//! Several issuers, and changes at run time.
//!
//! # Accept tokens of several issuers
//!
//! [`Verifiers`](crate::Verifiers) is a set of verifiers by issuer, for a move from one issuer to another, or for an API
//! that serves two. Each keeps its own keys, audiences, limits and revocations: the `iss` of a token chooses the verifier,
//! which then checks everything, `iss` included. The set changes while requests go on.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use dayfly_verifier::{Verifier, Verifiers};
//!
//! async fn api() -> Result<Router, Box<dyn std::error::Error>> {
//!     let verifiers = Verifiers::new();
//!     for issuer in ["https://sts.example.org", "https://sts.partner.example"] {
//!         let verifier = Verifier::from_issuer(issuer).audience("https://orders.internal").build().await?;
//!         verifiers.insert(verifier)?;
//!     }
//!     let api = Router::new().route("/orders", get(|| async { "orders" })).layer(verifiers.layer());
//!     // Later, from anywhere: the partner leaves, and the next request with one of its tokens is refused.
//!     verifiers.remove("https://sts.partner.example");
//!     Ok(api)
//! }
//! ```
//!
//! Two issuers may give the same id to different things. Wherever you store something about a caller, store
//! [`Verified::issuer`](crate::Verified::issuer) with it, and decide what each issuer may say: a partner's token with the
//! scope `orders:write` is still a partner's.
//!
//! # Change what a verifier accepts while it runs
//!
//! | what | how |
//! |---|---|
//! | issuers | [`Verifiers::insert`](crate::Verifiers::insert), [`remove`](crate::Verifiers::remove); inserting replaces |
//! | audiences | [`Verifier::replace_audiences`](crate::Verifier::replace_audiences) |
//! | keys | [`Verifier::replace_keys`](crate::Verifier::replace_keys); the follower does it by itself |
//! | the longest lifetime | [`Verifier::set_max_lifetime`](crate::Verifier::set_max_lifetime); the follower does it by itself |
//! | revocations | [`Verifier::load_bundle`](crate::Verifier::load_bundle), or [`Verifier::revocations`](crate::Verifier::revocations); the follower does it by itself |
//! | leeway, bindings, staleness | by another verifier: insert it in the place of the former one |
//!
//! Each takes effect with the next token, and no request is dropped.
