//! What is known of the platforms.

use dayfly_policy::Preset;
use serde_json::{Map, Value};

use super::config::OidcIssuerConfig;
use crate::AttestError;

/// The issuer of GitHub Actions on github.com; enterprises have a path below it or a host of their own.
pub(crate) const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
/// GitHub's tokens live 5 minutes from `iat`, and 15 from `nbf`.
pub(crate) const GITHUB_MAX_LIFETIME_SECS: u64 = 15 * 60;
/// The audience that jobs get unless they ask for another one begins like this: everyone's tokens have it.
const GITHUB_DEFAULT_AUDIENCE: &str = "https://github.com/";

/// What a rule has to be able to match: identifiers that are never used again, and what started the job.
const GITHUB_ALWAYS: [&str; 3] = ["repository_id", "repository_owner_id", "event_name"];
/// At least one of these says which code it is.
const GITHUB_ONE_OF: [&str; 2] = ["environment", "ref"];
/// What rules match besides; GitHub writes everything as a string, even numbers and booleans.
const GITHUB_STRINGS: [&str; 22] = [
    "actor_id",
    "base_ref",
    "check_run_id",
    "enterprise",
    "enterprise_id",
    "environment",
    "head_ref",
    "job_workflow_ref",
    "job_workflow_sha",
    "ref",
    "ref_type",
    "repository",
    "repository_owner",
    "repository_visibility",
    "run_attempt",
    "run_id",
    "run_number",
    "runner_environment",
    "sha",
    "workflow",
    "workflow_ref",
    "workflow_sha",
];

/// What a preset asks of the configuration.
pub(crate) fn check(config: &OidcIssuerConfig) -> Result<(), &'static str> {
    match config.preset {
        Preset::Custom => Ok(()),
        Preset::Github if config.max_lifetime_secs > GITHUB_MAX_LIFETIME_SECS => {
            Err("`max_lifetime` is more than 15 minutes, and GitHub's tokens never live longer")
        }
        Preset::Github if !config.single_use => {
            Err("`single_use` is off, but every GitHub job can ask for a fresh token: leave it on")
        }
        Preset::Github
            if config
                .audiences
                .iter()
                .any(|audience| audience.starts_with(GITHUB_DEFAULT_AUDIENCE)) =>
        {
            Err(
                "an audience is GitHub's default one: let the job ask for ours, say the URL of this issuer",
            )
        }
        Preset::Github => Ok(()),
    }
}

/// What a preset asks of the claims.
pub(crate) fn check_claims(preset: Preset, claims: &Map<String, Value>) -> Result<(), AttestError> {
    match preset {
        Preset::Custom => Ok(()),
        Preset::Github => check_github(claims),
    }
}

fn check_github(claims: &Map<String, Value>) -> Result<(), AttestError> {
    for claim in GITHUB_ALWAYS {
        match claims.get(claim) {
            None => return Err(AttestError::MissingClaim { claim }),
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(_) => return Err(AttestError::claim(claim, "is no string or empty")),
        }
    }
    for claim in GITHUB_STRINGS {
        if claims.get(claim).is_some_and(|value| !value.is_string()) {
            return Err(AttestError::claim(claim, "is no string"));
        }
    }
    let says =
        |claim: &&str| matches!(claims.get(*claim), Some(Value::String(text)) if !text.is_empty());
    if GITHUB_ONE_OF.iter().any(says) {
        Ok(())
    } else {
        Err(AttestError::MissingClaim { claim: "ref" })
    }
}

/// Claims that people want to see in a token and in the audit, most telling first. They inform and decide nothing.
const INFORMATIONAL: [&str; 14] = [
    "repository_id",
    "repository_owner_id",
    "run_id",
    "run_attempt",
    "sha",
    "environment",
    "event_name",
    "ref",
    "workflow_ref",
    "job_workflow_ref",
    "project_id",
    "namespace_id",
    "pipeline_id",
    "job_id",
];
/// Longest set of them, in bytes of JSON: `dfy.src` has room for 1,024, with the issuer's URL and names beside.
const MAX_INFORMATIONAL_BYTES: usize = 640;

/// The informational claims of a token, as many as fit.
pub(crate) fn informational(claims: &Map<String, Value>) -> Map<String, Value> {
    let mut chosen = Map::new();
    let mut room = MAX_INFORMATIONAL_BYTES;
    for claim in INFORMATIONAL {
        let Some(value @ (Value::String(_) | Value::Number(_))) = claims.get(claim) else {
            continue;
        };
        if value.as_str() == Some("") {
            continue;
        }
        // Two quotes, a colon, a comma, and the escapes that the value's own JSON shows.
        let size = claim.len() + 4 + value.to_string().len();
        if let Some(left) = room.checked_sub(size) {
            room = left;
            chosen.insert(claim.to_owned(), value.clone());
        }
    }
    chosen
}

/// The digest under which a token counts once: of the issuer's identifier and the `jti`. Not of its name in the
/// configuration, which may change, and never of the token, which has several spellings (an ECDSA signature has a twin).
pub(crate) fn single_use_digest(issuer: &str, jti: &str) -> [u8; 32] {
    crate::digest::of_parts(&[issuer.as_bytes(), jti.as_bytes()])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => unreachable!("an object"),
        }
    }

    #[test]
    fn what_fits_is_kept() {
        let claims = object(json!({
            "repository_id": "74", "run_id": "9", "sha": "abc", "ref": "x".repeat(5_000), "environment": "",
            "pipeline_id": 7, "job_id": {"no": 1}, "actor": "octocat",
        }));
        let kept = informational(&claims);
        assert_eq!(
            Value::Object(kept),
            json!({"repository_id": "74", "run_id": "9", "sha": "abc", "pipeline_id": 7})
        );
    }

    #[test]
    fn never_more_than_the_room() {
        let hostile: Map<String, Value> = INFORMATIONAL
            .iter()
            .map(|claim| ((*claim).to_owned(), json!("\u{1}\"\\é".repeat(8))))
            .collect();
        let kept = informational(&hostile);
        assert!(!kept.is_empty());
        assert!(Value::Object(kept).to_string().len() <= MAX_INFORMATIONAL_BYTES + 2);
    }
}
