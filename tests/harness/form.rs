//! Requests as any OAuth client makes them, and their answers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A form body, by its parameters in order.
#[derive(Clone, Debug, Default)]
pub struct Form(pub Vec<(String, String)>);

impl Form {
    /// `client_credentials` of an SVID.
    pub fn client_credentials(spiffe_id: &str, audience: &str) -> Self {
        Self::default()
            .with("grant_type", "client_credentials")
            .with("client_id", spiffe_id)
            .with("audience", audience)
    }

    /// `jwt-bearer` of an OIDC token.
    pub fn jwt_bearer(assertion: &str, audience: &str) -> Self {
        Self::default()
            .with("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .with("assertion", assertion)
            .with("audience", audience)
    }

    /// Token exchange of any token of a type such as `access_token` or `jwt`.
    pub fn exchange(subject_token: &str, token_type: &str, audience: &str) -> Self {
        Self::default()
            .with("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            .with("subject_token", subject_token)
            .with("subject_token_type", &format!("urn:ietf:params:oauth:token-type:{token_type}"))
            .with("audience", audience)
    }

    /// Adds a parameter, also one that is there already.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes every parameter of a name away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, as JSON where it is JSON, or a string.
    pub body: Value,
}

impl Answer {
    /// Reads a response to its end.
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    /// The access token of a 200.
    #[track_caller]
    pub fn access_token(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        self.body["access_token"].as_str().expect("an access token")
    }

    /// A member of the body, or the empty string.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }

    /// A header, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts an OAuth error, and that nothing that could be a credential came with it.
    #[track_caller]
    pub fn refused(&self, status: u16, error: &str) -> &Self {
        assert_eq!((self.status, self.text("error")), (status, error), "{self:?}");
        for member in ["access_token", "certificate_chain", "refresh_token", "issued_token_type"] {
            assert!(self.body.get(member).is_none(), "{member} in an error");
        }
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        self
    }
}

/// The claims of a token, unverified: for a look at what was minted.
pub fn jwt_claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
