//! How long a credential lives.

use std::cmp::min;

use dayfly_policy::{MIN_CERTIFICATE_SECS, MIN_TOKEN_SECS, Permit, Principal};
use dayfly_token::UnixTime;

use super::Issuer;
use super::admit::Admission;
use super::stop::Stop;
use super::way::Signing;
use crate::port::Now;

impl Issuer {
    /// The end of a credential: never beyond the permit, L, the evidence, the parent, the task's
    /// deadline, or what signs it.
    pub(super) fn expiry(
        &self,
        principal: &Principal,
        permit: &Permit,
        admission: &Admission,
        signing: &Signing,
        now: Now,
    ) -> Result<UnixTime, Stop> {
        let issued_at = now.time();
        let (least, signed_until) = match signing {
            Signing::Certificate(authority) => (MIN_CERTIFICATE_SECS, authority.not_after()),
            Signing::Token(_) => (MIN_TOKEN_SECS, UnixTime::MAX),
        };
        let granted = issued_at.saturating_add(min(permit.ttl_secs, self.max_lifetime_secs()));
        let parent = principal
            .parent
            .as_ref()
            .map_or(UnixTime::MAX, |parent| parent.expires_at);
        let proven = min(min(granted, principal.expires_at), parent);
        if proven.seconds_since(issued_at) < least {
            return Err(Stop::lifetime_too_short(
                proven.seconds_since(issued_at),
                least,
            ));
        }
        let end = admission
            .deadline
            .map_or(proven, |deadline| min(proven, deadline));
        if end.seconds_since(issued_at) < least {
            return Err(Stop::deadline_too_near(end));
        }
        let end = min(end, signed_until);
        if end.seconds_since(issued_at) < least {
            return Err(Stop::no_authority());
        }
        Ok(end)
    }
}
