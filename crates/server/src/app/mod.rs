//! The server: everything wired, started and stopped.

mod bounded;
mod control;
mod listeners;
mod open;
mod state;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

pub use control::ControlWriteError;
pub use open::StartError;
pub(crate) use state::{App, Progress};

use crate::audit;
use crate::config::Config;
use crate::tasks::reload::{ReloadReport, Reloader};

/// How long requests under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the audit trail may take to be written out.
const AUDIT_DRAIN: Duration = Duration::from_secs(5);

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration.
    pub config: Config,
    /// The main file that it came from; a reload reads it again. Without it a reload reads only
    /// the files that the configuration names.
    pub file: Option<PathBuf>,
    /// Whether files and folders are watched and reloaded when they change.
    pub watch: bool,
}

impl Settings {
    /// A configuration that was put together in code.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            file: None,
            watch: true,
        }
    }

    /// The main file `path`.
    ///
    /// # Errors
    /// Every mistake in the file, with its line.
    pub fn load(path: &Path) -> Result<Self, crate::config::ConfigErrors> {
        Ok(Self {
            config: Config::load(path)?,
            file: Some(path.to_owned()),
            watch: true,
        })
    }
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens everything, binds the listeners and begins to serve. Issuing begins as soon as the
    /// first keys are published ([`Running::ready`]).
    ///
    /// # Errors
    /// If the configuration, a file that it names, the ledger or a listener is unusable.
    pub async fn start(settings: Settings) -> Result<Running, StartError> {
        open::start(settings).await
    }
}

/// A server that serves. Dropping it stops everything at once; [`Running::shutdown`] does it in
/// order.
pub struct Running {
    pub(crate) app: Arc<App>,
    reloader: Arc<Reloader>,
    public: SocketAddr,
    operations: SocketAddr,
    operations_tls: bool,
    admin_socket: Option<PathBuf>,
    listeners: Vec<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    audit: Option<audit::Writer>,
}

impl Running {
    /// The issuer, which is also the base of the public URLs.
    #[must_use]
    pub fn public_url(&self) -> &str {
        self.app.issuer_url.as_str()
    }

    /// The base of `/livez`, `/readyz` and `/metrics`.
    #[must_use]
    pub fn operations_url(&self) -> String {
        let scheme = if self.operations_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.operations)
    }

    /// Where the public listener is bound.
    #[must_use]
    pub const fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// Where the operations listener is bound.
    #[must_use]
    pub const fn operations_address(&self) -> SocketAddr {
        self.operations
    }

    /// Where the admin socket is.
    #[must_use]
    pub fn admin_socket(&self) -> Option<&Path> {
        self.admin_socket.as_deref()
    }

    /// Why the server takes no new work; empty when it is ready.
    #[must_use]
    pub fn unready(&self) -> Vec<String> {
        self.app.unready()
    }

    /// Waits until the server is ready.
    ///
    /// # Errors
    /// After `wait`: why it is not.
    pub async fn ready(&self, wait: Duration) -> Result<(), Vec<String>> {
        let step = Duration::from_millis(5);
        let waiting = async {
            while !self.app.unready().is_empty() {
                tokio::time::sleep(step).await;
            }
        };
        tokio::time::timeout(wait, waiting)
            .await
            .map_err(|_| self.app.unready())
    }

    /// Reads configuration, registry, guardrails, bundles, issuers and certificates again. What is
    /// not good keeps its last good state.
    pub async fn reload(&self) -> ReloadReport {
        Reloader::reload(&self.reloader).await
    }

    /// Stops taking requests, lets those under way finish within 10 s, ends the leases of the
    /// keys, and writes out the audit trail.
    pub async fn shutdown(mut self) {
        tracing::info!("stopping");
        self.app.stopping.cancel();
        let listeners = std::mem::take(&mut self.listeners);
        let drained = tokio::time::timeout(DRAIN + Duration::from_secs(1), async {
            for listener in listeners {
                let _ = listener.await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!("requests were cut off after the time for draining");
        }
        self.app.drain().await;
        self.stop_tasks();
        // Until the last of them is gone, the embedded ledger is open.
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await;
        }
        self.app.audit.close().await;
        if let Some(writer) = self.audit.take() {
            let _ = tokio::task::spawn_blocking(move || writer.finish(AUDIT_DRAIN)).await;
        }
        tracing::info!("stopped");
    }

    fn stop_tasks(&self) {
        for task in self.tasks.iter().chain(&self.listeners) {
            task.abort();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.app.stopping.cancel();
        self.stop_tasks();
        if let Some(path) = &self.admin_socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Serves until SIGTERM or SIGINT; SIGHUP reloads. For the command line.
///
/// # Errors
/// If the server cannot start, or signals cannot be waited for.
pub async fn serve(settings: Settings) -> Result<(), StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |source| StartError::Signals { source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let running = Server::start(settings).await?;
    tracing::info!(
        issuer = running.public_url(),
        public = %running.public_address(),
        operations = %running.operations_address(),
        "serving"
    );
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Beside the loop: a file system that hangs must not keep SIGTERM from being heard.
            _ = hangup.recv() => {
                let reloader = Arc::clone(&running.reloader);
                tokio::spawn(async move { Reloader::reload(&reloader).await });
            }
        }
    }
    running.shutdown().await;
    Ok(())
}
