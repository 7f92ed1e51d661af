//! Signing and sending the feed (protocol B).

use std::sync::Arc;
use std::time::Duration;

use dayfly_issuer::Clock;
use dayfly_issuer::feed::{BATCH_MS, FeedError};

use crate::app::App;
use crate::feed::Statement;
use crate::http::whole_chain;

/// How often it is looked whether the heartbeat is due.
const CHECK: Duration = Duration::from_millis(250);

/// Publishes until the task is aborted.
pub(crate) async fn publish(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.feed_wanted.notified() => {}
            () = tokio::time::sleep(CHECK) => {}
        }
        if !state(&app) {
            // Something changed right after the last statement: it goes with the next batch.
            tokio::time::sleep(Duration::from_millis(BATCH_MS)).await;
            state(&app);
        }
    }
}

/// Signs and sends a statement if one is due.
fn state(app: &App) -> bool {
    let signed = {
        let mut signer = app.feed_signer();
        let view = app.view();
        signer.statement(&view, app.clock.now())
    };
    match signed {
        Ok(Some(text)) => {
            match Statement::of(text) {
                Some(statement) => app.feed.publish(statement),
                None => tracing::error!("a feed statement of this process cannot be read"),
            }
            true
        }
        Ok(None) => false,
        // At the start, while the first key is on its way.
        Err(FeedError::NoKey | FeedError::NothingHeard) => false,
        Err(error) => {
            tracing::error!(
                error = whole_chain(&error),
                "a feed statement was not signed"
            );
            false
        }
    }
}
