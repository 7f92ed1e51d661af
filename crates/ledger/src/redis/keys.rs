//! The layout in Redis: every key is `{df<n>}:kind:id`, where `n` is the partition and the braces
//! put a partition into one slot of a cluster. Kinds never collide, whatever the ids hold.

use dayfly_token::{CredentialId, WorkloadId, base64url};

/// The layout that this code reads and writes. A store with another is refused.
pub(super) const LAYOUT: u32 = 1;

/// How many partitions there are. One puts everything into one slot.
pub(super) const PARTITIONS: u8 = 1;

/// The partition that carries the control state.
pub(super) const CONTROL: Partition = Partition(0);

/// The keys of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partition(u8);

/// Which audit stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Permit,
    Denial,
}

impl Partition {
    /// The home of an id. An id that claims a partition beyond the layout is at home nowhere, and
    /// is looked for, in vain, in the first.
    pub(super) const fn of(number: u8) -> Self {
        Self(if number < PARTITIONS { number } else { 0 })
    }

    fn key(self, kind: &str, id: &str) -> String {
        format!("{{df{}}}:{kind}:{id}", self.0)
    }

    /// Hash: layout, partitions, epoch, generation, since, seq.
    pub(super) fn head(self) -> String {
        self.key("control", "head")
    }

    /// Hash: slot to sealed entry.
    pub(super) fn slots(self) -> String {
        self.key("control", "slots")
    }

    /// Sorted set: slot by the second at which it may be forgotten.
    pub(super) fn slot_expiry(self) -> String {
        self.key("control", "expiry")
    }

    /// Stream: `<seq>-0` to sealed entry, without gaps.
    pub(super) fn control_stream(self) -> String {
        self.key("control", "stream")
    }

    /// String: a packed issuance.
    pub(super) fn issuance(self, id: CredentialId) -> String {
        self.key("issuance", &id.to_string())
    }

    /// String: the attempt that used the evidence.
    pub(super) fn mark(self, digest: &[u8; 32]) -> String {
        self.key("mark", &base64url::encode(digest))
    }

    /// String: when the next would arrive at the steady rate, in milliseconds.
    pub(super) fn limit(self, of: &str) -> String {
        self.key("limit", of)
    }

    /// Sorted set: instant and id of a live credential by the second at which it ends.
    pub(super) fn live(self, workload: &WorkloadId) -> String {
        self.key("live", &workload.to_string())
    }

    /// Stream of audit lines.
    pub(super) fn audit(self, outcome: Outcome) -> String {
        self.key("audit", outcome.name())
    }

    /// Hash: decision to its entry in the stream of audit lines.
    pub(super) fn decisions(self, outcome: Outcome) -> String {
        self.key("decisions", outcome.name())
    }
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Permit => "permits",
            Self::Denial => "denials",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_their_partition_and_kind() {
        let home = Partition::of(0);
        assert_eq!(home.head(), "{df0}:control:head");
        assert_eq!(
            home.live(&"payments/deploy".parse().unwrap()),
            "{df0}:live:payments/deploy"
        );
        assert_eq!(home.audit(Outcome::Denial), "{df0}:audit:denials");
        assert_eq!(home.limit("}:control:head"), "{df0}:limit:}:control:head");
        let id = CredentialId::new(0, [0; 15]);
        assert_eq!(home.issuance(id), format!("{{df0}}:issuance:{id}"));
    }

    #[test]
    fn an_id_of_a_partition_that_does_not_exist_stays_inside_the_layout() {
        assert_eq!(Partition::of(63), Partition::of(0));
    }
}
