//! How a caller of the token and certificate endpoints proves itself: exactly one way a request.

use dayfly_attest::{AttestError, Evidence};
use dayfly_issuer::EvidenceRefused;
use dayfly_policy::{Method, Principal};
use dayfly_token::{MAX_TOKEN_BYTES, UnixTime};
use dayfly_verifier::PeerCertificate;
use http::HeaderMap;
use http::header;

use super::form::Form;
use super::oauth_error::{OauthCode, OauthError};
use crate::app::App;

/// `client_credentials` (RFC 6749 section 4.4).
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";
/// `jwt-bearer` (RFC 7523 section 2.1).
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// `token-exchange` (RFC 8693 section 2.1).
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// RFC 8693 section 3.
pub(crate) const TYPE_ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const TYPE_ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// The grants of the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Grant {
    ClientCredentials,
    JwtBearer,
    TokenExchange,
    /// Not a grant: a certificate for whatever evidence comes with its request.
    X509,
}

impl Grant {
    /// The name in the audit trail and in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::JwtBearer => "jwt_bearer",
            Self::TokenExchange => "token_exchange",
            Self::X509 => "x509",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, OauthError> {
        match text {
            CLIENT_CREDENTIALS => Ok(Self::ClientCredentials),
            JWT_BEARER => Ok(Self::JwtBearer),
            TOKEN_EXCHANGE => Ok(Self::TokenExchange),
            _ => Err(OauthError::new(OauthCode::UnsupportedGrantType)),
        }
    }
}

/// The one piece of evidence of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presented {
    X509Svid { client_id: String },
    Oidc { token: Secret },
    OwnToken { token: Secret },
}

/// A token of somebody: never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[token]")
    }
}

/// Nothing but the form and the connection authenticates here.
pub(crate) fn refuse_headers(headers: &HeaderMap) -> Result<(), OauthError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        // RFC 6749 section 5.2: a client that used `Authorization` gets 401 and its own scheme.
        let basic = value
            .as_bytes()
            .get(..5)
            .is_some_and(|s| s.eq_ignore_ascii_case(b"basic"));
        return Err(OauthError::new(OauthCode::InvalidClient)
            .described("the header Authorization is not accepted here")
            .challenge(if basic {
                "Basic realm=\"dayfly\""
            } else {
                "Bearer realm=\"dayfly\""
            }));
    }
    if headers.contains_key("dpop") {
        // Answering with a token that is not bound would give the client less than it asked for.
        return Err(OauthError::request("DPoP is not supported"));
    }
    Ok(())
}

/// Picks the evidence of a request.
pub(crate) fn choose(
    grant: Grant,
    form: &Form,
    peer: Option<&PeerCertificate>,
) -> Result<Presented, OauthError> {
    refuse_unbuilt(form)?;
    let own_exchange = form.get("subject_token_type") == Some(TYPE_ACCESS_TOKEN);
    // The certificate counts as evidence for `client_credentials`, or when `client_id` names it;
    // otherwise it is the binding key, or the proof of a bound parent.
    let names_peer = peer
        .and_then(PeerCertificate::spiffe_id)
        .is_some_and(|id| form.get("client_id") == Some(id.as_str()));
    let by_certificate = match grant {
        Grant::ClientCredentials => true,
        Grant::X509 => names_peer || (peer.is_some() && form.has("client_id") && !has_token(form)),
        Grant::JwtBearer | Grant::TokenExchange => names_peer && !own_exchange,
    };
    let ways = [
        by_certificate,
        form.has("assertion"),
        form.has("subject_token"),
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Err(OauthError::request(
            "the request brings more than one kind of evidence",
        ));
    }
    match grant {
        Grant::ClientCredentials => certificate(form, peer),
        Grant::JwtBearer => assertion(form),
        Grant::TokenExchange => subject_token(form),
        Grant::X509 if by_certificate => certificate(form, peer),
        Grant::X509 if form.has("assertion") => assertion(form),
        Grant::X509 if form.has("subject_token") => subject_token(form),
        Grant::X509 => Err(OauthError::new(OauthCode::InvalidClient).described(
            "bring a client certificate with its client_id, an assertion, or a subject_token",
        )),
    }
}

fn has_token(form: &Form) -> bool {
    form.has("assertion") || form.has("subject_token")
}

