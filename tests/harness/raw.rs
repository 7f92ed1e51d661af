//! HTTP/1.1 over a TLS connection that the test holds in its hand: for requests that no library
//! would send, and for connections that stay open while the world around them changes.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Form;

/// The longest wait for a reply.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to a server.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Connection {
    /// Connects to `https://host:port` and ends the handshake.
    pub async fn open(url: &str, config: Arc<ClientConfig>) -> Result<Self> {
        let address = url.strip_prefix("https://").expect("an https URL");
        let (host, _) = address.rsplit_once(':').expect("a port");
        let name = ServerName::try_from(host.to_owned()).map_err(Error::other)?;
        let tcp = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Writes bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Sends a request with these header lines and this body, and reads the reply.
    pub async fn request(&mut self, first: &str, headers: &[&str], body: &[u8]) -> Result<Reply> {
        let mut head = format!("{first} HTTP/1.1\r\nhost: localhost\r\n");
        for line in headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.send([head.as_bytes(), body].concat()).await?;
        self.reply().await
    }

    /// Posts a form.
    pub async fn post(&mut self, path: &str, form: &Form) -> Result<Reply> {
        let headers = ["content-type: application/x-www-form-urlencoded"];
        self.request(&format!("POST {path}"), &headers, form.encoded().as_bytes())
            .await
    }

    /// Reads one reply, or says that the connection has ended.
    pub async fn reply(&mut self) -> Result<Reply> {
        let read = tokio::time::timeout(PATIENCE, self.read_reply()).await;
        read.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    async fn read_reply(&mut self) -> Result<Reply> {
        let end = loop {
            match self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.more().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |text| text.trim().parse().unwrap());
        while self.unread.len() < end + length {
            self.more().await?;
        }
        let rest = self.unread.split_off(end + length);
        let body = String::from_utf8_lossy(&self.unread[end..]).into_owned();
        self.unread = rest;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Error::other("no status line"))?;
        Ok(Reply { status, head, body })
    }

    async fn more(&mut self) -> Result<()> {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.unread.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }
}
