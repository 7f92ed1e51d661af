#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use cedar_policy::Decision;
use dayfly_token::{AudienceId, ScopeSet, TaskId, UnixTime};
use proptest::prelude::*;

use super::*;
use crate::principal::{Attribute, Principal};
use crate::registry::Audience;
use crate::{Binding, Method, Source};

/// Guardrails of which a case takes some. One fails at run time, by overflow.
const GUARDRAILS: &[&str] = &[
    "@id(\"prod-tasks\") forbid(principal, action, resource) when { principal.environment == \"prod\" && !(context has task) };",
    "@id(\"bearer\") forbid(principal in Owner::\"a\", action == Action::\"issue_token\", resource) when { context.binding == \"none\" };",
    "@id(\"runner\") forbid(principal, action, resource) when { context.claims.hasTag(\"runner\") && context.claims.getTag(\"runner\") == \"own\" };",
    "@id(\"groups\") forbid(principal, action, resource) when { context.claim_lists.hasTag(\"groups\") && context.claim_lists.getTag(\"groups\").contains(\"x\") };",
    "@id(\"long\") forbid(principal, action, resource) when { context.lifetime > 300 };",
    "@id(\"owner\") forbid(principal, action == Action::\"issue_token\", resource) when { resource has owner && resource.owner != principal.owner };",
    "@id(\"broken\") forbid(principal == Workload::\"b/two\", action, resource) when { context.lifetime * 9223372036854775807 > 0 };",
];
const CONDITIONS: &[Option<&str>] = &[
    None,
    Some("context.scopes.contains(\"read\")"),
    Some("context.claims.hasTag(\"runner\")"),
    Some("context has task && context.task like \"a/*\""),
    Some("context.now * 9223372036854775807 == 0"),
    Some("false"),
];

fn workload(owner: &str, name: &str, environment: &str) -> Workload {
    Workload {
        id: format!("{owner}/{name}").parse().unwrap(),
        environment: environment.parse().unwrap(),
        purpose: "test".to_owned(),
        grants: BTreeMap::new(),
        certificate: None,
        admin: Vec::new(),
    }
}

fn audience(id: &str, owner: Option<&str>) -> Audience {
    Audience {
        id: id.parse::<AudienceId>().unwrap(),
        owner: owner.map(|owner| owner.parse().unwrap()),
        environment: owner.map(|_| "prod".parse().unwrap()),
        scopes: ScopeSet::default(),
        operators: Vec::new(),
        callers: Vec::new(),
    }
}

fn engine(chosen: &[bool]) -> Engine {
    let texts: Vec<&str> = GUARDRAILS
        .iter()
        .zip(chosen)
        .filter_map(|(text, chosen)| chosen.then_some(*text))
        .collect();
    let file = SourceFile::new(PathBuf::from("policies/all.cedar"), texts.join("\n"));
    let files = if texts.is_empty() {
        &[][..]
    } else {
        std::slice::from_ref(&file)
    };
    let mut findings = Findings::default();
    let engine = Engine::compile(files, &|_, _| true, &mut findings).unwrap();
    assert_eq!(findings.finish().unwrap(), Vec::new());
    engine
}

#[derive(Debug, Clone)]
struct Asked {
    guardrails: Vec<bool>,
    conditions: Vec<usize>,
    runner: Option<bool>,
    groups: bool,
    read: bool,
    long: bool,
    bearer: bool,
    task: Option<bool>,
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        prop::collection::vec(any::<bool>(), GUARDRAILS.len()),
        prop::collection::vec(0..CONDITIONS.len(), 6),
        any::<(Option<bool>, bool, bool, bool, bool, Option<bool>)>(),
    )
        .prop_map(|(guardrails, conditions, facts)| Asked {
            guardrails,
            conditions,
            runner: facts.0,
            groups: facts.1,
            read: facts.2,
            long: facts.3,
            bearer: facts.4,
            task: facts.5,
        })
}

fn principal(asked: &Asked) -> Principal {
    let mut attributes = BTreeMap::from([
        ("number".to_owned(), Attribute::Integer(7)),
        ("flag".to_owned(), Attribute::Flag(true)),
    ]);
    if let Some(own) = asked.runner {
        let runner = if own { "own" } else { "hosted" };
        attributes.insert("runner".to_owned(), Attribute::Text(runner.to_owned()));
    }
    if asked.groups {
        attributes.insert("groups".to_owned(), Attribute::List(vec!["x".to_owned()]));
    }
    Principal {
        method: Method::Oidc,
        source: Source::Issuer("ci".parse().unwrap()),
        issuer_url: Some("https://ci.example".to_owned()),
        subject: "job".to_owned(),
        attributes,
        issued_at: None,
        expires_at: UnixTime::from_secs(2000),
        peer: None,
        single_use: None,
        digest: [0; 32],
        informational: serde_json::Map::new(),
        parent: None,
    }
}

