//! One request of one workload: what of it the grant allows, step by step.
//!
//! A parent is a ceiling over each step: what comes out is never more than the grant, nor more than the parent.

use dayfly_token::{Confirmation, Excerpt, MAX_ANCESTORS, ScopeSet, TaskId, UnixTime};
use serde_json::{Map, Value};

use crate::decision::{Binding, DenialReason, MAX_PURPOSE_CHARS, Request};
use crate::details;
use crate::principal::{Method, Parent, Principal};
use crate::registry::{CertificateGrant, Grant, Rule, Workload};

/// A no, before it is known to whom.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: DenialReason,
    pub(crate) detail: String,
    pub(crate) policies: Vec<String>,
}

pub(crate) fn refuse<T>(reason: DenialReason, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        reason,
        detail: detail.into(),
        policies: Vec::new(),
    })
}

/// A request whose workload has been found.
pub(crate) struct Case<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) request: &'a Request,
    pub(crate) now: UnixTime,
    pub(crate) workload: &'a Workload,
    pub(crate) rule: &'a Rule,
}

impl Case<'_> {
    /// Whether this parent may be narrowed by this caller at all.
    pub(crate) fn check_parent(&self, parent: &Parent, grant: &Grant) -> Result<(), Refusal> {
        if parent.ancestors.len() >= MAX_ANCESTORS {
            let detail = format!(
                "the parent has {} ancestors already",
                parent.ancestors.len()
            );
            return refuse(DenialReason::NotNarrowable, detail);
        }
        if parent.confirmation.is_some() && !parent.binding_proven && !grant.narrowable {
            let detail = "the parent is bound, and the caller has not proven to be the one";
            return refuse(DenialReason::NotNarrowable, detail);
        }
        // The child would have to name the actor too, and nothing here makes it.
        if parent.actor.is_some() {
            let detail = "the parent is delegated, and this version does not delegate";
            return refuse(DenialReason::NotNarrowable, detail);
        }
        let environment = &self.workload.environment;
        if let Some(minted_in) = parent.environment.as_ref().filter(|e| *e != environment) {
            let detail =
                format!("the parent is of `{minted_in}`, the workload now of `{environment}`");
            return refuse(DenialReason::EnvironmentMismatch, detail);
        }
        Ok(())
    }

    /// All scopes that were asked for, or none. Nothing asked means what the grant gives, under a parent's ceiling.
    pub(crate) fn scopes(&self, grant: &Grant) -> Result<ScopeSet, Refusal> {
        let ceiling = self.principal.parent.as_ref().map(|parent| &parent.scopes);
        let Some(asked) = &self.request.scopes else {
            let Some(ceiling) = ceiling else {
                return Ok(grant.scopes.clone());
            };
            let both = ceiling.iter().filter(|s| grant.scopes.contains(s.as_str()));
            let both = ScopeSet::new(both.cloned()).unwrap_or_default();
            if both.is_empty() && !ceiling.is_empty() {
                let detail = "nothing is left of the parent's scopes in the grant";
                return refuse(DenialReason::ScopeNotGranted, detail);
            }
            return Ok(both);
        };
        for (limit, whose) in [(Some(&grant.scopes), "grant"), (ceiling, "parent")] {
            let Some(limit) = limit else { continue };
            if let Some(scope) = asked.iter().find(|s| !limit.contains(s.as_str())) {
                let detail = format!("`{scope}` is not in the {whose}, which has `{limit}`");
                return refuse(DenialReason::ScopeNotGranted, detail);
            }
        }
        Ok(asked.clone())
    }

    pub(crate) fn details(&self, grant: &Grant) -> Result<Vec<Map<String, Value>>, Refusal> {
        let parent = self.principal.parent.as_deref();
        let ceiling = parent.map_or(&grant.details, |p| &p.authorization_details);
        let asked = self.request.authorization_details.as_ref();
        let asked = match asked {
            // RFC 9396 section 2: an empty array asks for nothing; left out, an API could take it for everything.
            Some(asked) if asked.is_empty() || asked.len() > details::MAX_DETAILS => {
                let detail = format!("1 to {} authorization details", details::MAX_DETAILS);
                return refuse(DenialReason::AuthorizationDetails, detail);
            }
            Some(asked) => asked,
            None => ceiling,
        };
        let covered =
            details::all_covered(&grant.details, asked) && details::all_covered(ceiling, asked);
        // A parent without details of a grant that has some since: leaving them out would be more, not less.
        if !covered || (asked.is_empty() && !grant.details.is_empty()) {
            let detail = "not covered by the authorization details of the grant and the parent";
            return refuse(DenialReason::AuthorizationDetails, detail);
        }
        Ok(asked.clone())
    }

    pub(crate) fn task(&self, required: bool) -> Result<Option<TaskId>, Refusal> {
        let asked = self.request.task.as_ref().map(|name| TaskId {
            owner: self.workload.id.owner.clone(),
            name: name.clone(),
        });
        let inherited = self.principal.parent.as_ref().and_then(|p| p.task.as_ref());
        match (asked, inherited) {
            // The end of the parent's task ends its children, so they stay in it.
            (Some(asked), Some(inherited)) if asked != *inherited => {
                let detail = format!("the parent is for the task `{inherited}`");
                refuse(DenialReason::NotNarrower, detail)
            }
            (None, None) if required => {
                refuse(DenialReason::TaskRequired, "the grant asks for a `task`")
            }
            (asked, inherited) => Ok(asked.or_else(|| inherited.cloned())),
        }
    }

    pub(crate) fn purpose(&self, required: bool) -> Result<Option<String>, Refusal> {
        // Blanks say nothing, so they are no purpose.
        let said = |text: &&str| !text.trim().is_empty();
        match self.request.purpose.as_deref().filter(said) {
            None if required => refuse(
                DenialReason::PurposeRequired,
                "the grant asks for a `purpose`",
            ),
            None => Ok(None),
            Some(text)
                if text.chars().count() > MAX_PURPOSE_CHARS
                    || text.chars().any(char::is_control) =>
            {
                let detail = format!(
                    "a purpose is one line of at most {MAX_PURPOSE_CHARS} characters, not `{}`",
                    Excerpt::of(text)
                );
                refuse(DenialReason::PurposeInvalid, detail)
            }
            Some(text) => Ok(Some(text.to_owned())),
        }
    }

    /// The least of what the grant, the request, the evidence and the parent allow.
    pub(crate) fn ttl_secs(&self, granted: u64, min: u64) -> Result<u64, Refusal> {
        let left = |end: UnixTime| end.seconds_since(self.now);
        let parent = self.principal.parent.as_ref();
        let limits = [
            (Some(granted), "grant"),
            (self.request.requested_ttl, "request"),
            (Some(left(self.principal.expires_at)), "evidence"),
            (parent.map(|parent| left(parent.expires_at)), "parent"),
        ];
        let least = limits
            .into_iter()
            .filter_map(|(limit, whose)| Some((limit?, whose)))
            .min()
            .unwrap_or((0, "grant"));
        match least {
            (secs, _) if secs >= min => Ok(secs),
            (secs, whose) => {
                let detail = format!("the {whose} leaves {secs} s, and {min} s is the least");
                refuse(DenialReason::LifetimeTooShort, detail)
            }
        }
    }

    pub(crate) fn binding(&self, grant: &Grant) -> Result<Binding, Refusal> {
        if let Some(parent) = &self.principal.parent {
            return self.inherited_binding(parent, grant.binding);
        }
        let default = match self.principal.peer {
            Some(_) => Binding::Certificate,
            None => Binding::None,
        };
        self.available(grant.binding.unwrap_or(default))
    }

    /// A child keeps its parent's binding as it is; a bearer token may gain one.
    fn inherited_binding(
        &self,
        parent: &Parent,
        asked: Option<Binding>,
    ) -> Result<Binding, Refusal> {
        let kept = match parent.confirmation {
            None => return self.available(asked.unwrap_or(Binding::None)),
            Some(Confirmation::CertificateThumbprint(_)) => Binding::Certificate,
            Some(Confirmation::SpiffeId(_)) => Binding::SpiffeId,
            Some(Confirmation::KeyThumbprint(_)) => {
                let detail = "the parent is bound to a key, which this version does not do";
                return refuse(DenialReason::BindingUnavailable, detail);
            }
        };
        match asked {
            Some(asked) if asked != kept && asked != Binding::None => {
                let detail = format!(
                    "the grant asks for `{}` by now, the parent has `{}`",
                    asked.as_str(),
                    kept.as_str()
                );
                refuse(DenialReason::BindingUnavailable, detail)
            }
            _ => Ok(kept),
        }
    }

    /// Whether the evidence has what `binding` needs.
    fn available(&self, binding: Binding) -> Result<Binding, Refusal> {
        let peer = self.principal.peer.as_ref();
        let available = match binding {
            Binding::None => true,
            Binding::Certificate => peer.is_some(),
            // The ID that is bound to must be the one that was attested.
            Binding::SpiffeId => {
                self.principal.method == Method::X509Svid
                    && peer
                        .and_then(|peer| peer.spiffe_id.as_ref())
                        .is_some_and(|id| id.as_str() == self.principal.subject)
            }
        };
        if !available {
            let detail = format!("the grant asks for `{}`", binding.as_str());
            return refuse(DenialReason::BindingUnavailable, detail);
        }
        Ok(binding)
    }
}

/// The names asked for, in lower case and each once, if all are granted.
pub(crate) fn dns_names(
    asked: &[String],
    grant: &CertificateGrant,
) -> Result<Vec<String>, Refusal> {
    let mut names: Vec<String> = Vec::new();
    for name in asked {
        // RFC 4343: the case of ASCII letters in DNS names means nothing.
        let lower = name.to_ascii_lowercase();
        if !grant.dns_names.contains(&lower) {
            let detail = format!("`{}` is not granted", Excerpt::of(name));
            return refuse(DenialReason::DnsNameNotGranted, detail);
        }
        if !names.contains(&lower) {
            names.push(lower);
        }
    }
    names.sort();
    Ok(names)
}
