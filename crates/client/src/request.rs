use std::time::Duration;

use serde_json::{Map, Value};

/// What access token is wanted. Everything but the audience is optional.
///
/// ```
/// use dayfly_client::TokenRequest;
/// let request = TokenRequest::new("https://payments.internal").scope("deploy:write").task("deploy-4711");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenRequest {
    /// The registered API that the token is for.
    pub audience: String,
    /// The scopes; none asks for all that the grant has.
    pub scopes: Vec<String>,
    /// The name of the task, without its owner.
    pub task: Option<String>,
    /// What the task is for, in words, for the audit.
    pub purpose: Option<String>,
    /// Which rule maps this caller to its workload, where several would. Naming one grants nothing.
    pub rule: Option<String>,
    /// A shorter life than the grant's; it can only shorten.
    pub requested_ttl: Option<Duration>,
    /// RFC 9396.
    pub authorization_details: Vec<Map<String, Value>>,
}

impl TokenRequest {
    /// A token for `audience`, with all scopes of the grant.
    pub fn new(audience: impl Into<String>) -> Self {
        Self {
            audience: audience.into(),
            ..Self::default()
        }
    }

    /// Adds a scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Names the task.
    #[must_use]
    pub fn task(mut self, task: impl Into<String>) -> Self {
        self.task = Some(task.into());
        self
    }

    /// Says what it is for.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }

    /// Names the rule.
    #[must_use]
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Asks for a shorter life.
    #[must_use]
    pub const fn requested_ttl(mut self, ttl: Duration) -> Self {
        self.requested_ttl = Some(ttl);
        self
    }

    /// Adds an authorization detail (RFC 9396).
    #[must_use]
    pub fn authorization_detail(mut self, detail: Map<String, Value>) -> Self {
        self.authorization_details.push(detail);
        self
    }

    pub(crate) fn write(&self, form: &mut Form) {
        form.add("audience", &self.audience);
        form.add("scope", &self.scopes.join(" "));
        form.add_optional("task", self.task.as_deref());
        form.add_optional("purpose", self.purpose.as_deref());
        form.add_optional("rule", self.rule.as_deref());
        form.add_ttl(self.requested_ttl);
        form.add_details(&self.authorization_details);
    }
}

/// What a token is to be exchanged for: fewer scopes, a shorter life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExchangeRequest {
    /// The audience of the new token; none keeps the parent's.
    pub audience: Option<String>,
    /// The scopes; none keeps the parent's.
    pub scopes: Vec<String>,
    /// What it is for, in words, for the audit.
    pub purpose: Option<String>,
    /// A shorter life than the parent has left.
    pub requested_ttl: Option<Duration>,
    /// RFC 9396.
    pub authorization_details: Vec<Map<String, Value>>,
}

impl ExchangeRequest {
    /// The parent's audience and scopes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the audience.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Adds a scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Says what it is for.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }

    /// Asks for a shorter life.
    #[must_use]
    pub const fn requested_ttl(mut self, ttl: Duration) -> Self {
        self.requested_ttl = Some(ttl);
        self
    }

    /// Adds an authorization detail (RFC 9396).
    #[must_use]
    pub fn authorization_detail(mut self, detail: Map<String, Value>) -> Self {
        self.authorization_details.push(detail);
        self
    }

    pub(crate) fn write(&self, form: &mut Form) {
        form.add_optional("audience", self.audience.as_deref());
        form.add("scope", &self.scopes.join(" "));
        form.add_optional("purpose", self.purpose.as_deref());
        form.add_ttl(self.requested_ttl);
        form.add_details(&self.authorization_details);
    }
}

/// What certificate is wanted. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateRequest {
    /// DNS names beside the SPIFFE ID; each must be granted.
    pub dns_names: Vec<String>,
    /// The name of the task, without its owner.
    pub task: Option<String>,
    /// What the task is for, in words, for the audit.
    pub purpose: Option<String>,
    /// Which rule maps this caller to its workload, where several would.
    pub rule: Option<String>,
    /// A shorter life than the grant's.
    pub requested_ttl: Option<Duration>,
}

