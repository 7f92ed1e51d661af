use std::io;
use std::net::SocketAddr;

/// Why a lab service could not be made or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make the {what} certificate")]
    Certificate {
        /// Which one.
        what: &'static str,
        /// What the encoder said.
        source: rcgen::Error,
    },
    /// A key could not be generated or read.
    #[error("cannot make a {what} key")]
    Key {
        /// Which one.
        what: &'static str,
    },
    /// An issuer path that is no path.
    #[error("`{path}` is no issuer path: it is empty, or begins with `/` and does not end with it")]
    IssuerPath {
        /// What was given.
        path: String,
    },
    /// The lab listens on this machine only.
    #[error("refusing to listen on {address}: the lab listens on loopback addresses only")]
    NotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The environment says that this is production.
    #[error("refusing to start a lab service: DAYFLY_ENV is `{value}`")]
    Production {
        /// What `DAYFLY_ENV` says.
        value: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// A name that is no SPIFFE ID or no trust domain.
    #[error("`{text}` cannot be part of a SPIFFE ID: {reason}")]
    SpiffeId {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A blocking step of the start did not end.
    #[error("the start was interrupted")]
    Interrupted,
    /// A server's TLS configuration that cannot work.
    #[error("cannot set up the server's TLS: {reason}")]
    ServerConfig {
        /// What is wrong.
        reason: String,
    },
    /// A TLS configuration that rustls refuses.
    #[error("cannot set up TLS")]
    Tls {
        /// What rustls said.
        source: rustls::Error,
    },
    /// The certificates given as client roots are none.
    #[error("the client roots are no usable PEM certificates: {reason}")]
    ClientRoots {
        /// What is wrong with them.
        reason: String,
    },
}
