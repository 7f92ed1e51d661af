//! Clients that ask without a pause, and what they have seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::harness::Agent;

/// How long a client waits after a refusal or a broken connection.
const PAUSE: Duration = Duration::from_millis(10);

/// The promise: 250 ms for the ledger and 50 ms for everything else.
const REFUSAL_BOUND: Duration = Duration::from_millis(300);

/// What nine of ten clients, and the slowest of all, may see beyond it when two cores are shared
/// with the clients themselves and with other tests.
const SCHEDULING: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(700));

/// Clients that ask.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Seen>,
}

/// What clients have seen.
#[derive(Default)]
pub(super) struct Seen {
    /// Every token.
    pub tokens: Vec<String>,
    /// How long each refusal took.
    pub refusals: Vec<Duration>,
    /// How often there was no answer at all.
    pub broken: usize,
}

impl Load {
    /// One client for each agent.
    pub fn start(agents: impl IntoIterator<Item = Agent>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for agent in agents {
            let stop = Arc::clone(&stop);
            clients.spawn(async move {
                let mut seen = Seen::default();
                while !stop.load(Ordering::Relaxed) {
                    seen.ask(&agent).await;
                }
                seen
            });
        }
        Self { stop, clients }
    }

    /// Lets the clients finish their last request.
    pub async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for seen in self.clients.join_all().await {
            all.tokens.extend(seen.tokens);
            all.refusals.extend(seen.refusals);
            all.broken += seen.broken;
        }
        all
    }
}

impl Seen {
    /// One request; whether it was granted.
    pub async fn ask(&mut self, agent: &Agent) -> bool {
        match agent.try_timed().await {
            Some((answer, _)) if answer.status == 200 => {
                self.tokens.push(answer.access_token().to_owned());
                return true;
            }
            Some((answer, took)) => {
                answer.not_now();
                self.refusals.push(took);
            }
            None => self.broken += 1,
        }
        tokio::time::sleep(PAUSE).await;
        false
    }

    /// Asserts that nobody had to wait, and says how long they did.
    #[track_caller]
    pub fn assert_bounded(&mut self, what: &str) {
        self.refusals.sort();
        let at = |share: usize| {
            self.refusals
                .get(self.refusals.len() * share / 100)
                .copied()
        };
        let last = self.refusals.last().copied().unwrap_or_default();
        println!(
            "cluster: {what}: {} granted, {} refused in {:?} (median), {:?} (p90), {last:?} (most)",
            self.tokens.len(),
            self.refusals.len(),
            at(50).unwrap_or_default(),
            at(90).unwrap_or_default(),
        );
        for (took, slack, which) in [
            (
                at(50).unwrap_or_default(),
                Duration::ZERO,
                "half of the refusals",
            ),
            (
                at(90).unwrap_or_default(),
                SCHEDULING.0,
                "nine of ten refusals",
            ),
            (last, SCHEDULING.1, "the slowest refusal"),
        ] {
            assert!(
                took <= REFUSAL_BOUND + slack,
                "{what}: {which} took {took:?}"
            );
        }
    }
}
