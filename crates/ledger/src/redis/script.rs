//! The scripts: each is one atomic step, checks before writes.

use std::sync::LazyLock;

use ::redis::{Cmd, Value};
use dayfly_issuer::LedgerError;

/// A script and the name under which Redis keeps it.
pub(super) struct Script {
    name: &'static str,
    source: String,
    sha: String,
}

/// All scripts, so that a fresh connection can load them in one round trip.
pub(super) struct Scripts {
    pub(super) decision: Script,
    pub(super) denial: Script,
    pub(super) load: Script,
    pub(super) raise: Script,
    pub(super) record: Script,
    pub(super) void: Script,
    pub(super) write: Script,
}

const AUDIT: &str = include_str!("scripts/audit.lua");
const FORGET: &str = include_str!("scripts/forget.lua");

pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    decision: Script::new("decision", &[include_str!("scripts/decision.lua")]),
    denial: Script::new("denial", &[AUDIT, include_str!("scripts/denial.lua")]),
    load: Script::new("load", &[FORGET, include_str!("scripts/load.lua")]),
    raise: Script::new("raise", &[include_str!("scripts/raise.lua")]),
    record: Script::new("record", &[AUDIT, include_str!("scripts/record.lua")]),
    void: Script::new("void", &[include_str!("scripts/void.lua")]),
    write: Script::new("write", &[FORGET, include_str!("scripts/write.lua")]),
});

impl Scripts {
    pub(super) fn all(&self) -> [&Script; 7] {
        [
            &self.decision,
            &self.denial,
            &self.load,
            &self.raise,
            &self.record,
            &self.void,
            &self.write,
        ]
    }
}

impl Script {
    fn new(name: &'static str, parts: &[&str]) -> Self {
        let source = parts.concat();
        let sha = ::redis::Script::new(&source).get_hash().to_owned();
        Self { name, source, sha }
    }

    /// The command that makes Redis know the script.
    pub(super) fn load(&self) -> Cmd {
        let mut command = ::redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.source);
        command
    }

    /// The command that runs it on `keys`; its arguments are added by the caller.
    pub(super) fn on(&self, keys: &[String]) -> Cmd {
        let mut command = ::redis::cmd("EVALSHA");
        command.arg(&self.sha).arg(keys.len()).arg(keys);
        command
    }

    /// Reads what the script returned: a word, then what the word brings along.
    pub(super) fn reply(&self, value: Value) -> Result<Reply, LedgerError> {
        let Value::Array(items) = value else {
            return Err(self.strange());
        };
        let mut items = items.into_iter();
        let Some(Value::BulkString(word)) = items.next() else {
            return Err(self.strange());
        };
        Ok(Reply {
            script: self.name,
            word: String::from_utf8(word).map_err(|_| self.strange())?,
            rest: items.collect(),
        })
    }

    fn strange(&self) -> LedgerError {
        strange(self.name)
    }
}

/// An answer that no version of this code gives.
pub(super) fn strange(what: &str) -> LedgerError {
    LedgerError::Corrupt {
        what: format!("the answer to `{what}`"),
    }
}

/// What a script returned.
pub(super) struct Reply {
    script: &'static str,
    word: String,
    rest: Vec<Value>,
}

impl Reply {
    pub(super) fn word(&self) -> &str {
        &self.word
    }

    pub(super) fn unexpected(&self) -> LedgerError {
        strange(self.script)
    }

    pub(super) fn integer(&self, at: usize) -> Result<i64, LedgerError> {
        match self.rest.get(at) {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(self.unexpected()),
        }
    }

    /// An integer that is no negative number.
    pub(super) fn count(&self, at: usize) -> Result<u64, LedgerError> {
        u64::try_from(self.integer(at)?).map_err(|_| self.unexpected())
    }

    pub(super) fn text(&self, at: usize) -> Result<String, LedgerError> {
        match self.rest.get(at) {
            Some(Value::BulkString(bytes)) => {
                String::from_utf8(bytes.clone()).map_err(|_| self.unexpected())
            }
            _ => Err(self.unexpected()),
        }
    }
}

/// The text of a bulk string.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// The number that a bulk string spells, or that an integer is.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        other => text(other)?.parse().ok(),
    }
}

/// The answer to TIME in milliseconds.
pub(super) fn time_ms(value: &Value) -> Option<u64> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [secs, micros] = parts.as_slice() else {
        return None;
    };
    number(secs)?
        .checked_mul(1000)?
        .checked_add(number(micros)? / 1000)
}
