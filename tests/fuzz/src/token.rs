use std::sync::LazyLock;

use dayfly_token::{Claims, Compact};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{Presented, RevocationSource, UnverifiedToken, Verifier};
use serde_json::Value;

use super::{ISSUER, NOW, reference};

const AUDIENCE: &str = "https://orders.internal";

struct Scene {
    authority: TestAuthority,
    verifier: Verifier,
    good: Claims,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let authority = TestAuthority::from_seed(ISSUER, [7; 32]).expect("a key");
    let verifier = authority
        .verifier(AUDIENCE)
        .revocation(RevocationSource::None)
        .build()
        .expect("a verifier");
    let good = serde_json::to_vec(&authority.token(AUDIENCE).payload(NOW)).expect("JSON");
    let good = Claims::parse(&good).expect("claims");
    Scene {
        authority,
        verifier,
        good,
    }
});

/// As a token, bytes are refused unless they say what the one good token says. As `header NUL payload` they are signed, so that
/// the claims are reached: what is accepted is strict JSON by the second reader, of this issuer, for this audience, alive.
pub fn token(bytes: &[u8]) {
    let scene = &*SCENE;
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(claims) = scene.accepts(text)
    {
        assert_eq!(claims, scene.good, "nobody else signs");
    }
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (Some(header), Some(payload)) = (parts.next(), parts.next()) else {
        return;
    };
    let header = match header {
        b"" => scene.authority.header().into_bytes(),
        header => header.to_vec(),
    };
    let signed = scene.authority.token_key().sign_compact(&header, payload);
    let text = signed.expect("a signature");
    if scene.accepts(&text).is_none() {
        return;
    }
    let header = reference::object(&header).expect("a strict header");
    let claims = reference::object(payload).expect("strict claims");
    let typ = header["typ"].as_str().expect("a type").to_ascii_lowercase();
    assert!(typ == "at+jwt" || typ == "application/at+jwt", "{typ}");
    assert_eq!(header["kid"], scene.authority.token_key().kid());
    for forbidden in ["crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"] {
        assert!(!header.contains_key(forbidden), "{forbidden}");
    }
    assert_eq!(claims["iss"], ISSUER);
    let ours = |audience: &Value| audience == AUDIENCE;
    assert!(
        ours(&claims["aud"])
            || claims["aud"]
                .as_array()
                .is_some_and(|all| all.iter().any(ours))
    );
    let time = |name: &str| claims[name].as_u64().expect("whole seconds");
    let (iat, exp) = (time("iat"), time("exp"));
    assert!(iat <= NOW.as_secs() + 30 && NOW.as_secs() < exp + 30 && exp - iat <= 3600);
    for name in ["sub", "client_id", "jti"] {
        assert!(
            claims[name].as_str().is_some_and(|text| !text.is_empty()),
            "{name}"
        );
    }
    assert!(!claims.contains_key("cnf"), "nothing was proved");
    // The claims are those of the bytes that were signed.
    let compact = Compact::split(&text).expect("three parts");
    assert_eq!(compact.payload_bytes().expect("base64url"), payload);
}

impl Scene {
    /// Twice, so that the second time may come from the cache: it must say the same.
    fn accepts(&self, text: &str) -> Option<Claims> {
        let verify = || {
            self.verifier
                .verify(UnverifiedToken::new(text), &Presented::NOTHING, NOW)
                .map(|caller| caller.claims().clone())
                .map_err(|rejection| rejection.code())
        };
        let first = verify();
        assert_eq!(first, verify());
        first.ok()
    }
}
