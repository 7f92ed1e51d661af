//! Mistakes in the configuration, each with its place and what to write instead.

use std::fmt;
use std::path::{Path, PathBuf};

use super::place::{Places, line_at};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The key, for example `ledger.redis`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// Every mistake that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// A mistake before it has a place: the key and the message.
pub(super) struct Mistake {
    pub(super) key: String,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}

impl ConfigErrors {
    pub(super) fn one(path: &Path, line: Option<usize>, key: String, message: String) -> Self {
        Self(vec![ConfigError {
            path: path.to_owned(),
            line,
            key,
            message,
        }])
    }

    /// The message of the TOML reader, without the lines around it: they may hold what is no
    /// business of a log.
    pub(super) fn toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_at(text, span.start));
        Self::one(path, line, String::new(), error.message().to_owned())
    }

    pub(super) fn of(path: &Path, places: &Places, mistakes: Vec<Mistake>) -> Self {
        let placed = mistakes
            .into_iter()
            .map(|Mistake { key, message }| ConfigError {
                path: path.to_owned(),
                line: places.line_of(&key),
                key,
                message,
            });
        Self(placed.collect())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
impl std::error::Error for ConfigErrors {}
