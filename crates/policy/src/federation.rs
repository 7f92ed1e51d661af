//! What rules of OIDC issuers are held to at load.
//!
//! An issuer such as GitHub signs for everybody: that a token is genuine says nothing yet. The known mistakes are to
//! pin names, which can be given up and registered by others, to trust claims that a stranger chooses, and patterns that
//! mean more than their author saw.

use std::collections::BTreeMap;

use crate::Preset;
use crate::finding::{Findings, Place};
use crate::matching::{Expected, TextPattern};

/// More values of one claim than a person checks at a glance.
const MANY_VALUES: usize = 16;

/// Claims that name a person, or that whoever is let in chooses: no ground for a right with any issuer.
const MUTABLE: &[&str] = &[
    "email",
    "login",
    "name",
    "nickname",
    "preferred_username",
    "request_tags",
    "unique_name",
    "upn",
    "user_email",
    "user_login",
    "username",
];
/// Claims that say for whom, by whom and when a token was made, not for what.
const NO_IDENTITY: &[&str] = &["aud", "exp", "iat", "iss", "jti", "nbf"];

/// The same at other issuers of the kind of GitHub, whose presets know them better.
const CHOSEN: &[&str] = &["actor", "head_ref", "triggering_actor"];

/// GitHub claims that are refused, and what to write instead.
const GITHUB_REFUSED: &[(&str, &str)] = &[
    (
        "actor",
        "whoever starts a workflow is the actor: pin `environment`, and say on GitHub who may deploy there",
    ),
    (
        "triggering_actor",
        "whoever starts a workflow is the actor: pin `environment`, and say on GitHub who may deploy there",
    ),
    (
        "head_ref",
        "the author of a pull request chooses it: pin `ref` or `environment`",
    ),
    (
        "base_ref",
        "it is set only for pull requests, whose code nobody has reviewed: pin `ref` or `environment`",
    ),
    (
        "workflow",
        "whoever can push chooses the name of a workflow: pin `workflow_ref` or `job_workflow_ref`",
    ),
];
/// Events that only people and apps with write access start. What is not listed needs a word from the author: most of
/// the others let a stranger start code with the rights of the default branch, and GitHub adds events.
const WRITERS_EVENTS: &[&str] = &[
    "create",
    "delete",
    "deployment",
    "merge_group",
    "push",
    "release",
    "repository_dispatch",
    "schedule",
    "workflow_dispatch",
];
/// Runs on the merged code of a pull request; from a fork it gets no token.
const PULL_REQUEST: &str = "pull_request";
const GITHUB_IDS: &[(&str, &str)] = &[("repository_id", "74"), ("repository_owner_id", "65")];

/// The compiled claims of a rule, each with its place.
pub(crate) type Claims<'a> = BTreeMap<String, (Expected, Place<'a>)>;

/// A rule as the lints see it.
pub(crate) struct Subject<'a, 'b> {
    pub(crate) claims: &'b Claims<'a>,
    pub(crate) place: Place<'a>,
    pub(crate) danger_untrusted_events: bool,
}

impl Subject<'_, '_> {
    /// Whether the rule names exact values of `claim`.
    fn pins(&self, claim: &str) -> bool {
        self.claims
            .get(claim)
            .is_some_and(|(expected, _)| expected.is_exact())
    }
}

