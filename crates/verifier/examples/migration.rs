//! An API moves off static keys: the whole story in a second, with a real server, real requests, and a clock that is turned by
//! hand. Run it with `cargo run --example migration --all-features`.
#![allow(clippy::print_stdout, reason = "it tells a story")]

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use dayfly_verifier::axum::RequiredScope;
use dayfly_verifier::migrate::{ApiKeys, Migration, ScopedCredential, Stage, hash};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::tower::Gate;
use dayfly_verifier::{RevocationSource, UnixTime};
use http::StatusCode;
use tokio::net::TcpListener;

const API: &str = "https://orders.internal";
const DAY: u64 = 86_400;

// The secrets of two users. An API knows their hashes alone; the example plays the users too.
const BATCH_KEY: &str = "live_4eC39HqLyjWDarjtT1zdp7dc";
const CRON_KEY: &str = "live_9aB27KqLyjWDarjtT1zdp7xx";

static NOW: AtomicU64 = AtomicU64::new(1_800_000_000);

fn now() -> UnixTime {
    UnixTime::from_secs(NOW.load(Ordering::Relaxed))
}

fn days_pass(days: u64) {
    NOW.fetch_add(days * DAY, Ordering::Relaxed);
}

struct Read;

impl RequiredScope for Read {
    const SCOPE: &'static str = "orders:read";
}

/// One handler for both kinds of callers.
async fn orders(caller: ScopedCredential<Read>) -> String {
    format!("orders of {}", caller.owner().unwrap_or_default())
}

/// The check that the API has today.
async fn own_check(request: Request, next: Next) -> Response {
    match request.headers().get("x-api-key") {
        Some(key) if key == BATCH_KEY || key == CRON_KEY => next.run(request).await,
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// The registry, as it stands in a file: nothing in it is secret.
fn registry() -> Result<ApiKeys, Box<dyn Error>> {
    let text = format!(
        r##"
        [[key]]
        id = "billing-batch"
        owner = "billing"
        contact = "#billing"
        scopes = ["orders:read"]
        hash = "{}"

        [[key]]
        id = "reporting-cron"
        owner = "reporting"
        contact = "reporting@example.org"
        scopes = ["orders:read"]
        hash = "{}"
        "##,
        hash(BATCH_KEY)?,
        hash(CRON_KEY)?
    );
    Ok(ApiKeys::from_toml(&text)?)
}

/// A user of the API, over HTTP.
struct User {
    client: reqwest::Client,
    url: String,
}

impl User {
    async fn asks(
        &self,
        name: &str,
        key: Option<&str>,
        token: Option<&str>,
    ) -> Result<(), Box<dyn Error>> {
        let mut request = self.client.get(&self.url);
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let carries = match (key, token) {
            (Some(_), Some(_)) => "key and token",
            (Some(_), None) => "key",
            (None, Some(_)) => "token",
            (None, None) => "nothing",
        };
        println!("  {name} with {carries}: {}", answer.status());
        for header in ["deprecation", "sunset", "link"] {
            if let Some(value) = answer.headers().get(header) {
                let (first, rest) = header.split_at(1);
                println!("    {}{rest}: {}", first.to_uppercase(), value.to_str()?);
            }
        }
        Ok(())
    }
}

async fn serve(api: Router) -> Result<User, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, api).await });
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(User { client, url })
}

