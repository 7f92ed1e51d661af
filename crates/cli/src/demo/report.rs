//! What the demo says: each step as what happened and why it matters.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The steps so far.
pub(crate) struct Report {
    json: bool,
    started: Instant,
    steps: Vec<Value>,
    held: bool,
}

/// One step.
pub(super) struct Step {
    /// A stable name.
    pub(super) name: &'static str,
    /// What happened.
    pub(super) what: String,
    /// Why it matters.
    pub(super) why: &'static str,
    /// How long it took, if that says something.
    pub(super) took: Option<Duration>,
    /// What was measured or given out.
    pub(super) details: Value,
}

impl Step {
    /// A step without a time or details.
    pub(super) fn new(name: &'static str, what: impl Into<String>, why: &'static str) -> Self {
        Self {
            name,
            what: what.into(),
            why,
            took: None,
            details: Value::Null,
        }
    }

    /// With the time that it took.
    pub(super) fn took(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }

    /// With what was measured or given out.
    pub(super) fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            started: now(),
            steps: Vec::new(),
            held: true,
        }
    }

    /// The first lines.
    pub(super) fn title(&self) {
        if !self.json {
            println!("dayfly demo: a private world on loopback, real TLS, real certificates.\n");
        }
    }

    /// Notes a step that held, or the reason why one did not.
    pub(super) fn note(&mut self, step: Result<Step, (&'static str, anyhow::Error)>) {
        let number = self.steps.len() + 1;
        match step {
            Ok(step) => {
                let millis = step.took.map(|took| took.as_secs_f64() * 1000.0);
                if !self.json {
                    let took = millis.map_or_else(String::new, |ms| format!("  [{ms:.1} ms]"));
                    println!("{number:>2}. {}{took}\n    {}\n", step.what, step.why);
                }
                self.steps.push(json!({
                    "step": step.name, "ok": true, "what": step.what, "why": step.why,
                    "took_ms": millis, "details": step.details,
                }));
            }
            Err((name, error)) => {
                self.held = false;
                if !self.json {
                    println!("{number:>2}. FAILED: {name}: {error:#}\n");
                }
                self.steps
                    .push(json!({ "step": name, "ok": false, "error": format!("{error:#}") }));
            }
        }
    }

    /// The last lines; whether every step held.
    pub(super) fn finish(&self) -> bool {
        let secs = self.started.elapsed().as_secs_f64();
        if self.json {
            println!(
                "{}",
                json!({ "steps": self.steps, "took_secs": secs, "ok": self.held })
            );
        } else if self.held {
            println!("All {} steps held, in {secs:.1} s.", self.steps.len());
        } else {
            println!("Not every step held.");
        }
        self.held
    }
}

/// The stop watch of the demo.
#[expect(clippy::disallowed_methods, reason = "the command line is the rim")]
pub(super) fn now() -> Instant {
    Instant::now()
}
