//! Forgetting what no longer matters.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use dayfly_issuer::Clock;

use super::control::learn_keys;
use crate::app::App;

/// How often it is looked: keys that have lapsed leave our own verifiers within this time.
const EVERY: Duration = Duration::from_secs(5);

/// Forgets until the task is aborted.
pub(crate) async fn keep(app: Arc<App>) {
    loop {
        tokio::time::sleep(EVERY).await;
        // By the earlier of two clocks: a wall clock that is ahead must not make anything be
        // forgotten that the ledger's clock still counts.
        let Some(heard) = app.view().as_of() else {
            continue;
        };
        let now = app.clock.now().time().min(heard);
        app.control
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .purge(now);
        app.own.revocations().purge(now);
        learn_keys(&app);
    }
}
