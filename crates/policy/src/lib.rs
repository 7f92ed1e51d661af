//! Owners, workloads, rules, audiences, grants and guardrails: a pure decision that says why
