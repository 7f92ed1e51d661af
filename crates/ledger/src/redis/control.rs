//! The control state on Redis: loading, writing and the generation.

use std::time::Duration;

use ::redis::Value;
use dayfly_issuer::{ControlState, ControlWrite, LedgerError, Position};
use dayfly_token::UnixTime;

use super::RedisLedger;
use super::keys::{CONTROL, LAYOUT, PARTITIONS};
use super::line::{CONNECT_WAIT, Deadline, open_within};
use super::script::{SCRIPTS, number, strange, text, time_ms};
use super::trust::{Store, changed};
use crate::limits::{self, CONTROL_LOG_CAP, MAX_CONTROL_BATCH, MAX_CONTROL_SLOTS, MAX_SKEW_MS};
use crate::position;

/// The longest load. Nobody's request waits for it, and a million slots take about a second.
const LOAD_WAIT: Duration = Duration::from_secs(5);

/// The times of a raise are whole seconds, so they may differ by one more than the clocks.
const MAX_RAISE_SKEW_SECS: u64 = MAX_SKEW_MS / 1000 + 1;

fn control_keys() -> [String; 4] {
    [
        CONTROL.head(),
        CONTROL.slots(),
        CONTROL.slot_expiry(),
        CONTROL.control_stream(),
    ]
}

impl RedisLedger {
    /// Reads everything on a connection of its own, so that the identity is of this very read and
    /// no request waits behind a large answer.
    pub(super) async fn load(&self) -> Result<ControlState, LedgerError> {
        let link = open_within(&self.target, CONNECT_WAIT)
            .await
            .map_err(|error| LedgerError::Unavailable {
                reason: error.to_string(),
            })?;
        let known = self.trust.known();
        let mut command = SCRIPTS.load.on(&control_keys());
        command
            .arg(position::new_epoch()?)
            .arg(LAYOUT)
            .arg(PARTITIONS)
            .arg(link.store())
            .arg(&known.store.server)
            .arg(&known.store.epoch)
            .arg(known.generation)
            .arg(u8::from(known.went_back));
        let answer = self
            .line
            .run(&link, &command, Deadline::after(LOAD_WAIT))
            .await?;
        let loaded = Loaded::read(answer).ok_or_else(|| strange("load"))??;
        let store = Store {
            server: link.store().to_owned(),
            epoch: loaded.epoch,
        };
        if !self.trust.loaded(&store, loaded.generation, &known) {
            return Err(changed(link.store()));
        }
        if known.store != Store::default() && known.store != store {
            tracing::warn!(
                redis = %self.target.place,
                generation = loaded.generation,
                "the ledger is another one than before"
            );
        }
        self.keep_control_link(link);
        Ok(ControlState {
            generation: loaded.generation,
            generation_since: loaded.since,
            identity: store.identity(),
            entries: loaded.entries,
            position: position::format(&store.epoch, loaded.seq),
            store_ms: loaded.store_ms,
        })
    }

    pub(super) async fn write(
        &self,
        generation: u64,
        entries: &[ControlWrite],
    ) -> Result<Position, LedgerError> {
        limits::check_entries(entries)?;
        let wait = self.timeout.saturating_mul(limits::shares(entries.len()));
        let deadline = Deadline::after(wait);
        let Some(store) = self.trust.store() else {
            return Err(self.no_store(deadline).await);
        };
        let mut command = SCRIPTS.write.on(&control_keys());
        command
            .arg(generation)
            .arg(&store.epoch)
            .arg(CONTROL_LOG_CAP)
            .arg(MAX_CONTROL_SLOTS);
        for entry in entries {
            command
                .arg(&entry.slot)
                .arg(entry.until.as_secs())
                .arg(&entry.sealed);
        }
        let link = self.link_to(&store, deadline).await?;
        let answer = self.line.run(&link, &command, deadline).await?;
        let reply = SCRIPTS.write.reply(answer)?;
        match reply.word() {
            "ok" => Ok(position::format(&store.epoch, reply.count(0)?)),
            "generation" => {
                let found = reply.count(0)?;
                if found == 0 {
                    self.trust.lost(&store);
                }
                Err(LedgerError::Generation {
                    ours: generation,
                    store: found,
                })
            }
            "replaced" => {
                self.trust.lost(&store);
                Err(changed(link.store()))
            }
            "full" => Err(LedgerError::Unavailable {
                reason: format!("the control state has {MAX_CONTROL_SLOTS} entries already"),
            }),
            _ => Err(reply.unexpected()),
        }
    }

    pub(super) async fn raise(&self, from: u64, now: UnixTime) -> Result<u64, LedgerError> {
        let deadline = self.deadline();
        let Some(store) = self.trust.store() else {
            return Err(self.no_store(deadline).await);
        };
        let mut command = SCRIPTS.raise.on(&[CONTROL.head()]);
        command
            .arg(from)
            .arg(&store.epoch)
            .arg(now.as_secs())
            .arg(MAX_RAISE_SKEW_SECS);
        let link = self.link_to(&store, deadline).await?;
        let answer = self.line.run(&link, &command, deadline).await?;
        let reply = SCRIPTS.raise.reply(answer)?;
        match reply.word() {
            "ok" => {
                let raised = reply.count(0)?;
                self.trust.raised(&store, raised);
                tracing::info!(generation = raised, "raised the ledger's generation");
                Ok(raised)
            }
            "generation" => {
                let found = reply.count(0)?;
                self.trust.raised(&store, found);
                Err(LedgerError::Generation {
                    ours: from,
                    store: found,
                })
            }
            "replaced" => {
                self.trust.lost(&store);
                Err(changed(link.store()))
            }
            "skew" => Err(LedgerError::ClockSkew {
                skew_ms: reply.integer(0)?,
            }),
            _ => Err(reply.unexpected()),
        }
    }
}

/// What `load` returned.
struct Loaded {
    epoch: String,
    generation: u64,
    since: UnixTime,
    seq: u64,
    store_ms: u64,
    entries: Vec<Vec<u8>>,
}

impl Loaded {
    /// Nothing if the answer is in no known form; an error if it says what we cannot work with.
    fn read(answer: Value) -> Option<Result<Self, LedgerError>> {
        let Value::Array(parts) = answer else {
            return None;
        };
        let [Value::Array(head), time, Value::Array(slots)] = <[Value; 3]>::try_from(parts).ok()?
        else {
            return None;
        };
        let [layout, partitions, epoch, generation, since, seq] = head.as_slice() else {
            return None;
        };
        let found = (number(layout)?, number(partitions)?);
        if found != (u64::from(LAYOUT), u64::from(PARTITIONS)) {
            return Some(Err(LedgerError::Corrupt {
                what: format!(
                    "layout {} of {} partitions, which this version does not know",
                    found.0, found.1
                ),
            }));
        }
        let entries = slots
            .into_iter()
            .map(|slot| match slot {
                Value::BulkString(sealed) => Some(sealed),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Ok(Self {
            epoch: text(epoch)?.to_owned(),
            generation: number(generation)?,
            since: UnixTime::from_secs(number(since)?),
            seq: number(seq)?,
            store_ms: time_ms(&time)?,
            entries,
        }))
    }
}

const _: () = assert!(
    MAX_CONTROL_BATCH * 3 + 16 < 1_000_000,
    "Redis takes a million arguments"
);
