//! Every backend must do exactly this.

use dayfly_keys::backend::{Backend, Signer, Verifier, X509Scheme};
use dayfly_keys::{Algorithm, KeyError, SignatureError};
use zeroize::Zeroizing;

use crate::{BOTH, b64, hex};

macro_rules! on_every_backend {
    ($($case:ident)*) => {
        #[cfg(feature = "aws-lc")]
        mod aws_lc {
            $(#[test] fn $case() { super::$case::<dayfly_keys::backend::aws_lc::AwsLc>() })*
        }
        #[cfg(feature = "rustcrypto")]
        mod rustcrypto {
            $(#[test] fn $case() { super::$case::<dayfly_keys::backend::rustcrypto::RustCrypto>() })*
        }
    };
}

on_every_backend! {
    signs_and_verifies
    a_changed_bit_does_not_verify
    seeds_of_p256_are_scalars
    every_seed_is_one_of_ed25519
    public_keys_of_p256
    public_keys_of_ed25519
    psychic_signatures
    the_twin_of_an_ecdsa_signature_verifies
    unreduced_ed25519_signatures
    ed25519_commitments_of_small_order
    rfc_6979
    rfc_7515
    rfc_8032
    rfc_8037
    x509_signatures
}

/// The order of P-256.
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
/// The order of Ed25519's group, little-endian.
const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn seed(byte: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([byte; 32])
}

fn signer<B: Backend>(algorithm: Algorithm, byte: u8) -> B::Signer {
    B::signer(algorithm, &seed(byte)).unwrap()
}

fn verifier_of<B: Backend>(algorithm: Algorithm, key: &B::Signer) -> B::Verifier {
    B::verifier(algorithm, key.public()).unwrap()
}

fn signs_and_verifies<B: Backend>() {
    for algorithm in BOTH {
        let key = signer::<B>(algorithm, 7);
        let verifier = verifier_of::<B>(algorithm, &key);
        let other = verifier_of::<B>(algorithm, &signer::<B>(algorithm, 8));
        for message in [&b""[..], b"m", &[0xff; 20_000]] {
            let signature = key.sign(message).unwrap();
            assert_eq!(verifier.verify(message, &signature), Ok(()));
            assert_eq!(
                other.verify(message, &signature),
                Err(SignatureError::Invalid)
            );
            let longer = [message, b"x"].concat();
            assert_eq!(
                verifier.verify(&longer, &signature),
                Err(SignatureError::Invalid)
            );
        }
    }
}

fn a_changed_bit_does_not_verify<B: Backend>() {
    for algorithm in BOTH {
        let key = signer::<B>(algorithm, 7);
        let verifier = verifier_of::<B>(algorithm, &key);
        let signature = key.sign(b"message").unwrap();
        for bit in 0..512 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                verifier.verify(b"message", &changed),
                Err(SignatureError::Invalid),
                "{algorithm} {bit}"
            );
        }
    }
}

fn seeds_of_p256_are_scalars<B: Backend>() {
    let n = hex(N);
    let with_last = |last: u8| {
        let mut bytes = n.clone();
        bytes[31] = last;
        Zeroizing::new(<[u8; 32]>::try_from(bytes).unwrap())
    };
    for out in [seed(0), seed(0xff), with_last(0x51), with_last(0x52)] {
        assert_eq!(
            B::signer(Algorithm::Es256, &out).err(),
            Some(KeyError::SeedOutOfRange)
        );
    }
    let mut one = seed(0);
    one[31] = 1;
    // The generator and its negative: the same x, the other y.
    let first = B::signer(Algorithm::Es256, &one).unwrap().public().to_vec();
    let last = B::signer(Algorithm::Es256, &with_last(0x50))
        .unwrap()
        .public()
        .to_vec();
    assert_eq!(
        first[1..33],
        hex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
    );
    assert_eq!(first[..33], last[..33]);
    assert_ne!(first[33..], last[33..]);
}

fn every_seed_is_one_of_ed25519<B: Backend>() {
    for byte in [0, 1, 0xff] {
        assert!(B::signer(Algorithm::EdDsa, &seed(byte)).is_ok());
    }
}

fn public_keys_of_p256<B: Backend>() {
    let good = signer::<B>(Algorithm::Es256, 7).public().to_vec();
    let refused =
        |public: &[u8]| B::verifier(Algorithm::Es256, public).err() == Some(KeyError::Point);
    assert!(!refused(&good));
    let mut off_curve = good.clone();
    off_curve[64] ^= 1;
    assert!(refused(&off_curve));
    let compressed = [&[2 + (good[64] & 1)], &good[1..33]].concat();
    assert!(refused(&compressed), "compressed");
    for form in [0, 2, 3, 5, 6, 7] {
        let mut other = good.clone();
        other[0] = form;
        assert!(refused(&other), "form {form}");
    }
    let p = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    assert!(refused(&[&[4], &p[..], &good[33..]].concat()), "x = p");
    assert!(refused(&[&[4], &[0; 64][..]].concat()), "0, 0");
    let spki = [
        &hex("3059301306072a8648ce3d020106082a8648ce3d030107034200")[..],
        &good,
    ]
    .concat();
    for other in [
        &[][..],
        &[0],
        &good[..64],
        &good[1..],
        &[&good[..], &[0]].concat(),
        &spki,
    ] {
        assert!(refused(other), "{} bytes", other.len());
    }
}

