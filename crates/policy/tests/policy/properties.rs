use dayfly_policy::*;
use proptest::prelude::*;

use crate::fixtures::*;

/// What a value of a claim may carry along.
const METACHARACTERS: &[&str] = &[
    "/", "*", "/*", "+", ",", ";", "{{", "}}", "{{x}}", "%2e", "%2e%2e", "%2f", "\0", "\n", "\t",
    " ", "..", "/..", "é", "\u{202e}", "\u{200b}", "\u{ff0f}", "\u{430}", "\\", "\"", "'", "|",
    "?", "[a]", "$(x)", "${x}", "`", "#", "@", ":", "//", "^", "~", "&&", "\u{0}x",
];

fn requests() -> Vec<(Principal, Request)> {
    let asked = |scopes: &str| Request {
        scopes: Some(scopes.parse().unwrap()),
        ..token(PAYMENTS)
    };
    let mut own_runner = job();
    own_runner
        .attributes
        .insert("runner_environment".to_owned(), text("self-hosted"));
    vec![
        (job(), token(PAYMENTS)),
        (own_runner, asked("deploy:write")),
        (
            job(),
            Request {
                requested_ttl: Some(60),
                ..asked("deploy:read")
            },
        ),
        (
            job(),
            Request {
                task: None,
                ..token(PAYMENTS)
            },
        ),
        (job(), token("https://billing.internal")),
        (report(), token(PAYMENTS)),
        (api(), token(PAYMENTS)),
        (
            api(),
            Request {
                task: None,
                ..token(PAYMENTS)
            },
        ),
        (api(), certificate()),
        (
            svid("spiffe://prod.example.org/payments/api/9"),
            certificate(),
        ),
        (svid("spiffe://prod.example.org/other"), token(PAYMENTS)),
        (
            own_token(parent()),
            Request {
                task: None,
                ..token(PAYMENTS)
            },
        ),
    ]
}

fn guardrails() -> impl Strategy<Value = Vec<String>> {
    let condition = prop_oneof![
        (0u64..1000).prop_map(|secs| format!("context.lifetime > {secs}")),
        prop::sample::select(vec!["deploy:read", "deploy:write", "x"])
            .prop_map(|scope| format!("context.scopes.contains(\"{scope}\")")),
        prop::sample::select(vec!["payments", "billing"])
            .prop_map(|owner| format!("principal in Owner::\"{owner}\"")),
        Just("context.claims.hasTag(\"runner_environment\") && context.claims.getTag(\"runner_environment\") == \"self-hosted\"".to_owned()),
        Just("!(context has task)".to_owned()),
        Just("context.binding == \"none\"".to_owned()),
        Just("context.lifetime * 9223372036854775807 > 0".to_owned()),
    ];
    prop::collection::vec(condition, 1..4).prop_map(|conditions| {
        conditions
            .into_iter()
            .map(|condition| format!("forbid(principal, action, resource) when {{ {condition} }};"))
            .collect()
    })
}

/// A decision without the version, which differs with the sources.
fn outcome(registry: &Registry, principal: &Principal, request: &Request) -> Decision {
    match registry.decide(principal, request, NOW) {
        Decision::Permit(permit) => Decision::Permit(Permit {
            policy_version: String::new(),
            ..permit
        }),
        deny @ Decision::Deny(_) => deny,
    }
}

/// The entries of `BASE`, each workload and audience as a file of its own, and rules in the order given.
fn scattered(order: &[usize]) -> Vec<(std::path::PathBuf, String)> {
    let mut files = Vec::new();
    for (path, text) in BASE {
        let folder = path.rsplit_once('/').unwrap().0;
        let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
        for (number, block) in blocks.enumerate() {
            let name = order[files.len() % order.len()];
            files.push((
                format!("/mnt/{folder}/{name}-{number}.toml").into(),
                swapped_rules(block),
            ));
        }
    }
    files
}

/// Two rules of one workload in the other order.
fn swapped_rules(block: &str) -> String {
    let parts: Vec<&str> = block.split("[[workload.rule]]").collect();
    let [head, first, rest] = parts.as_slice() else {
        return block.to_owned();
    };
    let (second, tail) = rest.split_once("[[workload.grant]]").unwrap();
    format!("{head}[[workload.rule]]{second}[[workload.rule]]{first}[[workload.grant]]{tail}")
}

/// Few cases by default, because each loads several registries; `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(32),
    }
}

/// A value to match, as TOML writes it, and claims that may or may not be it.
const VALUES: &[&str] = &[
    "\"x\"",
    "\"y\"",
    "[\"x\", \"y\"]",
    "[\"x\", \"x/*\"]",
    "\"x/*\"",
    "1",
    "2",
    "true",
];

