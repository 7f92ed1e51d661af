use std::fmt;

use serde_json::{Map, Value, json};

/// A token is dated back by this much, as GitHub does it.
const NOT_BEFORE_SECS: u64 = 600;
/// And expires this much later.
const LIFETIME_SECS: u64 = 300;

/// A job of a GitHub Actions workflow, from which the platform would make an ID token.
///
/// The default is a deployment of `octo-org/octo-repo` (`repository_id` 74, `repository_owner_id` 65) from `main` to the
/// environment `prod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubJob {
    /// `aud`: for whom the job asked the token.
    pub audience: String,
    /// `repository_owner`.
    pub owner: String,
    /// `repository_owner_id`, which a rename does not change.
    pub owner_id: String,
    /// The repository's name without the owner.
    pub repository: String,
    /// `repository_id`, which a rename does not change.
    pub repository_id: String,
    /// The deployment environment, if the job has one.
    pub environment: Option<String>,
    /// `ref`: the full name, `refs/heads/main`.
    pub git_ref: String,
    /// `event_name`: what started the workflow.
    pub event_name: String,
    /// `sha`: the commit.
    pub sha: String,
    /// `workflow`: the name of the workflow.
    pub workflow: String,
    /// `run_id`.
    pub run_id: String,
    /// `run_attempt`.
    pub run_attempt: String,
    /// `actor`: who started it. A name that anybody may take tomorrow.
    pub actor: String,
    /// `actor_id`.
    pub actor_id: String,
    /// `runner_environment`: `github-hosted` or `self-hosted`.
    pub runner_environment: String,
    /// Whether `sub` carries the ids (`repo:octo-org@65/octo-repo@74:…`), as repositories made since July 2026 have it.
    pub immutable_subject: bool,
    /// Claims put over the others; `null` takes one away.
    pub overrides: Map<String, Value>,
}

impl Default for GithubJob {
    fn default() -> Self {
        Self {
            audience: "https://github.com/octo-org".to_owned(),
            owner: "octo-org".to_owned(),
            owner_id: "65".to_owned(),
            repository: "octo-repo".to_owned(),
            repository_id: "74".to_owned(),
            environment: Some("prod".to_owned()),
            git_ref: "refs/heads/main".to_owned(),
            event_name: "push".to_owned(),
            sha: "4f2ca2d2b0e8b6a5f6e0c1d3a9b7c8d9e0f1a2b3".to_owned(),
            workflow: "deploy".to_owned(),
            run_id: "11793700000".to_owned(),
            run_attempt: "1".to_owned(),
            actor: "octocat".to_owned(),
            actor_id: "12".to_owned(),
            runner_environment: "github-hosted".to_owned(),
            immutable_subject: false,
            overrides: Map::new(),
        }
    }
}

impl GithubJob {
    /// The default job, with a token for `audience`.
    pub fn for_audience(audience: impl Into<String>) -> Self {
        Self {
            audience: audience.into(),
            ..Self::default()
        }
    }

