use std::fmt;
use std::future::Future;
use std::sync::Arc;

use dayfly_token::TaskId;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::builder::ClientBuilder;
use crate::certificate::NewKey;
use crate::connection::Connection;
use crate::http::{Reply, send};
use crate::request::Form;
use crate::retry::Attempts;
use crate::session::Session;
use crate::{
    Admin, Certificate, CertificateRequest, ClientError, ExchangeRequest, Keeper, Metadata,
    RetryPolicy, Secret, Source, TaskState, Token, TokenRequest, clock,
};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A workload's or a pipeline's side of the issuer. Cheap to clone; clones share connections and metadata.
#[derive(Clone)]
pub struct Client {
    pub(crate) session: Arc<Session>,
}

impl Client {
    /// A client of the issuer with this identifier: its URL, exactly as its metadata name it.
    pub fn builder(issuer: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(issuer.into())
    }

    /// The issuer's identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.session.issuer
    }

    /// Gets an access token: by `client_credentials` with an SVID, by `jwt-bearer` with an OIDC token.
    pub async fn token(&self, request: &TokenRequest) -> Result<Token, ClientError> {
        self.repeated(|| self.try_token(request)).await
    }

    /// Gets a certificate for a P-256 key that is made here and never leaves this process.
    pub async fn certificate(
        &self,
        request: &CertificateRequest,
    ) -> Result<Certificate, ClientError> {
        self.repeated(|| self.try_certificate(request)).await
    }

    /// Exchanges an access token of this issuer for a narrower one (RFC 8693). The certificate of this client, if it
    /// has one, proves the binding of `subject`.
    pub async fn exchange(
        &self,
        subject: &Secret,
        request: &ExchangeRequest,
    ) -> Result<Token, ClientError> {
        self.repeated(|| self.try_exchange(subject, request)).await
    }

    /// Revokes an access token (RFC 7009): possession is enough. The issuer also says yes to what is no token at all.
    pub async fn revoke(&self, token: &Secret) -> Result<(), ClientError> {
        self.repeated(|| self.try_revoke(token)).await
    }

    /// Ends a task of which `token` is a live credential: nothing is issued for it any more, and nothing of it is
    /// accepted. Without a token of the task see [`Admin::complete_task`].
    pub async fn complete_task(
        &self,
        task: &TaskId,
        token: &Secret,
    ) -> Result<TaskState, ClientError> {
        let path = format!("/v1/tasks/{}/{}/complete", task.owner, task.name);
        self.repeated(|| async {
            let reply = self.call(Method::POST, &path, Some(token), None).await?;
            reply.json()
        })
        .await
    }

    /// Gets a token now and keeps a fresh one from then on.
    pub async fn keep_token(&self, request: TokenRequest) -> Result<Keeper<Token>, ClientError> {
        let request = Arc::new(request);
        Keeper::start(self.clone(), move |client| {
            let request = Arc::clone(&request);
            Box::pin(async move { client.try_token(&request).await })
        })
        .await
    }

    /// Gets a certificate now and keeps a fresh one from then on, with a new key each time.
    pub async fn keep_certificate(
        &self,
        request: CertificateRequest,
    ) -> Result<Keeper<Certificate>, ClientError> {
        let request = Arc::new(request);
        Keeper::start(self.clone(), move |client| {
            let request = Arc::clone(&request);
            Box::pin(async move { client.try_certificate(&request).await })
        })
        .await
    }

    /// The administration of the issuer. It proves itself by this client's SVID; with OIDC evidence it gets a token
    /// for the issuer with just the scope of each call.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::with_client(self.clone(), None)
    }

    /// The administration of the issuer, with a token whose audience is the issuer.
    #[must_use]
    pub fn admin_with_token(&self, token: Secret) -> Admin {
        Admin::with_client(self.clone(), Some(token))
    }

    /// The issuer's metadata, fetched at most every five minutes. An issuer that is away for a while is no reason to
    /// forget where it is.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, ClientError> {
        let (_, metadata) = self.reach().await?;
        Ok(metadata)
    }

    /// Sends one request to `path` under the issuer's base.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<&serde_json::Value>,
    ) -> Result<Reply, ClientError> {
        let (connection, metadata) = self.reach().await?;
        let endpoint = metadata.at(path, connection.has_certificate);
        let mut request = connection
            .http
            .request(method, self.session.checked(&endpoint)?);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        send(request, &endpoint).await?.accepted()
    }

    /// Introspects with `token` as the caller's proof, or with the certificate.
    pub(crate) async fn introspect(
        &self,
        token: Option<&Secret>,
        form: &Form,
    ) -> Result<Reply, ClientError> {
        let (connection, metadata) = self.reach().await?;
        let endpoint = metadata.introspection_endpoint(connection.has_certificate);
        let mut request = self.form_request(&connection, &endpoint, form)?;
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        send(request, &endpoint).await?.accepted()
    }

    /// Whether this client proves itself by a certificate alone.
    pub(crate) fn is_certificate_caller(&self) -> bool {
        matches!(self.session.source, None | Some(Source::Svid { .. }))
    }

    pub(crate) fn retry_policy(&self) -> RetryPolicy {
        self.session.retry
    }

    /// Counts the SVIDs that this client has had, the one now in its files included; none if they cannot be read.
    pub(crate) async fn generation(&self) -> Option<u64> {
        let connection = self.session.connection().await.ok()?;
        Some(connection.generation)
    }

    /// The connection, and the metadata that say where to go on it.
    async fn reach(&self) -> Result<(Arc<Connection>, Arc<Metadata>), ClientError> {
        let connection = self.session.connection().await?;
        let metadata = self.session.metadata_by(&connection).await?;
        Ok((connection, metadata))
    }

    async fn repeated<T, F>(&self, call: impl Fn() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut attempts = Attempts::new(self.session.retry);
        loop {
            match call().await {
                Err(error) => attempts.after(error).await?,
                done => return done,
            }
        }
    }

    /// One attempt of [`Self::token`].
    pub(crate) async fn try_token(&self, request: &TokenRequest) -> Result<Token, ClientError> {
        let (connection, metadata) = self.reach().await?;
        let mut form = self.session.evidence(&connection, true).await?;
        request.write(&mut form);
        let asked_at = clock::now();
        let endpoint = metadata.token_endpoint(connection.has_certificate);
        let reply = self.post(&connection, endpoint, &form).await?;
        Token::from_reply(&reply, asked_at, &request.scopes)
    }

    async fn try_certificate(
        &self,
        request: &CertificateRequest,
    ) -> Result<Certificate, ClientError> {
        let (connection, metadata) = self.reach().await?;
        let key = NewKey::generate()?;
        // This endpoint tells evidence by its parameter, not by a grant type.
        let mut form = self.session.evidence(&connection, false).await?;
        form.add("csr", &key.request()?);
        request.write(&mut form);
        let asked_at = clock::now();
        let endpoint = metadata.at("/v1/x509", connection.has_certificate);
        let reply = self.post(&connection, &endpoint, &form).await?;
        key.certificate(&reply, asked_at)
    }

    async fn try_exchange(
        &self,
        subject: &Secret,
        request: &ExchangeRequest,
    ) -> Result<Token, ClientError> {
        let (connection, metadata) = self.reach().await?;
        let mut form = Form::default();
        form.add("grant_type", TOKEN_EXCHANGE);
        form.add("subject_token", subject.expose());
        form.add("subject_token_type", ACCESS_TOKEN);
        request.write(&mut form);
        let asked_at = clock::now();
        let endpoint = metadata.token_endpoint(connection.has_certificate);
        let reply = self.post(&connection, endpoint, &form).await?;
        Token::from_reply(&reply, asked_at, &request.scopes)
    }

    async fn try_revoke(&self, token: &Secret) -> Result<(), ClientError> {
        let (connection, metadata) = self.reach().await?;
        let endpoint = metadata.revocation_endpoint(connection.has_certificate);
        let mut form = Form::default();
        form.add("token", token.expose());
        form.add("token_type_hint", "access_token");
        self.post(&connection, &endpoint, &form).await.map(drop)
    }

    async fn post(
        &self,
        connection: &Connection,
        endpoint: &str,
        form: &Form,
    ) -> Result<Reply, ClientError> {
        send(self.form_request(connection, endpoint, form)?, endpoint)
            .await?
            .accepted()
    }

    fn form_request(
        &self,
        connection: &Connection,
        endpoint: &str,
        form: &Form,
    ) -> Result<reqwest::RequestBuilder, ClientError> {
        Ok(connection
            .http
            .post(self.session.checked(endpoint)?)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.encode()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("issuer", &self.session.issuer)
            .field("source", &self.session.source)
            .finish_non_exhaustive()
    }
}
