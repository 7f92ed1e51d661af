//! The generic cell rate algorithm, as `record.lua` has it.

/// What one more issuance means for a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It passes; the next would arrive then, in milliseconds.
    Passes { arrival_ms: u64 },
    /// It would pass after so many milliseconds.
    Waits { for_ms: u64 },
}

/// `arrival_ms` is what was stored for the rate; `interval_ms` and `burst` come from
/// [`crate::limits::rate`].
pub(super) fn one_more(
    arrival_ms: Option<u64>,
    interval_ms: u64,
    burst: u64,
    now_ms: u64,
) -> Verdict {
    let window = interval_ms.saturating_mul(burst);
    let full = now_ms.saturating_add(window);
    let next = arrival_ms
        .unwrap_or(now_ms)
        .clamp(now_ms, full)
        .saturating_add(interval_ms);
    match next.checked_sub(full) {
        None | Some(0) => Verdict::Passes { arrival_ms: next },
        Some(for_ms) => Verdict::Waits { for_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let mut arrival = None;
        for _ in 0..3 {
            let Verdict::Passes { arrival_ms } = one_more(arrival, 1_000, 3, 50_000) else {
                panic!("the burst does not pass");
            };
            arrival = Some(arrival_ms);
        }
        assert_eq!(
            one_more(arrival, 1_000, 3, 50_000),
            Verdict::Waits { for_ms: 1_000 }
        );
        assert_eq!(
            one_more(arrival, 1_000, 3, 50_999),
            Verdict::Waits { for_ms: 1 }
        );
        assert!(matches!(
            one_more(arrival, 1_000, 3, 51_000),
            Verdict::Passes { .. }
        ));
    }

    #[test]
    fn a_clock_that_went_back_does_not_lock_a_rate_for_long() {
        let far = Some(u64::MAX);
        assert_eq!(
            one_more(far, 1_000, 3, 50_000),
            Verdict::Waits { for_ms: 1_000 }
        );
    }

    proptest! {
        /// No window of any length lets more through than burst + length / interval.
        #[test]
        fn never_more_than_the_rate(
            gaps in prop::collection::vec(0_u64..400, 1..200),
            interval in 1_u64..500,
            burst in 1_u64..6,
        ) {
            let mut now = 1_000_000;
            let mut arrival = None;
            let mut passed = Vec::new();
            for gap in gaps {
                now += gap;
                if let Verdict::Passes { arrival_ms } = one_more(arrival, interval, burst, now) {
                    arrival = Some(arrival_ms);
                    passed.push(now);
                }
            }
            for (i, from) in passed.iter().enumerate() {
                for (j, to) in passed.iter().enumerate().skip(i) {
                    let most = burst + (to - from) / interval;
                    prop_assert!((j - i + 1) as u64 <= most);
                }
            }
        }
    }
}
