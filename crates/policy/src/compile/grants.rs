//! Grants, certificates and the rights at the issuer: references, bounds, and whether they take effect.

use dayfly_token::{AudienceId, Excerpt, ScopeSet, Slug, WorkloadId};

use super::{Compiler, OwnedFile};
use crate::config::{CertificateConfig, GrantConfig};
use crate::details;
use crate::finding::Place;
use crate::gate::{Engine, Gate, Target};
use crate::lifetime::{
    DEFAULT_CERTIFICATE_SECS, DEFAULT_TOKEN_SECS, Lifetime, MAX_LIFETIME_SECS,
    MIN_CERTIFICATE_SECS, MIN_TOKEN_SECS,
};
use crate::registry::{AdminGrant, Audience, CertificateGrant, Grant, Terms, Workload};

/// Longest DNS name (RFC 1035 section 2.3.4).
const MAX_DNS_NAME_BYTES: usize = 253;
/// DNS names of one workload: they may all stand in one certificate.
const MAX_DNS_NAMES: usize = 32;
const RIGHTS_AT_THE_ISSUER: &str =
    "rights at the issuer itself stand in `[[grant]]` of the main file";

impl<'a> Compiler<'a> {
    pub(super) fn grants(&mut self, files: &[OwnedFile<'a>], engine: &Engine) {
        for file in files {
            for config in &file.config.workload {
                let id = WorkloadId {
                    owner: file.owner.clone(),
                    name: config.name.clone(),
                };
                // Taken out while it is worked on, so that the others can be looked at.
                let Some((mut workload, place)) = self.workloads.remove(&id) else {
                    continue;
                };
                for grant in &config.grant {
                    self.grant(&mut workload, file, grant, grant.offset(), engine);
                }
                if let Some(certificate) = &config.certificate {
                    let at = file.place(certificate.offset());
                    self.certificate(&mut workload, file, certificate, at, engine);
                }
                self.workloads.insert(id, (workload, place));
            }
        }
    }

    fn grant(
        &mut self,
        workload: &mut Workload,
        file: &OwnedFile<'a>,
        config: &GrantConfig,
        offset: usize,
        engine: &Engine,
    ) {
        let place = file.place(offset);
        if config.audience == self.options.issuer {
            self.findings.error(place, RIGHTS_AT_THE_ISSUER);
            return;
        }
        let Some(audience) = self.known_audience(&config.audience, place) else {
            return;
        };
        self.check_scopes(&config.scopes, &audience, place);
        self.check_reach(workload, &audience, config.danger_other_environment, place);
        self.check_delegates(config, place);
        if let Err(message) = details::check(&config.authorization_details) {
            self.findings.error(place, message);
        }
        let Some(scopes) = self.scopes(&config.scopes, place) else {
            return;
        };
        let ttl_secs = self.ttl(config.ttl, MIN_TOKEN_SECS, DEFAULT_TOKEN_SECS, place);
        let condition = config
            .when
            .as_ref()
            .map(|when| (when.as_str(), file.place(when.offset())));
        let target = Target::Token(&audience);
        let grant = Grant {
            terms: Terms {
                ttl_secs,
                require_task: config.require_task,
                require_purpose: config.require_purpose,
            },
            scopes,
            binding: config.binding.map(Into::into),
            narrowable: config.narrowable,
            details: config.authorization_details.clone(),
            gate: engine.gate(workload, &target, condition, &mut self.findings),
        };
        if workload.grants.insert(audience.id.clone(), grant).is_some() {
            let message = format!(
                "a second grant for `{}`: write one with all its scopes, or two workloads",
                audience.id
            );
            self.findings.error(place, message);
        }
    }

    fn check_reach(
        &mut self,
        workload: &Workload,
        audience: &Audience,
        danger_other_environment: bool,
        place: Place<'a>,
    ) {
        if !audience.admits(&workload.id) {
            let owner = audience.owner.as_ref().map_or("", Slug::as_str);
            let message = format!(
                "no effect yet: `{owner}` has to add `{}` to `callers` of `{}`",
                workload.id, audience.id
            );
            self.findings.warn(place, message);
        }
        if let Some(environment) = &audience.environment
            && *environment != workload.environment
            && !danger_other_environment
        {
            let message = format!(
                "`{}` is of the environment `{}`, and `{}` of `{environment}`: register a workload for `{environment}`, or write danger_other_environment = true into the grant",
                workload.id, workload.environment, audience.id
            );
            self.findings.error(place, message);
        }
    }

    fn check_delegates(&mut self, config: &GrantConfig, place: Place<'a>) {
        for delegate in &config.delegate {
            if delegate.audience == self.options.issuer {
                self.findings.error(place, RIGHTS_AT_THE_ISSUER);
                continue;
            }
            if let Some(audience) = self.known_audience(&delegate.audience, place) {
                self.check_scopes(&delegate.scopes, &audience, place);
            }
        }
        if !config.delegate.is_empty() {
            let message = "`delegate` has no effect yet: this version does not delegate";
            self.findings.warn(place, message);
        }
    }

    fn certificate(
        &mut self,
        workload: &mut Workload,
        file: &OwnedFile<'a>,
        config: &CertificateConfig,
        place: Place<'a>,
        engine: &Engine,
    ) {
        if config.dns_names.len() > MAX_DNS_NAMES {
            let message = format!("at most {MAX_DNS_NAMES} DNS names");
            self.findings.error(place, message);
        }
        for name in &config.dns_names {
            if !is_dns_name(name) {
                let message = format!(
                    "`{}` is no DNS name that can be granted: lower case, at least two labels, no wildcard, no address",
                    Excerpt::of(name)
                );
                self.findings.error(place, message);
            }
            self.claim_dns_name(name, &workload.id, place);
        }
        let ttl_secs = self.ttl(
            config.ttl,
            MIN_CERTIFICATE_SECS,
            DEFAULT_CERTIFICATE_SECS,
            place,
        );
        let condition = config
            .when
            .as_ref()
            .map(|when| (when.as_str(), file.place(when.offset())));
        let target = Target::Certificate(&self.options.trust_domain);
        let gate = engine.gate(workload, &target, condition, &mut self.findings);
        workload.certificate = Some(CertificateGrant {
            terms: Terms {
                ttl_secs,
                require_task: config.require_task,
                require_purpose: config.require_purpose,
            },
            dns_names: config.dns_names.clone(),
            gate,
        });
    }

    /// Peers take whoever has a certificate for a name for its owner, so a name has one.
    fn claim_dns_name(&mut self, name: &str, workload: &WorkloadId, place: Place<'a>) {
        match self.dns_names.get(name) {
            Some((other, at)) if other.owner != workload.owner => {
                let message = format!(
                    "`{}` is already the name of `{other}` in {at}: each DNS name has one owner",
                    Excerpt::of(name)
                );
                self.findings.error(place, message);
            }
            Some(_) => {}
            None => {
                let first = (workload.clone(), place);
                self.dns_names.insert(name.to_owned(), first);
            }
        }
    }

    pub(super) fn admin_grants(&mut self, engine: &Engine) {
        let Some((issuer, _)) = self.audiences.get(&self.options.issuer) else {
            return;
        };
        let issuer = issuer.clone();
        let place = Place::MAIN_FILE;
        for config in &self.options.admin_grants {
            let owner = config.owner.as_ref();
            if let Some(owner) = owner.filter(|owner| !self.owners.contains_key(*owner)) {
                let message = format!("`[[grant]]`: there is no owner `{owner}` in the registry");
                self.findings.error(place, message);
            }
            self.check_scopes(&config.scopes, &issuer, place);
            let scopes = self.scopes(&config.scopes, place);
            match (self.workloads.get_mut(&config.workload), scopes) {
                (Some((workload, _)), Some(scopes)) => workload.admin.push(AdminGrant {
                    scopes,
                    owner: config.owner.clone(),
                }),
                (None, _) => {
                    let message =
                        format!("`[[grant]]`: there is no workload `{}`", config.workload);
                    self.findings.error(place, message);
                }
                (Some(_), None) => {}
            }
        }
        for (workload, _) in self.workloads.values_mut() {
            if !workload.admin.is_empty() {
                let gate = engine.gate(workload, &Target::Token(&issuer), None, &mut self.findings);
                workload
                    .grants
                    .insert(issuer.id.clone(), admin_grant(&workload.admin, gate));
            }
        }
    }

    fn known_audience(&mut self, id: &AudienceId, place: Place<'a>) -> Option<Audience> {
        let found = self.audiences.get(id).map(|(audience, _)| audience.clone());
        if found.is_none() {
            let message =
                format!("there is no audience `{id}`: its owner has to add an `[[audience]]`");
            self.findings.error(place, message);
        }
        found
    }

    fn ttl(&mut self, asked: Option<Lifetime>, min: u64, default: u64, place: Place<'a>) -> u64 {
        let secs = asked.map_or(default, Lifetime::as_secs);
        if !(min..=MAX_LIFETIME_SECS).contains(&secs) {
            let message = format!("`ttl` is {secs} s: write between \"{min}s\" and \"1h\"");
            self.findings.error(place, message);
        }
        self.max_lifetime_secs = self.max_lifetime_secs.max(secs);
        secs
    }
}

/// The rights at the issuer as a grant for the audience that the issuer is.
fn admin_grant(rights: &[AdminGrant], gate: Gate) -> Grant {
    let all = rights.iter().flat_map(|right| right.scopes.iter().cloned());
    Grant {
        terms: Terms {
            ttl_secs: DEFAULT_TOKEN_SECS,
            require_task: false,
            require_purpose: false,
        },
        // They are few: `check_scopes` lets only known ones in.
        scopes: ScopeSet::new(all).unwrap_or_default(),
        binding: None,
        narrowable: false,
        details: Vec::new(),
        gate,
    }
}

/// A host name in its canonical spelling. One label, a wildcard or an address is none that one workload can own.
fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_DNS_NAME_BYTES
        && text.contains('.')
        && text.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}
