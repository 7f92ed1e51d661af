use std::sync::LazyLock;

use dayfly_token::base64url;
use dayfly_verifier::dpop::{MAX_JTI_BYTES, Policy, Presentation, WINDOW_SECS};
use dayfly_verifier::testing::{DpopKey, TestAuthority};
use dayfly_verifier::{Presented, RejectionCode, RevocationSource, UnverifiedToken, Verifier};
use serde_json::{Map, Value};

use super::{ISSUER, NOW, reference};

const AUDIENCE: &str = "https://orders.internal";
const PATH: &str = "/orders/7";
const URI: &str = "https://orders.internal/orders/7";

/// Far more than one input needs; a fresh memory for each input, so that none depends on those before.
const REMEMBERED: usize = 16;

struct Scene {
    authority: TestAuthority,
    key: DpopKey,
    token: String,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let authority = TestAuthority::from_seed(ISSUER, [7; 32]).expect("a key");
    let key = DpopKey::from_seed([5; 32]).expect("a key");
    let token = authority.token(AUDIENCE).bound_to(&key.confirmation());
    Scene {
        token: token.mint(NOW).expect("a token"),
        authority,
        key,
    }
});

/// As a proof, bytes are refused: nobody but the key signs. As `header NUL payload` they are signed by the key that the
/// token is bound to: what is accepted is so by a second reading of RFC 9449 section 4.3, and once only.
pub fn dpop(bytes: &[u8]) {
    let scene = &*SCENE;
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(scene.verifier().present(text).is_err(), "{text}");
    }
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (Some(header), Some(payload)) = (parts.next(), parts.next()) else {
        return;
    };
    let good = header_of(&scene.key);
    let header = if header.is_empty() { &good } else { header };
    let signed = scene.key.signing_key().sign_compact(header, payload);
    let text = signed.expect("a signature");
    let verifier = scene.verifier();
    if verifier.present(&text).is_err() {
        return;
    }
    assert_eq!(
        verifier.present(&text),
        Err(RejectionCode::ReplayedProof),
        "a proof counts once"
    );
    check_header(
        &reference::object(header).expect("a strict header"),
        &scene.key,
    );
    check_claims(
        &reference::object(payload).expect("strict claims"),
        &scene.token,
    );
}

/// The header of a valid proof.
fn header_of(key: &DpopKey) -> Vec<u8> {
    let jwk = serde_json::to_value(key.signing_key().jwk()).expect("a key is written");
    let header = serde_json::json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk });
    header.to_string().into_bytes()
}

/// Numbers 4 to 7: type, algorithm, and the public key alone.
fn check_header(header: &Map<String, Value>, key: &DpopKey) {
    assert_eq!(header["typ"], "dpop+jwt");
    assert!(header["alg"] == "EdDSA" || header["alg"] == "Ed25519");
    let own = serde_json::to_value(key.signing_key().jwk()).expect("a key is written");
    for member in ["kty", "crv", "x"] {
        assert_eq!(header["jwk"][member], own[member]);
    }
    for private in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
        assert!(header["jwk"].get(private).is_none(), "{private}");
    }
    for forbidden in ["crit", "b64", "jku", "x5u", "x5c", "zip", "enc"] {
        assert!(!header.contains_key(forbidden), "{forbidden}");
    }
}

/// Numbers 3, 8, 9, 11 and 12; and `exp` and `nbf`, where they are.
fn check_claims(claims: &Map<String, Value>, token: &str) {
    let text = |name: &str| claims[name].as_str().expect("a string");
    assert!((1..=MAX_JTI_BYTES).contains(&text("jti").len()));
    assert_eq!(text("htm"), "GET");
    assert!(is_the_uri(text("htu")), "{}", text("htu"));
    let hash = base64url::encode(dayfly_keys::sha256(token.as_bytes()));
    assert_eq!(text("ath"), hash);
    let time = |value: &Value| value.as_u64().expect("whole seconds");
    let now = NOW.as_secs();
    assert!(time(&claims["iat"]).abs_diff(now) <= WINDOW_SECS);
    assert!(
        claims
            .get("exp")
            .is_none_or(|exp| now < time(exp).saturating_add(WINDOW_SECS))
    );
    assert!(
        claims
            .get("nbf")
            .is_none_or(|nbf| time(nbf) <= now + WINDOW_SECS)
    );
}

/// By another way than the verifier's: cut off query and fragment, decode everything, walk the path.
fn is_the_uri(htu: &str) -> bool {
    let cut = htu.split(['?', '#']).next().unwrap_or_default();
    let Some((origin, rest)) = cut.split_at_checked(AUDIENCE.len()) else {
        return false;
    };
    let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.is_empty() || digits.parse() == Ok(443));
    let mut walked: Vec<String> = Vec::new();
    for segment in path.split('/').skip(1) {
        match decoded(segment).as_str() {
            "." => {}
            ".." => drop(walked.pop()),
            other => walked.push(other.to_owned()),
        }
    }
    origin.eq_ignore_ascii_case(AUDIENCE) && port_fits && format!("/{}", walked.join("/")) == PATH
}

fn decoded(segment: &str) -> String {
    let mut bytes = segment.bytes();
    let mut text = String::new();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next().unwrap_or_default()).to_digit(16);
        let code = if byte == b'%' {
            digit().zip(digit()).map(|(high, low)| high * 16 + low)
        } else {
            Some(u32::from(byte))
        };
        text.extend(code.and_then(char::from_u32));
    }
    text
}

struct Presenting<'a>(Verifier, &'a str);

impl Scene {
    fn verifier(&self) -> Presenting<'_> {
        let verifier = self
            .authority
            .verifier(AUDIENCE)
            .revocation(RevocationSource::None)
            .cached_tokens(0)
            .dpop(Policy::new().capacity(REMEMBERED))
            .build()
            .expect("a verifier");
        Presenting(verifier, &self.token)
    }
}

impl Presenting<'_> {
    fn present(&self, proof: &str) -> Result<(), RejectionCode> {
        let presented = Presented::proof(Presentation {
            proof,
            method: "GET",
            uri: URI,
        });
        self.0
            .verify(UnverifiedToken::new(self.1), &presented, NOW)
            .map(drop)
            .map_err(|rejection| rejection.code())
    }
}
