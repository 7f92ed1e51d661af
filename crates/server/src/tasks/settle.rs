//! Telling a ledger that did not answer what was not released, when it answers again.

use std::sync::Arc;
use std::time::Duration;

use dayfly_issuer::Unsettled;

use crate::app::App;

/// How many may wait at once: with a full audit line each, 8 MiB. Beyond it a record without a
/// credential stands until it expires, which harms nobody.
pub(crate) const MOST_WAITING: usize = 1024;

/// How long between two tries: a store that failed over is back within seconds.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is tried: for five minutes, about as long as the record lives.
const TRIES: u32 = 300;

/// Settles it in the background.
pub(crate) fn begin(app: &Arc<App>, unsettled: Unsettled) {
    app.metrics.unsettled.inc();
    let Ok(place) = Arc::clone(&app.settling).try_acquire_owned() else {
        tracing::warn!("too much waits for the ledger: a record of what was not released stands");
        return;
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let mut left = unsettled;
        for _ in 0..TRIES {
            match app.issuer.settle(left).await {
                Ok(()) => break,
                Err(still) => left = still,
            }
            tokio::select! {
                () = app.stopping.cancelled() => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        drop(place);
    });
}
