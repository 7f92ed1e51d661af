//! An API with axum: who may come in, what each handler asks for, and what everybody may read.
//!
//! ```text
//! cargo run --example axum --features axum,http,testing             # a few requests, and what became of them
//! cargo run --example axum --features axum,http,testing -- --serve  # stays, and prints a token for curl
//! cargo run --example axum --features axum,http,testing -- https://sts.example.org https://orders.internal
//! ```
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example talks, and knows what time it is"
)]

use std::error::Error;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::Request;
use axum::{Router, routing};
use dayfly_verifier::axum::{Caller, RequiredScope, Scoped};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::tower::{RateLimit, ResourceMetadata};
use dayfly_verifier::{RevocationSource, UnixTime, Verifier};
use tokio::net::TcpListener;
use tower::ServiceExt;

const RESOURCE: &str = "https://orders.internal";

struct Write;

impl RequiredScope for Write {
    const SCOPE: &'static str = "orders:write";
}

async fn list(Caller(caller): Caller) -> String {
    format!("the orders, for {}", caller.subject())
}

async fn place(caller: Scoped<Write>) -> String {
    format!("placed for the task {:?}", caller.task().unwrap_or("none"))
}

fn api(verifier: &Verifier) -> Result<Router, Box<dyn Error>> {
    let metadata = ResourceMetadata::new(RESOURCE)?
        .authorization_server(verifier.issuer())
        .scope(Write::SCOPE);
    let layer = verifier.layer().protected_resource(&metadata);
    let metrics = layer.metrics();
    Ok(Router::new()
        .route("/orders", routing::get(list).post(place))
        .layer(RateLimit::per_minute(600).burst(3))
        .layer(layer)
        // What is added after the layer is outside of it.
        .merge(metadata.router())
        .route(
            "/metrics",
            routing::get(|| async move { metrics.to_string() }),
        ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // One event for each call: who, what, and how it ended.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [issuer, audience] = arguments.as_slice() {
        let verifier = Verifier::from_issuer(issuer)
            .audience(audience)
            .build()
            .await?;
        return serve(api(&verifier)?).await;
    }

    // Stands for your issuer, here and in your tests.
    let authority = TestAuthority::from_seed("https://sts.example.org", [7; 32])?;
    let verifier = authority
        .verifier(RESOURCE)
        .revocation(RevocationSource::None)
        .build()?;
    let reader = authority.token(RESOURCE).scope("orders:read").mint(now())?;
    let writer = authority
        .token(RESOURCE)
        .scope("orders:write")
        .mint(now())?;
    let api = api(&verifier)?;
    if arguments.iter().any(|argument| argument == "--serve") {
        println!("curl --header 'Authorization: Bearer {writer}' http://127.0.0.1:8080/orders");
        return serve(api).await;
    }

    show(&api, "GET", "/orders", None).await?;
    show(&api, "GET", "/orders", Some(&reader)).await?;
    show(&api, "POST", "/orders", Some(&reader)).await?;
    show(&api, "POST", "/orders", Some(&writer)).await?;
    // Both tokens are of the same workload, which may call three times at once.
    show(&api, "GET", "/orders", Some(&writer)).await?;
    show(&api, "GET", "/.well-known/oauth-protected-resource", None).await
}

async fn serve(api: Router) -> Result<(), Box<dyn Error>> {
    axum::serve(TcpListener::bind("127.0.0.1:8080").await?, api).await?;
    Ok(())
}

async fn show(
    api: &Router,
    method: &str,
    path: &str,
    token: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = api.clone().oneshot(request.body(Body::empty())?).await?;
    let (head, body) = response.into_parts();
    println!("{method} {path}: {}", head.status);
    for name in ["www-authenticate", "retry-after"] {
        if let Some(value) = head.headers.get(name) {
            println!("    {name}: {}", value.to_str()?);
        }
    }
    let body = axum::body::to_bytes(body, 65_536).await?;
    if !body.is_empty() {
        println!("    {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

/// Only programs read the clock; the verifier is told what time it is.
fn now() -> UnixTime {
    SystemTime::now().into()
}
