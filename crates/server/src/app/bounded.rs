//! A plain listener with a bound on its connections. The public listener has its own bounds; this
//! one shares file descriptors and memory with it, so strangers to one must not starve the other.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Probes and scrapers: each has one or two.
const CONNECTIONS: usize = 64;

/// How long a connection may say nothing: longer than any probe or scraper pauses.
const SILENCE: Duration = Duration::from_secs(90);

/// At most [`CONNECTIONS`] at a time, each with at most [`SILENCE`].
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    silence: Duration,
}

/// One connection.
pub(super) struct Placed {
    stream: TcpStream,
    silence: Duration,
    silent: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            silence: SILENCE,
        }
    }
}

impl Listener for Bounded {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        // Who finds no place waits in the kernel's queue. The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let placed = Placed {
            stream,
            silence: self.silence,
            silent: Box::pin(tokio::time::sleep(self.silence)),
            _place: place,
        };
        (placed, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            this.silent.as_mut().reset(Instant::now() + this.silence);
            return Poll::Ready(read);
        }
        ready!(this.silent.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn connections_are_counted_and_silent_ones_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut bounded = Bounded::new(listener);
        bounded.places = Arc::new(Semaphore::new(1));
        bounded.silence = Duration::from_millis(20);
        let at = bounded.local_addr().unwrap();
        let _clients = (
            TcpStream::connect(at).await.unwrap(),
            TcpStream::connect(at).await.unwrap(),
        );
        let (mut first, _) = bounded.accept().await;
        let early = tokio::time::timeout(Duration::from_millis(20), bounded.accept()).await;
        assert!(early.is_err(), "there is one place");
        let ended = first.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        drop(first);
        let _second = bounded.accept().await;
    }
}
