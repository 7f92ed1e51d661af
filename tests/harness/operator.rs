//! Somebody who operates dayfly, over one connection that is kept.

use dayfly_lab::Svid;
use serde_json::{Value, json};

use super::{Answer, Deployment, Form, World};

/// An operator at one server.
#[derive(Clone)]
pub struct Operator {
    client: reqwest::Client,
    url: String,
}

impl Operator {
    /// The console, which may do everything.
    pub fn console(world: &World, server: &Deployment) -> Self {
        Self::new(&world.svid("platform/console"), server)
    }

    /// Whoever has the SVID.
    pub fn new(svid: &Svid, server: &Deployment) -> Self {
        Self {
            client: server.client(Some(svid)),
            url: server.url.clone(),
        }
    }

    /// `POST /v1/revocations`.
    pub async fn change(&self, action: &str, kind: &str, value: &str) -> Answer {
        let body = json!({ "action": action, "kind": kind, "value": value, "reason": "a test" });
        self.post("/v1/revocations", &body).await
    }

    /// The same, done.
    #[track_caller]
    pub fn done(&self, action: &str, kind: &str, value: &str) -> impl Future<Output = Value> {
        let expected = [action.to_owned(), kind.to_owned(), value.to_owned()];
        async move {
            let [action, kind, value] = &expected;
            let answer = self.change(action, kind, value).await;
            assert_eq!(answer.status, 200, "{action} {kind} {value}: {answer:?}");
            for (member, expected) in [("action", action), ("kind", kind), ("value", value)] {
                assert_eq!(answer.body[member], **expected, "{answer:?}");
            }
            answer.body
        }
    }

    /// `POST /v1/tasks/{owner}/{task}/{complete,revoke}`.
    pub async fn end_task(&self, task: &str, how: &str) -> Answer {
        self.post(
            &format!("/v1/tasks/{task}/{how}"),
            &json!({ "reason": "a test" }),
        )
        .await
    }

    /// The holds, as kind and value.
    pub async fn holds(&self) -> Vec<(String, String)> {
        let answer = self.get("/v1/revocations").await;
        let holds = answer.body["holds"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer:?}"));
        let text = |hold: &Value, name: &str| hold[name].as_str().unwrap().to_owned();
        holds
            .iter()
            .map(|hold| (text(hold, "kind"), text(hold, "value")))
            .collect()
    }

    /// `POST /oauth2/introspect`.
    pub async fn introspect(&self, token: &str) -> Value {
        let form = Form::default().with("token", token);
        let request = self
            .client
            .post(format!("{}/oauth2/introspect", self.url))
            .form(&form.0);
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// `GET /v1/issuances/{id}`: its status, and what revoked it.
    pub async fn standing(&self, id: &str) -> (String, String) {
        let answer = self.get(&format!("/v1/issuances/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["issuance"]["id"], id, "{answer:?}");
        (
            answer.text("status").to_owned(),
            answer.text("revoked_by").to_owned(),
        )
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        Answer::read(request.send().await.unwrap()).await
    }

    /// Gets a document.
    pub async fn get(&self, path: &str) -> Answer {
        let request = self.client.get(format!("{}{path}", self.url));
        Answer::read(request.send().await.unwrap()).await
    }
}
