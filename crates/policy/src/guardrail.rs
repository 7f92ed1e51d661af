//! Guardrails: the `forbid` policies of `policies/*.cedar`, read and checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, Validator};
use dayfly_token::Slug;

use crate::finding::{Findings, Place, SourceFile};
use crate::nesting;

/// What the ids of guardrails begin with.
pub(crate) const GUARDRAIL: &str = "guardrail:";

/// The guardrails of all files, named and checked.
pub(crate) fn compile(
    files: &[SourceFile],
    validator: &Validator,
    exists: &dyn Fn(&str, &str) -> bool,
    findings: &mut Findings,
) -> Vec<Policy> {
    let mut policies: BTreeMap<String, (Policy, Place<'_>)> = BTreeMap::new();
    for file in files {
        for (name, policy, place) in read_guardrails(file, findings) {
            let policy = policy.new_id(PolicyId::new(&name));
            if let Some((_, other)) = policies.get(&name) {
                findings.error(
                    place,
                    format!("`{name}` is also defined at {other}: give one another `@id`"),
                );
            } else {
                policies.insert(name, (policy, place));
            }
        }
    }
    match PolicySet::from_policies(policies.values().map(|(policy, _)| policy.clone())) {
        Err(error) => findings.unreadable(Path::new("policies"), error.to_string()),
        Ok(set) => validate(&set, &policies, validator, findings),
    }
    for (name, (policy, place)) in &policies {
        // A guardrail that names what does not exist protects nothing.
        for uid in policy.entity_literals() {
            let kind = uid.type_name().to_string();
            if !exists(&kind, uid.id().unescaped()) {
                findings.warn(
                    *place,
                    format!("`{name}` names {uid}, which does not exist"),
                );
            }
        }
    }
    policies.into_values().map(|(policy, _)| policy).collect()
}

fn validate(
    set: &PolicySet,
    policies: &BTreeMap<String, (Policy, Place<'_>)>,
    validator: &Validator,
    findings: &mut Findings,
) {
    let checked = validator.validate(set, ValidationMode::Strict);
    for error in checked.validation_errors() {
        if let Some((_, place)) = policies.get(&error.policy_id().to_string()) {
            let place = offset_of(error).map_or(*place, |offset| place.at(offset));
            findings.error(
                place,
                format!("{error} (api/policy.cedarschema has what can be asked)"),
            );
        }
    }
    for warning in checked.validation_warnings() {
        if let Some((_, place)) = policies.get(&warning.policy_id().to_string()) {
            let place = offset_of(warning).map_or(*place, |offset| place.at(offset));
            findings.warn(place, warning.to_string());
        }
    }
}

/// Where Cedar points at, in bytes.
fn offset_of(error: &dyn miette::Diagnostic) -> Option<usize> {
    error.labels()?.next().map(|label| label.offset())
}

/// The guardrails of one file, each with its id and place.
fn read_guardrails<'a>(
    file: &'a SourceFile,
    findings: &mut Findings,
) -> Vec<(String, Policy, Place<'a>)> {
    let top = Place::new(file, 0);
    if let Some(offset) = nesting::too_deep(&file.text) {
        findings.error(
            top.at(offset),
            "nests too deeply: group with lists, such as `[\"a\", \"b\"].contains(…)`, or write several guardrails",
        );
        return Vec::new();
    }
    let set = match PolicySet::from_str(&file.text) {
        Ok(set) => set,
        Err(errors) => {
            for error in errors.iter() {
                findings.error(top.at(offset_of(error).unwrap_or(0)), error.to_string());
            }
            return Vec::new();
        }
    };
    if let Some(template) = set.templates().next() {
        let place = top.at(file.text.find(&template.to_string()).unwrap_or(0));
        findings.error(
            place,
            "a guardrail has no slots: write the entity in place of `?principal` or `?resource`",
        );
    }
    let policies = in_order(&file.text, &set);
    if policies.is_empty() {
        findings.error(
            top,
            "no policy in this file: an emptied file would open what it closed; delete it if that is meant",
        );
    }
    let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
    let mut named = Vec::new();
    for (number, (offset, policy)) in policies.into_iter().enumerate() {
        let place = top.at(offset);
        if policy.effect() == Effect::Permit {
            findings.error(
                place,
                "a guardrail only forbids: write what is allowed as a grant in registry/<owner>/",
            );
            continue;
        }
        let name = match policy.annotation("id") {
            None => format!("{GUARDRAIL}{stem}#{}", number + 1),
            Some(id) => match id.parse::<Slug>() {
                Ok(id) => format!("{GUARDRAIL}{id}"),
                Err(error) => {
                    findings.error(place, format!("`@id`: {error}"));
                    continue;
                }
            },
        };
        named.push((name, policy.clone(), place));
    }
    named
}

/// The policies of a file in its order, each with where it begins.
fn in_order<'a>(text: &str, set: &'a PolicySet) -> Vec<(usize, &'a Policy)> {
    // Cedar numbers the policies of a text: `policy0`, `policy1`, ….
    let number = |policy: &Policy| {
        let id = policy.id().to_string();
        id.trim_start_matches("policy").parse::<usize>().ok()
    };
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(|policy| number(policy));
    let mut end = 0;
    let placed = policies.into_iter().map(|policy| {
        let shown = policy.to_string();
        let found = text.get(end..).and_then(|rest| rest.find(&shown));
        let begin = end + found.unwrap_or(0);
        end = begin + found.map_or(0, |_| shown.len());
        (begin, policy)
    });
    placed.collect()
}
