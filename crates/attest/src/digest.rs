//! Digests under which evidence is known.

/// SHA-256 over the parts, each after its length in eight bytes: no two lists of parts give the same input.
pub(crate) fn of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut input = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        input.extend_from_slice(&(part.len() as u64).to_be_bytes());
        input.extend_from_slice(part);
    }
    dayfly_keys::sha256(&input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_part_ends_matters() {
        let digests = [
            of_parts(&[b"a", b"bc"]),
            of_parts(&[b"ab", b"c"]),
            of_parts(&[b"abc"]),
            of_parts(&[b"abc", b""]),
            of_parts(&[b"", b"abc"]),
        ];
        for (n, digest) in digests.iter().enumerate() {
            assert_eq!(digests.iter().position(|other| other == digest), Some(n));
        }
        let known = of_parts(&[b"a"]);
        assert_eq!(known, dayfly_keys::sha256(b"\0\0\0\0\0\0\0\x01a"));
    }
}
