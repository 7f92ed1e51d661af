//! What runs in the background.

pub(crate) mod authority;
mod control;
mod feed;
mod keys;
mod purge;
pub(crate) mod reload;
pub(crate) mod settle;
pub(crate) mod watch;

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::app::App;

/// Starts every task that needs the state alone.
pub(crate) fn spawn(app: &Arc<App>) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(control::follow(Arc::clone(app))),
        tokio::spawn(keys::keep(Arc::clone(app))),
        tokio::spawn(feed::publish(Arc::clone(app))),
        tokio::spawn(purge::keep(Arc::clone(app))),
    ]
}
