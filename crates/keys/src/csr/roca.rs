//! RSA keys of a generator whose primes have a form that shows (CVE-2017-15361, "ROCA"): from the modulus of such a key
//! its owner's private key can be computed. Smart cards and TPMs of 2012 to 2017 made them.

/// Modulo each of these the powers of 65537 leave numbers out. The flawed primes are such powers modulo all of them, and
/// so is their product; of other moduli one in many millions is.
const PRIMES: [u32; 17] = [
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
];

/// Whether a big-endian modulus is of that form.
pub(super) fn is_flawed(modulus: &[u8]) -> bool {
    PRIMES
        .iter()
        .all(|prime| is_power(remainder(modulus, *prime), *prime))
}

fn remainder(big_endian: &[u8], prime: u32) -> u32 {
    let append = |rest: u32, byte: &u8| (rest * 256 + u32::from(*byte)) % prime;
    big_endian.iter().fold(0, append)
}

fn is_power(number: u32, prime: u32) -> bool {
    let generator = 65537 % prime;
    let next = |power: &u32| Some(power * generator % prime);
    std::iter::successors(Some(1), next)
        .take(prime as usize)
        .any(|power| power == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `number` times 65537: itself, and itself two bytes further.
    fn times_65537(number: &[u8]) -> Vec<u8> {
        let shifted = [number, &[0, 0]].concat();
        let own = [&[0, 0], number].concat();
        let mut sum = Vec::new();
        let mut carry = 0;
        for (a, b) in shifted.iter().zip(&own).rev() {
            let digit = u16::from(*a) + u16::from(*b) + carry;
            sum.push(digit.to_le_bytes()[0]);
            carry = digit >> 8;
        }
        sum.push(carry.to_le_bytes()[0]);
        sum.reverse();
        sum
    }

    #[test]
    fn the_form_is_found() {
        let mut number = vec![1];
        for exponent in 0..128 {
            assert!(is_flawed(&number), "65537 to the power of {exponent}");
            number = times_65537(&number);
        }
        assert!(!is_flawed(&[2]) && !is_flawed(&[11]) && !is_flawed(&[0]));
    }

    #[test]
    fn others_do_not_have_it() {
        let mut number = vec![0xc5; 256];
        for byte in 0..=255 {
            number[100] = byte;
            assert!(!is_flawed(&number), "{byte}");
        }
    }
}
