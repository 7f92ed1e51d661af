//! The ledger on Redis.

mod config;
mod control;
mod follow;
mod keys;
mod line;
mod link;
mod script;
mod trust;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::redis::{Cmd, Value};
use dayfly_issuer::{
    Commit, ControlBatch, ControlState, ControlWrite, Issuance, Ledger, LedgerError, LedgerFuture,
    Position,
};
use dayfly_token::{CredentialId, DecisionId, UnixTime, WorkloadId};

use self::config::Target;
pub use self::config::{Ack, ClientIdentity, RedisConfig, RedisUrl};
use self::keys::{Outcome, Partition};
use self::line::{Deadline, Line};
use self::link::{Link, LinkError};
use self::script::{SCRIPTS, strange};
use self::trust::{Store, Trust, changed};
use crate::error::OpenError;
use crate::limits::{
    self, AUDIT_KEPT_SECS, AuditCaps, MAX_DENIALS_AT_ONCE, MAX_LIVE_READ, MAX_SKEW_MS,
};
use crate::packed::{self, Packed};
use tokio::sync::Semaphore;

/// The ledger on a Redis that several replicas share.
///
/// What a request waits for goes over one multiplexed connection and ends within
/// [`RedisConfig::timeout`]; the control stream has a connection of its own. (A second connection
/// for commits gains nothing: Redis runs one script after another.) Nothing is sent twice: a call
/// whose connection breaks fails, and its caller may send the same [`Commit::attempt`] once more.
///
/// [`Ledger::record`], [`Ledger::write_control`], [`Ledger::follow_control`] and
/// [`Ledger::raise_generation`] answer [`LedgerError::StoreChanged`] before the first
/// [`Ledger::load_control`], and from the moment at which the server is another one, restarted,
/// was flushed or went back in time, until the next [`Ledger::load_control`]. That load also sees
/// to it that the generation was raised since the change, above the last one that was known here:
/// nothing that was decided before the change is recorded after it. Who loads must write back what
/// it knows before it issues again.
///
/// The Redis user needs the keys `{df*` and the commands INFO, SCRIPT LOAD, EVALSHA and what the
/// scripts call, GET, HMGET, TIME, XREAD and ZREVRANGEBYSCORE.
pub struct RedisLedger {
    line: Line,
    target: Arc<Target>,
    /// The connection of the control stream while nobody waits on it.
    control: Mutex<Option<Link>>,
    trust: Trust,
    denials: Semaphore,
    timeout: Duration,
    caps: AuditCaps,
}

impl RedisLedger {
    /// Connects to a Redis. One that cannot be reached now is no error: calls fail until it can.
    ///
    /// # Errors
    /// If the configuration is unusable, or a Redis that answers refuses this replica or cannot
    /// serve as a ledger.
    pub async fn connect(config: RedisConfig) -> Result<Self, OpenError> {
        let target = Arc::new(Target::new(&config)?);
        let ledger = Self {
            line: Line::new(target.clone()),
            control: Mutex::new(None),
            trust: Trust::new(),
            denials: Semaphore::new(MAX_DENIALS_AT_ONCE),
            timeout: target.timeout,
            caps: AuditCaps::default(),
            target,
        };
        match ledger.line.open().await {
            Ok(link) => ledger.warn_if_volatile(&link).await,
            Err(LinkError::Lost(reason)) => {
                tracing::warn!(redis = %ledger.target.place, %reason, "cannot reach the ledger yet");
            }
            Err(LinkError::Refused(reason)) => return Err(OpenError::Refused { reason }),
            Err(LinkError::Unfit(unfit)) => return Err(unfit.into()),
        }
        Ok(ledger)
    }

    /// With other caps on the audit lines.
    #[must_use]
    pub fn with_audit_caps(mut self, caps: AuditCaps) -> Self {
        self.caps = caps;
        self
    }

    /// A restart of such a server forgets everything; replicas that live on write it back.
    async fn warn_if_volatile(&self, link: &Link) {
        if link.has_durable_log() {
            return;
        }
        let mut command = ::redis::cmd("CONFIG");
        command.arg("GET").arg("save");
        // Hosted servers refuse CONFIG; then there is nothing to say.
        if let Ok(Value::Array(answer)) = self
            .line
            .run(link, &command, Deadline::after(self.timeout))
            .await
            && let [_, saves] = answer.as_slice()
            && script::text(saves) == Some("")
        {
            tracing::warn!(
                redis = %self.target.place,
                "Redis keeps nothing on disk: after a restart, only what living replicas know is written back"
            );
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout)
    }

    /// Runs a command that needs no particular life of the store.
    async fn ask(&self, command: &Cmd) -> Result<Value, LedgerError> {
        let deadline = self.deadline();
        let link = self.line.link(deadline).await?;
        self.line.run(&link, command, deadline).await
    }

