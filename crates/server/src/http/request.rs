//! The parameters that every grant shares.

use dayfly_policy::{CredentialKind, MAX_PURPOSE_CHARS, Request};
use dayfly_token::{AudienceId, ScopeSet, Slug, TaskName};
use serde_json::{Map, Value};

use super::form::{Form, Parameter};
use super::oauth_error::{OauthCode, OauthError};

/// The parameters that stand for evidence.
pub(crate) const EVIDENCE: &[Parameter] = &[
    Parameter::once("assertion"),
    Parameter::once("client_id"),
    Parameter::once("client_assertion"),
    Parameter::once("client_assertion_type"),
    Parameter::once("client_secret"),
    Parameter::once("subject_token"),
    Parameter::once("subject_token_type"),
    Parameter::once("actor_token"),
    Parameter::once("actor_token_type"),
    Parameter::once("grant_type"),
];

/// The parameters of what is asked for.
pub(crate) const WANTED: &[Parameter] = &[
    Parameter::once("audience"),
    Parameter::once("resource"),
    Parameter::once("scope"),
    Parameter::once("authorization_details"),
    Parameter::once("requested_token_type"),
    Parameter::once("rule"),
    Parameter::once("task"),
    Parameter::once("purpose"),
    Parameter::once("requested_ttl"),
];

/// More objects than any grant has.
const MAX_DETAILS: usize = 16;

/// What a form asks for.
pub(crate) fn wanted(form: &Form, kind: CredentialKind) -> Result<Request, OauthError> {
    Ok(Request {
        kind,
        audience: audience(form)?,
        scopes: scopes(form)?,
        rule: named::<Slug>(form, "rule")?,
        task: named::<TaskName>(form, "task")?,
        purpose: purpose(form)?,
        requested_ttl: requested_ttl(form)?,
        dns_names: form.all("dns_name").to_vec(),
        authorization_details: details(form)?,
    })
}

/// `audience` and `resource` mean the same: one value, whichever name it comes under.
fn audience(form: &Form) -> Result<Option<AudienceId>, OauthError> {
    let value = match (form.get("audience"), form.get("resource")) {
        (Some(_), Some(_)) => {
            return Err(OauthError::request(
                "audience and resource mean the same here; send one of them",
            ));
        }
        (audience, resource) => audience.or(resource),
    };
    // RFC 8707 section 2: an audience that cannot be is an audience that is not granted.
    value
        .map(|value| {
            value
                .parse()
                .map_err(|_| OauthError::new(OauthCode::InvalidTarget))
        })
        .transpose()
}

fn scopes(form: &Form) -> Result<Option<ScopeSet>, OauthError> {
    form.get("scope")
        .map(|value| {
            value
                .parse()
                .map_err(|_| OauthError::new(OauthCode::InvalidScope))
        })
        .transpose()
}

fn named<T: std::str::FromStr>(form: &Form, name: &'static str) -> Result<Option<T>, OauthError> {
    form.get(name)
        .map(|value| {
            value.parse().map_err(|_| {
                OauthError::request(format!("the parameter {name} is not a name of its kind"))
            })
        })
        .transpose()
}

fn purpose(form: &Form) -> Result<Option<String>, OauthError> {
    let Some(purpose) = form.get("purpose") else {
        return Ok(None);
    };
    if purpose.chars().count() > MAX_PURPOSE_CHARS {
        return Err(OauthError::request(
            "the parameter purpose is longer than 256 characters",
        ));
    }
    Ok(Some(purpose.to_owned()))
}

fn requested_ttl(form: &Form) -> Result<Option<u64>, OauthError> {
    let Some(text) = form.get("requested_ttl") else {
        return Ok(None);
    };
    let secs = text
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse::<u64>().ok())
        .flatten();
    match secs {
        Some(secs) if secs > 0 => Ok(Some(secs)),
        _ => Err(OauthError::request(
            "the parameter requested_ttl is not a number of seconds",
        )),
    }
}

/// RFC 9396 section 2: an array of objects, each with its type.
fn details(form: &Form) -> Result<Option<Vec<Map<String, Value>>>, OauthError> {
    let Some(text) = form.get("authorization_details") else {
        return Ok(None);
    };
    let refused = || {
        OauthError::new(OauthCode::InvalidAuthorizationDetails)
            .described("authorization_details must be an array of at most 16 objects with a type")
    };
    // The strict reader reads objects, so the array is made a member of one. What closes it early
    // brings a second member or trailing text.
    let wrapped = format!("{{\"details\":{text}}}");
    let mut object = dayfly_token::json::object(wrapped.as_bytes()).map_err(|_| refused())?;
    let Some(Value::Array(items)) = object.remove("details").filter(|_| object.is_empty()) else {
        return Err(refused());
    };
    if items.is_empty() || items.len() > MAX_DETAILS {
        return Err(refused());
    }
    let mut details = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::Object(map) if map.get("type").is_some_and(Value::is_string) => {
                details.push(map)
            }
            _ => return Err(refused()),
        }
    }
    Ok(Some(details))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::http::token::PARAMETERS;

    fn read(body: &str) -> Result<Request, OauthCode> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let form = Form::read(&headers, body.as_bytes(), PARAMETERS).unwrap();
        wanted(&form, CredentialKind::AccessToken).map_err(|error| error.code)
    }

    #[test]
    fn audience_and_resource_are_one_parameter() {
        for name in ["audience", "resource"] {
            let request = read(&format!("{name}=https://payments.internal")).unwrap();
            assert_eq!(
                request.audience.unwrap().as_str(),
                "https://payments.internal"
            );
        }
        assert_eq!(
            read("audience=https://a&resource=https://a").err(),
            Some(OauthCode::InvalidRequest)
        );
        assert_eq!(read("audience=a%20b").err(), Some(OauthCode::InvalidTarget));
    }

    #[test]
    fn each_parameter_has_its_own_error() {
        let long = "x".repeat(257);
        for (body, code) in [
            ("scope=a%22b", OauthCode::InvalidScope),
            ("rule=A_B", OauthCode::InvalidRequest),
            ("task=a/b", OauthCode::InvalidRequest),
            ("task=..", OauthCode::InvalidRequest),
            (&*format!("purpose={long}"), OauthCode::InvalidRequest),
            ("requested_ttl=0", OauthCode::InvalidRequest),
            ("requested_ttl=-1", OauthCode::InvalidRequest),
            ("requested_ttl=%2b5", OauthCode::InvalidRequest),
            ("requested_ttl=1.5", OauthCode::InvalidRequest),
            (
                "requested_ttl=99999999999999999999",
                OauthCode::InvalidRequest,
            ),
        ] {
            assert_eq!(read(body).err(), Some(code), "{body}");
        }
    }

    #[test]
    fn details_are_strict_json() {
        let request = read("authorization_details=[{\"type\":\"a\",\"x\":1}]").unwrap();
        assert_eq!(request.authorization_details.unwrap().len(), 1);
        for text in [
            "{}",
            "[]",
            "[1]",
            "[{\"x\":1}]",
            "[{\"type\":1}]",
            "[{\"type\":\"a\",\"type\":\"b\"}]",
            "[{\"type\":\"a\"}],\"details2\":[]",
            "[{\"type\":\"a\"}]}{",
            "null",
        ] {
            assert_eq!(
                read(&format!("authorization_details={text}")).err(),
                Some(OauthCode::InvalidAuthorizationDetails),
                "{text}"
            );
        }
    }
}
