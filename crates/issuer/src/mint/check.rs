//! Protocol D: what was encoded is parsed again and compared with what was meant.

use dayfly_token::{Claims, Header, MAX_TOKEN_BYTES, UnixTime, base64url};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::MintError;
use super::token::{Cnf, Meant};
use crate::signer::{Signed, Signer};

/// The claims as they come back from the encoded token. Unlike a verifier's, this reader borrows,
/// and refuses what was not meant to be there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadBack<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: UnixTime,
    nbf: UnixTime,
    exp: UnixTime,
    jti: &'a str,
    #[serde(default)]
    scope: Option<&'a str>,
    #[serde(default)]
    txn: Option<&'a str>,
    #[serde(default, borrow)]
    cnf: Option<Cnf<'a>>,
    #[serde(default)]
    authorization_details: Vec<Map<String, Value>>,
    #[serde(borrow)]
    dfy: ReadBackDfy<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadBackDfy<'a> {
    rule: &'a str,
    env: &'a str,
    #[serde(borrow)]
    anc: Vec<&'a str>,
    #[serde(rename = "src")]
    _src: IgnoredAny,
}

/// Protocol D: the encoded bytes are parsed again and compared with the issuance. Of the sample
/// whose signature is verified, the verifier's own parsers read the rest, too.
pub(super) fn check(signed: &Signed, signer: &Signer, meant: &Meant<'_>) -> Result<(), MintError> {
    let differs = |member| Err(MintError::Differs { member });
    let mut parts = signed.text.split('.');
    let (header, payload, signature) = (parts.next(), parts.next(), parts.next());
    if header != Some(signer.header()) || signature.is_none() || parts.next().is_some() {
        return differs("header");
    }
    if signer.kid() != meant.issuance.kid {
        return differs("kid");
    }
    let decode = |part: Option<&str>| {
        base64url::decode(part.unwrap_or_default())
            .map_err(|_| MintError::Differs { member: "payload" })
    };
    let payload = decode(payload)?;
    // Details are the one claim of any form and size: a token with them is read as a verifier will.
    let details = !meant.content.authorization_details.is_empty();
    if signed.text.len() > MAX_TOKEN_BYTES {
        return Err(MintError::TooLong {
            bytes: signed.text.len(),
        });
    }
    if details {
        Claims::parse(&payload).map_err(MintError::Details)?;
    }
    let text =
        std::str::from_utf8(&payload).map_err(|_| MintError::Differs { member: "payload" })?;
    let read: ReadBack<'_> = serde_json::from_str(text).map_err(MintError::Decode)?;
    if let Some(member) = difference(&read, meant) {
        return differs(member);
    }
    if signed.sampled {
        check_in_depth(&Claims::parse(&payload)?, meant)?;
        Header::parse(&decode(header)?)?;
    }
    Ok(())
}

/// What a verifier reads is what the types of the issuance say.
fn check_in_depth(claims: &Claims, meant: &Meant<'_>) -> Result<(), MintError> {
    let Meant {
        content, issuance, ..
    } = meant;
    let sub = issuance.workload.spiffe_id(content.trust_domain);
    let scopes = Some(&issuance.scopes).filter(|scopes| !scopes.is_empty());
    let same = [
        (
            "sub",
            claims.sub == sub.as_str() && claims.client_id == sub.as_str(),
        ),
        ("jti", claims.jti.parse() == Ok(issuance.id)),
        ("scope", claims.scope.as_ref() == scopes),
        (
            "txn",
            claims.txn == issuance.task.as_ref().map(ToString::to_string),
        ),
        ("cnf", claims.cnf.as_ref() == content.binding),
        ("act", claims.act.is_none() && claims.may_act.is_none()),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((member, _)) => Err(MintError::Differs { member }),
        None => Ok(()),
    }
}

/// The first claim that differs from what is meant.
fn difference(read: &ReadBack<'_>, meant: &Meant<'_>) -> Option<&'static str> {
    let Meant {
        content, issuance, ..
    } = meant;
    let ancestors = issuance.ancestors.iter().map(String::as_str);
    let same = [
        ("iss", read.iss == content.issuer),
        ("sub", read.sub == meant.sub),
        ("client_id", read.client_id == meant.sub),
        (
            "aud",
            issuance
                .audience
                .as_ref()
                .is_some_and(|aud| aud.as_str() == read.aud),
        ),
        ("iat", read.iat == issuance.issued_at),
        ("nbf", read.nbf == meant.not_before()),
        (
            "exp",
            read.exp == issuance.expires_at && read.exp > read.iat,
        ),
        ("jti", read.jti == meant.jti),
        ("scope", read.scope == meant.scope.as_deref()),
        ("txn", read.txn == meant.txn.as_deref()),
        ("cnf", read.cnf == meant.confirmation()),
        (
            "authorization_details",
            read.authorization_details == content.authorization_details,
        ),
        ("rule", read.dfy.rule == issuance.rule.as_str()),
        ("env", read.dfy.env == issuance.environment.as_str()),
        ("anc", read.dfy.anc.iter().copied().eq(ancestors)),
    ];
    same.into_iter()
        .find_map(|(member, same)| (!same).then_some(member))
}

#[cfg(test)]
mod tests {
    use dayfly_keys::Algorithm;
    use dayfly_token::{Confirmation, CredentialId, SpiffeId};

    use super::super::token::encode;
    use super::super::{TokenContent, mint_token};
    use super::*;
    use crate::testing::{MintBench, at};

    const T: u64 = 1_800_000_000;

