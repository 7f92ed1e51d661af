//! A tower layer that lets verified requests through, with the challenges of RFC 6750.

mod bearer;
mod challenge;
mod gate;
mod layer;

pub use challenge::Challenge;
pub use gate::Gate;
#[cfg(feature = "axum")]
pub(crate) use gate::ResourceMetadata;
pub use layer::{VerifierLayer, VerifierService, VerifyFuture};
