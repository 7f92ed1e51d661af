//! The three listeners: public, operations, and the admin socket.

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use dayfly_issuer::Rng;
use dayfly_verifier::tls;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::bounded::Bounded;
use super::open::StartError;
use super::state::App;
use crate::http::{self, Problem, SocketPeer};
use crate::rim::SystemRng;
use crate::tasks::reload::Reloader;

/// Connections beside those of feed subscribers. About 20 KiB each.
const CONNECTIONS: usize = 8192;

/// The listeners, bound.
pub(super) struct Bound {
    pub(super) public: TcpListener,
    pub(super) operations: TcpListener,
    pub(super) admin: Option<(UnixListener, PathBuf)>,
}

/// The listeners, serving.
pub(super) struct Served {
    pub(super) public: SocketAddr,
    pub(super) operations: SocketAddr,
    pub(super) operations_tls: bool,
    pub(super) admin_socket: Option<PathBuf>,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

pub(super) fn serve(app: &Arc<App>, reloader: &Arc<Reloader>, bound: Bound) -> Served {
    let Bound {
        public,
        operations,
        admin,
    } = bound;
    let at = |listener: &TcpListener| {
        listener
            .local_addr()
            .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
    };
    let (public_at, operations_at) = (at(&public), at(&operations));
    let mut tasks = vec![serve_public(app, reloader, public)];
    let plain = operations_at.ip().is_loopback() || app.config().listen.danger_plain_operations;
    tasks.push(if plain {
        serve_plain(app, operations)
    } else {
        serve_operations(app, reloader, operations)
    });
    let admin_socket = admin.map(|(listener, path)| {
        tasks.push(serve_admin(app, listener));
        path
    });
    Served {
        public: public_at,
        operations: operations_at,
        operations_tls: !plain,
        admin_socket,
        tasks,
    }
}

fn serve_public(app: &Arc<App>, reloader: &Arc<Reloader>, listener: TcpListener) -> JoinHandle<()> {
    let config = app.config();
    let mut limits = tls::Limits::default();
    limits.max_age = config.limits.connection_age.get();
    limits.max_connections = CONNECTIONS + config.limits.feed_subscribers as usize;
    let current = reloader.tls();
    let server = tls::Server::new(listener, move || current.load_full()).limits(limits);
    let stopping = app.stopping.clone();
    let router = http::public(app);
    tokio::spawn(async move { server.serve(router, stopping.cancelled_owned()).await })
}

fn serve_operations(
    app: &Arc<App>,
    reloader: &Arc<Reloader>,
    listener: TcpListener,
) -> JoinHandle<()> {
    let current = reloader.operations_tls();
    let server = tls::Server::new(listener, move || current.load_full());
    let stopping = app.stopping.clone();
    let router = http::operations(app);
    tokio::spawn(async move { server.serve(router, stopping.cancelled_owned()).await })
}

/// Plain HTTP, for this machine.
fn serve_plain(app: &Arc<App>, listener: TcpListener) -> JoinHandle<()> {
    let stopping = app.stopping.clone();
    let router = http::operations(app);
    tokio::spawn(async move {
        let serving = axum::serve(Bounded::new(listener), router)
            .with_graceful_shutdown(stopping.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "the operations listener ended");
        }
    })
}

fn serve_admin(app: &Arc<App>, listener: UnixListener) -> JoinHandle<()> {
    let stopping = app.stopping.clone();
    let router: Router = http::socket(app).layer(from_fn(only_this_user));
    let service = router.into_make_service_with_connect_info::<SocketPeer>();
    tokio::spawn(async move {
        let serving =
            axum::serve(listener, service).with_graceful_shutdown(stopping.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "the admin socket ended");
        }
    })
}

impl Connected<IncomingStream<'_, UnixListener>> for SocketPeer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        // An id that nobody has stands for one that cannot be told.
        let uid = stream.io().peer_cred().map_or(u32::MAX, |peer| peer.uid());
        Self { uid }
    }
}

/// The mode of the file says who may connect, the kernel who did.
async fn only_this_user(mut request: Request, next: Next) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketPeer>>()
        .map(|info| info.0);
    match peer {
        Some(peer) if is_trusted(peer.uid) => {
            request.extensions_mut().insert(peer);
            next.run(request).await
        }
        _ => {
            tracing::warn!(
                uid = peer.map(|peer| peer.uid),
                "refused a user of the admin socket"
            );
            Problem::forbidden().into_response()
        }
    }
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Binds the admin socket. It is never there with another mode than 0600: it is made in a folder
/// that only its owner can enter, and then moved.
pub(super) fn bind_admin(path: &Path) -> Result<(UnixListener, PathBuf), StartError> {
    let failed = |source| StartError::Bind {
        at: path.display().to_string(),
        source,
    };
    free(path).map_err(failed)?;
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut bytes = [0; 4];
    SystemRng.fill(&mut bytes);
    let private = parent.join(format!(".d{:08x}", u32::from_be_bytes(bytes)));
    let bound = (|| {
        std::fs::DirBuilder::new().recursive(true).create(parent)?;
        std::fs::DirBuilder::new().mode(0o700).create(&private)?;
        let temporary = private.join("s");
        let listener = UnixListener::bind(&temporary)?;
        std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&temporary, path)?;
        Ok(listener)
    })();
    let _ = std::fs::remove_dir_all(&private);
    Ok((bound.map_err(failed)?, path.to_owned()))
}

/// A socket that nobody listens on is a remnant; anything else is left alone.
fn free(path: &Path) -> std::io::Result<()> {
    use std::io::{Error, ErrorKind};
    let about = match std::fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !about.file_type().is_socket() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        ));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Error::new(
            ErrorKind::AddrInUse,
            "another process serves there",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_a_remnant_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let (first, _) = bind_admin(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(
            bind_admin(&path).is_err(),
            "one that is served is left alone"
        );
        drop(first);
        assert!(bind_admin(&path).is_ok());
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing else is left behind");
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(bind_admin(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    /// Over the real socket: the kernel says who is there, and nobody else gets in.
    #[tokio::test]
    async fn the_operator_of_this_machine_gets_in() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let world = crate::http::tests::World::new().await;
        let path = world.running.admin_socket().unwrap();
        let mut stream = tokio::net::UnixStream::connect(path).await.unwrap();
        let request = "GET /v1/revocations HTTP/1.1\r\nhost: dayfly\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("{\"holds\":[]}"), "{answer}");
        let socket = path.to_owned();
        world.running.shutdown().await;
        assert!(!socket.exists());
    }

    #[test]
    fn only_this_user_and_root() {
        let own = rustix::process::geteuid().as_raw();
        assert!(is_trusted(own) && is_trusted(0));
        assert!(!is_trusted(own.wrapping_add(1).max(1)) && !is_trusted(u32::MAX));
    }
}
