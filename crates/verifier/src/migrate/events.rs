//! What the log says of keys: one event for each request that a key decided about, in the form of the gate's own, and a
//! warning for each thing that somebody should mend. No event has a key, a digest or a token.

use tracing::{info, warn};

use super::decide::{Code, Decision, Key};
use super::{Credential, LegacyKey, Stage};
use crate::tower::{ACCEPTED, Call, Challenge, REFUSED};

/// An event in the form of the gate's, with the stage, and the key by its id.
macro_rules! access {
    ($level:ident, $target:expr, $outcome:literal, $stage:expr, $call:expr, $code:expr, $($more:tt)*) => {
        $level!(
            target: $target,
            outcome = $outcome,
            code = $code.as_str(),
            method = $call.method,
            route = $call.route.as_deref(),
            stage = $stage.as_str(),
            $($more)*
        )
    };
}

pub(super) fn access(stage: &Stage, call: &Call, key: &Key, decision: &Decision) {
    let code = decision.code;
    match &decision.answer {
        // The gate records what a token decided.
        Ok(Credential::Token(_)) => {}
        Ok(Credential::Key(key)) => accepted(stage, call, key, code),
        Err(challenge) => refused(stage, call, key, code, challenge),
    }
}

fn accepted(stage: &Stage, call: &Call, key: &LegacyKey, code: Code) {
    let (api_key_id, owner) = (key.id().as_str(), key.owner().as_str());
    if let Stage::KeysUntil { .. } = stage {
        let contact = key.contact();
        let until = stage.end_of(key.until()).map(|end| end.as_secs());
        access!(
            warn,
            ACCEPTED,
            "accepted",
            stage,
            call,
            code,
            api_key_id,
            owner,
            contact,
            until,
            "call accepted by a key that will end"
        );
    } else {
        access!(
            info,
            ACCEPTED,
            "accepted",
            stage,
            call,
            code,
            api_key_id,
            owner,
            "call accepted by a key"
        );
    }
}

fn refused(stage: &Stage, call: &Call, key: &Key, code: Code, challenge: &Challenge) {
    let status = challenge.status().as_u16();
    if let Key::Known(entry) = key {
        let (api_key_id, owner) = (entry.key.id().as_str(), entry.key.owner().as_str());
        let contact = entry.key.contact();
        access!(
            warn,
            REFUSED,
            "refused",
            stage,
            call,
            code,
            api_key_id,
            owner,
            contact,
            status,
            "call with a known key refused"
        );
    } else {
        access!(
            info,
            REFUSED,
            "refused",
            stage,
            call,
            code,
            status,
            "call refused"
        );
    }
}

pub(super) fn in_query(key: &LegacyKey) {
    warn!(
        api_key_id = key.id().as_str(),
        owner = key.owner().as_str(),
        contact = key.contact(),
        "a key came in the query of a URL, and stands in the logs on its way"
    );
}

/// Two identities in one request. The token's counts, where a token counts at all.
pub(super) fn disagreement(key: &LegacyKey, credential_id: &str, token_owner: Option<&str>) {
    warn!(
        api_key_id = key.id().as_str(),
        owner = key.owner().as_str(),
        credential_id,
        token_owner,
        "a key and a token of different owners came in one request"
    );
}

/// In [`Stage::Observe`] it changes nothing yet.
pub(super) fn refused_beside(stage: &Stage, key: &LegacyKey, challenge: &Challenge) {
    warn!(
        stage = stage.as_str(),
        api_key_id = key.id().as_str(),
        owner = key.owner().as_str(),
        contact = key.contact(),
        status = challenge.status().as_u16(),
        "a token that is refused came beside a known key; from stage `accept_both` on, the request is refused"
    );
}

pub(super) fn stage_changed(from: &Stage, to: &Stage) {
    info!(from = %from, to = %to, "stage of the migration from static keys changed");
}

pub(super) fn keys_replaced(count: usize) {
    info!(count, "registry of static keys replaced");
}

/// The watching layer and the API's own check differ.
pub(super) fn difference(key: &Key, code: &'static str, served: bool) {
    let id = match key {
        Key::Known(entry) => Some(entry.key.id().as_str()),
        _ => None,
    };
    warn!(
        api_key_id = id,
        code, served, "the API's own check decided otherwise than the registry of keys would"
    );
}