    /// Signs what `change` makes of the meant claims, and checks it.
    fn checked(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Option<&'static str> {
        let bench = MintBench::new(Algorithm::EdDsa, at(T));
        let ((content, signer), issuance) = (bench.parts(), bench.issuance());
        let meant = Meant::of(content, &issuance);
        let mut claims = serde_json::from_slice(&encode(&meant).unwrap()).unwrap();
        change(&mut claims);
        let payload = serde_json::to_vec(&claims).unwrap();
        let signed = signer.sign(&payload, at(T)).unwrap();
        match check(&signed, signer, &meant) {
            Ok(()) => None,
            Err(MintError::Differs { member }) => Some(member),
            Err(MintError::Decode(_)) => Some("undecodable"),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_claim_that_is_not_what_was_meant_is_found() {
        assert_eq!(checked(|_| ()), None);
        for (claim, value) in [
            ("iss", "https://evil.example".into()),
            ("sub", "spiffe://sts.example.org/payments/other".into()),
            ("aud", "https://other.internal".into()),
            ("client_id", "someone".into()),
            ("iat", (T + 1).into()),
            ("nbf", T.into()),
            ("exp", (T + 301).into()),
            ("jti", CredentialId::new(0, [9; 15]).to_string().into()),
            ("scope", "orders:read orders:write admin".into()),
            ("txn", "payments/other".into()),
        ] {
            let found = checked(|claims| drop(claims.insert(claim.to_owned(), value)));
            assert_eq!(found, Some(claim));
        }
        for claim in ["scope", "txn", "cnf"] {
            assert_eq!(checked(|claims| drop(claims.remove(claim))), Some(claim));
        }
        let details = serde_json::json!([{ "type": "urn:example:deploy" }]);
        let found =
            checked(|claims| drop(claims.insert("authorization_details".to_owned(), details)));
        assert_eq!(found, Some("authorization_details"));
        for member in ["rule", "env"] {
            assert_eq!(
                checked(|claims| claims["dfy"][member] = "x".into()),
                Some(member)
            );
        }
        assert_eq!(
            checked(|claims| claims["dfy"]["anc"] = serde_json::json!(["x"])),
            Some("anc")
        );
        let id: SpiffeId = "spiffe://prod.example.org/a".parse().unwrap();
        let cnf = serde_json::to_value(Confirmation::SpiffeId(id)).unwrap();
        assert_eq!(
            checked(|claims| drop(claims.insert("cnf".to_owned(), cnf))),
            Some("cnf")
        );
    }

    #[test]
    fn a_claim_that_should_not_be_there_is_found() {
        let undecodable = Some("undecodable");
        assert_eq!(
            checked(|claims| drop(claims.insert("act".to_owned(), "x".into()))),
            undecodable
        );
        assert_eq!(
            checked(|claims| claims["dfy"]["admin"] = true.into()),
            undecodable
        );
        assert_eq!(
            checked(|claims| claims["aud"] = serde_json::json!(["a", "b"])),
            undecodable
        );
        assert_eq!(checked(|claims| claims["exp"] = 1.5.into()), undecodable);
    }

    /// What becomes of a token with these authorization details.
    fn with_details(details: &[Value]) -> Result<(), MintError> {
        let details: Vec<Map<String, Value>> = details
            .iter()
            .map(|detail| detail.as_object().unwrap().clone())
            .collect();
        let bench = MintBench::new(Algorithm::EdDsa, at(T));
        let (content, signer) = bench.parts();
        let content = TokenContent {
            authorization_details: &details,
            ..content
        };
        mint_token(content, bench.issuance(), signer, at(T)).map(|_| ())
    }

    #[test]
    fn details_that_no_verifier_reads_are_not_minted() {
        let detail = |bytes: usize| serde_json::json!({ "type": "t", "note": "n".repeat(bytes) });
        assert!(with_details(&[detail(900)]).is_ok());
        let many = vec![detail(900); 16];
        assert!(matches!(with_details(&many), Err(MintError::TooLong { bytes }) if bytes > 16_384));
        let deep = (0..14).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        let deep = serde_json::json!({ "type": "t", "deep": deep });
        assert!(matches!(with_details(&[deep]), Err(MintError::Details(_))));
        let untyped = serde_json::json!({ "note": "n" });
        assert!(matches!(
            with_details(&[untyped]),
            Err(MintError::Details(_))
        ));
    }

    #[test]
    fn another_header_or_key_is_found() {
        let bench = MintBench::new(Algorithm::EdDsa, at(T));
        let ((content, signer), issuance) = (bench.parts(), bench.issuance());
        let meant = Meant::of(content, &issuance);
        let text = signer.sign(&encode(&meant).unwrap(), at(T)).unwrap().text;
        let failed = |text: String| {
            let signed = Signed {
                text,
                sampled: false,
            };
            check(&signed, signer, &meant).is_err()
        };
        assert!(!failed(text.clone()));
        assert!(failed(format!("x{text}")));
        assert!(failed(format!("{text}.x")));
        assert!(failed(text.rsplit_once('.').unwrap().0.to_owned()));
        assert!(failed(text.replace('.', "..")));
        let mut other = issuance.clone();
        other.kid = "another".to_owned();
        let meant = Meant::of(content, &other);
        let signed = Signed {
            text,
            sampled: false,
        };
        assert!(matches!(
            check(&signed, signer, &meant),
            Err(MintError::Differs { member: "kid" })
        ));
    }

    #[test]
    fn the_benchmark_mints() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let bench = MintBench::new(algorithm, at(T));
            (0..3).for_each(|nonce| bench.mint(nonce));
        }
    }
}
