//! A server in its world, on one of the two ledgers, for a whole group of checks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dayfly_lab::{OidcIssuer, OidcOptions, TokenAlgorithm};
use dayfly_ledger::testing::RedisServer;
use serde_json::{Value, json};

use super::{Deployment, Store, World, wide};

/// The longest wait for something that happens in the background.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ledger {
    /// The embedded store.
    Embedded,
    /// A Redis of the scene's own.
    Redis,
}

/// A world with the wide registry, a server in it, and what it stands on.
pub struct Scene {
    pub server: Deployment,
    pub world: World,
    /// An OIDC issuer of the preset `custom`, ES256, whose tokens may come again: the name is `forge`.
    pub forge: OidcIssuer,
    pub redis: Option<RedisServer>,
}

impl Scene {
    /// A server that is ready.
    pub async fn start(ledger: Ledger) -> Self {
        Self::start_with(ledger, "", &[]).await
    }

    /// A server that is ready, with more lines at the end of its main file, and an environment.
    pub async fn start_with(ledger: Ledger, more: &str, environment: &[(&str, &str)]) -> Self {
        let mut scene = Self::prepare(ledger, more).await;
        scene.server.launch(environment).await;
        scene
    }

    /// A server that is not started yet.
    pub async fn prepare(ledger: Ledger, more: &str) -> Self {
        let world = World::new().await;
        let options = OidcOptions {
            tls: Some(&world.tls),
            algorithm: TokenAlgorithm::Es256,
            ..OidcOptions::default()
        };
        let forge = OidcIssuer::start(options).await.unwrap();
        wide::write(&world);
        let redis = (ledger == Ledger::Redis).then(RedisServer::start);
        let store = redis
            .as_ref()
            .map_or(Store::Embedded, |redis| Store::Redis(redis.url()));
        let issuer = format!("https://127.0.0.1:{}", super::free_port());
        let server = Deployment::prepare(&world, "dayfly", &store, &issuer);
        let main = std::fs::read_to_string(&server.config).unwrap();
        let text = format!("{main}{}{more}", wide::main_file(forge.url()));
        std::fs::write(&server.config, text).unwrap();
        Self {
            server,
            world,
            forge,
            redis,
        }
    }

    /// A token of the forge, with claims over the honest ones of `job:2`; null takes one away.
    pub fn forged(&self, over: Value) -> String {
        let mut claims = json!({ "sub": "job:2", "aud": self.issuer(), "branch": "main" });
        let members = claims.as_object_mut().unwrap();
        members.extend(over.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        self.forge.token(claims)
    }

    /// The issuer URL.
    pub fn issuer(&self) -> &str {
        &self.server.url
    }
}

/// Runs each check in turn on one server with the embedded store, and on another one with Redis.
macro_rules! on_both_ledgers {
    ($($check:path),+ $(,)?) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn on_the_embedded_store() {
            let scene = $crate::harness::Scene::start($crate::harness::Ledger::Embedded).await;
            $($check(&scene).await;)+
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn on_redis() {
            let scene = $crate::harness::Scene::start($crate::harness::Ledger::Redis).await;
            $($check(&scene).await;)+
        }
    };
}

pub(crate) use on_both_ledgers;

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Asks again and again until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a program is there to be called.
pub fn has_program(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}
