//! A workload that asks for credentials, over one connection that it keeps.

use std::time::{Duration, Instant};

use dayfly_lab::Svid;
use dayfly_token::base64url;

use super::{Answer, Deployment, FLEET_API, Form, World};

/// A workload of the fleet at one server.
#[derive(Clone)]
pub struct Agent {
    /// `owner/name`.
    pub name: String,
    svid: Svid,
    client: reqwest::Client,
    url: String,
}

impl Agent {
    /// A workload with a fresh SVID.
    pub fn new(world: &World, server: &Deployment, name: &str) -> Self {
        let svid = world.svid(name);
        let client = server.client(Some(&svid));
        Self {
            name: name.to_owned(),
            svid,
            client,
            url: server.url.clone(),
        }
    }

    /// The form of a request for a token.
    pub fn form(&self) -> Form {
        Form::client_credentials(&self.svid.spiffe_id, FLEET_API)
    }

    /// Asks for a token.
    pub async fn ask(&self) -> Answer {
        self.send(&self.form()).await
    }

    /// Asks for a token of a task.
    pub async fn ask_for(&self, task: &str) -> Answer {
        self.send(&self.form().with("task", task)).await
    }

    /// Gets a token.
    #[track_caller]
    pub fn token(&self) -> impl Future<Output = String> {
        let answer = self.ask();
        async move { answer.await.access_token().to_owned() }
    }

    /// Exchanges a token for one that may read only.
    pub async fn narrowed(&self, parent: &str) -> String {
        let form = Form::exchange(parent, "access_token", FLEET_API).with("scope", "deploy:read");
        self.send(&form).await.access_token().to_owned()
    }

    /// Asks for a certificate for a fresh key.
    pub async fn ask_certificate(&self) -> Answer {
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        let form = Form::default()
            .with("client_id", &self.svid.spiffe_id)
            .with("csr", &base64url::encode(csr.der()));
        self.post("/v1/x509", &form).await.expect("an answer")
    }

    /// Posts to the token endpoint.
    pub async fn send(&self, form: &Form) -> Answer {
        self.post("/oauth2/token", form).await.expect("an answer")
    }

    /// Asks for a token of a task, and says how long the answer took; `None` if there was none.
    pub async fn try_timed(&self) -> Option<(Answer, Duration)> {
        let started = Instant::now();
        let answer = self.post("/oauth2/token", &self.form()).await?;
        Some((answer, started.elapsed()))
    }

    async fn post(&self, path: &str, form: &Form) -> Option<Answer> {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .form(&form.0);
        Answer::try_read(request.send().await.ok()?).await
    }
}
