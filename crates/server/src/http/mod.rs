//! The HTTP surface.

mod call;
mod caller;
mod discovery;
mod evidence;
mod feed;
mod form;
mod guard;
mod introspect;
mod issue;
mod oauth_error;
mod operations;
mod problem;
mod reasons;
mod records;
mod request;
mod request_id;
mod revocations;
mod revoke;
mod routes;
mod tasks;
mod token;
mod x509;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use call::{SocketPeer, whole_chain};
pub(crate) use problem::Problem;
pub(crate) use request_id::RequestId;
pub use routes::openapi;
pub(crate) use routes::{operations, public, socket};