/// Checks one rule against what its issuer's preset asks for.
pub(crate) fn check(rule: &Subject<'_, '_>, preset: Preset, shared: bool, findings: &mut Findings) {
    for (name, (expected, place)) in rule.claims {
        let last = name.rsplit('.').next().unwrap_or_default();
        // A nested `name` belongs to something, such as `kubernetes.io.serviceaccount.name`.
        if MUTABLE.contains(&name.as_str()) || name.split('.').any(|part| part == "request_tags") {
            findings.error(
                *place,
                format!("`{name}` can be changed or chosen by the one it describes: pin an immutable id, such as `sub` or an `_id` claim"),
            );
        } else if matches!(last, "email" | "user_login") {
            findings.error(
                *place,
                format!("`{name}` can pass to somebody else: pin an immutable id"),
            );
        }
        if matches!(name.as_str(), "exp" | "iat" | "nbf" | "jti") {
            findings.error(
                *place,
                format!("`{name}` differs in each token: leave it out"),
            );
        }
        if expected.patterns().len() > MANY_VALUES {
            findings.warn(
                *place,
                format!(
                    "`{name}` lists more than {MANY_VALUES} values: consider a rule for each group"
                ),
            );
        }
        let texts = expected.patterns().iter().map(ToString::to_string);
        if let Some(odd) = texts.into_iter().find(|text| !text.is_ascii()) {
            findings.warn(
                *place,
                format!("`{odd}` has characters that can look like others"),
            );
        }
    }
    match preset {
        Preset::Github => github(rule, findings),
        Preset::Custom => custom(rule, shared, findings),
    }
}

fn custom(rule: &Subject<'_, '_>, shared: bool, findings: &mut Findings) {
    for name in CHOSEN {
        if let Some((_, place)) = rule.claims.get(*name) {
            findings.error(
                *place,
                format!("`{name}`: whoever starts a job chooses it: pin what the job belongs to"),
            );
        }
    }
    let pins = rule
        .claims
        .iter()
        .filter(|(name, (expected, _))| {
            expected.is_exact() && !is_boolean(expected) && !NO_IDENTITY.contains(&name.as_str())
        })
        .count();
    if pins == 0 {
        findings.error(
            rule.place,
            "the rule takes in everybody whom the issuer signs for: add an exact value of `sub`, or of another claim that says who it is (`aud` does not)",
        );
    } else if shared && pins < 2 && !rule.pins("sub") {
        findings.error(
            rule.place,
            "the issuer signs for other organisations too: pin `sub`, or two claims, the tenant's immutable id and the workload's",
        );
    }
}

fn github(rule: &Subject<'_, '_>, findings: &mut Findings) {
    for (name, instead) in GITHUB_REFUSED {
        if let Some((_, place)) = rule.claims.get(*name) {
            findings.error(*place, format!("`{name}`: {instead}"));
        }
    }
    for (name, example) in GITHUB_IDS {
        github_id(rule, name, example, findings);
    }
    for name in ["repository", "repository_owner"] {
        if let Some((_, place)) = rule.claims.get(name) {
            findings.warn(*place, format!("`{name}` is a name, and the rule ends to match when it is renamed: `{name}_id` is enough"));
        }
    }
    github_place(rule, findings);
    github_event(rule, findings);
    if let Some((expected, place)) = rule.claims.get("sub") {
        let immutable = expected.exact_texts().is_some_and(|texts| {
            !texts.is_empty() && texts.iter().all(|text| is_immutable_subject(text))
        });
        if !immutable {
            findings.error(*place, "`sub` is made of names, and its form can be changed in the settings of a repository: leave it out, and pin `repository_id`, `repository_owner_id` and `environment` or `ref`");
        }
    }
    for (name, (expected, place)) in rule.claims {
        if matches!(expected, Expected::Integer(_) | Expected::Flag(_)) {
            findings.error(
                *place,
                format!("every claim of GitHub is a string: write {name} = \"{expected}\""),
            );
        }
        if name == "runner_environment" && contains(expected, "self-hosted") {
            findings.warn(*place, "a self-hosted runner may keep what an earlier job left there: prefer \"github-hosted\", or ephemeral runners");
        }
    }
}

