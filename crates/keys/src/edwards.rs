//! What both backends must agree on about encodings of points of Ed25519.

use crate::KeyError;

/// The `y` of the eight points of small order, canonical and little-endian. Such a key verifies forged signatures:
/// for some of them any message will do.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    // 0: order 4
    [0; 32],
    // 1: order 1
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    // p - 1: order 2
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    // order 8
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    // order 8
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Refuses encodings that are no canonical point of large order, as far as the encoding shows it. RFC 8032 section
/// 5.1.3 wants `y` below p; libraries differ, and one key must have one spelling.
pub(crate) fn check_encoding(encoded: &[u8; 32]) -> Result<(), KeyError> {
    let mut y = *encoded;
    let [low, middle @ .., high] = &mut y;
    // The top bit is the sign of x.
    *high &= 0x7f;
    let at_least_p = *low >= 0xed && *high == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    if at_least_p || SMALL_ORDER_Y.contains(&y) {
        return Err(KeyError::Point);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        for mut y in SMALL_ORDER_Y {
            assert_eq!(check_encoding(&y), Err(KeyError::Point));
            y[31] |= 0x80;
            assert_eq!(check_encoding(&y), Err(KeyError::Point));
        }
        // p to 2^255 - 1 are second spellings of 0 to 18.
        let mut y = [0xff; 32];
        for low in 0xed..=0xff {
            for high in [0x7f, 0xff] {
                (y[0], y[31]) = (low, high);
                assert_eq!(check_encoding(&y), Err(KeyError::Point));
            }
        }
        // p - 2, and a neighbour that differs in the middle only.
        (y[0], y[31]) = (0xeb, 0x7f);
        assert_eq!(check_encoding(&y), Ok(()));
        (y[0], y[15], y[31]) = (0xff, 0xfe, 0x7f);
        assert_eq!(check_encoding(&y), Ok(()));
    }

    #[cfg(feature = "rustcrypto")]
    #[test]
    fn the_table_is_what_the_curve_says() {
        for y in SMALL_ORDER_Y {
            let key = ed25519_dalek::VerifyingKey::from_bytes(&y);
            assert!(key.is_ok_and(|key| key.is_weak()), "{y:02x?}");
        }
    }
}
