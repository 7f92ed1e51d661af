//! An API with a verifier that follows an issuer, as its author would write it.

use std::time::{Duration, Instant};

use dayfly_lab::{SampleApi, SampleApiOptions};
use dayfly_verifier::follow::FromIssuer;
use dayfly_verifier::{Freshness, Presented, UnixTime, UnverifiedToken, Verified, Verifier};

use super::{FLEET_API, World, client, now};

/// The longest that a revocation may take to a connected verifier, measured from the answer of the
/// issuer. The goal is 100 ms; tests share two cores.
const REVOCATION_BOUND: Duration = Duration::from_secs(2);

/// The longest wait for a verifier that was cut off and has to come back.
const RETURN_BOUND: Duration = Duration::from_secs(15);

/// An API for the fleet.
pub struct Watcher {
    /// Its verifier, with a background task that follows the issuer.
    pub verifier: Verifier,
    api: SampleApi,
    client: reqwest::Client,
}

impl Watcher {
    /// An API that follows an issuer over TLS.
    pub async fn start(world: &World, issuer: &str) -> Self {
        let verifier = Self::following(world, issuer).build().await.unwrap();
        let api = SampleApi::start(SampleApiOptions::new(verifier.clone(), &world.tls))
            .await
            .unwrap();
        Self {
            verifier,
            api,
            client: client(&world.tls.ca_pem(), None),
        }
    }

    /// A verifier as the API has it, before it connects.
    pub fn following(world: &World, issuer: &str) -> FromIssuer {
        Verifier::from_issuer(issuer)
            .audience(FLEET_API)
            .ca_pem(world.tls.ca_pem())
            .refresh_cooldown(Duration::from_millis(200))
    }

    /// What the verifier says of a token that far in the future: its freshness, or the code.
    pub fn verdict_in(&self, token: &str, secs: u64) -> Result<Freshness, &'static str> {
        verdict(&self.verifier, token, secs)
    }

    /// The code of the rejection now; `None` if the token is accepted.
    pub fn code(&self, token: &str) -> Option<&'static str> {
        self.verdict_in(token, 0).err()
    }

    /// Asserts that verifier and API accept a token by now.
    #[track_caller]
    pub fn accepts(&self, token: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            // A key that is new takes one fetch.
            let started = Instant::now();
            while let Some(code) = self.code(token) {
                assert!(
                    ["keys_unavailable", "unknown_kid"].contains(&code)
                        && started.elapsed() < RETURN_BOUND,
                    "{code}, from {caller}"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let (status, _) = self.ask(token).await;
            assert_eq!(status, 200, "from {caller}");
        }
    }

    /// Asserts that a token is refused as revoked (or its key as unknown), soon after `since`, and says how soon.
    pub async fn refuses(&self, token: &str, since: Instant) -> Duration {
        self.refuses_within(token, since, REVOCATION_BOUND).await
    }

    /// The same, for a verifier that was cut off until `since`.
    pub async fn refuses_again(&self, token: &str, since: Instant) -> Duration {
        self.refuses_within(token, since, RETURN_BOUND).await
    }

    async fn refuses_within(&self, token: &str, since: Instant, bound: Duration) -> Duration {
        let took = loop {
            match self.code(token) {
                // A tainted key is revoked, and then it is gone.
                Some("revoked" | "unknown_kid") => break since.elapsed(),
                // And if it was the only one, there is none until the next is published.
                Some("keys_unavailable") | None => {}
                Some(other) => panic!("{other}, not revoked"),
            }
            assert!(
                since.elapsed() < bound,
                "not refused for good after {bound:?}"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let (status, challenge) = self.ask(token).await;
        assert_eq!(status, 401);
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        took
    }

    /// Status and challenge of the API.
    async fn ask(&self, token: &str) -> (u16, String) {
        let request = self
            .client
            .get(format!("{}/whoami", self.api.url()))
            .bearer_auth(token);
        let response = request.send().await.unwrap();
        let challenge = response.headers().get("www-authenticate");
        let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), challenge.unwrap_or_default())
    }
}

/// What a verifier says of a token that far in the future: its freshness, or the code.
pub fn verdict(verifier: &Verifier, token: &str, secs: u64) -> Result<Freshness, &'static str> {
    let now = UnixTime::from_secs(now() + secs);
    let verified = verifier.verify(UnverifiedToken::new(token), &Presented::NOTHING, now);
    verified
        .as_ref()
        .map(Verified::freshness)
        .map_err(|rejection| rejection.code().as_str())
}
