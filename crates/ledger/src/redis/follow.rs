//! Following the control stream on a connection of its own.

use std::sync::PoisonError;
use std::time::Duration;

use ::redis::Value;
use dayfly_issuer::{ControlBatch, LedgerError, Position};

use super::RedisLedger;
use super::keys::CONTROL;
use super::line::{CONNECT_WAIT, Deadline, open_within};
use super::link::{Link, reason};
use super::script::{number, strange, text, time_ms};
use super::trust::changed;
use crate::limits::{MAX_FOLLOW_BATCH, MAX_FOLLOW_WAIT_SECS};
use crate::position;

/// A follower that cannot connect waits at least so long, so that its loop cannot spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

impl RedisLedger {
    pub(super) async fn follow(
        &self,
        after: &Position,
        wait: Duration,
    ) -> Result<ControlBatch, LedgerError> {
        let wait = wait.min(Duration::from_secs(MAX_FOLLOW_WAIT_SECS));
        let deadline = Deadline::after(wait + self.timeout);
        let Some(store) = self.trust.store() else {
            return Err(self.no_store(deadline).await);
        };
        // A position of another epoch was never in this stream.
        let Some(seq) = position::parse(after, &store.epoch) else {
            return Err(LedgerError::Gap);
        };
        let link = self.control_link(&store.server, wait).await?;
        if link.store() != store.server {
            self.trust.lost(&store);
            return Err(changed(link.store()));
        }
        // While this waits, the link is in nobody else's hands; dropped half way, it is closed.
        let mut seen = read(&link, seq, wait, deadline).await?;
        // Flushed, or an older copy put back: the connection alone would not tell.
        if seen.epoch != store.epoch {
            self.trust.lost(&store);
            return Err(changed(link.store()));
        }
        if seen.seq < seq {
            self.trust.went_back(&store);
            return Err(changed(link.store()));
        }
        if seen.entries.is_empty() && seen.seq > seq {
            // Written between the wait and the look at the head, or no longer in the stream.
            seen = read(&link, seq, Duration::ZERO, deadline).await?;
            if seen.entries.is_empty() {
                return Err(LedgerError::Gap);
            }
        }
        if seen
            .entries
            .iter()
            .zip(seq + 1..)
            .any(|((at, _), next)| *at != next)
        {
            return Err(LedgerError::Gap);
        }
        self.keep_control_link(link);
        let last = seen.entries.last().map_or(seq, |(at, _)| *at);
        Ok(ControlBatch {
            entries: seen
                .entries
                .into_iter()
                .map(|(at, sealed)| (position::format(&store.epoch, at), sealed))
                .collect(),
            position: position::format(&store.epoch, last),
            store_ms: seen.store_ms,
        })
    }

    /// Keeps a link for the next follow.
    pub(super) fn keep_control_link(&self, link: Link) {
        let mut kept = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(link);
    }

    /// The kept link if it leads to `server`, else a fresh one, wherever that leads.
    async fn control_link(&self, server: &str, wait: Duration) -> Result<Link, LedgerError> {
        let kept = self
            .control
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(link) = kept.filter(|link| !link.is_closed() && link.store() == server) {
            return Ok(link);
        }
        let bound = (wait + self.timeout).min(CONNECT_WAIT);
        match open_within(&self.target, bound).await {
            Ok(link) => Ok(link),
            Err(error) => {
                tokio::time::sleep(wait.min(FAILURE_PAUSE)).await;
                Err(LedgerError::Unavailable {
                    reason: error.to_string(),
                })
            }
        }
    }
}

/// One look at the stream and at the head behind it.
struct Seen {
    entries: Vec<(u64, Vec<u8>)>,
    seq: u64,
    epoch: String,
    store_ms: u64,
}

async fn read(
    link: &Link,
    after: u64,
    wait: Duration,
    deadline: Deadline,
) -> Result<Seen, LedgerError> {
    let mut commands = ::redis::pipe();
    let xread = commands.cmd("XREAD").arg("COUNT").arg(MAX_FOLLOW_BATCH);
    // BLOCK 0 would wait for ever.
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    if millis > 0 {
        xread.arg("BLOCK").arg(millis);
    }
    xread
        .arg("STREAMS")
        .arg(CONTROL.control_stream())
        .arg(format!("{after}-0"));
    commands
        .cmd("HMGET")
        .arg(CONTROL.head())
        .arg("epoch")
        .arg("seq");
    commands.cmd("TIME");
    let answers = deadline
        .bound(link.run_all(&commands))
        .await?
        .map_err(|error| LedgerError::Unavailable {
            reason: reason(&error),
        })?;
    let [stream, Value::Array(head), time] = answers.as_slice() else {
        return Err(strange("XREAD"));
    };
    let [epoch, seq] = head.as_slice() else {
        return Err(strange("HMGET"));
    };
    Ok(Seen {
        entries: entries(stream).ok_or_else(|| strange("XREAD"))?,
        // A head that is gone has no epoch, which is nobody's.
        epoch: text(epoch).unwrap_or_default().to_owned(),
        seq: number(seq).unwrap_or_default(),
        store_ms: time_ms(time).ok_or_else(|| strange("TIME"))?,
    })
}

/// `[[key, [[id, [field, sealed]], …]]]`, or nil when nothing came.
fn entries(answer: &Value) -> Option<Vec<(u64, Vec<u8>)>> {
    let streams = match answer {
        Value::Nil => return Some(Vec::new()),
        Value::Array(streams) => streams,
        _ => return None,
    };
    let [Value::Array(stream)] = streams.as_slice() else {
        return None;
    };
    let [_, Value::Array(found)] = stream.as_slice() else {
        return None;
    };
    found.iter().map(entry).collect()
}

fn entry(value: &Value) -> Option<(u64, Vec<u8>)> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [id, Value::Array(fields)] = parts.as_slice() else {
        return None;
    };
    let [_, Value::BulkString(sealed)] = fields.as_slice() else {
        return None;
    };
    let seq = text(id)?.strip_suffix("-0")?.parse().ok()?;
    Some((seq, sealed.clone()))
}
