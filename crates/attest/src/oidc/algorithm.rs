/// A signature algorithm that tokens of an issuer may have. No HMAC, and nothing weaker than SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum JoseAlgorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// ECDSA, P-256, SHA-256.
    Es256,
    /// ECDSA, P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl JoseAlgorithm {
    pub(crate) const ALL: [Self; 5] = [
        Self::Rs256,
        Self::Ps256,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The names in a header or a JWK. RFC 9864 gives Ed25519 a name of its own; it is the same algorithm.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Rs256 => &["RS256"],
            Self::Ps256 => &["PS256"],
            Self::Es256 => &["ES256"],
            Self::Es384 => &["ES384"],
            Self::EdDsa => &["EdDSA", "Ed25519"],
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// By its exact name: case matters (RFC 8725bis, "noNE").
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.names().contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for algorithm in JoseAlgorithm::ALL {
            assert_eq!(JoseAlgorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(
            JoseAlgorithm::from_name("Ed25519"),
            Some(JoseAlgorithm::EdDsa)
        );
        for other in [
            "", "none", "None", "HS256", "rs256", "RS256 ", "RS384", "ES256K", "eddsa", "Ed448",
        ] {
            assert_eq!(JoseAlgorithm::from_name(other), None, "{other}");
        }
    }
}