impl CertificateRequest {
    /// A certificate for the workload's SPIFFE ID alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a DNS name.
    #[must_use]
    pub fn dns_name(mut self, name: impl Into<String>) -> Self {
        self.dns_names.push(name.into());
        self
    }

    /// Names the task.
    #[must_use]
    pub fn task(mut self, task: impl Into<String>) -> Self {
        self.task = Some(task.into());
        self
    }

    /// Says what it is for.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }

    /// Names the rule.
    #[must_use]
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Asks for a shorter life.
    #[must_use]
    pub const fn requested_ttl(mut self, ttl: Duration) -> Self {
        self.requested_ttl = Some(ttl);
        self
    }

    pub(crate) fn write(&self, form: &mut Form) {
        for name in &self.dns_names {
            form.add("dns_name", name);
        }
        form.add_optional("task", self.task.as_deref());
        form.add_optional("purpose", self.purpose.as_deref());
        form.add_optional("rule", self.rule.as_deref());
        form.add_ttl(self.requested_ttl);
    }
}

/// The parameters of one request. A parameter without a value counts as omitted (RFC 6749 section 3.1), so it is.
#[derive(Default)]
pub(crate) struct Form(Vec<(&'static str, zeroize::Zeroizing<String>)>);

impl Form {
    pub(crate) fn add(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.0
                .push((name, zeroize::Zeroizing::new(value.to_owned())));
        }
    }

    fn add_optional(&mut self, name: &'static str, value: Option<&str>) {
        self.add(name, value.unwrap_or_default());
    }

    fn add_ttl(&mut self, ttl: Option<Duration>) {
        if let Some(ttl) = ttl {
            self.add("requested_ttl", &ttl.as_secs().to_string());
        }
    }

    fn add_details(&mut self, details: &[Map<String, Value>]) {
        if !details.is_empty() {
            let array = details.iter().cloned().map(Value::Object).collect();
            self.add("authorization_details", &Value::Array(array).to_string());
        }
    }

    /// `application/x-www-form-urlencoded`.
    pub(crate) fn encode(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(write: impl FnOnce(&mut Form)) -> String {
        let mut form = Form::default();
        write(&mut form);
        form.encode()
    }

    #[test]
    fn a_bare_request_sends_the_audience_alone() {
        let request = TokenRequest::new("https://payments.internal");
        assert_eq!(
            encoded(|form| request.write(form)),
            "audience=https%3A%2F%2Fpayments.internal"
        );
        assert_eq!(encoded(|form| ExchangeRequest::new().write(form)), "");
        assert_eq!(encoded(|form| CertificateRequest::new().write(form)), "");
    }

    #[test]
    fn everything_is_escaped_and_in_order() {
        let detail = Map::from_iter([("type".to_owned(), Value::from("urn:example:deploy"))]);
        let request = TokenRequest::new("a")
            .scope("deploy:write")
            .scope("deploy:read")
            .task("deploy-4711")
            .purpose("release 1.4 & more")
            .rule("gh-deploy")
            .requested_ttl(Duration::from_secs(60))
            .authorization_detail(detail);
        assert_eq!(
            encoded(|form| request.write(form)),
            "audience=a&scope=deploy%3Awrite+deploy%3Aread&task=deploy-4711&purpose=release+1.4+%26+more&\
             rule=gh-deploy&requested_ttl=60&\
             authorization_details=%5B%7B%22type%22%3A%22urn%3Aexample%3Adeploy%22%7D%5D"
        );
        let request = CertificateRequest::new()
            .dns_name("a.internal")
            .dns_name("b.internal");
        assert_eq!(
            encoded(|form| request.write(form)),
            "dns_name=a.internal&dns_name=b.internal"
        );
    }
}