fn chapter(title: &str, migration: &Migration, stage: Stage) -> Result<(), Box<dyn Error>> {
    println!("\n== {title}");
    Ok(migration.set_stage(stage)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // For reqwest, which takes the TLS library of the process.
    let _already_there = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let issuer = TestAuthority::from_seed("https://sts.example.org", [7; 32])?;
    let verifier = issuer
        .verifier(API)
        .revocation(RevocationSource::None)
        .build()?;
    let migration = Migration::builder(Gate::new(verifier).clock(now), Stage::Observe)
        .keys(registry()?)
        .guide("https://orders.internal/moving")
        .build()?;
    watch(&migration).await?;
    let user = serve(
        Router::new()
            .route("/orders", get(orders))
            .layer(migration.layer()),
    )
    .await?;
    observe(&migration, &issuer, &user).await?;
    accept_both(&migration, &issuer, &user).await?;
    let keys_until = Stage::KeysUntil {
        deprecated_at: now(),
        deadline: now().saturating_add(90 * DAY),
    };
    keys_for_a_while(&migration, keys_until, &issuer, &user).await?;
    tokens_only(&migration, &issuer, &user).await?;
    back_and_on(&migration, keys_until, &issuer, &user).await
}

/// Before the first step: who uses keys at all, and does the registry know them?
async fn watch(migration: &Migration) -> Result<(), Box<dyn Error>> {
    println!("== Watch: the API's own check decides, the layer looks on");
    let before = Router::new()
        .route("/orders", get(async || "orders"))
        .layer(from_fn(own_check));
    let user = serve(before.layer(migration.danger_watch_layer())).await?;
    user.asks("billing", Some(BATCH_KEY), None).await?;
    user.asks("reporting", Some(CRON_KEY), None).await?;
    user.asks("a stranger", Some("live_i_guess_that_is_a_key"), None)
        .await?;
    days_pass(30);
    println!("{}", migration.report().own_check_is_replaceable(30 * DAY));
    Ok(())
}

/// Step 1: keys decide, and those who begin with tokens are told what is wrong with them.
async fn observe(
    migration: &Migration,
    issuer: &TestAuthority,
    user: &User,
) -> Result<(), Box<dyn Error>> {
    chapter(
        "1. Observe: the layer decides, by keys as always",
        migration,
        Stage::Observe,
    )?;
    user.asks("billing", Some(BATCH_KEY), None).await?;
    let for_another_api = token(issuer, "reporting", "https://invoices.internal")?;
    user.asks("reporting", Some(CRON_KEY), Some(&for_another_api))
        .await?;
    println!(
        "{}{}",
        migration.report(),
        migration.report().next_step(30 * DAY)
    );
    println!("reporting asks for tokens for the right API; 30 days pass");
    user.asks(
        "reporting",
        Some(CRON_KEY),
        Some(&token(issuer, "reporting", API)?),
    )
    .await?;
    days_pass(30);
    println!("{}", migration.report().next_step(30 * DAY));
    Ok(())
}

/// Step 2: whoever has a token needs no key.
async fn accept_both(
    migration: &Migration,
    issuer: &TestAuthority,
    user: &User,
) -> Result<(), Box<dyn Error>> {
    chapter(
        "2. Accept both: a token decides where there is one",
        migration,
        Stage::AcceptBoth,
    )?;
    user.asks("billing", Some(BATCH_KEY), None).await?;
    user.asks("reporting", None, Some(&token(issuer, "reporting", API)?))
        .await?;
    println!(
        "{}{}",
        migration.report(),
        migration.report().next_step(30 * DAY)
    );
    Ok(())
}

/// Step 3: everybody is told until when.
async fn keys_for_a_while(
    migration: &Migration,
    keys_until: Stage,
    issuer: &TestAuthority,
    user: &User,
) -> Result<(), Box<dyn Error>> {
    chapter(
        "3. Keys until: a deadline, told with every answer",
        migration,
        keys_until,
    )?;
    user.asks("billing", Some(BATCH_KEY), None).await?;
    user.asks("reporting", None, Some(&token(issuer, "reporting", API)?))
        .await?;
    println!(
        "{}{}",
        migration.report(),
        migration.report().next_step(30 * DAY)
    );
    println!("billing moves; 30 days pass");
    days_pass(30);
    user.asks("billing", None, Some(&token(issuer, "billing", API)?))
        .await?;
    println!("{}", migration.report().next_step(30 * DAY));
    Ok(())
}

/// Step 4: the end of keys, and who was forgotten.
async fn tokens_only(
    migration: &Migration,
    issuer: &TestAuthority,
    user: &User,
) -> Result<(), Box<dyn Error>> {
    chapter(
        "4. Tokens only: keys are refused",
        migration,
        Stage::TokensOnly,
    )?;
    user.asks("billing", None, Some(&token(issuer, "billing", API)?))
        .await?;
    user.asks("a host that billing forgot", Some(BATCH_KEY), None)
        .await?;
    let report = migration.report();
    println!("{report}{}", report.next_step(30 * DAY));
    for key in report
        .keys
        .iter()
        .filter(|key| key.uses.refused_by_stage > 0)
    {
        let contact = key.contact.as_deref().unwrap_or("nobody");
        println!("refused since keys are refused: {}, call {contact}", key.id);
    }
    Ok(())
}

/// No step is for ever.
async fn back_and_on(
    migration: &Migration,
    keys_until: Stage,
    issuer: &TestAuthority,
    user: &User,
) -> Result<(), Box<dyn Error>> {
    chapter(
        "Each step can be taken back: back to keys_until",
        migration,
        keys_until,
    )?;
    user.asks("the forgotten host", Some(BATCH_KEY), None)
        .await?;
    chapter(
        "and on again, once it has moved",
        migration,
        Stage::TokensOnly,
    )?;
    user.asks(
        "the forgotten host",
        None,
        Some(&token(issuer, "billing", API)?),
    )
    .await?;
    days_pass(30);
    let report = migration.report();
    println!("{report}{}", report.next_step(30 * DAY));
    let unused: Vec<_> = report
        .unused_for(30 * DAY)
        .map(|key| key.id.as_str())
        .collect();
    println!("keys that can be deleted: {}", unused.join(", "));
    Ok(())
}

/// A token of the workload `job`, as the issuer would mint it.
fn token(issuer: &TestAuthority, owner: &str, audience: &str) -> Result<String, Box<dyn Error>> {
    let workload = format!("spiffe://sts.example.org/{owner}/job");
    let token = issuer
        .token(audience)
        .subject(&workload)
        .scope("orders:read");
    Ok(token.mint(now())?)
}
