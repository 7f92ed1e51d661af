//! What the audit trail has to say about a request.

use serde_json::Value;

use super::{Answer, Scene, eventually};

/// What each line has, permit or deny.
const MEMBERS: &[&str] = &[
    "time",
    "decision_id",
    "request_id",
    "outcome",
    "reason",
    "grant",
    "kind",
    "peer",
    "evidence",
];

/// What each permit has besides; a task, a purpose, an audience and scopes only if there are any.
const PERMIT_MEMBERS: &[&str] = &[
    "workload",
    "owner",
    "environment",
    "rule",
    "lifetime",
    "expires_at",
    "policies",
    "policy_version",
    "credential_id",
    "kid",
];

/// What a permit says of the evidence; an issuer only if a token was the evidence.
const EVIDENCE_MEMBERS: &[&str] = &["method", "source", "subject", "sha256"];

/// The ways to a line of the audit trail.
pub struct Trail;

impl Trail {
    /// The line of the decision that an error answer names: the same in the file, and by
    /// `GET /v1/decisions/{id}`.
    pub async fn of_denial(scene: &Scene, answer: &Answer) -> Value {
        let id = answer.text("decision_id");
        assert!(!id.is_empty(), "no decision: {answer:?}");
        let line = Self::find(scene, "decision_id", id).await;
        assert_eq!(line["outcome"], "deny", "{line}");
        assert_eq!(line["request_id"], answer.text("request_id"), "{line}");
        assert_eq!(answer.header("x-request-id"), answer.text("request_id"));
        assert!(line.get("credential_id").is_none(), "{line}");
        line
    }

    /// The line of the decision that released a credential.
    pub async fn of_credential(scene: &Scene, id: &str) -> Value {
        let line = Self::find(scene, "credential_id", id).await;
        assert_eq!(line["outcome"], "permit", "{line}");
        line
    }

    async fn find(scene: &Scene, member: &str, value: &str) -> Value {
        let what = format!("an audit line with {member} = {value}");
        let line = eventually(&what, async || {
            scene
                .server
                .audit_lines()
                .into_iter()
                .find(|line| line[member] == value)
        })
        .await;
        Self::check(&line);
        let console = scene.world.svid("platform/console");
        let path = format!("/v1/decisions/{}", line["decision_id"].as_str().unwrap());
        let explained = scene.server.get(&path, Some(&console)).await;
        assert_eq!(explained.status, 200, "{explained:?}");
        assert_eq!(explained.body, line);
        line
    }

    /// Asserts that a line has everything.
    #[track_caller]
    pub fn check(line: &Value) {
        for member in MEMBERS {
            assert!(line.get(member).is_some(), "no {member} in {line}");
        }
        assert!(
            line["reason"].is_string() && line["evidence"].is_object(),
            "{line}"
        );
        if line["outcome"] == "permit" {
            for member in PERMIT_MEMBERS {
                assert!(line.get(member).is_some(), "no {member} in {line}");
            }
            for member in EVIDENCE_MEMBERS {
                assert!(
                    line["evidence"].get(member).is_some(),
                    "no evidence.{member} in {line}"
                );
            }
        }
    }
}
