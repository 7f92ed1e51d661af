use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of `parts`, one after another.
#[must_use]
pub fn sha256_of(parts: &[&[u8]]) -> [u8; 32] {
    if let Some(block) = only_block(parts) {
        return of_block(block);
    }
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// What the state is before the first block (FIPS 180-4 section 5.3.3).
const BEGINNING: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The one block that `parts` fill with their padding (FIPS 180-4 section 5.1.1); `None` for what is longer. The names
/// that a verification hashes are short, and the library's buffer costs half as much as the hash itself.
fn only_block(parts: &[&[u8]]) -> Option<[u8; 64]> {
    let mut block = [0; 64];
    let (text, length) = block.split_last_chunk_mut::<8>()?;
    let mut room = text;
    let mut bytes = 0_u64;
    for part in parts.iter().copied().chain([&[0x80][..]]) {
        let (place, rest) = room.split_at_mut_checked(part.len())?;
        place.copy_from_slice(part);
        room = rest;
        bytes += u64::try_from(part.len()).ok()?;
    }
    // Without the one byte that marks the end.
    *length = ((bytes - 1) * 8).to_be_bytes();
    Some(block)
}

fn of_block(block: [u8; 64]) -> [u8; 32] {
    let mut state = BEGINNING;
    compress256(&mut state, &[block]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing() {
        let hex: String = sha256(b"")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(sha256_of(&[]), sha256(b""));
        assert_eq!(sha256_of(&[b"ab", b"", b"c"]), sha256(b"abc"));
        let text: Vec<u8> = (0..200).collect();
        for length in 0..text.len() {
            for cut in [0, length / 3, length] {
                let (head, tail) = text[..length].split_at(cut);
                assert_eq!(
                    sha256_of(&[head, tail]),
                    sha256(&text[..length]),
                    "{length}"
                );
            }
        }
    }
}
