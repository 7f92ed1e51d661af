//! The steps of the story.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use dayfly_client::{
    CertificateRequest, ClientError, ExchangeRequest, HoldKind, Token, TokenRequest,
};
use dayfly_token::DecisionId;
use dayfly_verifier::{PeerCertificate, Presented, UnverifiedToken};
use serde_json::json;

use super::report::{Report, Step, now};
use super::world::{API, OTHER_API, World};

/// The task of the CI job.
const TASK: &str = "release-1-4";
/// The longest that the demo waits for a revocation to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the API's check is repeated to time it.
const CHECKS: u32 = 2_000;

/// What earlier steps got.
#[derive(Default)]
struct Got {
    workload: Option<Token>,
    ci: Option<Token>,
    id_token: Option<String>,
    decision: Option<String>,
}

/// Plays every step. A step that fails is reported, and the next ones are still tried.
pub(super) async fn tell(world: &World, report: &mut Report) {
    let mut got = Got::default();
    macro_rules! play {
        ($($step:ident),+ $(,)?) => {
            $(report.note($step(world, &mut got).await.map_err(|error| (stringify!($step), error)));)+
        };
    }
    play!(
        workload_token,
        ci_token,
        certificate,
        accepted,
        bound,
        missing_scope,
        wrong_audience,
        offline_cost,
        narrowed,
        presented_twice,
        task_revoked,
        task_stays_ended,
        held,
        explained,
    );
}

async fn workload_token(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let client = world.workload()?;
    let started = now();
    let token = client.token(&TokenRequest::new(API)).await?;
    let took = started.elapsed();
    let step = Step::new(
        "workload_token",
        format!(
            "the workload exchanged its SVID over mTLS for a token: {}",
            token.scopes().join(" ")
        ),
        "No secret was configured. The token is bound to the workload's certificate: stolen, it is worthless.",
    );
    let details = json!({ "scope": token.scopes(), "expires_at": token.expires_at() });
    got.workload = Some(token);
    Ok(step.took(took).details(details))
}

async fn ci_token(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let id_token = world.id_token();
    let client = world.ci_job(&id_token)?;
    let request = TokenRequest::new(API)
        .scope("deploy:write")
        .task(TASK)
        .purpose("release 1.4");
    let started = now();
    let token = client.token(&request).await?;
    let took = started.elapsed();
    let step = Step::new(
        "ci_token",
        format!(
            "a CI job exchanged its GitHub token for `deploy:write`, for the task payments/{TASK}"
        ),
        "Just in time, five minutes, one task. The rule pins immutable ids: a repository renamed to this name gets nothing.",
    );
    let details = json!({ "scope": token.scopes(), "task": format!("payments/{TASK}") });
    got.ci = Some(token);
    got.id_token = Some(id_token);
    Ok(step.took(took).details(details))
}

async fn certificate(world: &World, _: &mut Got) -> anyhow::Result<Step> {
    let client = world.workload()?;
    let started = now();
    let certificate = client.certificate(&CertificateRequest::new()).await?;
    let took = started.elapsed();
    Ok(Step::new(
        "certificate",
        format!("a CSR became a certificate for {}", certificate.spiffe_id()),
        "A valid SVID for any mTLS peer, for fifteen minutes. Only the public key was taken from the request.",
    )
    .took(took)
    .details(json!({
        "spiffe_id": certificate.spiffe_id(),
        "serial": certificate.serial(),
        "not_after": certificate.not_after(),
    })))
}

async fn accepted(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let started = now();
    let status = world.ask("/deployments", token(&got.ci)?, None).await?;
    ensure!(status == 200, "the API answered {status}, not 200");
    Ok(Step::new(
        "accepted",
        "the API answered 200 to the CI job",
        "It checked signature, issuer, audience, times, scope and revocation by itself.",
    )
    .took(started.elapsed())
    .details(json!({ "status": status })))
}

