//! The OpenAPI document drives a request against each operation: without a caller, too large, and
//! malformed. What comes back is what the document says.

use std::collections::BTreeSet;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

use crate::harness::{Ledger, Scene};

/// Longer than any body has reason to be.
const TOO_LONG: usize = 64 * 1024 + 1;

/// An operation of the document.
struct Operation {
    name: String,
    method: String,
    path: String,
    tag: String,
    described: Value,
}

impl Operation {
    /// All of them.
    fn all() -> Vec<Self> {
        let document: Value = serde_json::from_str(&dayfly_server::openapi()).unwrap();
        assert!(
            document["openapi"].as_str().unwrap().starts_with("3.1"),
            "{}",
            document["openapi"]
        );
        let mut all = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, described) in item.as_object().unwrap() {
                all.push(Self {
                    name: described["operationId"].as_str().unwrap().to_owned(),
                    method: method.to_uppercase(),
                    path: path.clone(),
                    tag: described["tags"][0].as_str().unwrap().to_owned(),
                    described: described.clone(),
                });
            }
        }
        assert!(all.len() > 15, "{}", all.len());
        all
    }

    /// Whether a caller must be somebody.
    fn is_guarded(&self) -> bool {
        self.described
            .get("security")
            .is_some_and(|security| !security.as_array().unwrap().is_empty())
    }

    /// The media type of the body, if it has one.
    fn body_type(&self) -> Option<&str> {
        let content = self.described["requestBody"]["content"].as_object()?;
        content.keys().next().map(String::as_str)
    }

    /// A request to it, with names in the places of names.
    fn request(&self, scene: &Scene, client: &Client, id: &str) -> RequestBuilder {
        let base = if self.tag == "operations" {
            &scene.server.operations
        } else {
            &scene.server.url
        };
        let path = self
            .path
            .replace("{owner}", "payments")
            .replace("{task}", "t")
            .replace("{id}", id);
        assert!(
            !path.contains('{'),
            "a parameter that this test does not know: {path}"
        );
        let method = self.method.parse().unwrap();
        client.request(method, format!("{base}{path}"))
    }

    /// Asserts that the document knows this answer.
    #[track_caller]
    fn is_documented(&self, response: &Response) {
        let status = response.status().as_u16().to_string();
        let documented = &self.described["responses"][&status];
        assert!(
            documented.is_object(),
            "{} answered {status}, which the document does not know",
            self.name
        );
        let content: BTreeSet<&str> = documented["content"]
            .as_object()
            .map(|types| types.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let Some(found) = response.headers().get("content-type") else {
            return;
        };
        let found = found.to_str().unwrap().split(';').next().unwrap();
        // Problems are JSON, and the metrics are text, each by a more precise name.
        let known = content.iter().any(|kind| {
            *kind == found
                || (found.ends_with("+json") && *kind == "application/json")
                || (self.name == "metrics" && *kind == "text/plain")
        });
        assert!(
            known,
            "{} answered {found}, and the document says {content:?}",
            self.name
        );
        assert!(
            response.headers().contains_key("x-request-id"),
            "{}",
            self.name
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_as_the_document_says() {
    let scene = Scene::start(Ledger::Embedded).await;
    let nobody = scene.server.client(None);
    let console = scene
        .server
        .client(Some(&scene.world.svid("platform/console")));
    let operations = Operation::all();
    for operation in &operations {
        without_a_caller(operation, &scene, &nobody).await;
        too_large(operation, &scene, [&nobody, &console]).await;
        malformed(operation, &scene, &console).await;
    }
    let ids: BTreeSet<_> = operations.iter().map(|operation| &operation.name).collect();
    assert_eq!(ids.len(), operations.len(), "each has a name of its own");
    crate::hostile::still_serves(&scene).await;
}

async fn without_a_caller(operation: &Operation, scene: &Scene, nobody: &Client) {
    let request = operation.request(scene, nobody, "QAAAAAAAAAAAAAAAAAAAAA");
    let request = match operation.body_type() {
        Some(kind) => request
            .header("content-type", kind)
            .body(if kind.ends_with("json") { "{}" } else { "" }),
        None => request,
    };
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    operation.is_documented(&response);
    if operation.is_guarded() {
        assert_eq!(status, 401, "{}", operation.name);
        let challenge = response
            .headers()
            .get("www-authenticate")
            .expect("a challenge");
        assert!(
            challenge.to_str().unwrap().starts_with("Bearer realm="),
            "{challenge:?}"
        );
        assert_eq!(
            response.headers()["cache-control"],
            "no-store",
            "{}",
            operation.name
        );
    } else if operation.method == "GET" {
        assert_eq!(status, 200, "{}", operation.name);
    } else {
        assert!(
            status == 400 || status == 401,
            "{}: {status}",
            operation.name
        );
    }
}

async fn too_large(operation: &Operation, scene: &Scene, callers: [&Client; 2]) {
    for client in callers {
        let kind = operation.body_type().unwrap_or("application/octet-stream");
        let request = operation.request(scene, client, "QAAAAAAAAAAAAAAAAAAAAA");
        // The server may hang up before it has read what nobody needs, so nothing comes after it.
        let request = request
            .header("content-type", kind)
            .header("connection", "close");
        let sent = request.body("x".repeat(TOO_LONG)).send().await;
        let Ok(response) = sent else { continue };
        let status = response.status().as_u16();
        if operation.method == "GET" {
            assert!(status < 500, "{}: {status}", operation.name);
            continue;
        }
        operation.is_documented(&response);
        assert!(
            [400, 401, 413].contains(&status),
            "{}: {status}",
            operation.name
        );
    }
    let long = format!("{}?x={}", "A".repeat(4000), "y".repeat(4000));
    let status = operation
        .request(scene, callers[1], &long)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16();
    assert!(status < 500, "{}: {status}", operation.name);
}

async fn malformed(operation: &Operation, scene: &Scene, console: &Client) {
    let bodies: &[(&str, &[u8])] = match operation.body_type() {
        Some("application/json") => &[
            ("application/json", b"{"),
            ("application/json", b"[]"),
            ("application/json", b"{\"a\":1,\"a\":2}"),
            ("application/json", b"{\"unknown\":1}"),
            ("application/json", b"\xff"),
            ("text/plain", b"{}"),
        ],
        Some(form) => {
            assert_eq!(
                form, "application/x-www-form-urlencoded",
                "{}",
                operation.name
            );
            &[
                ("application/x-www-form-urlencoded", b"%zz"),
                ("application/x-www-form-urlencoded", b"token=%ff"),
                ("application/x-www-form-urlencoded", b"\xff"),
                ("application/json", b"{}"),
                ("text/plain", b"token=x"),
            ]
        }
        None => &[],
    };
    for (kind, body) in bodies {
        let request = operation
            .request(scene, console, "x")
            .header("content-type", *kind);
        let response = request.body(body.to_vec()).send().await.unwrap();
        let status = response.status().as_u16();
        assert!(
            status == 400 || status == 415,
            "{}: {status} for {body:?}",
            operation.name
        );
        operation.is_documented(&response);
    }
    if operation.path.contains("{id}") {
        for id in [
            "x",
            "%00",
            "..",
            "%2e%2e",
            "QAAAAAAAAAAAAAAAAAAAAA%0a",
            "QAAAAAAAAAAAAAAAAAAAAB",
        ] {
            let response = operation.request(scene, console, id).send().await.unwrap();
            assert!(
                [400, 404].contains(&response.status().as_u16()),
                "{id}: {response:?}"
            );
        }
    }
    if operation.path.ends_with("/stream") {
        for cursor in ["x", ".", "..", "a.b.c", "%00", "%ff", &"9".repeat(500)] {
            let url = format!("{}{}?from={cursor}", scene.server.url, operation.path);
            let status = console.get(url).send().await.unwrap().status().as_u16();
            assert!(status == 200 || status == 400, "{cursor}: {status}");
        }
    }
}
