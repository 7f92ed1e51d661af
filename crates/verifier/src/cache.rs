use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use dayfly_token::UnixTime;

use crate::verified::Checked;

/// Places of one set: their tags share a cache line, so that a miss costs one.
const PLACES: usize = 8;

/// Characters at a token's end that its tag is made of: 128 bits of the signature, which nobody but the issuer chooses.
const TAG_CHARACTERS: usize = 22;

/// Longest token that is kept: twice what an issuer of ours mints. It bounds what the cache can hold.
const MAX_CACHED_BYTES: usize = 4 * 1024;

/// Tokens that were verified lately, so that the signature of a token that comes again is not computed again.
///
/// What is kept of a token is what does not change: its form, its signature, its claims, under keys and audiences of
/// one generation. Times, binding and revocation are checked each time. Only verified tokens come in, so a stranger
/// evicts nothing; a lookup compares the whole token, so a tag that collides costs a verification and no more.
///
/// Reads take no lock and allocate nothing. Two writers that meet in one place leave a tag that leads to another token:
/// a miss.
pub(crate) struct Cache {
    sets: Box<[Set]>,
    /// Keys the tags, so that nobody can aim at a set.
    hasher: RandomState,
}

#[derive(Default)]
struct Set {
    /// 0 where nothing is.
    tags: [AtomicU64; PLACES],
    tokens: [ArcSwapOption<Checked>; PLACES],
}

impl Cache {
    /// A cache with room for `capacity` tokens at least; none with 0.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = match capacity {
            0 => 0,
            _ => capacity.div_ceil(PLACES).next_power_of_two(),
        };
        Self {
            sets: std::iter::repeat_with(Set::default).take(sets).collect(),
            hasher: RandomState::new(),
        }
    }

    /// What is known of exactly this token under this generation.
    pub(crate) fn find(&self, token: &str, generation: u64) -> Option<Arc<Checked>> {
        let (set, tag) = self.place(token)?;
        for (known, place) in set.tags.iter().zip(&set.tokens) {
            if known.load(Ordering::Acquire) != tag {
                continue;
            }
            let kept = place.load();
            // Not in constant time: whoever comes this far has the tag, which is the token's own signature.
            if let Some(kept) = &*kept
                && kept.generation == generation
                && *kept.text == *token
            {
                return Some(Arc::clone(kept));
            }
        }
        None
    }

    /// Keeps a token that was verified, in the place of one that is worth less.
    pub(crate) fn insert(&self, token: Arc<Checked>, now: UnixTime) {
        if token.text.len() > MAX_CACHED_BYTES {
            return;
        }
        let Some((set, tag)) = self.place(&token.text) else {
            return;
        };
        let places = set.tags.iter().zip(&set.tokens);
        let cheapest = places.min_by_key(|(known, place)| {
            let kept = place.load();
            match &*kept {
                _ if known.load(Ordering::Relaxed) == tag => 0,
                Some(kept) if kept.generation == token.generation && now < kept.claims.exp => {
                    kept.claims.exp.as_secs()
                }
                _ => 1,
            }
        });
        if let Some((known, place)) = cheapest {
            place.store(Some(token));
            known.store(tag, Ordering::Release);
        }
    }

    /// The set of a token and its tag in there; `None` if nothing is kept.
    fn place(&self, token: &str) -> Option<(&Set, u64)> {
        let bytes = token.as_bytes();
        let end = bytes.get(bytes.len().checked_sub(TAG_CHARACTERS)?..)?;
        let tag = self.hasher.hash_one(end) | 1;
        let set = usize::try_from(tag >> 32).unwrap_or_default();
        let set = self.sets.get(set & self.sets.len().checked_sub(1)?)?;
        Some((set, tag))
    }
}

#[cfg(test)]
mod tests {
    use dayfly_keys::{Algorithm, SigningKey};
    use zeroize::Zeroizing;

