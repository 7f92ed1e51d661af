//! One connection to one life of one server.
//!
//! Why not the client library's `ConnectionManager`: it reconnects behind the caller's back, and
//! nothing can look at the server between the reconnect and the next command. Here the identity
//! of the server is read on every connect and belongs to the connection, so a command is never
//! sent to a server that nobody has looked at.

use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, RedisError, ServerError, ServerErrorKind, Value,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::config::{Place, Target};
use super::script::SCRIPTS;
use crate::error::Unfit;

/// Commands that wait in memory for the socket. The next ones wait in their callers.
const QUEUED_COMMANDS: usize = 256;

/// The oldest Redis with `XADD … MINID` and `SET … EXAT`.
const OLDEST: (u32, u32) = (6, 2);

/// A connection. Clones share it; it closes with the last of them.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    driver: Arc<Driver>,
    store: Arc<str>,
    durable_log: bool,
}

/// The task that moves the bytes. It must not outlive the connection: a blocked server would
/// keep it for ever.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why there is no link.
#[derive(Debug)]
pub(super) enum LinkError {
    /// The server cannot be reached now.
    Lost(String),
    /// The server refuses us; trying again will not help.
    Refused(String),
    /// The server cannot serve as a ledger.
    Unfit(Unfit),
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(reason) | Self::Refused(reason) => f.write_str(reason),
            Self::Unfit(unfit) => unfit.fmt(f),
        }
    }
}

impl Link {
    /// Connects, authenticates, looks at the server and loads the scripts. Bounded by the caller.
    pub(super) async fn open(target: &Target) -> Result<Self, LinkError> {
        let lost = |error: std::io::Error| LinkError::Lost(error.to_string());
        match &target.place {
            Place::Tcp { host, port } => {
                let stream = tcp(host, *port).await.map_err(lost)?;
                Self::over(stream, target).await
            }
            Place::Tls {
                host,
                port,
                name,
                config,
            } => {
                let stream = tcp(host, *port).await.map_err(lost)?;
                let stream = TlsConnector::from(config.clone())
                    .connect(name.clone(), stream)
                    .await
                    .map_err(lost)?;
                Self::over(stream, target).await
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(lost)?;
                Self::over(stream, target).await
            }
        }
    }

    async fn over<S>(stream: S, target: &Target) -> Result<Self, LinkError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Every wait is bounded here, by deadlines that also cover what comes before the send.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUED_COMMANDS);
        let (mut connection, driver) =
            MultiplexedConnection::new_with_config(&target.settings, stream, config)
                .await
                .map_err(|error| refusal(&error))?;
        let driver = Arc::new(Driver(tokio::spawn(driver)));
        let mut setup = ::redis::pipe();
        setup.cmd("INFO");
        for script in SCRIPTS.all() {
            setup.add_command(script.load());
        }
        let answers: Vec<Value> = setup
            .query_async(&mut connection)
            .await
            .map_err(|error| refusal(&error))?;
        let info: String = answers
            .into_iter()
            .next()
            .and_then(|answer| ::redis::from_redis_value(answer).ok())
            .ok_or_else(|| LinkError::Lost("Redis gives no INFO".to_owned()))?;
        let info = Info(&info);
        info.check().map_err(LinkError::Unfit)?;
        Ok(Self {
            connection,
            driver,
            store: info.store().map_err(LinkError::Unfit)?.into(),
            durable_log: info.field("aof_enabled") == Some("1"),
        })
    }

    /// Which life of which server this is: `run_id.master_replid`.
    pub(super) fn store(&self) -> &str {
        &self.store
    }

    /// Whether the server writes an append-only file.
    pub(super) fn has_durable_log(&self) -> bool {
        self.durable_log
    }

    pub(super) fn is_closed(&self) -> bool {
        self.driver.0.is_finished()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.driver, &other.driver)
    }

    /// Sends one command and waits for its answer. Never sends it twice, except that a script
    /// which the server does not know is loaded first: then nothing had run.
    pub(super) async fn run(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = self.connection.clone();
        match command.query_async(&mut connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut load = ::redis::pipe();
                for script in SCRIPTS.all() {
                    load.add_command(script.load());
                }
                load.query_async::<Value>(&mut connection).await?;
                command.query_async(&mut connection).await
            }
            outcome => outcome,
        }
    }

    /// Sends commands together and waits for all answers.
    pub(super) async fn run_all(
        &self,
        commands: &::redis::Pipeline,
    ) -> Result<Vec<Value>, RedisError> {
        commands.query_async(&mut self.connection.clone()).await
    }
}

async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Small commands are answered one by one; waiting to fill a packet only costs time.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What INFO says.
struct Info<'a>(&'a str);

