//! What stands between a permit and the mint: control, the parent, the clock, the evidence's age.

use dayfly_policy::{Binding, Parent, Permit, Principal};
use dayfly_token::feed::Kind;
use dayfly_token::{Confirmation, MAX_ANCESTORS, UnixTime};

use super::stop::Stop;
use crate::control::{CLOCK_DISTANCE_SECS, ControlView, Lineage, StoreLife, Target};
use crate::port::Now;

/// What control says of an admitted issuance.
pub(super) struct Admission {
    /// The generation to commit in.
    pub(super) generation: u64,
    /// The deadline of the task.
    pub(super) deadline: Option<UnixTime>,
}

/// Asks the control state, which the caller holds, everything at one time.
pub(super) fn admit(
    view: &ControlView,
    principal: &Principal,
    permit: &Permit,
    kid: &str,
    now: Now,
) -> Result<Admission, Stop> {
    let store = view.store().ok_or_else(Stop::no_store)?;
    let source = principal.source.to_string();
    let target = Target {
        workload: &permit.workload,
        rule: &permit.rule,
        source: &source,
        task: permit.task.as_ref(),
    };
    view.admit(&target, now)
        .map_err(|refusal| Stop::control(&refusal, now))?;
    if view.cut_off(Kind::Key, kid).is_some() {
        return Err(Stop::no_signing_key());
    }
    if let Some(parent) = &principal.parent {
        check_narrower(parent, permit)?;
        admit_parent(view, parent, now)?;
    }
    if principal.single_use.is_some() && !is_younger(principal, store) {
        return Err(Stop::evidence_predates_store());
    }
    let deadline = permit
        .task
        .as_ref()
        .and_then(|task| view.task(task))
        .and_then(|(_, end)| end);
    Ok(Admission {
        generation: store.generation,
        deadline,
    })
}

/// Whether evidence is younger than the last change of the store, which may have forgotten that it
/// was used. The evidence's clock is taken to be within δ of ours, as those of replicas are. A store
/// that never changed has forgotten nothing.
fn is_younger(principal: &Principal, store: &StoreLife) -> bool {
    let changed = store.generation > 1;
    let margin_secs = if changed { CLOCK_DISTANCE_SECS } else { 0 };
    let from = store.since.saturating_add(margin_secs);
    principal
        .issued_at
        .is_some_and(|issued_at| from <= issued_at)
}

/// Invariant 4: the children of a dead parent are not born.
fn admit_parent(view: &ControlView, parent: &Parent, now: Now) -> Result<(), Stop> {
    let lineage = Lineage {
        id: &parent.id,
        ancestors: &parent.ancestors,
        workload: &parent.workload,
        rule: &parent.rule,
        task: parent.task.as_ref(),
        kid: None,
        issued_at: parent.issued_at,
    };
    if let Some(kind) = view.death(&lineage) {
        return Err(Stop::parent_revoked(kind));
    }
    // A child that seems older than its parent could slip past a cut-off. It waits; nothing is
    // post-dated.
    let wait_secs = parent.issued_at.seconds_since(now.time());
    if wait_secs > 0 {
        Err(Stop::parent_from_the_future(wait_secs))
    } else {
        Ok(())
    }
}

/// Invariant 4, held here as well as by policy: a defect there must not widen anything.
pub(super) fn check_narrower(parent: &Parent, permit: &Permit) -> Result<(), Stop> {
    // No audience means a certificate, which would speak for the workload everywhere.
    let same_audience = permit.audience.as_ref() == Some(&parent.audience);
    let same_task = parent.task.is_none() || permit.task == parent.task;
    // What ends everything of the parent's rule must find its children.
    let narrower = permit.workload == parent.workload
        && permit.rule == parent.rule
        && same_audience
        && same_task
        && permit.scopes.is_subset(&parent.scopes);
    if narrower {
        Ok(())
    } else {
        Err(Stop::defect("the child would exceed its parent"))
    }
}

/// The parent and its ancestors, nearest first.
pub(super) fn ancestors(principal: &Principal) -> Result<Vec<String>, Stop> {
    let Some(parent) = &principal.parent else {
        return Ok(Vec::new());
    };
    let ancestors: Vec<_> = std::iter::once(&parent.id)
        .chain(&parent.ancestors)
        .cloned()
        .collect();
    if ancestors.len() > MAX_ANCESTORS {
        return Err(Stop::too_many_ancestors(ancestors.len()));
    }
    Ok(ancestors)
}

/// Whom the token is bound to. A child keeps its parent's binding, whatever the grant says.
pub(super) fn binding(
    principal: &Principal,
    permit: &Permit,
) -> Result<Option<Confirmation>, Stop> {
    let inherited = principal
        .parent
        .as_ref()
        .and_then(|parent| parent.confirmation.clone());
    if inherited.is_some() {
        return Ok(inherited);
    }
    let peer = principal.peer.as_ref();
    let bound = match permit.binding {
        Binding::None => return Ok(None),
        Binding::Certificate => {
            peer.map(|peer| Confirmation::CertificateThumbprint(peer.thumbprint))
        }
        Binding::SpiffeId => peer
            .and_then(|peer| peer.spiffe_id.clone())
            .map(Confirmation::SpiffeId),
    };
    bound.map(Some).ok_or_else(Stop::binding_unavailable)
}
