//! Writing to control: revocations, holds, tasks, keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dayfly_issuer::control::{Body, ControlError, ControlView};
use dayfly_issuer::lifecycle::Action;
use dayfly_issuer::{Clock, LedgerError, Now};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::state::App;
use crate::http::{Problem, RequestId};

/// How long an answer waits until this replica has heard its own entry. The fact is in the ledger
/// by then; waiting only makes this replica obey before it says so.
const HEAR_WAIT: Duration = Duration::from_secs(1);

/// How long the drain may take to end the leases.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// Why control entries were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlWriteError {
    /// The work broke off.
    #[error("writing to control broke off")]
    BrokeOff,
    /// The ledger did not take them. They may be there all the same.
    #[error("the ledger did not take the control entries")]
    Ledger(#[from] LedgerError),
    /// They could not be sealed.
    #[error("the control entries could not be sealed")]
    Seal(#[from] ControlError),
    /// The ledger was not read yet, or was replaced.
    #[error("the ledger was not read yet, or was replaced")]
    StoreUnknown,
}

impl From<ControlWriteError> for Problem {
    fn from(error: ControlWriteError) -> Self {
        match error {
            ControlWriteError::Ledger(error) => error.into(),
            ControlWriteError::StoreUnknown => Self::unavailable(),
            ControlWriteError::BrokeOff | ControlWriteError::Seal(_) => {
                tracing::error!(%error, "a control entry was not written");
                Self::unavailable()
            }
        }
    }
}

impl App {
    /// Writes facts for somebody. When it returns `Ok`, they are in the ledger.
    pub(crate) async fn write_control(
        self: &Arc<Self>,
        by: &str,
        reason: &str,
        bodies: Vec<Body>,
        request_id: &RequestId,
    ) -> Result<(), ControlWriteError> {
        let work = Write {
            app: Arc::clone(self),
            by: by.to_owned(),
            reason: reason.to_owned(),
            bodies,
            request_id: request_id.to_string(),
        };
        // In a task of its own: a caller that hangs up must not drop it half way.
        tokio::spawn(work.run())
            .await
            .map_err(|_| ControlWriteError::BrokeOff)?
    }

    /// Does what the key lifecycle asks for.
    pub(crate) async fn act(&self, actions: Vec<Action>) {
        let mut bodies = Vec::new();
        for action in actions {
            match action {
                Action::Publish(body) => bodies.push(body),
                Action::Activated {
                    key_use,
                    kid,
                    cold_start,
                } => {
                    tracing::info!(?key_use, kid, cold_start, "a key begins to sign");
                }
                Action::Tainted { key_use, kid } => {
                    tracing::error!(?key_use, kid, "a key of this replica was tainted");
                }
            }
        }
        if bodies.is_empty() {
            return;
        }
        let by = format!("replica:{}", self.replica);
        let written = self.put(&by, "", &bodies, self.clock.now()).await;
        // It is tried again with each tick; one line at each end of an outage is enough.
        let failed_before = self
            .publishing_fails
            .swap(written.is_err(), Ordering::Relaxed);
        match written {
            Err(error) if !failed_before => {
                let error = crate::http::whole_chain(&error);
                tracing::warn!(error, "keys could not be published");
            }
            Ok(()) if failed_before => tracing::info!("keys are published again"),
            _ => {}
        }
    }

    /// Ends the leases of the keys, so that other replicas stop waiting for this one.
    pub(crate) async fn drain(&self) {
        let actions = self.keys().drain(self.clock.now());
        if tokio::time::timeout(DRAIN_WAIT, self.act(actions))
            .await
            .is_err()
        {
            tracing::warn!("the leases of the keys were not ended; they lapse by themselves");
        }
    }

    async fn put(
        &self,
        by: &str,
        reason: &str,
        bodies: &[Body],
        now: Now,
    ) -> Result<(), ControlWriteError> {
        let (generation, writes) = {
            let view = self.view();
            let store = view.store().ok_or(ControlWriteError::StoreUnknown)?;
            let seal = |body: &Body| view.seal(now.time(), by, reason, body.clone());
            (
                store.generation,
                bodies.iter().map(seal).collect::<Result<Vec<_>, _>>()?,
            )
        };
        self.issuer
            .ledger()
            .write_control(generation, &writes)
            .await?;
        Ok(())
    }

    /// Waits until this replica knows the facts itself.
    async fn hear(&self, bodies: &[Body]) {
        let mut followed = self.followed.subscribe();
        let heard = async {
            while !bodies.iter().all(|body| knows(&self.view(), body)) {
                if followed.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(HEAR_WAIT, heard).await.is_err() {
            tracing::warn!("an entry is in the ledger and was not heard back yet");
        }
    }
}

struct Write {
    app: Arc<App>,
    by: String,
    reason: String,
    bodies: Vec<Body>,
    request_id: String,
}

impl Write {
    async fn run(self) -> Result<(), ControlWriteError> {
        let now = self.app.clock.now();
        let written = self
            .app
            .put(&self.by, &self.reason, &self.bodies, now)
            .await;
        self.app.audit.note(self.line(now, written.is_ok())).await;
        written?;
        self.app.hear(&self.bodies).await;
        Ok(())
    }

    /// One line, like a decision's: who changed what, and whether it was recorded.
    fn line(&self, now: Now, recorded: bool) -> String {
        json!({
            "time": rfc3339(now),
            "unix_ms": now.unix_ms,
            "request_id": self.request_id,
            "kind": "control",
            "outcome": if recorded { "recorded" } else { "unrecorded" },
            "by": self.by,
            "reason": self.reason,
            "facts": self.bodies,
        })
        .to_string()
    }
}

fn rfc3339(now: Now) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.unix_ms) * 1_000_000);
    at.ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// Whether a view knows a fact, or something stricter.
fn knows(view: &ControlView, body: &Body) -> bool {
    match body {
        Body::CutOff {
            kind,
            value,
            before,
            ..
        } => view
            .cut_off(*kind, value)
            .is_some_and(|known| *before <= known),
        Body::Hold {
            kind,
            value,
            active,
        } => view.hold(*kind, value).is_some() == *active,
        Body::Task { task, state, .. } => view.task(task).is_some_and(|(known, _)| known >= *state),
        Body::Key(record) => view.key_record(&record.kid).is_some(),
    }
}
