use std::path::PathBuf;

use dayfly_keys::csr::{CertificateRequest, CsrError, CsrKey, MAX_CSR_BYTES};

fn read(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data/csr", name]
        .iter()
        .collect();
    std::fs::read(path).unwrap()
}

fn parse(name: &str) -> Result<CertificateRequest, CsrError> {
    CertificateRequest::parse(&read(name))
}

#[test]
fn requests_of_openssl() {
    for (name, kind, raw_bytes) in [
        ("p256.der", CsrKey::P256, 65),
        ("ed25519.der", CsrKey::Ed25519, 32),
        ("p256-asks-for-everything.der", CsrKey::P256, 65),
    ] {
        let request = parse(name).unwrap();
        assert_eq!(
            (request.key_kind(), request.raw_public().len()),
            (kind, raw_bytes),
            "{name}"
        );
        assert!(request.spki_der().ends_with(request.raw_public()));
    }
}

#[cfg(feature = "aws-lc")]
#[test]
fn requests_of_openssl_with_keys_that_only_aws_lc_knows() {
    for (name, kind, raw_bytes) in [
        ("p256-sha384.der", CsrKey::P256, 65),
        ("p384.der", CsrKey::P384, 97),
        ("p384-sha256.der", CsrKey::P384, 97),
        ("rsa2048.der", CsrKey::Rsa { bits: 2048 }, 270),
        ("rsa2048-sha512.der", CsrKey::Rsa { bits: 2048 }, 270),
        ("rsa4096-sha384.der", CsrKey::Rsa { bits: 4096 }, 526),
    ] {
        let request = parse(name).unwrap();
        assert_eq!(
            (request.key_kind(), request.raw_public().len()),
            (kind, raw_bytes),
            "{name}"
        );
        assert!(request.spki_der().ends_with(request.raw_public()));
    }
}

#[cfg(not(feature = "aws-lc"))]
#[test]
fn the_rustcrypto_backend_says_what_it_cannot_do() {
    for name in [
        "p256-sha384.der",
        "p384.der",
        "p384-sha256.der",
        "rsa2048.der",
        "rsa4096-sha384.der",
    ] {
        assert_eq!(parse(name), Err(CsrError::Unsupported), "{name}");
    }
}

#[test]
fn other_keys_and_algorithms_are_refused() {
    for (name, error) in [
        ("refused-compressed-point.der", CsrError::Key),
        ("refused-ed448.der", CsrError::Key),
        ("refused-explicit-curve.der", CsrError::Key),
        ("refused-p521.der", CsrError::Key),
        ("refused-rsa1024.der", CsrError::Key),
        ("refused-rsa2048-exponent3.der", CsrError::Key),
        ("refused-secp256k1.der", CsrError::Key),
        ("refused-p256-sha1.der", CsrError::SignatureAlgorithm),
        ("refused-rsa2048-pss.der", CsrError::SignatureAlgorithm),
        ("refused-rsa2048-sha1.der", CsrError::SignatureAlgorithm),
        ("refused-unknown-attribute.der", CsrError::Attribute),
    ] {
        assert_eq!(parse(name), Err(error), "{name}");
    }
}

#[test]
fn every_bit_is_under_the_signature_or_in_it() {
    for name in ["p256.der", "ed25519.der"] {
        let der = read(name);
        for bit in 0..der.len() * 8 {
            let mut changed = der.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                CertificateRequest::parse(&changed).is_err(),
                "{name} bit {bit}"
            );
        }
    }
}

#[test]
fn the_key_of_another_proves_nothing() {
    let (own, other) = (
        read("p256.der"),
        parse("p256-asks-for-everything.der").unwrap(),
    );
    let spki = parse("p256.der").unwrap().spki_der().to_vec();
    let at = own
        .windows(spki.len())
        .position(|window| window == spki)
        .unwrap();
    let mut swapped = own;
    // Both were made with one key; any other point of the curve will do.
    swapped[at..at + spki.len()].copy_from_slice(other.spki_der());
    assert!(CertificateRequest::parse(&swapped).is_ok(), "the same key");
    let generator = crate::hex(
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296
         4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    );
    swapped[at + spki.len() - 64..at + spki.len()].copy_from_slice(&generator);
    assert_eq!(
        CertificateRequest::parse(&swapped),
        Err(CsrError::Signature)
    );
}

#[test]
fn exactly_one_request_in_der() {
    let der = read("p256.der");
    for length in 0..der.len() {
        assert_eq!(
            CertificateRequest::parse(&der[..length]),
            Err(CsrError::Malformed),
            "{length}"
        );
    }
    for more in [&[0][..], &[0x30, 0], &der] {
        assert_eq!(
            CertificateRequest::parse(&[&der, more].concat()),
            Err(CsrError::Malformed)
        );
    }
    // A fourth field inside, which other parsers skip.
    let inside = [&[0x30, 0x81, der[2] + 2], &der[3..], &[5, 0]].concat();
    assert_eq!(CertificateRequest::parse(&inside), Err(CsrError::Malformed));
    // The outer length in three bytes.
    let long = [&[0x30, 0x82, 0, der[2]], &der[3..]].concat();
    assert_eq!(CertificateRequest::parse(&long), Err(CsrError::Malformed));
    let pem = b"-----BEGIN CERTIFICATE REQUEST-----\n";
    assert_eq!(CertificateRequest::parse(pem), Err(CsrError::Malformed));
    let big = vec![0x30; MAX_CSR_BYTES + 1];
    assert_eq!(
        CertificateRequest::parse(&big),
        Err(CsrError::TooLong {
            length: MAX_CSR_BYTES + 1
        })
    );
}

#[test]
fn requests_of_rcgen() {
    for (algorithm, kind) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, CsrKey::P256),
        (&rcgen::PKCS_ED25519, CsrKey::Ed25519),
    ] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = false;
        let der = params.serialize_request(&key).unwrap();
        let request = CertificateRequest::parse(der.der()).unwrap();
        assert_eq!(request.key_kind(), kind);
        assert_eq!(request.raw_public(), key.public_key_raw());
        assert_eq!(
            request.spki_der(),
            rcgen::PublicKeyData::subject_public_key_info(&key)
        );
    }
}
