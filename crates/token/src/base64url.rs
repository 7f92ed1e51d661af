//! Base64url without padding (RFC 7515 section 2), in its one canonical form.
//!
//! Padding, the standard alphabet, white space, and trailing bits that are not zero are refused: otherwise one
//! token would have several spellings.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64_simd::{Out, URL_SAFE_NO_PAD as SIMD};

/// Why a text is not canonical unpadded base64url. Offsets are bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Error {
    /// A byte outside `A-Z a-z 0-9 - _`.
    #[error("byte {offset} is not of the base64url alphabet")]
    Alphabet {
        /// Where it stands.
        offset: usize,
    },
    /// A length that no number of bytes encodes to.
    #[error("{length} characters are no base64url of anything")]
    Length {
        /// The length of the text.
        length: usize,
    },
    /// Padding at the end.
    #[error("padding is not allowed")]
    Padding,
    /// The unused bits of the last character are not zero: a second spelling of the same bytes.
    #[error("the last character at byte {offset} has bits that encode nothing")]
    TrailingBits {
        /// Where it stands.
        offset: usize,
    },
}

/// Encodes `bytes`, without padding.
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    SIMD.encode_to_string(bytes)
}

/// Decodes `text`.
///
/// # Errors
/// If `text` is not the canonical encoding of some bytes.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    SIMD.decode_to_vec(text).map_err(|_| fault_in(text))
}

/// Decodes `text` of exactly `N` bytes, without allocation.
///
/// # Errors
/// If `text` is not the canonical encoding of `N` bytes.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], Base64Error> {
    if !SIMD
        .decoded_length(text.as_bytes())
        .is_ok_and(|length| length == N)
    {
        return Err(Base64Error::Length { length: text.len() });
    }
    let mut bytes = [0; N];
    match SIMD.decode(text.as_bytes(), Out::from_slice(&mut bytes)) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(fault_in(text)),
    }
}

/// What is wrong with `text`, which the fast decoder refused without saying why.
fn fault_in(text: &str) -> Base64Error {
    match URL_SAFE_NO_PAD.decode(text) {
        Err(error) => fault(text, &error),
        Ok(_) => Base64Error::Length { length: text.len() },
    }
}

fn fault(text: &str, error: &base64::DecodeError) -> Base64Error {
    match *error {
        base64::DecodeError::InvalidByte(_, b'=') => Base64Error::Padding,
        base64::DecodeError::InvalidByte(offset, _) => Base64Error::Alphabet { offset },
        base64::DecodeError::InvalidLength(_) => Base64Error::Length { length: text.len() },
        base64::DecodeError::InvalidLastSymbol(offset, _) => Base64Error::TrailingBits { offset },
        base64::DecodeError::InvalidPadding => Base64Error::Padding,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_the_canonical_spelling_decodes() {
        assert_eq!(decode("_-8").unwrap(), [0xff, 0xef]);
        assert_eq!(decode("").unwrap(), Vec::<u8>::new());
        assert_eq!(decode("_-9"), Err(Base64Error::TrailingBits { offset: 2 }));
        assert_eq!(decode("_x"), Err(Base64Error::TrailingBits { offset: 1 }));
        assert_eq!(decode("_-8="), Err(Base64Error::Padding));
        assert_eq!(decode("/+8"), Err(Base64Error::Alphabet { offset: 0 }));
        for spaced in ["_-8\n", " _-8", "_ -8", "_-8\r\n", "_-\u{0}8", "_-é"] {
            assert!(
                matches!(decode(spaced), Err(Base64Error::Alphabet { .. })),
                "{spaced:?}"
            );
        }
        assert!(matches!(
            decode("a"),
            Err(Base64Error::Length { length: 1 })
        ));
        assert!(matches!(
            decode("abcde"),
            Err(Base64Error::Length { length: 5 })
        ));
    }

    #[test]
    fn arrays_have_their_length() {
        assert_eq!(decode_array::<2>("_-8").unwrap(), [0xff, 0xef]);
        assert!(matches!(
            decode_array::<1>("_-8"),
            Err(Base64Error::Length { .. })
        ));
        assert!(matches!(
            decode_array::<3>("_-8"),
            Err(Base64Error::Length { .. })
        ));
        assert!(matches!(
            decode_array::<2>("_-9"),
            Err(Base64Error::TrailingBits { .. })
        ));
        assert!(matches!(
            decode_array::<2>("_-8="),
            Err(Base64Error::Padding | Base64Error::Length { .. })
        ));
    }
}
