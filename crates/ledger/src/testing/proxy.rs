use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A TCP proxy whose line can be cut, frozen or slowed down.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    line: Mutex<Line>,
    /// Counts the cuts; each ends every connection that is open.
    cuts: watch::Sender<u64>,
    frozen: watch::Sender<bool>,
}

#[derive(Default)]
struct Line {
    /// Reply bytes that still pass before the next cut.
    left: Option<usize>,
    delay: Duration,
    refusing: bool,
}

impl Proxy {
    /// A proxy on loopback that passes everything on to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port on loopback");
        let address = listener.local_addr().expect("the address of the proxy");
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            line: Mutex::new(Line::default()),
            cuts: watch::Sender::new(0),
            frozen: watch::Sender::new(false),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://127.0.0.1:<port>` through the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Leads new connections to another server.
    pub fn retarget(&self, target: SocketAddr) {
        *lock(&self.shared.target) = target;
    }

    /// Cuts every connection once `bytes` more bytes of replies have passed, over all
    /// connections; connections made after that work. The requests are let through.
    pub fn cut_after(&self, bytes: usize) {
        lock(&self.shared.line).left = Some(bytes);
    }

    /// Takes back a cut that has not come yet.
    pub fn mend(&self) {
        let mut line = lock(&self.shared.line);
        line.left = None;
        line.refusing = false;
    }

    /// Cuts every connection now.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Cuts every connection now, and every new one at once, until [`Proxy::mend`].
    pub fn refuse(&self) {
        lock(&self.shared.line).refusing = true;
        self.shared.cut();
    }

    /// Holds back everything in both directions, and lets it go again.
    pub fn freeze(&self, frozen: bool) {
        self.shared.frozen.send_replace(frozen);
    }

    /// Lets each piece of a reply wait.
    pub fn delay(&self, delay: Duration) {
        lock(&self.shared.line).delay = delay;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.cut();
    }
}

impl Shared {
    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How many of `bytes` may pass, and whether the line is cut after them.
    fn admit(&self, bytes: usize) -> (usize, bool) {
        let mut line = lock(&self.line);
        match line.left {
            Some(left) if bytes >= left => {
                line.left = None;
                (left, true)
            }
            Some(left) => {
                line.left = Some(left - bytes);
                (bytes, false)
            }
            None => (bytes, false),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if lock(&shared.line).refusing {
            continue;
        }
        tokio::spawn(connect(client, shared.clone()));
    }
}

async fn connect(client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let target = *lock(&shared.target);
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = requests(from_client, to_server, &shared) => {}
        () = replies(from_server, to_client, &shared) => {}
        _ = cuts.changed() => {}
    }
}

async fn thawed(shared: &Shared) {
    let mut frozen = shared.frozen.subscribe();
    // The sender lives as long as `shared`.
    let _ = frozen.wait_for(|frozen| !frozen).await;
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        thawed(shared).await;
        let piece = buffer.get(..length).unwrap_or_default();
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

async fn replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let delay = lock(&shared.line).delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        thawed(shared).await;
        let (passing, cut) = shared.admit(length);
        let piece = buffer.get(..passing).unwrap_or_default();
        let written = to.write_all(piece).await;
        if cut {
            // What was written arrives before the end of the line does.
            let _ = to.shutdown().await;
            shared.cut();
        }
        if cut || written.is_err() {
            return;
        }
    }
}