    /// A link to the server of `store`. A link to another is replaced once: it may be the one
    /// that is out of date.
    async fn link_to(&self, store: &Store, deadline: Deadline) -> Result<Link, LedgerError> {
        let mut link = self.line.link(deadline).await?;
        if link.store() != store.server {
            self.line.give_up(&link);
            link = self.line.link(deadline).await?;
        }
        if link.store() != store.server {
            self.trust.lost(store);
            return Err(changed(link.store()));
        }
        Ok(link)
    }

    /// The error for a call that needs a store, and there is none that it may use.
    async fn no_store(&self, deadline: Deadline) -> LedgerError {
        match self.line.link(deadline).await {
            Ok(link) => changed(link.store()),
            Err(error) => error,
        }
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<(), LedgerError> {
        limits::check_commit(&commit)?;
        let deadline = self.deadline();
        let Some(store) = self.trust.store() else {
            return Err(self.no_store(deadline).await);
        };
        let command = self.record_command(&commit, &store)?;
        let link = self.link_to(&store, deadline).await?;
        let answer = self.line.run(&link, &command, deadline).await?;
        let reply = SCRIPTS.record.reply(answer)?;
        match reply.word() {
            "ok" => Ok(()),
            "generation" => {
                let found = reply.count(0)?;
                if found == 0 {
                    self.trust.lost(&store);
                }
                Err(LedgerError::Generation {
                    ours: commit.generation,
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
            "replayed" => Err(LedgerError::Replayed),
            "taken" => Err(taken()),
            "limited" => {
                let which = usize::try_from(reply.count(0)?).unwrap_or(usize::MAX);
                let limit = commit.limits.get(which).ok_or_else(|| reply.unexpected())?;
                Err(LedgerError::RateLimited {
                    key: limit.key.clone(),
                    retry_after_ms: reply.count(1)?,
                })
            }
            _ => Err(reply.unexpected()),
        }
    }

    fn record_command(&self, commit: &Commit<'_>, store: &Store) -> Result<Cmd, LedgerError> {
        let issuance = commit.issuance;
        let home = Partition::of(issuance.id.partition());
        let mut keys = vec![
            home.head(),
            home.issuance(issuance.id),
            home.live(&issuance.workload),
            home.audit(Outcome::Permit),
            home.decisions(Outcome::Permit),
        ];
        keys.extend(commit.replay.map(|mark| home.mark(&mark.digest)));
        keys.extend(commit.limits.iter().map(|limit| home.limit(&limit.key)));
        let mut command = SCRIPTS.record.on(&keys);
        command
            .arg(commit.generation)
            .arg(&store.epoch)
            .arg(commit.unix_ms)
            .arg(MAX_SKEW_MS)
            .arg(&commit.attempt)
            .arg(packed::pack(issuance, &commit.attempt, commit.unix_ms)?)
            .arg(limits::record_kept_until(issuance.expires_at))
            .arg(packed::live_member(commit.unix_ms, issuance.id))
            .arg(limits::lives_until(issuance.expires_at))
            .arg(commit.decision.as_bytes())
            .arg(commit.audit)
            .arg(self.caps.permits)
            .arg(AUDIT_KEPT_SECS * 1000)
            .arg(match commit.replay {
                Some(mark) => limits::mark_kept_until(mark.until).to_string(),
                None => String::new(),
            });
        for limit in commit.limits {
            let (interval_ms, burst) = limits::rate(limit.interval_ms, limit.burst);
            command.arg(interval_ms).arg(burst);
        }
        Ok(command)
    }

    async fn packed(&self, id: CredentialId) -> Result<Option<Vec<u8>>, LedgerError> {
        let mut command = ::redis::cmd("GET");
        command.arg(Partition::of(id.partition()).issuance(id));
        match self.ask(&command).await? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            _ => Err(strange("GET")),
        }
    }

    async fn mark_void(&self, id: CredentialId) -> Result<(), LedgerError> {
        let Some(bytes) = self.packed(id).await? else {
            return Ok(());
        };
        let packed = Packed::read(&bytes)?;
        let home = Partition::of(id.partition());
        let live = home.live(&packed.issuance()?.workload);
        let mut command = SCRIPTS.void.on(&[home.issuance(id), live]);
        command.arg(packed.live_member(id));
        let reply = SCRIPTS.void.reply(self.ask(&command).await?)?;
        match reply.word() {
            "ok" => Ok(()),
            _ => Err(reply.unexpected()),
        }
    }

    async fn newest_of(
        &self,
        workload: &WorkloadId,
        now: UnixTime,
        most: usize,
    ) -> Result<Vec<CredentialId>, LedgerError> {
        // P = 1: a workload has one home. With more, its index is spread and this asks each.
        let mut command = ::redis::cmd("ZREVRANGEBYSCORE");
        command
            .arg(keys::CONTROL.live(workload))
            .arg("+inf")
            .arg(format!("({}", now.as_secs()))
            .arg("LIMIT")
            .arg(0)
            .arg(MAX_LIVE_READ);
        let Value::Array(found) = self.ask(&command).await? else {
            return Err(strange("ZREVRANGEBYSCORE"));
        };
        let mut members: Vec<Vec<u8>> = found
            .into_iter()
            .filter_map(|value| match value {
                Value::BulkString(member) => Some(member),
                _ => None,
            })
            .collect();
        // By the instant of their commit, which stands first in a member.
        members.sort_unstable_by(|a, b| b.cmp(a));
        members
            .iter()
            .take(most)
            .map(|member| packed::member_id(member).ok_or_else(|| strange("ZREVRANGEBYSCORE")))
            .collect()
    }

    async fn append_denial(&self, id: DecisionId, line: &str) -> Result<(), LedgerError> {
        limits::check_line(line)?;
        let _place = self
            .denials
            .try_acquire()
            .map_err(limits::too_many_denials)?;
        let home = Partition::of(id.partition());
        let mut command = SCRIPTS
            .denial
            .on(&[home.audit(Outcome::Denial), home.decisions(Outcome::Denial)]);
        command
            .arg(id.as_bytes())
            .arg(line)
            .arg(self.caps.denials)
            .arg(AUDIT_KEPT_SECS * 1000);
        let reply = SCRIPTS.denial.reply(self.ask(&command).await?)?;
        match reply.word() {
            "ok" => Ok(()),
            _ => Err(reply.unexpected()),
        }
    }

    async fn line_of(&self, id: DecisionId) -> Result<Option<String>, LedgerError> {
        let home = Partition::of(id.partition());
        // A permit whose credential was not released has a denial's line as well, the last word.
        let mut command = SCRIPTS.decision.on(&[
            home.decisions(Outcome::Denial),
            home.audit(Outcome::Denial),
            home.decisions(Outcome::Permit),
            home.audit(Outcome::Permit),
        ]);
        command.arg(id.as_bytes());
        let reply = SCRIPTS.decision.reply(self.ask(&command).await?)?;
        match reply.word() {
            "ok" => reply.text(0).map(Some),
            "none" => Ok(None),
            _ => Err(reply.unexpected()),
        }
    }
}

/// The id of a new credential is drawn from 120 random bits, so this is a fault, not bad luck.
pub(crate) fn taken() -> LedgerError {
    LedgerError::Corrupt {
        what: "another issuance under the id of a new credential".to_owned(),
    }
}

impl std::fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RedisLedger({})", self.target.place)
    }
}

impl Ledger for RedisLedger {
    fn record<'a>(&'a self, commit: Commit<'a>) -> LedgerFuture<'a, ()> {
        Box::pin(self.commit(commit))
    }

