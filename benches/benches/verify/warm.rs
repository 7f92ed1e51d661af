//! V2: a token that was verified before.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dayfly_benches::{Suite, Table, Target};
use dayfly_keys::Algorithm;
use dayfly_verifier::{Presented, UnixTime, UnverifiedToken, Verified, Verifier};

/// How many live tokens an API sees at once.
const LIVE: u64 = 4096;

/// How long one and two threads verify, each time.
const LAP: Duration = Duration::from_millis(200);

/// How often they do, in turns; the median counts.
const LAPS: usize = 15;

pub(crate) fn run(table: &mut Table, now: UnixTime) {
    let authority = crate::authority(Algorithm::Es256);
    let verifier = crate::builder(&authority).build().unwrap();
    verifier.revocations().heard(now);
    let entries = crate::revoked::entries(crate::revoked::MANY, now);
    verifier.revocations().merge(&entries, now);
    let tokens: Vec<_> = (0..LIVE)
        .map(|number| crate::token(&authority, number, now))
        .collect();
    let verify = |token: &str| {
        verifier
            .verify(UnverifiedToken::new(token), &Presented::NOTHING, now)
            .unwrap()
    };
    for token in tokens.iter().chain(&tokens) {
        verify(token);
    }

    let mut order = shuffled();
    let bare = crate::Bare::new(&authority, now);
    let frozen: HashMap<&str, Arc<str>> = tokens
        .iter()
        .map(|token| (&token[token.len() - 22..], Arc::from(token.as_str())))
        .collect();
    let mut frozen_order = shuffled();
    let mut suite = Suite::default();
    suite.add("frozen", || {
        let token = &tokens[frozen_order.next().unwrap()];
        let found = &frozen[&token[token.len() - 22..]];
        (**found == **token).then(|| Arc::clone(found)).unwrap()
    });
    suite.add("one", || verify(&tokens[0]));
    suite.add("all", || verify(&tokens[order.next().unwrap()]));
    suite.add("bare", || bare.verify());
    let medians = suite.run();
    for (name, subject, target) in [
        ("warm, one token", "one", 80.0),
        ("warm, 4,096 tokens", "all", 200.0),
    ] {
        let (value, floor) = (medians.nanoseconds(subject), medians.nanoseconds("bare"));
        table.share(name, value, floor, crate::REFERENCE_BARE_NS, target);
    }
    let mut row = |name: &str, value, unit, target| table.absolute(name, value, unit, target);
    row(
        "warm, frozen map of 4,096, compare, no checks",
        medians.nanoseconds("frozen"),
        "ns",
        Target::None,
    );
    let allocations = allocation_counter::measure(|| {
        for token in &tokens {
            black_box(verify(token));
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "few")]
    row(
        "warm, allocations",
        allocations.count_total as f64 / LIVE as f64,
        "each",
        Target::AtMost(0.0),
    );
    for (name, tokens) in [
        ("warm, two threads over one, one token", &tokens[..1]),
        ("warm, two threads over one, 4,096 tokens", &tokens[..]),
    ] {
        row(
            name,
            speed_up(&verifier, tokens, now),
            "x",
            Target::AtLeast(1.8),
        );
    }
}

/// All indices, again and again, in an order that no prefetcher guesses.
fn shuffled() -> impl Iterator<Item = usize> {
    (0_u64..).map(|step| {
        // An odd factor and a power of two: each index once in a round.
        let mixed = step.wrapping_mul(2_654_435_761) ^ (step / LIVE);
        usize::try_from(mixed % LIVE).unwrap()
    })
}

fn speed_up(verifier: &Verifier, tokens: &[String], now: UnixTime) -> f64 {
    let mut ratios: Vec<f64> = (0..LAPS)
        .map(|_| {
            let rate = |threads| rate(verifier, tokens, now, threads);
            rate(2) / rate(1)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[LAPS / 2]
}

/// Verifications per second of so many threads together.
#[expect(clippy::disallowed_methods, reason = "this is the stop watch")]
fn rate(verifier: &Verifier, tokens: &[String], now: UnixTime, threads: usize) -> f64 {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let started = Instant::now();
                    let (mut done, mut last) = (0_u32, None::<Verified>);
                    let order = shuffled().skip(worker * 1000);
                    for index in order.map(|index| index % tokens.len()) {
                        let token = UnverifiedToken::new(&tokens[index]);
                        last = Some(verifier.verify(token, &Presented::NOTHING, now).unwrap());
                        done += 1;
                        if done.is_multiple_of(1024) && started.elapsed() >= LAP {
                            break;
                        }
                    }
                    black_box(last);
                    f64::from(done) / started.elapsed().as_secs_f64()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    })
}
