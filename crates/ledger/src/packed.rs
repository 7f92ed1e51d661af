//! How both stores keep an issuance: what they must change or read without decoding stands in
//! front of the encoded record.

use dayfly_issuer::{Issuance, IssuanceState, LedgerError};
use dayfly_token::CredentialId;

/// May have been released.
const RECORDED: u8 = b'R';
/// Was not released. The stores overwrite the first byte with it.
pub(crate) const VOID: u8 = b'V';

const ATTEMPT_BYTES: usize = 16;
/// Milliseconds since 1970 in six bytes last until the year 10889.
const INSTANT_BYTES: usize = 6;
const HEAD_BYTES: usize = 1 + ATTEMPT_BYTES + INSTANT_BYTES;

/// State, attempt, instant of the commit in milliseconds, encoded issuance.
pub(crate) fn pack(
    issuance: &Issuance,
    attempt: &[u8; ATTEMPT_BYTES],
    unix_ms: u64,
) -> Result<Vec<u8>, LedgerError> {
    let body = issuance.encode().map_err(|error| LedgerError::Corrupt {
        what: error.to_string(),
    })?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.push(match issuance.state {
        IssuanceState::Recorded => RECORDED,
        IssuanceState::Void => VOID,
    });
    bytes.extend_from_slice(attempt);
    bytes.extend_from_slice(&instant(unix_ms));
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// A record as a store holds it.
pub(crate) struct Packed<'a> {
    state: u8,
    attempt: &'a [u8],
    instant: &'a [u8],
    body: &'a [u8],
}

impl<'a> Packed<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, LedgerError> {
        let parts = || {
            let (head, body) = bytes.split_at_checked(HEAD_BYTES)?;
            let (&state, head) = head.split_first()?;
            let (attempt, instant) = head.split_at_checked(ATTEMPT_BYTES)?;
            Some(Self {
                state,
                attempt,
                instant,
                body,
            })
        };
        parts().ok_or_else(|| LedgerError::Corrupt {
            what: "an issuance record is cut short".to_owned(),
        })
    }

    /// Whether this is what `attempt` wrote, and still stands.
    pub(crate) fn stands_for(&self, attempt: &[u8; ATTEMPT_BYTES]) -> bool {
        self.state == RECORDED && self.attempt == attempt
    }

    /// The place of the record in its workload's index.
    pub(crate) fn live_member(&self, id: CredentialId) -> Vec<u8> {
        [self.instant, id.as_bytes()].concat()
    }

    pub(crate) fn issuance(&self) -> Result<Issuance, LedgerError> {
        let mut issuance = Issuance::decode(self.body).map_err(|error| LedgerError::Corrupt {
            what: error.to_string(),
        })?;
        if self.state == VOID {
            issuance.state = IssuanceState::Void;
        }
        Ok(issuance)
    }
}

fn instant(unix_ms: u64) -> [u8; INSTANT_BYTES] {
    let [_, _, bytes @ ..] = unix_ms.to_be_bytes();
    bytes
}

/// Orders by the instant of the commit, then names the credential.
pub(crate) fn live_member(unix_ms: u64, id: CredentialId) -> Vec<u8> {
    [instant(unix_ms).as_slice(), id.as_bytes()].concat()
}

/// The credential of an index entry.
pub(crate) fn member_id(member: &[u8]) -> Option<CredentialId> {
    let (_, id) = member.split_at_checked(INSTANT_BYTES)?;
    Some(CredentialId::from_bytes(id.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_issuer::IssuanceKind;
    use dayfly_token::{DecisionId, ScopeSet, UnixTime};

    fn issuance() -> Issuance {
        Issuance {
            id: CredentialId::new(0, [7; 15]),
            kind: IssuanceKind::AccessToken,
            state: IssuanceState::Recorded,
            decision: DecisionId::new(0, [8; 15]),
            workload: "payments/deploy".parse().unwrap(),
            environment: "prod".parse().unwrap(),
            rule: "gh".parse().unwrap(),
            audience: None,
            scopes: ScopeSet::default(),
            task: None,
            issued_at: UnixTime::from_secs(1),
            expires_at: UnixTime::from_secs(2),
            kid: "kid".to_owned(),
            ancestors: vec![],
            source: "own".to_owned(),
            subject: "s".to_owned(),
            evidence_sha256: String::new(),
            policy_version: String::new(),
        }
    }

    #[test]
    fn the_state_is_the_first_byte_and_overrides_the_record() {
        let mut bytes = pack(&issuance(), &[3; 16], 1_234_567_890_123).unwrap();
        let packed = Packed::read(&bytes).unwrap();
        assert!(packed.stands_for(&[3; 16]));
        assert!(!packed.stands_for(&[4; 16]));
        assert_eq!(packed.issuance().unwrap(), issuance());
        let member = packed.live_member(issuance().id);
        assert_eq!(member, live_member(1_234_567_890_123, issuance().id));
        assert_eq!(member_id(&member), Some(issuance().id));

        bytes[0] = VOID;
        let packed = Packed::read(&bytes).unwrap();
        assert!(!packed.stands_for(&[3; 16]));
        assert_eq!(packed.issuance().unwrap().state, IssuanceState::Void);
    }

    #[test]
    fn cut_records_are_refused_at_every_length() {
        let bytes = pack(&issuance(), &[3; 16], 5).unwrap();
        for length in 0..bytes.len() {
            let read = Packed::read(&bytes[..length]).and_then(|packed| packed.issuance());
            assert!(
                matches!(read, Err(LedgerError::Corrupt { .. })),
                "{length} bytes were read"
            );
        }
        assert_eq!(member_id(&[0; 21]), None);
        assert_eq!(member_id(&[0; 23]), None);
    }

    #[test]
    fn members_sort_by_their_instant() {
        let newer = live_member(256, CredentialId::new(0, [0; 15]));
        let older = live_member(255, CredentialId::new(0, [255; 15]));
        assert!(newer > older);
    }
}