    fn void(&self, id: CredentialId) -> LedgerFuture<'_, ()> {
        Box::pin(self.mark_void(id))
    }

    fn issuance(&self, id: CredentialId) -> LedgerFuture<'_, Option<Issuance>> {
        Box::pin(async move {
            let bytes = self.packed(id).await?;
            bytes
                .map(|bytes| Packed::read(&bytes)?.issuance())
                .transpose()
        })
    }

    fn live_of<'a>(
        &'a self,
        workload: &'a WorkloadId,
        now: UnixTime,
        most: usize,
    ) -> LedgerFuture<'a, Vec<CredentialId>> {
        Box::pin(self.newest_of(workload, now, most))
    }

    fn note_denial<'a>(&'a self, id: DecisionId, line: &'a str) -> LedgerFuture<'a, ()> {
        Box::pin(self.append_denial(id, line))
    }

    fn decision(&self, id: DecisionId) -> LedgerFuture<'_, Option<String>> {
        Box::pin(self.line_of(id))
    }

    fn load_control(&self) -> LedgerFuture<'_, ControlState> {
        Box::pin(self.load())
    }

    fn write_control<'a>(
        &'a self,
        generation: u64,
        entries: &'a [ControlWrite],
    ) -> LedgerFuture<'a, Position> {
        Box::pin(self.write(generation, entries))
    }

    fn follow_control<'a>(
        &'a self,
        after: &'a Position,
        wait: Duration,
    ) -> LedgerFuture<'a, ControlBatch> {
        Box::pin(self.follow(after, wait))
    }

    fn raise_generation(&self, from: u64, now: UnixTime) -> LedgerFuture<'_, u64> {
        Box::pin(self.raise(from, now))
    }
}