fn public_keys_of_ed25519<B: Backend>() {
    let good = signer::<B>(Algorithm::EdDsa, 7).public().to_vec();
    let refused =
        |public: &[u8]| B::verifier(Algorithm::EdDsa, public).err() == Some(KeyError::Point);
    assert!(!refused(&good));
    for small_order in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ] {
        assert!(refused(&hex(small_order)), "{small_order}");
    }
    for not_canonical in [
        "0100000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        assert!(refused(&hex(not_canonical)), "{not_canonical}");
    }
    let spki = [&hex("302a300506032b6570032100")[..], &good].concat();
    for other in [&[][..], &good[..31], &[&good[..], &[0]].concat(), &spki] {
        assert!(refused(other), "{} bytes", other.len());
    }
    // No y has an x here: refused, or it verifies nothing.
    let off_curve = hex("0200000000000000000000000000000000000000000000000000000000000000");
    if let Ok(verifier) = B::verifier(Algorithm::EdDsa, &off_curve) {
        let signature = signer::<B>(Algorithm::EdDsa, 7).sign(b"m").unwrap();
        assert_eq!(
            verifier.verify(b"m", &signature),
            Err(SignatureError::Invalid)
        );
        assert_eq!(
            verifier.verify(b"m", &[0; 64]),
            Err(SignatureError::Invalid)
        );
    }
}

/// CVE-2022-21449: r and s of 0, n, and beyond.
fn psychic_signatures<B: Backend>() {
    let key = signer::<B>(Algorithm::Es256, 7);
    let verifier = verifier_of::<B>(Algorithm::Es256, &key);
    let good = key.sign(b"m").unwrap();
    let n = hex(N);
    let mut n_plus_1 = n.clone();
    n_plus_1[31] += 1;
    let mut one = vec![0; 32];
    one[31] = 1;
    let odd = [
        vec![0; 32],
        one,
        n,
        n_plus_1,
        vec![0xff; 32],
        good[..32].to_vec(),
        good[32..].to_vec(),
    ];
    for r in &odd {
        for s in &odd {
            let signature: [u8; 64] = [&r[..], s].concat().try_into().unwrap();
            let verified = verifier.verify(b"m", &signature).is_ok();
            assert_eq!(verified, signature == good, "{signature:02x?}");
        }
    }
    let ed25519 = verifier_of::<B>(Algorithm::EdDsa, &signer::<B>(Algorithm::EdDsa, 7));
    assert_eq!(ed25519.verify(b"m", &[0; 64]), Err(SignatureError::Invalid));
}

/// ECDSA is malleable and RFC 7518 does not forbid it: (r, n - s) verifies too. Whoever remembers tokens must remember
/// their `jti`; a backend that refused the twin would only hide that.
fn the_twin_of_an_ecdsa_signature_verifies<B: Backend>() {
    let key = signer::<B>(Algorithm::Es256, 7);
    let signature = key.sign(b"m").unwrap();
    let mut twin = signature;
    let mut borrow = 0;
    for (at, n) in hex(N).into_iter().enumerate().rev() {
        let difference = i16::from(n) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        twin[32 + at] = difference.rem_euclid(256) as u8;
    }
    assert_ne!(twin, signature);
    assert_eq!(
        verifier_of::<B>(Algorithm::Es256, &key).verify(b"m", &twin),
        Ok(())
    );
}