    /// The same job with `claim` set to `value`, or taken away by `null`.
    #[must_use]
    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.overrides.insert(claim.to_owned(), value.into());
        self
    }

    /// `sub`, in the form that the repository has. `:` in a value is written `%3A`.
    #[must_use]
    pub fn subject(&self) -> String {
        let escape = |text: &str| text.replace(':', "%3A");
        let repository = if self.immutable_subject {
            format!(
                "{}@{}/{}@{}",
                self.owner, self.owner_id, self.repository, self.repository_id
            )
        } else {
            format!("{}/{}", self.owner, self.repository)
        };
        let context = match &self.environment {
            Some(environment) => format!("environment:{}", escape(environment)),
            None if self.event_name == "pull_request" => "pull_request".to_owned(),
            None => format!("ref:{}", escape(&self.git_ref)),
        };
        format!("repo:{repository}:{context}")
    }

    /// All claims of a token that is issued at `now`, in seconds since 1970. Every value but the three times is a
    /// string, ids and numbers included.
    #[must_use]
    pub fn claims(&self, issuer: &str, token_id: &str, now: u64) -> Map<String, Value> {
        let full_name = format!("{}/{}", self.owner, self.repository);
        let workflow_ref = format!(
            "{full_name}/.github/workflows/{}.yml@{}",
            self.workflow, self.git_ref
        );
        let ref_type = if self.git_ref.starts_with("refs/tags/") {
            "tag"
        } else {
            "branch"
        };
        let claims = json!({
            "iss": issuer,
            "sub": self.subject(),
            "aud": self.audience,
            "jti": token_id,
            "nbf": now.saturating_sub(NOT_BEFORE_SECS),
            "iat": now,
            "exp": now.saturating_add(LIFETIME_SECS),
            "actor": self.actor,
            "actor_id": self.actor_id,
            "base_ref": "",
            "check_run_id": "58114730321",
            "environment": self.environment,
            "event_name": self.event_name,
            "head_ref": "",
            "job_workflow_ref": workflow_ref,
            "job_workflow_sha": self.sha,
            "ref": self.git_ref,
            "ref_protected": "true",
            "ref_type": ref_type,
            "repository": full_name,
            "repository_id": self.repository_id,
            "repository_owner": self.owner,
            "repository_owner_id": self.owner_id,
            "repository_visibility": "private",
            "run_attempt": self.run_attempt,
            "run_id": self.run_id,
            "run_number": "10",
            "runner_environment": self.runner_environment,
            "sha": self.sha,
            "workflow": self.workflow,
            "workflow_ref": workflow_ref,
            "workflow_sha": self.sha,
        });
        let Value::Object(mut claims) = claims else {
            return Map::new();
        };
        claims.extend(self.overrides.clone());
        claims.retain(|_, value| !value.is_null());
        claims
    }
}

/// What GitHub puts into the environment of a job with `id-token: write`: where to ask for an ID token, and the
/// secret that lets this job ask.
#[derive(Clone, PartialEq, Eq)]
pub struct GithubRuntime {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`; the caller appends `&audience=…`.
    pub request_url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub request_token: String,
}

impl fmt::Debug for GithubRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubRuntime")
            .field("request_url", &self.request_url)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn the_subject_has_all_its_forms() {
        let job = GithubJob::default();
        assert_eq!(job.subject(), "repo:octo-org/octo-repo:environment:prod");
        let colon = GithubJob {
            environment: Some("prod:eu".to_owned()),
            ..job.clone()
        };
        assert_eq!(
            colon.subject(),
            "repo:octo-org/octo-repo:environment:prod%3Aeu"
        );
        let branch = GithubJob {
            environment: None,
            ..job.clone()
        };
        assert_eq!(
            branch.subject(),
            "repo:octo-org/octo-repo:ref:refs/heads/main"
        );
        let pull = GithubJob {
            event_name: "pull_request".to_owned(),
            ..branch
        };
        assert_eq!(pull.subject(), "repo:octo-org/octo-repo:pull_request");
        let immutable = GithubJob {
            immutable_subject: true,
            ..job
        };
        assert_eq!(
            immutable.subject(),
            "repo:octo-org@65/octo-repo@74:environment:prod"
        );
    }

    #[test]
    fn claims_have_the_shape_of_the_platform() {
        let job = GithubJob::for_audience("https://sts.example")
            .with("enterprise", "octo-enterprise")
            .with("head_ref", Value::Null);
        let claims = job.claims("https://issuer.example", "id-1", 1_632_493_567);
        assert_eq!(claims["nbf"], 1_632_492_967);
        assert_eq!(claims["exp"], 1_632_493_867);
        assert_eq!(claims["aud"], "https://sts.example");
        assert_eq!(claims["enterprise"], "octo-enterprise");
        assert!(!claims.contains_key("head_ref"));
        for (name, value) in &claims {
            let time = ["nbf", "iat", "exp"].contains(&name.as_str());
            assert_eq!(value.is_string(), !time, "{name}");
        }
        let no_environment = GithubJob {
            environment: None,
            ..job
        };
        assert!(
            !no_environment
                .claims("i", "j", 0)
                .contains_key("environment")
        );
    }
}