/// What the whole set says: every guardrail, and the permit of every grant, each for its workload and audience.
fn whole_set(engine: &Engine, grants: &[(&Workload, &Audience, Option<&str>)]) -> PolicySet {
    let permits = grants
        .iter()
        .enumerate()
        .map(|(n, (workload, audience, condition))| {
            let target = Target::Token(audience);
            let condition = condition.unwrap_or("true");
            engine
                .conditional(workload, &target, condition)
                .unwrap()
                .new_id(PolicyId::new(format!("grant{n}")))
        });
    PolicySet::from_policies(engine.guardrails.iter().cloned().chain(permits)).unwrap()
}

/// Few cases by default, because each compiles several policies; `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(32),
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Cedar sees only a slice, and decides as it would with everything. And no guardrail ever opens anything.
    #[test]
    fn slice_and_whole_set_decide_alike(asked in asked()) {
        let workloads = [
            workload("a", "one", "prod"), workload("a", "two", "dev"), workload("b", "two", "prod"),
        ];
        let audiences = [audience("https://a.example", Some("a")), audience("https://sts.example", None)];
        let engine = engine(&asked.guardrails);
        let open = super::tests::engine(&[false; 7]);
        let mut findings = Findings::default();
        let pairs: Vec<_> = workloads.iter().flat_map(|w| audiences.iter().map(move |a| (w, a))).collect();
        let grants: Vec<_> = pairs.iter().zip(&asked.conditions)
            .map(|((w, a), c)| (*w, *a, CONDITIONS[*c])).collect();
        let everything = whole_set(&engine, &grants);
        let principal = principal(&asked);
        let scopes: ScopeSet = if asked.read { "read" } else { "write" }.parse().unwrap();
        let task: Option<TaskId> = asked.task.map(|a| if a { "a/t" } else { "b/t" }.parse().unwrap());
        let rule = "ci".parse().unwrap();
        let facts = Facts {
            principal: &principal, rule: &rule, scopes: &scopes, dns_names: &[],
            lifetime_secs: if asked.long { 600 } else { 60 },
            binding: if asked.bearer { Binding::None } else { Binding::Certificate },
            task: task.as_ref(), purpose: None, now: UnixTime::from_secs(1000),
        };
        for (workload, audience, condition) in grants {
            let file = SourceFile::new(PathBuf::from("x"), String::new());
            let place = Place::new(&file, 0);
            let target = Target::Token(audience);
            let gate = engine.gate(workload, &target, condition.map(|c| (c, place)), &mut findings);
            let sliced = engine.check(&gate, &facts);

            let slice = Slice { policies: everything.clone(), reads_claims: true };
            let question = Question::new(workload, &target, Arc::new(slice)).unwrap();
            let whole = engine.ask(&question, &facts).unwrap();
            // A failing condition of another grant cannot be reached: its scope does not match.
            let permitted = whole.decision() == Decision::Allow
                && whole.diagnostics().errors().next().is_none();
            prop_assert_eq!(sliced.is_ok(), permitted, "{:?} {:?}", sliced, whole);

            let gate = open.gate(workload, &target, condition.map(|c| (c, place)), &mut findings);
            prop_assert!(sliced.is_err() || open.check(&gate, &facts).is_ok());
        }
    }
}

#[test]
fn a_condition_cannot_leave_its_braces() {
    let engine = engine(&[false; 7]);
    let workload = workload("a", "one", "prod");
    let audience = audience("https://a.example", Some("a"));
    let target = Target::Token(&audience);
    for bad in [
        "true }; permit(principal, action, resource) when { true",
        "true } unless { false",
        "true };",
        "} when { true",
        "",
        "true, true",
        "// true",
        "principal == ?principal",
        "context.claims.getTag(\"x\") == \"y\"",
        "context.nothing == 1",
        "context.lifetime == \"1\"",
        "1",
    ] {
        assert!(
            engine.conditional(&workload, &target, bad).is_err(),
            "{bad}"
        );
    }
    for good in ["true", "true // why", "\n  context.lifetime < 60\n"] {
        assert!(
            engine.conditional(&workload, &target, good).is_ok(),
            "{good}"
        );
    }
}

#[test]
fn claims_are_handed_over_only_if_asked_for() {
    let parse = |text: &str| Policy::parse(None, text).unwrap();
    for text in [
        "forbid(principal, action, resource) when { context.claims.hasTag(\"x\") };",
        "forbid(principal, action, resource) when { context[\"cl\\u{61}ims\"].hasTag(\"x\") };",
        "forbid(principal, action, resource) when { context has claim_lists };",
        "forbid(principal, action, resource) when { Claims::\"evidence\".hasTag(\"x\") };",
        "forbid(principal, action, resource) when { ClaimLists::\"evidence\".hasTag(\"x\") };",
    ] {
        assert!(reads_claims(&parse(text)), "{text}");
    }
    let text = "forbid(principal, action, resource) when { context.lifetime > 1 };";
    assert!(!reads_claims(&parse(text)));
}

#[test]
fn the_published_schema_is_the_one_in_use() {
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../../api/policy.cedarschema");
    assert_eq!(std::fs::read_to_string(published).unwrap(), CEDAR_SCHEMA);
}
