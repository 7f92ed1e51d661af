use crate::base64url::{self, Base64Error};

/// Longest token that is looked at: eight times the 2 KiB that a token of ours has at most, and what other issuers
/// stay under; longer ones are refused before any work.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// One of the three parts of a compact JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The protected header.
    Header,
    /// The payload.
    Payload,
    /// The signature.
    Signature,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// Why a text is not a compact JWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// A part is not canonical base64url.
    #[error("the {part} is not canonical base64url")]
    Base64 {
        /// Which part.
        part: Part,
        /// What is wrong with it.
        source: Base64Error,
    },
    /// A byte that no compact JWS has: this refuses the JSON serialisation, white space and padding.
    #[error("byte {offset} cannot stand in a compact JWS")]
    Character {
        /// Where it stands.
        offset: usize,
    },
    /// A part is empty; an empty signature is an unsecured JWS, an empty payload a detached one.
    #[error("the {part} is empty")]
    EmptyPart {
        /// Which part.
        part: Part,
    },
    /// Not three parts; five are a JWE, which is never accepted.
    #[error("{found} parts instead of 3")]
    Parts {
        /// How many there are.
        found: usize,
    },
    /// Longer than allowed.
    #[error("{length} bytes, more than {limit}")]
    TooLong {
        /// The length.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

/// The three parts of a compact JWS (RFC 7515 section 7.1), of the right form and not verified.
#[derive(Debug, Clone, Copy)]
pub struct Compact<'a> {
    signing_input: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Compact<'a> {
    /// Takes a token apart: size, alphabet, exactly three parts, none of them empty.
    ///
    /// # Errors
    /// If it is longer than [`MAX_TOKEN_BYTES`] or not of that form.
    pub fn split(token: &'a str) -> Result<Self, CompactError> {
        Self::split_within(token, MAX_TOKEN_BYTES)
    }

    /// [`Compact::split`] with another limit in bytes: a snapshot of the feed is longer than any token.
    ///
    /// # Errors
    /// If it is longer than `limit` or not of that form.
    pub fn split_within(token: &'a str, limit: usize) -> Result<Self, CompactError> {
        if token.len() > limit {
            return Err(CompactError::TooLong {
                length: token.len(),
                limit,
            });
        }
        if !token
            .as_bytes()
            .iter()
            .fold(true, |allowed, byte| allowed & is_allowed(*byte))
        {
            let offset = token
                .bytes()
                .position(|byte| !is_allowed(byte))
                .unwrap_or_default();
            return Err(CompactError::Character { offset });
        }
        let mut dots = memchr::memchr_iter(b'.', token.as_bytes());
        let parts = match (dots.next(), dots.next(), dots.next()) {
            (Some(first), Some(second), None) => {
                token.split_at_checked(second).and_then(|(input, rest)| {
                    let (header, payload) = input.split_at_checked(first)?;
                    Some((input, header, payload.get(1..)?, rest.get(1..)?))
                })
            }
            _ => None,
        };
        let Some((signing_input, header, payload, signature)) = parts else {
            let dots = memchr::memchr_iter(b'.', token.as_bytes()).count();
            return Err(CompactError::Parts { found: dots + 1 });
        };
        for (part, text) in [
            (Part::Header, header),
            (Part::Payload, payload),
            (Part::Signature, signature),
        ] {
            if text.is_empty() {
                return Err(CompactError::EmptyPart { part });
            }
        }
        Ok(Self {
            signing_input,
            header,
            payload,
            signature,
        })
    }

    /// What the signature covers: `header.payload` in ASCII.
    #[must_use]
    pub fn signing_input(&self) -> &'a [u8] {
        self.signing_input.as_bytes()
    }

    /// The header as it stands in the token, encoded.
    #[must_use]
    pub fn header(&self) -> &'a str {
        self.header
    }

    /// The payload as it stands in the token, encoded.
    #[must_use]
    pub fn payload(&self) -> &'a str {
        self.payload
    }

    /// The signature as it stands in the token, encoded.
    #[must_use]
    pub fn signature(&self) -> &'a str {
        self.signature
    }

    /// The decoded header: JSON, not yet parsed.
    ///
    /// # Errors
    /// If it is not canonical base64url.
    pub fn header_bytes(&self) -> Result<Vec<u8>, CompactError> {
        decode(Part::Header, self.header)
    }

    /// The decoded payload.
    ///
    /// # Errors
    /// If it is not canonical base64url.
    pub fn payload_bytes(&self) -> Result<Vec<u8>, CompactError> {
        decode(Part::Payload, self.payload)
    }

    /// The decoded signature.
    ///
    /// # Errors
    /// If it is not canonical base64url.
    pub fn signature_bytes(&self) -> Result<Vec<u8>, CompactError> {
        decode(Part::Signature, self.signature)
    }
}

