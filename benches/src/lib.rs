//! What the benchmarks share: how a thing is timed, and the table that is printed.
//!
//! A row is `name  value  unit  ratio-to-floor  target  PASS|FAIL`. Absolute figures move from
//! machine to machine and from hour to hour; the ratios were measured in one run, in turns, and
//! are what the targets speak of.
#![allow(clippy::print_stdout, reason = "the table is the output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// One sample is a batch of this length at least, so that reading the clock does not count.
const BATCH: Duration = Duration::from_millis(2);

/// A subject runs so often before each sample, untimed: what ran before it has filled the caches with
/// its own.
const WARM_UPS: u32 = 4;

/// How many samples each subject gets. The subjects take turns, so that a change of the machine's
/// speed meets all of them.
const ROUNDS: usize = 200;

/// Something to time: it runs once for each call.
pub type Subject<'a> = Box<dyn FnMut() + 'a>;

/// Subjects that are timed in turns.
#[derive(Default)]
pub struct Suite<'a> {
    subjects: Vec<(String, Subject<'a>)>,
}

/// The median nanoseconds of each subject.
pub struct Medians(Vec<(String, f64)>);

impl<'a> Suite<'a> {
    /// Adds a subject. Its result is kept from the optimiser.
    pub fn add<T>(&mut self, name: &str, mut run: impl FnMut() -> T + 'a) {
        self.subjects.push((
            name.to_owned(),
            Box::new(move || {
                black_box(run());
            }),
        ));
    }

    /// Times all subjects in turns.
    #[must_use]
    pub fn run(mut self) -> Medians {
        let mut timed: Vec<_> = self
            .subjects
            .iter_mut()
            .map(|(name, run)| {
                let batch = batch_of(run);
                (name.clone(), run, batch, picoseconds())
            })
            .collect();
        for _ in 0..ROUNDS {
            for (_, run, batch, histogram) in &mut timed {
                time(run, WARM_UPS);
                let taken = time(run, *batch).as_nanos() * 1000 / u128::from(*batch);
                histogram.saturating_record(u64::try_from(taken).unwrap_or(u64::MAX));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "picoseconds for the eye")]
        let median = |h: &Histogram<u64>| h.value_at_quantile(0.5) as f64 / 1000.0;
        Medians(
            timed
                .into_iter()
                .map(|(name, _, _, h)| (name, median(&h)))
                .collect(),
        )
    }
}

#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that hdrhistogram accepts"
)]
fn picoseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 3).expect("valid bounds")
}

#[expect(clippy::disallowed_methods, reason = "this is the stop watch")]
fn time(run: &mut Subject<'_>, batch: u32) -> Duration {
    let started = Instant::now();
    for _ in 0..batch {
        run();
    }
    started.elapsed()
}

fn batch_of(run: &mut Subject<'_>) -> u32 {
    let mut batch = 1;
    while time(run, batch) < BATCH && batch < 1 << 24 {
        batch *= 2;
    }
    batch
}

impl Medians {
    /// The median of a subject, in nanoseconds.
    ///
    /// # Panics
    /// If no subject has that name.
    #[must_use]
    #[expect(clippy::panic, reason = "a benchmark names its own subjects")]
    pub fn nanoseconds(&self, name: &str) -> f64 {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no subject `{name}`"), |(_, median)| *median)
    }
}

/// The table of a benchmark.
pub struct Table {
    bench: &'static str,
    rows: Vec<Value>,
}

/// What a ratio is held against.
#[derive(Clone, Copy)]
pub enum Target {
    /// At most this ratio, or value.
    AtMost(f64),
    /// At least this ratio, or value.
    AtLeast(f64),
    /// Nothing: the row is there to compare with.
    None,
}

impl Table {
    /// Prints the head.
    #[must_use]
    pub fn new(bench: &'static str) -> Self {
        println!(
            "{:<48} {:>10}  {:<6} {:>8}  {:>8}",
            "name", "value", "unit", "ratio", "target"
        );
        Self {
            bench,
            rows: Vec::new(),
        }
    }

    /// Prints a row in microseconds: `value` and `floor` are in nanoseconds.
    pub fn row(&mut self, name: &str, value: f64, floor: f64, target: Target) {
        self.print(name, value / 1000.0, "us", Some(value / floor), target);
    }

    /// Prints a row in nanoseconds whose target is a time on a machine where `floor` takes `reference`
    /// nanoseconds: here the same share of the floor is allowed.
    pub fn share(&mut self, name: &str, value: f64, floor: f64, reference: f64, target: f64) {
        let here = value * reference / floor;
        let verdict = if here <= target { "PASS" } else { "FAIL" };
        println!("{name:<48} {value:>10.3}  ns     {here:>8.3}  {target:>8.2}  {verdict}");
        self.rows.push(json!({
            "name": name, "value": value, "unit": "ns", "at_reference_speed": here,
            "target": target, "verdict": verdict,
        }));
    }

    /// Prints a row whose target is the value itself, in its unit.
    pub fn absolute(&mut self, name: &str, value: f64, unit: &'static str, target: Target) {
        self.print(name, value, unit, None, target);
    }

    fn print(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        ratio: Option<f64>,
        target: Target,
    ) {
        let measured = ratio.unwrap_or(value);
        let (target, holds) = match target {
            Target::AtMost(most) => (Some(most), measured <= most),
            Target::AtLeast(least) => (Some(least), measured >= least),
            Target::None => (None, true),
        };
        let verdict = match (target, holds) {
            (None, _) => "",
            (Some(_), true) => "PASS",
            (Some(_), false) => "FAIL",
        };
        let shown = |number: Option<f64>, digits| {
            number.map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
        };
        let (shown_ratio, shown_target) = (shown(ratio, 3), shown(target, 2));
        println!(
            "{name:<48} {value:>10.3}  {unit:<6} {shown_ratio:>8}  {shown_target:>8}  {verdict}"
        );
        self.rows.push(json!({
            "name": name, "value": value, "unit": unit, "ratio": ratio,
            "target": target, "verdict": verdict,
        }));
    }

    /// Prints the same as one line of JSON.
    pub fn finish(self) {
        println!("{}", json!({ "bench": self.bench, "rows": self.rows }));
    }
}
