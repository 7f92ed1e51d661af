use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to answer after its start.
const START_WAIT: Duration = Duration::from_secs(10);
const START_POLL: Duration = Duration::from_millis(10);

/// Ports are taken and let go before the server binds them; somebody else may be faster.
const START_ATTEMPTS: usize = 5;

/// A `redis-server` child process with a directory and a port of its own, killed on drop.
///
/// The program is the one that `DAYFLY_REDIS_SERVER` names, else the one on the path.
pub struct RedisServer {
    child: Child,
    directory: TempDir,
    port: u16,
    arguments: Vec<String>,
    tls: Option<TlsFiles>,
}

/// The PEM files of a server that speaks TLS only.
#[derive(Clone)]
pub struct TlsFiles {
    /// The server's certificate chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The CA that clients must have a certificate of, if they must.
    pub client_ca: Option<PathBuf>,
}

impl RedisServer {
    /// A server that keeps nothing on disk.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with further command-line arguments, such as `["--appendonly", "yes"]`.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::launch(arguments, None)
    }

    /// A server that speaks TLS only.
    #[must_use]
    pub fn start_tls(files: TlsFiles, arguments: &[&str]) -> Self {
        Self::launch(arguments, Some(files))
    }

    fn launch(arguments: &[&str], tls: Option<TlsFiles>) -> Self {
        let directory = TempDir::new().expect("a temporary directory for redis-server");
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        for _ in 0..START_ATTEMPTS {
            let port = free_port();
            let mut child = spawn(directory.path(), port, &arguments, tls.as_ref());
            if answers(&mut child, port) {
                return Self {
                    child,
                    directory,
                    port,
                    arguments,
                    tls,
                };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!(
            "redis-server does not start with {arguments:?}: {}",
            std::fs::read_to_string(directory.path().join("log")).unwrap_or_default()
        );
    }

    /// `redis://127.0.0.1:<port>`, or `rediss://localhost:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        match self.tls {
            Some(_) => format!("rediss://localhost:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops the process where it is: connections stay open and nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("redis-server takes a signal");
    }

    /// Kills the process; the port refuses from then on.
    pub fn kill(&mut self) {
        self.child.kill().expect("redis-server can be killed");
        self.child.wait().expect("redis-server ends");
    }

    /// Starts a killed server again on the same port, with what it had left on disk.
    pub fn start_again(&mut self) {
        let files = self.tls.clone();
        self.child = spawn(
            self.directory.path(),
            self.port,
            &self.arguments,
            files.as_ref(),
        );
        if !answers(&mut self.child, self.port) {
            panic!("redis-server does not start again on port {}", self.port);
        }
    }

    /// Kills the server and starts it again with what it had left on disk: nothing, unless it
    /// was started with `--appendonly yes`.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Writes everything to disk, kills the server and starts it again with it.
    pub fn restart_with_data(&mut self) {
        self.command(&["SAVE"]);
        self.restart();
    }

    /// Runs a command, such as `["FLUSHALL"]`, on a plain-text server.
    pub fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).expect("the URL of redis-server");
        let mut connection = client
            .get_connection_with_timeout(START_WAIT)
            .expect("a connection to redis-server");
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command
            .query(&mut connection)
            .unwrap_or_else(|error| panic!("redis-server refuses {words:?}: {error}"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port on loopback")
        .port()
}

fn spawn(directory: &Path, port: u16, arguments: &[String], tls: Option<&TlsFiles>) -> Child {
    let program = std::env::var("DAYFLY_REDIS_SERVER").unwrap_or("redis-server".to_owned());
    let mut command = Command::new(&program);
    match tls {
        None => {
            command.args(["--port", &port.to_string()]);
        }
        Some(files) => {
            command
                .args(["--port", "0", "--tls-port", &port.to_string()])
                .arg("--tls-cert-file")
                .arg(&files.cert)
                .arg("--tls-key-file")
                .arg(&files.key);
            match &files.client_ca {
                Some(ca) => command.arg("--tls-ca-cert-file").arg(ca),
                None => command
                    .args(["--tls-auth-clients", "no", "--tls-ca-cert-file"])
                    .arg(&files.cert),
            };
        }
    }
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--logfile", "log", "--dir"])
        .arg(directory)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => panic!(
            "the tests need redis-server: install it with `sudo apt-get install redis-server`"
        ),
        Err(error) => panic!("`{program}` cannot be run: {error}"),
    }
}

/// Waits until the server accepts connections, which it does once its data is read; not so if it
/// ends before.
fn answers(child: &mut Child, port: u16) -> bool {
    let polls = START_WAIT.as_millis() / START_POLL.as_millis();
    for _ in 0..polls {
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return false;
        }
        if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        std::thread::sleep(START_POLL);
    }
    false
}