async fn bound(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let token = token(&got.workload)?;
    let owner = world.ask("/whoami", token, Some(&world.svid)).await?;
    let thief = world.ask("/whoami", token, None).await?;
    ensure!(
        (owner, thief) == (200, 401),
        "the API answered {owner} and {thief}, not 200 and 401"
    );
    Ok(Step::new(
        "bound",
        "the workload's token: 200 over its own mTLS connection, 401 over any other",
        "A leaked log line or a rogue proxy cannot use it.",
    )
    .details(json!({ "owner": owner, "thief": thief })))
}

async fn missing_scope(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let status = world
        .ask("/deployments", token(&got.workload)?, Some(&world.svid))
        .await?;
    ensure!(status == 403, "the API answered {status}, not 403");
    Ok(Step::new(
        "missing_scope",
        "the workload asked to deploy: 403",
        "Its grant does not say `deploy:write`, so no token of it ever will.",
    )
    .details(json!({ "status": status })))
}

async fn wrong_audience(world: &World, _: &mut Got) -> anyhow::Result<Step> {
    let token = world
        .workload()?
        .token(&TokenRequest::new(OTHER_API))
        .await?;
    let status = world
        .ask("/whoami", token.secret().expose(), Some(&world.svid))
        .await?;
    ensure!(status == 401, "the API answered {status}, not 401");
    Ok(Step::new(
        "wrong_audience",
        format!("a token for {OTHER_API} at this API: 401"),
        "One token, one API: what an API receives it cannot replay elsewhere.",
    )
    .details(json!({ "status": status })))
}

async fn offline_cost(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let token = token(&got.workload)?;
    let peer = PeerCertificate::new(
        world.svid.chain_der.clone(),
        world.svid.spiffe_id.parse().ok(),
    )
    .context("an SVID has a leaf")?;
    let presented = Presented::certificate(&peer);
    let present = crate::command::now();
    let started = now();
    for _ in 0..CHECKS {
        world
            .verifier
            .verify(UnverifiedToken::new(token), &presented, present)?;
    }
    let each = started.elapsed() / CHECKS;
    Ok(Step::new(
        "offline_cost",
        format!(
            "{CHECKS} full verifications inside the API, {:.0} us each",
            each.as_secs_f64() * 1e6
        ),
        "No network, no introspection: the API keeps working while the issuer is away.",
    )
    .details(json!({ "verifications": CHECKS, "each_us": each.as_secs_f64() * 1e6 })))
}

async fn narrowed(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let parent = got.workload.as_ref().context("there is no token")?;
    let client = world.holder()?;
    let narrow = ExchangeRequest::new().audience(API).scope("deploy:read");
    let child = client.exchange(parent.secret(), &narrow).await?;
    ensure!(
        child.scopes() == ["deploy:read"],
        "the scopes are {:?}",
        child.scopes()
    );
    let wide = ExchangeRequest::new().audience(API).scope("deploy:write");
    let refused = refusal(client.exchange(parent.secret(), &wide).await)?;
    Ok(Step::new(
        "narrowed",
        "the token was exchanged for one with fewer scopes; a wider one was refused",
        "Hand a helper less than you have. The child dies with its parent.",
    )
    .details(json!({ "scope": child.scopes(), "wider": refused.code() })))
}

async fn presented_twice(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let id_token = got
        .id_token
        .as_deref()
        .context("there is no token of the job")?;
    let request = TokenRequest::new(API).task(TASK);
    let refused = refusal(world.ci_job(id_token)?.token(&request).await)?;
    ensure!(
        refused.code() == Some("invalid_grant"),
        "refused as {:?}",
        refused.code()
    );
    got.decision = refused.decision_id().map(str::to_owned);
    Ok(Step::new(
        "presented_twice",
        "the same CI token a second time: invalid_grant",
        "GitHub mints one for each request, so a second presentation is a replay, wherever it comes from.",
    )
    .details(json!({ "error": refused.code(), "decision_id": refused.decision_id() })))
}

