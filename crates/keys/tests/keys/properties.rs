use dayfly_keys::{Algorithm, Jwk, JwkSet, KeySet, SigningKey};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![Just(Algorithm::Es256), Just(Algorithm::EdDsa)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        algorithm in algorithm(),
        seed in any::<[u8; 32]>(),
        message in proptest::collection::vec(any::<u8>(), 0..200),
        other in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let Ok(key) = SigningKey::from_seed(algorithm, &Zeroizing::new(seed)) else { return Ok(()) };
        let signature = key.sign(&message).unwrap();
        prop_assert!(key.verifying_key().verify(&message, &signature).is_ok());
        prop_assert_eq!(key.verifying_key().verify(&other, &signature).is_ok(), other == message);
        let read: Jwk = serde_json::from_str(&serde_json::to_string(key.jwk()).unwrap()).unwrap();
        prop_assert_eq!(&read, key.jwk());
        prop_assert_eq!(read.kid(), Some(key.kid()));
    }

    #[test]
    fn noise_is_no_signature(algorithm in algorithm(), noise in proptest::collection::vec(any::<u8>(), 0..130)) {
        let key = crate::signing_key(algorithm, 7);
        prop_assert!(key.verifying_key().verify(b"m", &noise).is_err());
    }
}

proptest! {
    #[test]
    fn key_sets_of_noise(noise in "\\PC{0,300}") {
        prop_assert!(KeySet::parse(noise.as_bytes()).is_err());
        let entry = serde_json::json!({"keys": [noise, {"kty": noise}, {noise.clone(): noise}]});
        prop_assert!(JwkSet::parse(entry.to_string().as_bytes()).unwrap().keys.is_empty());
    }

    #[test]
    fn keys_of_noise(kty in "(EC|OKP|RSA|oct|[a-z]{1,4})", crv in "(P-256|Ed25519|[ -~]{0,10})", x in "[A-Za-z0-9_=+-]{0,50}", y in "[A-Za-z0-9_-]{43}") {
        let entry = serde_json::json!({"keys": [{"kty": kty, "crv": crv, "x": x, "y": y}]});
        if let Ok(set) = KeySet::parse(entry.to_string().as_bytes()) {
            prop_assert!(set.len() <= 1);
            prop_assert!(KeySet::from_jwks(&set.to_jwks()).is_ok());
        }
    }
}

#[cfg(feature = "csr")]
proptest! {
    #[test]
    fn requests_of_noise(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(dayfly_keys::csr::CertificateRequest::parse(&noise).is_err());
    }

    #[test]
    fn changed_requests(at in 0_usize..226, with in any::<u8>(), cut in 0_usize..226) {
        let mut der = include_bytes!("../data/csr/p256.der").to_vec();
        let same = der[at] == with;
        der[at] = with;
        prop_assert_eq!(dayfly_keys::csr::CertificateRequest::parse(&der).is_ok(), same);
        prop_assert!(dayfly_keys::csr::CertificateRequest::parse(&der[..cut]).is_err());
    }
}