/// What the design names and this version does not build: never silently something else.
fn refuse_unbuilt(form: &Form) -> Result<(), OauthError> {
    if form.has("client_assertion") || form.has("client_assertion_type") {
        return Err(OauthError::new(OauthCode::InvalidClient)
            .described("client assertions are not supported yet"));
    }
    if form.has("client_secret") {
        return Err(
            OauthError::new(OauthCode::InvalidClient).described("client secrets are not supported")
        );
    }
    if form.has("actor_token") || form.has("actor_token_type") {
        return Err(OauthError::request(
            "delegation with an actor_token is not supported yet",
        ));
    }
    Ok(())
}

fn certificate(form: &Form, peer: Option<&PeerCertificate>) -> Result<Presented, OauthError> {
    let client_id = form.get("client_id");
    match (peer, client_id) {
        (Some(_), Some(client_id)) => Ok(Presented::X509Svid {
            client_id: client_id.to_owned(),
        }),
        (None, _) => Err(OauthError::new(OauthCode::InvalidClient)
            .described("this grant needs a client certificate (an X.509-SVID)")),
        (Some(_), None) => Err(OauthError::new(OauthCode::InvalidClient)
            .described("the client_id must be the SPIFFE ID of the client certificate")),
    }
}

fn assertion(form: &Form) -> Result<Presented, OauthError> {
    Ok(Presented::Oidc {
        token: bounded(form.require("assertion")?, "assertion")?,
    })
}

fn subject_token(form: &Form) -> Result<Presented, OauthError> {
    let token = bounded(form.require("subject_token")?, "subject_token")?;
    match form.require("subject_token_type")? {
        TYPE_ACCESS_TOKEN => Ok(Presented::OwnToken { token }),
        TYPE_JWT | TYPE_ID_TOKEN => Ok(Presented::Oidc { token }),
        _ => Err(OauthError::request(
            "the subject_token_type is not supported",
        )),
    }
}

fn bounded(token: &str, name: &str) -> Result<Secret, OauthError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(OauthError::request(format!(
            "the parameter {name} is too long"
        )));
    }
    Ok(Secret(token.to_owned()))
}

/// Attests the evidence.
pub(crate) async fn attest(
    app: &App,
    presented: &Presented,
    peer: Option<&PeerCertificate>,
    now: UnixTime,
) -> Result<Principal, EvidenceRefused> {
    let (method, evidence) = match (presented, peer) {
        (Presented::X509Svid { client_id }, Some(peer)) => {
            (Method::X509Svid, Evidence::X509Svid { peer, client_id })
        }
        (Presented::X509Svid { .. }, None) => {
            return Err(EvidenceRefused {
                method: Some(Method::X509Svid),
                code: "no_certificate",
                detail: "the connection has no client certificate".to_owned(),
                unavailable: false,
            });
        }
        (Presented::Oidc { token }, peer) => (
            Method::Oidc,
            Evidence::Oidc {
                token: &token.0,
                peer,
            },
        ),
        (Presented::OwnToken { token }, peer) => (
            Method::OwnToken,
            Evidence::OwnToken {
                token: &token.0,
                peer,
            },
        ),
    };
    let attestor = app.attestor.load_full();
    attestor
        .attest(evidence, now)
        .await
        .map_err(|error| refused(method, &error))
}

