//! A deployment to test against: the lab's services, and `dayfly serve` as its own process.
//!
//! A [`World`] is what stands around dayfly (a TLS authority, a SPIFFE authority, an OIDC issuer,
//! a folder); a [`Deployment`] is one server process in it. Several deployments may share a store.

mod agent;
mod command;
pub mod fleet;
mod form;
mod operator;
mod process;
mod raw;
mod scene;
mod trail;
mod watcher;
mod wide;
mod world;

pub use agent::Agent;
pub use command::{Cli, Printed};
pub use fleet::FLEET_API;
pub use form::{Answer, Form, id_of, jwt_claims, jwt_header, with_other_signature};
pub use operator::Operator;
pub use process::{Deployment, Store, binary, client, free_port};
pub use raw::{Connection, Reply};
pub(crate) use scene::on_both_ledgers;
pub use scene::{Ledger, Scene, eventually, has_program, now};
pub use trail::Trail;
pub use watcher::{Watcher, verdict};
pub use wide::{BILLING_API, BOOKING, LEDGER_API};
pub use world::{PAYMENTS_API, World};
