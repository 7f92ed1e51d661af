//! Who calls, and what they may do.
//!
//! # Ask for a scope
//!
//! For a whole router by [`VerifierLayer::require_scope`](crate::tower::VerifierLayer::require_scope), for one
//! handler by the extractor [`Scoped`](crate::axum::Scoped), inside a handler by
//! [`Verified::has_scope`](crate::Verified::has_scope). Scopes are compared as whole words: there are no wildcards
//! and no hierarchy.
//!
//! ```
//! use axum::{Router, routing::post};
//! use dayfly_verifier::Verifier;
//! use dayfly_verifier::axum::{RequiredScope, Scoped};
//!
//! struct DeployWrite;
//! impl RequiredScope for DeployWrite {
//!     const SCOPE: &'static str = "deploy:write";
//! }
//!
//! // In place of `Caller`, and as good as it: `Scoped` is the caller, once the scope is there.
//! async fn deploy(caller: Scoped<DeployWrite>) -> String {
//!     format!("deployed for {:?} by {}", caller.task(), caller.subject())
//! }
//!
//! fn api(verifier: &Verifier) -> Router {
//!     Router::new().route("/deployments", post(deploy)).layer(verifier.layer())
//! }
//! ```
//!
//! # Decide by more than scopes
//!
//! Use [`subject`](crate::Verified::subject) or [`workload`](crate::Verified::workload),
//! [`actor`](crate::Verified::actor) (the outermost one: RFC 8693 section 4.1 allows no other to decide anything),
//! [`authorization_details`](crate::Verified::authorization_details), [`task`](crate::Verified::task) and
//! [`environment`](crate::Verified::environment). Write [`credential_id`](crate::Verified::credential_id) into your
//! log: with it the issuer can tell who got the credential, on which evidence, and why.
//!
//! The handler's [`Caller`](crate::axum::Caller) and `Scoped` give all of it; behind the layer any other service finds a
//! [`Verified`](crate::Verified) among the request's extensions. [`Scoped<(A, B)>`](crate::axum::Scoped) asks for both scopes, `Scoped<AnyOf<(A, B)>>` for one of them. Details of one
//! type become values of yours by [`authorization_details_of`](crate::Verified::authorization_details_of).
