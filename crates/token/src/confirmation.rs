use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::{SpiffeId, base64url};

const CERTIFICATE: &str = "x5t#S256";
const KEY: &str = "jkt";
const SPIFFE_ID: &str = "spiffe_id";

/// The claim `cnf` (RFC 7800): whom the token is bound to. Exactly one method; one that is not known is refused, since
/// a bound token whose binding nobody checks would be a bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// SHA-256 of the client certificate in DER (`x5t#S256`, RFC 8705 section 3.1).
    CertificateThumbprint([u8; 32]),
    /// SHA-256 thumbprint of the key of a `DPoP` proof (`jkt`, RFC 9449 section 6.1).
    KeyThumbprint([u8; 32]),
    /// The SPIFFE ID that the peer's SVID must carry (`spiffe_id`, ours): it survives rotation of the SVID.
    SpiffeId(SpiffeId),
}

impl Serialize for Confirmation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::CertificateThumbprint(digest) => {
                map.serialize_entry(CERTIFICATE, &base64url::encode(digest))?
            }
            Self::KeyThumbprint(digest) => map.serialize_entry(KEY, &base64url::encode(digest))?,
            Self::SpiffeId(id) => map.serialize_entry(SPIFFE_ID, id)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Confirmation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneMember)
    }
}

struct OneMember;

impl<'de> Visitor<'de> for OneMember {
    type Value = Confirmation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one confirmation method")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Confirmation, A::Error> {
        let Some(method) = members.next_key::<String>()? else {
            return Err(A::Error::custom("no confirmation method"));
        };
        let confirmation = match method.as_str() {
            CERTIFICATE => Confirmation::CertificateThumbprint(digest(&mut members)?),
            KEY => Confirmation::KeyThumbprint(digest(&mut members)?),
            SPIFFE_ID => Confirmation::SpiffeId(members.next_value()?),
            _ => return Err(A::Error::custom("unknown confirmation method")),
        };
        // One member only: with two, each reader would have to check both.
        if members.next_key::<String>()?.is_some() {
            return Err(A::Error::custom("more than one confirmation method"));
        }
        Ok(confirmation)
    }
}

fn digest<'de, A: MapAccess<'de>>(members: &mut A) -> Result<[u8; 32], A::Error> {
    let text: String = members.next_value()?;
    base64url::decode_array(&text)
        .map_err(|_| A::Error::custom("not a SHA-256 digest in base64url"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn round_trip() {
        for confirmation in [
            Confirmation::CertificateThumbprint([1; 32]),
            Confirmation::KeyThumbprint([2; 32]),
            Confirmation::SpiffeId("spiffe://td/a".parse().unwrap()),
        ] {
            let json = serde_json::to_string(&confirmation).unwrap();
            assert_eq!(
                serde_json::from_str::<Confirmation>(&json).unwrap(),
                confirmation
            );
        }
        assert_eq!(
            serde_json::to_string(&Confirmation::CertificateThumbprint([0; 32])).unwrap(),
            format!("{{\"x5t#S256\":\"{}\"}}", "A".repeat(43))
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let digest = "A".repeat(43);
        for bad in [
            "{}".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "\"x\"".to_owned(),
            format!("{{\"x5t\":\"{digest}\"}}"),
            format!("{{\"jwk\":{{}},\"jkt\":\"{digest}\"}}"),
            format!("{{\"jkt\":\"{digest}\",\"kid\":\"x\"}}"),
            format!("{{\"jkt\":\"{digest}\",\"x5t#S256\":\"{digest}\"}}"),
            format!("{{\"JKT\":\"{digest}\"}}"),
            "{\"jkt\":null}".to_owned(),
            "{\"jkt\":\"\"}".to_owned(),
            format!("{{\"jkt\":\"{digest}=\"}}"),
            format!("{{\"jkt\":\"{digest}A\"}}"),
            "{\"jkt\":\"AAAA\"}".to_owned(),
            "{\"spiffe_id\":\"https://td/a\"}".to_owned(),
            "{\"spiffe_id\":null}".to_owned(),
        ] {
            assert!(serde_json::from_str::<Confirmation>(&bad).is_err(), "{bad}");
        }
    }
}
