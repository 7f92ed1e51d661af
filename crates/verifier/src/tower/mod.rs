//! A tower layer that lets verified requests through, with the challenges of RFC 6750 and RFC 9449.

mod challenge;
mod credentials;
mod gate;
mod layer;

pub use challenge::Challenge;
#[cfg(feature = "axum")]
pub(crate) use challenge::Terms;
pub use gate::Gate;
pub use layer::{VerifierLayer, VerifierService, VerifyFuture};
