#![doc = include_str!("../README.md")]

mod admin;
mod builder;
mod certificate;
mod client;
mod clock;
mod connection;
mod error;
mod http;
mod identity;
mod keeper;
mod metadata;
mod request;
mod retry;
mod secret;
mod session;
mod source;
mod tls;
mod token;

pub use admin::{
    Admin, Hold, HoldKind, Introspection, IssuanceStatus, NewTask, RevocationOutcome, TaskState,
};
pub use builder::ClientBuilder;
pub use certificate::Certificate;
pub use client::Client;
pub use error::{ClientError, Refusal};
pub use identity::Identity;
pub use keeper::{Credential, Keeper};
pub use metadata::Metadata;
pub use request::{CertificateRequest, ExchangeRequest, TokenRequest};
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use source::{GithubActions, OidcSource, Source, TokenCallback, TokenFuture};
pub use token::Token;