fn claims() -> impl Strategy<Value = Vec<(String, Attribute)>> {
    let value = prop::sample::select(vec![
        text("x"),
        text("y"),
        text("x/z"),
        text("x/*"),
        text("1"),
        text("true"),
        Attribute::Integer(1),
        Attribute::Integer(2),
        Attribute::Flag(true),
        Attribute::List(vec!["x".to_owned()]),
    ]);
    prop::collection::vec(("[abc]", value), 0..6)
}

/// Rules over the claims `a`, `b` and `c`, each with something exact in it.
fn registry_of_rules() -> impl Strategy<Value = String> {
    let claims = prop::collection::btree_map("[abc]", prop::sample::select(VALUES), 0..3);
    let rules = prop::collection::vec((claims, "[abc]", 0usize..3), 1..8);
    rules.prop_map(|rules| {
        let mut file = "[owner]\ncontact = \"x\"\n[[workload]]\nname = \"w\"\nenvironment = \"prod\"\npurpose = \"x\"\n".to_owned();
        for (number, (mut claims, pin, exact)) in rules.into_iter().enumerate() {
            claims.insert(pin, VALUES[exact]);
            let claims: Vec<String> = claims.iter().map(|(k, v)| format!("{k} = {v}")).collect();
            file.push_str(&format!(
                "[[workload.rule]]\nname = \"r{number}\"\nissuer = \"ci\"\nmatch = {{ {} }}\n",
                claims.join(", ")
            ));
        }
        file
    })
}

proptest! {
    #![proptest_config(cases())]

    /// The index leads to the same rules as a comparison with each of them.
    #[test]
    fn no_rule_is_overlooked(file in registry_of_rules(), jobs in prop::collection::vec(claims(), 20)) {
        let registry = load(&[("registry/a/x.toml", &file)], &[]).unwrap().0;
        for claims in jobs {
            let mut job = report();
            job.attributes = claims.into_iter().collect();
            let all = registry.explain(&job, &token(PAYMENTS), NOW).rules;
            let matching: Vec<_> = all.iter().filter(|trace| trace.misses.is_empty()).collect();
            match (registry.workload_of(&job, None), matching.as_slice()) {
                (Ok((_, rule)), [only]) => prop_assert_eq!(&rule.name, &only.rule),
                (Err(denial), []) => prop_assert_eq!(denial.reason, DenialReason::NoRule),
                (Err(denial), [_, _, ..]) => prop_assert_eq!(denial.reason, DenialReason::AmbiguousRule),
                (found, matching) => prop_assert!(false, "{:?} but {:?}\n{}", found, matching, file),
            }
        }
    }

    /// A guardrail more never lets through what was refused, and never changes what is minted.
    #[test]
    fn adding_a_guardrail_adds_no_permission(policies in guardrails()) {
        let fewer = load(BASE, &[("policies/a.cedar", &policies[0])]).unwrap().0;
        let more = load(BASE, &[("policies/a.cedar", &policies[0]), ("policies/b.cedar", &policies.join("\n"))]).unwrap().0;
        let none = base();
        for (principal, request) in requests() {
            let outcomes = [&none, &fewer, &more].map(|registry| outcome(registry, &principal, &request));
            for pair in outcomes.windows(2) {
                if let Decision::Permit(after) = &pair[1] {
                    prop_assert_eq!(&Decision::Permit(after.clone()), &pair[0]);
                }
            }
        }
    }

    /// Neither the order of files nor that of rules in them means anything.
    #[test]
    fn order_means_nothing(order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(), policies in guardrails()) {
        let mut files = scattered(&order);
        let forward: Vec<_> = policies.iter().enumerate()
            .map(|(n, text)| (format!("{n}.cedar").into(), format!("@id(\"g{n}\") {text}"))).collect();
        let backward: Vec<_> = policies.iter().enumerate()
            .map(|(n, text)| (format!("{}.cedar", 9 - n).into(), format!("@id(\"g{n}\") {text}"))).collect();
        let (one, _) = Registry::from_parts(files.clone(), forward, &options()).unwrap();
        files.reverse();
        let (other, _) = Registry::from_parts(files, backward, &options()).unwrap();
        let whole = Registry::from_parts(parts(BASE), policies.iter().enumerate()
            .map(|(n, text)| ("x.cedar".into(), format!("@id(\"g{n}\") {text}"))).take(1).collect(), &options()).unwrap().0;
        for (principal, request) in requests() {
            prop_assert_eq!(outcome(&one, &principal, &request), outcome(&other, &principal, &request));
            if policies.len() == 1 {
                prop_assert_eq!(outcome(&one, &principal, &request), outcome(&whole, &principal, &request));
            }
        }
    }

    /// A claim that is anything but the pinned value does not match, whatever it is made of.
    #[test]
    fn odd_values_never_match(
        claim in prop::sample::select(vec!["repository_id", "repository_owner_id", "environment", "event_name"]),
        odd in prop::sample::select(METACHARACTERS),
        place in 0usize..3,
        noise in "\\PC{0,8}",
    ) {
        let registry = base();
        let mut job = job();
        let Some(Attribute::Text(value)) = job.attributes.get(claim).cloned() else { unreachable!() };
        let changed = match place {
            0 => format!("{odd}{value}"),
            1 => format!("{value}{odd}"),
            _ => format!("{noise}{odd}"),
        };
        for value in [changed.clone(), changed.to_uppercase()] {
            job.attributes.insert(claim.to_owned(), text(&value));
            prop_assert_eq!(reason(&registry, &job, &token(PAYMENTS)), DenialReason::NoRule);
        }
    }

    /// Whatever an exchange asks for, the child is within the parent and within today's grant.
    #[test]
    fn a_child_never_exceeds(
        parent_scopes in prop::sample::subsequence(vec!["deploy:read", "deploy:write", "old"], 0..=3),
        asked in prop::option::of(prop::sample::subsequence(vec!["deploy:read", "deploy:write", "old"], 0..=3)),
        left in 0u64..5000,
        ttl in prop::option::of(any::<u64>()),
        bound in any::<bool>(),
        proven in any::<bool>(),
        ancestors in 0usize..6,
        task in any::<bool>(),
    ) {
        let registry = base();
        let parent = Parent {
            scopes: parent_scopes.join(" ").parse().unwrap(),
            expires_at: NOW.saturating_add(left),
            confirmation: bound.then_some(dayfly_token::Confirmation::CertificateThumbprint([9; 32])),
            binding_proven: proven,
            ancestors: vec!["a".to_owned(); ancestors],
            task: task.then(|| "payments/t1".parse().unwrap()),
            ..parent()
        };
        let request = Request {
            scopes: asked.map(|scopes| scopes.join(" ").parse().unwrap()),
            requested_ttl: ttl,
            task: None,
            ..token(PAYMENTS)
        };
        if let Decision::Permit(child) = registry.decide(&own_token(parent.clone()), &request, NOW) {
            prop_assert!(child.scopes.is_subset(&parent.scopes));
            prop_assert!(child.scopes.is_subset(&"deploy:read".parse().unwrap()));
            prop_assert!((MIN_TOKEN_SECS..=left.min(600)).contains(&child.ttl_secs));
            prop_assert!(ttl.is_none_or(|ttl| child.ttl_secs <= ttl));
            prop_assert_eq!(child.binding != Binding::None, bound);
            prop_assert!(!bound || proven);
            prop_assert!(ancestors < 4);
            prop_assert_eq!(child.task, parent.task);
            prop_assert_eq!(child.audience, Some(parent.audience));
        }
    }
}

