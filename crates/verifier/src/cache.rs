use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use dayfly_token::UnixTime;

use crate::verified::{Checked, Handle};

/// Places of one set: their tags share a cache line.
const PLACES: usize = 8;

/// Characters at a token's end that its tag is made of: 128 bits of the signature, which nobody but the issuer chooses.
const TAG_CHARACTERS: usize = 22;

/// Longest token that is kept: twice what an issuer of ours mints. It bounds what the cache can hold.
const MAX_CACHED_BYTES: usize = 4 * 1024;

/// Most tokens that are kept, whatever is asked for: 3 GiB of them, and 16 MiB while there are none.
const MAX_TOKENS: usize = 1 << 20;

/// Threads that can hand out one token without waiting for each other.
const STRIPES: usize = 16;

/// Tokens that were verified lately, so that the signature of a token that comes again is not computed again.
///
/// What is kept of a token is what does not change: its form, its signature, its claims, under keys and audiences of
/// one generation. Times, binding and revocation are checked each time. Only verified tokens come in, so a stranger
/// evicts nothing; a lookup compares the whole token, so a tag that collides costs a verification and no more.
///
/// Reads take no lock and allocate nothing. A token may stand in either of two sets, so that while half of the places
/// are free, none is turned out. Two writers that meet in one place leave a tag that leads to another token: a miss.
pub(crate) struct Cache {
    sets: Box<[Set]>,
    /// Keys the tags, so that nobody can aim at a set.
    hasher: RandomState,
}

#[derive(Default)]
struct Set {
    /// 0 where nothing is.
    tags: [AtomicU64; PLACES],
    tokens: [ArcSwapOption<Kept>; PLACES],
}

/// A token, and the handles to it that were given out: each thread counts its references in a place of its own.
struct Kept {
    text: Box<str>,
    generation: u64,
    exp: UnixTime,
    token: Arc<Checked>,
    handles: [OnceLock<Arc<Handle>>; STRIPES],
}

impl Cache {
    /// A cache with room for about `capacity` tokens; for none with 0.
    pub(crate) fn new(capacity: usize) -> Self {
        let sets = match capacity {
            0 => 0,
            _ => capacity
                .min(MAX_TOKENS)
                .div_ceil(PLACES)
                .next_power_of_two(),
        };
        Self {
            sets: std::iter::repeat_with(Set::default).take(sets).collect(),
            hasher: RandomState::new(),
        }
    }

    /// What is known of exactly this token under this generation.
    pub(crate) fn find(&self, token: &str, generation: u64) -> Option<Arc<Handle>> {
        let tag = self.tag(token)?;
        self.sets(tag)
            .into_iter()
            .flatten()
            .find_map(|set| set.find(tag, token, generation))
    }

    /// Keeps a token that was verified, in the place of one that is worth less.
    pub(crate) fn insert(&self, token: &str, handle: &Arc<Handle>, now: UnixTime) {
        if token.len() > MAX_CACHED_BYTES {
            return;
        }
        let Some(tag) = self.tag(token) else {
            return;
        };
        let generation = handle.checked().generation;
        let sets = self.sets(tag).into_iter().flatten();
        let cheapest = sets
            .flat_map(|set| set.offers(tag, generation, now))
            .min_by_key(|offer| offer.price);
        if let Some(Offer { set, place, .. }) = cheapest
            && let (Some(kept), Some(known)) = (set.tokens.get(place), set.tags.get(place))
        {
            kept.store(Some(Arc::new(Kept::new(token, handle))));
            known.store(tag, Ordering::Release);
        }
    }

    /// The name of a token in here; `None` for what is too short to be one.
    fn tag(&self, token: &str) -> Option<u64> {
        let bytes = token.as_bytes();
        let end = bytes.get(bytes.len().checked_sub(TAG_CHARACTERS)?..)?;
        Some(self.hasher.hash_one(end) | 1)
    }

    /// The sets that a token may stand in; none without a cache.
    fn sets(&self, tag: u64) -> [Option<&Set>; 2] {
        let last = self.sets.len().wrapping_sub(1);
        [32, 8].map(|shift| {
            let number = usize::try_from(tag >> shift).unwrap_or_default();
            self.sets.get(number & last)
        })
    }
}

/// A place that a token could take, and what that costs: the sets that are less full, and the places that hold less,
/// come first.
struct Offer<'a> {
    set: &'a Set,
    place: usize,
    price: (u8, u64),
}

impl Set {
    fn find(&self, tag: u64, token: &str, generation: u64) -> Option<Arc<Handle>> {
        for (known, place) in self.tags.iter().zip(&self.tokens) {
            if known.load(Ordering::Acquire) != tag {
                continue;
            }
            let kept = place.load();
            // Not in constant time: whoever comes this far has the tag, which is the token's own signature.
            if let Some(kept) = &*kept
                && kept.generation == generation
                && *kept.text == *token
            {
                return Some(kept.handle());
            }
        }
        None
    }