    use super::*;
    use crate::testing::TestAuthority;
    use crate::{Presented, RevocationSource, UnverifiedToken, Verifier};

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn verifier(room: usize) -> (TestAuthority, Verifier) {
        let key = SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new([3; 32])).unwrap();
        let authority = TestAuthority::with_key("https://sts.example", key).unwrap();
        let builder = authority.verifier("api").revocation(RevocationSource::None);
        let verifier = builder.cached_tokens(room).build().unwrap();
        (authority, verifier)
    }

    fn kept(verifier: &Verifier, token: &str) -> bool {
        let core = verifier.core();
        core.cache.find(token, core.generation()).is_some()
    }

    fn verify(verifier: &Verifier, token: &str, now: UnixTime) -> bool {
        verifier
            .verify(UnverifiedToken::new(token), &Presented::NOTHING, now)
            .is_ok()
    }

    #[test]
    fn only_what_passed_every_check_comes_in() {
        let (authority, verifier) = verifier(64);
        let good = authority.token("api").mint(NOW).unwrap();
        assert!(!kept(&verifier, &good));
        assert!(verify(&verifier, &good, NOW) && kept(&verifier, &good));
        let late = NOW.saturating_add(400);
        let bound = authority
            .token("api")
            .claim("cnf", serde_json::json!({ "spiffe_id": "spiffe://td/a" }));
        for (token, now) in [
            (authority.token("api").id("late").mint(NOW).unwrap(), late),
            (authority.token("other").mint(NOW).unwrap(), NOW),
            (bound.mint(NOW).unwrap(), NOW),
            (
                authority
                    .token("api")
                    .id("x")
                    .ttl_secs(9999)
                    .mint(NOW)
                    .unwrap(),
                NOW,
            ),
            (good.replace('.', ".A"), NOW),
        ] {
            assert!(!verify(&verifier, &token, now), "{token}");
            assert!(!kept(&verifier, &token), "{token}");
        }
    }

    #[test]
    fn strangers_evict_nothing() {
        let (authority, verifier) = verifier(8);
        let good: Vec<_> = (0..8)
            .map(|number| {
                authority
                    .token("api")
                    .id(&format!("{number}"))
                    .mint(NOW)
                    .unwrap()
            })
            .collect();
        assert!(good.iter().all(|token| verify(&verifier, token, NOW)));
        assert!(good.iter().all(|token| kept(&verifier, token)));
        let (input, signature) = good[0].rsplit_once('.').unwrap();
        for number in 0..2000 {
            // The tags of good tokens, and tags of any kind.
            let garbage = format!("{input}A{number}.{signature}");
            assert!(!verify(&verifier, &garbage, NOW));
            let garbage = format!("{input}.{number:05}{}", &signature[5..]);
            assert!(!verify(&verifier, &garbage, NOW));
        }
        assert!(good.iter().all(|token| kept(&verifier, token)));
    }

    #[test]
    fn the_dead_and_the_shortest_lived_give_way() {
        let (authority, verifier) = verifier(8);
        let token = |id: u64, ttl| {
            authority
                .token("api")
                .id(&format!("{id}"))
                .ttl_secs(ttl)
                .mint(NOW)
                .unwrap()
        };
        let short = token(0, 60);
        let long: Vec<_> = (1..8).map(|id| token(id, 300)).collect();
        assert!(
            verify(&verifier, &short, NOW)
                && long.iter().all(|token| verify(&verifier, token, NOW))
        );
        let newcomer = token(8, 100);
        assert!(verify(&verifier, &newcomer, NOW) && kept(&verifier, &newcomer));
        assert!(!kept(&verifier, &short) && long.iter().all(|token| kept(&verifier, token)));
    }

    #[test]
    fn long_tokens_are_not_kept() {
        let (authority, verifier) = verifier(64);
        let long = authority
            .token("api")
            .claim("x", serde_json::json!("y".repeat(MAX_CACHED_BYTES)));
        let long = long.mint(NOW).unwrap();
        assert!(verify(&verifier, &long, NOW) && verify(&verifier, &long, NOW));
        assert!(!kept(&verifier, &long));
    }
}