#[test]
fn many_workloads_are_looked_up_by_a_pin() {
    let mut file =
        "[owner]\ncontact = \"x\"\n[[audience]]\nid = \"x\"\nenvironment = \"prod\"\nscopes = []\n"
            .to_owned();
    for n in 0..1500 {
        file.push_str(&format!(
            "[[workload]]\nname = \"w{n}\"\nenvironment = \"prod\"\npurpose = \"x\"\n[[workload.rule]]\nname = \"r{n}\"\nissuer = \"github\"\nmatch = {{ repository_id = \"{n}\", repository_owner_id = \"65\", environment = \"prod\", event_name = \"push\" }}\n[[workload.grant]]\naudience = \"x\"\nscopes = []\n"
        ));
    }
    let (registry, warnings) = load(&[("registry/many/w.toml", &file)], &[]).unwrap();
    assert_eq!(warnings, []);
    let mut job = job();
    job.attributes
        .insert("repository_id".to_owned(), text_of(1499));
    let (workload, rule) = registry.workload_of(&job, None).unwrap();
    assert_eq!(
        (workload.id.to_string().as_str(), rule.name.as_str()),
        ("many/w1499", "r1499")
    );
    // A stranger's token is compared with no rule at all, a near one only with those that share its pin.
    job.attributes
        .insert("repository_id".to_owned(), text_of(9999));
    assert_eq!(
        registry.workload_of(&job, None).unwrap_err().near_misses,
        []
    );
    job.attributes
        .insert("repository_id".to_owned(), text_of(5));
    job.attributes.insert("environment".to_owned(), text("dev"));
    let misses = registry.workload_of(&job, None).unwrap_err().near_misses;
    assert_eq!(
        misses
            .iter()
            .map(|m| (m.rule.as_str(), m.claim.as_str()))
            .collect::<Vec<_>>(),
        [("r5", "environment")]
    );
}

fn text_of(number: usize) -> Attribute {
    text(&number.to_string())
}
