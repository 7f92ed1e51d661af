//! Positions in the control stream: `<epoch>-<number>`. The epoch says of which stream; it is
//! drawn when a store is started from nothing.

use dayfly_issuer::{LedgerError, Position};
use dayfly_token::base64url;

/// 96 random bits: two stores never have the same.
const EPOCH_BYTES: usize = 12;

#[expect(
    clippy::disallowed_methods,
    reason = "a store is an adapter: it draws the name of its own life"
)]
pub(crate) fn new_epoch() -> Result<String, LedgerError> {
    let mut bytes = [0; EPOCH_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| LedgerError::Unavailable {
        reason: format!("no random bytes: {error}"),
    })?;
    Ok(base64url::encode(bytes))
}

pub(crate) fn format(epoch: &str, seq: u64) -> Position {
    Position(format!("{epoch}-{seq}"))
}

/// The number of a position in the stream of `epoch`; none if it belongs to another.
pub(crate) fn parse(position: &Position, epoch: &str) -> Option<u64> {
    let (of, seq) = position.0.rsplit_once('-')?;
    (of == epoch).then(|| seq.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_belongs_to_its_epoch() {
        let epoch = new_epoch().unwrap();
        assert_eq!(parse(&format(&epoch, 7), &epoch), Some(7));
        assert_eq!(parse(&format(&epoch, 7), &new_epoch().unwrap()), None);
        for odd in ["", "-", "7", "a-", "a--7x"] {
            assert_eq!(parse(&Position(odd.to_owned()), "a"), None, "{odd}");
        }
        // An epoch may hold the separator.
        assert_eq!(parse(&Position("a-b-3".to_owned()), "a-b"), Some(3));
    }
}
