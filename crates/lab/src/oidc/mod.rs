mod behaviour;
mod github;
mod issuer;
mod keys;
mod routes;

pub use behaviour::{Behaviour, Counts, DocumentKind};
pub use github::{GithubJob, GithubRuntime};
pub use issuer::{OidcIssuer, OidcOptions};
pub use keys::TokenAlgorithm;
