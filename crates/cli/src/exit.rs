//! How the command ends: the exit statuses are part of the interface.

use std::fmt;
use std::process::ExitCode;

/// The exit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: it was done, or the credential was accepted.
    Done,
    /// 1: refused: the credential was rejected, or the issuer said no.
    Refused,
    /// 2: the call, a file or the configuration is wrong.
    Usage,
    /// 3: the issuer cannot be reached or cannot answer now; the same call may pass later.
    Unavailable,
    /// 4: dayfly itself failed.
    Internal,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 3,
            Exit::Internal => 4,
        })
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// A stable code, for `-o json`.
    pub(crate) code: String,
    /// What happened, with its causes.
    pub(crate) message: String,
    /// The decision that `dayfly why` explains.
    pub(crate) decision_id: Option<String>,
    /// What to do next.
    pub(crate) advice: Option<String>,
}

impl Failure {
    fn new(exit: Exit, code: &str, message: String) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message,
            decision_id: None,
            advice: None,
        }
    }

    /// The call or what it names is wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, "usage", message.to_string())
    }

    /// A file cannot be used.
    pub(crate) fn file(path: &std::path::Path, error: impl Into<anyhow::Error>) -> Self {
        let error = error
            .into()
            .context(format!("`{}` cannot be used", path.display()));
        Self::new(Exit::Usage, "file", format!("{error:#}"))
    }

    /// Something that should not happen.
    pub(crate) fn internal(what: &str, error: impl Into<anyhow::Error>) -> Self {
        let error = error.into().context(what.to_owned());
        Self::new(Exit::Internal, "internal", format!("{error:#}"))
    }

    /// With a hint.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl From<dayfly_client::ClientError> for Failure {
    fn from(error: dayfly_client::ClientError) -> Self {
        let exit = if error.is_temporary() {
            Exit::Unavailable
        } else if error.refusal().is_some() {
            Exit::Refused
        } else {
            Exit::Usage
        };
        let code = error.code().unwrap_or("failed").to_owned();
        let decision_id = error.decision_id().map(str::to_owned);
        let advice = error.advice().map(str::to_owned);
        Self {
            exit,
            code,
            decision_id,
            advice,
            message: format!("{:#}", anyhow::Error::new(error)),
        }
    }
}
