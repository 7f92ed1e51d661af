//! The little DER (X.690) that keys and signatures need.

use crate::Algorithm;

/// `SubjectPublicKeyInfo` of P-256 up to the uncompressed point (RFC 5480 section 2).
pub(crate) const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// `SubjectPublicKeyInfo` of Ed25519 up to the key (RFC 8410 section 4).
pub(crate) const SPKI_ED25519: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The public key as X.509 writes it.
pub(crate) fn spki(algorithm: Algorithm, public: &[u8]) -> Vec<u8> {
    match algorithm {
        Algorithm::Es256 => [&SPKI_P256, public].concat(),
        Algorithm::EdDsa => [&SPKI_ED25519, public].concat(),
    }
}

/// The signature as X.509 writes it: for ECDSA `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279 section 2.2.3), for
/// Ed25519 the bytes themselves.
pub(crate) fn signature(algorithm: Algorithm, jose: &[u8; 64]) -> Vec<u8> {
    if algorithm == Algorithm::EdDsa {
        return jose.to_vec();
    }
    let (r, s) = jose.split_at(32);
    let content = [integer(r), integer(s)].concat();
    // At most 2 x (2 + 33) bytes, so that every length here has one byte.
    [&[0x30, content.len().to_le_bytes()[0]], content.as_slice()].concat()
}

/// A positive INTEGER of at most 33 bytes: no leading zeros, but one where the top bit is set.
fn integer(big_endian: &[u8]) -> Vec<u8> {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    let digits = big_endian.get(zeros..).unwrap_or_default();
    let sign: &[u8] = match digits.first() {
        Some(first) if *first < 0x80 => &[],
        _ => &[0],
    };
    let length = sign.len() + digits.len();
    [&[0x02, length.to_le_bytes()[0]], sign, digits].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_minimal() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0x7f, 0]), [2, 2, 0x7f, 0]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0xff; 32]).len(), 35);
    }

    #[test]
    fn signatures() {
        let mut jose = [0; 64];
        (jose[31], jose[63]) = (1, 0x80);
        assert_eq!(
            signature(Algorithm::Es256, &jose),
            [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]
        );
        assert_eq!(signature(Algorithm::EdDsa, &jose), jose);
        assert_eq!(signature(Algorithm::Es256, &[0xff; 64]).len(), 72);
    }
}
