//! Following the control stream (protocol A).

use std::sync::Arc;
use std::time::Duration;

use dayfly_issuer::Clock;
use dayfly_issuer::control::{ControlFollower, Followed, KeyUse};
use dayfly_keys::{JwkSet, KeySet};

use crate::app::App;
use crate::http::whole_chain;

/// How long one read waits for news: four of them fit into D, so that a lost one stops nothing.
const WAIT: Duration = Duration::from_millis(500);

/// The pause after the first failure; it doubles up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(20);

/// The longest pause: issuing begins again soon after the ledger is back.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Follows until the task is aborted.
pub(crate) async fn follow(app: Arc<App>) {
    let ledger = Arc::clone(app.issuer.ledger());
    let mut follower = ControlFollower::new(ledger, Arc::clone(&app.control));
    let mut pause = PAUSE;
    let mut failing = false;
    loop {
        match follower.step(app.clock.now(), WAIT).await {
            Ok(followed) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("the control stream is heard again");
                }
                pause = PAUSE;
                take(&app, &followed);
            }
            Err(error) => {
                app.metrics.control_failures.inc();
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(error = whole_chain(&error), "the control stream is lost");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

/// Hands on what a step brought.
fn take(app: &App, followed: &Followed) {
    let changed = followed.reloaded || !followed.changed.is_empty();
    if followed.reloaded {
        app.metrics.control_reloads.inc();
    }
    app.metrics.control_refused.inc_by(followed.refused as u64);
    learn_revocations(app, followed);
    if followed.reloaded || followed.changed.iter().any(|slot| concerns_keys(slot)) {
        learn_keys(app);
        app.keys_wanted.notify_one();
    }
    app.feed_signer().note(followed);
    app.followed.send_modify(|progress| {
        progress.steps += 1;
        progress.changes += u64::from(changed);
    });
    if changed {
        app.feed_wanted.notify_one();
    }
}

/// Our own verifiers learn in the same way as everybody's, only without a signature between.
fn learn_revocations(app: &App, followed: &Followed) {
    let now = app.clock.now().time();
    let entries = {
        let view = app.view();
        if followed.reloaded {
            view.feed_entries(now)
        } else {
            followed
                .changed
                .iter()
                .filter_map(|slot| view.feed_entry(slot))
                .collect()
        }
    };
    let revocations = app.own.revocations();
    revocations.merge(&entries, now);
    // A store whose clock ran ahead once would leave a state of the future, which is never fresh.
    revocations.heard(followed.as_of.min(now));
}

fn concerns_keys(slot: &str) -> bool {
    slot.starts_with("key:") || slot.starts_with("cut:key:")
}

/// The served keys verify our own tokens.
pub(crate) fn learn_keys(app: &App) {
    let now = app.clock.now().time();
    let keys: Vec<_> = app
        .view()
        .keys(KeyUse::Token, now)
        .map(|record| record.jwk.clone())
        .collect();
    match KeySet::from_jwks(&JwkSet { keys }) {
        Ok(keys) => {
            for verifier in [&app.own, &app.own_any, &app.own_unbound] {
                verifier.replace_keys(keys.clone());
            }
        }
        Err(error) => tracing::error!(%error, "the served keys cannot be used"),
    }
}