/// RFC 8032 section 5.1.7: S must be below L.
fn unreduced_ed25519_signatures<B: Backend>() {
    let key = signer::<B>(Algorithm::EdDsa, 7);
    let mut twin = key.sign(b"m").unwrap();
    let mut carry = 0;
    for (at, l) in hex(L).into_iter().enumerate() {
        let sum = u16::from(twin[32 + at]) + u16::from(l) + carry;
        (twin[32 + at], carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert_eq!(carry, 0);
    assert_eq!(
        verifier_of::<B>(Algorithm::EdDsa, &key).verify(b"m", &twin),
        Err(SignatureError::Invalid)
    );
}

fn ed25519_commitments_of_small_order<B: Backend>() {
    let verifier = verifier_of::<B>(Algorithm::EdDsa, &signer::<B>(Algorithm::EdDsa, 7));
    let mut signature = [0; 64];
    for first in [0, 1] {
        signature[0] = first;
        assert_eq!(
            verifier.verify(b"m", &signature),
            Err(SignatureError::Invalid)
        );
    }
}

/// RFC 6979 appendix A.2.5, key and signature of "sample" with SHA-256.
fn rfc_6979<B: Backend>() {
    let seed = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let key = B::signer(Algorithm::Es256, &Zeroizing::new(seed.try_into().unwrap())).unwrap();
    assert_eq!(
        key.public()[1..],
        hex(
            "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
             7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
        )
    );
    let signature = hex(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
                         F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    );
    let signature: [u8; 64] = signature.try_into().unwrap();
    assert_eq!(
        verifier_of::<B>(Algorithm::Es256, &key).verify(b"sample", &signature),
        Ok(())
    );
}

/// RFC 7515 appendix A.3.
fn rfc_7515<B: Backend>() {
    let seed = b64("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
    let key = B::signer(Algorithm::Es256, &Zeroizing::new(seed.try_into().unwrap())).unwrap();
    let x = b64("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = b64("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    assert_eq!(key.public(), [&[4], &x[..], &y].concat());
    let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = b64(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    let verifier = verifier_of::<B>(Algorithm::Es256, &key);
    assert_eq!(
        verifier.verify(input.as_bytes(), &signature.try_into().unwrap()),
        Ok(())
    );
}

/// RFC 8032 section 7.1, tests 1 to 3.
fn rfc_8032<B: Backend>() {
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let key = B::signer(
            Algorithm::EdDsa,
            &Zeroizing::new(hex(seed).try_into().unwrap()),
        )
        .unwrap();
        assert_eq!(key.public(), hex(public));
        assert_eq!(key.sign(&hex(message)).unwrap().to_vec(), hex(signature));
        let verifier = verifier_of::<B>(Algorithm::EdDsa, &key);
        assert_eq!(
            verifier.verify(&hex(message), &hex(signature).try_into().unwrap()),
            Ok(())
        );
    }
}

/// RFC 8037 appendix A.4: deterministic, so that signing is compared too.
fn rfc_8037<B: Backend>() {
    let seed = b64("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let key = B::signer(Algorithm::EdDsa, &Zeroizing::new(seed.try_into().unwrap())).unwrap();
    assert_eq!(
        key.public(),
        b64("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    );
    let signature = key
        .sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")
        .unwrap();
    assert_eq!(
        signature.to_vec(),
        b64(
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        )
    );
}

fn x509_signatures<B: Backend>() {
    let key = signer::<B>(Algorithm::EdDsa, 7);
    let signature = key.sign(b"m").unwrap();
    let verify = |message: &[u8], signature: &[u8]| {
        B::verify_x509(X509Scheme::Ed25519, key.public(), message, signature)
    };
    assert_eq!(verify(b"m", &signature), Ok(()));
    assert_eq!(verify(b"n", &signature), Err(SignatureError::Invalid));
    for length in [0, 31, 32, 63] {
        assert_eq!(
            verify(b"m", &signature[..length]),
            Err(SignatureError::Invalid),
            "{length}"
        );
    }
    // The form of JOSE is none of X.509.
    let key = signer::<B>(Algorithm::Es256, 7);
    let jose = key.sign(b"m").unwrap();
    let verified = B::verify_x509(X509Scheme::EcdsaP256Sha256, key.public(), b"m", &jose);
    assert_eq!(verified, Err(SignatureError::Invalid));
    for scheme in [X509Scheme::EcdsaP384Sha384, X509Scheme::RsaSha256] {
        assert!(
            B::verify_x509(scheme, key.public(), b"m", &jose).is_err(),
            "{scheme:?}"
        );
    }
}

#[cfg(all(feature = "aws-lc", feature = "rustcrypto"))]
mod between {
    use dayfly_keys::backend::aws_lc::AwsLc;
    use dayfly_keys::backend::rustcrypto::RustCrypto;

    use super::*;

    fn one_signs_the_other_verifies<A: Backend, B: Backend>() {
        for algorithm in BOTH {
            for byte in 1..20 {
                let key = signer::<A>(algorithm, byte);
                assert_eq!(key.public(), signer::<B>(algorithm, byte).public());
                let signature = key.sign(&[byte; 100]).unwrap();
                let verifier = B::verifier(algorithm, key.public()).unwrap();
                assert_eq!(verifier.verify(&[byte; 100], &signature), Ok(()));
            }
        }
    }

    #[test]
    fn both_ways() {
        one_signs_the_other_verifies::<AwsLc, RustCrypto>();
        one_signs_the_other_verifies::<RustCrypto, AwsLc>();
    }

    #[test]
    fn rfc_6979_nonces_of_the_rustcrypto_backend() {
        let key = signer::<RustCrypto>(Algorithm::Es256, 7);
        assert_eq!(key.sign(b"m"), key.sign(b"m"), "deterministic");
    }
}
