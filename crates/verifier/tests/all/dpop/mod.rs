//! Tokens that are bound to a key, and the proofs of it (RFC 9449).

mod form;
mod layer;
mod replay;
mod request;

use dayfly_keys::{Algorithm, Jwk, SigningKey};
use dayfly_token::{Confirmation, base64url};
use dayfly_verifier::dpop::{Policy, Presentation};
use dayfly_verifier::testing::{DpopKey, TestProof};
use dayfly_verifier::{
    PeerCertificate, Presented, RejectionCode as Code, RevocationSource, UnixTime, UnverifiedToken,
    Verifier,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::fixture::{AUDIENCE, Bench, NOW};

const URI: &str = "https://orders.internal/orders/7";

/// A verifier with its own memory of proofs, a key, and a token that is bound to it.
struct Scene {
    bench: Bench,
    verifier: Verifier,
    key: DpopKey,
    token: String,
}

impl Scene {
    fn new(algorithm: Algorithm, policy: Policy) -> Self {
        let bench = Bench::new(algorithm);
        let builder = bench.authority.verifier(AUDIENCE).dpop(policy);
        let verifier = builder.revocation(RevocationSource::None).build().unwrap();
        let key = key(algorithm, 3);
        let token = bound(&bench, &key);
        Self {
            bench,
            verifier,
            key,
            token,
        }
    }

    fn both() -> [Self; 2] {
        [Algorithm::EdDsa, Algorithm::Es256].map(|algorithm| Self::new(algorithm, Policy::new()))
    }

    /// A valid proof for `GET URI` with the token.
    fn proof(&self) -> TestProof<'_> {
        self.key.proof("GET", URI, &self.token)
    }

    fn presents(&self, token: &str, proof: &str, now: UnixTime) -> Result<(), Code> {
        let presented = Presented::proof(Presentation {
            proof,
            method: "GET",
            uri: URI,
        });
        self.verify(token, &presented, now)
    }

    fn verify(&self, token: &str, presented: &Presented<'_>, now: UnixTime) -> Result<(), Code> {
        self.verifier
            .verify(UnverifiedToken::new(token), presented, now)
            .map(drop)
            .map_err(|rejection| rejection.code())
    }

    /// What a proof leads to that was made and is shown now.
    fn told(&self, proof: TestProof<'_>) -> Result<(), Code> {
        self.presents(&self.token, &proof.sign(NOW).unwrap(), NOW)
    }

    /// The positive control, and then a proof that must be refused.
    #[track_caller]
    fn refuses(&self, proof: TestProof<'_>, what: &dyn std::fmt::Debug) {
        assert_eq!(self.told(self.proof()), Ok(()), "control of {what:?}");
        assert_eq!(self.told(proof), Err(Code::BadProof), "{what:?}");
    }
}

fn key(algorithm: Algorithm, seed: u8) -> DpopKey {
    DpopKey::with_key(SigningKey::from_seed(algorithm, &Zeroizing::new([seed; 32])).unwrap())
}

fn bound(bench: &Bench, key: &DpopKey) -> String {
    let token = bench.authority.token(AUDIENCE);
    token.bound_to(&key.confirmation()).mint(NOW).unwrap()
}

