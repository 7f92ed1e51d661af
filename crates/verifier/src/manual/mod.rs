//! How to use this crate, why it does what it does, and what it has learnt from others.
//!
//! - [`howto`]: the usual tasks, a page for each subject, and what an error code tells.
//! - [`defaults`]: every number and every choice that you did not make, with its reason.
//! - [`decisions`]: what the specifications leave open about tokens, decided once.
//! - [`defences`]: past vulnerabilities of JWT libraries and services, and what stops each of them here.
//! - [`unsupported`]: what is not supported, and why.

pub mod decisions;
pub mod defaults;
pub mod defences;
pub mod howto;
pub mod unsupported;
