use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{ClientError, Refusal};

/// A workload at start-up waits for its credential: an issuer that does not accept within this is down.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte sent to the last one read; the issuer itself answers or gives up within a second.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest honest answer is a list of holds.
pub(crate) const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// Characters of the issuer's words that an error repeats.
const MAX_DESCRIPTION: usize = 300;
/// A run of token characters of this length in an error text is taken for a secret; ids are shorter (22 to 64).
const MAX_WORD: usize = 80;

/// A complete answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
    endpoint: String,
}

/// Sends the request and reads the whole answer, within the limits of this module.
pub(crate) async fn send(request: RequestBuilder, endpoint: &str) -> Result<Reply, ClientError> {
    let unreachable = |error: reqwest::Error| ClientError::Http {
        endpoint: endpoint.to_owned(),
        source: error.without_url(),
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let mut body = Zeroizing::new(Vec::with_capacity(4096));
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
            return Err(ClientError::TooLarge {
                endpoint: endpoint.to_owned(),
                limit: MAX_RESPONSE_BYTES,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply {
        status: response.status(),
        headers: response.headers().clone(),
        body,
        endpoint: endpoint.to_owned(),
    })
}

impl Reply {
    /// The answer if its status says success; otherwise the refusal as an error.
    pub(crate) fn accepted(self) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let refusal = Box::new(self.refusal());
        Err(ClientError::Refused {
            endpoint: self.endpoint,
            refusal,
        })
    }

    /// The body as JSON without duplicate members.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        let body = self.body.as_slice();
        // `from_slice` borrows from the body; what we return must not.
        dayfly_token::json::from_slice::<T>(body)
            .map_err(|error| self.malformed(&error.to_string()))
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn malformed(&self, reason: &str) -> ClientError {
        ClientError::Malformed {
            endpoint: self.endpoint.clone(),
            reason: printable(reason),
        }
    }

    /// Both shapes of error bodies: RFC 6749 section 5.2, and RFC 9457 with our `code`.
    fn refusal(&self) -> Refusal {
        let members = dayfly_token::json::object(&self.body).unwrap_or_default();
        let challenge = self
            .header("www-authenticate")
            .and_then(|value| challenge_error(&value));
        let description = ["error_description", "detail", "title"]
            .iter()
            .find_map(|name| text(&members, name));
        Refusal {
            status: self.status.as_u16(),
            code: text(&members, "error")
                .or_else(|| text(&members, "code"))
                .or(challenge)
                .unwrap_or_default(),
            description,
            decision_id: text(&members, "decision_id"),
            request_id: text(&members, "request_id").or_else(|| self.header("x-request-id")),
            retry_after: self.retry_after(),
        }
    }

    /// Seconds (RFC 9110 section 10.2.3); the form with a date is read as absent.
    fn retry_after(&self) -> Option<Duration> {
        self.headers
            .get(RETRY_AFTER)?
            .to_str()
            .ok()?
            .trim()
            .parse()
            .ok()
            .map(Duration::from_secs)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(printable)
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name)?.as_str().map(printable)
}

/// `error="…"` of a challenge (RFC 6750 section 3).
fn challenge_error(challenge: &str) -> Option<String> {
    let (_, rest) = challenge.split_once("error=\"")?;
    rest.split_once('"').map(|(error, _)| error.to_owned())
}

/// A text of the issuer's as an error may show it: printable, short, and without anything as long as a token, should
/// a broken server send back what it was given.
pub(crate) fn printable(text: &str) -> String {
    let is_token =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '/' | '=');
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word_end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (word, tail) = rest
            .split_at_checked(word_end.max(c.len_utf8()))
            .unwrap_or((rest, ""));
        if word.len() > MAX_WORD {
            shown.push_str("[…]");
        } else {
            shown.extend(word.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
        rest = tail;
        if shown.len() > MAX_DESCRIPTION {
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_texts_show_no_tokens_and_no_control_characters() {
        let token = format!(
            "eyJhbGciOiJFUzI1NiJ9.{}.{}",
            "a".repeat(300),
            "b".repeat(86)
        );
        assert_eq!(
            printable(&format!("assertion `{token}` refused")),
            "assertion `[…]` refused"
        );
        assert_eq!(printable("a\r\nb\u{1b}[31m"), "a  b [31m");
        assert_eq!(
            printable("scope `deploy:write` is not granted, é"),
            "scope `deploy:write` is not granted, é"
        );
        assert!(printable(&"word ".repeat(10_000)).len() < 400);
        assert_eq!(printable(""), "");
    }

    #[test]
    fn the_code_of_a_challenge() {
        let code =
            challenge_error(r#"Bearer realm="x", error="invalid_token", error_description="y""#);
        assert_eq!(code.as_deref(), Some("invalid_token"));
        assert_eq!(challenge_error("Bearer"), None);
    }
}
