//! The life of the signing keys (protocol D), and of the intermediate certificate.

use std::sync::Arc;
use std::time::Duration;

use dayfly_issuer::Clock;
use dayfly_issuer::control::KeyUse;

use crate::app::App;
use crate::rim::SystemRng;

/// How often the machine is looked at when nothing happens.
const TICK: Duration = Duration::from_millis(500);

/// Looks after the keys until the task is aborted.
pub(crate) async fn keep(app: Arc<App>) {
    loop {
        tick(&app).await;
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = app.keys_wanted.notified() => {}
        }
    }
}

async fn tick(app: &Arc<App>) {
    let now = app.clock.now();
    let actions = {
        let mut keys = app.keys();
        let view = app.view();
        keys.tick(now, &view, &mut SystemRng)
    };
    let (token, feed) = {
        let keys = app.keys();
        (keys.signer(KeyUse::Token), keys.signer(KeyUse::Feed))
    };
    app.issuer.use_signer(token);
    let fresh = feed.is_some();
    app.feed_signer().use_signer(feed);
    if fresh && *app.followed.borrow() != crate::app::Progress::default() {
        app.feed_wanted.notify_one();
    }
    app.act(actions).await;
    if let Some(authority) = &app.authority
        && let Some(next) = authority.renew(now.time())
    {
        app.issuer.use_authority(Some(next));
    }
}
