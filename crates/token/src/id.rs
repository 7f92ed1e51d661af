use std::fmt;
use std::str::FromStr;

use crate::base64url::{self, Base64Error};
use crate::text::serde_as_text;

/// Bits of the first byte that carry the partition: there are at most 64.
const PARTITION_MASK: u8 = 0x3f;
/// The bits above them: not zero, so that the id as an X.509 serial keeps its 16 bytes, and the top bit clear, so
/// that the serial is positive (RFC 5280 section 4.1.2.2).
const FIRST_BYTE: u8 = 0x40;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not canonical base64url of 16 bytes.
    #[error("not 22 characters of base64url")]
    Encoding {
        /// What is wrong with it.
        source: Base64Error,
    },
}

macro_rules! id {
    ($name:ident, $($doc:literal),+) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id of a new thing at home in `partition` (0 to 63; higher bits are dropped), with 15 bytes from a
            /// random generator.
            #[must_use]
            pub fn new(partition: u8, random: [u8; 15]) -> Self {
                let mut bytes = [0; 16];
                let (first, rest) = bytes.split_at_mut(1);
                first.fill(FIRST_BYTE | (partition & PARTITION_MASK));
                rest.copy_from_slice(&random);
                Self(bytes)
            }

            /// The id with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Where its record is at home, 0 to 63.
            #[must_use]
            pub const fn partition(&self) -> u8 {
                let [first, ..] = self.0;
                first & PARTITION_MASK
            }

            /// In hexadecimal, lower case, as tools print a serial number.
            #[must_use]
            pub fn to_hex(&self) -> String {
                self.0.iter().map(|byte| format!("{byte:02x}")).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base64url::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                base64url::decode_array(text)
                    .map(Self)
                    .map_err(|source| IdError::Encoding { source })
            }
        }

        serde_as_text!($name);
    };
}

id!(
    CredentialId,
    "What names one credential: the `jti` of a token (as base64url) and the serial number of a certificate (as bytes)."
);
id!(
    DecisionId,
    "What names one decision; it is no secret, and grants nothing."
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn home_is_in_the_first_byte() {
        let id = CredentialId::new(63, [0xff; 15]);
        assert_eq!(id.as_bytes()[0], 0x7f);
        assert_eq!(id.partition(), 63);
        assert_eq!(CredentialId::new(64, [0; 15]).partition(), 0);
        assert_eq!(CredentialId::new(0, [0; 15]).as_bytes()[0], 0x40);
        assert_eq!(CredentialId::new(0, [7; 15]).as_bytes()[1..], [7; 15]);
    }

    #[test]
    fn text() {
        let id = DecisionId::new(5, [0xab; 15]);
        let text = id.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(text.parse::<DecisionId>().unwrap(), id);
        assert_eq!(
            CredentialId::from_bytes(*id.as_bytes()).to_hex(),
            format!("45{}", "ab".repeat(15))
        );
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        for cut in 0..text.len() {
            assert!(
                text.get(..cut).unwrap().parse::<DecisionId>().is_err(),
                "{cut}"
            );
        }
        for longer in [
            format!("{text}A"),
            format!("{text}=="),
            format!("{text}AA"),
            format!(" {text}"),
        ] {
            assert!(longer.parse::<DecisionId>().is_err(), "{longer}");
        }
        assert!(
            "AAAAAAAAAAAAAAAAAAAAAB".parse::<DecisionId>().is_err(),
            "trailing bits"
        );
    }
}
