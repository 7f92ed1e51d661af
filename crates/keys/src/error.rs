/// Why a key was refused or could not sign. No variant carries a private member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The JWK's `alg` is not that of its key.
    #[error("`alg` of the key does not fit its type")]
    AlgorithmMismatch,
    /// A member that must be there is absent, or one has a value that it cannot have.
    #[error("key member `{name}` is missing or malformed")]
    Member {
        /// The member.
        name: &'static str,
    },
    /// The key is not meant for verifying signatures: its `use` or `key_ops` says so.
    #[error("the key is not for signatures")]
    NotForSignatures,
    /// A private or symmetric member: such a key is compromised by being shown.
    #[error("the key has the private member `{name}`")]
    PrivateMember {
        /// The member.
        name: &'static str,
    },
    /// Not a point of the curve, or one of small order.
    #[error("the public key is not a usable point of its curve")]
    Point,
    /// The seed is no scalar of P-256; this happens once in 2^32 seeds, and the caller draws again.
    #[error("the seed is out of range")]
    SeedOutOfRange,
    /// The backend could not sign.
    #[error("signing failed")]
    Signing,
    /// A type or curve that is not supported.
    #[error("keys of this type are not supported")]
    Unsupported,
}

/// Why a signature was refused. Why it does not verify is not said: nobody needs to know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// It does not verify.
    #[error("the signature does not verify")]
    Invalid,
    /// It has not the length of a signature.
    #[error("a signature of {length} bytes instead of 64")]
    Length {
        /// Its length.
        length: usize,
    },
    /// The backend does not know the scheme.
    #[error("this signature scheme needs the feature `aws-lc`")]
    UnsupportedScheme,
}