/// The signing input of a compact JWS: both parts encoded, with a dot between them.
#[must_use]
pub fn assemble(header_json: &[u8], payload_json: &[u8]) -> String {
    let mut input = base64url::encode(header_json);
    input.push('.');
    input.push_str(&base64url::encode(payload_json));
    input
}

fn decode(part: Part, text: &str) -> Result<Vec<u8>, CompactError> {
    base64url::decode(text).map_err(|source| CompactError::Base64 { part, source })
}

const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_') | (byte == b'.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn parts() {
        let input = assemble(b"{}", b"\xff\xef");
        assert_eq!(input, "e30._-8");
        let token = format!("{input}.AAA");
        let compact = Compact::split(&token).unwrap();
        assert_eq!(compact.signing_input(), input.as_bytes());
        assert_eq!(compact.header_bytes().unwrap(), b"{}");
        assert_eq!(compact.payload_bytes().unwrap(), b"\xff\xef");
        assert_eq!(compact.signature_bytes().unwrap(), [0, 0]);
        assert_eq!(
            (compact.header(), compact.payload(), compact.signature()),
            ("e30", "_-8", "AAA")
        );
    }

    #[test]
    fn other_shapes_are_refused() {
        for (token, found) in [
            ("", 1),
            ("e30", 1),
            ("a.b", 2),
            ("a.b.c.d", 4),
            ("a.b.c.d.e", 5),
            ("....", 5),
        ] {
            assert_eq!(
                Compact::split(token).unwrap_err(),
                CompactError::Parts { found },
                "{token}"
            );
        }
        for (token, part) in [
            (".b.c", Part::Header),
            ("a..c", Part::Payload),
            ("a.b.", Part::Signature),
        ] {
            assert_eq!(
                Compact::split(token).unwrap_err(),
                CompactError::EmptyPart { part },
                "{token}"
            );
        }
        let json = r#"{"protected":"e30","payload":"e30","signature":"AAA"}"#;
        for token in [
            json,
            "a.b.c\n",
            " a.b.c",
            "a.b.c=",
            "a+.b.c",
            "a/.b.c",
            "a.b\0.c",
            "a.b.é",
            "a.b.{\"x\"}",
        ] {
            assert!(
                matches!(Compact::split(token), Err(CompactError::Character { .. })),
                "{token}"
            );
        }
    }

    #[test]
    fn errors_say_where() {
        for (token, text) in [
            ("a.b.c=", "5"),
            ("a+.b.c", "1"),
            (".b.c", "header"),
            ("a..c", "payload"),
            ("a.b.", "signature"),
        ] {
            let refused = Compact::split(token).unwrap_err().to_string();
            assert!(refused.contains(text), "{token}: {refused}");
        }
    }

    #[test]
    fn size_comes_first() {
        let longest = format!("a.b.{}", "c".repeat(MAX_TOKEN_BYTES - 4));
        assert!(Compact::split(&longest).is_ok());
        assert!(matches!(
            Compact::split(&format!("{longest}c")),
            Err(CompactError::TooLong { .. })
        ));
        assert!(matches!(
            Compact::split(&".".repeat(10_000_000)),
            Err(CompactError::TooLong { .. })
        ));
        assert!(Compact::split_within(&format!("{longest}c"), 2 * MAX_TOKEN_BYTES).is_ok());
    }

    #[test]
    fn a_second_spelling_is_refused() {
        let compact = Compact::split("e31._-9.AAB").unwrap();
        for decoded in [
            compact.header_bytes(),
            compact.payload_bytes(),
            compact.signature_bytes(),
        ] {
            assert!(matches!(
                decoded,
                Err(CompactError::Base64 {
                    source: Base64Error::TrailingBits { .. },
                    ..
                })
            ));
        }
    }
}
