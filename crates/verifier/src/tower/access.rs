//! One event for each call that a gate decided about: who called what, and how it ended.

use dayfly_token::Excerpt;
use http::request::Parts;
use http::{Method, Response};
use tracing::{Level, enabled};

use super::dialect::Dialect;
use super::metrics::Metrics;
use super::refusal::{Refusal, RefusalCode, RefusedWithin};
use crate::{Freshness, Rejection, RejectionCode, Verified};

/// The target of the events about calls that were let in, for filters.
pub const ACCEPTED: &str = "dayfly::access::accepted";

/// The target of the events about calls that were refused, for filters.
pub const REFUSED: &str = "dayfly::access::refused";

/// What is said of the request itself. Nothing of it grows with what a stranger sends.
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) route: Option<Box<str>>,
}

impl Call {
    pub(super) fn of(parts: &Parts, dialect: Dialect) -> Self {
        let heard = enabled!(target: ACCEPTED, Level::INFO) || refusals_are_heard();
        Self {
            method: name_of(&parts.method),
            route: if heard { dialect.route(parts) } else { None },
        }
    }
}

/// Whoever hears them at INFO hears the warnings too.
fn refusals_are_heard() -> bool {
    enabled!(target: REFUSED, Level::WARN)
}

/// The registered methods; a client may invent others.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::CONNECT => "CONNECT",
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

/// A call that was let in and has not ended. It is recorded when it ends, however it ends: a client that hangs up
/// does not thereby stay out of the log.
pub(crate) struct Entry {
    metrics: Metrics,
    call: Call,
    caller: Verified,
    end: End,
}

#[derive(Default)]
struct End {
    status: Option<u16>,
    grpc_status: Option<i32>,
    refused: Option<RefusedWithin>,
}

impl Entry {
    /// Whether the call was let in with a `DPoP` proof.
    pub(super) fn has_proof(&self) -> bool {
        matches!(
            self.caller.confirmation(),
            Some(dayfly_token::Confirmation::KeyThumbprint(_))
        )
    }

    pub(super) fn new(metrics: Metrics, call: Call, caller: Verified) -> Self {
        Self {
            metrics,
            call,
            caller,
            end: End::default(),
        }
    }

    /// The call was answered.
    pub(super) fn answered<R>(mut self, response: &mut Response<R>, dialect: Dialect) {
        self.end = End {
            status: Some(response.status().as_u16()),
            grpc_status: dialect.grpc_status(response),
            refused: dialect.refused_within(response),
        };
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut facts = Facts::of(&self.call, Some(&self.caller));
        (facts.status, facts.grpc_status) = (self.end.status, self.end.grpc_status);
        if let Some(RefusedWithin { code, reason }) = &self.end.refused {
            self.metrics.refused(*code);
            facts.refused(*code, Some(reason), None);
        } else {
            self.metrics.accepted(self.caller.freshness());
            facts.accepted();
        }
    }
}

/// Records a call that was not let in.
pub(super) fn turned_away(metrics: &Metrics, call: &Call, refusal: &Refusal, dialect: Dialect) {
    let code = refusal.code;
    metrics.refused(code);
    if !refusals_are_heard() {
        return;
    }
    let (reason, cause) = (refusal.reason(), refusal.cause());
    let mut facts = Facts::of(call, refusal.caller.as_ref());
    (facts.status, facts.grpc_status) = dialect.statuses(&refusal.challenge);
    facts.rejected = refusal.rejection();
    facts.refused(code, reason.as_deref(), cause.as_deref());
}

/// The fields of an event. Their names are part of this crate's contract: see the manual.
struct Facts<'a> {
    call: &'a Call,
    status: Option<u16>,
    grpc_status: Option<i32>,
    code: Option<&'static str>,
    reason: Option<&'a str>,
    cause: Option<&'a str>,
    caller: Option<&'a Verified>,
    /// Says whose token was refused, if its signature held.
    rejected: Option<&'a Rejection>,
}

/// One event with all fields; what is not known is not recorded.
macro_rules! event {
    ($level:expr, $target:expr, $outcome:literal, $facts:expr, $message:literal) => {
        if enabled!(target: $target, $level) {
            let Facts { call, caller, rejected, .. } = *$facts;
            let workload = caller.and_then(Verified::workload).or_else(|| rejected?.workload());
            // Cut and escaped: whoever has a dead token may send it as often as they like.
            let refused_id = rejected.and_then(Rejection::credential_id).map(|id| Excerpt::of(id).to_string());
            let audiences = caller.map(|caller| caller.audience().iter().collect::<Vec<_>>());
            let (freshness, freshness_age_secs) = caller.map(Verified::freshness).map_or((None, None), age_of);
            tracing::event!(
                target: $target,
                $level,
                outcome = $outcome,
                code = $facts.code,
                reason = $facts.reason,
                cause = $facts.cause,
                method = call.method,
                route = call.route.as_deref(),
                status = $facts.status,
                grpc_status = $facts.grpc_status,
                issuer = caller.map(Verified::issuer).or_else(|| rejected?.issuer()),
                credential_id = caller.map(Verified::credential_id).or(refused_id.as_deref()),
                task = caller.and_then(Verified::task),
                subject = caller.map(Verified::subject),
                workload = workload.as_ref().map(ToString::to_string),
                owner = workload.as_ref().map(|workload| workload.owner.as_str()),
                environment = caller.and_then(Verified::environment),
                actor = caller.and_then(Verified::actor),
                audience = audiences.map(|names| names.join(" ")),
                freshness,
                freshness_age_secs,
                $message
            );
        }
    };
}

impl<'a> Facts<'a> {
    const fn of(call: &'a Call, caller: Option<&'a Verified>) -> Self {
        Self {
            call,
            status: None,
            grpc_status: None,
            code: None,
            reason: None,
            cause: None,
            caller,
            rejected: None,
        }
    }

    fn accepted(&self) {
        event!(Level::INFO, ACCEPTED, "accepted", self, "call accepted");
    }

    /// What this API itself lacks is the operator's to mend; everything else is the caller's.
    fn refused(mut self, code: RefusalCode, reason: Option<&'a str>, cause: Option<&'a str>) {
        (self.code, self.reason, self.cause) = (Some(code.as_str()), reason, cause);
        if let RefusalCode::Token(
            RejectionCode::KeysUnavailable
            | RejectionCode::RevocationStale
            | RejectionCode::TooManyProofs,
        ) = code
        {
            event!(Level::WARN, REFUSED, "refused", &self, "call refused");
        } else {
            event!(Level::INFO, REFUSED, "refused", &self, "call refused");
        }
    }
}

const fn age_of(freshness: Freshness) -> (Option<&'static str>, Option<u64>) {
    match freshness {
        Freshness::Fresh => (Some("fresh"), None),
        Freshness::Stale { age_secs } => (Some("stale"), Some(age_secs)),
        Freshness::Unknown => (Some("unknown"), None),
    }
}
