//! Requests as any OAuth client makes them, and their answers.

use std::time::Duration;

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
            .with(
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            )
            .with("subject_token", subject_token)
            .with(
                "subject_token_type",
                &format!("urn:ietf:params:oauth:token-type:{token_type}"),
            )
            .with("audience", audience)
    }

    /// Adds a parameter, also one that is there already.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another value.
    #[must_use]
    pub fn replace(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    /// The body, as it is sent.
    pub fn encoded(&self) -> String {
        let escape = |text: &str| {
            text.bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                        char::from(byte).to_string()
                    }
                    other => format!("%{other:02x}"),
                })
                .collect::<String>()
        };
        let pairs = self
            .0
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)));
        pairs.collect::<Vec<_>>().join("&")
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
        Self::try_read(response).await.expect("a whole response")
    }

    /// Reads a response to its end, if it has one.
    pub async fn try_read(response: reqwest::Response) -> Option<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some(Self {
            status,
            headers,
            body,
        })
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
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts an OAuth error, and that nothing that could be a credential came with it.
    #[track_caller]
    pub fn refused(&self, status: u16, error: &str) -> &Self {
        assert_eq!(
            (self.status, self.text("error")),
            (status, error),
            "{self:?}"
        );
        for member in [
            "access_token",
            "certificate_chain",
            "refresh_token",
            "issued_token_type",
        ] {
            assert!(self.body.get(member).is_none(), "{member} in an error");
        }
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        self
    }

    /// Asserts the one refusal that time heals, and says how long to wait.
    #[track_caller]
    pub fn not_now(&self) -> Duration {
        self.refused(503, "temporarily_unavailable");
        let secs = self.header("retry-after").parse().expect("seconds to wait");
        assert!((1..=10).contains(&secs), "{self:?}");
        Duration::from_secs(secs)
    }
}

/// The claims of a token, unverified: for a look at what was minted.
pub fn jwt_claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// The header of a token, unverified.
pub fn jwt_header(token: &str) -> Value {
    let header = token.split('.').next().expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

/// The credential id of a token, unverified.
pub fn id_of(token: &str) -> String {
    jwt_claims(token)["jti"]
        .as_str()
        .expect("a credential id")
        .to_owned()
}

/// The same text with another signature of the same length.
pub fn with_other_signature(compact: &str) -> String {
    let (head, signature) = compact.rsplit_once('.').expect("three parts");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{head}.{first}{}", &signature[1..])
}
