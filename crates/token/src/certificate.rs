//! What a certificate says beside its identity: the claims of a token, in one private extension.

use serde::{Deserialize, Serialize};

use crate::claims::check_text;
use crate::json::{self, JsonError, present};
use crate::{ClaimsError, DayflyClaims, UnixTime};

/// The OID of the private extension, in the arc 1.2.840.113556.1.8000.2554 that takes the UUID
/// `7a3c1f52-0b9d-4e86-a5d4-63b81c9f20e7` apart into numbers below 2^24.
///
/// Under 2.25 the same UUID would be one number of 127 bits, for which Go's crypto/x509 (golang/go issue 30757) and
/// others refuse the whole certificate; RFC 5280 appendix B asks readers for no more than 2^28.
pub const EXTENSION_OID: [u64; 14] = [
    1, 2, 840, 113_556, 1, 8000, 2554, 31_292, 8018, 2973, 20_102, 42_452, 6_535_196, 10_428_647,
];

/// Longest content of the extension in bytes: four ancestors and the longest names have under 1 KiB.
pub const MAX_EXTENSION_BYTES: usize = 4096;

/// DER tag of a `UTF8String`.
const UTF8_STRING: u8 = 0x0c;

/// Why the content of a private extension was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The claims are not strict JSON, one is absent, or one is out of its limits.
    #[error("the claims in it are refused")]
    Claims {
        /// What is wrong with them.
        source: ClaimsError,
    },
    /// Not one `UTF8String` in DER, and nothing else.
    #[error("not one UTF8String in DER")]
    Encoding,
    /// Longer than [`MAX_EXTENSION_BYTES`].
    #[error("{length} bytes are more than {MAX_EXTENSION_BYTES}")]
    TooLong {
        /// The length.
        length: usize,
    },
}

/// What a certificate of a dayfly issuer says about itself: a DER `UTF8String` that holds one JSON object, whose
/// members have the names and meanings of a token's claims.
///
/// As in [`Claims`](crate::Claims), absent optional members are left out, `null` is refused, and unknown members are
/// ignored. Read it with [`CertificateClaims::from_der`], which is strict; serde alone is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateClaims {
    /// The issuing instant, which cut-offs are compared with; `notBefore` lies before it.
    pub iat: UnixTime,
    /// The task, `owner/task`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub txn: Option<String>,
    /// The rest, as in a token.
    #[serde(deserialize_with = "json::from_object")]
    pub dfy: DayflyClaims,
}

impl CertificateClaims {
    /// Reads the content of the extension.
    ///
    /// # Errors
    /// If it is too long, not one `UTF8String` in DER, or its claims are refused.
    pub fn from_der(content: &[u8]) -> Result<Self, ExtensionError> {
        if content.len() > MAX_EXTENSION_BYTES {
            return Err(ExtensionError::TooLong {
                length: content.len(),
            });
        }
        let text = utf8_content(content).ok_or(ExtensionError::Encoding)?;
        let claims: Self = json::from_slice(text).map_err(json_refused)?;
        claims
            .check()
            .map_err(|source| ExtensionError::Claims { source })?;
        Ok(claims)
    }

    /// The content of the extension.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        // Numbers and strings always serialise; an empty extension is one that no reader accepts.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut der = vec![UTF8_STRING];
        match json.len() {
            length @ 0..=0x7f => der.extend(length.to_be_bytes().last()),
            length => {
                let bytes = length.to_be_bytes();
                let significant = bytes.iter().skip_while(|byte| **byte == 0);
                let count = significant.clone().count();
                der.extend((0x80 | count).to_be_bytes().last());
                der.extend(significant);
            }
        }
        der.extend(json);
        der
    }

    fn check(&self) -> Result<(), ClaimsError> {
        let task = self.txn.as_deref();
        task.map_or(Ok(()), |txn| check_text("txn", txn))?;
        self.dfy.check()
    }
}

/// The content of [`EXTENSION_OID`] as an object identifier in DER, without tag and length.
#[must_use]
pub fn extension_oid_der() -> Vec<u8> {
    let [first, second, rest @ ..] = EXTENSION_OID;
    let mut bytes = Vec::with_capacity(40);
    for arc in std::iter::once(first * 40 + second).chain(rest) {
        let septets = (64 - arc.leading_zeros()).div_ceil(7).max(1);
        for septet in (0..septets).rev() {
            let more = if septet > 0 { 0x80 } else { 0 };
            bytes.extend((((arc >> (7 * septet)) & 0x7f) | more).to_be_bytes().last());
        }
    }
    bytes
}

fn json_refused(source: JsonError) -> ExtensionError {
    ExtensionError::Claims {
        source: ClaimsError::Json { source },
    }
}

