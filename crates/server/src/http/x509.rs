//! `POST /v1/x509`.

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dayfly_issuer::{Credential, IssuedCertificate};
use dayfly_keys::csr::{CertificateRequest, MAX_CSR_BYTES};
use dayfly_policy::CredentialKind;
use dayfly_token::base64url;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;
use super::evidence::{self, Grant};
use super::form::{Form, Parameter};
use super::issue::{Wanted, issue};
use super::oauth_error::{OauthCode, OauthError, OauthErrorBody};
use super::request;
use super::token::no_store;

/// More names than a certificate has reason to have.
const MAX_DNS_NAMES: usize = 16;

const PARAMETERS: &[&[Parameter]] = &[
    request::EVIDENCE,
    request::WANTED,
    &[Parameter::once("csr"), Parameter::repeated("dns_name")],
];

/// The form of a request for a certificate, for the document.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the form; the form is read by hand, strictly"
)]
pub(crate) struct CertificateForm {
    /// PKCS#10 in DER, base64url without padding; only its public key is taken.
    csr: String,
    /// With a client certificate: its SPIFFE ID.
    client_id: Option<String>,
    /// Instead of a client certificate: an OIDC token (RFC 7523).
    assertion: Option<String>,
    /// Instead of both: an OIDC token as in RFC 8693.
    subject_token: Option<String>,
    /// The type of `subject_token`.
    subject_token_type: Option<String>,
    /// DNS names for the certificate, which must be granted; repeatable.
    dns_name: Option<Vec<String>>,
    /// The rule by which the evidence is to be mapped; it grants nothing.
    rule: Option<String>,
    /// The task that the certificate is for.
    task: Option<String>,
    /// Why, for the audit trail.
    purpose: Option<String>,
    /// Seconds; can only shorten the life.
    requested_ttl: Option<u64>,
}

/// A certificate and how to use it.
#[derive(Serialize, ToSchema)]
pub(crate) struct CertificateResponse {
    /// DER in standard base64, leaf first.
    certificate_chain: Vec<String>,
    /// The URI SAN of the leaf.
    spiffe_id: String,
    /// Hexadecimal; the same bytes as the credential id.
    serial: String,
    /// Seconds since 1970.
    not_before: u64,
    /// Seconds since 1970.
    not_after: u64,
    /// When to ask for the next one, in seconds since 1970.
    renew_after: u64,
    /// Where the roots are.
    bundle_endpoint: String,
}

/// Exchanges evidence and a CSR for a certificate
///
/// The leaf is an X.509-SVID of the registered workload; nothing of the CSR but its public key
/// gets into it.
#[utoipa::path(
    post,
    path = "/v1/x509",
    operation_id = "certificate",
    tag = "certificates",
    request_body(content = CertificateForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The certificate", body = CertificateResponse),
        (status = 400, description = "Refused", body = OauthErrorBody),
        (status = 401, description = "The caller could not be authenticated", body = OauthErrorBody),
        (status = 429, description = "The rate is used up; see Retry-After", body = OauthErrorBody),
        (status = 503, description = "Not now; see Retry-After", body = OauthErrorBody),
    ),
)]
pub(crate) async fn post(mut call: Call) -> Response {
    let id = call.request_id.clone();
    match answer(&mut call).await {
        Ok(response) => no_store((StatusCode::OK, axum::Json(response)).into_response()),
        Err(error) => error.of_request(&id).into_response(),
    }
}

async fn answer(call: &mut Call) -> Result<CertificateResponse, OauthError> {
    let form = call.form(PARAMETERS).await?;
    evidence::refuse_headers(&call.headers)?;
    if call.app.authority.is_none() {
        return Err(OauthError::request("no certificates are issued here"));
    }
    let presented = evidence::choose(Grant::X509, &form, call.peer.as_ref())?;
    refuse_token_parameters(&form)?;
    let csr = certificate_request(&form)?;
    let request = request::wanted(&form, CredentialKind::Certificate)?;
    match issue(
        call,
        Grant::X509,
        presented,
        request,
        Wanted::Certificate(csr),
    )
    .await?
    {
        Credential::Certificate(certificate) => {
            Ok(response(certificate, call.app.bundle_endpoint()))
        }
        Credential::Token(_) => Err(OauthError::new(OauthCode::ServerError)),
    }
}

/// A certificate has no audience and no scopes: who asks for them would get less than it thinks.
fn refuse_token_parameters(form: &Form) -> Result<(), OauthError> {
    for name in ["audience", "resource", "scope", "authorization_details"] {
        if form.has(name) {
            return Err(OauthError::request(format!("certificates have no {name}")));
        }
    }
    if form.all("dns_name").len() > MAX_DNS_NAMES {
        return Err(OauthError::request("a certificate has at most 16 names"));
    }
    Ok(())
}

/// The size is checked on the text, before anything is decoded.
fn certificate_request(form: &Form) -> Result<CertificateRequest, OauthError> {
    let text = form.require("csr")?;
    if text.len() > MAX_CSR_BYTES.div_ceil(3) * 4 {
        return Err(OauthError::request("the csr is too long"));
    }
    let refused = || OauthError::request("the csr is not an acceptable certificate request");
    let der = base64url::decode(text)
        .map_err(|_| OauthError::request("the csr is not base64url of DER without padding"))?;
    CertificateRequest::parse(&der).map_err(|error| {
        tracing::info!(%error, "refused a certificate request");
        refused()
    })
}

fn response(certificate: IssuedCertificate, bundle_endpoint: String) -> CertificateResponse {
    CertificateResponse {
        certificate_chain: certificate
            .chain
            .iter()
            .map(|der| STANDARD.encode(der))
            .collect(),
        spiffe_id: certificate.spiffe_id.to_string(),
        serial: certificate.serial_hex,
        not_before: certificate.not_before.as_secs(),
        not_after: certificate.not_after.as_secs(),
        renew_after: certificate.renew_after.as_secs(),
        bundle_endpoint,
    }
}
