//! The binary `dayfly`, as people and scripts use it: what it prints and how it ends.

mod config;
mod credentials;
mod demo;
mod golden;
mod help;
mod holds;
mod revoke;
mod tasks;
mod verify;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Agent, Cli, Ledger, Operator, Scene, fleet};

/// Each check ends workloads of its own.
const FLEET: &[&str] = &[
    "desk/exchange",
    "desk/hold",
    "desk/id",
    "desk/key",
    "desk/server",
    "desk/task",
    "desk/verify",
    "desk/workload",
    "lot/one",
    "ruled/one",
];

/// A server, and a desk before it with the files that commands take.
struct Desk {
    scene: Scene,
    console: Operator,
    written: AtomicUsize,
}

impl Desk {
    async fn start() -> Self {
        let mut scene = Scene::prepare(Ledger::Embedded, "").await;
        fleet::write_with_forge(&scene.world, FLEET);
        scene.server.launch(&[]).await;
        let console = Operator::console(&scene.world, &scene.server);
        Self {
            scene,
            console,
            written: AtomicUsize::new(0),
        }
    }

    /// A command that knows the issuer.
    fn cli(&self) -> Cli {
        Cli::at(self.scene.issuer(), &self.scene.world.path("ca.pem"))
    }

    /// The options that show an SVID, which is written for them alone.
    fn svid(&self, workload: &str) -> Vec<PathBuf> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let (svid, world) = (self.scene.world.svid(workload), &self.scene.world);
        let cert = world.write(&format!("svids/{number}.pem"), &svid.cert_chain_pem);
        let key = world.write_secret(&format!("svids/{number}.key"), &svid.key_pem);
        vec!["--svid-cert".into(), cert, "--svid-key".into(), key]
    }

    /// A command with an SVID of a workload.
    fn with_svid(&self, workload: &str, args: &[&str]) -> Cli {
        self.with(&self.svid(workload), args)
    }

    /// A command with the options of an SVID.
    fn with(&self, svid: &[PathBuf], args: &[&str]) -> Cli {
        svid.iter()
            .fold(self.cli().args(args.iter().copied()), Cli::arg)
    }

    /// A command of the operator of this machine.
    fn over_socket(&self, args: &[&str]) -> Cli {
        Cli::default()
            .args(args.iter().copied())
            .arg("--socket")
            .arg(&self.scene.server.socket)
    }

    fn agent(&self, name: &str) -> Agent {
        Agent::new(&self.scene.world, &self.scene.server, name)
    }

    async fn is_alive(&self, token: &str) -> bool {
        self.console.introspect(token).await["active"] == true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_a_server() {
    let desk = Desk::start().await;
    tokio::join!(
        credentials::a_token_by_an_svid(&desk),
        credentials::a_token_by_a_file(&desk),
        credentials::a_token_that_is_less(&desk),
        credentials::a_refusal_says_what_to_do(&desk),
        credentials::wrong_calls_are_wrong_calls(&desk),
        credentials::a_certificate_in_files(&desk),
        verify::says_accepted_and_why_not(&desk),
        verify::a_bound_token_takes_its_certificate(&desk),
        verify::inspect_proves_nothing(&desk),
        revoke::by_each_selector(&desk),
        revoke::takes_a_right_or_the_token(&desk),
        holds::are_set_lifted_and_listed(&desk),
        tasks::are_opened_and_ended(&desk),
        tasks::why_explains_a_decision(&desk),
    );
    revoke::by_key(&desk).await;
}
