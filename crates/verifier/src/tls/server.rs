use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dayfly_token::SpiffeId;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_service::Service;
use tracing::{debug, info, warn};

use super::activity::{Activity, BusyBody};
use super::dispensable::{Dispensable, Place};
use crate::rim::now;
use crate::x509::MAX_CHAIN;
use crate::{PeerCertificate, svid};

/// Pause after an accept that failed for want of descriptors or memory: a loop without it would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Pause before another idle connection gives way, if the last one has not ended yet.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// The address at the other end of the connection: a request extension that [`Server`] sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// What one listener spends on strangers.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Longest TLS handshake: several round trips on a bad line.
    pub handshake_timeout: Duration,
    /// Most handshakes under way; the oldest gives way to the newest.
    pub max_half_open: usize,
    /// Most connections at all. For one more, the one that was idle for longest gives way; while none is idle,
    /// newcomers wait in the kernel's queue. About 20 KiB each.
    pub max_connections: usize,
    /// Longest wait for the next request head over HTTP/1.1, idle time included.
    pub header_read_timeout: Duration,
    /// Longest time without a request under way, over HTTP/2 as well, which answers to pings do not prolong.
    pub idle_timeout: Duration,
    /// Most bytes of a request head: room for a 16 KiB token.
    pub max_header_bytes: usize,
    /// Most requests at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Time between pings on HTTP/2; a peer that does not answer one within the same time is gone.
    pub keep_alive_interval: Duration,
    /// Longest life of a connection, which keeps its peer's identity for as long. A client certificate that
    /// expires before ends it earlier.
    pub max_age: Duration,
    /// Time for requests under way when a connection ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            max_half_open: 256,
            max_connections: 8192,
            header_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            max_header_bytes: 32 * 1024,
            max_concurrent_streams: 128,
            keep_alive_interval: Duration::from_secs(20),
            max_age: Duration::from_secs(600),
            drain: Duration::from_secs(10),
        }
    }
}

/// An HTTPS server, HTTP/1.1 and HTTP/2, for any tower service and so for an `axum::Router`.
///
/// Requests carry the extensions [`PeerAddress`] and, where the client showed a certificate, [`PeerCertificate`].
///
/// How long a handler may take, and how large a body may be, is the service's matter: give it a timeout and a limit,
/// because a request whose body never ends keeps its connection for [`Limits::max_age`].
pub struct Server {
    listener: TcpListener,
    config: Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>,
    limits: Limits,
    names_peers: bool,
}

impl Server {
    /// A server on `listener`. `config` is asked anew for each connection, so that certificates and trust can
    /// change while it runs.
    ///
    /// The configuration's client verifier vouches for the SPIFFE IDs that requests carry: it must verify a
    /// chain against the bundle of the leaf's own trust domain. If it accepts more than that (any certificate,
    /// pooled roots), call [`Server::without_spiffe_ids`].
    pub fn new(
        listener: TcpListener,
        config: impl Fn() -> Arc<ServerConfig> + Send + Sync + 'static,
    ) -> Self {
        Self {
            listener,
            config: Arc::new(config),
            limits: Limits::default(),
            names_peers: true,
        }
    }

