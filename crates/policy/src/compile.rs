//! Files → registry: who may define what, references, bounds, and what belongs together.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_token::{AudienceId, Scope, ScopeSet, Slug, WorkloadId};

use crate::config::{AudienceConfig, RegistryFile, WorkloadConfig};
use crate::finding::{Findings, Place, SourceFile};
use crate::gate::{self, Engine};
use crate::lifetime::DEFAULT_TOKEN_SECS;
use crate::registry::{ADMIN_PREFIX, ADMIN_SCOPES, Audience, Owner, Registry, Rule, Workload};
use crate::rule_index::RuleIndex;
use crate::{Lint, LoadErrors, LoadOptions};

mod grants;
mod rules;

/// Longest contact or purpose, in characters: one line.
const MAX_LINE_CHARS: usize = 256;
/// A file of `registry/<owner>/`.
pub(crate) struct OwnedFile<'a> {
    pub(crate) owner: Slug,
    pub(crate) file: &'a SourceFile,
    pub(crate) config: RegistryFile,
}

impl<'a> OwnedFile<'a> {
    fn place(&self, offset: usize) -> Place<'a> {
        Place::new(self.file, offset)
    }
}

/// Collects the parts of a [`Registry`], and everything that is wrong with them.
pub(crate) struct Compiler<'a> {
    options: &'a LoadOptions,
    findings: Findings,
    owners: BTreeMap<Slug, (Owner, Place<'a>)>,
    audiences: BTreeMap<AudienceId, (Audience, Place<'a>)>,
    workloads: BTreeMap<WorkloadId, (Workload, Place<'a>)>,
    rules: BTreeMap<Slug, (Rule, Place<'a>)>,
    /// The DNS names of certificates, each with the first workload that may have it.
    dns_names: BTreeMap<String, (WorkloadId, Place<'a>)>,
    max_lifetime_secs: u64,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(options: &'a LoadOptions, findings: Findings) -> Self {
        Self {
            options,
            findings,
            owners: BTreeMap::new(),
            audiences: BTreeMap::new(),
            workloads: BTreeMap::new(),
            rules: BTreeMap::new(),
            dns_names: BTreeMap::new(),
            max_lifetime_secs: DEFAULT_TOKEN_SECS,
        }
    }

    pub(crate) fn compile(
        mut self,
        files: &[OwnedFile<'a>],
        policies: &[SourceFile],
        version: String,
    ) -> Result<(Registry, Vec<Lint>), LoadErrors> {
        self.options_are_sane();
        self.owners(files);
        self.audiences(files);
        for file in files {
            for workload in &file.config.workload {
                self.workload(file, workload, file.place(workload.offset()));
            }
        }
        self.patterns_name_somebody();
        self.rules_differ();
        let engine = self.engine(policies);
        if let Some(engine) = &engine {
            self.grants(files, engine);
            self.admin_grants(engine);
        }
        self.workloads_are_of_use();
        let warnings = self.findings.finish()?;
        // Without an engine there is a finding, and the line above has returned.
        let engine = engine.ok_or_else(|| LoadErrors(Vec::new()))?;
        let rules: Vec<Rule> = self.rules.into_values().map(|(rule, _)| rule).collect();
        let registry = Registry {
            version,
            limits: self.options.limits,
            owners: unplaced(self.owners),
            audiences: unplaced(self.audiences),
            workloads: unplaced(self.workloads),
            rule_index: RuleIndex::build(&rules),
            rules,
            engine,
            max_lifetime_secs: self.max_lifetime_secs,
        };
        Ok((registry, warnings))
    }

    fn options_are_sane(&mut self) {
        let limits = self.options.limits;
        let numbers = [
            limits.workload_per_minute,
            limits.workload_burst,
            limits.owner_per_minute,
            limits.owner_burst,
        ];
        if numbers.contains(&0) {
            let message = "a rate limit of 0 lets nothing through: write at least 1";
            self.findings.error(Place::MAIN_FILE, message);
        }
        let mut seen = BTreeSet::new();
        for info in &self.options.sources {
            if !seen.insert(&info.source) {
                let message = format!("the source `{}` is configured twice", info.source);
                self.findings.error(Place::MAIN_FILE, message);
            }
        }
    }

    fn owners(&mut self, files: &[OwnedFile<'a>]) {
        for file in files {
            let Some(config) = &file.config.owner else {
                continue;
            };
            let place = file.place(config.offset());
            self.check_line(&config.contact, "contact", place);
            if let Some((_, other)) = self.owners.get(&file.owner) {
                let message = format!("`[owner]` also stands at {other}: keep one of them");
                self.findings.error(place, message);
                continue;
            }
            let owner = Owner {
                name: file.owner.clone(),
                contact: config.contact.clone(),
            };
            self.owners.insert(file.owner.clone(), (owner, place));
        }
        let mut missing = BTreeSet::new();
        for file in files {
            if !self.owners.contains_key(&file.owner) && missing.insert(&file.owner) {
                let message = format!(
                    "nobody answers for `{}`: add `[owner]` with a `contact` to one of its files",
                    file.owner
                );
                self.findings.error(file.place(0), message);
            }
        }
    }

    fn audiences(&mut self, files: &[OwnedFile<'a>]) {
        let issuer = Audience {
            id: self.options.issuer.clone(),
            owner: None,
            environment: None,
            scopes: admin_scopes(),
            operators: Vec::new(),
            callers: Vec::new(),
        };
        self.audiences
            .insert(issuer.id.clone(), (issuer, Place::MAIN_FILE));
        for file in files {
            for config in &file.config.audience {
                self.audience(&file.owner, config, file.place(config.offset()));
            }
        }
    }

    fn audience(&mut self, owner: &Slug, config: &AudienceConfig, place: Place<'a>) {
        if let Some((_, other)) = self.audiences.get(&config.id) {
            let message = format!(
                "the audience `{}` is already defined in {other}: each has one owner",
                config.id
            );
            self.findings.error(place, message);
            return;
        }
        let reserved = config
            .scopes
            .iter()
            .find(|scope| scope.as_str().starts_with(ADMIN_PREFIX));
        if let Some(scope) = reserved {
            let message = format!(
                "`{scope}`: scopes that begin with `{ADMIN_PREFIX}` are the issuer's own: choose another name"
            );
            self.findings.error(place, message);
        }
        let Some(scopes) = self.scopes(&config.scopes, place) else {
            return;
        };
        let audience = Audience {
            id: config.id.clone(),
            owner: Some(owner.clone()),
            environment: Some(config.environment.clone()),
            scopes,
            operators: config.operators.clone(),
            callers: config.callers.clone(),
        };
        self.audiences
            .insert(audience.id.clone(), (audience, place));
    }

    fn workload(&mut self, file: &OwnedFile<'a>, config: &WorkloadConfig, place: Place<'a>) {
        let id = WorkloadId {
            owner: file.owner.clone(),
            name: config.name.clone(),
        };
        self.check_line(&config.purpose, "purpose", place);
        if let Some((_, other)) = self.workloads.get(&id) {
            let message = format!("the workload `{id}` is already defined at {other}");
            self.findings.error(place, message);
            return;
        }
        for rule in &config.rule {
            self.rule(&id, file, rule, file.place(rule.offset()));
        }
        let workload = Workload {
            id: id.clone(),
            environment: config.environment.clone(),
            purpose: config.purpose.clone(),
            grants: BTreeMap::new(),
            certificate: None,
            admin: Vec::new(),
        };
        self.workloads.insert(id, (workload, place));
    }

    fn engine(&mut self, policies: &[SourceFile]) -> Option<Engine> {
        let exists = |kind: &str, id: &str| match kind {
            "Owner" => id
                .parse()
                .is_ok_and(|id: Slug| self.owners.contains_key(&id)),
            "Workload" => id
                .parse()
                .is_ok_and(|id: WorkloadId| self.workloads.contains_key(&id)),
            "Audience" => id
                .parse()
                .is_ok_and(|id: AudienceId| self.audiences.contains_key(&id)),
            "TrustDomain" => self.options.trust_domain.as_str() == id,
            gate::CLAIMS | gate::CLAIM_LISTS => id == gate::EVIDENCE,
            _ => true,
        };
        Engine::compile(policies, &exists, &mut self.findings)
    }

    fn patterns_name_somebody(&mut self) {
        for (audience, place) in self.audiences.values() {
            let listed = audience
                .operators
                .iter()
                .map(|pattern| ("operators", pattern))
                .chain(audience.callers.iter().map(|pattern| ("callers", pattern)));
            for (key, pattern) in listed {
                let somebody = match &pattern.name {
                    None => self.owners.contains_key(&pattern.owner),
                    Some(name) => self.workloads.contains_key(&WorkloadId {
                        owner: pattern.owner.clone(),
                        name: name.clone(),
                    }),
                };
                if !somebody {
                    let message = format!("`{key}`: nobody is `{pattern}` yet");
                    self.findings.warn(*place, message);
                }
            }
        }
    }

    fn workloads_are_of_use(&mut self) {
        let found: BTreeSet<&WorkloadId> = self
            .rules
            .values()
            .map(|(rule, _)| &rule.workload)
            .collect();
        for (workload, place) in self.workloads.values() {
            if !found.contains(&workload.id) {
                let message = format!(
                    "no evidence leads to `{}`: add a `[[workload.rule]]`",
                    workload.id
                );
                self.findings.warn(*place, message);
            }
            if workload.grants.is_empty() && workload.certificate.is_none() {
                let message = format!(
                    "`{}` may get nothing: add a `[[workload.grant]]` or a `[workload.certificate]`",
                    workload.id
                );
                self.findings.warn(*place, message);
            }
        }
    }

    fn check_scopes(&mut self, scopes: &[Scope], audience: &Audience, place: Place<'a>) {
        for scope in scopes {
            if !audience.scopes.contains(scope.as_str()) {
                let message = format!(
                    "`{}` has no scope `{scope}`; it has: {}",
                    audience.id, audience.scopes
                );
                self.findings.error(place, message);
            }
        }
    }

    fn scopes(&mut self, scopes: &[Scope], place: Place<'a>) -> Option<ScopeSet> {
        match ScopeSet::new(scopes.iter().cloned()) {
            Ok(set) => {
                if set.len() < scopes.len() {
                    self.findings.error(place, "a scope is listed twice");
                }
                Some(set)
            }
            Err(error) => {
                self.findings.error(place, error.to_string());
                None
            }
        }
    }

    fn check_line(&mut self, text: &str, key: &str, place: Place<'a>) {
        let count = text.chars().count();
        if text.trim().is_empty() || count > MAX_LINE_CHARS || text.chars().any(char::is_control) {
            let message = format!("`{key}` is one line of 1 to {MAX_LINE_CHARS} characters");
            self.findings.error(place, message);
        }
    }
}

fn unplaced<K: Ord, V>(map: BTreeMap<K, (V, Place<'_>)>) -> BTreeMap<K, V> {
    map.into_iter()
        .map(|(key, (value, _))| (key, value))
        .collect()
}

fn admin_scopes() -> ScopeSet {
    ADMIN_SCOPES.join(" ").parse().unwrap_or_default()
}