    fn offers(&self, tag: u64, generation: u64, now: UnixTime) -> impl Iterator<Item = Offer<'_>> {
        let taken = self
            .tags
            .iter()
            .filter(|known| known.load(Ordering::Relaxed) != 0)
            .count();
        let places = self.tags.iter().zip(&self.tokens).enumerate();
        places.map(move |(place, (known, kept))| {
            let price = match &*kept.load() {
                // The same token, or one that nobody can use.
                _ if known.load(Ordering::Relaxed) == tag => (0, 0),
                None => (1, u64::try_from(taken).unwrap_or(u64::MAX)),
                Some(kept) if kept.generation != generation || now >= kept.exp => (2, 0),
                Some(kept) => (3, kept.exp.as_secs()),
            };
            Offer {
                set: self,
                place,
                price,
            }
        })
    }
}

impl Kept {
    fn new(text: &str, handle: &Arc<Handle>) -> Self {
        let kept = Self {
            text: text.into(),
            generation: handle.checked().generation,
            exp: handle.times.exp,
            token: Arc::clone(handle.checked()),
            handles: Default::default(),
        };
        if let Some(first) = kept.handles.get(stripe()) {
            let _ = first.set(Arc::clone(handle));
        }
        kept
    }

    fn handle(&self) -> Arc<Handle> {
        let new = || Arc::new(Handle::new(Arc::clone(&self.token)));
        match self.handles.get(stripe()) {
            Some(own) => Arc::clone(own.get_or_init(new)),
            None => new(),
        }
    }
}

/// Which of the handles this thread counts on.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    }
    OWN.with(|own| *own)
}

#[cfg(test)]
mod tests {
    use dayfly_keys::{Algorithm, KeySet, SigningKey};
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

    /// A token as it comes out of its reading, under a generation of the test's choice.
    fn handle(verifier: &Verifier, token: &str, generation: u64) -> Arc<Handle> {
        let checked = verifier.core().read(token, generation);
        Arc::new(Handle::new(Arc::new(checked.ok().unwrap())))
    }

    /// As long as tokens are, and no two end alike.
    fn text(number: usize) -> String {
        format!("{number:0>40}")
    }

    #[test]
    fn what_nobody_can_use_gives_way_before_what_lives() {
        let (authority, verifier) = verifier(8);
        let of_life = |secs| authority.token("api").ttl_secs(secs).mint(NOW).unwrap();
        let (short, long) = (of_life(60), of_life(300));
        let short_lived = handle(&verifier, &short, 1);
        let long_lived = handle(&verifier, &long, 1);
        let of_former_keys = handle(&verifier, &long, 0);
        for (living, dead, now) in [
            (&short_lived, &of_former_keys, NOW),
            (&long_lived, &short_lived, NOW.saturating_add(60)),
        ] {
            let cache = Cache::new(8);
            for number in 0..7 {
                cache.insert(&text(number), living, NOW);
            }
            cache.insert(&text(7), dead, NOW);
            cache.insert(&text(8), living, now);
            let generation = dead.checked().generation;
            assert!(cache.find(&text(7), generation).is_none());
            assert!((0..7).all(|number| cache.find(&text(number), 1).is_some()));
            assert!(cache.find(&text(8), 1).is_some());
        }
    }

    #[test]
    fn a_token_stands_in_one_place() {
        let (authority, verifier) = verifier(8);
        let token = authority.token("api").mint(NOW).unwrap();
        let cache = Cache::new(8);
        for generation in [0, 1] {
            cache.insert(&token, &handle(&verifier, &token, generation), NOW);
        }
        assert!(cache.find(&token, 0).is_none() && cache.find(&token, 1).is_some());
        let tags = cache.sets.iter().flat_map(|set| &set.tags);
        let taken = tags.filter(|tag| tag.load(Ordering::Relaxed) != 0);
        assert_eq!(taken.count(), 1);
    }

    #[test]
    fn while_half_of_the_places_are_free_none_is_turned_out() {
        let (authority, verifier) = verifier(8);
        let token = authority.token("api").mint(NOW).unwrap();
        let handle = handle(&verifier, &token, 0);
        let cache = Cache::new(4096);
        for number in 0..2048 {
            cache.insert(&text(number), &handle, NOW);
        }
        assert!((0..2048).all(|number| cache.find(&text(number), 0).is_some()));
    }

    #[test]
    fn the_same_keys_once_more_turn_nothing_out() {
        let (authority, verifier) = verifier(8);
        let token = authority.token("api").mint(NOW).unwrap();
        assert!(verify(&verifier, &token, NOW));
        verifier.replace_keys(authority.keys());
        assert!(kept(&verifier, &token));
        verifier.replace_keys(KeySet::default());
        assert!(!kept(&verifier, &token));
    }

    #[test]
    fn the_longest_that_is_kept() {
        let (authority, verifier) = verifier(8);
        let token = authority.token("api").mint(NOW).unwrap();
        let handle = handle(&verifier, &token, 0);
        let cache = Cache::new(8);
        for (bytes, is_kept) in [(4096, true), (4097, false)] {
            let text = "x".repeat(bytes);
            cache.insert(&text, &handle, NOW);
            assert_eq!(cache.find(&text, 0).is_some(), is_kept, "{bytes}");
        }
    }

    #[test]
    fn a_room_without_bounds_has_bounds() {
        let (authority, verifier) = verifier(usize::MAX);
        assert_eq!(verifier.core().cache.sets.len(), MAX_TOKENS / PLACES);
        let good = authority.token("api").mint(NOW).unwrap();
        assert!(verify(&verifier, &good, NOW) && kept(&verifier, &good));
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
