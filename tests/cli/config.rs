//! `config check`, before anything is started.

use std::path::PathBuf;

use crate::harness::{Cli, Deployment, Printed, Store, World};

/// The files of a deployment that could be started.
struct Files {
    world: World,
    main: PathBuf,
}

impl Files {
    async fn new() -> Self {
        let world = World::new().await;
        let server = Deployment::prepare(
            &world,
            "dayfly",
            &Store::Embedded,
            "https://sts.example.org:8443",
        );
        Self {
            main: server.config.clone(),
            world,
        }
    }

    async fn check(&self) -> Printed {
        Cli::default()
            .args(["config", "check", "--config"])
            .arg(&self.main)
            .run()
            .await
    }

    /// Checks with a file changed, and puts it back.
    async fn check_with(&self, name: &str, from: &str, to: &str) -> Printed {
        let path = self.world.path(name);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = before.replacen(from, to, 1);
        assert_ne!(before, after, "{from} is not in {name}");
        std::fs::write(&path, after).unwrap();
        let printed = self.check().await;
        std::fs::write(&path, before).unwrap();
        printed
    }

    /// The line of the first file that has a text, as `file:line`.
    fn place(&self, name: &str, text: &str) -> String {
        let path = self.world.path(name);
        let line = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .position(|line| line.contains(text));
        format!("{}:{}", path.display(), line.unwrap() + 1)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_checked_without_a_start() {
    let files = Files::new().await;
    let printed = files.check().await;
    assert!(!printed.done().is_empty(), "{printed:?}");

    let registry = "registry/payments/payments.toml";
    // What is wrong, where, and a word that the message must have.
    for (name, from, to, place, word) in [
        (
            "dayfly.toml",
            "lead = \"9s\"",
            "laed = \"9s\"",
            "lead = ",
            "laed",
        ),
        (
            "dayfly.toml",
            "lead = \"9s\"",
            "lead = \"3s\"",
            "lead = ",
            "lead",
        ),
        (
            "dayfly.toml",
            "sync = \"3s\"",
            "sync = \"1s\"",
            "sync = ",
            "sync",
        ),
        (
            "dayfly.toml",
            "https://sts.example.org:8443",
            "http://sts.example.org",
            "issuer = ",
            "https",
        ),
        (
            registry,
            "ttl = \"5m\"",
            "ttl = \"5 minutes\"",
            "ttl = \"5m\"",
            "length of time",
        ),
        (
            registry,
            "require_task = true",
            "require_tusk = true",
            "require_task",
            "require_tusk",
        ),
        (
            registry,
            "repository_id = \"74\", ",
            "",
            "match = {",
            "repository_id",
        ),
        (
            registry,
            "issuer = \"github\"",
            "issuer = \"gitbub\"",
            "name = \"gh-deploy\"",
            "gitbub",
        ),
    ] {
        let printed = files.check_with(name, from, to).await;
        let text = format!("{}{}", printed.stdout, printed.stderr).replace("/./", "/");
        assert_eq!(printed.code, 2, "{to}: {printed:?}");
        let near = files.place(name, place);
        let (file, line) = near.rsplit_once(':').unwrap();
        let line: usize = line.parse().unwrap();
        let found = (line.saturating_sub(3)..=line + 1)
            .any(|line| text.contains(&format!("{file}:{line}")));
        assert!(found, "{to}: neither {near} nor about there in {text}");
        assert!(text.contains(word), "{to}: {text}");
    }

    for missing in ["prod.pem", "dayfly/server.pem", "ca.pem"] {
        let (path, away) = (files.world.path(missing), files.world.path("away"));
        std::fs::rename(&path, &away).unwrap();
        let printed = files.check().await;
        std::fs::rename(&away, &path).unwrap();
        assert_eq!(printed.code, 2, "{missing}: {printed:?}");
        let name = missing.rsplit('/').next().unwrap();
        assert!(
            format!("{}{}", printed.stdout, printed.stderr).contains(name),
            "{missing}: {printed:?}"
        );
    }

    let main = files.world.path("no-such.toml");
    let printed = Cli::default()
        .args(["config", "check", "--config"])
        .arg(&main)
        .run()
        .await;
    assert_eq!(printed.code, 2, "{printed:?}");
    files.check().await.done();

    // What editors and pipelines check with.
    let value = Cli::default().args(["config", "schema"]).run().await;
    let schema: serde_json::Value = serde_json::from_str(value.done()).unwrap();
    assert!(schema["properties"]["issuer"].is_object(), "{schema}");
}
