//! Keys from the random source that the rim lends.

use dayfly_keys::{Algorithm, KeyError, SigningKey};
use zeroize::Zeroizing;

use crate::port::Rng;

/// How many seeds are drawn before the random source is called broken: a seed is no scalar of
/// P-256 once in 2^32 draws.
const MOST_DRAWS: usize = 8;

/// A new private key.
pub(crate) fn generate(algorithm: Algorithm, rng: &mut dyn Rng) -> Result<SigningKey, KeyError> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    for _ in 0..MOST_DRAWS {
        rng.fill(seed.as_mut_slice());
        match SigningKey::from_seed(algorithm, &seed) {
            Err(KeyError::SeedOutOfRange) => {}
            done => return done,
        }
    }
    Err(KeyError::SeedOutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stuck(u8);

    impl Rng for Stuck {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn a_broken_random_source_gives_no_key_and_ends() {
        for stuck in [0, 0xff] {
            let key = generate(Algorithm::Es256, &mut Stuck(stuck));
            assert!(matches!(key, Err(KeyError::SeedOutOfRange)), "{stuck}");
        }
        assert!(generate(Algorithm::Es256, &mut Stuck(7)).is_ok());
    }
}
