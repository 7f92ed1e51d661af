//! The decision in full, for people: also what kept each rule from matching.

use dayfly_token::{Slug, UnixTime, WorkloadId};
use serde::Serialize;

use crate::{Decision, NearMiss, Principal, Registry, Request};

/// Rules in an explanation: what somebody reads; the nearest come first.
const MAX_TRACES: usize = 50;

/// A decision with every rule for the same source of evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The decision itself.
    pub decision: Decision,
    /// The rules, nearest first, at most 50.
    pub rules: Vec<RuleTrace>,
    /// How many rules were compared.
    pub compared: usize,
}

/// What one rule made of the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleTrace {
    /// The rule.
    pub rule: Slug,
    /// The workload that it leads to.
    pub workload: WorkloadId,
    /// What kept it from matching; empty if it matches.
    pub misses: Vec<NearMiss>,
}

impl Registry {
    /// Decides as [`Registry::decide`] does, and compares every rule for the source of the evidence. Linear in those
    /// rules: for an operator's question, not for requests.
    #[must_use]
    pub fn explain(&self, principal: &Principal, request: &Request, now: UnixTime) -> Explanation {
        let numbers = self.rule_index.of_source(&principal.source);
        let mut rules: Vec<RuleTrace> = numbers
            .iter()
            .filter_map(|number| self.rules.get(*number))
            .map(|rule| RuleTrace {
                rule: rule.name.clone(),
                workload: rule.workload.clone(),
                misses: rule.misses(principal),
            })
            .collect();
        let compared = rules.len();
        rules.sort_by(|a, b| (a.misses.len(), &a.rule).cmp(&(b.misses.len(), &b.rule)));
        rules.truncate(MAX_TRACES);
        Explanation {
            decision: self.decide(principal, request, now),
            rules,
            compared,
        }
    }
}