/// GitHub: the ids of repository and owner, which nobody can take over with a name.
fn github_id(rule: &Subject<'_, '_>, name: &str, example: &str, findings: &mut Findings) {
    match rule.claims.get(name) {
        None => findings.error(
            rule.place,
            format!("a rule for GitHub pins `{name}`: add {name} = \"{example}\" (the number, as a string)"),
        ),
        Some((expected, place)) => {
            let numbers = expected.exact_texts().is_some_and(|texts| {
                texts
                    .iter()
                    .all(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            });
            if !numbers {
                findings.error(
                    *place,
                    format!("`{name}` is a number in a string: write {name} = \"{example}\""),
                );
            }
        }
    }
}

/// GitHub: where the code comes from, by `environment` or `ref`.
fn github_place(rule: &Subject<'_, '_>, findings: &mut Findings) {
    if let Some((expected, place)) = rule.claims.get("environment")
        && !expected.is_exact()
    {
        findings.error(*place, "name the environments: environment = \"prod\"");
    }
    let mut bounded = rule.pins("environment");
    if let Some((expected, place)) = rule.claims.get("ref") {
        bounded = true;
        for pattern in expected.patterns() {
            match pattern {
                TextPattern::Exact(text) if !is_full_ref(text) => findings.error(
                    *place,
                    format!("`{text}` is no full ref: write \"refs/heads/{text}\" or \"refs/tags/{text}\""),
                ),
                TextPattern::Segment(prefix) if !is_full_ref(prefix.trim_end_matches('/')) => {
                    let tags = prefix == "refs/tags/" && rule.pins("environment");
                    if !tags {
                        findings.error(
                            *place,
                            format!("`{prefix}*` is every branch or tag, and whoever can push makes one: name it, or a group such as \"refs/heads/release/*\""),
                        );
                    }
                }
                TextPattern::Exact(_) | TextPattern::Segment(_) => {}
            }
        }
    }
    if !bounded {
        findings.error(
            rule.place,
            "a rule for GitHub says where the code comes from: add environment = \"prod\" (protected on GitHub), or ref = \"refs/heads/main\"",
        );
    }
}

/// GitHub: which event started the workflow. `ref` alone does not prove reviewed code.
fn github_event(rule: &Subject<'_, '_>, findings: &mut Findings) {
    let Some((expected, place)) = rule.claims.get("event_name") else {
        findings.error(
            rule.place,
            "a rule for GitHub names the events that may start the workflow: add event_name = \"push\", or a list such as [\"push\", \"workflow_dispatch\"]",
        );
        return;
    };
    let Some(events) = expected.exact_texts() else {
        findings.error(
            *place,
            "name each event: event_name = [\"push\", \"workflow_dispatch\"]",
        );
        return;
    };
    for event in events {
        if event == PULL_REQUEST {
            findings.warn(
                *place,
                "`pull_request` runs code that nobody has reviewed: keep it away from production",
            );
        } else if !WRITERS_EVENTS.contains(&event) && !rule.danger_untrusted_events {
            findings.error(
                *place,
                format!("`{event}` is not known to need write access, and most such events let a stranger start code with the rights of the default branch: use \"push\" or \"workflow_dispatch\", or write danger_untrusted_events = true into the rule"),
            );
        }
    }
}

/// A boolean as a string, as some platforms write it: it tells two things apart, not two tenants.
fn is_boolean(expected: &Expected) -> bool {
    expected
        .exact_texts()
        .is_some_and(|texts| texts.iter().all(|text| matches!(*text, "true" | "false")))
}

fn contains(expected: &Expected, text: &str) -> bool {
    expected
        .patterns()
        .iter()
        .any(|pattern| matches!(pattern, TextPattern::Exact(exact) if exact == text))
}

/// `refs/heads/x` or `refs/tags/x`, with at least one segment at the end.
fn is_full_ref(text: &str) -> bool {
    ["refs/heads/", "refs/tags/"]
        .iter()
        .any(|kind| text.strip_prefix(kind).is_some_and(|rest| !rest.is_empty()))
}

/// `repo:OWNER@ID/REPOSITORY@ID:…`: the form that GitHub calls immutable.
fn is_immutable_subject(text: &str) -> bool {
    let with_id = |part: &str| {
        part.rsplit_once('@').is_some_and(|(name, id)| {
            !name.is_empty() && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    text.strip_prefix("repo:")
        .and_then(|rest| rest.split_once(':'))
        .and_then(|(repository, _)| repository.split_once('/'))
        .is_some_and(|(owner, name)| with_id(owner) && with_id(name))
}
