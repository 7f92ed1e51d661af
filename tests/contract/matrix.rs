//! The authorization matrix, lived: each kind of caller against each row, over the wire.

use dayfly_lab::Svid;
use dayfly_server::authz::{Access, CallerKind, Listener, Operation, Row, TABLE, Verdict};
use dayfly_token::base64url;
use reqwest::Client;
use serde_json::{Value, json};

use crate::harness::{Answer, BILLING_API, Form, Ledger, Scene};

/// A request of one kind of caller.
struct Ask<'a> {
    scene: &'a Scene,
    caller: CallerKind,
    row: &'a Row,
    /// Makes the names of tasks differ.
    number: usize,
}

/// A body.
enum Body {
    None,
    Json(Value),
    Form(Form),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_what_the_matrix_says() {
    let scene = Scene::start(Ledger::Embedded).await;
    let mut number = 0;
    let mut wrong = Vec::new();
    for row in TABLE {
        for caller in CallerKind::ALL {
            number += 1;
            let ask = Ask {
                scene: &scene,
                caller,
                row,
                number,
            };
            let wanted = row.verdict(caller);
            let (status, inactive) = ask.outcome().await;
            let right = match wanted {
                Verdict::Allow | Verdict::Own | Verdict::Ignored => {
                    (200..=299).contains(&status) && !inactive
                }
                Verdict::Deny => status == 403,
                Verdict::Inactive => status == 200 && inactive,
                // Evidence that is not there is told by the grant's own error.
                Verdict::Unauthenticated => {
                    status == 401 || (status == 400 && row.access == Access::Evidence)
                }
                Verdict::NotServed => status == 404,
            };
            if !right {
                wrong.push(format!(
                    "{} {} {} as {caller:?}: {wanted:?}, and it was {status}",
                    row.method, row.path, row.variant
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Ask<'_> {
    /// The status, and whether a token was called inactive.
    async fn outcome(&self) -> (u16, bool) {
        let svid = self.svid();
        let client = self.client(svid.as_ref());
        let task = format!("matrix-{}", self.number);
        let token = self.token(&task).await;
        let (url, body) = (self.url(&task), self.body(svid.as_ref(), &token));
        let mut request = client.request(self.row.method.parse().unwrap(), url);
        if self.caller == CallerKind::Holder && self.shows_its_token() {
            request = request.bearer_auth(&token);
        }
        let request = match &body {
            Body::None => request,
            Body::Json(body) => request.json(body),
            Body::Form(form) => request.form(&form.0),
        };
        let response = request.send().await.unwrap();
        if self.row.operation == Operation::Introspect {
            let answer = Answer::read(response).await;
            return (answer.status, answer.body == json!({ "active": false }));
        }
        (response.status().as_u16(), false)
    }

    /// Who it is, if it is by a certificate.
    fn svid(&self) -> Option<Svid> {
        let workload = match self.caller {
            CallerKind::Anonymous | CallerKind::Socket => return None,
            CallerKind::Workload => "payments/worker",
            CallerKind::OtherOwner => "platform/payments-admin",
            CallerKind::Scope => "platform/console",
            CallerKind::Holder if self.shows_its_token() => return None,
            CallerKind::Holder => "billing/biller",
        };
        Some(self.scene.world.svid(workload))
    }

    /// Whether a holder proves itself by the credential that it holds.
    fn shows_its_token(&self) -> bool {
        self.row.path.starts_with("/v1/") && self.row.operation != Operation::Certificate
    }

    fn client(&self, svid: Option<&Svid>) -> Client {
        if self.caller != CallerKind::Socket {
            return self.scene.server.client(svid);
        }
        let socket: &std::path::Path = &self.scene.server.socket;
        Client::builder()
            .no_proxy()
            .unix_socket(socket)
            .build()
            .unwrap()
    }

    /// A live credential of the task, which belongs to `billing`.
    async fn token(&self, task: &str) -> String {
        let svid = self.scene.world.svid("billing/biller");
        let form = Form::client_credentials(&svid.spiffe_id, BILLING_API).with("task", task);
        self.scene
            .server
            .token(Some(&svid), &form)
            .await
            .access_token()
            .to_owned()
    }

    fn url(&self, task: &str) -> String {
        let server = &self.scene.server;
        let base = match (self.caller, self.row.listener) {
            (CallerKind::Socket, _) => "http://localhost",
            (_, Listener::Operations) => &server.operations,
            (_, Listener::Public | Listener::PublicAndSocket) => &server.url,
        };
        let path = self
            .row
            .path
            .replace("{owner}", "billing")
            .replace("{task}", task);
        let path = match self.row.operation {
            Operation::Decision => path.replace("{id}", &self.decision()),
            Operation::Issuance => path.replace("{id}", &self.credential()),
            _ => path,
        };
        format!("{base}{path}")
    }

    /// The last line of the trail about something of `billing`.
    fn line(&self) -> Value {
        let lines = self.scene.server.audit_lines();
        lines
            .into_iter()
            .rfind(|line| line["owner"] == "billing" && line["outcome"] == "permit")
            .expect("a line")
    }

    fn decision(&self) -> String {
        self.line()["decision_id"].as_str().unwrap().to_owned()
    }

    fn credential(&self) -> String {
        self.line()["credential_id"].as_str().unwrap().to_owned()
    }

    /// What is sent; only a holder sends the evidence, or the credential, that the request is about.
    fn body(&self, svid: Option<&Svid>, token: &str) -> Body {
        let holder = svid.filter(|_| self.caller == CallerKind::Holder);
        let with_id = |form: Form| match holder {
            Some(svid) => form.with("client_id", &svid.spiffe_id),
            None => form,
        };
        match self.row.operation {
            Operation::Token => {
                let form = Form::default()
                    .with("grant_type", "client_credentials")
                    .with("audience", BILLING_API);
                Body::Form(with_id(form))
            }
            Operation::Certificate => {
                let key = rcgen::KeyPair::generate().unwrap();
                let csr = rcgen::CertificateParams::default()
                    .serialize_request(&key)
                    .unwrap();
                Body::Form(with_id(
                    Form::default().with("csr", &base64url::encode(csr.der())),
                ))
            }
            // Whoever does not hold a token can only make one up.
            Operation::Revoke if holder.is_none() => {
                Body::Form(Form::default().with("token", &token[..token.len() - 4]))
            }
            Operation::Revoke | Operation::Introspect => {
                Body::Form(Form::default().with("token", token))
            }
            Operation::DeclareTask => {
                Body::Json(json!({ "task": format!("billing/declared-{}", self.number) }))
            }
            Operation::ChangeRevocations => {
                let unknown = base64url::encode([7_u8; 32]);
                let (action, kind, value) = match self.row.variant {
                    "hold, lift" => ("lift", "workload", "billing/biller"),
                    "revoke key" => ("revoke", "key", &*unknown),
                    _ => ("revoke", "task", "billing/never-begun"),
                };
                Body::Json(json!({ "action": action, "kind": kind, "value": value }))
            }
            _ => Body::None,
        }
    }
}
