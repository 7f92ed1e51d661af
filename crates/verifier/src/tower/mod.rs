//! A tower layer that lets verified requests through, with the challenges of RFC 6750 and RFC 9449, and what belongs to it: the
//! API's [metadata](ResourceMetadata), a [limit](RateLimit) for each caller, [events](mod@self#events) and
//! [counters](Metrics).
//!
//! # Events
//!
//! A [`Gate`] records one `tracing` event for each call, let in or refused, so that what an issuer issued can be joined
//! with what was done with it, by `credential_id`. The targets are [`ACCEPTED`] and [`REFUSED`], under `dayfly::access`;
//! `dayfly::access::accepted=off` in a filter leaves the refusals. Both are at level INFO, except that a refusal because
//! of this API's own state (`keys_unavailable`, `revocation_stale`, `too_many_proofs`) is a WARN.
//!
//! A call that was let in is recorded when its answer begins, with the status, or when the client hangs up before, then
//! without. If an extractor ([`Scoped`](crate::axum::Scoped)) or the [`RateLimit`] refused it behind the gate, the
//! event says so, with the code. No event has a token, and of a token that was not accepted an event has the code and
//! the reason alone, in which what the token said is escaped and cut. If the issuer did sign it, for this API, and it was
//! refused for another reason (`expired`, `revoked`, `unproven_confirmation`), the event also says which credential it is
//! and whose, but not who presented it: that may be a thief.
//!
//! | field | what | when |
//! |---|---|---|
//! | `outcome` | `accepted` or `refused` | always |
//! | `code` | why it was refused, by [`RefusalCode`] | refused |
//! | `reason`, `cause` | the facts, for people; their words may change | refused |
//! | `method` | of the request, `other` if it is not a registered one | always |
//! | `route` | the route's template, never the path | axum's router, gRPC |
//! | `status` | of the response | answered |
//! | `grpc_status` | of the response, if its head has one: a call that failed | gRPC |
//! | `issuer`, `credential_id` | of the token | the token was accepted, or its signature, issuer and audience held |
//! | `subject`, `audience` | of the token; audiences separated by spaces | the token was accepted |
//! | `task`, `environment`, `actor` | of the token | it has one |
//! | `workload`, `owner` | the subject as `owner/workload`, and its owner | as `credential_id`, and the subject has that form |
//! | `freshness` | `fresh`, `stale` or `unknown` | the token was accepted |
//! | `freshness_age_secs` | how old the revocation state was, in seconds | `stale` |
//!
//! The names, and the values of `outcome`, `code`, `method` and `freshness`, change in major versions only.

mod access;
mod challenge;
mod credentials;
mod dialect;
mod gate;
mod layer;
mod limit;
mod metadata;
mod metrics;
mod refusal;

pub use access::{ACCEPTED, REFUSED};
#[cfg(feature = "migrate")]
pub(crate) use access::{Call, Entry};
pub use challenge::Challenge;
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use dialect::Behind;
pub use gate::Gate;
pub use layer::{VerifierLayer, VerifierService, VerifyFuture};
pub use limit::{RateLimit, RateLimitFuture, RateLimited};
pub use metadata::{MetadataService, ResourceError, ResourceMetadata};
pub use metrics::{Metrics, MetricsSnapshot};
pub use refusal::RefusalCode;
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use refusal::RefusedWithin;
