mod authority;
mod params;

pub use authority::{SpiffeCa, Svid};
pub use params::{BasicConstraintsKnob, CertificateKey, KeyUsageKnob, SvidParams};
