//! How to do what. One page for each subject:
//!
//! | page | tells how to |
//! |---|---|
//! | [`callers`] | ask for a scope, decide by workload, task, actor or details |
//! | [`operating`] | know who did what, count, limit, let clients find the issuer |
//! | [`stacks`] | protect gRPC, any other HTTP stack, a worker without HTTP |
//! | [`mtls`] | accept tokens that are bound to a client certificate; talk mTLS with the issuer's certificates |
//! | [`dpop`] | accept tokens that are bound to a key |
//! | [`freshness`] | choose about revocations, verify without a network, restart while the issuer is away |
//! | [`issuers`] | accept several issuers, change what is accepted while the API runs |
//! | [`migration`] | move an API off static keys |
//! | [`testing`] | test your API |
//! | [`refusals`] | find out why a call or a certificate is refused: the table of codes |

pub mod callers;
pub mod dpop;
pub mod freshness;
pub mod issuers;
pub mod migration;
pub mod mtls;
pub mod operating;
pub mod refusals;
pub mod stacks;
pub mod testing;
