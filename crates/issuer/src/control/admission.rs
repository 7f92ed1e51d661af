//! Whether control lets a credential be minted, and what made an existing one dead.

use dayfly_token::feed::Kind;
use dayfly_token::{Slug, TaskId, UnixTime, WorkloadId};

use super::entry::{HoldKind, TaskState};
use super::facts::Hold;
use super::view::ControlView;
use super::{CLOCK_DISTANCE_SECS, CONTROL_SILENCE_SECS};
use crate::port::Now;

/// What a credential about to be minted would belong to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The workload.
    pub workload: &'a WorkloadId,
    /// The rule that mapped the evidence.
    pub rule: &'a Slug,
    /// Where the evidence came from, as `spiffe:<td>`, `oidc:<issuer>` or `own`.
    pub source: &'a str,
    /// The task.
    pub task: Option<&'a TaskId>,
}

/// What a credential that exists belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Lineage<'a> {
    /// Its id as text.
    pub id: &'a str,
    /// The ids of those it was derived from.
    pub ancestors: &'a [String],
    /// Its workload.
    pub workload: &'a WorkloadId,
    /// The rule that mapped its evidence.
    pub rule: &'a Slug,
    /// Its task.
    pub task: Option<&'a TaskId>,
    /// The key that signed it, if that is known.
    pub kid: Option<&'a str>,
    /// Its issuing instant.
    pub issued_at: UnixTime,
}

/// Why control forbids an issuance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The wall clock and the store's clock at the last sign of life do not fit.
    ClockStep {
        /// The store's clock when it was last heard.
        as_of: UnixTime,
        /// The wall clock.
        now: UnixTime,
    },
    /// A cut-off reaches past the present: what were minted now would be dead.
    CutOff {
        /// What was cut off.
        kind: Kind,
        /// The last dead instant.
        before: UnixTime,
    },
    /// A hold is set.
    Held(Hold),
    /// The control stream was not heard for D.
    Silent,
    /// The task has ended.
    TaskEnded {
        /// How.
        state: TaskState,
    },
    /// The task's deadline has passed.
    TaskOverdue {
        /// The deadline.
        deadline: UnixTime,
    },
}

impl ControlView {
    /// Whether a credential of `target` may be minted with the issuing instant `now`.
    ///
    /// # Errors
    /// The first reason against it: silence, a clock that stepped, the task, a hold, a cut-off.
    pub fn admit(&self, target: &Target<'_>, now: Now) -> Result<(), Refusal> {
        self.admit_clock(now)?;
        let instant = now.time();
        if let Some(task) = target.task {
            self.admit_task(task, instant)?;
        }
        let workload = target.workload.to_string();
        let owner = target.workload.owner.as_str();
        let rule = target.rule.as_str();
        if self.has_holds() {
            for (kind, value) in [
                (HoldKind::Workload, workload.as_str()),
                (HoldKind::Owner, owner),
                (HoldKind::Rule, rule),
                (HoldKind::Source, target.source),
            ] {
                if let Some(hold) = self.hold(kind, value) {
                    return Err(Refusal::Held(hold));
                }
            }
        }
        let cuts = [
            (Kind::Workload, workload.as_str()),
            (Kind::Owner, owner),
            (Kind::Rule, rule),
        ];
        for (kind, value) in cuts {
            if let Some(before) = self
                .cut_off(kind, value)
                .filter(|before| instant <= *before)
            {
                return Err(Refusal::CutOff { kind, before });
            }
        }
        Ok(())
    }

    /// Protocol A, and no minting by a clock that was set back or forward: it must lie where the
    /// store's clock, heard within D, says.
    pub(crate) fn admit_clock(&self, now: Now) -> Result<(), Refusal> {
        let Some(as_of) = self.as_of().filter(|_| self.hears(now)) else {
            return Err(Refusal::Silent);
        };
        let instant = now.time();
        // One second more than the limits, because both sides are whole seconds.
        let behind = as_of.seconds_since(instant) > CLOCK_DISTANCE_SECS + 1;
        let ahead = instant.seconds_since(as_of) > CONTROL_SILENCE_SECS + CLOCK_DISTANCE_SECS + 1;
        if behind || ahead {
            return Err(Refusal::ClockStep {
                as_of,
                now: instant,
            });
        }
        Ok(())
    }

    fn admit_task(&self, task: &TaskId, instant: UnixTime) -> Result<(), Refusal> {
        match self.task(task) {
            Some((state @ (TaskState::Completed | TaskState::Revoked), _)) => {
                Err(Refusal::TaskEnded { state })
            }
            Some((TaskState::Open, Some(deadline))) if deadline <= instant => {
                Err(Refusal::TaskOverdue { deadline })
            }
            // A task's cut-off is for ever: its name is not used again.
            _ if self.cut_off(Kind::Task, &task.to_string()).is_some() => Err(Refusal::TaskEnded {
                state: TaskState::Revoked,
            }),
            _ => Ok(()),
        }
    }

    /// What made a credential dead, if anything did.
    #[must_use]
    pub fn death(&self, of: &Lineage<'_>) -> Option<Kind> {
        let dead = |kind, value: &str| {
            self.cut_off(kind, value)
                .is_some_and(|before| of.issued_at <= before)
                .then_some(kind)
        };
        let task_ended = |task: &TaskId| {
            let ended = self
                .task(task)
                .is_some_and(|(state, _)| state != TaskState::Open);
            ended
                .then_some(Kind::Task)
                .or_else(|| dead(Kind::Task, &task.to_string()))
        };
        of.kid
            .and_then(|kid| dead(Kind::Key, kid))
            .or_else(|| dead(Kind::Credential, of.id))
            .or_else(|| {
                of.ancestors
                    .iter()
                    .find_map(|id| dead(Kind::Credential, id))
            })
            .or_else(|| of.task.and_then(task_ended))
            .or_else(|| dead(Kind::Rule, of.rule.as_str()))
            .or_else(|| dead(Kind::Workload, &of.workload.to_string()))
            .or_else(|| dead(Kind::Owner, of.workload.owner.as_str()))
    }
}

impl<'a> Lineage<'a> {
    /// The lineage of a recorded issuance, whose id as text is `id`.
    #[must_use]
    pub fn of(issuance: &'a crate::Issuance, id: &'a str) -> Self {
        Self {
            id,
            ancestors: &issuance.ancestors,
            workload: &issuance.workload,
            rule: &issuance.rule,
            task: issuance.task.as_ref(),
            kid: Some(&issuance.kid),
            issued_at: issuance.issued_at,
        }
    }
}
