//! Where a decision and its credential live (protocol A).

use dayfly_keys::sha256;
use dayfly_policy::Principal;
use dayfly_token::CredentialId;

/// Most partitions that an id has room for.
const MAX_PARTITIONS: u8 = 64;

/// The partition of a piece of evidence: the same whatever rule or task it names. An exchange stays
/// where its parent is.
pub(crate) fn home_of(principal: &Principal, partitions: u8) -> u8 {
    let partitions = partitions.clamp(1, MAX_PARTITIONS);
    let parent = principal
        .parent
        .as_ref()
        .and_then(|parent| parent.id.parse::<CredentialId>().ok());
    if let Some(home) = parent
        .map(|id| id.partition())
        .filter(|home| *home < partitions)
    {
        return home;
    }
    if partitions == 1 {
        return 0;
    }
    let source = principal.source.to_string();
    // The length keeps (`a`, `bc`) and (`ab`, `c`) apart.
    let mut evidence = (source.len() as u64).to_be_bytes().to_vec();
    evidence.extend_from_slice(source.as_bytes());
    evidence.extend_from_slice(principal.subject.as_bytes());
    let [first, ..] = sha256(&evidence);
    // 256 is no multiple of every P, which makes some homes a little fuller and nothing else.
    first % partitions
}
