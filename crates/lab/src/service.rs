use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use dayfly_verifier::tls::Server;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{LabError, guard};

/// How long `stop` waits for open requests before it cuts them: tests and the demo have none that take longer.
const DRAIN: Duration = Duration::from_secs(2);

/// A server on loopback that stops when this is dropped.
pub(crate) struct Service {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// A listener whose address is known, so that the router can name it.
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Bound {
    pub(crate) async fn new(address: SocketAddr) -> Result<Self, LabError> {
        let listener = guard::listen(address).await?;
        let address = listener
            .local_addr()
            .map_err(|source| LabError::Bind { address, source })?;
        Ok(Self { listener, address })
    }

    /// Serves `router`: over TLS with `config`, in the clear without.
    pub(crate) fn serve(self, router: Router, config: Option<Arc<ServerConfig>>) -> Service {
        let Self { listener, address } = self;
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            // A dropped sender stops the service as well.
            let _ = stopped.await;
        };
        let task = tokio::spawn(async move {
            match config {
                Some(config) => {
                    Server::new(listener, move || Arc::clone(&config))
                        .serve(router, shutdown)
                        .await;
                }
                None => {
                    let served = axum::serve(listener, router)
                        .with_graceful_shutdown(shutdown)
                        .await;
                    if let Err(error) = served {
                        tracing::warn!(%address, %error, "a lab service ended");
                    }
                }
            }
        });
        Service {
            address,
            stop: Some(stop),
            task: Some(task),
        }
    }
}

impl Service {
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, and waits a moment for what is under way.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(DRAIN, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}
