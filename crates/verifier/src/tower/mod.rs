//! A tower layer that lets verified requests through, with the challenges of RFC 6750.

mod bearer;
mod challenge;
mod layer;

pub use challenge::Challenge;
#[cfg(feature = "axum")]
pub(crate) use layer::ResourceMetadata;
pub use layer::{VerifierLayer, VerifierService, VerifyFuture};