    /// Other limits.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Leaves the SPIFFE ID out of [`PeerCertificate`]: thumbprints still bind tokens, names do not.
    #[must_use]
    pub const fn without_spiffe_ids(mut self) -> Self {
        self.names_peers = false;
        self
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` comes back, then lets requests under way end within [`Limits::drain`].
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Self {
            listener,
            config,
            limits,
            names_peers,
        } = self;
        let places = Arc::new(Semaphore::new(limits.max_connections));
        let half_open = Dispensable::new(limits.max_half_open);
        let idle = Dispensable::new(usize::MAX);
        let (ending, ends) = watch::channel(());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = accept(&listener, &places, &idle) => accepted,
            };
            let Some((stream, address, place)) = accepted else {
                continue;
            };
            let connection = Connection {
                handshake: half_open.begin(),
                idle: Arc::clone(&idle),
                acceptor: TlsAcceptor::from(config()),
                address,
                limits,
                names_peers,
                ending: ends.clone(),
            };
            let service = service.clone();
            tokio::spawn(async move {
                connection.run(stream, service).await;
                drop(place);
            });
        }
        drop((listener, ends));
        let _ = ending.send(());
        // Every connection holds a receiver until it has ended, and none outlives its drain time by much.
        let _ = timeout(limits.drain + limits.handshake_timeout, ending.closed()).await;
    }
}

/// One accepted connection with its place, or `None` after a failure that concerns nobody else.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    idle: &Dispensable,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    match listener.accept().await {
        Ok((stream, address)) => {
            // Answers are written whole; waiting to fill a segment only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, address, free_place(places, idle).await?))
        }
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => {
            warn!(%error, "cannot accept connections");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// A place for one more: whoever opens connections and leaves them idle keeps nobody out.
async fn free_place(places: &Arc<Semaphore>, idle: &Dispensable) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Some(place);
        }
        idle.give_up_oldest();
        if let Ok(place) = timeout(FULL_PAUSE, Arc::clone(places).acquire_owned()).await {
            return place.ok();
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

struct Connection {
    handshake: Place,
    idle: Arc<Dispensable>,
    acceptor: TlsAcceptor,
    address: SocketAddr,
    limits: Limits,
    names_peers: bool,
    ending: watch::Receiver<()>,
}

impl Connection {
    async fn run<S, B>(mut self, stream: TcpStream, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Some(stream) = self.shake_hands(stream).await else {
            return;
        };
        let Self {
            handshake,
            idle,
            address,
            limits,
            mut ending,
            names_peers,
            ..
        } = self;
        drop(handshake);
        let Ok(peer) = peer_of(&stream, names_peers) else {
            return;
        };
        let life = life_of(peer.as_ref(), limits.max_age);
        let peer = peer.map(|peer| peer.certificate);
        let service = TowerToHyperService::new(service);
        let activity = Activity::new(idle);
        let busy = activity.clone();
        let http = http_of(&stream, &limits);
        let with_peer = service_fn(move |mut request: Request<Incoming>| {
            let busy = busy.begin();
            request.extensions_mut().insert(PeerAddress(address));
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            let answer = hyper::service::Service::call(&service, request);
            async move {
                answer
                    .await
                    .map(|answer| answer.map(|body| BusyBody::new(body, busy)))
            }
        });
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), with_peer));
        tokio::select! {
            ended = connection.as_mut() => return log_end(address, ended),
            () = activity.given_up() => return debug!(%address, "idle connection gave way to newer ones"),
            () = activity.idle_for(limits.idle_timeout) => {}
            () = tokio::time::sleep(life) => {}
            _ = ending.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        match timeout(limits.drain, connection).await {
            Ok(ended) => log_end(address, ended),
            Err(_) => debug!(%address, "connection cut after its drain time"),
        }
    }

    async fn shake_hands(&mut self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let address = self.address;
        let handshake = timeout(self.limits.handshake_timeout, self.acceptor.accept(stream));
        tokio::select! {
            done = handshake => match done {
                Ok(Ok(stream)) => Some(stream),
                Ok(Err(error)) => {
                    log_failure(address, &error);
                    None
                }
                Err(_) => {
                    debug!(%address, "TLS handshake took too long");
                    None
                }
            },
            () = self.handshake.given_up() => {
                debug!(%address, "TLS handshake gave way to newer ones");
                None
            }
            _ = self.ending.changed() => None,
        }
    }
}

/// A refused certificate is somebody's mistake to be found, and at most one line a second: strangers can make as many
/// as they like.
fn log_failure(address: SocketAddr, error: &io::Error) {
    static LAST_LINE_SECS: AtomicU64 = AtomicU64::new(0);
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let refused = matches!(inner, Some(rustls::Error::InvalidCertificate(_)));
    let second = now().as_secs();
    if refused && LAST_LINE_SECS.swap(second, Ordering::Relaxed) != second {
        info!(%address, %error, "refused a client certificate");
    } else {
        debug!(%address, %error, "TLS handshake failed");
    }
}

struct Peer {
    certificate: PeerCertificate,
    not_after_secs: Option<u64>,
}

/// The peer's certificate, `None` without one.
fn peer_of(stream: &TlsStream<TcpStream>, names_peers: bool) -> Result<Option<Peer>, ()> {
    let Some(chain) = stream.get_ref().1.peer_certificates() else {
        return Ok(None);
    };
    if chain.len() > MAX_CHAIN {
        debug!(certificates = chain.len(), "the peer's chain is too long");
        return Err(());
    }
    let leaf = chain.first().map_or(&[][..], |leaf| leaf.as_ref());
    let spiffe_id: Option<SpiffeId> = if names_peers {
        svid::identity_of(leaf).ok()
    } else {
        None
    };
    let not_after_secs = svid::not_after_secs(leaf);
    let chain = chain
        .iter()
        .map(|certificate| certificate.to_vec())
        .collect();
    Ok(
        PeerCertificate::new(chain, spiffe_id).map(|certificate| Peer {
            certificate,
            not_after_secs,
        }),
    )
}

/// A connection ends with its peer's certificate: TLS looks at it once, in the handshake.
fn life_of(peer: Option<&Peer>, max_age: Duration) -> Duration {
    let Some(not_after_secs) = peer.and_then(|peer| peer.not_after_secs) else {
        return max_age;
    };
    let left = not_after_secs.saturating_sub(crate::rim::now().as_secs());
    max_age.min(Duration::from_secs(left))
}

/// HTTP/2 or HTTP/1.1 as ALPN settled it: to look at the first bytes instead would wait for them without a timer.
fn http_of(stream: &TlsStream<TcpStream>, limits: &Limits) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => builder.http2_only(),
        _ => builder.http1_only(),
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER_BYTES));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive_interval)
        .keep_alive_timeout(limits.keep_alive_interval)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
    builder
}

/// hyper panics under this buffer size.
const MIN_BUFFER_BYTES: usize = 8192;

fn log_end(address: SocketAddr, ended: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(%address, %error, "connection ended with an error");
    }
}