impl Info<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            (field == name).then(|| value.trim())
        })
    }

    fn wanted(&self, field: &'static str) -> Result<&str, Unfit> {
        self.field(field)
            .filter(|value| !value.is_empty())
            .ok_or(Unfit::Silent { field })
    }

    fn store(&self) -> Result<String, Unfit> {
        Ok(format!(
            "{}.{}",
            self.wanted("run_id")?,
            self.wanted("master_replid")?
        ))
    }

    fn check(&self) -> Result<(), Unfit> {
        let version = self.wanted("redis_version")?;
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        let found = (parts.next().flatten(), parts.next().flatten());
        if (found.0.unwrap_or(0), found.1.unwrap_or(0)) < OLDEST {
            return Err(Unfit::Old {
                version: version.to_owned(),
            });
        }
        match self.wanted("redis_mode")? {
            "standalone" => {}
            mode => {
                return Err(Unfit::Mode {
                    mode: mode.to_owned(),
                });
            }
        }
        if self.wanted("role")? != "master" {
            return Err(Unfit::Replica);
        }
        match self.wanted("maxmemory_policy")? {
            "noeviction" => Ok(()),
            policy => Err(Unfit::Evicts {
                policy: policy.to_owned(),
            }),
        }
    }
}

/// Sorts an error of the set-up: is it worth trying again?
fn refusal(error: &RedisError) -> LinkError {
    let reason = reason(error);
    let answered = answered(error);
    match answered.as_ref().map(ServerError::code) {
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => LinkError::Refused(reason),
        _ if error.kind() == ErrorKind::AuthenticationFailed => LinkError::Refused(reason),
        _ => LinkError::Lost(reason),
    }
}

/// What the server said: to a command, or to the first of several that it refused.
fn answered(error: &RedisError) -> Option<ServerError> {
    let errors = error.clone().into_server_errors()?;
    errors.first().map(|(_, error)| error.clone())
}

/// Whether the connection is of no further use after `error`.
pub(super) fn breaks_link(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        // A primary that became a replica: its clients must look for the new one.
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// What went wrong, without anything that was sent: neither passwords nor records.
pub(super) fn reason(error: &RedisError) -> String {
    let answered = answered(error);
    let Some(code) = answered.as_ref().map(ServerError::code) else {
        return match error.kind() {
            ErrorKind::AuthenticationFailed => WRONG_PASSWORD.to_owned(),
            ErrorKind::Io => error.to_string(),
            _ => error.category().to_owned(),
        };
    };
    match code {
        "WRONGPASS" => WRONG_PASSWORD.to_owned(),
        "NOAUTH" => "Redis wants a password".to_owned(),
        "NOPERM" => "the Redis user lacks a permission".to_owned(),
        "OOM" => "the memory of Redis is full".to_owned(),
        "LOADING" => "Redis is loading its data".to_owned(),
        "READONLY" => "Redis became a replica".to_owned(),
        "MISCONF" => "Redis cannot save its data and refuses writes".to_owned(),
        "ERR" => {
            let details = answered.as_ref().and_then(ServerError::details);
            format!("Redis answered: {}", outline(details))
        }
        code => format!("Redis answered {}", outline(Some(code))),
    }
}

const WRONG_PASSWORD: &str = "Redis refuses the user or the password";

/// The beginning of an error text. What follows `with args` repeats what was sent.
fn outline(detail: Option<&str>) -> String {
    const LONGEST: usize = 160;
    let detail = detail.unwrap_or("an error");
    let (before, _) = detail.split_once("with args").unwrap_or((detail, ""));
    before
        .chars()
        .filter(|character| !character.is_control())
        .take(LONGEST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(changes: &[(&str, &str)]) -> String {
        let mut fields = vec![
            ("redis_version", "7.0.15"),
            ("redis_mode", "standalone"),
            ("run_id", "aa"),
            ("role", "master"),
            ("master_replid", "bb"),
            ("maxmemory_policy", "noeviction"),
        ];
        for (name, value) in changes {
            fields.retain(|(field, _)| field != name);
            fields.push((name, value));
        }
        let lines = fields
            .iter()
            .map(|(name, value)| format!("{name}:{value}\r\n"));
        format!("# Server\r\n{}", lines.collect::<String>())
    }

    #[test]
    fn a_server_that_can_hold_a_ledger_is_told_from_one_that_cannot() {
        let check = |changes: &[(&str, &str)]| Info(&info(changes)).check();
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("redis_version", "6.2.0")]), Ok(()));
        assert!(matches!(
            check(&[("redis_version", "6.0.16")]),
            Err(Unfit::Old { .. })
        ));
        assert!(matches!(
            check(&[("redis_version", "x")]),
            Err(Unfit::Old { .. })
        ));
        assert!(matches!(
            check(&[("redis_mode", "cluster")]),
            Err(Unfit::Mode { .. })
        ));
        assert_eq!(check(&[("role", "slave")]), Err(Unfit::Replica));
        assert!(matches!(
            check(&[("maxmemory_policy", "allkeys-lru")]),
            Err(Unfit::Evicts { .. })
        ));
        assert_eq!(
            check(&[("maxmemory_policy", "")]),
            Err(Unfit::Silent {
                field: "maxmemory_policy"
            })
        );
        assert_eq!(Info(&info(&[])).store(), Ok("aa.bb".to_owned()));
    }

    #[test]
    fn error_texts_do_not_repeat_what_was_sent() {
        assert_eq!(
            outline(Some(
                "unknown command 'X', with args beginning with: 'secret'"
            )),
            "unknown command 'X', "
        );
        assert_eq!(outline(Some("a\r\nb")), "ab");
        assert_eq!(outline(Some(&"x".repeat(1000))).len(), 160);
    }
}