fn refused(method: Method, error: &AttestError) -> EvidenceRefused {
    EvidenceRefused {
        method: Some(method),
        code: error.code(),
        detail: super::call::whole_chain(error),
        unavailable: error.is_unavailable(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::http::token::PARAMETERS;

    const ID: &str = "spiffe://prod.example.org/payments/deploy";

    fn form(body: &str) -> Form {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        Form::read(&headers, body.as_bytes(), PARAMETERS).unwrap()
    }

    fn peer() -> PeerCertificate {
        PeerCertificate::new(vec![vec![1, 2, 3]], Some(ID.parse().unwrap())).unwrap()
    }

    fn chosen(grant: Grant, body: &str, with_peer: bool) -> Result<Presented, OauthCode> {
        let peer = with_peer.then(peer);
        choose(grant, &form(body), peer.as_ref()).map_err(|error| error.code)
    }

    #[test]
    fn client_credentials_take_the_certificate_with_its_name() {
        let body = format!("client_id={ID}");
        assert_eq!(
            chosen(Grant::ClientCredentials, &body, true),
            Ok(Presented::X509Svid {
                client_id: ID.to_owned()
            })
        );
        assert_eq!(
            chosen(Grant::ClientCredentials, &body, false),
            Err(OauthCode::InvalidClient)
        );
        assert_eq!(
            chosen(Grant::ClientCredentials, "", true),
            Err(OauthCode::InvalidClient)
        );
    }

    #[test]
    fn two_kinds_of_evidence_are_one_too_many() {
        for (grant, body) in [
            (
                Grant::ClientCredentials,
                format!("client_id={ID}&assertion=a.b.c"),
            ),
            (
                Grant::ClientCredentials,
                format!("client_id={ID}&subject_token=a.b.c"),
            ),
            (
                Grant::JwtBearer,
                "assertion=a.b.c&subject_token=a.b.c".to_owned(),
            ),
            (Grant::JwtBearer, format!("assertion=a.b.c&client_id={ID}")),
            (Grant::X509, format!("assertion=a.b.c&client_id={ID}")),
            (
                Grant::TokenExchange,
                format!("subject_token=a.b.c&subject_token_type={TYPE_JWT}&client_id={ID}"),
            ),
        ] {
            assert_eq!(
                chosen(grant, &body, true),
                Err(OauthCode::InvalidRequest),
                "{body}"
            );
        }
    }

    #[test]
    fn a_certificate_beside_a_token_is_its_binding_key() {
        let oidc = Ok(Presented::Oidc {
            token: Secret("a.b.c".to_owned()),
        });
        assert_eq!(chosen(Grant::JwtBearer, "assertion=a.b.c", true), oidc);
        assert_eq!(
            chosen(Grant::JwtBearer, "assertion=a.b.c&client_id=ci", true),
            oidc
        );
        assert_eq!(chosen(Grant::X509, "assertion=a.b.c", true), oidc);
        let own = format!("subject_token=a.b.c&subject_token_type={TYPE_ACCESS_TOKEN}");
        assert_eq!(
            chosen(Grant::TokenExchange, &format!("{own}&client_id={ID}"), true),
            Ok(Presented::OwnToken {
                token: Secret("a.b.c".to_owned())
            })
        );
    }

    #[test]
    fn an_exchange_says_what_it_exchanges() {
        for body in [
            "subject_token=a.b.c",
            "subject_token_type=urn:ietf:params:oauth:token-type:jwt",
            "subject_token=a.b.c&subject_token_type=urn:ietf:params:oauth:token-type:saml2",
            "",
        ] {
            assert_eq!(
                chosen(Grant::TokenExchange, body, false),
                Err(OauthCode::InvalidRequest),
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_not_built_is_refused_and_not_something_else() {
        for (body, code) in [
            ("client_assertion=a.b.c", OauthCode::InvalidClient),
            ("client_secret=x&assertion=a.b.c", OauthCode::InvalidClient),
            (
                "assertion=a.b.c&actor_token=d.e.f",
                OauthCode::InvalidRequest,
            ),
        ] {
            assert_eq!(chosen(Grant::JwtBearer, body, false), Err(code), "{body}");
        }
    }

    #[test]
    fn a_token_is_bounded_and_never_printed() {
        let long = format!("assertion={}", "a".repeat(MAX_TOKEN_BYTES));
        assert!(chosen(Grant::JwtBearer, &long, false).is_ok());
        assert!(
            !format!("{:?}", chosen(Grant::JwtBearer, "assertion=canary", false))
                .contains("canary")
        );
    }

    #[test]
    fn headers_do_not_authenticate() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_static("Basic dTpw"),
        );
        let error = refuse_headers(&headers).unwrap_err();
        assert_eq!(error.code, OauthCode::InvalidClient);
        assert_eq!(error.challenge, Some("Basic realm=\"dayfly\""));
        let mut headers = HeaderMap::new();
        headers.insert("dpop", HeaderValue::from_static("x"));
        assert_eq!(
            refuse_headers(&headers).unwrap_err().code,
            OauthCode::InvalidRequest
        );
        assert!(refuse_headers(&HeaderMap::new()).is_ok());
    }
}
