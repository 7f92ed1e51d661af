use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use dayfly_token::{UnixTime, base64url};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Seconds for which a nonce is good: a client needs a new one twelve times an hour, and a proof that was made ahead
/// of its use is worth nothing after five minutes.
pub const NONCE_LIFETIME_SECS: u64 = 300;

/// Seconds that a nonce may seem to come from the future: another replica's clock runs ahead a little.
const SKEW_SECS: u64 = 5;

/// Bytes of the authentication code that a nonce shows: nobody guesses 128 bits.
const TAG_BYTES: usize = 16;
const TIME_BYTES: usize = 8;
const NONCE_BYTES: usize = TIME_BYTES + TAG_BYTES;

/// The nonces that this API gives out (RFC 9449 section 9): with them a proof must be made after the API spoke, and the
/// client's clock does not matter.
///
/// A nonce is its second of issue and an HMAC-SHA-256 of it, so that nothing is stored and nothing can be exhausted. The
/// two newest keys count. Clones share them: keep one to [rotate](Nonces::rotate).
#[derive(Clone)]
pub struct Nonces(Arc<ArcSwap<Keys>>);

struct Keys {
    newest: Key,
    former: Option<Key>,
}

type Key = Arc<Zeroizing<[u8; 32]>>;

impl Nonces {
    /// Nonces under `key`, 32 random bytes.
    ///
    /// Replicas that share the key accept each other's nonces. Replicas with a key of their own do not, and then a proof
    /// cannot be replayed at another replica either; clients must stay with one replica, or ask again at each.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Keys {
            newest: Arc::new(Zeroizing::new(key)),
            former: None,
        })))
    }

    /// Gives out nonces under `key`, 32 random bytes, from now on. Those of the key before stay good until they expire or
    /// the next rotation comes, so leave [`NONCE_LIFETIME_SECS`] between two.
    pub fn rotate(&self, key: [u8; 32]) {
        let newest = Arc::new(Zeroizing::new(key));
        self.0.rcu(|keys| Keys {
            newest: Arc::clone(&newest),
            former: Some(Arc::clone(&keys.newest)),
        });
    }

    /// The nonce of this second.
    pub(super) fn at(&self, now: UnixTime) -> Option<String> {
        let time = now.as_secs().to_be_bytes();
        let tag = mac(&self.0.load().newest, &time)?.finalize().into_bytes();
        let mut nonce = Vec::with_capacity(NONCE_BYTES);
        nonce.extend(time);
        nonce.extend(tag.iter().take(TAG_BYTES));
        Some(base64url::encode(nonce))
    }

    /// The last instant at which `nonce` is good; `None` if it is not, or not ours.
    pub(super) fn good_until(&self, nonce: &str, now: UnixTime) -> Option<UnixTime> {
        let bytes: [u8; NONCE_BYTES] = base64url::decode_array(nonce).ok()?;
        let (time, tag) = bytes.split_first_chunk::<TIME_BYTES>()?;
        let keys = self.0.load();
        let ours = [Some(&keys.newest), keys.former.as_ref()]
            .into_iter()
            .flatten()
            .any(|key| mac(key, time).is_some_and(|mac| mac.verify_truncated_left(tag).is_ok()));
        if !ours {
            return None;
        }
        let issued_at = UnixTime::from_secs(u64::from_be_bytes(*time));
        let good_until = issued_at.saturating_add(NONCE_LIFETIME_SECS);
        (issued_at <= now.saturating_add(SKEW_SECS) && now <= good_until).then_some(good_until)
    }
}

fn mac(key: &Key, time: &[u8; TIME_BYTES]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).ok()?;
    mac.update(b"dayfly dpop nonce");
    mac.update(time);
    Some(mac)
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    #[test]
    fn life_and_rotation() {
        let nonces = Nonces::new([1; 32]);
        let nonce = nonces.at(NOW).unwrap();
        let until = NOW.saturating_add(NONCE_LIFETIME_SECS);
        for now in [NOW, NOW.saturating_sub(SKEW_SECS), until] {
            assert_eq!(nonces.good_until(&nonce, now), Some(until), "{now}");
        }
        for now in [
            NOW.saturating_sub(SKEW_SECS + 1),
            until.saturating_add(1),
            UnixTime::EPOCH,
            UnixTime::MAX,
        ] {
            assert_eq!(nonces.good_until(&nonce, now), None, "{now}");
        }
        assert_eq!(Nonces::new([2; 32]).good_until(&nonce, NOW), None);
        let shared = nonces.clone();
        shared.rotate([2; 32]);
        assert_ne!(nonces.at(NOW).unwrap(), nonce);
        assert_eq!(nonces.good_until(&nonce, NOW), Some(until));
        assert!(nonces.good_until(&nonces.at(NOW).unwrap(), NOW).is_some());
        shared.rotate([3; 32]);
        assert_eq!(nonces.good_until(&nonce, NOW), None);
        assert_eq!(format!("{nonces:?}"), "Nonces { .. }");
    }

    #[test]
    fn nothing_else_is_a_nonce() {
        let nonces = Nonces::new([1; 32]);
        let nonce = nonces.at(NOW).unwrap();
        let shorter = nonce.get(..nonce.len() - 4).unwrap();
        for other in [
            "",
            "x",
            shorter,
            &format!("{nonce}AAAA"),
            &format!("{nonce}="),
        ] {
            assert_eq!(nonces.good_until(other, NOW), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_another_nonce(bit in 0..NONCE_BYTES * 8) {
            let nonces = Nonces::new([1; 32]);
            let mut bytes = base64url::decode(&nonces.at(NOW).unwrap()).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(nonces.good_until(&base64url::encode(bytes), NOW), None);
        }
    }
}