/// The content of a `UTF8String` that fills `der`. A length takes as few bytes as it can (X.690 section 10.1): two
/// encodings of one thing would be two things to some reader.
fn utf8_content(der: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, least, content) = match first {
        0..=0x7f => (usize::from(first), 0, rest),
        0x81 => {
            let (&length, content) = rest.split_first()?;
            (usize::from(length), 0x80, content)
        }
        0x82 => {
            let (length, content) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), 0x100, content)
        }
        _ => return None,
    };
    (tag == UTF8_STRING && length >= least && content.len() == length).then_some(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    const GOOD: &str =
        r#"{"iat":1,"txn":"payments/t","dfy":{"rule":"r","env":"prod","anc":["a"]}}"#;

    fn wrapped(json: &str) -> Vec<u8> {
        let mut der = vec![UTF8_STRING];
        match u8::try_from(json.len()) {
            Ok(short @ 0..=0x7f) => der.push(short),
            Ok(long) => der.extend([0x81, long]),
            Err(_) => {
                der.push(0x82);
                der.extend(u16::try_from(json.len()).unwrap().to_be_bytes());
            }
        }
        der.extend(json.as_bytes());
        der
    }

    #[test]
    fn the_oid_is_the_uuid() {
        let uuid = "7a3c1f52-0b9d-4e86-a5d4-63b81c9f20e7";
        let parts = [0..4, 4..8, 9..13, 14..18, 19..23, 24..30, 30..36];
        let arcs = parts.map(|part| u64::from_str_radix(&uuid[part], 16).unwrap());
        assert_eq!(EXTENSION_OID[7..], arcs);
        assert!(
            EXTENSION_OID.iter().all(|arc| *arc < 1 << 28),
            "RFC 5280 appendix B"
        );
        assert_eq!(extension_oid_der()[..4], [0x2a, 0x86, 0x48, 0x86]);
    }

    #[test]
    fn texts_of_any_length_come_back() {
        for length in [1, 60, 100, 127, 128, 200, 255, 256, 300, 1000, 4000] {
            let claims = CertificateClaims {
                iat: UnixTime::from_secs(1),
                txn: None,
                dfy: DayflyClaims {
                    rule: "r".repeat(length),
                    env: "e".to_owned(),
                    anc: vec![],
                    src: None,
                },
            };
            let der = claims.to_der();
            assert_eq!(CertificateClaims::from_der(&der).unwrap(), claims);
            for cut in 0..der.len() {
                assert!(CertificateClaims::from_der(&der[..cut]).is_err(), "{cut}");
            }
        }
    }

    #[test]
    fn only_the_shortest_encoding_is_read() {
        assert!(CertificateClaims::from_der(&wrapped(GOOD)).is_ok());
        let length = u8::try_from(GOOD.len()).unwrap();
        for head in [
            &[UTF8_STRING, 0x81, length][..],
            &[UTF8_STRING, 0x82, 0, length],
            &[UTF8_STRING, 0x83, 0, 0, length],
            &[UTF8_STRING, 0x80],
            &[0x0d, length],
            &[0x13, length],
            &[0x2c, length],
            &[UTF8_STRING, length + 1],
            &[UTF8_STRING, length - 1],
            &[UTF8_STRING],
            &[],
        ] {
            let der = [head, GOOD.as_bytes()].concat();
            let read = CertificateClaims::from_der(&der);
            assert_eq!(read, Err(ExtensionError::Encoding), "{head:?}");
        }
        let after = [wrapped(GOOD), vec![0]].concat();
        assert!(CertificateClaims::from_der(&after).is_err());
        assert_eq!(
            CertificateClaims::from_der(&[]),
            Err(ExtensionError::Encoding)
        );
    }

    #[test]
    fn claims_are_strict() {
        for wrong in [
            "",
            "[]",
            "null",
            r#"[1,null,{"rule":"r","env":"e","anc":[]}]"#,
            r#"{"iat":1}"#,
            r#"{"dfy":{"rule":"r","env":"e","anc":[]}}"#,
            r#"{"iat":1,"iat":2,"dfy":{"rule":"r","env":"e","anc":[]}}"#,
            r#"{"iat":"1","dfy":{"rule":"r","env":"e","anc":[]}}"#,
            r#"{"iat":1.5,"dfy":{"rule":"r","env":"e","anc":[]}}"#,
            r#"{"iat":-1,"dfy":{"rule":"r","env":"e","anc":[]}}"#,
            r#"{"iat":1,"txn":null,"dfy":{"rule":"r","env":"e","anc":[]}}"#,
            r#"{"iat":1,"txn":"","dfy":{"rule":"r","env":"e","anc":[]}}"#,
            r#"{"iat":1,"txn":"a\nb","dfy":{"rule":"r","env":"e","anc":[]}}"#,
            r#"{"iat":1,"dfy":["r","e",[]]}"#,
            r#"{"iat":1,"dfy":{"rule":"","env":"e","anc":[]}}"#,
            r#"{"iat":1,"dfy":{"rule":"r","env":"e"}}"#,
            r#"{"iat":1,"dfy":{"rule":"r","env":"e","anc":[""]}}"#,
            r#"{"iat":1,"dfy":{"rule":"r","env":"e","anc":["1","2","3","4","5"]}}"#,
            r#"{"iat":1,"dfy":{"rule":"r","env":"e","anc":[]}} x"#,
        ] {
            let read = CertificateClaims::from_der(&wrapped(wrong));
            assert!(
                matches!(read, Err(ExtensionError::Claims { .. })),
                "{wrong} {read:?}"
            );
        }
        let not_utf8 = [&[UTF8_STRING, 2][..], &[0xc3, 0x28]].concat();
        assert!(CertificateClaims::from_der(&not_utf8).is_err());
        let unknown = r#"{"iat":1,"new":[1],"dfy":{"rule":"r","env":"e","anc":[],"new":1}}"#;
        assert!(CertificateClaims::from_der(&wrapped(unknown)).is_ok());
    }

    #[test]
    fn longer_than_any_of_ours_is_not_looked_at() {
        let padded = |length: usize| {
            let pad = " ".repeat(length - 4 - GOOD.len());
            wrapped(&format!("{GOOD}{pad}"))
        };
        assert!(CertificateClaims::from_der(&padded(MAX_EXTENSION_BYTES)).is_ok());
        assert_eq!(
            CertificateClaims::from_der(&padded(MAX_EXTENSION_BYTES + 1)),
            Err(ExtensionError::TooLong {
                length: MAX_EXTENSION_BYTES + 1
            })
        );
    }
}
