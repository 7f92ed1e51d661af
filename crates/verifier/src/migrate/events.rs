//! What the log says: one event for each request, and one for each thing that somebody should mend. No event has a key, a
//! digest or a token.

use tracing::{debug, info, warn};

use super::decide::{Code, Decision, Key};
use super::{Credential, LegacyKey, Stage};
use crate::tower::Challenge;

/// Where the events of requests go.
macro_rules! access {
    ($level:ident, $stage:expr, $outcome:expr, $credential:expr, $code:expr, $($more:tt)*) => {
        $level!(
            target: "dayfly::access",
            outcome = $outcome,
            code = $code.as_str(),
            credential = $credential,
            stage = $stage.as_str(),
            $($more)*
        )
    };
}

pub(super) fn access(stage: &Stage, key: &Key, decision: &Decision) {
    let code = decision.code;
    match &decision.answer {
        Ok(Credential::Token(verified)) => {
            let workload = verified.workload();
            let owner = workload.as_ref().map(|workload| workload.owner.as_str());
            access!(
                info,
                stage,
                "admitted",
                "token",
                code,
                credential_id = verified.credential_id(),
                owner,
                "request admitted by a token"
            );
        }
        Ok(Credential::Key(key)) => admitted_key(stage, key, code),
        Err(challenge) => refused(stage, key, code, challenge),
    }
}

fn admitted_key(stage: &Stage, key: &LegacyKey, code: Code) {
    let (id, owner) = (key.id().as_str(), key.owner().as_str());
    if let Stage::KeysUntil { .. } = stage {
        let end = stage.end_of(key.until()).map(|end| end.as_secs());
        access!(
            warn,
            stage,
            "admitted",
            "key",
            code,
            api_key_id = id,
            owner,
            contact = key.contact(),
            until = end,
            "request admitted by a key that will end"
        );
    } else {
        access!(
            info,
            stage,
            "admitted",
            "key",
            code,
            api_key_id = id,
            owner,
            "request admitted by a key"
        );
    }
}

fn refused(stage: &Stage, key: &Key, code: Code, challenge: &Challenge) {
    let status = challenge.status().as_u16();
    match (code, key) {
        (
            Code::KeyEnded | Code::KeyScope | Code::KeyStage | Code::TokenRefused,
            Key::Known(entry),
        ) => {
            let key = &entry.key;
            access!(
                warn,
                stage,
                "refused",
                "key",
                code,
                api_key_id = key.id().as_str(),
                owner = key.owner().as_str(),
                contact = key.contact(),
                status,
                "request with a known key refused"
            );
        }
        // Strangers decide how many of these there are.
        (Code::NoCredential, _) => access!(
            debug,
            stage,
            "refused",
            "none",
            code,
            status,
            "request refused"
        ),
        (Code::TokenRefused, _) => access!(
            debug,
            stage,
            "refused",
            "token",
            code,
            status,
            "request refused"
        ),
        _ => access!(
            debug,
            stage,
            "refused",
            "key",
            code,
            status,
            "request refused"
        ),
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

/// In [`Stage::Observe`], where it changes nothing yet.
pub(super) fn refused_beside(key: &LegacyKey, challenge: &Challenge) {
    warn!(
        api_key_id = key.id().as_str(),
        owner = key.owner().as_str(),
        contact = key.contact(),
        status = challenge.status().as_u16(),
        "a token that is refused came beside a valid key; from stage `accept_both` on the request would be refused"
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
