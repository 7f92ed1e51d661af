use std::fmt;

use serde::{Deserialize, Serialize};

/// A signature algorithm of our own tokens. One key has exactly one (RFC 8725 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519 (RFC 8037 section 3.1): minted as `EdDSA`, its newer name `Ed25519` (RFC 9864) is read as the same.
    #[serde(rename = "EdDSA", alias = "Ed25519")]
    EdDsa,
}

impl Algorithm {
    /// Bytes of a signature in the form of JOSE, for either algorithm.
    pub const SIGNATURE_BYTES: usize = 64;

    /// The `alg` that we mint.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether a key of this algorithm verifies a token whose header says `alg`. Case matters: `es256` is none.
    #[must_use]
    pub fn accepts(self, alg: &str) -> bool {
        match self {
            Self::Es256 => alg == "ES256",
            Self::EdDsa => matches!(alg, "EdDSA" | "Ed25519"),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for other in [
            "", "none", "None", "nOnE", "es256", "ES256 ", "ES384", "HS256", "ESP256", "eddsa",
            "ed25519", "Ed448", "RS256",
        ] {
            assert!(
                !Algorithm::Es256.accepts(other) && !Algorithm::EdDsa.accepts(other),
                "{other}"
            );
        }
        assert!(Algorithm::Es256.accepts("ES256") && !Algorithm::Es256.accepts("EdDSA"));
        assert!(Algorithm::EdDsa.accepts("EdDSA") && Algorithm::EdDsa.accepts("Ed25519"));
        assert!(!Algorithm::EdDsa.accepts("ES256"));
    }
}
