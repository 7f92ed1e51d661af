//! A deployment to test against: the lab's services, and `dayfly serve` as its own process.
//!
//! A [`World`] is what stands around dayfly (a TLS authority, a SPIFFE authority, an OIDC issuer,
//! a folder); a [`Deployment`] is one server process in it. Several deployments may share a store.

mod form;
mod process;
mod world;

pub use form::{Answer, Form, jwt_claims};
pub use process::{Deployment, Store};
pub use world::{CI_SCOPE, PAYMENTS_API, World};