#[test]
fn vectors_of_the_rfc() {
    // Sections 4.1, 6.1 and 7.1: the key of the examples, its thumbprint, the token's hash.
    let jwk: Jwk = serde_json::from_value(json!({
        "kty": "EC",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
        "crv": "P-256"
    }))
    .unwrap();
    assert_eq!(
        jwk.thumbprint(),
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    );
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let scene = Scene::new(Algorithm::Es256, Policy::new());
    let proof = scene.key.proof("GET", URI, token);
    assert_eq!(
        proof.payload(NOW)["ath"],
        "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    );
}

/// The example of section 7.1, with the proof that the RFC's authors signed: all of it holds but that the token, which
/// is not given in full, is another one.
#[test]
fn the_proof_of_the_rfc() {
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let made = UnixTime::from_secs(1_562_262_618);
    let bench = Bench::new(Algorithm::Es256);
    let jkt = base64url::decode_array("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap();
    let token = bench
        .authority
        .token(AUDIENCE)
        .bound_to(&Confirmation::KeyThumbprint(jkt))
        .mint(made)
        .unwrap();
    let refused = |uri: &str| {
        let presented = Presented::proof(Presentation {
            proof,
            method: "GET",
            uri,
        });
        let token = UnverifiedToken::new(&token);
        let rejection = bench.verifier.verify(token, &presented, made).unwrap_err();
        std::error::Error::source(&rejection).unwrap().to_string()
    };
    assert_eq!(
        refused("https://resource.example.org/protectedresource"),
        "made for another token"
    );
    assert!(refused("https://resource.example.org/other").contains("made for `https://resource"));
}

#[test]
fn a_proof_makes_the_token_good() {
    for scene in Scene::both() {
        assert_eq!(scene.told(scene.proof()), Ok(()));
        // The key's kind and the issuer's are independent.
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let other = key(algorithm, 5);
            let token = bound(&scene.bench, &other);
            let proof = other.proof("GET", URI, &token).sign(NOW).unwrap();
            assert_eq!(scene.presents(&token, &proof, NOW), Ok(()));
        }
        // What a proof may carry besides.
        for (name, value) in [
            ("nonce", json!("of another server")),
            ("iss", json!("x")),
            ("exp", json!(NOW)),
            ("nbf", json!(NOW)),
        ] {
            assert_eq!(
                scene.told(scene.proof().claim(name, value)),
                Ok(()),
                "{name}"
            );
        }
        assert_eq!(
            scene.told(scene.proof().header("kid", json!("any"))),
            Ok(())
        );
    }
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    assert_eq!(
        scene.told(scene.proof().header("alg", json!("Ed25519"))),
        Ok(())
    );
}

/// RFC 9449 sections 7.1 and 7.2: no proof without a bound token, no bound token without a proof.
#[test]
fn token_and_proof_belong_together() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    assert_eq!(scene.told(scene.proof()), Ok(()));
    let peer = PeerCertificate::new(vec![b"leaf".to_vec()], None).unwrap();
    for presented in [Presented::NOTHING, Presented::certificate(&peer)] {
        assert_eq!(
            scene.verify(&scene.token, &presented, NOW),
            Err(Code::UnprovenConfirmation)
        );
    }
    let certificate_bound = scene
        .bench
        .authority
        .token(AUDIENCE)
        .bound_to_certificate(&peer)
        .mint(NOW)
        .unwrap();
    for token in [scene.bench.good(), certificate_bound] {
        assert_eq!(
            scene.verify(&token, &Presented::certificate(&peer), NOW),
            Ok(())
        );
        let proof = scene.key.proof("GET", URI, &token).sign(NOW).unwrap();
        let presented = Presented {
            peer: Some(&peer),
            ..Presented::proof(Presentation {
                proof: &proof,
                method: "GET",
                uri: URI,
            })
        };
        assert_eq!(
            scene.verify(&token, &presented, NOW),
            Err(Code::UnboundToken)
        );
    }
}

#[test]
fn each_is_nothing_in_the_place_of_the_other() {
    let scene = Scene::new(Algorithm::EdDsa, Policy::new());
    let proof = scene.proof().sign(NOW).unwrap();
    assert_eq!(
        scene.presents(&proof, &proof, NOW),
        Err(Code::ForbiddenHeader)
    );
    assert_eq!(
        scene.presents(&scene.token, &scene.token, NOW),
        Err(Code::BadProof)
    );
    // A client that signs its own token with its proof key, and an issuer that signs a proof.
    let by_client = scene
        .key
        .signing_key()
        .sign_compact(
            scene.bench.authority.header().as_bytes(),
            json!(scene.bench.payload()).to_string().as_bytes(),
        )
        .unwrap();
    assert_eq!(
        scene.presents(&by_client, &proof, NOW),
        Err(Code::BadSignature)
    );
    assert_eq!(scene.presents(&scene.token, &proof, NOW), Ok(()));
}