async fn task_revoked(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let task = format!("payments/{TASK}").parse()?;
    let token = token(&got.ci)?;
    ensure!(
        world.ask("/deployments", token, None).await? == 200,
        "the token is dead already"
    );
    world
        .admin
        .revoke_task(&task, Some("the release was called off"))
        .await?;
    let answered = now();
    let refused = wait_until_refused(world, token, answered).await?;
    let status = world.ask("/deployments", token, None).await?;
    ensure!(status == 401, "the API answered {status}, not 401");
    Ok(Step::new(
        "task_revoked",
        format!(
            "the task was revoked; the API refused {:.1} ms after the issuer had said so",
            refused.as_secs_f64() * 1000.0
        ),
        "Every credential of the task is dead everywhere. A static key would still work.",
    )
    .took(refused)
    .details(json!({ "propagation_ms": refused.as_secs_f64() * 1000.0, "status": status })))
}

/// The time until the verifier inside the API refuses.
async fn wait_until_refused(
    world: &World,
    token: &str,
    since: Instant,
) -> anyhow::Result<Duration> {
    loop {
        let checked = world.verifier.verify(
            UnverifiedToken::new(token),
            &Presented::default(),
            crate::command::now(),
        );
        if checked.is_err() {
            return Ok(since.elapsed());
        }
        if since.elapsed() > PATIENCE {
            bail!("the API still accepts after {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

async fn task_stays_ended(world: &World, _: &mut Got) -> anyhow::Result<Step> {
    let request = TokenRequest::new(API).task(TASK);
    let refused = refusal(world.ci_job(&world.id_token())?.token(&request).await)?;
    ensure!(
        refused.code() == Some("invalid_grant"),
        "refused as {:?}",
        refused.code()
    );
    Ok(Step::new(
        "task_stays_ended",
        "a fresh CI token for the same task: invalid_grant",
        "A task is ended by name: nothing is issued for it again.",
    )
    .details(json!({ "error": refused.code(), "decision_id": refused.decision_id() })))
}

async fn held(world: &World, _: &mut Got) -> anyhow::Result<Step> {
    let (client, request) = (world.workload()?, TokenRequest::new(API));
    world
        .admin
        .hold(
            HoldKind::Workload,
            "payments/worker",
            Some("under investigation"),
        )
        .await?;
    let refused = refusal(client.token(&request).await)?;
    world
        .admin
        .lift(
            HoldKind::Workload,
            "payments/worker",
            Some("it was nothing"),
        )
        .await?;
    let started = now();
    loop {
        match client.token(&request).await {
            Ok(_) => break,
            Err(_) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error).context("after the hold was lifted"),
        }
    }
    Ok(Step::new(
        "held",
        "the workload was put on hold and got nothing; the hold was lifted and it got a token",
        "Close the door first, ask questions later, and nothing has to be rotated.",
    )
    .details(json!({ "error": refused.code() })))
}

async fn explained(world: &World, got: &mut Got) -> anyhow::Result<Step> {
    let id: DecisionId = got
        .decision
        .as_deref()
        .context("no decision was told")?
        .parse()?;
    let line = world.admin.decision(&id).await?;
    let member = |name: &str| {
        line.get(name)
            .and_then(|v| v.as_str())
            .unwrap_or("-")
            .to_owned()
    };
    ensure!(member("outcome") == "deny", "the decision is {line:?}");
    Ok(Step::new(
        "explained",
        format!("why was it denied? `dayfly why {id}`: {}", member("reason")),
        "The caller saw a stable code and this id; the operator sees the evidence, the rule and the reason.",
    )
    .details(json!({ "decision_id": id, "reason": member("reason"), "workload": member("workload") })))
}

fn token(token: &Option<Token>) -> anyhow::Result<&str> {
    Ok(token
        .as_ref()
        .context("there is no token")?
        .secret()
        .expose())
}

/// The refusal that must come.
fn refusal(result: Result<Token, ClientError>) -> anyhow::Result<ClientError> {
    match result {
        Ok(_) => bail!("it was not refused"),
        Err(error) if error.refusal().is_some() => Ok(error),
        Err(error) => Err(error.into()),
    }
}
